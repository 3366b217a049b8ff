// What a keystore's secrets look like while others keep them: ECIES v1, as others write it, our own blob of version 3,
// and what is only read on demand because it keeps nothing secret. docs/formats/keystore.md. Pure, thread-safe.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/random.h"
#include "crypto/secret.h"
#include "secrets/keystore_derivation.h"

namespace attestry::secrets::keystore {

inline constexpr std::size_t kMaxBlobBytes = 10u << 20;
inline constexpr std::size_t kMinBlobBytes = 28;
inline constexpr std::size_t kEciesV1Overhead = 61;
inline constexpr std::size_t kBlobV3Overhead = 73;

// -- ECIES v1: 01 ‖ ephemeral X25519 public key 32 ‖ nonce 12 ‖ ChaCha20-Poly1305; key = HKDF-SHA-256 of the shared
// point, info "outlayer-keystore-v1", no AAD: a blob may be moved to where the same key opens it.

/// `to` 32 bytes. Takes 44 bytes of `random`: the ephemeral scalar, then the nonce. Errors: `crypto` for a key of
/// small order, `too_large` for a blob beyond kMaxBlobBytes.
base::Result<base::Bytes> ecies_v1_seal(base::ByteView to, base::ByteView plaintext, crypto::Random& random);
base::Result<crypto::Secret> ecies_v1_open(base::ByteView scalar, base::ByteView blob);

// -- version 3

/// What stands in front of a blob of ours, readable and bound.
struct BlobV3Header {
  std::uint32_t epoch = 0;       ///< of the master
  base::FixedBytes<8> key_id{};  ///< of the key that opens it
  std::uint64_t version = 0;     ///< of the secret, from 1
  friend bool operator==(const BlobV3Header&, const BlobV3Header&) = default;
};
/// The beginning of SHA-256(LP("attestry/keystore/key-id/3") ‖ public key).
base::FixedBytes<8> key_id_v3(const base::FixedBytes<32>& public_key);
/// Whether it begins like one. A legacy blob does so with probability 2^-32.
bool is_blob_v3(base::ByteView blob) noexcept;
/// Of a blob that nobody has opened yet: to choose the master with. Error `malformed`.
base::Result<BlobV3Header> read_blob_v3_header(base::ByteView blob);
/// Anybody can seal who knows the public key: that a blob opens does not say who made it. Takes 32 bytes of `random`.
base::Result<base::Bytes> blob_v3_seal(const base::FixedBytes<32>& to, const Seed& seed, std::uint32_t epoch,
                                       std::uint64_t version, base::ByteView plaintext, crypto::Random& random);
/// Error `crypto` when key, seed or any byte is another. The caller compares the version with what it expects.
base::Result<crypto::Secret> blob_v3_open(const SealingKey& key, const Seed& seed, base::ByteView blob);

// -- what was before, and keeps nothing secret

/// nonce 12 ‖ ChaCha20-Poly1305 under the *public* Ed25519 key of the seed: whoever knows that key reads it. Sealing is
/// for tests and for moving old deployments; nothing here does it.
base::Result<base::Bytes> legacy_seal(const base::FixedBytes<32>& ed25519_public, base::ByteView nonce,
                                      base::ByteView plaintext);
base::Result<crypto::Secret> legacy_open(const base::FixedBytes<32>& ed25519_public, base::ByteView blob);

// -- all of them

/// Ciphers that are read although they are broken; nothing by default.
struct BrokenCiphers {
  bool public_key_as_key = false;  ///< legacy blobs (4.4)
  bool xor_v0 = false;             ///< keystore_v0.h
};

/// 4.5: by the first byte, ECIES v1 and then, when that does not open, legacy, because a legacy nonce may begin with
/// 01; each when it is allowed. Blobs of version 3 are not taken here: their key is another. `legacy_key` is called
/// only for legacy blobs. Errors: `too_large` "Encrypted data too large: N bytes", `malformed` "Encrypted data too
/// short: N bytes (minimum 28)", `crypto` when it does not open, `denied` when it might be a legacy blob and these are
/// not read.
base::Result<crypto::Secret> open_blob(const SealingKey& key, base::ByteView blob, const BrokenCiphers& allowed,
                                       const std::function<base::FixedBytes<32>()>& legacy_key);
/// The same, for callers that hold the master, and blobs of version 3 too: `epoch` must then be the header's, error
/// `not_found` that names both when it is not. `cache` may be null.
struct OpenedBlob {
  crypto::Secret plaintext;
  std::optional<BlobV3Header> v3{};
  bool legacy = false;  ///< it should be encrypted anew
};
struct MasterKey {
  std::string_view scope;  ///< for the cache
  const crypto::Secret& master;
  std::uint32_t epoch = 1;
};
base::Result<OpenedBlob> open_blob(const MasterKey& master, const Seed& seed, base::ByteView blob,
                                   const BrokenCiphers& allowed, SealingKeyCache& cache);

}  // namespace attestry::secrets::keystore
