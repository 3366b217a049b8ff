#include "crypto/ec.h"

#include <algorithm>
#include <array>

#include "crypto/hash.h"
#include "crypto/internal/awslc.h"
#include "crypto/internal/p384_verify.h"
#include "crypto/internal/rfc6979.h"
#include "crypto/scalar.h"

namespace attestry::crypto {

struct EcPublicKey::Impl {
  Curve curve;
  bssl::UniquePtr<EC_KEY> key;                // used as const only: the library's reads of it are thread-safe
  std::optional<internal::P384Verifier> own;  // what checks signatures instead of the library, where there is one
};

struct EcPrivateKey::Impl {
  Curve curve;
  bssl::UniquePtr<EC_KEY> key;
};

namespace {

using internal::require;

struct CurveInfo {
  std::string_view name;
  std::size_t field_size;  // also the size of the order for all of them
  std::size_t wide_size;   // what from_wide takes: at least 64 bits more than the order
  const EC_GROUP* (*group)();
  base::ByteView spki_prefix;  // all of the DER before X and Y, the 0x04 included (RFC 5480 2.1, 2.2)
};

// SEQUENCE { SEQUENCE { OID id-ecPublicKey, OID curve }, BIT STRING { 0 unused, 04 ‖ X ‖ Y } }
constexpr std::array<std::uint8_t, 27> kP256Prefix = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
                                                      0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
                                                      0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04};
constexpr std::array<std::uint8_t, 24> kP384Prefix = {0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86,
                                                      0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b,
                                                      0x81, 0x04, 0x00, 0x22, 0x03, 0x62, 0x00, 0x04};

constexpr std::array<std::uint8_t, 26> kP521Prefix = {0x30, 0x81, 0x9b, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86,
                                                      0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81,
                                                      0x04, 0x00, 0x23, 0x03, 0x81, 0x86, 0x00, 0x04};

constexpr Curve kCurves[] = {Curve::p256, Curve::p384, Curve::p521};
constexpr std::string_view kCurveNames = "P-256, P-384 or P-521";

const CurveInfo& info(Curve curve) noexcept {
  static const CurveInfo kInfo[] = {{"P-256", 32, 48, EC_group_p256, kP256Prefix},
                                    {"P-384", 48, 56, EC_group_p384, kP384Prefix},
                                    {"P-521", 66, 74, EC_group_p521, kP521Prefix}};
  return kInfo[static_cast<std::size_t>(curve)];
}

struct MessageDigest {
  std::array<std::uint8_t, 64> bytes{};
  std::size_t size = 0;
  base::ByteView view() const noexcept { return {bytes.data(), size}; }
};

MessageDigest digest(Curve curve, base::ByteView message) {
  MessageDigest out;
  const auto take = [&out](const auto& hash) {
    std::ranges::copy(hash, out.bytes.begin());
    out.size = hash.size();
  };
  switch (curve) {
    case Curve::p256:
      take(sha256(message));
      break;
    case Curve::p384:
      take(sha384(message));
      break;
    case Curve::p521:
      take(sha512(message));
      break;
  }
  return out;
}

bssl::UniquePtr<EC_KEY> new_key(Curve curve) {
  bssl::UniquePtr<EC_KEY> key(EC_KEY_new());
  require(key != nullptr && EC_KEY_set_group(key.get(), info(curve).group()) == 1, "no memory for a key");
  return key;
}

/// point: 04 ‖ X ‖ Y. The library refuses coordinates >= p and points off the curve; all curves have cofactor 1.
base::Result<EcPublicKey> read_point(Curve curve, base::ByteView point) {
  bssl::UniquePtr<EC_KEY> key = new_key(curve);
  const EC_GROUP* group = info(curve).group();
  bssl::UniquePtr<EC_POINT> q(EC_POINT_new(group));
  require(q != nullptr, "no memory for a key");
  if (EC_POINT_oct2point(group, q.get(), point.data(), point.size(), nullptr) != 1 ||
      EC_KEY_set_public_key(key.get(), q.get()) != 1) {
    ERR_clear_error();
    return base::Error{.code = base::Code::malformed, .what = "not a point of its curve"};
  }
  std::optional<internal::P384Verifier> own;
  if (curve == Curve::p384) own = internal::P384Verifier::make(point.subspan(1));
  return EcPublicKey(std::make_shared<const EcPublicKey::Impl>(EcPublicKey::Impl{curve, std::move(key), own}));
}

base::Bytes point_of(Curve curve, const EC_KEY* key) {
  base::Bytes out(1 + 2 * info(curve).field_size);
  const std::size_t size = EC_POINT_point2oct(info(curve).group(), EC_KEY_get0_public_key(key),
                                              POINT_CONVERSION_UNCOMPRESSED, out.data(), out.size(), nullptr);
  require(size == out.size(), "cannot write a public key");
  return out;
}

// Both refuse r or s outside [1, n-1]; a high s is valid ECDSA.
bool verify_by_library(const EcPublicKey::Impl& key, base::ByteView hash, const ECDSA_SIG* signature) {
  const bool good = ECDSA_do_verify(hash.data(), hash.size(), signature, key.key.get()) == 1;
  if (!good) ERR_clear_error();
  return good;
}

bool verify_by_library(const EcPublicKey::Impl& key, base::ByteView hash, base::ByteView r, base::ByteView s) {
  bssl::UniquePtr<ECDSA_SIG> signature(ECDSA_SIG_new());
  bssl::UniquePtr<BIGNUM> r_number(BN_bin2bn(r.data(), r.size(), nullptr));
  bssl::UniquePtr<BIGNUM> s_number(BN_bin2bn(s.data(), s.size(), nullptr));
  require(signature != nullptr && r_number != nullptr && s_number != nullptr, "no memory for a signature");
  require(ECDSA_SIG_set0(signature.get(), r_number.release(), s_number.release()) == 1, "signature");
  return verify_by_library(key, hash, signature.get());
}

/// r and s as 48 bytes each; nothing where one is longer.
std::optional<base::FixedBytes<96>> p384_signature(const ECDSA_SIG* signature) {
  base::FixedBytes<96> out{};
  if (BN_bn2bin_padded(out.data(), 48, ECDSA_SIG_get0_r(signature)) == 1 &&
      BN_bn2bin_padded(out.data() + 48, 48, ECDSA_SIG_get0_s(signature)) == 1) {
    return out;
  }
  ERR_clear_error();
  return std::nullopt;
}

bssl::UniquePtr<ECDSA_SIG> sign(const EcPrivateKey::Impl& key, base::ByteView message, bool deterministic) {
  const MessageDigest hash = digest(key.curve, message);
  bssl::UniquePtr<ECDSA_SIG> signature;
  if (deterministic) {
    const base::ByteView view = hash.view();
    const Secret nonce = internal::rfc6979_nonce(EC_KEY_get0_private_key(key.key.get()), info(key.curve).group(), view);
    signature.reset(ECDSA_sign_with_nonce_and_leak_private_key_for_testing(view.data(), view.size(), key.key.get(),
                                                                           nonce.reveal().data(), nonce.size()));
  } else {
    signature.reset(ECDSA_do_sign(hash.bytes.data(), hash.size, key.key.get()));
  }
  require(signature != nullptr, "signing failed");
  return signature;
}

base::Bytes der_of(const ECDSA_SIG& signature) {
  std::uint8_t* der = nullptr;
  std::size_t size = 0;
  require(ECDSA_SIG_to_bytes(&der, &size, &signature) == 1, "signature");
  const bssl::UniquePtr<std::uint8_t> owner(der);
  return {der, der + size};
}

base::Result<EcPrivateKey> from_bignum(Curve curve, const BIGNUM* scalar) {
  const EC_GROUP* group = info(curve).group();
  bssl::UniquePtr<EC_KEY> key = new_key(curve);
  bssl::UniquePtr<EC_POINT> q(EC_POINT_new(group));
  require(q != nullptr, "no memory for a key");
  if (BN_is_zero(scalar) || EC_KEY_set_private_key(key.get(), scalar) != 1 ||
      EC_POINT_mul(group, q.get(), scalar, nullptr, nullptr, nullptr) != 1 ||
      EC_KEY_set_public_key(key.get(), q.get()) != 1) {
    ERR_clear_error();
    return base::Error{.code = base::Code::malformed, .what = "private scalar out of range"};
  }
  return EcPrivateKey(std::make_shared<const EcPrivateKey::Impl>(EcPrivateKey::Impl{curve, std::move(key)}));
}

base::Result<EcPrivateKey> of_known_curve(const EC_KEY* key) {
  for (const Curve curve : kCurves) {
    if (EC_GROUP_cmp(EC_KEY_get0_group(key), info(curve).group(), nullptr) == 0) {
      // The public key is computed anew: a file in which the two do not belong together cannot mislead.
      return from_bignum(curve, EC_KEY_get0_private_key(key));
    }
  }
  return base::Error{
      .code = base::Code::malformed, .what = "private key on another curve", .expected = std::string(kCurveNames)};
}

Secret order_of(Curve curve) {
  Secret order(info(curve).field_size);
  require(BN_bn2bin_padded(order.writable().data(), order.size(), EC_GROUP_get0_order(info(curve).group())) == 1,
          "order");
  return order;
}

}  // namespace

