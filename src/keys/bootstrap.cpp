#include "keys/bootstrap.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/json_writer.h"
#include "base/log.h"
#include "curves/ecies.h"
#include "curves/shamir.h"
#include "state/keys.h"
#include "state/scan.h"

namespace attestry::keys {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t kMasterBytes = 32;
constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kSweep = 64;  // forgotten requests that one request clears away

state::Key set_key() { return state::Key(state::Space::bootstrap).lp("set"); }
state::Key recovering_key() { return state::Key(state::Space::bootstrap).lp("recovering"); }
/// Those that are kept for ever lie apart, so that a sweep never has to walk over them.
state::Key requests_of(std::string_view admin, bool for_ever) {
  return state::Key(state::Space::admin_requests).lp(admin).u8(for_ever ? 1 : 0);
}

std::string name_of(const AdminSet& admins, std::string_view id) {
  const Admin* admin = admins.find(id);
  return admin == nullptr ? std::string{} : admin->name;
}

Error refusal(std::string what) { return {Code::conflict, std::move(what)}; }

/// The seed's own words, which its clients look for.
Error wrong_share(const std::string& why) {
  return {Code::usage,
          "failed to reconstruct master key: " + why,
          {},
          {},
          "The shares that are right stay; let that admin look for his own share and submit it again."};
}

Result<unsigned> threshold_of(std::optional<std::int64_t> asked, unsigned least) {
  if (!asked) return least;
  if (*asked < std::max<std::int64_t>(2, least))
    return Error{Code::usage, "Threshold must be at least " + std::to_string(std::max(2U, least))};
  if (*asked > 255) return Error{Code::usage, "Total shares must be at least equal to threshold"};
  return static_cast<unsigned>(*asked);
}

Result<unsigned> total_of(std::optional<std::int64_t> asked, unsigned threshold, std::size_t admins) {
  const std::int64_t total = asked.value_or(static_cast<std::int64_t>(admins));
  if (total < static_cast<std::int64_t>(threshold))
    return Error{Code::usage, "Total shares must be at least equal to threshold"};
  if (total > static_cast<std::int64_t>(admins)) {
    return Error{Code::usage, "Not enough admins (" + std::to_string(admins) +
                                  ") for the requested number of shares (" + std::to_string(total) + ")"};
  }
  return static_cast<unsigned>(total);
}

std::string context_of(std::string_view purpose, base::ByteView set_id, unsigned index, std::string_view admin) {
  return "attestry/" + std::string{purpose} + "/" + base::hex(set_id) + "/" + std::to_string(index) + "/" +
         std::string{admin};
}

/// What was made must come together again before anybody relies on it: the first shares and the last ones.
Status check_split(const std::vector<crypto::Secret>& shares, unsigned threshold, const crypto::Secret& master) {
  for (const std::size_t from : {std::size_t{0}, shares.size() - threshold}) {
    TRY(const auto again, curves::shamir_combine(std::span{shares}.subspan(from, threshold)));
    if (!crypto::equal_constant_time(again.reveal(), master.reveal()))
      return Error{Code::internal, "the shares that were made do not give the master key again"};
  }
  return base::done();
}

Error other_admins(const ShareSet& set, const AdminSet& admins) {
  std::string who;
  for (const auto& share : set.shares) {
    const Admin* admin = admins.find(share.admin);
    if (admin == nullptr || key_fingerprint(*admin) != share.fingerprint)
      who += (who.empty() ? "" : ", ") + share.admin;
  }
  return {Code::configuration, "the file of admins is not the one that the shares were made for",
          "the same ids with the same keys in the same order",
          who.empty() ? "other admins besides" : "missing or with another key: " + who,
          "Put the right file back. The set of admins changes by `attestry admin reshare` only: "
          "docs/how-to/bootstrap-and-recover.md."};
}

}  // namespace

std::string_view to_text(BootstrapState state) noexcept {
  switch (state) {
    case BootstrapState::initial:
      return "initial";
    case BootstrapState::generating_shares:
      return "generating_shares";
    case BootstrapState::recovering:
      return "recovering";
    case BootstrapState::complete:
      return "complete";
  }
  return "unknown";
}

