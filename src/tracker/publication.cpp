#include "tracker/publication.h"

#include <algorithm>
#include <limits>

#include "base/encoding.h"
#include "base/reader.h"
#include "crypto/hash.h"
#include "state/keys.h"
#include "state/scan.h"
#include "state/spaces.h"

namespace attestry::tracker {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using chain::Address;
using Mined = chain::Receipt;
using chain::Word;

namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::uint64_t kMost = std::numeric_limits<std::int64_t>::max();
constexpr std::chrono::seconds kPatienceWithStore{30};

state::Key accounts() { return state::Key(state::Space::tracker_members).u8(3); }
state::Key account_key(std::string_view user_id) { return accounts().lp(user_id); }
/// What former contracts have of members whose accounts are not settled yet.
state::Key all_recalled() { return state::Key(state::Space::tracker_members).u8(4); }
state::Key recalled_key(std::string_view user_id) { return all_recalled().lp(user_id); }

/// The user id at the end of one of these keys.
Result<std::string> user_of(base::ByteView key, const state::Key& prefix) {
  base::Reader in{key.subspan(prefix.bytes().size())};
  TRY(const auto name, in.lp("user id", key.size()));
  TRY_OK(in.finish("key of published sums"));
  return std::string{name.begin(), name.end()};
}

Error too_large(std::string_view user_id) {
  return Error{Code::too_large, "the sums of " + std::string{user_id}, "below 2^63 bytes"};
}

}  // namespace

struct Publisher::Sums {
  std::uint64_t down = 0, up = 0;
  friend bool operator==(const Sums&, const Sums&) = default;
};

/// How an entry's sums follow from the ledger's: base and ledger.
struct Publisher::Account {
  Address contract{};
  bool adding = false;            ///< the entry was about to be added, with `seen`
  std::int64_t down = 0, up = 0;  ///< base: from before this ledger; below zero where an operator set less
  Sums seen{};                    ///< of the ledger, in what the entry has
  Word member{};                  ///< member_hash() of whom the entry is for; zeros: nobody was here then
  friend bool operator==(const Account&, const Account&) = default;

  /// What the base is does not depend on the contract.
  bool knows_base_of(const Word& whose) const noexcept { return !adding && member == whose && member != Word{}; }
  bool holds(const Address& at, const Word& whose) const noexcept { return contract == at && knows_base_of(whose); }
  /// Where it is known, and an operator who has set less has taken nothing away from this ledger.
  FormerSums former() const noexcept {
    const auto some = [](std::int64_t base) { return static_cast<std::uint64_t>(std::max<std::int64_t>(base, 0)); };
    return {.uploaded = some(up), .downloaded = some(down)};
  }
  static Result<Account> decode(base::ByteView stored);
  /// As if never added: a reorganisation has dropped the entry, and its transaction may come back.
  Account dropped() const {
    Account out = *this;
    out.contract = {};
    return out;
  }

  /// What the entry is to have.
  Result<Sums> with(const Sums& ledger, std::string_view user_id) const {
    const auto sum = [&](std::int64_t base, std::uint64_t more) -> Result<std::uint64_t> {
      std::int64_t out = 0;
      if (more > kMost || __builtin_add_overflow(base, static_cast<std::int64_t>(more), &out))
        return too_large(user_id);
      return out < 0 ? 0 : static_cast<std::uint64_t>(out);
    };
    Sums out;
    TRY(out.down, sum(down, ledger.down));
    TRY(out.up, sum(up, ledger.up));
    return out;
  }
  /// Settled: this is what the entry has, `ledger` included.
  static Result<Account> at(const Address& contract, const Sums& entry, const Sums& ledger, const Word& member,
                            std::string_view user_id) {
    if (std::max({entry.down, entry.up, ledger.down, ledger.up}) > kMost) return too_large(user_id);
    return Account{.contract = contract,
                   .down = static_cast<std::int64_t>(entry.down) - static_cast<std::int64_t>(ledger.down),
                   .up = static_cast<std::int64_t>(entry.up) - static_cast<std::int64_t>(ledger.up),
                   .seen = ledger,
                   .member = member};
  }
};

/// What a former contract has of a member, as long as he is not taken over from it; then his account says what counts.
struct Publisher::Recalled {
  Address referrer{};  ///< of the contract, at that time
  Word member{};       ///< member_hash()
  FormerSums sums{};
  friend bool operator==(const Recalled&, const Recalled&) = default;

