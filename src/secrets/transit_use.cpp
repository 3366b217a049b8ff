// What a transit key does: encrypt, decrypt, sign, verify, HMAC.
#include <algorithm>
#include <charconv>

#include "base/encoding.h"
#include "crypto/aead.h"
#include "crypto/ec.h"
#include "crypto/hash.h"
#include "crypto/key_pem.h"
#include "secrets/transit.h"

namespace attestry::secrets {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::string_view kPrefix = "vault:v";
constexpr std::size_t kNonce = 12;
constexpr std::size_t kKey = 32;

std::optional<crypto::Curve> curve_of(TransitType type) {
  switch (type) {
    case TransitType::ecdsa_p256:
      return crypto::Curve::p256;
    case TransitType::ecdsa_p384:
      return crypto::Curve::p384;
    case TransitType::ecdsa_p521:
      return crypto::Curve::p521;
    case TransitType::aes256_gcm96:
    case TransitType::chacha20_poly1305:
    case TransitType::ed25519:
    case TransitType::hmac:
    case TransitType::aes128_gcm96:
    case TransitType::rsa_2048:
    case TransitType::rsa_3072:
    case TransitType::rsa_4096:
      break;
  }
  return std::nullopt;
}

std::size_t key_size(TransitType type) { return type == TransitType::aes128_gcm96 ? 16 : kKey; }

struct Cipher {
  Result<base::Bytes> (*seal)(base::ByteView, base::ByteView, base::ByteView, base::ByteView);
  Result<crypto::Secret> (*open)(base::ByteView, base::ByteView, base::ByteView, base::ByteView);
};

Cipher cipher_of(TransitType type) {
  if (type == TransitType::aes128_gcm96) return {crypto::aes128gcm_seal, crypto::aes128gcm_open};
  if (type == TransitType::aes256_gcm96) return {crypto::aes256gcm_seal, crypto::aes256gcm_open};
  return {crypto::chacha20poly1305_seal, crypto::chacha20poly1305_open};
}

/// What is not bound is not taken.
Status no_data(base::ByteView associated) {
  if (associated.empty()) return base::done();
  return Error{Code::malformed, "associated_data", "none with an RSA key"};
}

std::string versioned(std::uint32_t version, std::string_view rest) {
  return std::string{kPrefix} + std::to_string(version) + ":" + std::string{rest};
}

/// DER Ecdsa-Sig-Value to r ‖ s, each as long as the field (RFC 7515, 3.4).
Result<base::Bytes> raw_signature(base::ByteView der, std::size_t field) {
  const Error bad{Code::malformed, "not an ECDSA signature"};
  const auto length = [](base::ByteView& rest) -> std::size_t {
    if (rest.empty()) return SIZE_MAX;
    std::size_t size = rest[0];
    rest = rest.subspan(1);
    if (size == 0x81 && !rest.empty()) {
      size = rest[0];
      rest = rest.subspan(1);
      return size < 0x80 ? SIZE_MAX : size;
    }
    return size < 0x80 ? size : SIZE_MAX;
  };
  if (der.empty() || der[0] != 0x30) return bad;
  der = der.subspan(1);
  if (length(der) != der.size()) return bad;
  base::Bytes out;
  for (int i = 0; i < 2; ++i) {
    if (der.empty() || der[0] != 0x02) return bad;
    der = der.subspan(1);
    const auto size = length(der);
    if (size == 0 || size > der.size()) return bad;
    auto number = der.first(size);
    der = der.subspan(size);
    while (number.size() > field && number[0] == 0) number = number.subspan(1);
    if (number.size() > field) return bad;
    out.insert(out.end(), field - number.size(), 0);
    base::append(out, number);
  }
  if (!der.empty()) return bad;
  return out;
}

void der_length(base::Bytes& out, std::size_t size) {
  if (size >= 0x80) out.push_back(0x81);
  out.push_back(static_cast<std::uint8_t>(size));
}

base::Bytes der_signature(base::ByteView raw) {
  base::Bytes body;
  const auto half = raw.size() / 2;
  for (auto number : {raw.first(half), raw.subspan(half)}) {
    while (number.size() > 1 && number[0] == 0) number = number.subspan(1);
    body.push_back(0x02);
    const bool sign = (number[0] & 0x80) != 0;
    der_length(body, number.size() + (sign ? 1 : 0));
    if (sign) body.push_back(0);
    base::append(body, number);
  }
  base::Bytes out{0x30};
  der_length(out, body.size());
  base::append(out, body);
  return out;
}

std::size_t digest_size(crypto::HashName hash) { return crypto::digest(hash, {}).size(); }

Result<base::Bytes> digest_of(const TransitKey::SignInput& input) {
  if (!input.prehashed) return crypto::digest(input.hash, input.input);
  if (input.input.size() == digest_size(input.hash)) return base::to_bytes(input.input);
  return Error{Code::malformed, "prehashed input", std::to_string(digest_size(input.hash)) + " bytes",
               std::to_string(input.input.size()) + " bytes"};
}

}  // namespace

