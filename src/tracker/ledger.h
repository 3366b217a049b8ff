// Members of a tracker, what they have given and taken, and the receipts that say so: registration and reports, durable
// when they are answered. PBTS sections 4 and 5; docs/formats/pbts.md
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "audit/log.h"
#include "base/mutex.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/random.h"
#include "state/store.h"
#include "tracker/receipt.h"
#include "tracker/receipt_batch.h"
#include "tracker/spent.h"

namespace attestry::tracker {

/// How a member has shown that it has its key's secret.
enum class KeyProof : std::uint8_t {
  none = 0,        ///< only with LedgerOptions::unproven_keys
  possession = 1,  ///< a proof of possession of the ciphersuite, with LedgerOptions::unbound_proofs or evidence
  signature = 2,   ///< a signature of "register" ‖ instance id in hex ‖ user id
};

struct Member {
  std::string user_id;
  KeyBytes key{};
  std::uint64_t uploaded = 0;    ///< bytes
  std::uint64_t downloaded = 0;  ///< bytes
  base::UtcTime registered{};
  KeyProof proof = KeyProof::none;
  std::optional<base::Digest32> evidence{};  ///< SHA-256 of the evidence that named the key, for attested members
};

/// uploaded / downloaded; 1 when both are zero, infinite when only the second is (section 4).
struct Ratio {
  bool infinite = false;
  double value = 0;  ///< 0 when it is infinite
};
Ratio ratio_of(std::uint64_t uploaded, std::uint64_t downloaded) noexcept;

/// What "register" signs: for clients, and for those who check it.
base::Bytes registration_message(const InstanceId& instance, std::string_view user_id);

struct Registration {
  std::string user_id;  ///< 1 to 128 bytes of UTF-8 without control characters
  base::Bytes public_key;
  std::optional<base::Bytes> proof_of_possession{};
  std::optional<base::Bytes> signature{};
  std::optional<base::Digest32> evidence{};  ///< of evidence that the caller has appraised, and that names this key
};

struct Report {
  std::string user_id;
  std::optional<KeyBytes> public_key{};  ///< the registered one, if it is given
  /// What could not be read is refused in its place.
  std::vector<base::Result<Receipt>> receipts{};
  /// Bytes; count only while signatures are not verified, and no receipt is credited.
  std::uint64_t claimed_upload = 0, claimed_download = 0;
  std::string customer{};  ///< whom SpentAuthority::claim() takes it for
};

struct RefusedReceipt {
  std::size_t index = 0;  ///< in the report
  Refusal reason = Refusal::malformed;
  std::string detail{};  ///< of `malformed`: which member
};

/// The leaf of the log that stands for a change; `key` opens its commitments.
struct LedgerLeaf {
  std::uint64_t index = 0;
  base::Digest32 key{};
};

struct Enrolment {
  Member member;
  LedgerLeaf leaf{};
};

struct ReportOutcome {
  Member member;                          ///< the reporter, afterwards
  std::uint64_t credited = 0;             ///< bytes, of this report
  std::size_t submitted = 0;              ///< receipts
  std::size_t accepted = 0;               ///< of them credited
  std::size_t verified = 0;               ///< of them verified: all, or none while signatures are not verified
  std::vector<RefusedReceipt> refused{};  ///< ascending
  std::optional<LedgerLeaf> leaf{};       ///< none when nothing changed
};

/// What an operator changes at run time (/config); kept in the store.
struct LedgerConfig {
  bool verify_signatures = true;
  std::int64_t window = 3600;  ///< seconds, 60 to 604,800
  friend bool operator==(const LedgerConfig&, const LedgerConfig&) = default;
};

struct LedgerOptions {
  /// Of a store that has none yet: derived from the root, so that it is the application's. Else random.
  std::optional<InstanceId> instance_id{};
  LedgerConfig config{};       ///< of a store that has none yet
  bool unproven_keys = false;  ///< registration without a proof, as PBTS had it
  /// A proof of possession is enough: whoever has seen one elsewhere registers that key under a name of his own.
  bool unbound_proofs = false;
  std::int64_t skew = 60;                     ///< seconds
  std::uint32_t max_piece_size = 16U << 20U;  ///< bytes, where nothing is known of a torrent
  std::size_t max_receipts = 1000;            ///< in a report
  std::size_t max_members = 1'000'000;
  /// What is known of the receipt's torrent, or nullopt when nothing speaks against it; an error says nothing of the
  /// receipt, and the report is not taken. Sets the size of a receipt that does not sign one. Called from any thread.
  std::function<base::Result<std::optional<Refusal>>(Receipt&)> torrents{};
  /// Only those that sign size, receiver and tracker (ReceiptForm::bound).
  bool bound_receipts_only = false;
  SpentAuthority* shared = nullptr;  ///< asked before a credit, for several instances; outlives the ledger
};

struct LedgerStats {
  std::size_t members = 0;
  std::uint64_t spent = 0;  ///< receipts that are remembered
};

/// Thread-safe. Functions with a `done` answer there: before they return, on the store's thread (be short), or on the
/// authority's. Errors that all of them can give: `unavailable` when the store, the log, the clock or the authority is
/// away, and nothing was credited then.
class Ledger {
 public:
  template <class T>
  using Completion = std::move_only_function<void(base::Result<T>)>;