  base::Bytes bytes() const {
    return state::value(kVersion).raw(referrer).raw(member).u64(sums.downloaded).u64(sums.uploaded).bytes();
  }
  static Result<Recalled> decode(base::ByteView stored) {
    TRY(base::Reader in, state::open_value(stored, kVersion, "sums of a former tracker"));
    Recalled out;
    TRY(out.referrer, in.take_array<20>("referrer"));
    TRY(out.member, in.take_array<32>("member"));
    TRY(out.sums.downloaded, in.u64be("down"));
    TRY(out.sums.uploaded, in.u64be("up"));
    TRY_OK(in.finish("sums of a former tracker"));
    return out;
  }
};

/// What the store has of a member.
struct Publisher::Stored {
  std::optional<Account> account{};
  std::optional<Recalled> recalled{};
  friend bool operator==(const Stored&, const Stored&) = default;
};

Ratio ratio_of(const Member& member, const FormerSums& former) noexcept {
  const auto sum = [](std::uint64_t a, std::uint64_t b) {
    return a > std::numeric_limits<std::uint64_t>::max() - b ? std::numeric_limits<std::uint64_t>::max() : a + b;
  };
  return ratio_of(sum(member.uploaded, former.uploaded), sum(member.downloaded, former.downloaded));
}

std::function<Status(const chain::SignedTransaction&)> logged_transactions(state::Store& store, audit::Log& log,
                                                                           const base::Clock& clock) {
  return [&store, &log, &clock](const chain::SignedTransaction& made) -> Status {
    audit::Leaf leaf;
    leaf.type = "tracker.contract";
    leaf.realm = store.realm();
    leaf.audience = log.origin();
    leaf.time = store.now();
    leaf.reply = base::hex(crypto::sha256(made.raw));
    return store.write_and_wait(
        [&](state::WriteTxn& txn) -> Status {
          TRY_OK(log.append(txn, leaf));
          return base::done();
        },
        clock.steady() + kPatienceWithStore);
  };
}

Error unseen_effect(const Mined& receipt, std::string_view expected) {
  return Error{
      Code::conflict,
      "the transaction 0x" + base::hex(receipt.transaction) + " is in the chain, but the contract does not say so",
      std::string{expected},
      {},
      "Ask /contract/user, and other endpoints, before it is sent again."};
}

Word member_hash(const KeyBytes& key) { return crypto::sha256(key); }

Result<std::unique_ptr<Publisher>> Publisher::open(const ReputationChain& chain, const Ledger& ledger,
                                                   state::Store& store, const Address& account) {
  std::unique_ptr<Publisher> out{new Publisher(chain, ledger, store, account)};
  TRY_OK(out->load_former(), "sums of former trackers");
  return out;
}

Result<Publisher::Account> Publisher::Account::decode(base::ByteView stored) {
  TRY(base::Reader in, state::open_value(stored, kVersion, "published sums"));
  Account out;
  TRY(out.contract, in.take_array<20>("contract"));
  TRY(const auto adding, in.u8("adding"));
  if (adding > 1) return Error{Code::corrupt, "published sums: an unknown state"};
  out.adding = adding == 1;
  TRY(const auto down, in.u64be("base, down"));
  TRY(const auto up, in.u64be("base, up"));
  out.down = static_cast<std::int64_t>(down);
  out.up = static_cast<std::int64_t>(up);
  TRY(out.seen.down, in.u64be("ledger, down"));
  TRY(out.seen.up, in.u64be("ledger, up"));
  TRY(out.member, in.take_array<32>("member"));
  TRY_OK(in.finish("published sums"));
  return out;
}

Result<std::optional<Publisher::Account>> Publisher::load(const state::ReadView& view, std::string_view user_id) {
  TRY(const auto stored, view.get(account_key(user_id)));
  if (!stored) return std::optional<Account>{};
  TRY(const auto account, Account::decode(*stored));
  return std::optional{account};
}

Result<Publisher::Stored> Publisher::load_all(const state::ReadView& view, std::string_view user_id) {
  Stored out;
  TRY(out.account, load(view, user_id));
  TRY(const auto recalled, view.get(recalled_key(user_id)));
  if (recalled) {
    TRY(out.recalled, Recalled::decode(*recalled));
  }
  return out;
}

Result<Publisher::Stored> Publisher::load_all(std::string_view user_id) const {
  TRY(const auto view, store_.read());
  return load_all(*view, user_id);
}

