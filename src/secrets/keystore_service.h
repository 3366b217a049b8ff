// What a keystore does for its workers and coordinators: registers them, finds what the chain says is stored, evaluates
// who may have it, opens it, and gives it away with a leaf in the log (keystore_ckd.md 1 to 3). The wire is api's.
#pragma once
#include <chrono>
#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "audit/log.h"
#include "base/mutex.h"
#include "base/result.h"
#include "chain/near_rpc.h"
#include "crypto/random.h"
#include "secrets/keystore_ciphertext.h"
#include "secrets/keystore_derivation.h"
#include "secrets/keystore_masters.h"
#include "secrets/keystore_service_chain.h"
#include "secrets/keystore_service_evidence.h"
#include "secrets/keystore_sessions.h"
#include "secrets/keystore_v0.h"
#include "secrets/keystore_vaults.h"
#include "state/store.h"

namespace attestry::secrets {

/// Where a request ended. Each has its own status and words on the wire.
enum class KeystoreStep : std::uint8_t {
  request,    ///< something in it is not what it must be
  ready,      ///< the masters are not there yet
  limit,      ///< too many at once
  chain,      ///< it did not answer
  missing,    ///< the contract has no such secret
  vault,      ///< its master is not there, or the vault is banned
  agent,      ///< of another agent
  condition,  ///< could not be read or evaluated
  access,     ///< the condition says no
  decrypt,    ///< the blob does not open
  session,    ///< the worker has none
  evidence,   ///< of the worker: none, or not what it must be
  operator_,  ///< the worker's key is not the operator's
  policy,     ///< a wallet's forbids it, or approvals are missing
  record,     ///< the log or the store
};
std::string_view to_text(KeystoreStep step) noexcept;
/// An error of this code is nobody's no.
bool is_outage(base::Code code) noexcept;

struct KeystoreRefusal {
  KeystoreStep step = KeystoreStep::request;
  base::Error error;
};

/// Whom something is released to, and what its reply is bound to.
struct KeystoreRecipient {
  std::string token{};                          ///< hex SHA-256 of the bearer token; empty for a stranger
  std::string path{};                           ///< "/decrypt"
  base::Digest32 body{};                        ///< SHA-256 of the request's body
  std::optional<base::FixedBytes<16>> nonce{};  ///< the request's own, which its reply repeats
  std::shared_ptr<const KeystoreSession> session{};
  std::optional<VerifiedWorker> worker{};
  bool in_clear = false;  ///< nothing but the transport closes the reply, whatever keys there are
  /// What the request may be used for once: its digest. Error `replayed` for another one with it.
  std::optional<base::Digest32> once{};
};

struct KeystoreReply {
  crypto::Secret plaintext;  ///< empty when sealed
  base::Bytes sealed;        ///< for the recipient's key; empty when in clear
  std::uint64_t leaf = 0;
  crypto::Secret leaf_key;  ///< of the leaf's commitments
};
using KeystoreOutcome = std::expected<KeystoreReply, KeystoreRefusal>;
using KeystoreDone = std::move_only_function<void(KeystoreOutcome)>;

struct KeystoreDecrypt {
  KeystoreSecretName name;
  chain::near::AccountId user;  ///< who wants it; the worker's word
};

struct KeystoreRegistration {
  base::FixedBytes<32> challenge{};
  std::string public_key{};
  std::string signature{};
  struct Evidence {
    base::Bytes quote;
    WorkerKey key{};
  };
  std::optional<Evidence> evidence{};
  /// In the place of evidence: the key of the client's certificate, for which the certificate's evidence vouches. The
  /// session is then of use over this channel alone, which closes its replies.
  std::optional<ShownPeer> peer{};
  std::optional<base::FixedBytes<32>> channel{};  ///< tls-exporter of the connection
  std::string token{};
};
struct KeystoreRegistered {
  std::string session_id;
  base::UtcTime expires{};
  base::Bytes sealed_key;  ///< the session's key, for the worker's encryption key; empty without evidence
};
using KeystoreRegisteredDone = std::move_only_function<void(std::expected<KeystoreRegistered, KeystoreRefusal>)>;

/// What secrets are written as: what every keystore of the family reads, or our own with epoch, key id and AAD.
enum class KeystoreBlob : std::uint8_t { ecies_v1, v3 };

struct KeystoreRules {
  std::optional<chain::near::AccountId> operator_account{};  ///< whose access keys are workers
  std::set<chain::near::KeyKind> key_kinds{chain::near::KeyKind::ed25519};
  bool trust_registered_keys = false;  ///< a worker whose key the operator's account has needs no evidence
  keystore::BrokenCiphers broken{};
  keystore::SeedRules seeds{};
  KeystoreBlob writes = KeystoreBlob::ecies_v1;  ///< what the keystore encrypts itself
  std::int64_t session_seconds = 86'400;
  /// Whom an owner's signature for a change must name; empty: the contract.
  std::vector<std::string> update_recipients{};
  bool signed_values = false;  ///< owners sign for what they set, and not for its names alone
  std::size_t opened_bytes =
      32u << 20;  ///< of secrets that are remembered, open, as long as the chain has them; 0: none
};

/// All of it outlives the service.
struct KeystoreParts {
  state::Store& store;
  audit::Log& log;
  KeystoreMasters& masters;
  KeystoreSessions& sessions;
  const KeystoreEvidence& evidence;
  KeystoreChain* chain = nullptr;    ///< null: no contract is set, and secrets cannot be read
  KeystoreVaults* vaults = nullptr;  ///< null: no DAO is set, and a vault's name is enough for its keys
  crypto::Random& random;
  const base::Clock& clock;
  /// Runs what waits for the chain, off the server's workers; false, and the task is still the caller's, when too many
  /// wait. The name is whose turn it is.
  std::function<bool(std::string_view, std::move_only_function<void()>&)> run_waiting;
};

/// Thread-safe. Nothing here waits on the calling thread, unless it says so; `done` is called once, on any thread.
class KeystoreService {
 public:
  static base::Result<std::unique_ptr<KeystoreService>> open(KeystoreParts parts, KeystoreRules rules);
  ~KeystoreService();
  KeystoreService(const KeystoreService&) = delete;
  KeystoreService& operator=(const KeystoreService&) = delete;

