#include "tracker/receipt_batch.h"

#include <optional>

#include "crypto/hash.h"

namespace attestry::tracker {

using curves::bls::Claim;
using curves::bls::PublicKey;

void one_after_another(std::size_t count, const std::function<void(std::size_t)>& each) {
  for (std::size_t i = 0; i < count; ++i) each(i);
}

base::Result<PublicKey> KeyCache::decode(const KeyBytes& bytes) {
  // Not the first bytes of the key itself: whoever chooses keys could make them meet.
  const base::Digest32 name = crypto::sha256(bytes);
  if (const auto known = keys_.find(name)) return *known;
  TRY(const PublicKey key, PublicKey::decode(bytes));
  keys_.put(name, std::make_shared<const PublicKey>(key));
  return key;
}

std::vector<bool> verify_receipts(std::span<const ReceiptCheck> checks, const InstanceId& instance,
                                  const Parallel& parallel) {
  std::vector<std::optional<Claim>> made(checks.size());
  parallel(checks.size(), [&](std::size_t i) {
    const ReceiptCheck& check = checks[i];
    auto claim = Claim::create(check.receiver, signed_message(check.receipt, instance), check.receipt.signature);
    if (claim) made[i] = *std::move(claim);
  });
  std::vector<bool> verdicts(checks.size(), false);
  std::vector<Claim> together;
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < checks.size(); ++i) {
    if (!made[i]) continue;
    if (!checks[i].proven) {
      verdicts[i] = curves::bls::all_signed({&*made[i], 1});
      continue;
    }
    together.push_back(*made[i]);
    places.push_back(i);
  }
  const std::vector<bool> signed_ones = curves::bls::which_signed(together);
  for (std::size_t i = 0; i < places.size(); ++i) verdicts[places[i]] = signed_ones[i];
  return verdicts;
}

}  // namespace attestry::tracker