std::string share_context(base::ByteView set_id, unsigned index, std::string_view admin) {
  return context_of("share/v2", set_id, index, admin);
}

std::string submission_context(base::ByteView set_id, unsigned index, std::string_view admin) {
  return context_of("share-submission/v2", set_id, index, admin);
}

Bootstrap::Bootstrap(state::Store& store, AdminSet admins, BootstrapOptions options, crypto::Random& random,
                     const base::Clock& clock)
    : store_(store),
      options_(std::move(options)),
      random_(random),
      clock_(clock),
      file_admins_(admins_digest(admins)),
      recovery_key_(crypto::EcPrivateKey::generate(crypto::Curve::p256, random)) {
  const base::MutexLock lock(mutex_);
  admins_ = everybody_ = hold(std::move(admins));
}

Bootstrap::~Bootstrap() = default;

Result<std::unique_ptr<Bootstrap>> Bootstrap::open(state::Store& store, AdminSet admins, BootstrapOptions options,
                                                   crypto::Random& random, const base::Clock& clock) {
  if (options.threshold < 2 || options.threshold > admins.admins().size()) {
    return Error{Code::configuration, "the threshold of the registry's admins",
                 "2 to the number of admins, " + std::to_string(admins.admins().size()),
                 std::to_string(options.threshold)};
  }
  TRY_OK(can_hold_shares(admins));
  std::unique_ptr<Bootstrap> out(new Bootstrap(store, std::move(admins), std::move(options), random, clock));
  TRY_OK(out->start(), "bootstrap");
  return out;
}

Status Bootstrap::start() {
  const base::MutexLock lock(mutex_);
  TRY_OK(load());
  if (!set_ && !options_.commitments_json.empty()) TRY_OK(take_over_commitments());
  if (set_ && set_->admins != admins_digest(*admins_)) return other_admins(*set_, *admins_);
  return gather();
}

Status Bootstrap::load() {
  TRY(const auto view, store_.read());
  TRY(const auto stored, view->get(set_key()));
  std::optional<ShareSet> set;
  if (stored) {
    TRY(set, decode_share_set(*stored));
  }
  TRY(const auto recovering, view->get(recovering_key()));
  std::optional<unsigned> threshold;
  if (recovering) {
    TRY(auto in, state::open_value(*recovering, kVersion, "recovery"));
    TRY(threshold, in.u8("threshold"));
  }
  set_ = std::move(set);
  recovering_ = threshold;
  return load_admins(*view);
}

Status Bootstrap::take_over_commitments() {
  constexpr std::chrono::seconds kPatience{30};
  TRY(auto set, parse_commitments(options_.commitments_json), "commitments");
  TRY_OK(bind_admins(set, *admins_, clock_.now()), "commitments");
  TRY_OK(keep(set, recovering_, std::chrono::steady_clock::now() + kPatience));
  base::log(base::LogLevel::info, "commitments of the admins' shares were taken over",
            {{"set", base::hex(set_->id)}, {"threshold", std::to_string(set_->threshold)}});
  return base::done();
}

Status Bootstrap::keep(const std::optional<ShareSet>& set, std::optional<unsigned> recovering,
                       base::Deadline deadline) {
  const auto encoded = set ? encode(*set) : base::Bytes{};
  auto written = store_.write_and_wait(
      [&encoded, recovering](state::WriteTxn& txn) -> Status {
        if (!encoded.empty()) TRY_OK(txn.put(set_key(), encoded));
        if (!recovering) return txn.erase(recovering_key());
        return txn.put(recovering_key(), state::value(kVersion).u8(static_cast<std::uint8_t>(*recovering)).bytes());
      },
      deadline);
  if (!written) {
    // It may be there nevertheless; what is on the disk is what counts.
    TRY_OK(load());
    return written;
  }
  set_ = set;
  recovering_ = recovering;
  return base::done();
}