  base::Status ready() const { return parts_.masters.ready(); }

  // -- workers
  std::expected<base::FixedBytes<32>, KeystoreRefusal> challenge(std::string_view token) const;
  void register_worker(KeystoreRegistration asked, base::Deadline deadline, KeystoreRegisteredDone done);
  std::expected<std::shared_ptr<const KeystoreSession>, KeystoreRefusal> session(
      std::string_view id, const base::FixedBytes<32>* channel) const;
  /// Of a request that brings its own: freshness, kind, binding to its body, verification. What it was good for once it
  /// is not good for again.
  void verify_request(ShownEvidence shown, const base::Digest32& body, base::Deadline deadline,
                      std::move_only_function<void(std::expected<VerifiedWorker, KeystoreRefusal>)> done) const;
  /// Ends the sessions of workers whose key the operator's account has no more, and those that today's settings would
  /// not admit; `patience` is for each key. A key without an answer keeps nobody else's from being looked at, and the
  /// next round begins where one ended. Waits for the chain; for one thread.
  base::Result<std::size_t> recheck(std::chrono::milliseconds patience, const std::function<bool()>& go_on);
  /// How long ago the key was looked at that has waited longest.
  std::chrono::seconds oldest_look() const;
  /// Ends a worker's sessions, by its key or by the digest of one session's id, with a leaf when there were any.
  struct EndedSessions {
    std::size_t sessions = 0;
    std::uint64_t leaf = 0;  ///< where there were sessions
    crypto::Secret leaf_key{};
  };
  using EndedDone = std::move_only_function<void(std::expected<EndedSessions, KeystoreRefusal>)>;
  void end_sessions(std::variant<std::string, base::Digest32> whose, const std::string& token, EndedDone done);
  KeystoreSessions& sessions() noexcept { return parts_.sessions; }