Result<std::optional<Publisher::Account>> Publisher::load(std::string_view user_id) const {
  TRY(const auto view, store_.read());
  return load(*view, user_id);
}

Status Publisher::put(state::WriteTxn& txn, std::string_view user_id, const std::optional<Account>& account) {
  if (!account) return txn.erase(account_key(user_id));
  if (account->knows_base_of(account->member)) TRY_OK(txn.erase(recalled_key(user_id)));
  return txn.put(account_key(user_id), state::value(kVersion)
                                           .raw(account->contract)
                                           .u8(account->adding ? 1 : 0)
                                           .u64(static_cast<std::uint64_t>(account->down))
                                           .u64(static_cast<std::uint64_t>(account->up))
                                           .u64(account->seen.down)
                                           .u64(account->seen.up)
                                           .raw(account->member)
                                           .bytes());
}

Status Publisher::write(std::string_view user_id, state::Store::Closure closure, base::Deadline deadline) {
  const auto written = store_.write_and_wait(std::move(closure), deadline);
  // Whatever is said of the write: the data may be there (state/store.h).
  const auto seen = remember_stored(user_id);
  TRY_OK(written);
  return seen;
}

Status Publisher::keep(std::string_view user_id, const std::optional<Account>& account, base::Deadline deadline) {
  return write(user_id, [&](state::WriteTxn& txn) { return put(txn, user_id, account); }, deadline);
}

// -- what is from before

Status Publisher::load_former() {
  constexpr auto kAll = std::numeric_limits<std::size_t>::max();
  TRY(const auto view, store_.read());
  TRY_OK(state::scan_each(*view, all_recalled(), kAll, [this](base::ByteView key, base::ByteView value) -> Status {
    TRY(const auto name, user_of(key, all_recalled()));
    TRY(const auto recalled, Recalled::decode(value));
    remember(name, recalled.member, recalled.sums);
    return base::done();
  }));
  return state::scan_each(*view, accounts(), kAll, [this](base::ByteView key, base::ByteView value) -> Status {
    TRY(const auto name, user_of(key, accounts()));
    TRY(const auto account, Account::decode(value));
    if (account.knows_base_of(account.member)) remember(name, account.member, account.former());
    return base::done();
  });
}

void Publisher::remember(std::string_view user_id, const Word& member, const FormerSums& sums) {
  const base::MutexLock lock(knowing_);
  if (sums != FormerSums{}) {
    known_.insert_or_assign(std::string{user_id}, Known{.member = member, .sums = sums});
  } else if (const auto found = known_.find(user_id); found != known_.end()) {
    known_.erase(found);
  }
}

/// Of two at a time, the one that has looked later writes later.
Status Publisher::remember_stored(std::string_view user_id) {
  const base::MutexLock lock(remembering_);
  TRY(const auto stored, load_all(user_id));
  const auto& [account, recalled] = stored;
  if (account && account->knows_base_of(account->member)) {
    remember(user_id, account->member, account->former());
  } else {
    remember(user_id, recalled ? recalled->member : Word{}, recalled ? recalled->sums : FormerSums{});
  }
  return base::done();
}

FormerSums Publisher::former(const Member& member) const {
  const base::MutexLock lock(knowing_);
  const auto found = known_.find(member.user_id);
  if (found == known_.end() || found->second.member != member_hash(member.key)) return {};
  return found->second.sums;
}

bool Publisher::is_settled(const std::string& user_id) const {
  const auto member = ledger_.member(user_id);
  if (!member) return true;
  const auto account = load(user_id);
  return account && *account && (*account)->knows_base_of(member_hash(member->key));
}

/// What the store is to have after that look at the chain.
Result<Publisher::Stored> Publisher::learned(const Address& at, const Member& member, const ReputationLookup& found,
                                             const Stored& before) const {
  const Word whose = member_hash(member.key);
  const auto& account = before.account;
  Stored out{.account = account};
  if (found.own && found.own->password_hash == whose) {
    TRY(out.account, settled(at, member, account, *found.own));
    return out;
  }
  const auto& old = before.recalled;
  // An owner who names another referrer, or none, takes back what the one before has said.
  if (old && old->member == whose && old->referrer == found.referrer && !found.own) out.recalled = old;
  if (!found.former) return out;
  const Sums entry{found.former->download_size, found.former->upload_size};
  if (std::max(entry.down, entry.up) > kMost) return too_large(member.user_id);
  out.recalled.reset();
  // An addition of our own whose end nobody saw, to a contract that this one follows, is not from before.
  const bool added_here = account && account->adding && account->member == whose && account->seen == entry;
  if (found.former->password_hash == whose && !added_here)
    out.recalled = Recalled{found.referrer, whose, {.uploaded = entry.up, .downloaded = entry.down}};
  return out;
}

