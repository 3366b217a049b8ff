#include <algorithm>
#include <utility>

#include "crypto/ec.h"
#include "crypto/hash.h"
#include "crypto/internal/awslc.h"

namespace attestry::crypto {

Ed25519PrivateKey Ed25519PrivateKey::generate(Random& random) {
  auto key = from_seed(random.secret(ED25519_SEED_LEN).reveal());
  internal::require(key.has_value(), "Ed25519 seed");
  return *std::move(key);
}

base::Result<Ed25519PrivateKey> Ed25519PrivateKey::from_seed(base::ByteView seed) {
  if (seed.size() != ED25519_SEED_LEN) {
    return base::Error{.code = base::Code::malformed, .what = "Ed25519 seed of a wrong size", .expected = "32 bytes"};
  }
  Secret expanded(ED25519_PRIVATE_KEY_LEN);
  base::FixedBytes<32> pub{};
  ED25519_keypair_from_seed(pub.data(), expanded.writable().data(), seed.data());
  return Ed25519PrivateKey(Secret::copy_of(seed), std::move(expanded), pub);
}

base::FixedBytes<64> Ed25519PrivateKey::sign(base::ByteView message) const {
  base::FixedBytes<64> out{};
  internal::require(ED25519_sign(out.data(), message.data(), message.size(), expanded_.reveal().data()) == 1,
                    "Ed25519 signing failed");
  return out;
}

bool ed25519_verify(base::ByteView public_key, base::ByteView message, base::ByteView signature) {
  if (public_key.size() != ED25519_PUBLIC_KEY_LEN || signature.size() != ED25519_SIGNATURE_LEN) return false;
  const bool good = ED25519_verify(message.data(), message.size(), signature.data(), public_key.data()) == 1;
  if (!good) ERR_clear_error();
  return good;
}

base::FixedBytes<32> x25519_public(base::ByteView private_key) {
  internal::require(private_key.size() == X25519_PRIVATE_KEY_LEN, "X25519 private key of a wrong size");
  base::FixedBytes<32> out{};
  X25519_public_from_private(out.data(), private_key.data());
  return out;
}

base::Result<Secret> x25519_agree(base::ByteView private_key, base::ByteView peer_public) {
  internal::require(private_key.size() == X25519_PRIVATE_KEY_LEN && peer_public.size() == X25519_PUBLIC_VALUE_LEN,
                    "X25519 key of a wrong size");
  Secret shared(X25519_SHARED_KEY_LEN);
  if (X25519(shared.writable().data(), private_key.data(), peer_public.data()) != 1) {
    ERR_clear_error();
    return base::Error{
        .code = base::Code::crypto, .what = "X25519 public key of small order", .expected = "a key that was generated"};
  }
  return shared;
}

Secret x25519_from_ed25519_seed(base::ByteView seed) {
  internal::require(seed.size() == ED25519_SEED_LEN, "Ed25519 seed of a wrong size");
  Sha512Digest digest = sha512(seed);
  digest[0] &= 0xf8;
  digest[31] = static_cast<std::uint8_t>((digest[31] & 0x7f) | 0x40);
  Secret out = Secret::copy_of(base::ByteView{digest}.first(X25519_PRIVATE_KEY_LEN));
  wipe(digest);
  return out;
}

}  // namespace attestry::crypto
