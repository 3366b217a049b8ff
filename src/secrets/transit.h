// Keys that never leave: clients send what is to be encrypted, decrypted, signed or verified (Vault's transit engine).
// A key has versions; ciphertexts and signatures name theirs ("vault:v2:…").
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/mutex.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/digest.h"
#include "crypto/ec.h"
#include "crypto/random.h"
#include "crypto/rsa_key.h"
#include "crypto/secret.h"
#include "secrets/namespaces.h"
#include "secrets/secret_store.h"
#include "state/store.h"

namespace attestry::secrets {

inline constexpr std::uint32_t kMostKeyVersions = 1000;
/// Messages under one key with random nonces of 96 bits (NIST SP 800-38D 8.3), and how many are counted in memory
/// before they are counted in the store: a process that ends forgets fewer than these.
inline constexpr std::uint64_t kMostMessages = std::uint64_t{1} << 32;
inline constexpr std::uint64_t kCountedAtOnce = std::uint64_t{1} << 20;
inline constexpr std::size_t kMaxTransitInput = 512 * 1024;

enum class TransitType : std::uint8_t {
  aes256_gcm96 = 1,
  chacha20_poly1305 = 2,
  ed25519 = 3,
  ecdsa_p256 = 4,
  ecdsa_p384 = 5,
  ecdsa_p521 = 6,
  hmac = 7,
  aes128_gcm96 = 8,
  rsa_2048 = 9,
  rsa_3072 = 10,
  rsa_4096 = 11,
};
std::string_view to_text(TransitType type) noexcept;
/// `malformed` names those that there are.
base::Result<TransitType> transit_type_from(std::string_view text);
bool encrypts(TransitType type) noexcept;
/// Encrypts with a nonce under a key that may be derived.
bool is_symmetric(TransitType type) noexcept;
bool signs(TransitType type) noexcept;
/// Bits of an RSA key; 0 for the others.
unsigned rsa_bits(TransitType type) noexcept;
/// What one use of the key costs a thread, in units of about 50 microseconds.
std::size_t cost_of(TransitType type) noexcept;

/// How a signature is written: DER (or the 64 bytes of Ed25519) in base64, or r ‖ s in base64url.
enum class Marshaling : std::uint8_t { asn1, jws };

class TransitKey {
 public:
  struct Version {
    std::uint32_t number = 0;
    base::UtcTime created{};
    crypto::Secret key{};       ///< 16 or 32 bytes; of an ECDSA key the scalar, as long as its field; of RSA PKCS #8
    crypto::Secret hmac{};      ///< 32 bytes
    std::string public_text{};  ///< what public_key() gives; empty also in records of the first form

    /// The key taken apart, at its first use. Not thread-safe, as the rest of the key.
    base::Result<const crypto::EcPrivateKey*> ec(TransitType kind) const;
    base::Result<const crypto::RsaKey*> rsa() const;

   private:
    mutable std::optional<crypto::EcPrivateKey> ec_{};
    mutable std::optional<crypto::RsaKey> rsa_{};
  };

  std::string name{};
  TransitType type = TransitType::aes256_gcm96;
  bool derived = false;     ///< every use names a context, which makes a key of its own
  bool convergent = false;  ///< the same plaintext gives the same ciphertext; only with `derived`
  bool exportable = false;  ///< once true, for ever
  bool deletion_allowed = false;
  bool backup_allowed = false;  ///< "allow_plaintext_backup"; once true, for ever
  std::uint32_t min_decryption = 1;
  std::uint32_t min_encryption = 0;  ///< 0: the newest
  std::uint32_t min_available = 0;   ///< older ones were trimmed away; 0: none was
  std::vector<Version> versions{};   ///< ascending, never empty once made

  std::uint32_t latest() const noexcept { return versions.empty() ? 0 : versions.back().number; }
  const Version* find(std::uint32_t number) const noexcept;

  /// A new version, of which the number is missing. Up to seconds for RSA keys.
  Version make_version(base::UtcTime now, crypto::Random& random) const;
  /// `too_large` beyond kMostKeyVersions, or where the record would be.
  base::Status add(Version version);

  /// "vault:v1:" and base64 of nonce ‖ ciphertext ‖ tag. `version` 0: the newest. The associated data are not in it.
  base::Result<std::string> encrypt(base::ByteView plaintext, base::ByteView context, base::ByteView associated,
                                    std::uint32_t version, crypto::Random& random) const;
  base::Result<crypto::Secret> decrypt(std::string_view ciphertext, base::ByteView context,
                                       base::ByteView associated) const;