std::string_view to_text(Curve curve) noexcept { return info(curve).name; }

std::size_t field_size(Curve curve) noexcept { return info(curve).field_size; }

base::Result<EcPublicKey> EcPublicKey::from_raw(Curve curve, base::ByteView xy) {
  if (xy.size() != 2 * info(curve).field_size) {
    return base::Error{.code = base::Code::malformed,
                       .what = "public key of a wrong size",
                       .expected = std::to_string(2 * info(curve).field_size) + " bytes",
                       .found = std::to_string(xy.size())};
  }
  std::array<std::uint8_t, 133> point{};
  point[0] = 0x04;
  std::ranges::copy(xy, point.begin() + 1);
  return read_point(curve, base::ByteView(point).first(1 + xy.size()));
}

base::Result<EcPublicKey> EcPublicKey::from_spki(base::ByteView der) {
  for (const Curve curve : kCurves) {
    const base::ByteView prefix = info(curve).spki_prefix;
    if (der.size() == prefix.size() + 2 * info(curve).field_size && base::equal(der.first(prefix.size()), prefix)) {
      return read_point(curve, der.subspan(prefix.size() - 1));
    }
  }
  return base::Error{.code = base::Code::malformed,
                     .what = "not a key that this program knows",
                     .expected = "an uncompressed key with a named curve (RFC 5480): " + std::string(kCurveNames)};
}

