#include "curves/secp256k1.h"

#include <secp256k1.h>

#include <algorithm>

namespace attestry::curves {

using base::Code;
using base::Error;
using base::Result;

namespace {

// The static context is enough for parsing and verification; signing blinds itself with a context of its own.
const secp256k1_context* signing_context() {
  static const secp256k1_context* const context = secp256k1_context_create(SECP256K1_CONTEXT_NONE);
  return context;
}

// n - 1, big-endian (SEC 2 section 2.4.1).
constexpr base::FixedBytes<32> kOrderMinusOne{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                              0xff, 0xff, 0xff, 0xff, 0xfe, 0xba, 0xae, 0xdc, 0xe6, 0xaf, 0x48,
                                              0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x40};

/// remainder = (remainder * 2 + bit) mod (n - 1), without branches on secret data.
void shift_in(base::FixedBytes<33>& remainder, unsigned bit) {
  unsigned carry = bit;
  for (std::size_t i = remainder.size(); i-- > 0;) {
    const unsigned v = (static_cast<unsigned>(remainder[i]) << 1) | carry;
    remainder[i] = static_cast<std::uint8_t>(v);
    carry = v >> 8;
  }
  base::FixedBytes<33> reduced{};
  unsigned borrow = 0;
  for (std::size_t i = remainder.size(); i-- > 0;) {
    const unsigned subtrahend = (i == 0 ? 0u : kOrderMinusOne[i - 1]) + borrow;
    const unsigned v = static_cast<unsigned>(remainder[i]) - subtrahend;
    reduced[i] = static_cast<std::uint8_t>(v);
    borrow = (v >> 8) & 1u;
  }
  const auto keep = static_cast<std::uint8_t>(0u - borrow);  // all ones when the difference was negative
  for (std::size_t i = 0; i < remainder.size(); ++i) {
    remainder[i] = static_cast<std::uint8_t>((remainder[i] & keep) | (reduced[i] & ~keep));
  }
  crypto::wipe(reduced);
}

}  // namespace

Result<Secp256k1PrivateKey> Secp256k1PrivateKey::from_scalar(base::ByteView scalar) {
  if (scalar.size() != 32 || secp256k1_ec_seckey_verify(signing_context(), scalar.data()) != 1) {
    return Error{Code::malformed, "secp256k1 private key", "a scalar from 1 to n-1 in 32 bytes"};
  }
  Secp256k1PrivateKey key{crypto::Secret::copy_of(scalar)};
  secp256k1_pubkey point;
  if (secp256k1_ec_pubkey_create(signing_context(), &point, scalar.data()) != 1) {
    return Error{Code::crypto, "secp256k1 public key"};
  }
  std::size_t size = key.compressed_.size();
  secp256k1_ec_pubkey_serialize(signing_context(), key.compressed_.data(), &size, &point, SECP256K1_EC_COMPRESSED);
  base::FixedBytes<65> uncompressed{};
  size = uncompressed.size();
  secp256k1_ec_pubkey_serialize(signing_context(), uncompressed.data(), &size, &point, SECP256K1_EC_UNCOMPRESSED);
  std::copy(uncompressed.begin() + 1, uncompressed.end(), key.raw_.begin());
  return key;
}

Result<Secp256k1PrivateKey> Secp256k1PrivateKey::from_wide(base::ByteView bytes) {
  if (bytes.size() != 48) return Error{Code::malformed, "secp256k1 wide scalar", "48 bytes"};
  base::FixedBytes<33> remainder{};
  for (const std::uint8_t byte : bytes) {
    for (int bit = 7; bit >= 0; --bit) shift_in(remainder, (static_cast<unsigned>(byte) >> bit) & 1u);
  }
  unsigned carry = 1;
  for (std::size_t i = remainder.size(); i-- > 0;) {
    const unsigned v = static_cast<unsigned>(remainder[i]) + carry;
    remainder[i] = static_cast<std::uint8_t>(v);
    carry = v >> 8;
  }
  auto key = from_scalar(base::ByteView{remainder}.subspan(1));
  crypto::wipe(remainder);
  return key;
}

Result<base::FixedBytes<64>> Secp256k1PrivateKey::sign_digest(base::ByteView digest) const {
  if (digest.size() != 32) return Error{Code::malformed, "digest", "32 bytes", std::to_string(digest.size())};
  secp256k1_ecdsa_signature signature;
  if (secp256k1_ecdsa_sign(signing_context(), &signature, digest.data(), scalar_.reveal().data(), nullptr, nullptr) !=
      1) {
    return Error{Code::crypto, "secp256k1 signature"};
  }
  base::FixedBytes<64> out{};
  secp256k1_ecdsa_signature_serialize_compact(signing_context(), out.data(), &signature);
  return out;
}

bool secp256k1_verify_digest(base::ByteView public_key, base::ByteView digest, base::ByteView signature) {
  if (digest.size() != 32 || signature.size() != 64) return false;
  secp256k1_pubkey point;
  if (secp256k1_ec_pubkey_parse(signing_context(), &point, public_key.data(), public_key.size()) != 1) return false;
  secp256k1_ecdsa_signature parsed;
  if (secp256k1_ecdsa_signature_parse_compact(signing_context(), &parsed, signature.data()) != 1) return false;
  // The library verifies low s only; high s is the same signature.
  secp256k1_ecdsa_signature_normalize(signing_context(), &parsed, &parsed);
  return secp256k1_ecdsa_verify(signing_context(), &parsed, digest.data(), &point) == 1;
}

}  // namespace attestry::curves