BootstrapState Bootstrap::state_now() const {
  if (recovering_) return BootstrapState::recovering;
  if (!master_.empty() && !(generated_here_ && set_ && !set_->all_fetched())) return BootstrapState::complete;
  return set_ && !set_->all_fetched() ? BootstrapState::generating_shares : BootstrapState::initial;
}

BootstrapStatus Bootstrap::status() const {
  const base::MutexLock lock(mutex_);
  BootstrapStatus out;
  out.state = state_now();
  out.threshold = recovering_.value_or(options_.threshold);
  out.total_shares = static_cast<unsigned>(admins_->admins().size());
  out.submitted = static_cast<unsigned>(submitted_.size());
  if (!set_) return out;
  out.has_shares = true;
  out.threshold = set_->threshold;
  out.total_shares = static_cast<unsigned>(set_->shares.size());
  out.set_id = set_->id;
  out.secret_commitment = set_->secret_commitment;
  for (const auto& share : set_->shares) {
    out.shares.push_back({share.admin, static_cast<unsigned>(out.shares.size()), share.commitment, share.fetched,
                          share.received, submitted_.contains(share.admin)});
  }
  return out;
}

base::FixedBytes<64> Bootstrap::recovery_report_data() const {
  const base::MutexLock lock(mutex_);
  return recovery_key_report_data(set_ ? set_->id : base::FixedBytes<16>{}, recovery_key_.public_key());
}

std::string Bootstrap::commitments_json() const {
  const auto key = base::pem_encode("PUBLIC KEY", recovery_key_.public_key().spki());
  const base::MutexLock lock(mutex_);
  if (set_) {
    std::vector<ShareNow> now;
    for (const auto& share : set_->shares) {
      now.push_back({name_of(*admins_, share.admin), submitted_.contains(share.admin)});
    }
    if (!next_) return keys::commitments_json(*set_, key, now);
    std::vector<ShareNow> then;
    for (const auto& share : next_->shares) then.push_back({name_of(*next_admins_, share.admin), false});
    return keys::commitments_json(*set_, key, now, keys::commitments_json(*next_, key, then));
  }
  return base::JsonOut{base::JsonOutObject{{"recovery_key", key}, {"version", 1}}}.compact();
}

Result<ShareSet> Bootstrap::split(const crypto::Secret& master, const AdminSet& admins, unsigned threshold,
                                  unsigned total) const {
  TRY(const auto shares, curves::shamir_split(master, threshold, total, random_));
  TRY_OK(check_split(shares, threshold, master));
  ShareSet set;
  random_.fill(set.id);
  set.threshold = threshold;
  set.created = clock_.now();
  set.admins = admins_digest(admins);
  set.secret_commitment = curves::secret_commitment(set.id, master);
  for (unsigned i = 0; i < total; ++i) {
    const Admin& admin = admins.admins()[i];
    ShareRecord record;
    record.admin = admin.id;
    record.fingerprint = key_fingerprint(admin);
    record.commitment = curves::share_commitment(set.id, shares[i]);
    const auto plain = shares[i].reveal();
    TRY(record.v2, curves::ecies_v2_seal(*admin.ec_key(), share_context(set.id, i, admin.id), plain, random_));
    if (options_.seed_dialect) {
      TRY(record.v1, curves::ecies_v1_seal(*admin.ec_key(), plain, random_));
    }
    set.shares.push_back(std::move(record));
  }
  return set;
}

Result<GeneratedShares> Bootstrap::generate(std::optional<std::int64_t> threshold, std::optional<std::int64_t> total,
                                            base::Deadline deadline) {
  TRY(const unsigned needed, threshold_of(threshold, options_.threshold));
  const base::MutexLock lock(mutex_);
  TRY(const unsigned parts, total_of(total, needed, admins_->admins().size()));
  // A second set would make a second root beside the one whose keys are in use.
  if (state_now() != BootstrapState::initial || set_) return refusal("Bootstrap already in progress or complete");
  auto master = random_.secret(kMasterBytes);
  TRY(auto set, split(master, *admins_, needed, parts));
  TRY_OK(keep(set, std::nullopt, deadline));
  master_ = std::move(master);
  generated_here_ = true;
  GeneratedShares out{.threshold = needed, .assignments = {}};
  for (unsigned i = 0; i < parts; ++i) out.assignments.push_back({set.shares[i].admin, i});
  base::log(base::LogLevel::info, "a master key was made and split",
            {{"set", base::hex(set.id)}, {"threshold", std::to_string(needed)}, {"shares", std::to_string(parts)}});
  return out;
}

