// Evidence of the keystore's workers: what it must carry, whether it verifies, and how what is released is closed for
// the key that it vouches for. docs/formats/keystore-wire.md
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "appraisal/appraiser.h"
#include "attestation/evidence.h"
#include "attestation/policy.h"
#include "base/bytes.h"
#include "base/json.h"
#include "base/mutex.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/random.h"
#include "crypto/secret.h"

namespace attestry::secrets {

using WorkerKey = base::FixedBytes<32>;  ///< X25519

/// Report data of a registration: SHA-512(LP("attestry/keystore/register/1") ‖ LP(challenge) ‖ LP(public_key) ‖
/// LP(encryption_key) ‖ LP(audience)); the public key as its text.
base::FixedBytes<64> registration_report_data(const base::FixedBytes<32>& challenge, std::string_view public_key,
                                              const WorkerKey& encryption_key, std::string_view audience);
/// Report data of one request: SHA-512(LP("attestry/keystore/request/1") ‖ LP(worker_key) ‖ u64be(timestamp) ‖
/// LP(SHA-256(body)) ‖ LP(audience)); of a worker without a key, LP of no bytes.
base::FixedBytes<64> request_report_data(const std::optional<WorkerKey>& worker_key, std::uint64_t timestamp,
                                         const base::Digest32& body, std::string_view audience);
/// SHA-256 of the RFC 8785 form of the body without its member `attestation`. Error `malformed` for numbers that this
/// form does not have.
base::Result<base::Digest32> body_digest(const base::JsonValue& body);

/// enc 32 ‖ ciphertext of HPKE base mode for `to`; info = LP("attestry/keystore/sealed/1") ‖ report data; no AAD.
base::Result<base::Bytes> seal_to_worker(const WorkerKey& to, const base::FixedBytes<64>& report_data,
                                         base::ByteView plaintext);
/// What a sealed reply answers: nobody can give it in the place of another request's.
struct SealedFor {
  std::string_view path{};
  base::Digest32 body{};                        ///< SHA-256 of the request's body
  std::optional<base::FixedBytes<16>> nonce{};  ///< the request's own, so that yesterday's reply does not fit
};
/// nonce 12 ‖ AES-256-GCM under a session's key; AAD = LP("attestry/keystore/reply/1") ‖ LP(path) ‖ LP(SHA-256 of the
/// request's body), and ‖ LP(nonce) when the request has one.
base::Result<base::Bytes> seal_to_session(const crypto::Secret& key, const SealedFor& request, base::ByteView plaintext,
                                          crypto::Random& random);

/// What a server takes of a worker that shows evidence with every request.
enum class TeeMode : std::uint8_t { evidence, sgx, sev, tdx, nitro, simulated, none };
std::string_view to_text(TeeMode mode) noexcept;

struct KeystoreEvidenceRules {
  attestation::Policy policy = attestation::Policy::standard();
  std::string audience{};
  TeeMode mode = TeeMode::evidence;
  std::int64_t seconds = 300;            ///< how old a request's evidence may say it is
  std::int64_t ahead_seconds = 60;       ///< how far ahead of the clock
  std::vector<std::string> simulated{};  ///< hex of code hashes that TeeMode::simulated takes
  /// A request's evidence need not name a key: its reply is in the clear.
  bool without_key = false;
  std::int64_t believed = 300;  ///< seconds that a client certificate is believed without another look
};

/// The other end of a connection, which has proved that it holds the key of its certificate.
struct ShownPeer {
  std::shared_ptr<const base::Bytes> certificate{};  ///< DER
  base::Bytes spki{};                                ///< its key, DER
  std::optional<attestation::Evidence> evidence{};   ///< that the certificate carries
};

/// A request's own word, before anything of it is believed.
struct ShownEvidence {
  std::string tee_type{};
  base::Bytes quote{};
  std::optional<WorkerKey> worker_key{};
  std::uint64_t timestamp = 0;
  std::optional<ShownPeer> peer{};
};

struct VerifiedWorker {
  std::optional<WorkerKey> key{};  ///< for which replies are closed; nothing: the transport alone closes them
  base::FixedBytes<64> report_data{};
  base::Digest32 policy{};
  base::Digest32 evidence{};
  bool genuine = false;    ///< evidence was verified, which some modes do not
  std::int64_t until = 0;  ///< seconds: later the timestamp is refused anyhow; 0: good more than once
  std::optional<base::UtcTime> valid_until{};  ///< of the verdict
};

/// Freshness both ways, saturating. Error `unauthenticated` in the words of the wire.
base::Status check_freshness(std::uint64_t timestamp, base::UtcTime now, const KeystoreEvidenceRules& rules);
/// tee_type against the server's mode: "Expected SGX attestation, got X".
base::Status check_tee_type(std::string_view tee_type, TeeMode mode);

/// Thread-safe; the appraiser outlives it.
class KeystoreEvidence {
 public:
  KeystoreEvidence(const appraisal::Appraiser& appraiser, KeystoreEvidenceRules rules)
      : appraiser_(appraiser), rules_(std::move(rules)) {}
  using Done = std::move_only_function<void(base::Result<VerifiedWorker>)>;

  /// Whether `quote` is genuine, accepted by the policy, and carries `report_data`. `done` is called once, here or on a
  /// thread of the collateral's source. Errors: `evidence_false`, `denied`; `unavailable`, `collateral_missing` and
  /// `deadline_exceeded` are outages.
  void verify(base::Bytes quote, std::string_view tee_type, const std::optional<WorkerKey>& key,
              const base::FixedBytes<64>& report_data, base::UtcTime now, base::Deadline deadline, Done done) const;
  /// Whether evidence vouches for the key of the peer's certificate (attestation/key_binding.h): that which the
  /// certificate carries, else `quote`. Remembered for `believed` seconds. Errors as verify().
  void verify_peer(ShownPeer peer, base::Bytes quote, std::string_view tee_type, base::UtcTime now,
                   base::Deadline deadline, Done done) const;
  const KeystoreEvidenceRules& rules() const noexcept { return rules_; }

 private:
  struct Known {
    VerifiedWorker worker;
    attestation::Platform platform = attestation::Platform::unknown;
    base::UtcTime until{};
  };
  std::optional<Known> known(const base::Digest32& name, base::UtcTime now) const;
  base::Result<VerifiedWorker> judge_peer(const base::Digest32& name, base::ByteView spki, std::string_view tee_type,
                                          base::UtcTime now, base::Result<appraisal::Examined> examined) const;

  const appraisal::Appraiser& appraiser_;
  const KeystoreEvidenceRules rules_;
  mutable base::Mutex mutex_;
  mutable std::map<base::Digest32, Known> known_ ATTESTRY_GUARDED_BY(mutex_);
};

}  // namespace attestry::secrets