  // -- secrets
  void decrypt(KeystoreDecrypt asked, KeystoreRecipient to, base::Deadline deadline, KeystoreDone done);
  /// What is stored under a name, for its owner to change; nothing when nothing is. The key must be one of the owner's.
  using OpenedDone =
      std::move_only_function<void(std::expected<std::shared_ptr<const crypto::Secret>, KeystoreRefusal>)>;
  void open_for_owner(const KeystoreSecretName& name, chain::near::PublicKey key, base::Deadline deadline,
                      OpenedDone done);
  /// A blob of the first generation, for the one key that it has.
  void decrypt_v0(base::Bytes blob, KeystoreRecipient to, KeystoreDone done);
  std::expected<std::array<std::uint8_t, 32>, KeystoreRefusal> v0_public_key() const;
  /// X25519, for a seed under a vault's master or the default one; with a leaf for whoever has a token.
  /// `plaintext` is JSON: {"pubkey"} in hex; of our own blobs {"pubkey","version":3,"epoch","key_id"}.
  void public_key(const keystore::Seed& seed, std::string_view vault, KeystoreBlob blob, KeystoreRecipient to,
                  KeystoreDone done);
  /// What a caller opens or closes under a seed of its own, or derives from it: with a leaf of that type about `what`.
  void release(std::string_view type, std::map<std::string, std::string> what, KeystoreRecipient to,
               crypto::Secret plaintext, KeystoreDone done) const;
  /// Of the default vault with an empty name; in the words of the wire. Where a DAO says which vaults are served, who
  /// asks for one has looked at it before (KeystoreVaults::look).
  std::expected<MasterPtr, KeystoreRefusal> master(std::string_view vault) const;
  /// Of wallets and of keys of vaults: of the same epoch for ever (KeystoreMasters::wallets), because an address that
  /// holds something cannot follow a rotation.
  std::expected<MasterPtr, KeystoreRefusal> wallet_master(std::string_view vault) const;
  std::expected<crypto::Secret, KeystoreRefusal> open_blob(const keystore::Seed& seed, std::string_view vault,
                                                           base::ByteView blob) const;
  std::expected<base::Bytes, KeystoreRefusal> seal_blob(const keystore::Seed& seed, std::string_view vault,
                                                        base::ByteView plaintext) const;

  KeystoreMasters& masters() noexcept { return parts_.masters; }
  KeystoreChain* chain() const noexcept { return parts_.chain; }
  const KeystoreRules& rules() const noexcept { return rules_; }
  const KeystoreEvidence& evidence() const noexcept { return parts_.evidence; }

 private:
  struct Opened {
    KeystoreFound secret;
    std::string master;  ///< MasterInUse::id
    std::shared_ptr<const crypto::Secret> plaintext;
    std::size_t bytes = 0;
  };
  struct Sealing {
    std::uint32_t epoch = 0;
    std::shared_ptr<const keystore::SealingKey> key;
  };
  std::expected<Sealing, KeystoreRefusal> sealing(const keystore::Seed& seed, std::string_view vault,
                                                  KeystoreBlob blob) const;
  struct Registering;
  /// Whether the settings would admit it today.
  bool admissible(const KeystoreSession& session) const;
  KeystoreService(KeystoreParts parts, KeystoreRules rules) : parts_(std::move(parts)), rules_(std::move(rules)) {}
  std::expected<MasterInUse, KeystoreRefusal> in_use(std::string_view vault) const;
  std::expected<MasterInUse, KeystoreRefusal> of_wallets(std::string_view vault) const;
  void forget();
  void decrypt_at(const std::shared_ptr<KeystoreDecrypt>& asked, const std::string& arguments, const KeystoreView& view,
                  KeystoreRecipient to, base::Deadline deadline, bool may_wait, KeystoreDone done);
  void give(const KeystoreDecrypt& asked, const std::string& arguments, const KeystoreView& view, KeystoreRecipient to,
            KeystoreDone done);
  std::expected<base::Done, KeystoreRefusal> may_use(std::string_view vault) const;
  std::expected<std::shared_ptr<const crypto::Secret>, KeystoreRefusal> open_stored(const KeystoreDecrypt& asked,
                                                                                    const std::string& arguments,
                                                                                    const KeystoreFound& secret);
  std::vector<std::string> next_round();
  void looked_at(const std::string& key);
  base::Result<std::size_t> end_of_key(const std::string& text, base::Deadline deadline);
  audit::Leaf ended_leaf(const crypto::Secret& key, std::string_view worker, std::string_view token) const;
  void verify_registration(std::shared_ptr<Registering> job) const;
  void keep_registration(std::shared_ptr<Registering> job, std::optional<VerifiedWorker> worker) const;

  const KeystoreParts parts_;
  const KeystoreRules rules_;
  mutable keystore::SealingKeyCache keys_;
  mutable base::Mutex mutex_;
  std::unordered_map<std::string, Opened> opened_ ATTESTRY_GUARDED_BY(mutex_);
  std::size_t opened_bytes_ ATTESTRY_GUARDED_BY(mutex_) = 0;
  std::map<std::string, base::Deadline> looked_ ATTESTRY_GUARDED_BY(mutex_);  ///< at workers' keys
  std::string last_looked_ ATTESTRY_GUARDED_BY(mutex_);
};

}  // namespace attestry::secrets
