#include "curves/ecies.h"

#include <algorithm>

#include "base/reader.h"
#include "crypto/aead.h"
#include "crypto/hash.h"

namespace attestry::curves {

using base::Code;
using base::Error;
using base::Result;
using crypto::Secret;

namespace {

constexpr std::size_t kKeySize = 32;
constexpr std::size_t kNonceSize = 12;
constexpr std::size_t kTagSize = 16;
constexpr std::string_view kMagic = "ATE2";  // as a v1 length it would announce a point of 16724 bytes

struct Keys {
  Secret key;
  Secret nonce;
};

/// 04 ‖ X ‖ Y.
std::size_t point_size(crypto::Curve curve) noexcept { return 1 + 2 * crypto::field_size(curve); }

/// In the header of version 2.
std::uint8_t number_of(crypto::Curve curve) noexcept {
  switch (curve) {
    case crypto::Curve::p256:
      return 1;
    case crypto::Curve::p384:
      return 2;
    case crypto::Curve::p521:
      return 3;
  }
  return 0;
}

/// The first version hashes x as a number, without its leading zero bytes: one blob in 256 depends on that, and every
/// second one on P-521, whose highest byte is a single bit. So that time does not tell, x is hashed from each of its
/// bytes on, and the digest that counts is picked by masks: 67 short hashes at most beside a multiplication on the
/// curve.
crypto::Sha256Digest v1_key(const Secret& x) {
  crypto::Sha256Digest out{};
  unsigned zeros = 0xff;                            // all ones as long as every byte before was 0
  for (std::size_t at = 0; at <= x.size(); ++at) {  // an x of 0 is no bytes at all
    crypto::Sha256Digest digest = crypto::sha256(x.reveal().subspan(at));
    const unsigned byte = at < x.size() ? x.reveal()[at] : 1U;
    const unsigned is_zero = (byte - 1U) >> 8 & 0xff;  // 0xff when it is
    const unsigned picked = zeros & ~is_zero;
    for (std::size_t i = 0; i < out.size(); ++i) out[i] |= static_cast<std::uint8_t>(digest[i] & picked);
    crypto::wipe(digest);
    zeros &= is_zero;
  }
  return out;
}

Error broken(std::string_view what) {
  return Error{.code = Code::malformed, .what = "encrypted blob: " + std::string(what)};
}

/// HKDF-SHA-256 over x at full width; the info binds both public keys, so that a blob made for one key is no blob for
/// another that happens to agree on x.
Keys v2_keys(const Secret& x, base::ByteView ephemeral, base::ByteView recipient) {
  base::LpWriter info;
  info.lp("attestry/ecies/2").lp(ephemeral).lp(recipient);
  const auto salt = crypto::sha256(base::as_bytes("attestry/ecies/2"));
  const Secret both = crypto::hkdf_sha256(salt, x.reveal(), info.bytes(), kKeySize + kNonceSize);
  return {Secret::copy_of(both.reveal().first(kKeySize)), Secret::copy_of(both.reveal().last(kNonceSize))};
}

base::Bytes v2_header(crypto::Curve curve, base::ByteView ephemeral) {
  base::Bytes out = base::to_bytes(kMagic);
  out.push_back(number_of(curve));
  base::append(out, ephemeral);
  return out;
}

base::Bytes v2_aad(base::ByteView header, std::string_view context) {
  base::LpWriter aad;
  aad.lp(header).lp(context);
  return std::move(aad).take();
}

}  // namespace

Result<base::Bytes> ecies_v1_seal(const crypto::EcPublicKey& to, base::ByteView plaintext, crypto::Random& random) {
  const auto ephemeral = crypto::EcPrivateKey::generate(to.curve(), random);
  const auto nonce = random.bytes<kNonceSize>();
  TRY(const Secret x, ephemeral.agree(to));
  crypto::Sha256Digest key = v1_key(x);
  auto sealed = crypto::aes256gcm_seal(key, nonce, plaintext, {});
  crypto::wipe(key);
  if (!sealed) return sealed;
  const base::Bytes point = ephemeral.public_key().point();
  base::LpWriter out;
  out.u16(static_cast<std::uint16_t>(point.size())).raw(point).raw(nonce).raw(*sealed);
  return std::move(out).take();
}

Result<Secret> ecies_v1_open(const crypto::EcPrivateKey& key, base::ByteView blob) {
  base::Reader reader(blob);
  TRY(const std::uint16_t size, reader.u16be("ephemeral key's length"), "encrypted blob");
  if (size != point_size(key.curve())) return broken("the ephemeral key is not an uncompressed point of the curve");
  TRY(const base::ByteView point, reader.take(size, "ephemeral key"), "encrypted blob");
  TRY(const base::ByteView nonce, reader.take(kNonceSize, "nonce"), "encrypted blob");
  if (reader.remaining() < kTagSize) return broken("shorter than its tag");
  TRY(const auto ephemeral, crypto::EcPublicKey::from_point(key.curve(), point), "encrypted blob");
  TRY(const Secret x, key.agree(ephemeral));
  crypto::Sha256Digest aes = v1_key(x);
  auto opened = crypto::aes256gcm_open(aes, nonce, reader.rest(), {});
  crypto::wipe(aes);
  return opened;
}

Result<base::Bytes> ecies_v2_seal(const crypto::EcPublicKey& to, std::string_view context, base::ByteView plaintext,
                                  crypto::Random& random) {
  const auto ephemeral = crypto::EcPrivateKey::generate(to.curve(), random);
  TRY(const Secret x, ephemeral.agree(to));
  const base::Bytes point = ephemeral.public_key().point();
  const Keys keys = v2_keys(x, point, to.point());
  base::Bytes out = v2_header(to.curve(), point);
  TRY(const base::Bytes sealed,
      crypto::aes256gcm_seal(keys.key.reveal(), keys.nonce.reveal(), plaintext, v2_aad(out, context)));
  base::append(out, sealed);
  return out;
}

Result<Secret> ecies_v2_open(const crypto::EcPrivateKey& key, std::string_view context, base::ByteView blob) {
  const std::size_t header = kMagic.size() + 1 + point_size(key.curve());
  if (!is_ecies_v2(blob)) return broken("it does not begin as version 2 does");
  if (blob.size() < header + kTagSize) return broken("too short");
  const base::ByteView point = blob.subspan(kMagic.size() + 1, point_size(key.curve()));
  TRY(const auto ephemeral, crypto::EcPublicKey::from_point(key.curve(), point), "encrypted blob");
  if (!base::equal(v2_header(key.curve(), point), blob.first(header))) return broken("it is for another curve");
  TRY(const Secret x, key.agree(ephemeral));
  const Keys keys = v2_keys(x, point, key.public_key().point());
  return crypto::aes256gcm_open(keys.key.reveal(), keys.nonce.reveal(), blob.subspan(header),
                                v2_aad(blob.first(header), context));
}

bool is_ecies_v2(base::ByteView blob) noexcept {
  return blob.size() >= kMagic.size() && base::equal(blob.first(kMagic.size()), base::as_bytes(kMagic));
}

}  // namespace attestry::curves
