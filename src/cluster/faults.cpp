#include "cluster/faults.h"

#include <algorithm>
#include <utility>

namespace attestry::cluster {

using base::Code;
using base::Error;
using base::Result;

namespace {

constexpr const char* kNames[] = {"offer", "deal", "complaint", "stored", "share", "proof"};
/// At the end of a deal: values of a receiver u32 and 48 bytes, and a signature (docs/formats/threshold.md).
constexpr std::size_t kSignature = 64, kSealed = 48, kValue = 4 + kSealed;

/// Wrong for the last member but the dealer, and signed as it ought to be.
Deal wrong_for_one(const Deal& deal, const Plan& plan, const crypto::Ed25519PrivateKey& key) {
  const std::size_t from_the_end = plan.members.back().id == deal.dealer() ? 2 : 1;
  base::Bytes bytes = deal.bytes();
  const std::size_t body = bytes.size() - kSignature;
  bytes[body - from_the_end * kValue + (kValue - kSealed)] ^= 1;
  const auto signature = key.sign(base::ByteView{bytes}.first(body));
  std::ranges::copy(signature, bytes.begin() + static_cast<std::ptrdiff_t>(body));
  auto out = Deal::parse(bytes);
  return out ? *std::move(out) : deal;
}

/// About the first deal of somebody else, with a key of its own in place of the one that the value is encrypted to.
Answer complaint(Answer honest, const Plan& plan, std::span<const Deal> deals, std::uint32_t id,
                 const crypto::Ed25519PrivateKey& key, crypto::Random& random) {
  const auto about = std::ranges::find_if(deals, [&](const Deal& deal) { return deal.dealer() != id; });
  if (about == deals.end()) return honest;
  auto out = Complaint::make(plan, *about, id, curves::bls::Scalar::random(random), key, random);
  return out ? Answer{*std::move(out)} : std::move(honest);
}

}  // namespace

Result<Faults> Faults::parse(std::span<const std::string> names) {
  Faults out;
  for (const std::string& name : names) {
    if (std::ranges::find(kNames, name) == std::end(kNames)) {
      return Error{Code::configuration, "lie of a node", "offer, deal, complaint, stored, share or proof", name};
    }
    out.names_.insert(name);
  }
  return out;
}

Answer Faults::instead_of(Answer honest, const Question& question, std::uint32_t id,
                          const crypto::Ed25519PrivateKey& key, crypto::Random& random) const {
  if (auto* offer = std::get_if<Offer>(&honest); offer != nullptr && has("offer")) offer->signature[0] ^= 1;
  if (auto* stored = std::get_if<Stored>(&honest); stored != nullptr && has("stored")) stored->signature[0] ^= 1;
  if (auto* share = std::get_if<keys::ckd::Ciphertext>(&honest); share != nullptr && has("share")) {
    share->big_c = share->big_y;
  }
  if (auto* proof = std::get_if<keys::ckd::ShareProof>(&honest); proof != nullptr && has("proof")) {
    proof->first[31] ^= 1;
  }
  if (const auto* q = std::get_if<ask::Propose>(&question); q != nullptr && has("deal")) {
    if (const auto* deal = std::get_if<Deal>(&honest)) return wrong_for_one(*deal, q->plan, key);
  }
  if (!has("complaint")) return honest;
  if (const auto* q = std::get_if<ask::Check>(&question)) {
    return complaint(std::move(honest), q->plan, q->deals, id, key, random);
  }
  if (const auto* q = std::get_if<ask::Prepare>(&question)) {
    return complaint(std::move(honest), q->plan, q->deals, id, key, random);
  }
  return honest;
}

}  // namespace attestry::cluster