base::Result<EcPublicKey> EcPublicKey::from_point(Curve curve, base::ByteView point) {
  if (point.size() != 1 + 2 * info(curve).field_size || point[0] != 0x04) {
    return base::Error{.code = base::Code::malformed,
                       .what = "not an uncompressed point",
                       .expected = "04 and " + std::to_string(2 * info(curve).field_size) + " bytes (SEC 1 2.3.3)",
                       .found = std::to_string(point.size()) + " bytes"};
  }
  return read_point(curve, point);
}

Curve EcPublicKey::curve() const noexcept { return impl_->curve; }

base::Bytes EcPublicKey::raw() const {
  base::Bytes point = point_of(impl_->curve, impl_->key.get());
  point.erase(point.begin());
  return point;
}

base::Bytes EcPublicKey::point() const { return point_of(impl_->curve, impl_->key.get()); }

base::Bytes EcPublicKey::spki() const {
  base::Bytes out = base::to_bytes(info(impl_->curve).spki_prefix);
  base::append(out, raw());
  return out;
}

bool EcPublicKey::verify_raw(base::ByteView message, base::ByteView signature) const {
  const std::size_t half = info(impl_->curve).field_size;
  if (signature.size() != 2 * half) return false;
  const base::ByteView r = signature.first(half);
  const base::ByteView s = signature.last(half);
  if (impl_->own) return impl_->own->verify(sha384(message), r, s);
  return verify_by_library(*impl_, digest(impl_->curve, message).view(), r, s);
}

