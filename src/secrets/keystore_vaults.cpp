#include "secrets/keystore_vaults.h"

#include <algorithm>
#include <future>
#include <utility>

#include "base/base58.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "base/log.h"
#include "crypto/hash.h"
#include "secrets/keystore_derivation.h"

namespace attestry::secrets {

using base::Code;
using base::Error;
using base::JsonValue;
using base::Result;
using base::Status;
using chain::near::AccountId;
using chain::near::Block;

namespace {

constexpr std::uint64_t kGas = 50'000'000'000'000;
constexpr std::chrono::minutes kInQueue{1};  // between a look and the use that it was for

std::unexpected<VaultRefusal> refuse(VaultStep step, Error error) {
  return std::unexpected(VaultRefusal{step, std::move(error)});
}

bool is_outage(Code code) { return code == Code::unavailable || code == Code::deadline_exceeded; }

Error no(const AccountId& vault, std::string_view why, std::string_view expected = {}, std::string_view found = {}) {
  return {Code::denied, "Vault " + vault.text() + " " + std::string{why}, std::string{expected}, std::string{found}};
}

std::string vault_args(const AccountId& vault) {
  return base::JsonOut{base::JsonOutObject{{"vault_id", vault.text()}}}.compact();
}

Result<std::string> text_member(const JsonValue& from, std::string_view name) {
  TRY(const JsonValue value, from.get(name));
  return value.string(name);
}

}  // namespace

Result<VaultState> parse_vault_state(std::string reply) {
  TRY(const auto document, base::JsonDocument::parse(std::move(reply)), "a vault's state");
  const JsonValue root = document->root();
  VaultState out;
  TRY(out.dao, text_member(root, "keystore_dao"), "a vault's state");
  TRY(out.mpc, text_member(root, "mpc_contract"), "a vault's state");
  TRY(const JsonValue unlocked, root.get("unlocked"), "a vault's state");
  TRY(out.unlocked, unlocked.boolean("unlocked"), "a vault's state");
  TRY(const JsonValue recovery, root.get("recovery"), "a vault's state");
  out.recovering = !recovery.is_null();
  return out;
}

// ---- what the chain says

Result<bool> KeystoreVaults::dao_says(const Block& at, std::string method, std::string_view args,
                                      base::Deadline deadline) const {
  const auto trouble = [&](const Error& error) {
    return Error{is_outage(error.code) ? error.code : Code::configuration,
                 rules_.dao.text() + " does not answer as the DAO of keystores: " + method + ": " + error.text()};
  };
  const auto bytes = parts_.reader.call(at, rules_.dao, method, base::to_bytes(args), deadline);
  if (!bytes) return trouble(bytes.error());
  const auto document = base::JsonDocument::parse(std::string{base::as_text(*bytes)});
  if (!document) return trouble(document.error());
  const auto said = (*document)->root().boolean(method);
  if (!said) return trouble(said.error());
  return *said;
}

Result<VaultState> KeystoreVaults::state_of(const Block& at, const AccountId& vault, base::Deadline deadline) const {
  const auto bytes = parts_.reader.call(at, vault, "get_state", base::to_bytes(std::string_view{"{}"}), deadline);
  // What the chain itself refuses, and what the contract says that is no state: it is no vault.
  if (!bytes && is_outage(bytes.error().code)) return bytes.error();
  if (!bytes) return no(vault, "has no contract of a vault", "get_state", bytes.error().text());
  auto state = parse_vault_state(std::string{base::as_text(*bytes)});
  if (!state) return no(vault, "has no contract of a vault", "its state", state.error().text());
  return state;
}

Status KeystoreVaults::ask(const Block& at, const AccountId& vault, base::Deadline deadline) const {
  const std::string args = vault_args(vault);
  TRY(const bool banned, dao_says(at, "is_vault_banned", args, deadline));
  if (banned) return no(vault, "is banned by " + rules_.dao.text());
  TRY(const bool verified, dao_says(at, "is_vault_verified", args, deadline));
  if (!verified) return no(vault, "is not verified by " + rules_.dao.text());
  TRY(const VaultState state, state_of(at, vault, deadline));
  if (state.unlocked) return no(vault, "is unlocked: its owner has taken it out");
  return base::done();
}

// ---- the gate

std::optional<Status> KeystoreVaults::at_hand(std::string_view vault) const {
  const auto now = parts_.clock.steady();
  const base::MutexLock lock(mutex_);
  const auto found = entries_.find(std::string{vault});
  if (found == entries_.end() || found->second.until <= now) return std::nullopt;
  if (found->second.verdict && parts_.masters.needs_loading(vault)) return std::nullopt;
  return found->second.verdict;
}

Status KeystoreVaults::last(std::string_view vault) const {
  const auto now = parts_.clock.steady();
  const base::MutexLock lock(mutex_);
  const auto found = entries_.find(std::string{vault});
  if (found != entries_.end() && found->second.until + kInQueue > now) return found->second.verdict;
  return Error{Code::unavailable, "nothing is known of vault " + std::string{vault} + " now"};
}

Status KeystoreVaults::look(std::string_view name, base::Deadline deadline) {
  if (const auto known = at_hand(name)) return *known;
  TRY_OK(seen(name, deadline));
  return parts_.masters.needs_loading(name) ? parts_.masters.load_vault(name, deadline) : base::done();
}

Status KeystoreVaults::seen(std::string_view name, base::Deadline deadline) {
  TRY(const AccountId vault, AccountId::parse(name));
  // Taken before the head: what the head says is that old when it arrives.
  const auto until = parts_.clock.steady() + rules_.ttl;
  TRY(const Block head, parts_.reader.head(deadline));
  {
    // The chain has not moved: the answer stands.
    const base::MutexLock lock(mutex_);
    const auto found = entries_.find(vault.text());
    if (found != entries_.end() && found->second.at == head) {
      found->second.until = until;
      return found->second.verdict;
    }
  }
  auto verdict = ask(head, vault, deadline);
  // Nothing was learned: what was known before is not used in its place.
  if (!verdict && verdict.error().code != Code::denied) return verdict;
  {
    const base::MutexLock lock(mutex_);
    if (entries_.size() >= rules_.most) entries_.clear();
    const auto [entry, made] = entries_.try_emplace(vault.text(), Entry{verdict, head, until});
    // One that waited longer does not take back what a later block says.
    if (!made && entry->second.at.height <= head.height) entry->second = {verdict, head, until};
    verdict = entry->second.verdict;
  }
  if (!verdict) evict(vault.text(), deadline);
  return verdict;
}

void KeystoreVaults::evict(const std::string& vault, base::Deadline deadline) const {
  const auto loaded = parts_.masters.loaded_vaults();
  if (std::ranges::find(loaded, vault) == loaded.end()) return;
  base::log(base::LogLevel::warning, "keystore: a vault is refused, and its master forgotten", {{"vault", vault}});
  const auto gone = std::make_shared<std::promise<void>>();
  parts_.masters.evict(vault, [gone](Status done) {
    if (!done) base::log(base::LogLevel::warning, "keystore.trouble", {{"reason", done.error().text()}});
    gone->set_value();
  });
  // Whoever is told no can be sure that nothing is left; if it takes longer, nothing of it is used all the same.
  (void)gone->get_future().wait_until(deadline);
}

// ---- what a vault must be

Status KeystoreVaults::check_code(const Block& at, const AccountId& vault, base::Deadline deadline) const {
  const auto account = parts_.reader.account(at, vault, deadline);
  if (!account && account.error().code == Code::not_found) return no(vault, "is no account");
  if (!account) return account.error();
  const auto hash =
      account->code_hash != base::Digest32{} ? std::optional{account->code_hash} : account->global_contract_hash;
  if (!hash && account->global_contract_account)
    return no(vault, "runs code that another account may replace", "code by its hash",
              *account->global_contract_account);
  if (!hash) return no(vault, "has no contract");
  const std::string text = base::base58(*hash);
  const std::string args = base::JsonOut{base::JsonOutObject{{"code_hash", text}}}.compact();
  TRY(const bool approved, dao_says(at, "is_vault_code_approved", args, deadline));
  if (approved) return base::done();
  return no(vault, "runs code that " + rules_.dao.text() + " has not approved", "an approved version", text);
}

bool KeystoreVaults::is_own_key(std::string_view vault, std::string_view key) const {
  const auto seed = keystore::Seed::vault_tee_key(vault);
  if (!seed) return false;
  const auto is_under = [&](const Result<MasterInUse>& from) {
    return from && "ed25519:" + base::base58(keystore::ed25519_key(*from->master, *seed).public_key()) == key;
  };
  // Handed out under the wallets' master; by earlier servers under the one that was current then.
  return is_under(parts_.masters.wallets()) ||
         std::ranges::any_of(parts_.masters.epochs(),
                             [&](const MasterEpoch& epoch) { return is_under(parts_.masters.at({}, epoch.epoch)); });
}

Status KeystoreVaults::check_keys(const Block& at, const AccountId& vault, base::Deadline deadline) const {
  using Permission = chain::near::AccessKey::Permission;
  TRY(const auto keys, parts_.reader.access_keys(at, vault, deadline));
  if (keys.size() != 1) return no(vault, "has another number of access keys", "1", std::to_string(keys.size()));
  const auto& access = keys.front().access;
  if (access.permission != Permission::function_call)
    return no(vault, "has an access key that may do anything", "one that calls a function");
  if (access.receiver != vault.text())
    return no(vault, "has an access key for another account", vault.text(), access.receiver);
  if (access.methods != std::vector<std::string>{"request_master"})
    return no(vault, "has an access key for other methods", "request_master alone");
  // Whoever has that key asks the network for the vault's master, for a key of his own.
  if (!is_own_key(vault.text(), keys.front().key))
    return no(vault, "has an access key of somebody else", "what /derive-vault-tee-key gives", keys.front().key);
  return base::done();
}

Status KeystoreVaults::check_state(const Block& at, const AccountId& vault, base::Deadline deadline) const {
  TRY(const VaultState state, state_of(at, vault, deadline));
  if (state.dao != rules_.dao.text()) return no(vault, "names another DAO", rules_.dao.text(), state.dao);
  if (!rules_.mpc || state.mpc != rules_.mpc->text())
    return no(vault, "names another MPC contract", rules_.mpc ? rules_.mpc->text() : "", state.mpc);
  if (state.unlocked) return no(vault, "is unlocked: its owner has taken it out");
  if (state.recovering) return no(vault, "is being recovered by its owner");
  return base::done();
}

// ---- what is said on the chain

VaultOutcome KeystoreVaults::verify(const AccountId& vault, base::Deadline deadline) {
  const auto of = [](const Error& error, VaultStep denied) {
    return refuse(error.code == Code::denied ? denied : VaultStep::chain, error);
  };
  if (!signer_ || !rules_.mpc) {
    return refuse(VaultStep::signer,
                  {Code::configuration, "MPC CKD context not configured — worker booted in non-TEE mode"});
  }
  if (const auto ban = parts_.masters.banned(vault.text()))
    return refuse(VaultStep::banned, no(vault, "is banned: " + ban->reason));
  const auto head = parts_.reader.head(deadline);
  if (!head) return of(head.error(), VaultStep::chain);
  const std::string args = vault_args(vault);
  const auto banned = dao_says(*head, "is_vault_banned", args, deadline);
  if (!banned) return of(banned.error(), VaultStep::chain);
  if (*banned) return refuse(VaultStep::banned, no(vault, "is banned by " + rules_.dao.text()));
  if (const auto code = check_code(*head, vault, deadline); !code) return of(code.error(), VaultStep::unfit);
  if (const auto keys = check_keys(*head, vault, deadline); !keys) return of(keys.error(), VaultStep::unfit);
  if (const auto state = check_state(*head, vault, deadline); !state) return of(state.error(), VaultStep::unfit);
  const auto verified = dao_says(*head, "is_vault_verified", args, deadline);
  if (!verified) return of(verified.error(), VaultStep::chain);
  if (*verified) return VaultMarked{.transaction = {}, .already = true};
  auto sent = tell_dao(vault, "mark_vault_verified", args, deadline);
  if (!sent) return std::unexpected(std::move(sent).error());
  if (const auto kept = record(vault.text(), *sent, deadline); !kept) return refuse(VaultStep::record, kept.error());
  return VaultMarked{.transaction = *std::move(sent), .already = false};
}

VaultOutcome KeystoreVaults::ban(const AccountId& vault, const std::string& reason, base::Deadline deadline) {
  if (!signer_) return VaultMarked{};
  const auto head = parts_.reader.head(deadline);
  if (!head) return refuse(VaultStep::chain, head.error());
  const auto banned = dao_says(*head, "is_vault_banned", vault_args(vault), deadline);
  if (!banned) return refuse(VaultStep::chain, banned.error());
  if (*banned) return VaultMarked{.transaction = {}, .already = true};
  const std::string args = base::JsonOut{base::JsonOutObject{{"vault_id", vault.text()}, {"reason", reason}}}.compact();
  auto sent = tell_dao(vault, "ban_vault", args, deadline);
  if (!sent) return std::unexpected(std::move(sent).error());
  return VaultMarked{.transaction = *std::move(sent), .already = false};
}

std::expected<std::string, VaultRefusal> KeystoreVaults::tell_dao(const AccountId& vault, std::string method,
                                                                  const std::string& args, base::Deadline deadline) {
  using chain::near::Outcome;
  const base::MutexLock lock(sending_);
  const auto head = parts_.reader.head(deadline);
  if (!head) return refuse(VaultStep::chain, head.error());
  const auto access = parts_.reader.access_key(*head, signer_->account, signer_->key.public_key(), deadline);
  if (!access) return refuse(VaultStep::chain, access.error());
  last_nonce_ = std::max(last_nonce_, access->nonce) + 1;
  const auto made =
      chain::near::sign({.signer = signer_->account,
                         .key = signer_->key.public_key(),
                         .nonce = last_nonce_,
                         .receiver = rules_.dao,
                         .block_hash = head->hash,
                         .actions = {chain::near::FunctionCall{
                             .method = std::move(method), .args = base::to_bytes(args), .gas = kGas, .deposit = {}}}},
                        signer_->key);
  if (!made) return refuse(VaultStep::chain, made.error());
  const auto outcome = signer_->sender->send(*made, signer_->account, deadline);
  if (!outcome) return refuse(VaultStep::chain, outcome.error());
  if (outcome->kind == Outcome::Kind::succeeded) return base::base58(made->hash);
  if (outcome->kind == Outcome::Kind::refused && outcome->problem == chain::near::Problem::balance) {
    return refuse(VaultStep::balance,
                  {Code::denied, "Vault " + vault.text() +
                                     ": insufficient NEAR balance to register the vault on the network. "
                                     "Recommended balance: 0.5+ NEAR."});
  }
  return refuse(VaultStep::chain, error_of(*outcome));
}

Status KeystoreVaults::record(std::string_view vault, std::string_view transaction, base::Deadline deadline) const {
  audit::Leaf leaf;
  leaf.type = "keystore.vault-verified";
  leaf.realm = parts_.store.realm();
  leaf.audience = parts_.log.origin();
  leaf.time = parts_.store.now();
  // Both are public on their chain.
  leaf.outputs["vault"] = base::hex(crypto::sha256(base::as_bytes(vault)));
  leaf.outputs["transaction"] = base::hex(crypto::sha256(base::as_bytes(transaction)));
  return parts_.store.write_and_wait(
      [&](state::WriteTxn& txn) -> Status {
        TRY([[maybe_unused]] const auto index, parts_.log.append(txn, leaf));
        return base::done();
      },
      deadline);
}

}  // namespace attestry::secrets
