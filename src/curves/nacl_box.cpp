#include "curves/nacl_box.h"

#include <sodium.h>

#include <algorithm>

#include "crypto/ec.h"
#include "curves/blake2b.h"
#include "curves/internal/sodium.h"

namespace attestry::curves {

using base::Code;
using base::Error;
using base::Result;
using crypto::Secret;

namespace {

constexpr std::size_t kKeySize = 32;
constexpr std::size_t kTagSize = 16;
static_assert(kSealedBoxOverhead == kKeySize + kTagSize);
static_assert(kTagSize == crypto_secretbox_MACBYTES && kSealedBoxOverhead == crypto_box_SEALBYTES);

/// Below 2^255 - 19, little-endian. RFC 7748 has receivers ignore the top bit and reduce the rest, so that a point has
/// up to four spellings; an honest sender writes one.
bool is_canonical(const BoxPublicKey& point) noexcept {
  if (point[31] != 0x7f) return point[31] < 0x7f;
  const bool ones = std::all_of(point.begin() + 1, point.begin() + 31, [](std::uint8_t byte) { return byte == 0xff; });
  return !ones || point[0] < 0xed;
}

}  // namespace

BoxPrivateKey::BoxPrivateKey(Secret secret)
    : secret_(std::move(secret)), public_(crypto::x25519_public(secret_.reveal())) {}

Result<BoxPrivateKey> BoxPrivateKey::from_bytes(base::ByteView bytes) {
  if (bytes.size() != kKeySize) {
    return Error{Code::malformed, "X25519 private key", "32 bytes", std::to_string(bytes.size()) + " bytes"};
  }
  return BoxPrivateKey{Secret::copy_of(bytes)};
}

BoxPrivateKey BoxPrivateKey::generate(crypto::Random& random) { return BoxPrivateKey{random.secret(kKeySize)}; }

Result<Secret> box_shared_key(const BoxPrivateKey& ours, const BoxPublicKey& theirs) {
  if (!is_canonical(theirs)) return Error{Code::malformed, "X25519 public key", "a number below 2^255 - 19"};
  TRY_OK(sodium_ready());
  Secret key(crypto_box_BEFORENMBYTES);
  if (crypto_box_beforenm(key.writable().data(), theirs.data(), ours.bytes().reveal().data()) != 0) {
    return Error{Code::malformed, "X25519 public key", "a point that is not of small order"};
  }
  return key;
}

Result<base::FixedBytes<24>> sealed_box_nonce(const BoxPublicKey& ephemeral, const BoxPublicKey& recipient) {
  return blake2b_192({ephemeral, recipient});
}

Result<base::Bytes> sealed_box_seal(const BoxPublicKey& to, base::ByteView plaintext, crypto::Random& random) {
  const BoxPrivateKey ephemeral = BoxPrivateKey::generate(random);
  TRY(const Secret key, box_shared_key(ephemeral, to), "sealed box");
  TRY(const auto nonce, sealed_box_nonce(ephemeral.public_key(), to), "sealed box");
  base::Bytes box = base::to_bytes(ephemeral.public_key());
  box.resize(kSealedBoxOverhead + plaintext.size());
  if (crypto_secretbox_easy(box.data() + kKeySize, plaintext.data(), plaintext.size(), nonce.data(),
                            key.reveal().data()) != 0) {
    return Error{Code::crypto, "sealed box: encryption failed"};
  }
  return box;
}

Result<Secret> sealed_box_open(const BoxPrivateKey& key, base::ByteView box) {
  if (box.size() < kSealedBoxOverhead) {
    return Error{Code::malformed, "sealed box", "at least 48 bytes", std::to_string(box.size()) + " bytes"};
  }
  BoxPublicKey ephemeral{};
  std::ranges::copy(box.first(kKeySize), ephemeral.begin());
  TRY(const Secret shared, box_shared_key(key, ephemeral), "sealed box");
  TRY(const auto nonce, sealed_box_nonce(ephemeral, key.public_key()), "sealed box");
  Secret plain(box.size() - kSealedBoxOverhead);
  const base::ByteView sealed = box.subspan(kKeySize);
  if (crypto_secretbox_open_easy(plain.writable().data(), sealed.data(), sealed.size(), nonce.data(),
                                 shared.reveal().data()) != 0) {
    return Error{.code = Code::crypto,
                 .what = "sealed box: it does not open",
                 .expected = "a box that was sealed to this key and not changed since"};
  }
  return plain;
}

Result<BoxPublicKey> x25519_from_ed25519(const base::FixedBytes<32>& ed25519_public) {
  TRY_OK(sodium_ready());
  BoxPublicKey out{};
  if (crypto_sign_ed25519_pk_to_curve25519(out.data(), ed25519_public.data()) != 0) {
    return Error{Code::malformed, "Ed25519 public key", "a point of the prime-order subgroup"};
  }
  return out;
}

}  // namespace attestry::curves
