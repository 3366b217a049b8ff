#include "cluster/signatures.h"

#include <algorithm>
#include <set>

namespace attestry::cluster {

using base::ByteView;
using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::string_view kApprovalTag = "attestry/threshold-approval/1";
constexpr std::string_view kStoredTag = "attestry/threshold-stored/1";
constexpr std::size_t kMostOperators = 64;

base::Bytes approved(const Plan& plan) {
  base::LpWriter out;
  out.lp(kApprovalTag).raw(plan.intent());
  return std::move(out).take();
}

base::Bytes stored_bytes(const Plan& plan, const Outcome& outcome, std::uint32_t member) {
  base::LpWriter out;
  out.lp(kStoredTag).raw(plan.digest()).raw(outcome.digest()).u32(member);
  return std::move(out).take();
}

}  // namespace

Approval::Signature Approval::sign(const Plan& plan, const crypto::Ed25519PrivateKey& key) {
  return {key.public_key(), key.sign(approved(plan))};
}

std::size_t Approval::signers(const Plan& plan, std::span<const base::FixedBytes<32>> operators) const {
  const base::Bytes message = approved(plan);
  std::set<base::FixedBytes<32>> found;
  for (const Signature& one : signatures) {
    if (std::ranges::find(operators, one.key) == operators.end()) continue;
    if (crypto::ed25519_verify(one.key, message, one.signature)) found.insert(one.key);
  }
  return found.size();
}

Status Approval::check(const Plan& plan, std::span<const base::FixedBytes<32>> operators, std::size_t needed) const {
  const std::size_t found = signers(plan, operators);
  if (needed > 0 && found >= needed) return base::done();
  return Error{Code::denied, "plan of epoch " + std::to_string(plan.epoch),
               std::to_string(needed) + " operators' signatures", std::to_string(found),
               "have it approved by the operators that the nodes' settings name"};
}

base::Bytes Approval::bytes() const {
  base::LpWriter out;
  out.u16(static_cast<std::uint16_t>(signatures.size()));
  for (const Signature& one : signatures) out.raw(one.key).raw(one.signature);
  return std::move(out).take();
}

Result<Approval> Approval::read(base::Reader& reader) {
  TRY(const std::uint16_t count, reader.u16be("number of approvals"));
  if (count > kMostOperators) {
    return Error{Code::malformed, "number of approvals", "at most 64", std::to_string(count)};
  }
  Approval out;
  for (std::uint16_t i = 0; i < count; ++i) {
    Signature& one = out.signatures.emplace_back();
    TRY(one.key, reader.take_array<32>("operator's key"));
    TRY(one.signature, reader.take_array<64>("operator's signature"));
  }
  return out;
}

Stored Stored::sign(const Plan& plan, const Outcome& outcome, std::uint32_t member,
                    const crypto::Ed25519PrivateKey& key) {
  return {member, key.sign(stored_bytes(plan, outcome, member))};
}

Status Stored::check(const Plan& plan, const Outcome& outcome) const {
  const Member* one = plan.find(member);
  if (one == nullptr || !crypto::ed25519_verify(one->signing_key, stored_bytes(plan, outcome, member), signature)) {
    return Error{Code::evidence_false, "node " + std::to_string(member) + ": its word that it has stored its share",
                 "a member's signature over this outcome", "another"};
  }
  return base::done();
}

std::size_t needed_for(const Plan& plan) noexcept {
  return plan.epoch == 1 ? plan.members.size() : quorum_of(plan.members.size(), plan.threshold);
}

Status Certificate::check(const Plan& plan, const Outcome& outcome) const {
  for (std::size_t i = 0; i < stored.size(); ++i) {
    if (i > 0 && stored[i].member <= stored[i - 1].member) {
      return Error{Code::malformed, "certificate of an epoch", "each member once, ids ascending",
                   std::to_string(stored[i].member)};
    }
    TRY_OK(stored[i].check(plan, outcome));
  }
  if (stored.size() < needed_for(plan)) {
    return Error{Code::denied, "certificate of epoch " + std::to_string(plan.epoch),
                 std::to_string(needed_for(plan)) + " members that have stored their share",
                 std::to_string(stored.size())};
  }
  return base::done();
}

base::Bytes Certificate::bytes() const {
  base::LpWriter out;
  out.u16(static_cast<std::uint16_t>(stored.size()));
  for (const Stored& one : stored) out.u32(one.member).raw(one.signature);
  return std::move(out).take();
}

Result<Certificate> Certificate::read(base::Reader& reader) {
  TRY(const std::uint16_t count, reader.u16be("number of members"));
  if (count > kMostNodes) return Error{Code::malformed, "number of members", "at most 255", std::to_string(count)};
  Certificate out;
  for (std::uint16_t i = 0; i < count; ++i) {
    Stored& one = out.stored.emplace_back();
    TRY(one.member, reader.u32be("member"));
    TRY(one.signature, reader.take_array<64>("member's signature"));
  }
  return out;
}

}  // namespace attestry::cluster
