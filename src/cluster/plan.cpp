#include "cluster/plan.h"

#include <algorithm>
#include <set>

#include "base/reader.h"
#include "crypto/hash.h"

namespace attestry::cluster {

using base::ByteView;
using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::string_view kTag = "attestry/threshold-plan/1";
constexpr std::string_view kIntentTag = "attestry/threshold-intent/1";
constexpr std::string_view kOfferTag = "attestry/threshold-offer/1";
constexpr std::size_t kMostAddress = 255;

Error bad(std::string what, std::string expected, std::string found) {
  return Error{Code::malformed, "plan of an epoch: " + std::move(what), std::move(expected), std::move(found)};
}

bool is_address(std::string_view text) {
  return !text.empty() && text.size() <= kMostAddress &&
         std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7f; });
}

base::Bytes offered(const Offer& offer) {
  base::LpWriter out;
  out.lp(kOfferTag).raw(offer.cluster).raw(offer.session).u32(offer.member).raw(offer.box_key);
  return std::move(out).take();
}

}  // namespace

Offer Offer::sign(const base::FixedBytes<32>& cluster, const base::FixedBytes<32>& session, std::uint32_t member,
                  const curves::bls::G1::Encoded& box_key, const crypto::Ed25519PrivateKey& key) {
  Offer out{cluster, session, member, box_key, {}};
  out.signature = key.sign(offered(out));
  return out;
}

Status Offer::check(ByteView signing_key) const {
  if (crypto::ed25519_verify(signing_key, offered(*this), signature)) return base::done();
  return Error{Code::evidence_false, "node " + std::to_string(member) + ": the key that shares are encrypted to",
               "one that the node itself has offered for this plan", "another"};
}

Status Plan::check() const {
  if (members.size() < 2 || members.size() > kMostNodes) {
    return bad("number of members", "2 to " + std::to_string(kMostNodes), std::to_string(members.size()));
  }
  if (threshold < 2 || threshold > members.size()) {
    return bad("threshold", "2 to " + std::to_string(members.size()), std::to_string(threshold));
  }
  if (epoch == 0) return bad("epoch", "1 or more", "0");
  if ((epoch == 1) != (previous == base::Digest32{})) {
    return bad("previous outcome", epoch == 1 ? "none for the first epoch" : "its digest", "the other");
  }
  std::set<base::FixedBytes<32>> signing;
  std::set<curves::bls::G1::Encoded> boxes;
  for (std::size_t i = 0; i < members.size(); ++i) {
    const Member& one = members[i];
    const std::string name = "member " + std::to_string(one.id);
    if (one.id >= kMostNodes) return bad(name, "an id below " + std::to_string(kMostNodes), std::to_string(one.id));
    if (i > 0 && one.id <= members[i - 1].id)
      return bad(name, "ids ascending", "after " + std::to_string(members[i - 1].id));
    if (!is_address(one.address))
      return bad(name, "an address of printable ASCII", std::to_string(one.address.size()) + " bytes");
    // No node has it, and anybody can sign for it: a point of small order. For peers it means "whoever is there".
    if (one.signing_key == base::FixedBytes<32>{}) return bad(name, "a signing key", "zeros");
    TRY_OK(curves::bls::G1::decode(one.box_key), name);
    TRY_OK((Offer{cluster, session, one.id, one.box_key, one.offer}.check(one.signing_key)));
    if (!signing.insert(one.signing_key).second || !boxes.insert(one.box_key).second) {
      return bad(name, "keys of its own", "another member's");
    }
  }
  return base::done();
}

const Member* Plan::find(std::uint32_t id) const noexcept {
  const auto at = std::ranges::find(members, id, &Member::id);
  return at == members.end() ? nullptr : &*at;
}

base::Bytes Plan::bytes() const {
  base::LpWriter out;
  out.lp(kTag).raw(cluster).u8(static_cast<std::uint8_t>(realm)).u32(epoch).raw(session).raw(previous).u16(threshold);
  out.u16(static_cast<std::uint16_t>(members.size()));
  for (const Member& one : members)
    out.u32(one.id).raw(one.signing_key).raw(one.box_key).raw(one.offer).lp(one.address);
  return std::move(out).take();
}

Result<Plan> Plan::parse(ByteView bytes) {
  base::Reader reader{bytes};
  Plan out;
  TRY(const ByteView tag, reader.lp("tag", kTag.size()));
  if (base::as_text(tag) != kTag) return bad("tag", std::string{kTag}, "another");
  TRY(out.cluster, reader.take_array<32>("cluster"));
  TRY(const std::uint8_t realm, reader.u8("realm"));
  if (realm > static_cast<std::uint8_t>(base::Realm::simulated)) return bad("realm", "0 or 1", std::to_string(realm));
  out.realm = static_cast<base::Realm>(realm);
  TRY(out.epoch, reader.u32be("epoch"));
  TRY(out.session, reader.take_array<32>("session"));
  TRY(out.previous, reader.take_array<32>("previous outcome"));
  TRY(out.threshold, reader.u16be("threshold"));
  TRY(const std::uint16_t count, reader.u16be("number of members"));
  if (count > kMostNodes)
    return bad("number of members", "at most " + std::to_string(kMostNodes), std::to_string(count));
  for (std::uint16_t i = 0; i < count; ++i) {
    Member one;
    TRY(one.id, reader.u32be("id"));
    TRY(one.signing_key, reader.take_array<32>("signing key"));
    TRY(one.box_key, reader.take_array<48>("box key"));
    TRY(one.offer, reader.take_array<64>("offer"));
    TRY(const ByteView address, reader.lp("address", kMostAddress));
    one.address = std::string{base::as_text(address)};
    out.members.push_back(std::move(one));
  }
  TRY_OK(reader.finish("plan of an epoch"));
  TRY_OK(out.check());
  return out;
}

base::Digest32 Plan::digest() const { return crypto::sha256(bytes()); }

base::Digest32 Plan::intent() const {
  base::LpWriter out;
  out.lp(kIntentTag).raw(cluster).u8(static_cast<std::uint8_t>(realm)).u32(epoch).raw(previous).u16(threshold);
  out.u16(static_cast<std::uint16_t>(members.size()));
  for (const Member& one : members) out.u32(one.id).raw(one.signing_key).lp(one.address);
  return crypto::sha256(out.bytes());
}

std::size_t quorum_of(std::size_t members, std::size_t threshold) noexcept {
  return std::min(members, 2 * threshold - 1);
}

}  // namespace attestry::cluster
