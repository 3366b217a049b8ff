#include "crypto/random.h"

#include <algorithm>

#include "crypto/hash.h"
#include "crypto/internal/awslc.h"

namespace attestry::crypto {
namespace {

class SystemRandom final : public Random {
 public:
  void fill(std::span<std::uint8_t> out) override {
    if (!out.empty()) internal::require(RAND_bytes(out.data(), out.size()) == 1, "no randomness");
  }
};

}  // namespace

Secret Random::secret(std::size_t size) {
  Secret out(size);
  fill(out.writable());
  return out;
}

Random& system_random() {
  static SystemRandom instance;
  return instance;
}

SeededRandom::SeededRandom(base::ByteView seed) {
  const Secret key = hkdf_sha256({}, seed, base::as_bytes("attestry seeded random v1"), key_.size());
  std::ranges::copy(key.reveal(), key_.begin());
}

void SeededRandom::fill(std::span<std::uint8_t> out) {
  const base::MutexLock lock(mutex_);
  // Every call begins a new block: what a call gets depends on the calls before it, not on how long their last block
  // was.
  for (std::size_t at = 0; at < out.size();) {
    const base::Bytes label = base::LpWriter().u64(counter_++).bytes();
    const Sha256Digest block = hmac_sha256(key_, label);
    const std::size_t take = std::min(block.size(), out.size() - at);
    std::copy_n(block.begin(), take, out.begin() + static_cast<std::ptrdiff_t>(at));
    at += take;
  }
}

}  // namespace attestry::crypto