Result<Versioned> parse_versioned(std::string_view text, std::string_view what) {
  const Error bad{Code::malformed, "invalid " + std::string{what} + ": no prefix"};
  if (!text.starts_with(kPrefix)) return bad;
  text.remove_prefix(kPrefix.size());
  Versioned out;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), out.version);
  if (failed != std::errc{} || end == text.data() + text.size() || *end != ':' || out.version == 0 || text[0] == '0') {
    return bad;
  }
  out.rest = text.substr(static_cast<std::size_t>(end - text.data()) + 1);
  return out;
}

const TransitKey::Version* TransitKey::find(std::uint32_t number) const noexcept {
  const auto found = std::ranges::find(versions, number, &Version::number);
  return found == versions.end() ? nullptr : &*found;
}

TransitKey::Version TransitKey::make_version(base::UtcTime now, crypto::Random& random) const {
  Version out;
  out.created = now;
  const auto curve = curve_of(type);
  if (const auto bits = rsa_bits(type); bits != 0) {
    out.key = crypto::RsaKey::generate(bits, random).pkcs8();
  } else if (curve) {
    out.key = crypto::EcPrivateKey::generate(*curve, random).scalar();
  } else {
    out.key = random.secret(key_size(type));
  }
  out.hmac = type == TransitType::hmac ? out.key.clone() : random.secret(kKey);
  out.public_text = public_key(out);
  return out;
}

Status TransitKey::add(Version version) {
  if (latest() >= kMostKeyVersions) {
    return Error{Code::too_large, "the key has too many versions", "at most " + std::to_string(kMostKeyVersions)};
  }
  version.number = latest() + 1;
  versions.push_back(std::move(version));
  return base::done();
}

Result<const crypto::EcPrivateKey*> TransitKey::Version::ec(TransitType kind) const {
  if (!ec_) {
    TRY(auto made, crypto::EcPrivateKey::from_scalar(*curve_of(kind), key.reveal()));
    ec_.emplace(std::move(made));
  }
  return &*ec_;
}

Result<const crypto::RsaKey*> TransitKey::Version::rsa() const {
  if (!rsa_) {
    TRY(auto made, crypto::RsaKey::from_pkcs8(key.reveal()));
    rsa_.emplace(std::move(made));
  }
  return &*rsa_;
}

std::uint32_t TransitKey::least_for_encryption() const noexcept { return std::max(min_encryption, min_decryption); }

Result<const TransitKey::Version*> TransitKey::usable(std::uint32_t version, std::uint32_t least) const {
  const auto wanted = version == 0 ? latest() : version;
  if (wanted > latest()) return Error{Code::malformed, "the key has no such version", {}, std::to_string(wanted)};
  const Version* found = wanted < least ? nullptr : find(wanted);
  if (found != nullptr) return found;
  return Error{Code::malformed, "ciphertext or signature version is disallowed by policy (too old)"};
}