bool EcPublicKey::verify_der(base::ByteView message, base::ByteView signature) const {
  const bssl::UniquePtr<ECDSA_SIG> parsed(ECDSA_SIG_from_bytes(signature.data(), signature.size()));
  if (parsed == nullptr) {
    ERR_clear_error();
    return false;
  }
  if (impl_->own) {
    const auto fixed = p384_signature(parsed.get());
    if (!fixed) return false;
    return impl_->own->verify(sha384(message), base::ByteView(*fixed).first(48), base::ByteView(*fixed).last(48));
  }
  return verify_by_library(*impl_, digest(impl_->curve, message).view(), parsed.get());
}

bool EcPublicKey::verify_digest_der(base::ByteView hash, base::ByteView signature) const {
  const bssl::UniquePtr<ECDSA_SIG> parsed(ECDSA_SIG_from_bytes(signature.data(), signature.size()));
  if (parsed == nullptr) {
    ERR_clear_error();
    return false;
  }
  return verify_by_library(*impl_, hash, parsed.get());
}

bool internal::p384_verify_by_library(const EcPublicKey& key, const Sha384Digest& digest, base::ByteView r,
                                      base::ByteView s) {
  require(key.curve() == Curve::p384, "a key on P-384");
  return verify_by_library(key.impl(), digest, r, s);
}

EcPrivateKey EcPrivateKey::generate(Curve curve, Random& random) {
  // 128 bits more than the order, so that the bias of the reduction is nothing (FIPS 186-5 A.2.1 asks for 64).
  const Secret wide = random.secret(info(curve).field_size + 16);
  const Secret order = order_of(curve);
  const Secret scalar = scalar_from_wide(wide.reveal(), order.reveal());
  auto key = from_scalar(curve, scalar.reveal());
  require(key.has_value(), "a reduced scalar is always in range");
  return *std::move(key);
}

base::Result<EcPrivateKey> EcPrivateKey::from_scalar(Curve curve, base::ByteView scalar) {
  if (scalar.size() != info(curve).field_size) {
    return base::Error{.code = base::Code::malformed, .what = "private scalar of a wrong size"};
  }
  const bssl::UniquePtr<BIGNUM> number(BN_bin2bn(scalar.data(), scalar.size(), nullptr));
  require(number != nullptr, "no memory for a key");
  return from_bignum(curve, number.get());
}

base::Result<EcPrivateKey> EcPrivateKey::from_wide(Curve curve, base::ByteView bytes) {
  if (bytes.size() != info(curve).wide_size) {
    return base::Error{.code = base::Code::malformed, .what = "wide scalar of a wrong size"};
  }
  const Secret order = order_of(curve);
  const Secret scalar = scalar_from_wide(bytes, order.reveal());
  return from_scalar(curve, scalar.reveal());
}

base::Result<EcPrivateKey> EcPrivateKey::from_pkcs8(base::ByteView der) {
  CBS cbs = internal::cbs_of(der);
  const bssl::UniquePtr<EVP_PKEY> parsed(EVP_parse_private_key(&cbs));
  const EC_KEY* key = parsed == nullptr ? nullptr : EVP_PKEY_get0_EC_KEY(parsed.get());
  ERR_clear_error();
  if (key == nullptr || CBS_len(&cbs) != 0) {
    return base::Error{.code = base::Code::malformed,
                       .what = "not a private key that this program knows",
                       .expected = "an unencrypted PKCS #8 key on " + std::string(kCurveNames)};
  }
  return of_known_curve(key);
}

base::Result<EcPrivateKey> EcPrivateKey::from_sec1(base::ByteView der) {
  CBS cbs = internal::cbs_of(der);
  const bssl::UniquePtr<EC_KEY> key(EC_KEY_parse_private_key(&cbs, nullptr));
  ERR_clear_error();
  if (key == nullptr || CBS_len(&cbs) != 0) {
    return base::Error{.code = base::Code::malformed,
                       .what = "not a private key that this program knows",
                       .expected = "an ECPrivateKey (RFC 5915) that names its curve: " + std::string(kCurveNames)};
  }
  return of_known_curve(key.get());
}