Result<FormerSums> Publisher::recall(const Address& at, const std::string& user_id, base::Deadline deadline) {
  const auto member = ledger_.member(user_id);
  if (!member) return Error{Code::not_found, "User not registered"};
  // Not in turn with what is sent, which may take hours: what has been stored in the meantime stays, and is looked at
  // again.
  for (bool overtaken = true; overtaken;) {
    TRY(const auto before, load_all(user_id));
    overtaken = false;
    if (before.account && before.account->knows_base_of(member_hash(member->key))) break;
    TRY(const auto found, chain_.look_up(at, user_id, deadline));
    // Whoever has it now may have written in it what he likes.
    if (found.owner != account_) return of_another(at, found.owner);
    TRY(const auto now, learned(at, *member, found, before));
    if (now == before) break;
    const auto unless_overtaken = [&](state::WriteTxn& txn) -> Status {
      TRY(const auto there, load_all(txn, user_id));
      overtaken = there != before;
      if (overtaken) return base::done();
      if (now.account != before.account) return put(txn, user_id, now.account);
      return now.recalled ? txn.put(recalled_key(user_id), now.recalled->bytes()) : txn.erase(recalled_key(user_id));
    };
    TRY_OK(write(user_id, unless_overtaken, deadline));
  }
  TRY_OK(remember_stored(user_id));
  return former(*member);
}

// -- what operators say

Result<Mined> Publisher::add(const Address& at, const ReputationUser& user, base::Deadline deadline) {
  const base::MutexLock one_at_a_time(writing_);
  const auto member = ledger_.member(user.username);
  TRY(const auto account, Account::at(at, {user.download_size, user.upload_size}, {},
                                      member ? member_hash(member->key) : Word{}, user.username));
  TRY(const auto receipt, chain_.add(at, user, deadline));
  TRY(const auto found, chain_.read(at, user.username, deadline, receipt.block));
  if (found != user) return unseen_effect(receipt, "the member as it was sent");
  TRY_OK(keep(user.username, account, deadline));
  return receipt;
}

Result<Mined> Publisher::send_update(const Address& at, const std::string& username, const Sums& sums,
                                     base::Deadline deadline) const {
  TRY(const auto receipt, chain_.update(at, username, sums.down, sums.up, deadline));
  TRY(const auto found, chain_.read(at, username, deadline, receipt.block));
  if (!found || Sums{found->download_size, found->upload_size} != sums)
    return unseen_effect(receipt, "the sums as they were sent");
  return receipt;
}

Result<Mined> Publisher::update(const Address& at, const std::string& username, std::uint64_t down, std::uint64_t up,
                                base::Deadline deadline) {
  const base::MutexLock one_at_a_time(writing_);
  const auto member = ledger_.member(username);
  const Sums ledger = member ? Sums{member->downloaded, member->uploaded} : Sums{};
  TRY(const auto account, Account::at(at, {down, up}, ledger, member ? member_hash(member->key) : Word{}, username));
  TRY(const auto receipt, send_update(at, username, {down, up}, deadline));
  TRY_OK(keep(username, account, deadline));
  return receipt;
}

Result<Mined> Publisher::migrate(const Address& at, const std::string& username, base::Deadline deadline) {
  const base::MutexLock one_at_a_time(writing_);
  TRY(const auto receipt, chain_.migrate(at, username, deadline));
  TRY(const auto found, chain_.read(at, username, deadline, receipt.block));
  if (!found) return unseen_effect(receipt, "the member");
  const auto member = ledger_.member(username);
  if (!member || found->password_hash != member_hash(member->key)) return receipt;
  // In one that is another's, it is moved and not believed.
  TRY(const auto standing, chain_.standing(at, deadline, receipt.block),
      "moved by the transaction 0x" + base::hex(receipt.transaction) + ", but who has the contract is not known");
  if (standing.owner != account_) return receipt;
  TRY(const auto before, load(username));
  TRY_OK(settle(at, *member, without_addition(before, at), *found, deadline));
  return receipt;
}

// -- what the ledger says