Result<unsigned> Bootstrap::begin_recovery(std::string_view admin, std::optional<std::int64_t> threshold,
                                           base::Deadline deadline) {
  TRY(unsigned needed, threshold_of(threshold, 2));
  const base::MutexLock lock(mutex_);
  if (admins_->find(admin) == nullptr) return Error{Code::usage, "only a present admin may begin a recovery"};
  const auto state = state_now();
  const bool lost = state == BootstrapState::generating_shares && master_.empty();
  if (state != BootstrapState::initial && !lost) return refusal("Bootstrap already in progress or complete");
  if (!set_ && !options_.unknown_shares) {
    return Error{Code::conflict,
                 "No shares are known to this server",
                 {},
                 {},
                 "Give it the commitments that `attestry admin ceremony` stored: registry.commitments."};
  }
  needed = set_ ? set_->threshold : std::max(needed, options_.threshold);
  if (needed > admins_->admins().size())
    return Error{Code::usage, "Not enough admins (" + std::to_string(admins_->admins().size()) + ") for the threshold"};
  TRY_OK(keep(set_, needed, deadline));
  base::log(base::LogLevel::info, "recovery of the master key has begun", {{"threshold", std::to_string(needed)}});
  return needed;
}

Result<EncryptedShare> Bootstrap::fetch(std::string_view admin, ShareFormat format, base::Deadline deadline) {
  const base::MutexLock lock(mutex_);
  constexpr const char* kNone = "No shares available for retrieval";
  if (!set_) return refusal(kNone);
  if (next_ && format == ShareFormat::v2) {
    if (const auto place = next_->index_of(admin)) return fetch_next(*place, deadline);
  }
  const auto index = set_->index_of(admin);
  const bool generating = state_now() == BootstrapState::generating_shares;
  if (!index) {
    if (!generating) return refusal(kNone);
    return Error{Code::not_found, "No share assigned to this admin"};
  }
  ShareSet set = *set_;
  ShareRecord& share = set.shares[*index];
  const bool v2 = format == ShareFormat::v2;
  // Whoever shows by a fresh signature that he has not got it may ask again; a constant one may not.
  if (!generating && share.fetched && !(v2 && !share.received)) return refusal(kNone);
  EncryptedShare out{.index = *index, .blob = v2 ? share.v2 : share.v1};
  if (out.blob.empty()) return refusal(kNone);
  if (share.fetched) return out;
  share.fetched = true;
  if (set.all_fetched()) {
    for (auto& other : set.shares) other.v1.clear();
  }
  TRY_OK(keep(set, recovering_, deadline));
  base::log(base::LogLevel::info, "an admin has fetched his share",
            {{"admin", std::string{admin}}, {"state", std::string{to_text(state_now())}}});
  return out;
}

Status Bootstrap::confirm(std::string_view admin, const base::Digest32& commitment, base::Deadline deadline) {
  const base::MutexLock lock(mutex_);
  if (const auto place = next_ ? next_->index_of(admin) : std::nullopt) {
    if (next_->shares[*place].commitment == commitment) return confirm_next(*place, deadline);
  }
  const auto index = set_ ? set_->index_of(admin) : std::nullopt;
  if (!index) return Error{Code::not_found, "No share assigned to this admin"};
  ShareSet set = *set_;
  ShareRecord& share = set.shares[*index];
  if (share.commitment != commitment) return Error{Code::usage, "That is not the commitment of this admin's share"};
  if (share.received) return base::done();
  share.fetched = share.received = true;
  share.v1.clear();
  share.v2.clear();
  TRY_OK(keep(set, recovering_, deadline));
  base::log(base::LogLevel::info, "an admin holds his share", {{"admin", std::string{admin}}});
  return base::done();
}

