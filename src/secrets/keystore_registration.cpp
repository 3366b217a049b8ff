#include "secrets/keystore_registration.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "base/base58.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "base/log.h"
#include "secrets/keystore_derivation.h"
#include "secrets/keystore_masters_records.h"
#include "state/keys.h"

namespace attestry::secrets {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using chain::near::AccountId;
using chain::near::Block;
using chain::near::Outcome;
using chain::near::Problem;
using keystore::CkdQuestion;
using keystore::ProposalStatus;
using std::chrono::milliseconds;

namespace {

constexpr std::uint64_t kGas = 300'000'000'000'000;
constexpr milliseconds kView{10'000};          // for what is asked of the state in one step
constexpr milliseconds kLongestPause{60'000};  // while nodes are away

bool is_outage(Code code) { return code == Code::unavailable || code == Code::deadline_exceeded; }

milliseconds doubled(milliseconds first, unsigned times, milliseconds most) {
  return std::min(most, first * (std::int64_t{1} << std::min(times, 20U)));
}

/// A transaction on its way. The same one is sent until its outcome is known, so that nothing is paid for twice.
struct Sending {
  std::optional<chain::near::SignedTransaction> transaction{};
};

/// version 1 ‖ time u64 ‖ count u32: submissions since there was a master.
constexpr std::uint8_t kSubmissions = 1;
state::Key submissions_key() {
  return state::Key(state::Space::keystore_state, KeystoreRecords::tenant()).lp("registration");
}

struct Call {
  const AccountId& signer;
  const chain::near::SecretKey& key;
  const AccountId& receiver;
  std::string method;
  std::string args;
  std::function<Status()> before{};  ///< runs before it is sent for the first time; its error keeps it from that
};

/// The master of one vault, while it is asked for.
struct VaultQuestion {
  explicit VaultQuestion(CkdQuestion asked) : question(std::move(asked)) {}
  base::Mutex mutex;
  CkdQuestion question ATTESTRY_GUARDED_BY(mutex);
  Sending sending ATTESTRY_GUARDED_BY(mutex);
  std::optional<crypto::Secret> master ATTESTRY_GUARDED_BY(mutex);  ///< for those who waited meanwhile
  std::optional<Error> trouble ATTESTRY_GUARDED_BY(mutex);          ///< what it is not asked again for until `next`
  base::Deadline next ATTESTRY_GUARDED_BY(mutex){};
  unsigned failed ATTESTRY_GUARDED_BY(mutex) = 0;
};

class RegisteredSource final : public MasterSource {
 public:
  RegisteredSource(RegistrationParts parts, RegistrationRules rules)
      : parts_(std::move(parts)), rules_(std::move(rules)) {}

  std::string_view name() const noexcept override { return "ckd"; }
  Result<crypto::Secret> default_master(std::uint32_t epoch) override;
  Result<crypto::Secret> vault_master(const crypto::Secret& default_master, std::string_view vault,
                                      base::Deadline deadline) override;
  bool local() const noexcept override { return false; }
  bool binding() const noexcept override { return true; }
  bool rotates() const noexcept override { return false; }
  bool given() const noexcept override { return true; }
  bool waits() const noexcept override { return true; }
  milliseconds again_in() const override {
    const base::MutexLock lock(mutex_);
    return pause_;
  }

 private:
  Result<crypto::Secret> step() ATTESTRY_REQUIRES(mutex_);
  Status check_network() ATTESTRY_REQUIRES(mutex_);
  Status approval() ATTESTRY_REQUIRES(mutex_);
  Status may_submit() ATTESTRY_REQUIRES(mutex_);
  Status count_submission(std::uint32_t count) const;
  void forget_submissions() const;
  Status submit(const Block& head) ATTESTRY_REQUIRES(mutex_);
  Status submitted(const Outcome& outcome) ATTESTRY_REQUIRES(mutex_);
  Status votes() ATTESTRY_REQUIRES(mutex_);
  Status admission() ATTESTRY_REQUIRES(mutex_);
  Result<crypto::Secret> ask() ATTESTRY_REQUIRES(mutex_);
  Result<base::Bytes> evidence(const Block& head) ATTESTRY_REQUIRES(mutex_);
  Error wait(milliseconds pause, Error why) ATTESTRY_REQUIRES(mutex_);
  Error costly(Error why) ATTESTRY_REQUIRES(mutex_);
  Result<bool> dao_says(const Block& at, const std::string& method, const std::string& args,
                        base::Deadline deadline) const;
  Result<Outcome> send(Sending& sending, Call call, base::Deadline deadline) const;
  Result<std::shared_ptr<VaultQuestion>> question_of(const crypto::Secret& default_master, const AccountId& vault);
  bool over(const std::shared_ptr<VaultQuestion>& one) const ATTESTRY_REQUIRES(vaults_mutex_);
  Result<crypto::Secret> ask_once(VaultQuestion& of, const crypto::Secret& default_master, const AccountId& vault,
                                  const chain::near::SecretKey& key, base::Deadline deadline);
  Result<crypto::Secret> ask_for_vault(VaultQuestion& of, const AccountId& vault, const chain::near::SecretKey& key,
                                       base::Deadline deadline) ATTESTRY_REQUIRES(of.mutex);
  base::Deadline soon(milliseconds patience = kView) const { return parts_.clock.steady() + patience; }

  const RegistrationParts parts_;
  const RegistrationRules rules_;
  mutable base::Mutex mutex_;
  milliseconds pause_ ATTESTRY_GUARDED_BY(mutex_){0};
  std::optional<Error> trouble_ ATTESTRY_GUARDED_BY(mutex_);  ///< of the last step; the next one is due at `next_`
  base::Deadline next_ ATTESTRY_GUARDED_BY(mutex_){};
  std::optional<milliseconds> wait_ ATTESTRY_GUARDED_BY(mutex_);  ///< what this step says of the next one
  unsigned outages_ ATTESTRY_GUARDED_BY(mutex_) = 0;
  unsigned paid_for_nothing_ ATTESTRY_GUARDED_BY(mutex_) = 0;
  bool network_checked_ ATTESTRY_GUARDED_BY(mutex_) = false;
  std::uint32_t submissions_ ATTESTRY_GUARDED_BY(mutex_) = 0;  ///< as the store has it
  bool approved_ ATTESTRY_GUARDED_BY(mutex_) = false;
  bool admitted_ ATTESTRY_GUARDED_BY(mutex_) = false;
  unsigned lookups_ ATTESTRY_GUARDED_BY(mutex_) = 0;
  std::optional<Error> refused_ ATTESTRY_GUARDED_BY(mutex_);  ///< nothing is submitted any more
  std::optional<std::uint64_t> proposal_ ATTESTRY_GUARDED_BY(mutex_);
  base::Deadline votes_until_ ATTESTRY_GUARDED_BY(mutex_){};
  std::string shown_ ATTESTRY_GUARDED_BY(mutex_);  ///< measurements that were logged
  Sending submission_ ATTESTRY_GUARDED_BY(mutex_);
  std::optional<CkdQuestion> question_ ATTESTRY_GUARDED_BY(mutex_);
  Sending request_ ATTESTRY_GUARDED_BY(mutex_);
  std::optional<crypto::Secret> master_ ATTESTRY_GUARDED_BY(mutex_);
  base::Mutex vaults_mutex_;
  std::unordered_map<std::string, std::shared_ptr<VaultQuestion>> vaults_ ATTESTRY_GUARDED_BY(vaults_mutex_);
};

// ---- what both have in common

Result<bool> RegisteredSource::dao_says(const Block& at, const std::string& method, const std::string& args,
                                        base::Deadline deadline) const {
  TRY(const auto bytes, parts_.reader.call(at, rules_.dao, method, base::to_bytes(args), deadline), method);
  TRY(const auto document, base::JsonDocument::parse(std::string{base::as_text(bytes)}), method);
  return document->root().boolean(method);
}

/// Its outcome, or an error while there is none; then the same transaction stays in `sending`.
Result<Outcome> RegisteredSource::send(Sending& sending, Call call, base::Deadline deadline) const {
  if (!sending.transaction) {
    const std::string method = call.method;
    TRY(sending.transaction,
        chain::near::prepare(
            parts_.reader, call.signer, call.key, call.receiver,
            {chain::near::FunctionCall{
                .method = std::move(call.method), .args = base::to_bytes(call.args), .gas = kGas, .deposit = {}}},
            deadline),
        method);
    if (call.before) {
      if (const auto done = call.before(); !done) {
        sending.transaction.reset();
        return done.error();
      }
    }
    base::log(base::LogLevel::info, "keystore: a transaction is sent",
              {{"method", method}, {"transaction", base::base58(sending.transaction->hash)}});
  }
  TRY(auto outcome, parts_.sender.send(*sending.transaction, call.signer, deadline));
  sending.transaction.reset();
  return outcome;
}

// ---- the default master

Result<crypto::Secret> RegisteredSource::default_master(std::uint32_t epoch) {
  if (epoch != 1) {
    return Error{Code::usage, "a master from the MPC network has one epoch", "1", std::to_string(epoch),
                 "It is a function of the DAO's account and the network's key: another one needs another DAO."};
  }
  const base::MutexLock lock(mutex_);
  if (master_) return master_->clone();
  // Whoever else wants to know is told what the last step has said.
  if (trouble_ && parts_.clock.steady() < next_) return *trouble_;
  wait_.reset();
  auto done = step();
  if (done) {
    pause_ = milliseconds{0};
    master_ = done->clone();
    forget_submissions();
    return done;
  }
  outages_ = wait_ ? 0 : outages_ + 1;
  pause_ = wait_.value_or(doubled(rules_.poll, outages_ - 1, std::max(rules_.poll, kLongestPause)));
  trouble_ = done.error();
  next_ = parts_.clock.steady() + pause_;
  return done;
}

Error RegisteredSource::wait(milliseconds pause, Error why) {
  wait_ = pause;
  return why;
}

/// After what has cost gas and brought nothing.
Error RegisteredSource::costly(Error why) {
  return wait(doubled(rules_.poll, paid_for_nothing_++, std::max(rules_.poll, rules_.patience)), std::move(why));
}

Result<crypto::Secret> RegisteredSource::step() {
  if (!network_checked_) TRY_OK(check_network(), "MPC network of " + rules_.mpc.text());
  if (!approved_) TRY_OK(approval(), "registration with " + rules_.dao.text());
  if (!admitted_) TRY_OK(admission(), "registration with " + rules_.dao.text());
  return ask();
}

/// keystore_ckd.md 9: public_key({"domain_id"}) costs nothing.
Status RegisteredSource::check_network() {
  const auto deadline = soon();
  TRY(const Block head, parts_.reader.head(deadline));
  const std::string args = base::JsonOut{base::JsonOutObject{{"domain_id", rules_.domain}}}.compact();
  TRY(const auto bytes, parts_.reader.call(head, rules_.mpc, "public_key", base::to_bytes(args), deadline));
  TRY(const auto document, base::JsonDocument::parse(std::string{base::as_text(bytes)}), "public_key");
  TRY(const auto found, document->root().string("public_key"));
  const std::string pinned = keys::ckd::to_text(rules_.network.encoded());
  if (found != pinned) {
    return wait(rules_.poll, {Code::configuration, "the MPC contract names another key than keystore.mpc_public_key",
                              pinned, std::string{found},
                              "Compare both with a third source, and keystore.mpc_domain, too. Nothing was sent."});
  }
  network_checked_ = true;
  return base::done();
}

/// keystore_ckd.md 7.2(4).
Status RegisteredSource::approval() {
  const auto deadline = soon();
  TRY(const Block head, parts_.reader.head(deadline));
  const std::string key = base::JsonOut{base::JsonOutObject{{"public_key", parts_.key.public_key().text()}}}.compact();
  TRY(approved_, dao_says(head, "is_keystore_approved", key, deadline));
  if (approved_) {
    base::log(base::LogLevel::info, "keystore: the DAO has approved this keystore",
              {{"dao", rules_.dao.text()}, {"key", parts_.key.public_key().text()}});
    return base::done();
  }
  if (refused_) return wait(rules_.poll, *refused_);
  if (!proposal_) TRY_OK(submit(head));
  return votes();
}

/// This machine's evidence for its key, looked at as the contract will, because a submission costs gas also when it is
/// refused.
Result<base::Bytes> RegisteredSource::evidence(const Block& head) {
  const auto& key = parts_.key.public_key();
  if (parts_.attester == nullptr) return keystore::no_attestation(key);
  TRY(auto made, parts_.attester->attest(keystore::registration_report_data(key)), "this machine's evidence");
  const auto measurements = keystore::TdMeasurements::of_quote(made.bytes);
  if (!measurements) return wait(rules_.poll, measurements.error());
  if (std::string line = measurements->line(); line != shown_) {
    base::log(base::LogLevel::info, line);
    shown_ = std::move(line);
  }
  TRY(const bool approved, dao_says(head, "is_measurements_approved", measurements->arguments(), soon()));
  if (approved) return std::move(made.bytes);
  return wait(rules_.poll, {Code::denied, "Worker measurements not approved", "what " + rules_.dao.text() + " approves",
                            measurements->line(), "Its owner adds them: add_approved_measurements."});
}

/// Each submission is paid for, and in a TEE each start has another key: a server that ends and is started again over
/// and over waits as one that stays.
Status RegisteredSource::may_submit() {
  submissions_ = 0;
  TRY(const auto view, parts_.store.read());
  TRY(const auto stored, view->get(submissions_key()));
  if (!stored) return base::done();
  TRY(auto in, state::open_value(*stored, kSubmissions, "submissions of this keystore"));
  TRY(const auto last, in.u64be("time"));
  TRY(submissions_, in.u32be("count"));
  TRY_OK(in.finish("submissions of this keystore"));
  if (submissions_ == 0) return base::done();
  const auto passed = std::chrono::seconds{parts_.clock.now().seconds - static_cast<std::int64_t>(last)};
  const auto pause = doubled(rules_.poll, submissions_ - 1, std::max(rules_.poll, rules_.patience));
  // A clock that was set back is no reason to wait for longer than that.
  if (passed.count() < 0 || passed >= pause) return base::done();
  return wait(pause - std::chrono::duration_cast<milliseconds>(passed),
              {Code::unavailable,
               "a registration was submitted a moment ago and brought no master yet",
               {},
               std::to_string(submissions_) + " since the last master",
               "Nothing to do: the next one is submitted by itself, ever less often, because each is paid for."});
}

Status RegisteredSource::count_submission(std::uint32_t count) const {
  auto value = state::value(kSubmissions);
  value.u64(static_cast<std::uint64_t>(parts_.clock.now().seconds)).u32(count);
  return parts_.store.write_and_wait(
      [&](state::WriteTxn& txn) -> Status { return txn.put(submissions_key(), value.bytes()); }, soon());
}

void RegisteredSource::forget_submissions() const {
  const auto done =
      parts_.store.write_and_wait([](state::WriteTxn& txn) -> Status { return txn.erase(submissions_key()); }, soon());
  // The next registration waits for longer than it had to, and that is all.
  if (!done)
    base::log(base::LogLevel::warning, "keystore: submissions are counted on", {{"reason", done.error().text()}});
}

Status RegisteredSource::submit(const Block& head) {
  std::string args;
  if (!submission_.transaction) {
    TRY_OK(may_submit());
    TRY(const auto shown, evidence(head));
    args = keystore::registration_arguments(parts_.key.public_key(), shown);
  }
  TRY(const auto outcome, send(submission_,
                               {.signer = rules_.init,
                                .key = parts_.init_key,
                                .receiver = rules_.dao,
                                .method = "submit_keystore_registration",
                                .args = std::move(args),
                                .before = [this, count = submissions_ + 1] { return count_submission(count); }},
                               soon(rules_.slice)));
  return submitted(outcome);
}

Status RegisteredSource::submitted(const Outcome& outcome) {
  if (outcome.kind == Outcome::Kind::failed) return costly(error_of(outcome));
  if (outcome.kind != Outcome::Kind::succeeded) return wait(rules_.poll, error_of(outcome));
  const auto id = keystore::parse_proposal_id(std::string{base::as_text(outcome.value)});
  if (!id) return costly(id.error());
  proposal_ = *id;
  votes_until_ = parts_.clock.steady() + rules_.patience;
  base::log(base::LogLevel::info, "keystore: Proposal ID: " + std::to_string(*id),
            {{"dao", rules_.dao.text()}, {"key", parts_.key.public_key().text()}});
  return base::done();
}

Status RegisteredSource::votes() {
  const auto deadline = soon();
  TRY(const Block head, parts_.reader.head(deadline));
  const std::string args = base::JsonOut{base::JsonOutObject{{"proposal_id", *proposal_}}}.compact();
  TRY(const auto bytes, parts_.reader.call(head, rules_.dao, "get_proposal", base::to_bytes(args), deadline));
  TRY(const auto status, keystore::parse_proposal(std::string{base::as_text(bytes)}));
  const std::string which = "proposal " + std::to_string(*proposal_);
  if (status == ProposalStatus::rejected) {
    refused_ = Error{
        Code::denied, "Proposal rejected by DAO", {}, which, "Ask its members why; start anew for another proposal."};
  } else if (status != ProposalStatus::executed && parts_.clock.steady() >= votes_until_) {
    refused_ = Error{Code::unavailable,
                     "Timeout waiting for DAO approval",
                     {},
                     which,
                     "Its members may still vote; start anew for another proposal."};
  }
  if (refused_) return wait(rules_.poll, *refused_);
  if (status == ProposalStatus::executed)
    return wait(rules_.poll, {Code::unavailable, "the DAO has accepted, and does not name the key yet", {}, which});
  return wait(rules_.poll, {Code::unavailable,
                            "the DAO's members have not voted yet",
                            {},
                            which,
                            "vote {\"proposal_id\": " + std::to_string(*proposal_) + ", \"approve\": true}"});
}

/// keystore_ckd.md 7.2(5). Nodes show a key a few blocks after the vote that has granted it.
Status RegisteredSource::admission() {
  const auto deadline = soon();
  TRY(const Block head, parts_.reader.head(deadline));
  const auto access = parts_.reader.access_key(head, rules_.dao, parts_.key.public_key(), deadline);
  if (!access) {
    if (access.error().code != Code::not_found) return access.error();
    return wait(++lookups_ < rules_.lookups ? rules_.lookup : rules_.poll, access.error());
  }
  if (const auto good = keystore::check_access_key(*access, rules_.dao); !good) return wait(rules_.poll, good.error());
  admitted_ = true;
  return base::done();
}

/// keystore_ckd.md 7.3.
Result<crypto::Secret> RegisteredSource::ask() {
  // A question of its own for each transaction: who has seen an answer to one knows nothing of the next.
  if (!request_.transaction) question_.emplace(rules_.dao, std::string{}, rules_.domain, parts_.random);
  TRY(const auto outcome, send(request_,
                               {.signer = rules_.dao,
                                .key = parts_.key,
                                .receiver = rules_.dao,
                                .method = "request_key",
                                .args = question_->arguments()},
                               soon(rules_.slice)));
  if (outcome.kind == Outcome::Kind::failed) return costly(error_of(outcome));
  // A DAO that has taken the key back: it is asked for what it says of it now.
  if (outcome.problem == Problem::access_key) approved_ = admitted_ = false;
  if (outcome.kind != Outcome::Kind::succeeded) return wait(rules_.poll, error_of(outcome));
  auto master = question_->open(std::string{base::as_text(outcome.value)}, rules_.network);
  if (!master) return costly(master.error());
  return master;
}

// ---- vaults

Result<crypto::Secret> RegisteredSource::vault_master(const crypto::Secret& default_master, std::string_view name,
                                                      base::Deadline deadline) {
  TRY(const AccountId vault, AccountId::parse(name));
  TRY(const auto seed, keystore::Seed::vault_tee_key(vault.text()));
  TRY(const auto key, chain::near::SecretKey::from_seed(keystore::ed25519_key(default_master, seed).seed().reveal()));
  TRY(const auto of, question_of(default_master, vault));
  auto made = ask_once(*of, default_master, vault, key, deadline);
  if (made) {
    const base::MutexLock map(vaults_mutex_);
    if (const auto found = vaults_.find(vault.text()); found != vaults_.end() && found->second == of)
      vaults_.erase(found);
  }
  return made;
}

Result<std::shared_ptr<VaultQuestion>> RegisteredSource::question_of(const crypto::Secret& default_master,
                                                                     const AccountId& vault) {
  const base::MutexLock lock(vaults_mutex_);
  if (const auto found = vaults_.find(vault.text()); found != vaults_.end()) return found->second;
  if (vaults_.size() >= rules_.most_vaults) {
    for (auto one = vaults_.begin(); one != vaults_.end();) {
      one = over(one->second) ? vaults_.erase(one) : std::next(one);
    }
  }
  if (vaults_.size() >= rules_.most_vaults) {
    return Error{Code::unavailable,
                 "too many vaults' masters are asked for",
                 {},
                 std::to_string(vaults_.size()),
                 "It is tried again at the next use, once one of them has come or may be asked for anew."};
  }
  CkdQuestion question{vault, vault_master_path(default_master, vault.text()), rules_.domain, parts_.random};
  return vaults_.emplace(vault.text(), std::make_shared<VaultQuestion>(std::move(question))).first->second;
}

/// Whether nothing would be lost with it: nobody waits for it, nothing of it is on its way, and it may be asked for.
bool RegisteredSource::over(const std::shared_ptr<VaultQuestion>& one) const {
  // Only with vaults_mutex_ does anybody get hold of it: whoever is the only one stays so.
  if (one.use_count() > 1) return false;
  const base::MutexLock lock(one->mutex);
  return !one->sending.transaction && parts_.clock.steady() >= one->next;
}

/// The master of one vault; whoever else wants it meanwhile waits for this.
Result<crypto::Secret> RegisteredSource::ask_once(VaultQuestion& of, const crypto::Secret& default_master,
                                                  const AccountId& vault, const chain::near::SecretKey& key,
                                                  base::Deadline deadline) {
  const base::MutexLock lock(of.mutex);
  if (of.master) return of.master->clone();
  // Whoever asks too early changes nothing about when it is time.
  if (of.trouble && parts_.clock.steady() < of.next) return *of.trouble;
  auto made = ask_for_vault(of, vault, key, deadline);
  if (made) {
    of.master = made->clone();
  } else if (made.error().code == Code::conflict) {
    of.trouble = made.error();
    of.next = parts_.clock.steady() + rules_.poll;
  } else if (!is_outage(made.error().code)) {
    // The vault pays for each of these.
    of.trouble = made.error();
    of.next = parts_.clock.steady() + doubled(rules_.poll, of.failed++, std::max(rules_.poll, rules_.patience));
    of.question = CkdQuestion{vault, vault_master_path(default_master, vault.text()), rules_.domain, parts_.random};
  }
  return made;
}

Result<crypto::Secret> RegisteredSource::ask_for_vault(VaultQuestion& of, const AccountId& vault,
                                                       const chain::near::SecretKey& key, base::Deadline deadline) {
  TRY(const auto outcome,
      send(
          of.sending,
          {.signer = vault, .key = key, .receiver = vault, .method = "request_master", .args = of.question.arguments()},
          deadline));
  if (outcome.kind == Outcome::Kind::refused && outcome.problem == Problem::balance) {
    return Error{Code::conflict, "Vault " + vault.text() +
                                     ": insufficient NEAR balance to register the vault on the network. "
                                     "Recommended balance: 0.5+ NEAR."};
  }
  if (outcome.kind != Outcome::Kind::succeeded) {
    const bool again = outcome.problem == Problem::nonce || outcome.problem == Problem::expired;
    return Error{again ? Code::unavailable : Code::configuration, "Vault " + vault.text() + " gives no master",
                 "an answer of request_master", outcome.text, "See that its one access key is this keystore's."};
  }
  return of.question.open(std::string{base::as_text(outcome.value)}, rules_.network);
}

}  // namespace

std::unique_ptr<MasterSource> registered_source(RegistrationParts parts, RegistrationRules rules) {
  return std::make_unique<RegisteredSource>(std::move(parts), std::move(rules));
}

}  // namespace attestry::secrets
