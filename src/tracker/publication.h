// What the ledger knows of members, on a chain: every write of a tracker's reputation goes through here. A member's
// sums there are those from before this ledger (of former trackers, or what an operator has set) and the ledger's,
// whatever is interrupted in between. docs/reference/reputation-contract.md
#pragma once
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
#include "chain/transaction.h"
#include "state/store.h"
#include "tracker/ledger.h"
#include "tracker/reputation_contract.h"

namespace attestry::tracker {

/// For chain::SenderOptions::before_sending: a leaf `tracker.contract` for every transaction, before it is sent
/// (docs/formats/pbts.md). Store, log and clock outlive it. Not for threads of the store.
std::function<base::Status(const chain::SignedTransaction&)> logged_transactions(state::Store& store, audit::Log& log,
                                                                                 const base::Clock& clock);

/// An effect that a quorum does not see is none, whatever a receipt says: `conflict`.
base::Error unseen_effect(const chain::Receipt& receipt, std::string_view expected);

/// What stands for a password in the entries that publish() makes: SHA-256 of the member's public key, so that a
/// successor knows whose they are.
chain::Word member_hash(const KeyBytes& key);

struct Publication {
  std::uint64_t downloaded = 0, uploaded = 0;  ///< bytes, on the chain
  std::optional<chain::Receipt> receipt{};     ///< of the last transaction; none: nothing was to be written
};

/// What a member has from before this ledger: of former trackers, or what an operator has set beyond the ledger's.
/// Bytes.
struct FormerSums {
  std::uint64_t uploaded = 0, downloaded = 0;
  friend bool operator==(const FormerSums&, const FormerSums&) = default;
};
/// Of both together.
Ratio ratio_of(const Member& member, const FormerSums& former) noexcept;

/// Thread-safe; everything that it is given outlives it. What is sent blocks, and one waits for the other: not for
/// workers that answer announces. Errors of all that send: those of ReputationChain, and `conflict` for an effect that
/// a quorum does not see.
class Publisher {
 public:
  /// `account`: whose transactions they are. Reads what is known of former sums; errors: the store's, `corrupt`.
  static base::Result<std::unique_ptr<Publisher>> open(const ReputationChain& chain, const Ledger& ledger,
                                                       state::Store& store, const chain::Address& account);

  /// An operator adds a member: the sizes are from before this ledger, which what it has is added to.
  base::Result<chain::Receipt> add(const chain::Address& at, const ReputationUser& user, base::Deadline deadline);
  /// An operator says what a member's sums are now, with all that the ledger has; publish() goes on from there.
  base::Result<chain::Receipt> update(const chain::Address& at, const std::string& username, std::uint64_t down,
                                      std::uint64_t up, base::Deadline deadline);
  /// Anybody may have that done. An outage after it has been done is an error, too: what the member has from before is
  /// then known once he is recalled.
  base::Result<chain::Receipt> migrate(const chain::Address& at, const std::string& username, base::Deadline deadline);

  /// Writes what the ledger has of a member. Who is not there yet is taken over from the referrer, and where that does
  /// not have him, added. Never lowers what is there. Errors besides: `not_found` (no such member here), `denied` (the
  /// entry of that name is another key's, and no operator has set it; the referrer is not trusted; or the contract is
  /// another account's), `conflict` (it has more than the ledger, or an entry that is not final).
  base::Result<Publication> publish(const chain::Address& at, const std::string& user_id, base::Deadline deadline);
  /// At most `most` members, by their names, above `after`, of whose sums `least` bytes (down and up together) and one
  /// at least are not on the chain.
  base::Result<std::vector<std::string>> due(const chain::Address& at, std::string_view after, std::size_t most,
                                             std::uint64_t least = 0) const;

  // -- what is from before

  /// From memory; takes a lock shortly. What announces ask for.
  FormerSums former(const Member& member) const;
  /// The same, read from the chain where it is not known for good: what his entry has, and where he has none, what a
  /// migration would bring now. Kept in the store. Sends nothing and waits for nothing that is sent, but for the chain.
  /// What is known stays when nothing can be learned: an outage is an error and changes nothing; nor does a referrer
  /// that is not trusted at the moment. Errors besides: `denied` (the contract is another account's, which changes
  /// nothing, either), `not_found` (no such member here).
  base::Result<FormerSums> recall(const chain::Address& at, const std::string& user_id, base::Deadline deadline);
  /// Whether recall() has nothing to ask the chain for: what is from before is known for good, or there is no such
  /// member. False when the store does not say.
  bool is_settled(const std::string& user_id) const;

 private:
  struct Sums;
  struct Recalled;
  struct Account;
  struct Stored;
  Publisher(const ReputationChain& chain, const Ledger& ledger, state::Store& store, const chain::Address& account)
      : chain_(chain), ledger_(ledger), store_(store), account_(account) {}
  base::Status load_former();
  void remember(std::string_view user_id, const chain::Word& member, const FormerSums& sums);
  base::Status remember_stored(std::string_view user_id);
  base::Status write(std::string_view user_id, state::Store::Closure closure, base::Deadline deadline);
  base::Result<Stored> learned(const chain::Address& at, const Member& member, const ReputationLookup& found,
                               const Stored& before) const;
  base::Error of_another(const chain::Address& at, const chain::Address& owner) const;
  static base::Result<std::optional<Account>> load(const state::ReadView& view, std::string_view user_id);
  static base::Result<Stored> load_all(const state::ReadView& view, std::string_view user_id);
  base::Result<Stored> load_all(std::string_view user_id) const;
  base::Result<std::optional<Account>> load(std::string_view user_id) const;
  static base::Status put(state::WriteTxn& txn, std::string_view user_id, const std::optional<Account>& account);
  base::Status keep(std::string_view user_id, const std::optional<Account>& account, base::Deadline deadline);
  static std::optional<Account> without_addition(std::optional<Account> before, const chain::Address& at);
  base::Result<chain::Address> referrer_of_ours(const chain::Address& at, base::Deadline deadline) const;
  base::Result<std::optional<ReputationUser>> take_over(const chain::Address& at, const chain::Address& referrer,
                                                        const std::string& user_id,
                                                        std::optional<chain::Receipt>& receipt,
                                                        base::Deadline deadline);
  base::Result<Publication> add_new(const chain::Address& at, const Member& member,
                                    const std::optional<Account>& before, base::Deadline deadline);
  static base::Result<Account> settled(const chain::Address& at, const Member& member,
                                       const std::optional<Account>& before, const ReputationUser& found);
  base::Result<Account> settle(const chain::Address& at, const Member& member, const std::optional<Account>& before,
                               const ReputationUser& found, base::Deadline deadline);
  base::Result<chain::Receipt> send_update(const chain::Address& at, const std::string& username, const Sums& sums,
                                           base::Deadline deadline) const;

  const ReputationChain& chain_;
  const Ledger& ledger_;
  state::Store& store_;
  const chain::Address account_;
  base::Mutex writing_;
  struct Known {
    chain::Word member{};  ///< member_hash()
    FormerSums sums{};
  };
  base::Mutex remembering_;  ///< over a look at the store and what follows from it in memory
  mutable base::Mutex knowing_;
  /// Of those who have any.
  std::map<std::string, Known, std::less<>> known_ ATTESTRY_GUARDED_BY(knowing_);
};

}  // namespace attestry::tracker