Status Bootstrap::check_share(std::string_view admin, unsigned index, const crypto::Secret& share) const {
  if (!set_) {
    // One seat per admin and one admin per seat, whatever the shares say (registry.md: one admin, many indexes).
    for (const auto& [other, entry] : submitted_) {
      if (other == admin && entry.index != index)
        return Error{Code::usage, "this admin has submitted share " + std::to_string(entry.index) +
                                      " already: one admin, one share"};
      if (other != admin && entry.index == index)
        return Error{Code::usage, "share " + std::to_string(index) + " was submitted by another admin"};
    }
    return base::done();
  }
  const auto own = set_->index_of(admin);
  if (!own) return Error{Code::usage, "no share was ever assigned to this admin"};
  if (*own != index) {
    return Error{Code::usage,
                 "share " + std::to_string(index) + " is not this admin's, whose share is " + std::to_string(*own)};
  }
  const auto found = curves::share_commitment(set_->id, share);
  const auto& expected = set_->shares[index].commitment;
  if (expected && found != *expected) {
    return wrong_share("share " + std::to_string(index) + " of admin " + std::string{admin} +
                       " does not match its commitment");
  }
  for (const auto& other : set_->shares) {
    if (other.admin != admin && other.commitment == found)
      return wrong_share("that is the share of admin " + other.admin);
  }
  return base::done();
}

ShareSet Bootstrap::first_seen_set(const crypto::Secret& master) const {
  ShareSet set;
  random_.fill(set.id);
  set.threshold = recovering_.value_or(options_.threshold);
  set.created = clock_.now();
  set.admins = admins_digest(*admins_);
  set.secret_commitment = curves::secret_commitment(set.id, master);
  // The seat of an admin who has not submitted is not known: it gets the first free number.
  std::vector<const Admin*> absent;
  set.shares.resize(admins_->admins().size());
  for (const auto& admin : admins_->admins()) {
    const auto found = submitted_.find(admin.id);
    if (found == submitted_.end() || found->second.index >= set.shares.size()) {
      absent.push_back(&admin);
      continue;
    }
    auto& share = set.shares[found->second.index];
    share.admin = admin.id;
    share.fingerprint = key_fingerprint(admin);
    share.commitment = curves::share_commitment(set.id, found->second.share);
  }
  for (auto& share : set.shares) {
    if (!share.admin.empty() || absent.empty()) continue;
    share.admin = absent.front()->id;
    share.fingerprint = key_fingerprint(*absent.front());
    absent.erase(absent.begin());
  }
  for (auto& share : set.shares) share.fetched = share.received = true;
  return set;
}

Status Bootstrap::check_master(const crypto::Secret& master) {
  if (!set_ || curves::secret_commitment(set_->id, master) == set_->secret_commitment) return base::done();
  // Only shares that were never seen can have done this; which of them, nobody can tell.
  std::string who;
  for (const auto& share : set_->shares) {
    if (!share.commitment && submitted_.erase(share.admin) != 0) who += (who.empty() ? "" : ", ") + share.admin;
  }
  if (who.empty()) submitted_.clear();
  return wrong_share("the shares do not give the committed key" + (who.empty() ? who : "; wrong is one of " + who));
}

Result<Submitted> Bootstrap::combine(base::Deadline deadline) {
  std::vector<crypto::Secret> shares;
  for (const auto& [admin, entry] : submitted_) shares.push_back(entry.share.clone());
  auto master = curves::shamir_combine(shares);
  if (!master) {
    submitted_.clear();  // two x alike or unequal lengths: which is the wrong one cannot be told
    return wrong_share(master.error().what);
  }
  if (master->size() != kMasterBytes) {
    submitted_.clear();
    return wrong_share("a master key has " + std::to_string(kMasterBytes) + " bytes");
  }
  TRY_OK(check_master(*master));
  ShareSet set = set_ ? *set_ : first_seen_set(*master);
  for (auto& share : set.shares) {
    const auto found = submitted_.find(share.admin);
    if (found == submitted_.end()) continue;
    share.fetched = share.received = true;
    share.commitment = curves::share_commitment(set.id, found->second.share);
    share.v1.clear();
    share.v2.clear();
  }
  const bool verified = set_.has_value();
  TRY_OK(keep(set, std::nullopt, deadline));
  master_ = *std::move(master);
  generated_here_ = false;
  submitted_.clear();
  base::log(
      verified ? base::LogLevel::info : base::LogLevel::warning,
      verified ? "the master key is recovered" : "a master key was put together that nothing could be compared with",
      {{"set", base::hex(set.id)}});
  return Submitted::unlocked;
}

