#include "cluster/proposal.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/json.h"
#include "base/json_writer.h"

namespace attestry::cluster {

using base::Code;
using base::Error;
using base::JsonOut;
using base::JsonOutArray;
using base::JsonOutObject;
using base::JsonValue;
using base::Result;

namespace {

constexpr std::int64_t kVersion = 1;

template <std::size_t N>
Result<base::FixedBytes<N>> hex_member(const JsonValue& object, std::string_view name) {
  TRY(const auto value, object.get(name));
  TRY(const auto text, value.string(name));
  base::FixedBytes<N> out{};
  TRY_OK(base::hex_decode_into(text, out), name);
  return out;
}

Result<std::int64_t> number(const JsonValue& object, std::string_view name, std::int64_t least, std::int64_t most) {
  TRY(const auto value, object.get(name));
  return value.integer(name, least, most);
}

Result<Member> read_member(const JsonValue& value) {
  TRY_OK(value.only({"id", "signing_key", "address"}), "member");
  Member out;
  TRY(const auto id, number(value, "id", 0, kMostNodes - 1));
  out.id = static_cast<std::uint32_t>(id);
  TRY(out.signing_key, hex_member<32>(value, "signing_key"));
  TRY(const auto address, value.get("address"));
  TRY(out.address, address.string("address"));
  if (out.address.empty() || out.address.size() > 255) {
    return Error{Code::malformed, "address of node " + std::to_string(out.id), "HOST:PORT", out.address};
  }
  return out;
}

Result<Approval::Signature> read_signature(const JsonValue& value) {
  TRY_OK(value.only({"key", "signature"}), "approval");
  Approval::Signature out;
  TRY(out.key, hex_member<32>(value, "key"));
  TRY(out.signature, hex_member<64>(value, "signature"));
  return out;
}

}  // namespace

std::string Proposal::json() const {
  JsonOutArray members, approvals;
  for (const Member& one : plan.members) {
    members.emplace_back(JsonOutObject{{"id", static_cast<std::int64_t>(one.id)},
                                       {"signing_key", base::hex(one.signing_key)},
                                       {"address", one.address}});
  }
  for (const auto& one : approval.signatures) {
    approvals.emplace_back(JsonOutObject{{"key", base::hex(one.key)}, {"signature", base::hex(one.signature)}});
  }
  return JsonOut{JsonOutObject{{"v", kVersion},
                               {"cluster", base::hex(plan.cluster)},
                               {"realm", std::string{base::to_text(plan.realm)}},
                               {"epoch", static_cast<std::int64_t>(plan.epoch)},
                               {"previous", base::hex(plan.previous)},
                               {"threshold", static_cast<std::int64_t>(plan.threshold)},
                               {"members", std::move(members)},
                               {"approvals", std::move(approvals)}}}
      .compact();
}

Result<Proposal> Proposal::parse(std::string json) {
  TRY(const auto document, base::JsonDocument::parse(std::move(json)), "proposal");
  const auto root = document->root();
  TRY_OK(root.only({"v", "cluster", "realm", "epoch", "previous", "threshold", "members", "approvals"}), "proposal");
  TRY([[maybe_unused]] const auto version, number(root, "v", kVersion, kVersion));
  Proposal out;
  TRY(out.plan.cluster, hex_member<32>(root, "cluster"));
  TRY(const auto realm_value, root.get("realm"));
  TRY(const auto realm, realm_value.string("realm"));
  TRY(out.plan.realm, base::realm_from(realm));
  TRY(const auto epoch, number(root, "epoch", 1, UINT32_MAX));
  out.plan.epoch = static_cast<std::uint32_t>(epoch);
  TRY(out.plan.previous, hex_member<32>(root, "previous"));
  TRY(const auto threshold, number(root, "threshold", 2, kMostNodes));
  out.plan.threshold = static_cast<std::uint16_t>(threshold);
  TRY(const auto members, root.get("members"));
  for (auto value = members.first(); value; value = value->next()) {
    TRY(Member member, read_member(*value));
    if (!out.plan.members.empty() && member.id <= out.plan.members.back().id) {
      return Error{Code::malformed, "members of a proposal", "ids ascending", std::to_string(member.id)};
    }
    out.plan.members.push_back(std::move(member));
  }
  if (out.plan.members.size() < out.plan.threshold) {
    return Error{Code::malformed, "members of a proposal", "at least the threshold, " + std::to_string(threshold),
                 std::to_string(out.plan.members.size())};
  }
  TRY(const auto approvals, root.get("approvals"));
  for (auto value = approvals.first(); value; value = value->next()) {
    TRY(auto signature, read_signature(*value));
    out.approval.signatures.push_back(signature);
  }
  return out;
}

}  // namespace attestry::cluster
