// Other admins, or another threshold, for the same master key (docs/reference/bootstrap.md, "Other admins").
#include <algorithm>
#include <set>

#include "base/encoding.h"
#include "base/log.h"
#include "crypto/hash.h"
#include "keys/bootstrap.h"
#include "state/keys.h"

namespace attestry::keys {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kMaxAdminsJson = 1u << 20;

state::Key recovering_key() { return state::Key(state::Space::bootstrap).lp("recovering"); }
base::Bytes recovering_value(unsigned threshold) {
  return state::value(kVersion).u8(static_cast<std::uint8_t>(threshold)).bytes();
}
state::Key set_key() { return state::Key(state::Space::bootstrap).lp("set"); }
state::Key next_key() { return state::Key(state::Space::bootstrap).lp("next"); }
/// Admins whom a change has put in the place of those in the file, and whose place they took.
state::Key changed_key() { return state::Key(state::Space::bootstrap).lp("changed admins"); }

Result<AdminSet> parse_admins(base::ByteView json) {
  auto admins = AdminSet::parse(json);
  if (!admins) return Error{Code::corrupt, "stored admins: " + admins.error().what};
  return admins;
}

}  // namespace

base::Digest32 reshare_proposal(const AdminSet& admins, unsigned threshold) {
  base::LpWriter out;
  out.lp("attestry/reshare/1").raw(admins_digest(admins)).u8(static_cast<std::uint8_t>(threshold));
  return crypto::sha256(out.bytes());
}

const AdminSet& Bootstrap::admins() const {
  const base::MutexLock lock(mutex_);
  return *everybody_;
}

const AdminSet* Bootstrap::hold(AdminSet admins) {
  held_.push_back(std::make_unique<const AdminSet>(std::move(admins)));
  return held_.back().get();
}

/// Present and new admins as one set; an id of both must be one person's.
Status Bootstrap::gather() {
  if (next_admins_ == nullptr) {
    everybody_ = admins_;
    return base::done();
  }
  std::vector<std::pair<std::string, std::string>> all;
  for (const auto& admin : admins_->admins()) all.emplace_back(admin.id, admin.pubkey_pem);
  for (const auto& admin : next_admins_->admins()) {
    const Admin* present = admins_->find(admin.id);
    if (present == nullptr) all.emplace_back(admin.id, admin.pubkey_pem);
    if (present != nullptr && key_fingerprint(*present) != key_fingerprint(admin))
      return Error{Code::usage, "the new admin " + admin.id + " has the id of a present one, and another key"};
  }
  TRY(auto everybody, AdminSet::make(std::move(all)), "present and new admins together");
  everybody_ = hold(std::move(everybody));
  return base::done();
}

Status Bootstrap::load_admins(const state::ReadView& view) {
  TRY(const auto changed, view.get(changed_key()));
  if (changed && set_) {
    TRY(auto in, state::open_value(*changed, kVersion, "changed admins"));
    TRY(const auto before, in.take_array<32>("before"));
    TRY(const auto json, in.lp("admins", kMaxAdminsJson));
    TRY(auto admins, parse_admins(json));
    // The file is still that of before: it is the change that counts, since it was the admins' own.
    if (file_admins_ == before && admins_digest(admins) == set_->admins) {
      base::log(base::LogLevel::warning, "registry.admins still is the file from before the admins were changed",
                {{"what to do", "put the file there that `attestry admin reshare` was given"}});
      admins_ = hold(std::move(admins));
    }
  }
  next_.reset();
  next_admins_ = nullptr;
  TRY(const auto stored, view.get(next_key()));
  if (!stored) return base::done();
  TRY(auto in, state::open_value(*stored, kVersion, "set of shares to come"));
  TRY(const auto set, in.lp("set", kMaxAdminsJson));
  TRY(const auto json, in.lp("admins", kMaxAdminsJson));
  TRY(next_, decode_share_set(set));
  TRY(auto admins, parse_admins(json));
  next_admins_ = hold(std::move(admins));
  return base::done();
}

Status Bootstrap::leaf(state::WriteTxn& txn, std::string_view type, const ShareSet& set) const {
  if (options_.log == nullptr) return base::done();
  audit::Leaf out;
  out.type = type;
  out.realm = store_.realm();
  out.audience = options_.log->origin();
  out.time = store_.now();
  // What anybody can compute who has the commitments: the set's id, and who holds it.
  base::LpWriter said;
  said.lp(set.id).raw(set.admins).u8(static_cast<std::uint8_t>(set.threshold));
  out.reply = base::hex(crypto::sha256(said.bytes()));
  TRY([[maybe_unused]] const auto index, options_.log->append(txn, out));
  return base::done();
}

Status Bootstrap::keep_next(const std::optional<ShareSet>& next, const AdminSet& admins, std::string_view type,
                            base::Deadline deadline) {
  auto value = state::value(kVersion);
  value.lp(encode(*next)).lp(admins.json());
  auto written = store_.write_and_wait(
      [&](state::WriteTxn& txn) -> Status {
        TRY_OK(txn.put(next_key(), value.bytes()));
        return type.empty() ? base::done() : leaf(txn, type, *next);
      },
      deadline);
  if (written) return base::done();
  // It may be there nevertheless; what is on the disk is what counts.
  TRY_OK(load());
  TRY_OK(gather());
  return written;
}

