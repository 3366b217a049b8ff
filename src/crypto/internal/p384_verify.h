// Checking ECDSA signatures on P-384 faster than the library does: its own field arithmetic (the assembly of
// s2n-bignum, formally verified) under a multiplication of points in variable time. Everything here is public. Decision
// record 0005.
#pragma once
#include <optional>

#include "base/bytes.h"
#include "crypto/ec.h"
#include "crypto/hash.h"
#include "crypto/internal/p384_order.h"

namespace attestry::crypto::internal {

/// A public key made ready. Immutable, thread-safe.
class P384Verifier {
 public:
  /// `xy`: x ‖ y, 96 bytes big-endian, of a point that the library has found on its curve. Nothing where the library
  /// has no such assembly or the processor not its instructions (BMI2, ADX): then the library checks.
  static std::optional<P384Verifier> make(base::ByteView xy) noexcept;

  /// FIPS 186-5 6.4.2, after hashing. `r` and `s` are 48 bytes each, big-endian; 0 and >= n are refused.
  bool verify(const Sha384Digest& digest, base::ByteView r, base::ByteView s) const noexcept;

 private:
  P384Verifier() = default;
  [[maybe_unused]] Words384 x_{};  // in Montgomery form
  [[maybe_unused]] Words384 y_{};
};

/// The library's answer, which ours must always be: for what compares them.
bool p384_verify_by_library(const EcPublicKey& key, const Sha384Digest& digest, base::ByteView r, base::ByteView s);

}  // namespace attestry::crypto::internal
