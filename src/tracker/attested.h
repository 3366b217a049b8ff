// A TEE beside the tracker: what its quotes say, keys that it derives, and members who register with evidence that
// names their key. PBTS section 7; docs/formats/pbts.md
//
// Thread-safe.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "attestation/policy.h"
#include "attestation/verdict.h"
#include "base/ids.h"
#include "base/mutex.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/random.h"
#include "curves/bls_signature.h"
#include "tracker/receipt.h"

namespace attestry::tracker {

/// UTF-8 up to 64 bytes, SHA-256 beyond; zeros behind it.
base::FixedBytes<64> payload_report_data(std::string_view payload);
/// Whether anybody may have a quote over this payload: none that could be taken for something else this machine says.
/// Error `malformed`.
base::Status check_quotable(std::string_view payload);

/// "register||USER||INSTANCE||KEY||NONCE": user id, instance id in hex, key in base64, nonce in hex. Always beyond 64
/// bytes; only the user id has no fixed length, so that a text has one reading.
std::string registration_payload(std::string_view user_id, const InstanceId& instance, base::ByteView key,
                                 base::ByteView nonce);

/// The words that PBTS's documents have for "UpToDate" (OK), "OutOfDate" (OUT_OF_DATE), …; UNSPECIFIED for others.
std::string_view status_name(std::string_view tcb_status) noexcept;

/// Cuts zeros behind a quote of Intel's, which the kernel's configfs-tsm and dstack's agents add; other bytes stay, and
/// are no quote then.
void cut_padding(base::Bytes& quote);

/// What evidence is worth: genuine, of this realm, with this report data, taken by the policy. Error `evidence_false`,
/// `denied`, and `collateral_missing` when nobody can tell now. `verdict` receives the policy's checks.
base::Status judge_evidence(const attestation::Policy& policy, attestation::Verdict& verdict,
                            const base::FixedBytes<64>& expected, base::Realm realm);

/// Nonces for registrations: good for five minutes, for one registration, while this process lives.
class RegistrationNonces {
 public:
  static constexpr std::int64_t kLifetime = 300;  ///< seconds
  static constexpr std::size_t kBytes = 40;
  using Nonce = base::FixedBytes<kBytes>;

  explicit RegistrationNonces(crypto::Random& random) : random_(random), key_(random.secret(32)) {}
  /// Keeps nothing.
  Nonce issue(base::UtcTime now) const;
  /// Errors: `malformed` (none of ours), `challenge_expired`, `replayed`.
  base::Status check(base::ByteView nonce, base::UtcTime now) const;
  /// check(), and it is used from now on. Of several threads with one nonce, one gets it.
  base::Status spend(base::ByteView nonce, base::UtcTime now);

 private:
  base::FixedBytes<16> tag(base::ByteView said) const;

  crypto::Random& random_;
  const crypto::Secret key_;
  mutable base::Mutex mutex_;
  std::set<Nonce> spent_ ATTESTRY_GUARDED_BY(mutex_);  ///< by expiry, which they begin with
};

/// 32 bytes of a TEE, and who signed for them: dstack's GetKey. Movable.
struct DerivedSecret {
  crypto::Secret key;
  std::vector<base::Bytes> signature_chain{};
};
using KeySource = std::function<base::Result<DerivedSecret>(std::string_view path, std::string_view purpose)>;
/// As dstack derives and signs, under an app key of one's own (32 bytes): HKDF-SHA256(salt "RATLS", ikm = app key,
/// info = path), and the app key's signature over Keccak-256(purpose ":" public key in hex).
KeySource local_key_source(crypto::Secret app_key);

inline constexpr std::string_view kKeyPathPrefix = "pbts/bls/";
inline constexpr std::string_view kKeyPurpose = "signature";
/// 1 to 128 of A-Z, a-z, 0-9 and . _ : @ -. Error `malformed`.
base::Status check_salt(std::string_view salt);

/// A BLS key out of a TEE, with the proof of its derivation. Movable.
struct DerivedKey {
  curves::bls::SigningKey key;
  std::string path;
  base::FixedBytes<33> derived{};  ///< the secp256k1 public key of the 32 bytes, which the signatures are about
  std::vector<base::Bytes> signature_chain{};
};
/// The same for the same salt. Errors: `malformed`, those of the source.
base::Result<DerivedKey> derive_member_key(const KeySource& source, std::string_view salt);

}  // namespace attestry::tracker
