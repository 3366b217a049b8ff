#include "secrets/keystore_wallet_service.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/reason.h"
#include "crypto/hash.h"
#include "secrets/keystore_derivation.h"

namespace attestry::secrets {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using chain::near::AccountId;
using chain::near::PublicKey;
using keystore::Seed;
using keystore::VoteResult;
using keystore::WalletPolicy;

namespace {

constexpr std::size_t kMostNonces = 65'536;

std::unexpected<KeystoreRefusal> refuse(KeystoreStep step, Error error) {
  return std::unexpected(KeystoreRefusal{step, std::move(error)});
}

Error missing_approvals(std::uint64_t threshold) {
  return {Code::denied, "the wallet's policy asks for approvals: " + std::to_string(threshold) + " of its approvers",
          "approval_info with their votes"};
}

}  // namespace

Result<WalletNearKey> wallet_near_key(const crypto::Secret& master, std::string_view wallet_id) {
  TRY(const Seed seed, Seed::wallet(wallet_id, "near"));
  TRY(auto key, chain::near::SecretKey::from_seed(keystore::derive(master, seed.text()).reveal()));
  const std::string hex = base::hex(key.public_key().bytes());
  TRY(auto account, AccountId::parse(hex));
  return WalletNearKey{.key = std::move(key), .account = std::move(account), .public_key = "ed25519:" + hex};
}

struct KeystoreWallets::Job {
  WalletAsked asked;
  KeystoreRecipient to;
  base::Deadline deadline;
  WalletMake make;
  KeystoreDone done;
};

std::uint64_t KeystoreWallets::next_nonce(const PublicKey& key, std::uint64_t on_chain) {
  const base::MutexLock lock(mutex_);
  if (nonces_.size() >= kMostNonces) nonces_.clear();
  auto& last = nonces_[key.text()];
  return last = std::max(last, on_chain) + 1;
}

// ---- what the policy says

std::expected<KeystoreWallets::Read, KeystoreRefusal> KeystoreWallets::read_policy(const WalletAsked& asked,
                                                                                   base::Deadline deadline) const {
  const auto master = parts_.keystore.wallet_master(asked.wallet.vault);
  if (!master) return std::unexpected(master.error());
  Read out;
  if (asked.policy) {
    if (!rules_.inline_policy) {
      return refuse(KeystoreStep::policy, {Code::denied,
                                           "policies come from the chain here, not from requests "
                                           "(setting keystore.inline_policy)"});
    }
    const auto document = base::JsonDocument::parse(*asked.policy);
    if (!document) return refuse(KeystoreStep::policy, document.error());
    auto policy = WalletPolicy::parse((*document)->root());
    if (!policy) return refuse(KeystoreStep::policy, policy.error());
    out.policy = *std::move(policy);
    out.has_policy = true;
    return out;
  }
  if (parts_.reader == nullptr || !parts_.contract)
    return refuse(KeystoreStep::policy, {Code::configuration, "NEAR client not configured"});
  const auto wallet = wallet_near_key(**master, asked.wallet.id);
  if (!wallet) return refuse(KeystoreStep::policy, wallet.error());
  const auto outage = [](const Error& error) {
    const bool away = error.code == Code::unavailable || error.code == Code::deadline_exceeded;
    // That the contract has no such method, or refuses to say, is this server's trouble and not the wallet's.
    return refuse(KeystoreStep::policy, {away ? error.code : Code::configuration,
                                         "Failed to read the wallet's policy from the contract: " + error.text()});
  };
  const auto head = parts_.reader->head(deadline);
  if (!head) return outage(head.error());
  const std::string arguments = base::JsonOut{base::JsonOutObject{{"wallet_pubkey", wallet->public_key}}}.compact();
  const auto bytes =
      parts_.reader->call(*head, *parts_.contract, rules_.policy_method, base::to_bytes(arguments), deadline);
  if (!bytes) return outage(bytes.error());
  auto record = keystore::parse_wallet_policy_record(std::string{base::as_text(*bytes)});
  if (!record) return outage(record.error());
  out.at = *head;
  out.record = *std::move(record);
  out.has_policy = out.record.has_value();
  // An owner who has frozen a wallet, or whose policy cannot be opened any more, stores another one.
  const bool owners = asked.owner && out.record && out.record->owner == asked.owner;
  if (!out.has_policy || owners) return out;
  const auto seed = Seed::wallet_policy(asked.wallet.id);
  if (!seed) return refuse(KeystoreStep::policy, seed.error());
  auto text = parts_.keystore.open_blob(*seed, asked.wallet.vault, out.record->encrypted);
  if (!text) return std::unexpected(std::move(text).error());
  const auto unreadable = [](const Error& error) {
    return refuse(KeystoreStep::policy, {Code::corrupt, "Failed to parse the wallet's policy: " + error.text()});
  };
  const auto document = base::JsonDocument::parse(std::string{base::as_text(text->reveal())});
  if (!document) return unreadable(document.error());
  auto policy = WalletPolicy::parse((*document)->root());
  if (!policy) return unreadable(policy.error());
  out.policy = *std::move(policy);
  out.policy.frozen = out.policy.frozen || out.record->frozen;
  return out;
}

Result<VoteResult> KeystoreWallets::count(const WalletAsked& asked, const Read& read, base::Deadline deadline) const {
  if (parts_.reader == nullptr || !parts_.contract) return Error{Code::configuration, "NEAR client not configured"};
  const auto master = parts_.keystore.wallet_master(asked.wallet.vault);
  if (!master) return master.error().error;
  TRY(const auto wallet, wallet_near_key(**master, asked.wallet.id));
  auto at = read.at;
  const auto is_key_of = [&](const std::string& account, const PublicKey& key) -> Result<bool> {
    const auto name = AccountId::parse(account);
    if (!name) return false;
    if (!at) {
      TRY(at, parts_.reader->head(deadline));
    }
    const auto known = parts_.reader->access_key(*at, *name, key, deadline);
    if (known) return true;
    if (known.error().code == Code::not_found) return false;
    return known.error();
  };
  return keystore::count_votes(read.policy,
                               {.id = asked.votes->id,
                                .wallet_public_key = wallet.public_key,
                                .request_hash = asked.op.hash,
                                .contract = *parts_.contract},
                               asked.votes->votes, is_key_of);
}

std::expected<WalletVerdict, KeystoreRefusal> KeystoreWallets::judge(const WalletAsked& asked, const Read& read,
                                                                     base::Deadline deadline) const {
  WalletVerdict out{.has_policy = read.has_policy};
  if (!read.has_policy && !asked.without_policy && !rules_.without_policy) {
    out.reason = "this wallet has no policy, and signs nothing before its owner has stored one";
    return out;
  }
  if (asked.owner && read.record && read.record->owner && read.record->owner != asked.owner) {
    out.reason = "this wallet's policy is another account's: " + read.record->owner->text();
    return out;
  }
  const auto view = parts_.store.read();
  if (!view) return refuse(KeystoreStep::record, view.error());
  const auto now = parts_.store.now();
  const auto usage = read_wallet_usage(**view, asked.wallet, asked.op, now);
  if (!usage) return refuse(KeystoreStep::record, usage.error());
  const auto needs = keystore::check_wallet_policy(read.policy, asked.op, *usage, now);
  if (!needs) {
    out.reason = base::reason(needs.error());
    return out;
  }
  out.allowed = true;
  out.needs_approval = *needs;
  if (out.needs_approval) out.threshold = read.policy.threshold;
  if (!asked.votes) return out;
  // Also where no approval is needed: one who says no is heard.
  auto votes = count(asked, read, deadline);
  if (!votes) return refuse(KeystoreStep::policy, std::move(votes).error());
  out.votes = *votes;
  if (out.votes == VoteResult::vetoed) {
    out.allowed = false;
    out.reason = "an approver has rejected it";
  }
  return out;
}

void KeystoreWallets::check(WalletAsked asked, base::Deadline deadline, Checked done) {
  auto kept = std::make_shared<std::pair<WalletAsked, Checked>>(std::move(asked), std::move(done));
  std::move_only_function<void()> task = [this, kept, deadline] {
    const auto read = read_policy(kept->first, deadline);
    if (!read) return kept->second(std::unexpected(read.error()));
    kept->second(judge(kept->first, *read, deadline));
  };
  if (parts_.run_waiting(kept->first.wallet.id, task)) return;
  kept->second(refuse(KeystoreStep::limit, {Code::unavailable, "too many wait for the chain"}));
}

// ---- signing

void KeystoreWallets::sign(WalletAsked asked, KeystoreRecipient to, base::Deadline deadline, WalletMake make,
                           KeystoreDone done) {
  auto job = std::make_shared<Job>(Job{std::move(asked), std::move(to), deadline, std::move(make), std::move(done)});
  std::move_only_function<void()> task = [this, job] { run(job); };
  if (parts_.run_waiting(job->asked.wallet.id, task)) return;
  job->done(refuse(KeystoreStep::limit, {Code::unavailable, "too many wait for the chain"}));
}

void KeystoreWallets::run(const std::shared_ptr<Job>& job) {
  auto read = read_policy(job->asked, job->deadline);
  if (!read) return job->done(std::unexpected(std::move(read).error()));
  const auto verdict = judge(job->asked, *read, job->deadline);
  if (!verdict) return job->done(std::unexpected(verdict.error()));
  if (!verdict->allowed) return job->done(refuse(KeystoreStep::policy, {Code::denied, verdict->reason}));
  if (verdict->needs_approval && verdict->votes != VoteResult::approved)
    return job->done(refuse(KeystoreStep::policy, missing_approvals(verdict->threshold)));
  const auto master = parts_.keystore.wallet_master(job->asked.wallet.vault);
  if (!master) return job->done(std::unexpected(master.error()));
  auto made = job->make({.master = **master,
                         .own = rules_.own,
                         .reader = parts_.reader,
                         .now = parts_.store.now(),
                         .deadline = job->deadline});
  if (!made) return job->done(refuse(KeystoreStep::policy, std::move(made).error()));
  keep(job, *std::move(read), verdict->needs_approval, *std::move(made));
}

void KeystoreWallets::keep(const std::shared_ptr<Job>& job, Read read, bool approved, WalletMade made) const {
  if (auto clock = parts_.store.clock_usable(); !clock)
    return job->done(refuse(KeystoreStep::record, std::move(clock).error()));
  KeystoreReply reply;
  reply.leaf_key = parts_.random.secret(32);
  reply.plaintext = crypto::Secret::copy_of(base::as_bytes(base::JsonOut{std::move(made.body)}.compact()));
  const auto commit = [&](std::string_view label, base::ByteView value) {
    return audit::commitment(reply.leaf_key, label, value);
  };
  audit::Leaf leaf;
  leaf.type = job->asked.leaf;
  leaf.realm = parts_.store.realm();
  leaf.audience = parts_.log.origin();
  leaf.time = parts_.store.now();
  for (const auto& [label, value] :
       {std::pair{"wallet", job->asked.wallet.id}, std::pair{"vault", job->asked.wallet.vault},
        std::pair{"seed", made.seed}, std::pair{"op", job->asked.op.hash}, std::pair{"token", job->to.token},
        std::pair{"approval", approved ? job->asked.votes->id : std::string{}}}) {
    if (!value.empty()) leaf.outputs.emplace(label, commit(label, base::as_bytes(value)));
  }
  leaf.outputs.emplace("plaintext", commit("plaintext", reply.plaintext.reveal()));
  if (read.at) {
    base::LpWriter at;
    at.u64(read.at->height).raw(read.at->hash);
    leaf.governance = commit("governance", at.bytes());
  }
  auto index = std::make_shared<std::uint64_t>(0);
  parts_.store.write(
      [&log = parts_.log, job, policy = std::move(read.policy), approved, index,
       leaf = std::move(leaf)](state::WriteTxn& txn) -> Status {
        const auto& asked = job->asked;
        // Looked at again with what others have done meanwhile: two at once do not both fit under one limit.
        TRY(const auto usage, read_wallet_usage(txn, asked.wallet, asked.op, leaf.time));
        TRY_OK(keystore::check_wallet_policy(policy, asked.op, usage, leaf.time));
        TRY_OK(add_wallet_usage(txn, asked.wallet, asked.op, usage, leaf.time));
        if (approved) TRY_OK(use_wallet_approval(txn, asked.wallet, asked.votes->id, asked.op.hash, leaf.time));
        TRY(*index, log.append(txn, leaf));
        return base::done();
      },
      [job, index, reply = std::move(reply)](Status kept) mutable {
        if (!kept) {
          const bool forbidden = kept.error().code == Code::denied || kept.error().code == Code::replayed;
          return job->done(refuse(forbidden ? KeystoreStep::policy : KeystoreStep::record, std::move(kept).error()));
        }
        reply.leaf = *index;
        job->done(std::move(reply));
      });
}

}  // namespace attestry::secrets
