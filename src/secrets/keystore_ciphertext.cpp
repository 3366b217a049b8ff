#include "secrets/keystore_ciphertext.h"

#include <algorithm>
#include <array>
#include <string>

#include "base/reader.h"
#include "crypto/aead.h"
#include "crypto/hash.h"

namespace attestry::secrets::keystore {

using base::Bytes;
using base::ByteView;
using base::Code;
using base::Error;
using base::Result;
using crypto::Secret;

namespace {

constexpr std::size_t kPoint = 32;
constexpr std::size_t kNonce = 12;
constexpr std::size_t kTag = 16;
constexpr std::uint8_t kEciesV1 = 0x01;
constexpr std::string_view kEciesInfo = "outlayer-keystore-v1";
static_assert(kEciesV1Overhead == 1 + kPoint + kNonce + kTag);

constexpr std::array<std::uint8_t, 4> kMagicV3 = {'A', 'T', 'K', '3'};
constexpr std::uint8_t kSuiteV3 = 1;  // X25519, HKDF-SHA-256, ChaCha20-Poly1305
constexpr std::size_t kHeaderV3 = 4 + 1 + 4 + 8 + 8 + kPoint;
static_assert(kBlobV3Overhead == kHeaderV3 + kTag);

base::Status fits(std::size_t plaintext, std::size_t overhead) {
  if (plaintext <= kMaxBlobBytes - overhead) return base::done();
  return Error{Code::too_large, "plaintext", "at most " + std::to_string(kMaxBlobBytes - overhead) + " bytes",
               std::to_string(plaintext) + " bytes"};
}

base::Status check_size(ByteView blob) {
  const std::string size = std::to_string(blob.size());
  if (blob.size() > kMaxBlobBytes) return Error{Code::too_large, "Encrypted data too large: " + size + " bytes"};
  if (blob.size() < kMinBlobBytes) {
    return Error{Code::malformed, "Encrypted data too short: " + size + " bytes (minimum 28)"};
  }
  return base::done();
}

Error does_not_open() {
  return {Code::crypto,
          "Encrypted data does not open with the key of this seed",
          "what was encrypted for this seed, and unchanged",
          {},
          "Encrypt the secret anew with the public key that /pubkey gives for this seed."};
}

Secret ecies_v1_key(const Secret& shared) {
  return crypto::hkdf_sha256({}, shared.reveal(), base::as_bytes(kEciesInfo), 32);
}

/// Both public keys, the seed and all of the header are in the key; so nothing can be moved or changed.
Secret blob_v3_key(const Secret& shared, ByteView header, const base::FixedBytes<32>& recipient, const Seed& seed) {
  base::LpWriter info;
  info.lp("attestry/keystore/blob/3").lp(header).lp(recipient).lp(seed.v3());
  return crypto::hkdf_sha256({}, shared.reveal(), info.bytes(), 32);
}

Bytes blob_v3_aad(ByteView header, const Seed& seed) {
  base::LpWriter aad;
  aad.lp(header).lp(seed.v3());
  return std::move(aad).take();
}

/// The beginning of a blob that its key depends on.
constexpr std::size_t kEciesFront = 1 + kPoint;

Result<Secret> ecies_v1_blob_key(ByteView scalar, ByteView blob) {
  TRY(const Secret shared, crypto::x25519_agree(scalar, blob.subspan(1, kPoint)));
  return ecies_v1_key(shared);
}
Result<Secret> ecies_v1_body(const Secret& key, ByteView blob) {
  return crypto::chacha20poly1305_open(key.reveal(), blob.subspan(kEciesFront, kNonce),
                                       blob.subspan(kEciesFront + kNonce), {});
}

Result<Secret> blob_v3_blob_key(const SealingKey& key, const Seed& seed, ByteView blob) {
  TRY(const BlobV3Header header, read_blob_v3_header(blob));
  if (header.key_id != key_id_v3(key.public_key)) return does_not_open();
  const ByteView front = blob.first(kHeaderV3);
  TRY(const Secret shared, crypto::x25519_agree(key.scalar.reveal(), front.last(kPoint)));
  return blob_v3_key(shared, front, key.public_key, seed);
}
Result<Secret> blob_v3_body(const Secret& key, const Seed& seed, ByteView blob) {
  auto plaintext = crypto::chacha20poly1305_open(key.reveal(), base::FixedBytes<kNonce>{}, blob.subspan(kHeaderV3),
                                                 blob_v3_aad(blob.first(kHeaderV3), seed));
  if (!plaintext) return does_not_open();
  return plaintext;
}

/// Opens with a remembered key, or derives it and remembers it once it has opened the blob: what strangers make up is
/// not remembered. `front` is what the key depends on, beside scope and seed.
template <class Derive, class Open>
Result<Secret> open_remembered(SealingKeyCache& cache, std::string_view scope, std::string_view seed, ByteView front,
                               const Derive& derive_key, const Open& open) {
  std::string name;
  name.reserve(scope.size() + seed.size() + front.size() + 1);
  name.append(scope).append(1, '\0').append(base::as_text(front)).append(seed);
  std::uint64_t generation = 0;
  if (const auto known = cache.blob_key(name, generation)) return open(*known);
  TRY(Secret key, derive_key());
  TRY(Secret plaintext, open(key));
  cache.remember_blob_key(name, std::move(key), generation);
  return plaintext;
}

bool may_be_ecies_v1(ByteView blob) noexcept { return blob.size() >= kEciesV1Overhead && blob[0] == kEciesV1; }

/// 4.5. Says whether the legacy cipher opened it.
struct Opened {
  Secret plaintext;
  bool legacy = false;
};
template <class Open>
Result<Opened> dispatch(ByteView blob, const BrokenCiphers& allowed, const Open& open_ecies,
                        const std::function<base::FixedBytes<32>()>& legacy_key) {
  TRY_OK(check_size(blob));
  const bool current = may_be_ecies_v1(blob);
  if (current) {
    auto plaintext = open_ecies();
    if (plaintext) return Opened{*std::move(plaintext), false};
  }
  if (!allowed.public_key_as_key) {
    if (current) return does_not_open();
    return Error{Code::denied, "Encrypted data is no ECIES v1 blob", "01 in front",
                 "what may be of the old cipher, whose key is public",
                 "Encrypt the secret anew; the setting for blobs under a public key reads it meanwhile."};
  }
  auto plaintext = legacy_open(legacy_key(), blob);
  if (!plaintext) return does_not_open();
  return Opened{*std::move(plaintext), true};
}

}  // namespace

Result<Bytes> ecies_v1_seal(ByteView to, ByteView plaintext, crypto::Random& random) {
  TRY_OK(fits(plaintext.size(), kEciesV1Overhead));
  if (to.size() != kPoint) return Error{Code::malformed, "X25519 public key", "32 bytes", std::to_string(to.size())};
  const Secret ephemeral = random.secret(kPoint);
  const auto nonce = random.bytes<kNonce>();
  TRY(const Secret shared, crypto::x25519_agree(ephemeral.reveal(), to));
  TRY(const Bytes sealed, crypto::chacha20poly1305_seal(ecies_v1_key(shared).reveal(), nonce, plaintext, {}));
  Bytes out;
  out.reserve(plaintext.size() + kEciesV1Overhead);
  out.push_back(kEciesV1);
  base::append(out, crypto::x25519_public(ephemeral.reveal()));
  base::append(out, nonce);
  base::append(out, sealed);
  return out;
}

Result<Secret> ecies_v1_open(ByteView scalar, ByteView blob) {
  if (!may_be_ecies_v1(blob)) return Error{Code::malformed, "ECIES v1 blob", "01 and at least 60 more bytes"};
  TRY(const Secret key, ecies_v1_blob_key(scalar, blob));
  return ecies_v1_body(key, blob);
}

base::FixedBytes<8> key_id_v3(const base::FixedBytes<32>& public_key) {
  base::LpWriter label;
  label.lp("attestry/keystore/key-id/3");
  const auto digest = crypto::sha256({label.bytes(), public_key});
  base::FixedBytes<8> out{};
  std::copy_n(digest.begin(), out.size(), out.begin());
  return out;
}

bool is_blob_v3(ByteView blob) noexcept {
  return blob.size() >= kMagicV3.size() && std::ranges::equal(blob.first(kMagicV3.size()), kMagicV3);
}

Result<BlobV3Header> read_blob_v3_header(ByteView blob) {
  base::Reader reader{blob};
  TRY(const auto magic, reader.take_array<4>("magic"));
  TRY(const auto suite, reader.u8("suite"));
  if (magic != kMagicV3 || suite != kSuiteV3) {
    return Error{Code::malformed, "blob of version 3", "ATK3 and suite 1", "suite " + std::to_string(suite)};
  }
  BlobV3Header header;
  TRY(header.epoch, reader.u32be("epoch"));
  // 0 would ask for the current master: a blob opens for its own epoch only.
  if (header.epoch == 0) return Error{Code::malformed, "blob of version 3: epoch", "1 or later", "0"};
  TRY(header.key_id, reader.take_array<8>("key id"));
  TRY(header.version, reader.u64be("version"));
  TRY_OK(reader.take(kPoint + kTag, "ephemeral key and tag"));
  return header;
}

Result<Bytes> blob_v3_seal(const base::FixedBytes<32>& to, const Seed& seed, std::uint32_t epoch, std::uint64_t version,
                           ByteView plaintext, crypto::Random& random) {
  TRY_OK(fits(plaintext.size(), kBlobV3Overhead));
  const Secret ephemeral = random.secret(kPoint);
  TRY(const Secret shared, crypto::x25519_agree(ephemeral.reveal(), to));
  base::LpWriter writer;
  writer.raw(kMagicV3).u8(kSuiteV3).u32(epoch).raw(key_id_v3(to)).u64(version);
  writer.raw(crypto::x25519_public(ephemeral.reveal()));
  Bytes out = std::move(writer).take();
  const Secret key = blob_v3_key(shared, out, to, seed);
  // The key is used once, so the nonce may be constant.
  TRY(const Bytes sealed,
      crypto::chacha20poly1305_seal(key.reveal(), base::FixedBytes<kNonce>{}, plaintext, blob_v3_aad(out, seed)));
  base::append(out, sealed);
  return out;
}

Result<Secret> blob_v3_open(const SealingKey& key, const Seed& seed, ByteView blob) {
  TRY(const Secret blob_key, blob_v3_blob_key(key, seed, blob));
  return blob_v3_body(blob_key, seed, blob);
}

Result<Bytes> legacy_seal(const base::FixedBytes<32>& ed25519_public, ByteView nonce, ByteView plaintext) {
  TRY(const Bytes sealed, crypto::chacha20poly1305_seal(ed25519_public, nonce, plaintext, {}));
  Bytes out = base::to_bytes(nonce);
  base::append(out, sealed);
  return out;
}

Result<Secret> legacy_open(const base::FixedBytes<32>& ed25519_public, ByteView blob) {
  TRY_OK(check_size(blob));
  return crypto::chacha20poly1305_open(ed25519_public, blob.first(kNonce), blob.subspan(kNonce), {});
}

Result<Secret> open_blob(const SealingKey& key, ByteView blob, const BrokenCiphers& allowed,
                         const std::function<base::FixedBytes<32>()>& legacy_key) {
  TRY(Opened opened, dispatch(blob, allowed, [&] { return ecies_v1_open(key.scalar.reveal(), blob); }, legacy_key));
  return std::move(opened.plaintext);
}

Result<OpenedBlob> open_blob(const MasterKey& master, const Seed& seed, ByteView blob, const BrokenCiphers& allowed,
                             SealingKeyCache& cache) {
  if (is_blob_v3(blob)) {
    TRY_OK(check_size(blob));
    TRY(const BlobV3Header header, read_blob_v3_header(blob));
    if (header.epoch != master.epoch) {
      return Error{Code::not_found, "master of the blob's epoch", "epoch " + std::to_string(master.epoch),
                   "epoch " + std::to_string(header.epoch)};
    }
    const auto derive_key = [&] {
      return blob_v3_blob_key(*cache.get(master.scope, master.master, seed, SealingKeyCache::Format::v3), seed, blob);
    };
    TRY(Secret plaintext,
        open_remembered(cache, master.scope, base::as_text(seed.v3()), blob.first(kHeaderV3), derive_key,
                        [&](const Secret& key) { return blob_v3_body(key, seed, blob); }));
    return OpenedBlob{.plaintext = std::move(plaintext), .v3 = header, .legacy = false};
  }
  const auto derive_key = [&] {
    return ecies_v1_blob_key(cache.get(master.scope, master.master, seed)->scalar.reveal(), blob);
  };
  const auto open_ecies = [&] {
    return open_remembered(cache, master.scope, seed.text(), blob.first(kEciesFront), derive_key,
                           [&](const Secret& key) { return ecies_v1_body(key, blob); });
  };
  TRY(Opened opened,
      dispatch(blob, allowed, open_ecies, [&] { return ed25519_key(master.master, seed).public_key(); }));
  return OpenedBlob{.plaintext = std::move(opened.plaintext), .v3 = std::nullopt, .legacy = opened.legacy};
}

}  // namespace attestry::secrets::keystore