/// Of a member who was taken over just now: what was to be added there was not, or he could not have been.
std::optional<Publisher::Account> Publisher::without_addition(std::optional<Account> before, const Address& at) {
  if (before && before->adding && before->contract == at) before.reset();
  return before;
}

/// Of a contract that is another's nothing is believed: its owner writes there what he likes.
Result<Address> Publisher::referrer_of_ours(const Address& at, base::Deadline deadline) const {
  TRY(const auto standing, chain_.standing(at, deadline));
  if (standing.owner == account_) return standing.referrer;
  return of_another(at, standing.owner);
}

Error Publisher::of_another(const Address& at, const Address& owner) const {
  return Error{Code::denied, "the contract 0x" + base::hex(at) + " belongs to another account",
               "0x" + base::hex(account_), "0x" + base::hex(owner),
               "POST /contract/init takes over what was offered to this account. A change counts once its block is "
               "final."};
}

Result<std::optional<ReputationUser>> Publisher::take_over(const Address& at, const Address& referrer,
                                                           const std::string& user_id, std::optional<Mined>& receipt,
                                                           base::Deadline deadline) {
  using Found = std::optional<ReputationUser>;
  if (referrer == Address{}) return Found{};
  auto sent = chain_.migrate(at, user_id, deadline);
  if (!sent) {
    // Its own words, as the contract's tests fix them.
    const std::string why = sent.error().text();
    if (sent.error().code == Code::denied && why.contains("User not found")) return Found{};
    if (sent.error().code == Code::denied && why.contains("User exists")) {
      return Error{Code::conflict,
                   user_id + " is in the contract since a block that is not final yet",
                   {},
                   {},
                   "Publish again when it is."};
    }
    return std::move(sent).error();
  }
  TRY(auto found, chain_.read(at, user_id, deadline, sent->block));
  if (!found) return unseen_effect(*sent, "the member");
  receipt = *sent;
  return found;
}

Result<Publication> Publisher::add_new(const Address& at, const Member& member, const std::optional<Account>& before,
                                       base::Deadline deadline) {
  const Word whose = member_hash(member.key);
  Account account{.contract = at, .adding = true, .seen = {member.downloaded, member.uploaded}, .member = whose};
  // An addition that may still be mined is sent as it was: whichever of the two is mined, the sums in it are known. An
  // update brings what came since.
  if (before && before->adding && before->contract == at && before->member == whose) account.seen = before->seen;
  Sums sums = account.seen;
  if (before && before->knows_base_of(whose)) {
    // Dropped, or of another contract: with the base known, whatever is found later is told from it.
    account.adding = false;
    account.down = before->down;
    account.up = before->up;
    TRY(sums, account.with(account.seen, member.user_id));
  }
  const ReputationUser user{
      .username = member.user_id, .password_hash = whose, .download_size = sums.down, .upload_size = sums.up};
  // Before it is sent: what is found later is known to be this.
  if (account.adding) TRY_OK(keep(user.username, account, deadline));
  auto sent = chain_.add(at, user, deadline);
  if (!sent) {
    // A refusal means that nothing was added; of any other failure nothing is known. Whom somebody has moved there may
    // be recalled by now, which holds.
    const auto take_back = [&](state::WriteTxn& txn) -> Status {
      TRY(const auto now, load(txn, user.username));
      return now == account ? put(txn, user.username, before) : base::done();
    };
    if (account.adding && sent.error().code == Code::denied) TRY_OK(write(user.username, take_back, deadline));
    return std::move(sent).error();
  }
  TRY(const auto found, chain_.read(at, user.username, deadline, sent->block));
  if (found != user) return unseen_effect(*sent, "the member as it was sent");
  account.adding = false;
  TRY_OK(keep(user.username, account, deadline));
  return Publication{.downloaded = user.download_size, .uploaded = user.upload_size, .receipt = *sent};
}

/// Of an entry that no settled account is known for: what it has is from before this ledger, but for what the ledger
/// has written itself.
Result<Publisher::Account> Publisher::settled(const Address& at, const Member& member,
                                              const std::optional<Account>& before, const ReputationUser& found) {
  if (found.password_hash != member_hash(member.key)) {
    return Error{Code::denied, "the entry of " + member.user_id + " is not known to be this member's",
                 "SHA-256 of its public key, 0x" + base::hex(member_hash(member.key)),
                 "0x" + base::hex(found.password_hash),
                 "Another has that name there, or it has a password. POST /contract/update says what its sums are and "
                 "that it is this member's."};
  }
  if (before && before->knows_base_of(found.password_hash)) {
    // The entry has come here from a former contract, whenever that was.
    Account out = *before;
    out.contract = at;
    return out;
  }
  const Sums entry{found.download_size, found.upload_size};
  // An addition whose end nobody saw.
  const bool included = before && before->adding && before->seen == entry;
  return Account::at(at, entry, included ? before->seen : Sums{}, found.password_hash, member.user_id);
}