  /// The store, the log and the randomness outlive it, and it outlives every report, registration and change that has
  /// begun. Errors: `configuration`, `corrupt`, `io`, `malformed` (the window), `unavailable`.
  static base::Result<std::unique_ptr<Ledger>> open(state::Store& store, audit::Log& log, crypto::Random& random,
                                                    LedgerOptions options);

  /// The same for ever.
  const InstanceId& instance_id() const noexcept { return instance_; }
  LedgerConfig config() const;
  /// What receipts are judged by now.
  ReceiptRules rules() const;
  /// Error `malformed` for a window out of range.
  void configure(LedgerConfig config, Completion<LedgerLeaf> done);

  /// What enrol() says of a registration by itself, before evidence is looked at that will come with it: evidence costs
  /// time, and its nonce is good once. Errors: `malformed`, `unauthenticated`, `conflict`. Computes, about 1 ms.
  base::Status check_before_evidence(const Registration& registration) const;
  /// Errors: `malformed` (user id, key), `unauthenticated` (no proof, or a wrong one), `conflict` (the user id or the
  /// key is there already), `too_large` (no more members). Computes in the calling thread, about 1 ms.
  void enrol(Registration registration, Completion<Enrolment> done);

  /// Credits the sender and debits the receiver for every receipt that stands. Errors: `not_found` (no such member),
  /// `denied` (another public key), `too_large` (too many receipts); bad receipts are no error. Verifies in the calling
  /// thread and through `parallel`: for a lane, not for a loop of events.
  void report(Report report, Completion<ReportOutcome> done, const Parallel& parallel = one_after_another);

  /// From memory; takes a lock shortly. What announces ask for.
  std::optional<Member> member(std::string_view user_id) const;
  base::Result<LedgerStats> stats() const;
  /// The user ids of all members, in no order.
  std::vector<std::string> user_ids() const;

 private:
  struct Settlement;
  struct Candidate;

  Ledger(state::Store& store, audit::Log& log, crypto::Random& random, LedgerOptions options);
  base::Status load_state();
  base::Status load_members();
  base::Result<KeyProof> check_proof(const Registration& registration, const curves::bls::PublicKey& key,
                                     bool with_evidence) const;
  base::Result<std::vector<Candidate>> candidates(Report& report, const Member& reporter,
                                                  std::vector<RefusedReceipt>& refused);
  base::Result<std::optional<Refusal>> refused_here(Receipt& receipt, const Member& reporter, const ReceiptRules& by,
                                                    base::UtcTime now) const;
  base::Status drop_spent(std::vector<Candidate>& candidates, std::vector<RefusedReceipt>& refused) const;
  base::Status drop_forged(std::vector<Candidate>& candidates, std::vector<RefusedReceipt>& refused,
                           const Parallel& parallel);
  void claim_and_settle(const std::shared_ptr<Settlement>& settlement, Completion<ReportOutcome> done);
  void settle(const std::shared_ptr<Settlement>& settlement, Completion<ReportOutcome> done);
  base::Status credit(state::WriteTxn& txn, Settlement& settlement) const;
  audit::Leaf new_leaf(std::string_view type, base::UtcTime now) const;
  std::optional<Member> by_key(const KeyBytes& key) const;
  /// After a commit. Totals only grow, so that the order of completions does not matter.
  void remember(const Member& member);

  state::Store& store_;
  audit::Log& log_;
  crypto::Random& random_;
  const LedgerOptions options_;
  InstanceId instance_{};
  KeyCache keys_;
  mutable base::Mutex mutex_;
  LedgerConfig config_ ATTESTRY_GUARDED_BY(mutex_);
  // Ordered: strangers choose these names, and could choose what meets in a table of hashes.
  std::map<std::string, Member, std::less<>> members_ ATTESTRY_GUARDED_BY(mutex_);
  std::map<KeyBytes, std::string> by_key_ ATTESTRY_GUARDED_BY(mutex_);
  std::size_t enrolling_ ATTESTRY_GUARDED_BY(mutex_) = 0;  ///< on their way into the store, each with a place
};

}  // namespace attestry::tracker