Curve EcPrivateKey::curve() const noexcept { return impl_->curve; }

EcPublicKey EcPrivateKey::public_key() const {
  const base::Bytes point = point_of(impl_->curve, impl_->key.get());
  auto key = read_point(impl_->curve, point);
  require(key.has_value(), "own public key");
  return *std::move(key);
}

Secret EcPrivateKey::scalar() const {
  Secret out(info(impl_->curve).field_size);
  require(BN_bn2bin_padded(out.writable().data(), out.size(), EC_KEY_get0_private_key(impl_->key.get())) == 1,
          "scalar");
  return out;
}

Secret EcPrivateKey::pkcs8() const {
  bssl::UniquePtr<EVP_PKEY> key(EVP_PKEY_new());
  require(key != nullptr && EVP_PKEY_set1_EC_KEY(key.get(), impl_->key.get()) == 1, "no memory for a key");
  Secret room(512);
  CBB cbb;
  require(CBB_init_fixed(&cbb, room.writable().data(), room.size()) == 1 &&
              EVP_marshal_private_key(&cbb, key.get()) == 1 && CBB_flush(&cbb) == 1,
          "cannot write a private key");
  return Secret::copy_of(room.reveal().first(CBB_len(&cbb)));
}

Secret EcPrivateKey::sec1() const {
  Secret room(512);
  CBB cbb;
  require(CBB_init_fixed(&cbb, room.writable().data(), room.size()) == 1 &&
              EC_KEY_marshal_private_key(&cbb, impl_->key.get(), 0) == 1 && CBB_flush(&cbb) == 1,
          "cannot write a private key");
  return Secret::copy_of(room.reveal().first(CBB_len(&cbb)));
}

base::Result<Secret> EcPrivateKey::agree(const EcPublicKey& peer) const {
  if (peer.curve() != impl_->curve) {
    return base::Error{.code = base::Code::malformed, .what = "key agreement between two curves"};
  }
  // The library's own ECDH validates the peer's key anew, which costs as much as the agreement: a key that was read
  // here is on its curve, and with a cofactor of 1 that is full validation (SP 800-56A 5.6.2.3.3).
  const EC_GROUP* group = info(impl_->curve).group();
  const EC_POINT* point = EC_KEY_get0_public_key(peer.impl().key.get());
  const bssl::UniquePtr<EC_POINT> shared(EC_POINT_new(group));
  const bssl::UniquePtr<BIGNUM> number(BN_new());
  require(shared != nullptr && number != nullptr, "no memory for a key agreement");
  Secret x(info(impl_->curve).field_size);
  require(EC_POINT_mul(group, shared.get(), nullptr, point, EC_KEY_get0_private_key(impl_->key.get()), nullptr) == 1 &&
              EC_POINT_get_affine_coordinates_GFp(group, shared.get(), number.get(), nullptr, nullptr) == 1 &&
              BN_bn2bin_padded(x.writable().data(), x.size(), number.get()) == 1,
          "key agreement failed");
  BN_clear(number.get());
  return x;
}

base::Bytes EcPrivateKey::sign_raw(base::ByteView message, bool deterministic) const {
  const bssl::UniquePtr<ECDSA_SIG> signature = sign(*impl_, message, deterministic);
  const std::size_t half = info(impl_->curve).field_size;
  base::Bytes out(2 * half);
  require(BN_bn2bin_padded(out.data(), half, ECDSA_SIG_get0_r(signature.get())) == 1 &&
              BN_bn2bin_padded(out.data() + half, half, ECDSA_SIG_get0_s(signature.get())) == 1,
          "signature");
  return out;
}

base::Bytes EcPrivateKey::sign_der(base::ByteView message, bool deterministic) const {
  return der_of(*sign(*impl_, message, deterministic));
}

base::Bytes EcPrivateKey::sign_digest_der(base::ByteView hash) const {
  const bssl::UniquePtr<ECDSA_SIG> signature(ECDSA_do_sign(hash.data(), hash.size(), impl_->key.get()));
  require(signature != nullptr, "signing failed");
  return der_of(*signature);
}

}  // namespace attestry::crypto
