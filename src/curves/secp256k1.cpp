#include "curves/secp256k1.h"

#include <secp256k1.h>
#include <secp256k1_recovery.h>

#include <algorithm>

#include "crypto/random.h"
#include "crypto/scalar.h"
#include "curves/keccak.h"

namespace attestry::curves {

using base::Code;
using base::Error;
using base::Result;

namespace {

// One context for the whole process, never written after it is made. Random blinding makes signing harder to observe
// from outside; it never changes a result.
const secp256k1_context* context() {
  static const secp256k1_context* const made = [] {
    secp256k1_context* fresh = secp256k1_context_create(SECP256K1_CONTEXT_NONE);
    const crypto::Secret blinding = crypto::system_random().secret(32);
    [[maybe_unused]] const int blinded = secp256k1_context_randomize(fresh, blinding.reveal().data());
    return fresh;
  }();
  return made;
}

// n, big-endian (SEC 2 section 2.4.1).
constexpr base::FixedBytes<32> kOrder{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                      0xff, 0xff, 0xff, 0xff, 0xfe, 0xba, 0xae, 0xdc, 0xe6, 0xaf, 0x48,
                                      0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41};

}  // namespace

Result<Secp256k1PrivateKey> Secp256k1PrivateKey::from_scalar(base::ByteView scalar) {
  if (scalar.size() != 32 || secp256k1_ec_seckey_verify(context(), scalar.data()) != 1) {
    return Error{Code::malformed, "secp256k1 private key", "a scalar from 1 to n-1 in 32 bytes"};
  }
  Secp256k1PrivateKey key{crypto::Secret::copy_of(scalar)};
  secp256k1_pubkey point;
  if (secp256k1_ec_pubkey_create(context(), &point, scalar.data()) != 1) {
    return Error{Code::crypto, "secp256k1 public key"};
  }
  std::size_t size = key.compressed_.size();
  secp256k1_ec_pubkey_serialize(context(), key.compressed_.data(), &size, &point, SECP256K1_EC_COMPRESSED);
  base::FixedBytes<65> uncompressed{};
  size = uncompressed.size();
  secp256k1_ec_pubkey_serialize(context(), uncompressed.data(), &size, &point, SECP256K1_EC_UNCOMPRESSED);
  std::copy(uncompressed.begin() + 1, uncompressed.end(), key.raw_.begin());
  return key;
}

Result<Secp256k1PrivateKey> Secp256k1PrivateKey::from_wide(base::ByteView bytes) {
  if (bytes.size() != 48) return Error{Code::malformed, "secp256k1 wide scalar", "48 bytes"};
  const crypto::Secret scalar = crypto::scalar_from_wide(bytes, kOrder);
  return from_scalar(scalar.reveal());
}

Result<base::FixedBytes<64>> Secp256k1PrivateKey::sign_digest(base::ByteView digest) const {
  if (digest.size() != 32) return Error{Code::malformed, "digest", "32 bytes", std::to_string(digest.size())};
  secp256k1_ecdsa_signature signature;
  if (secp256k1_ecdsa_sign(context(), &signature, digest.data(), scalar_.reveal().data(), nullptr, nullptr) != 1) {
    return Error{Code::crypto, "secp256k1 signature"};
  }
  base::FixedBytes<64> out{};
  secp256k1_ecdsa_signature_serialize_compact(context(), out.data(), &signature);
  return out;
}

Result<base::FixedBytes<65>> Secp256k1PrivateKey::sign_recoverable(base::ByteView digest) const {
  if (digest.size() != 32) return Error{Code::malformed, "digest", "32 bytes", std::to_string(digest.size())};
  secp256k1_ecdsa_recoverable_signature signature;
  if (secp256k1_ecdsa_sign_recoverable(context(), &signature, digest.data(), scalar_.reveal().data(), nullptr,
                                       nullptr) != 1) {
    return Error{Code::crypto, "secp256k1 signature"};
  }
  base::FixedBytes<65> out{};
  int v = 0;
  secp256k1_ecdsa_recoverable_signature_serialize_compact(context(), out.data(), &v, &signature);
  // v = 2 or 3 says that r was reduced: one signature in 2^127.
  if (v > 1) return Error{Code::crypto, "secp256k1 signature"};
  out[64] = static_cast<std::uint8_t>(v);
  return out;
}

bool secp256k1_verify_digest(base::ByteView public_key, base::ByteView digest, base::ByteView signature) {
  // Sizes first: the library ends the process when it is handed a null pointer.
  if (digest.size() != 32 || signature.size() != 64) return false;
  if (public_key.size() != 33 && public_key.size() != 65) return false;
  secp256k1_pubkey point;
  if (secp256k1_ec_pubkey_parse(context(), &point, public_key.data(), public_key.size()) != 1) return false;
  secp256k1_ecdsa_signature parsed;
  if (secp256k1_ecdsa_signature_parse_compact(context(), &parsed, signature.data()) != 1) return false;
  // The library verifies low s only; high s is the same signature.
  secp256k1_ecdsa_signature_normalize(context(), &parsed, &parsed);
  return secp256k1_ecdsa_verify(context(), &parsed, digest.data(), &point) == 1;
}

Result<base::FixedBytes<64>> secp256k1_recover(base::ByteView digest, base::ByteView signature) {
  if (digest.size() != 32) return Error{Code::malformed, "digest", "32 bytes", std::to_string(digest.size())};
  if (signature.size() != 65 || signature[64] > 1) {
    return Error{Code::malformed, "recoverable signature", "65 bytes r, s and v, v being 0 or 1",
                 std::to_string(signature.size()) + " bytes"};
  }
  secp256k1_ecdsa_recoverable_signature parsed;
  secp256k1_pubkey point;
  if (secp256k1_ecdsa_recoverable_signature_parse_compact(context(), &parsed, signature.data(), signature[64]) != 1 ||
      secp256k1_ecdsa_recover(context(), &point, &parsed, digest.data()) != 1) {
    return Error{Code::malformed, "recoverable signature", "r and s of a signature that some key made"};
  }
  base::FixedBytes<65> uncompressed{};
  std::size_t size = uncompressed.size();
  secp256k1_ec_pubkey_serialize(context(), uncompressed.data(), &size, &point, SECP256K1_EC_UNCOMPRESSED);
  base::FixedBytes<64> out{};
  std::copy(uncompressed.begin() + 1, uncompressed.end(), out.begin());
  return out;
}

Address ethereum_address(const base::FixedBytes<64>& public_key_raw) {
  const base::Digest32 hash = keccak256(public_key_raw);
  Address out{};
  std::copy(hash.end() - static_cast<std::ptrdiff_t>(out.size()), hash.end(), out.begin());
  return out;
}

}  // namespace attestry::curves