  /// `input`: the message, or with `prehashed` its digest. Ed25519 hashes by itself: `hash` and `prehashed` do nothing.
  struct SignInput {
    base::ByteView input;
    base::ByteView context{};
    crypto::HashName hash = crypto::HashName::sha2_256;
    bool prehashed = false;
    Marshaling marshaling = Marshaling::asn1;
    bool pkcs1 = false;  ///< RSA: PKCS #1 v1.5, else PSS with `salt`
    crypto::PssSalt salt{};
  };
  base::Result<std::string> sign(const SignInput& input, std::uint32_t version) const;
  /// False for every signature that does not verify, however it is written; an error only for a version that may not be
  /// used.
  base::Result<bool> verify(const SignInput& input, std::string_view signature) const;
  base::Result<std::string> hmac(crypto::HashName hash, base::ByteView input, std::uint32_t version) const;
  base::Result<bool> verify_hmac(crypto::HashName hash, base::ByteView input, std::string_view hmac) const;

  /// PEM of ECDSA and RSA keys, base64 of Ed25519's 32 bytes, empty for the others and for derived keys.
  std::string public_key(const Version& version) const;

  /// Base64 of the key; of ECDSA keys PEM (SEC 1), of RSA keys PEM (PKCS #1).
  std::string export_text(const Version& version) const;

  base::Bytes encode() const;
  static base::Result<TransitKey> decode(std::string_view name, base::ByteView stored);

 private:
  base::Result<const Version*> usable(std::uint32_t version, std::uint32_t least) const;
  base::Result<crypto::Secret> key_for(const Version& version, base::ByteView context) const;
  std::uint32_t least_for_encryption() const noexcept;
};

struct Versioned {
  std::uint32_t version = 0;
  std::string_view rest;  ///< behind "vault:v1:"
};
base::Result<Versioned> parse_versioned(std::string_view text, std::string_view what);

/// `[A-Za-z0-9._-]{1,128}`.
base::Status check_transit_name(std::string_view name);

struct TransitPlace {
  const Namespace& space;
  const Mount& mount;
  std::string_view name;
};

/// Thread-safe. The keys of a mount, sealed under the tenant's keys (docs/formats/vault.md). They count as secrets in
/// the namespace's quota.
class Transit {
 public:
  /// Both outlive it; the store's last write is done before it ends.
  Transit(const SecretStore& secrets, state::Store& store) : secrets_(secrets), store_(store) {}

  struct Found {
    TransitKey key;
    base::Bytes record;  ///< as stored: what unchanged() compares with
  };
  /// `not_found`.
  base::Result<Found> find(const state::ReadView& view, const TransitPlace& place) const;
  /// Whether the key is what it was; `conflict` otherwise. For releases that were computed before their transaction.
  base::Status unchanged(const state::ReadView& view, const TransitPlace& place, base::ByteView record) const;
  /// Before `messages` are encrypted with a version (0: the newest): `too_large` where a symmetric key, which is not
  /// derived, has encrypted kMostMessages. Approximate: what is counted in memory reaches the store later.
  base::Status count(const TransitPlace& place, const TransitKey& key, std::uint32_t version,
                     std::uint64_t messages) const;
  base::Result<bool> has(const state::ReadView& view, const TransitPlace& place) const;
  base::Status put(state::WriteTxn& txn, const TransitPlace& place, const TransitKey& key) const;
  /// The key under the tenant's present sealing key, for whoever keeps it elsewhere; it opens in namespaces of the same
  /// tenant, until that sealing key is retired.
  base::Result<base::Bytes> seal_backup(const state::ReadView& view, const Namespace& space,
                                        const TransitKey& key) const;
  /// `malformed` for everything that seal_backup() did not give.
  base::Result<TransitKey> open_backup(const state::ReadView& view, const Namespace& space,
                                       base::ByteView sealed) const;
  base::Status erase(state::WriteTxn& txn, const TransitPlace& place) const;
  static base::Result<std::vector<std::string>> list(const state::ReadView& view, const Namespace& space,
                                                     const Mount& mount, std::size_t limit);

 private:
  struct Count {
    std::int64_t created = 0;  ///< of the version: a key that was made again begins anew
    std::uint64_t stored = 0;
    std::uint64_t since = 0;
  };
  const SecretStore& secrets_;
  state::Store& store_;
  mutable base::Mutex mutex_;
  mutable std::map<base::Bytes, Count> counts_ ATTESTRY_GUARDED_BY(mutex_);  ///< by the key of the count's record
};

}  // namespace attestry::secrets