Result<Submitted> Bootstrap::submit(std::string_view admin, std::int64_t index, crypto::Secret share,
                                    base::Deadline deadline) {
  const base::MutexLock lock(mutex_);
  if (!recovering_) return refusal("KMS not in recovery mode");
  if (admins_->find(admin) == nullptr) return Error{Code::usage, "unregistered admin public key"};
  if (index < 0 || index > 254) return Error{Code::usage, "no share has the index " + std::to_string(index)};
  TRY_OK(check_share(admin, static_cast<unsigned>(index), share));
  const bool again = submitted_.contains(admin);
  submitted_.insert_or_assign(std::string{admin}, Entry{static_cast<unsigned>(index), std::move(share)});
  base::log(base::LogLevel::info, "an admin has submitted a share",
            {{"admin", std::string{admin}}, {"submitted", std::to_string(submitted_.size())}});
  if (submitted_.size() < *recovering_) return again ? Submitted::again : Submitted::accepted;
  return combine(deadline);
}

Result<Submitted> Bootstrap::submit_sealed(std::string_view admin, std::int64_t index, base::ByteView sealed,
                                           base::Deadline deadline) {
  base::FixedBytes<16> id{};
  {
    const base::MutexLock lock(mutex_);
    if (!recovering_) return refusal("KMS not in recovery mode");
    if (set_) id = set_->id;
  }
  if (index < 0 || index > 254) return Error{Code::usage, "no share has the index " + std::to_string(index)};
  auto share =
      curves::ecies_v2_open(recovery_key_, submission_context(id, static_cast<unsigned>(index), admin), sealed);
  if (!share)
    return Error{Code::usage,
                 "the share was sealed to another key, set, index or admin",
                 {},
                 {},
                 "The server's key is a new one after each start: read GET /admin/commitments again."};
  return submit(admin, index, *std::move(share), deadline);
}

Result<crypto::Secret> Bootstrap::master() const {
  const base::MutexLock lock(mutex_);
  if (state_now() != BootstrapState::complete) {
    return Error{Code::unavailable, "the master key is not there yet", "the state complete",
                 std::string{to_text(state_now())}, "Admins bring it: docs/how-to/bootstrap-and-recover.md."};
  }
  return master_.clone();
}

Status Bootstrap::use_request(std::string_view admin, const base::Digest32& replay_key, base::UtcTime forget_after,
                              base::Deadline deadline) {
  const bool for_ever = forget_after.seconds == INT64_MAX;
  const auto prefix = requests_of(admin, false);
  const auto key = requests_of(admin, for_ever).lp(replay_key);
  const auto value = state::value(kVersion).u64(static_cast<std::uint64_t>(forget_after.seconds));
  const base::UtcTime now = clock_.now();
  auto written = store_.write_and_wait(
      [&](state::WriteTxn& txn) -> Status {
        std::vector<base::Bytes> old;
        TRY_OK(state::scan_each(txn, prefix, kSweep, [&](base::ByteView at, base::ByteView stored) -> Status {
          TRY(auto in, state::open_value(stored, kVersion, "admin request"));
          TRY(const auto until, in.u64be("until"));
          if (static_cast<std::int64_t>(until) < now.seconds) old.push_back(base::to_bytes(at));
          return base::done();
        }));
        for (const auto& one : old) TRY_OK(txn.erase(one));
        return txn.insert(key, value.bytes());
      },
      deadline);
  if (!written && written.error().code == Code::conflict)
    return Error{Code::replayed, "this signed request was used already"};
  return written;
}

}  // namespace attestry::keys