Result<crypto::Secret> TransitKey::key_for(const Version& version, base::ByteView context) const {
  if (!derived) return version.key.clone();
  if (context.empty())
    return Error{Code::malformed,
                 "missing 'context' for key derivation; the key was created using a derived key, which means "
                 "additional, per-request information must be included in order to perform operations with the key"};
  return crypto::hkdf_sha256({}, version.key.reveal(), context, key_size(type));
}

Result<std::string> TransitKey::encrypt(base::ByteView plaintext, base::ByteView context, base::ByteView associated,
                                        std::uint32_t version, crypto::Random& random) const {
  if (!encrypts(type))
    return Error{Code::malformed, "message encryption not supported for key type " + std::string{to_text(type)}};
  TRY(const auto* use, usable(version, least_for_encryption()));
  if (rsa_bits(type) != 0) {
    TRY_OK(no_data(associated));
    TRY(const auto* rsa, use->rsa());
    TRY(const auto sealed, rsa->encrypt(plaintext));
    return versioned(use->number, base::base64(sealed));
  }
  TRY(const auto key, key_for(*use, context));
  base::FixedBytes<kNonce> nonce{};
  if (convergent) {
    // The nonce is a function of key, plaintext and data, so that it repeats only when everything does.
    const auto nonce_key =
        crypto::hkdf_sha256(use->hmac.reveal(), key.reveal(), base::as_bytes("attestry/transit/nonce/v1"), kKey);
    base::LpWriter all;
    auto bytes = std::move(all.lp(plaintext).lp(associated)).take();
    const auto wiped = crypto::Secret::absorb(bytes);
    const auto mac = crypto::hmac_sha256(nonce_key.reveal(), wiped.reveal());
    std::copy_n(mac.begin(), kNonce, nonce.begin());
  } else {
    nonce = random.bytes<kNonce>();
  }
  TRY(const auto sealed, cipher_of(type).seal(key.reveal(), nonce, plaintext, associated));
  base::Bytes out = base::to_bytes(nonce);
  base::append(out, sealed);
  return versioned(use->number, base::base64(out));
}

Result<crypto::Secret> TransitKey::decrypt(std::string_view ciphertext, base::ByteView context,
                                           base::ByteView associated) const {
  if (!encrypts(type))
    return Error{Code::malformed, "message decryption not supported for key type " + std::string{to_text(type)}};
  TRY(const auto parsed, parse_versioned(ciphertext, "ciphertext"));
  TRY(const auto* use, usable(parsed.version, min_decryption));
  auto bytes = base::base64_decode(parsed.rest);
  if (bytes && rsa_bits(type) != 0) {
    TRY_OK(no_data(associated));
    TRY(const auto* rsa, use->rsa());
    auto opened = rsa->decrypt(*bytes);
    if (!opened) return Error{Code::malformed, "invalid ciphertext: unable to decrypt"};
    return opened;
  }
  if (!bytes || bytes->size() < kNonce) return Error{Code::malformed, "invalid ciphertext: could not decode base64"};
  TRY(const auto key, key_for(*use, context));
  const base::ByteView all{*bytes};
  auto plain = cipher_of(type).open(key.reveal(), all.first(kNonce), all.subspan(kNonce), associated);
  if (!plain) return Error{Code::malformed, "invalid ciphertext: unable to decrypt"};
  return plain;
}

Result<std::string> TransitKey::sign(const SignInput& input, std::uint32_t version) const {
  if (!signs(type))
    return Error{Code::malformed, "message signing not supported for key type " + std::string{to_text(type)}};
  TRY(const auto* use, usable(version, least_for_encryption()));
  if (type == TransitType::ed25519) {
    TRY(const auto seed, key_for(*use, input.context));
    TRY(const auto key, crypto::Ed25519PrivateKey::from_seed(seed.reveal()));
    const auto signature = key.sign(input.input);
    return versioned(use->number,
                     input.marshaling == Marshaling::jws ? base::base64url(signature) : base::base64(signature));
  }
  TRY(const auto digest, digest_of(input));
  if (rsa_bits(type) != 0) {
    TRY(const auto* rsa, use->rsa());
    TRY(const auto signature,
        input.pkcs1 ? rsa->sign_pkcs1(input.hash, digest) : rsa->sign_pss(input.hash, digest, input.salt));
    return versioned(use->number,
                     input.marshaling == Marshaling::jws ? base::base64url(signature) : base::base64(signature));
  }
  TRY(const auto* key, use->ec(type));
  const auto der = key->sign_digest_der(digest);
  if (input.marshaling == Marshaling::asn1) return versioned(use->number, base::base64(der));
  TRY(const auto raw, raw_signature(der, crypto::field_size(key->curve())));
  return versioned(use->number, base::base64url(raw));
}

