// HPKE base mode (RFC 9180): DHKEM(X25519, HKDF-SHA256) 0x0020, HKDF-SHA256 0x0001, AES-256-GCM 0x0002 (FORMATS 3, 4).
#pragma once
#include "base/bytes.h"
#include "base/result.h"
#include "crypto/random.h"
#include "crypto/secret.h"

namespace attestry::crypto {

inline constexpr std::uint16_t kHpkeKemX25519 = 0x0020;
inline constexpr std::uint16_t kHpkeKdfHkdfSha256 = 0x0001;
inline constexpr std::uint16_t kHpkeAeadAes256Gcm = 0x0002;

struct HpkeKeyPair {
  Secret private_key;  ///< 32 bytes
  base::FixedBytes<32> public_key{};
};
HpkeKeyPair hpke_generate(Random& random);

struct HpkeSealed {
  base::FixedBytes<32> enc{};
  base::Bytes ciphertext;  ///< plaintext size + 16
};
base::Result<HpkeSealed> hpke_seal(base::ByteView recipient_public, base::ByteView info, base::ByteView aad,
                                   base::ByteView plaintext);
base::Result<Secret> hpke_open(const Secret& recipient_private, base::ByteView enc, base::ByteView info,
                               base::ByteView aad, base::ByteView ciphertext);

/// RFC 9180 appendix A vectors fix the ephemeral key: tests only.
base::Result<HpkeSealed> hpke_seal_with_ephemeral_for_test(base::ByteView ephemeral_seed,
                                                           base::ByteView recipient_public, base::ByteView info,
                                                           base::ByteView aad, base::ByteView plaintext);

}  // namespace attestry::crypto