Result<Publisher::Account> Publisher::settle(const Address& at, const Member& member,
                                             const std::optional<Account>& before, const ReputationUser& found,
                                             base::Deadline deadline) {
  TRY(const Account out, settled(at, member, before, found));
  // What another contract was written to is not stored before this one has what it is to have.
  const bool known = before && before->knows_base_of(found.password_hash);
  if (!known) TRY_OK(keep(member.user_id, out, deadline));
  return out;
}

Result<Publication> Publisher::publish(const Address& at, const std::string& user_id, base::Deadline deadline) {
  const base::MutexLock one_at_a_time(writing_);
  const auto member = ledger_.member(user_id);
  if (!member) return Error{Code::not_found, "User not registered"};
  const Sums ledger{member->downloaded, member->uploaded};
  TRY(auto before, load(user_id));
  TRY(auto found, chain_.read(at, user_id, deadline));
  std::optional<Mined> receipt;
  const bool settled = before && before->holds(at, member_hash(member->key));
  Address referrer{};
  if (!settled) {
    TRY(referrer, referrer_of_ours(at, deadline));
  }
  if (!found && !settled) {
    TRY(found, take_over(at, referrer, user_id, receipt, deadline));
    if (found) before = without_addition(before, at);
    if (!found && ledger == Sums{}) return Publication{};
    if (!found) return add_new(at, *member, before, deadline);
  }
  Account account;
  if (settled) {
    account = *before;
  } else {
    TRY(account, settle(at, *member, before, *found, deadline));
  }
  TRY(const Sums wanted, account.with(ledger, user_id));
  const Publication there{.downloaded = wanted.down, .uploaded = wanted.up, .receipt = receipt};
  if (settled && account.seen == ledger) return there;
  if (!settled && Sums{found->download_size, found->upload_size} == wanted) {
    account.seen = ledger;
    TRY_OK(keep(user_id, account, deadline));
    return there;
  }
  if (found && (found->download_size > wanted.down || found->upload_size > wanted.up)) {
    return Error{Code::conflict, "the contract has more of " + user_id + " than the ledger",
                 std::to_string(wanted.down) + " down, " + std::to_string(wanted.up) + " up",
                 std::to_string(found->download_size) + ", " + std::to_string(found->upload_size),
                 "Was the store restored from an older copy? POST /contract/update says what holds."};
  }
  auto updated = send_update(at, user_id, wanted, deadline);
  if (!updated && !found && updated.error().code == Code::denied &&
      updated.error().text().contains("User does not exist")) {
    TRY_OK(keep(user_id, account.dropped(), deadline));
    return Error{Code::conflict, "the entry of " + user_id + " is no longer in the chain", "the one that was made here",
                 "none: a reorganisation dropped it",
                 "Publish again; it is made anew, with the same sums and what came since."};
  }
  TRY(receipt, std::move(updated));
  account.seen = ledger;
  TRY_OK(keep(user_id, account, deadline));
  return Publication{.downloaded = wanted.down, .uploaded = wanted.up, .receipt = receipt};
}

Result<std::vector<std::string>> Publisher::due(const Address& at, std::string_view after, std::size_t most,
                                                std::uint64_t least) const {
  const auto apart = [](std::uint64_t a, std::uint64_t b) { return a > b ? a - b : b - a; };
  auto names = ledger_.user_ids();
  std::ranges::sort(names);
  std::vector<std::string> out;
  for (auto name = std::ranges::upper_bound(names, after); name != names.end() && out.size() < most; ++name) {
    const auto member = ledger_.member(*name);
    if (!member) continue;
    TRY(const auto account, load(*name));
    const bool known = account && account->holds(at, member_hash(member->key));
    const Sums there = known ? account->seen : Sums{};
    const std::uint64_t down = apart(member->downloaded, there.down), up = apart(member->uploaded, there.up);
    // Each of them alone, too: their sum may not fit.
    if ((down != 0 || up != 0) && (down >= least || up >= least || down + up >= least)) out.push_back(*name);
  }
  return out;
}

}  // namespace attestry::tracker