Result<ReshareAnswer> Bootstrap::reshare(std::string_view admin, AdminSet next, unsigned threshold,
                                         base::Deadline deadline) {
  if (const auto able = can_hold_shares(next); !able)
    return Error{Code::usage, able.error().what, able.error().expected};
  if (threshold < 2 || threshold > next.admins().size()) {
    return Error{Code::usage, "the new threshold",
                 "2 to the number of new admins, " + std::to_string(next.admins().size()), std::to_string(threshold)};
  }
  const base::MutexLock lock(mutex_);
  if (state_now() != BootstrapState::complete || !set_) {
    return Error{Code::conflict, "The master key can be shared anew only while the state is complete"};
  }
  if (!set_->index_of(admin)) return Error{Code::usage, "only an admin who holds a share may ask for that"};
  ReshareAnswer out{.proposal = reshare_proposal(next, threshold), .agreed = 0, .needed = set_->threshold};
  if (out.proposal == reshare_proposal(*admins_, set_->threshold))
    return Error{Code::conflict, "These are the present admins, with the present threshold"};
  proposals_.insert_or_assign(std::string{admin}, out.proposal);
  for (const auto& [who, what] : proposals_) out.agreed += what == out.proposal && set_->index_of(who) ? 1U : 0U;
  base::log(
      base::LogLevel::info, "an admin asks for other admins",
      {{"admin", std::string{admin}}, {"proposal", base::hex(out.proposal)}, {"agreed", std::to_string(out.agreed)}});
  if (out.agreed < out.needed) return out;
  // Nobody may sign as a new admin before there are shares for him.
  TRY(auto set, split(master_, next, threshold, static_cast<unsigned>(next.admins().size())));
  for (auto& share : set.shares) share.v1.clear();  // a first-version request may be a replay
  const AdminSet* const before = next_admins_;
  next_admins_ = hold(std::move(next));
  if (auto fits = gather(); !fits) {
    next_admins_ = before;
    return fits.error();
  }
  TRY_OK(keep_next(set, *next_admins_, "admins-reshare", deadline));
  next_ = std::move(set);
  proposals_.clear();
  out.split = true;
  base::log(base::LogLevel::info, "the master key was split anew",
            {{"set", base::hex(next_->id)}, {"threshold", std::to_string(threshold)}});
  return out;
}

Result<EncryptedShare> Bootstrap::fetch_next(unsigned index, base::Deadline deadline) {
  auto next = *next_;
  auto& share = next.shares[index];
  if (share.v2.empty()) return Error{Code::conflict, "No shares available for retrieval"};
  EncryptedShare out{.index = index, .blob = share.v2};
  if (share.fetched) return out;
  share.fetched = true;
  TRY_OK(keep_next(next, *next_admins_, {}, deadline));
  next_ = std::move(next);
  return out;
}

Status Bootstrap::confirm_next(unsigned index, base::Deadline deadline) {
  auto next = *next_;
  auto& share = next.shares[index];
  share.fetched = share.received = true;
  share.v2.clear();
  if (std::ranges::all_of(next.shares, [](const ShareRecord& one) { return one.received; }))
    return take_effect(std::move(next), deadline);
  TRY_OK(keep_next(next, *next_admins_, {}, deadline));
  next_ = std::move(next);
  return base::done();
}

/// From here on the new shares are those that count, and what was known of the old ones is gone.
Status Bootstrap::take_effect(ShareSet next, base::Deadline deadline) {
  const bool recovering = recovering_.has_value();
  auto changed = state::value(kVersion);
  changed.raw(file_admins_).lp(next_admins_->json());
  auto written = store_.write_and_wait(
      [&](state::WriteTxn& txn) -> Status {
        TRY_OK(txn.put(set_key(), encode(next)));
        TRY_OK(txn.erase(next_key()));
        TRY_OK(txn.put(changed_key(), changed.bytes()));
        // Shares that were brought so far are of no use to a recovery that goes on with the new ones.
        if (recovering) TRY_OK(txn.put(recovering_key(), recovering_value(next.threshold)));
        return leaf(txn, "admins-changed", next);
      },
      deadline);
  if (!written) {
    TRY_OK(load());
    TRY_OK(gather());
    return written;
  }
  set_ = std::move(next);
  next_.reset();
  admins_ = next_admins_;
  next_admins_ = nullptr;
  generated_here_ = false;
  submitted_.clear();
  proposals_.clear();  // those of admins who are none any more have no say in what comes next
  if (recovering) recovering_ = set_->threshold;
  base::log(base::LogLevel::info, "other admins hold the master key's shares now",
            {{"set", base::hex(set_->id)}, {"threshold", std::to_string(set_->threshold)}});
  return gather();
}

}  // namespace attestry::keys
