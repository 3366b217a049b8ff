// Randomness as an argument (ARCHITECTURE 3.9).
#pragma once
#include <span>

#include "base/bytes.h"
#include "base/mutex.h"
#include "crypto/secret.h"

namespace attestry::crypto {

/// Thread-safe.
class Random {
 public:
  virtual ~Random() = default;
  virtual void fill(std::span<std::uint8_t> out) = 0;
  template <std::size_t N>
  base::FixedBytes<N> bytes() {
    base::FixedBytes<N> out{};
    fill(out);
    return out;
  }
  Secret secret(std::size_t size);
};

/// The library's generator, seeded by the operating system. Aborts the process when there is no randomness.
Random& system_random();

/// The same seed and the same calls give the same bytes for ever (HKDF-SHA-256 as a stream): simulated TEEs and tests,
/// never production.
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(base::ByteView seed);
  void fill(std::span<std::uint8_t> out) override;

 private:
  base::Digest32 key_{};
  base::Mutex mutex_;
  std::uint64_t counter_ ATTESTRY_GUARDED_BY(mutex_) = 0;
};

}  // namespace attestry::crypto