Result<bool> TransitKey::verify(const SignInput& input, std::string_view signature) const {
  if (!signs(type))
    return Error{Code::malformed, "message verification not supported for key type " + std::string{to_text(type)}};
  TRY(const auto parsed, parse_versioned(signature, "signature"));
  TRY(const auto* use, usable(parsed.version, min_decryption));
  const bool jws = input.marshaling == Marshaling::jws;
  auto bytes = jws ? base::base64url_decode(parsed.rest) : base::base64_decode(parsed.rest);
  if (!bytes) return Error{Code::malformed, "invalid base64 signature value"};
  if (type == TransitType::ed25519) {
    TRY(const auto seed, key_for(*use, input.context));
    TRY(const auto key, crypto::Ed25519PrivateKey::from_seed(seed.reveal()));
    return crypto::ed25519_verify(key.public_key(), input.input, *bytes);
  }
  TRY(const auto digest, digest_of(input));
  if (rsa_bits(type) != 0) {
    TRY(const auto* rsa, use->rsa());
    return input.pkcs1 ? rsa->verify_pkcs1(input.hash, digest, *bytes)
                       : rsa->verify_pss(input.hash, digest, input.salt, *bytes);
  }
  TRY(const auto* key, use->ec(type));
  if (jws) {
    if (bytes->size() != 2 * crypto::field_size(key->curve())) return false;
    bytes = der_signature(*bytes);
  }
  return key->public_key().verify_digest_der(digest, *bytes);
}

Result<std::string> TransitKey::hmac(crypto::HashName hash, base::ByteView input, std::uint32_t version) const {
  TRY(const auto* use, usable(version, least_for_encryption()));
  return versioned(use->number, base::base64(crypto::hmac(hash, use->hmac.reveal(), input)));
}

Result<bool> TransitKey::verify_hmac(crypto::HashName hash, base::ByteView input, std::string_view hmac) const {
  TRY(const auto parsed, parse_versioned(hmac, "HMAC"));
  TRY(const auto* use, usable(parsed.version, min_decryption));
  const auto bytes = base::base64_decode(parsed.rest);
  if (!bytes) return Error{Code::malformed, "invalid base64 HMAC value"};
  return crypto::equal_constant_time(crypto::hmac(hash, use->hmac.reveal(), input), *bytes);
}

std::string TransitKey::export_text(const Version& version) const {
  if (rsa_bits(type) != 0) {
    const auto key = version.rsa();
    return key ? std::string{base::as_text((*key)->pkcs1_pem().reveal())} : std::string{};
  }
  if (!curve_of(type)) return base::base64(version.key.reveal());
  const auto key = version.ec(type);
  return key ? std::string{base::as_text(crypto::sec1_pem(**key).reveal())} : std::string{};
}

std::string TransitKey::public_key(const Version& version) const {
  if (!version.public_text.empty()) return version.public_text;
  if (type == TransitType::ed25519 && !derived) {
    const auto key = crypto::Ed25519PrivateKey::from_seed(version.key.reveal());
    return key ? base::base64(key->public_key()) : std::string{};
  }
  if (rsa_bits(type) != 0) {
    const auto key = version.rsa();
    return key ? (*key)->public_pem() : std::string{};
  }
  if (!curve_of(type)) return {};
  const auto key = version.ec(type);
  return key ? crypto::spki_pem((*key)->public_key().spki()) : std::string{};
}

}  // namespace attestry::secrets
