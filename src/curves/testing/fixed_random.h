// For tests: randomness that is written down, so that known answers come out.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>

#include "crypto/ec.h"
#include "crypto/random.h"

namespace attestry::curves::testing {

/// Gives out the bytes it was made from, in order; asking for more fails the test.
class FixedRandom final : public crypto::Random {
 public:
  explicit FixedRandom(base::Bytes bytes) : bytes_(std::move(bytes)) {}
  void fill(std::span<std::uint8_t> out) override {
    ASSERT_LE(at_ + out.size(), bytes_.size()) << "more randomness asked for than written down";
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(at_), out.size(), out.begin());
    at_ += out.size();
  }
  std::size_t left() const noexcept { return bytes_.size() - at_; }

 private:
  base::Bytes bytes_;
  std::size_t at_ = 0;
};

/// What EcPrivateKey::generate turns into the scalar d, followed by `more`.
inline base::Bytes for_scalar(std::uint32_t d, base::ByteView more, crypto::Curve curve = crypto::Curve::p256) {
  base::Bytes out(crypto::field_size(curve) + 16, 0);
  for (std::size_t i = 0; i < 4; ++i) out[out.size() - 1 - i] = static_cast<std::uint8_t>((d - 1) >> (8 * i));
  base::append(out, more);
  return out;
}

}  // namespace attestry::curves::testing
