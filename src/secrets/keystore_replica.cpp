#include "secrets/keystore_replica.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/reader.h"
#include "state/keys.h"

namespace attestry::secrets {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::uint8_t kVersion = 1;
/// Stamps that a standby may still repeat: one is out for each question under way.
constexpr std::size_t kMostStamps = 64;
/// By which the time of day may run ahead of the steady clock between two looks: it has whole seconds, and is slewed.
constexpr std::int64_t kMostJump = 2;

state::Key state_key() { return state::Key(state::Space::keystore_state).lp("replica"); }

bool nobody(const ReplicaId& id) { return id == ReplicaId{}; }

/// A tenth shorter than what was promised, for clocks that run unlike.
std::chrono::milliseconds lease_of(std::uint32_t seconds) { return std::chrono::milliseconds(900LL * seconds); }

Result<bool> flag(base::Reader& in, std::string_view name) {
  TRY(const auto value, in.u8(name));
  if (value > 1) return Error{Code::corrupt, std::string{name}, "0 or 1", std::to_string(value)};
  return value == 1;
}

}  // namespace

std::string_view to_text(ReplicaRole role) noexcept {
  switch (role) {
    case ReplicaRole::primary:
      return "primary";
    case ReplicaRole::standby:
      return "standby";
    case ReplicaRole::stood_down:
      return "stood-down";
  }
  return "";
}

bool is_replica_state(base::ByteView key) { return base::equal(key, state_key()); }

base::Bytes encode(const ReplicaState& state) {
  auto out = state::value(kVersion);
  out.u8(static_cast<std::uint8_t>(state.role)).u64(state.term).raw(state.id).raw(state.follower);
  out.u8(state.complete ? 1 : 0).u8(state.discard ? 1 : 0).raw(state.position.feed).u64(state.position.change);
  return std::move(out).take();
}

Result<ReplicaState> parse_replica_state(base::ByteView value) {
  TRY(auto in, state::open_value(value, kVersion, "state of a standby"));
  ReplicaState out;
  TRY(const auto role, in.u8("role"));
  if (role < 1 || role > 3) return Error{Code::corrupt, "role of a keystore", "1 to 3", std::to_string(role)};
  out.role = static_cast<ReplicaRole>(role);
  TRY(out.term, in.u64be("term"));
  TRY(out.id, in.take_array<16>("id"));
  TRY(out.follower, in.take_array<16>("follower"));
  TRY(out.complete, flag(in, "complete"));
  TRY(out.discard, flag(in, "discard"));
  TRY(out.position.feed, in.take_array<16>("feed"));
  TRY(out.position.change, in.u64be("change"));
  TRY_OK(in.finish("state of a standby"));
  return out;
}

Result<bool> ReplicaFence::exists(const state::Store& store) {
  TRY(const auto view, store.read());
  TRY(const auto stored, view->get(state_key()));
  return stored.has_value();
}

Result<std::unique_ptr<ReplicaFence>> ReplicaFence::open(state::Store& store, crypto::Random& random,
                                                         ReplicaOptions options) {
  std::unique_ptr<ReplicaFence> out{new ReplicaFence(store, options)};
  TRY(const auto view, store.read());
  TRY(const auto stored, view->get(state_key()));
  const base::MutexLock slow(out->slow_);
  {
    const base::MutexLock lock(out->mutex_);
    // Stamps of an earlier run of this server are none of this one.
    for (const auto byte : random.bytes<7>()) out->next_stamp_ = out->next_stamp_ << 8 | byte;
    ++out->next_stamp_;
    out->last_stamp_ = out->next_stamp_ - 1;
  }
  if (stored) {
    TRY(auto state, parse_replica_state(*stored));
    const base::MutexLock lock(out->mutex_);
    out->state_ = state;
    return out;
  }
  ReplicaState first;
  first.role = options.first;
  // A standby has no term until it hears of one: it can be nobody's rival.
  first.term = options.first == ReplicaRole::primary ? 1 : 0;
  first.id = random.bytes<16>();
  TRY_OK(out->become(first, std::chrono::steady_clock::now() + std::chrono::minutes(1)));
  return out;
}

ReplicaState ReplicaFence::state() const {
  const base::MutexLock lock(mutex_);
  return state_;
}

std::optional<std::chrono::milliseconds> ReplicaFence::silent() const {
  const base::MutexLock lock(mutex_);
  const auto& last = state_.role == ReplicaRole::standby ? last_answer_ : last_question_;
  if (!last) return {};
  return std::chrono::duration_cast<std::chrono::milliseconds>(now() - *last);
}

/// Durable first, then true.
Status ReplicaFence::become(ReplicaState next, base::Deadline deadline, const Rows& rows) {
  TRY_OK(store_.write_and_wait(
      [&](state::WriteTxn& txn) -> Status {
        if (rows) TRY_OK(rows(txn));
        return txn.put(state_key(), encode(next));
      },
      deadline));
  const base::MutexLock lock(mutex_);
  const bool changed = next.role != state_.role || next.term != state_.term;
  state_ = next;
  if (changed) {
    base::log(base::LogLevel::warning, "this keystore's part has changed",
              {{"role", std::string{to_text(next.role)}}, {"term", std::to_string(next.term)}});
  }
  return base::done();
}

Status ReplicaFence::may_serve(std::uint64_t* term) const {
  const base::MutexLock lock(mutex_);
  switch (state_.role) {
    case ReplicaRole::standby:
      return Error{Code::unavailable, "this keystore is a standby", "its primary", {}};
    case ReplicaRole::stood_down:
      return Error{Code::unavailable,
                   "another keystore serves in the place of this one",
                   {},
                   {},
                   "Make this one its standby: attestry keystore standby follow"};
    case ReplicaRole::primary:
      break;
  }
  if (!nobody(state_.follower) && !confirmed_) {
    return Error{Code::unavailable,
                 "this keystore has not heard from its standby since it started or its clock jumped",
                 {},
                 {},
                 "When the standby is gone for good: attestry keystore standby promote --force"};
  }
  if (lease_ && now() >= *lease_) {
    return Error{Code::unavailable,
                 "this keystore has not heard from its standby in time, which may have taken over",
                 {},
                 {},
                 "When the standby is gone for good: attestry keystore standby promote --force"};
  }
  if (term != nullptr) *term = state_.term;
  return base::done();
}

void ReplicaFence::notice_pauses() {
  const base::MutexLock lock(mutex_);
  const std::pair here{options_.clock->now(), now()};
  const auto before = std::exchange(looked_, here);
  if (!before) return;
  const auto steady = std::chrono::floor<std::chrono::seconds>(here.second - before->second).count();
  if (here.first.seconds - before->first.seconds <= steady + kMostJump) return;
  if (state_.role != ReplicaRole::primary || !lease_) return;
  // Also what was on its way here meanwhile renews nothing.
  stamps_.clear();
  confirmed_ = false;
  base::log(base::LogLevel::warning, "the clock jumped ahead: this keystore waits until its standby has answered");
}

// ---- the called one ----

Status ReplicaFence::stand_down(std::uint64_t term, base::Deadline deadline) {
  auto next = state();
  next.role = ReplicaRole::stood_down;
  next.term = std::max(next.term, term);
  next.complete = false;
  return become(next, deadline);
}

Result<bool> ReplicaFence::heard_primary(const ReplicaClaim& claim, base::Deadline deadline) {
  auto own = state();
  const bool higher = std::pair{claim.term, claim.id} > std::pair{own.term, own.id};
  if (own.role == ReplicaRole::primary) {
    if (higher) TRY_OK(stand_down(claim.term, deadline));
    return false;
  }
  if (claim.term > own.term) {
    own.term = claim.term;
    TRY_OK(become(own, deadline));
  }
  return false;
}

/// The promise that the claim makes. `first`: nobody can have had an answer of this server before.
void ReplicaFence::renew(const ReplicaClaim& claim, bool first) {
  const base::MutexLock lock(mutex_);
  last_question_ = now();
  const auto until = lease_of(claim.takeover_seconds);
  const auto stamp = std::ranges::find(stamps_, claim.stamp, [](const auto& one) { return one.first; });
  if (stamp != stamps_.end() && claim.stamp > last_stamp_) {
    last_stamp_ = claim.stamp;
    confirmed_ = true;
    lease_ = claim.takeover_seconds == 0 ? std::nullopt : std::optional{stamp->second + until};
    return;
  }
  // Without a stamp of its own it promises nothing new; but whoever answers it may be taken over from then on.
  if (first) confirmed_ = true;
  if (claim.takeover_seconds != 0) lease_ = std::min(lease_.value_or(Time::max()), now() + until);
}

Result<bool> ReplicaFence::heard_standby(const ReplicaClaim& claim, base::Deadline deadline) {
  auto own = state();
  if (own.role == ReplicaRole::stood_down) return claim.handover && claim.id == own.follower;
  if (own.role != ReplicaRole::primary) return false;
  if (claim.term > own.term) {
    // It has followed another primary.
    TRY_OK(stand_down(claim.term, deadline));
    return false;
  }
  const bool first = nobody(own.follower);
  if (!first && claim.id != own.follower) {
    return Error{Code::conflict,
                 "this keystore has another standby",
                 {},
                 {},
                 "When that one is gone for good: attestry keystore standby promote --force at the primary"};
  }
  if (first) {
    own.follower = claim.id;
    TRY_OK(become(own, deadline));
  }
  renew(claim, first);
  if (claim.handover) TRY_OK(stand_down(own.term, deadline));
  return true;
}

Result<bool> ReplicaFence::heard(const ReplicaClaim& claim, base::Deadline deadline) {
  const base::MutexLock slow(slow_);
  if (claim.id == state().id) {
    return Error{Code::conflict,
                 "the other keystore runs on a copy of this one's data folder",
                 {},
                 {},
                 "A standby begins with an empty data folder."};
  }
  switch (claim.role) {
    case ReplicaRole::primary:
      return heard_primary(claim, deadline);
    case ReplicaRole::standby:
      return heard_standby(claim, deadline);
    case ReplicaRole::stood_down:
      break;
  }
  return false;
}

ReplicaReply ReplicaFence::reply() {
  const base::MutexLock lock(mutex_);
  stamps_.emplace_back(next_stamp_, now());
  if (stamps_.size() > kMostStamps) stamps_.pop_front();
  return {.role = state_.role, .term = state_.term, .id = state_.id, .stamp = next_stamp_++};
}

// ---- the caller ----

ReplicaClaim ReplicaFence::claim() const {
  const base::MutexLock lock(mutex_);
  return {.role = state_.role,
          .term = state_.term,
          .id = state_.id,
          .stamp = answer_stamp_,
          .takeover_seconds = static_cast<std::uint32_t>(options_.takeover.count()),
          .handover = want_handover_ && state_.role == ReplicaRole::standby};
}

Result<bool> ReplicaFence::answered(const ReplicaClaim& asked, const ReplicaReply& reply, base::Deadline deadline) {
  const base::MutexLock slow(slow_);
  auto own = state();
  if (own.role != asked.role) return Error{Code::conflict, "this keystore's part has changed since it asked"};
  if (own.role == ReplicaRole::primary) {
    const bool higher = std::pair{reply.term, reply.id} > std::pair{own.term, own.id};
    if (reply.role == ReplicaRole::primary && higher) TRY_OK(stand_down(reply.term, deadline));
    return false;
  }
  const bool hands_over = asked.handover && reply.role == ReplicaRole::stood_down;
  if (reply.role != ReplicaRole::primary && !hands_over) {
    return Error{Code::unavailable, "the other keystore does not serve", "a primary", std::string{to_text(reply.role)}};
  }
  if (reply.term < own.term) {
    return Error{Code::conflict, "the other keystore is the primary of an older term", std::to_string(own.term),
                 std::to_string(reply.term)};
  }
  if (own.role != ReplicaRole::standby) return false;
  if (reply.term > own.term) {
    own.term = reply.term;
    TRY_OK(become(own, deadline));
  }
  const base::MutexLock lock(mutex_);
  last_answer_ = now();
  answer_stamp_ = reply.stamp;
  return true;
}

Status ReplicaFence::followed(const ReplicaPosition& position, const Rows& rows, base::Deadline deadline) {
  const base::MutexLock slow(slow_);
  auto own = state();
  // A takeover came between: what the old primary says counts no more.
  if (own.role != ReplicaRole::standby) return Error{Code::conflict, "this keystore is no standby any more"};
  own.position = position;
  own.complete = true;
  own.discard = false;
  return become(own, deadline, rows);
}

Status ReplicaFence::copied_part(const Rows& rows, base::Deadline deadline) {
  const base::MutexLock slow(slow_);
  auto own = state();
  if (own.role != ReplicaRole::standby) return Error{Code::conflict, "this keystore is no standby any more"};
  // The masters that it had were the primary's, so those that come with the last part may replace them.
  own.discard = own.discard || own.complete;
  own.complete = false;
  return become(own, deadline, rows);
}

void ReplicaFence::handed_over() {
  const base::MutexLock lock(mutex_);
  handed_over_ = true;
}

bool ReplicaFence::wants_handover() const {
  const base::MutexLock lock(mutex_);
  return want_handover_;
}

bool ReplicaFence::has_handed_over() const {
  const base::MutexLock lock(mutex_);
  return handed_over_;
}

bool ReplicaFence::due(Time at) const {
  return state_.role == ReplicaRole::standby && state_.complete && options_.takeover.count() > 0 && last_answer_ &&
         at >= *last_answer_ + options_.takeover;
}

bool ReplicaFence::takeover_due() const {
  const base::MutexLock lock(mutex_);
  return due(now());
}

Status ReplicaFence::take_over(base::Deadline deadline) {
  const base::MutexLock slow(slow_);
  if (!takeover_due()) return Error{Code::conflict, "the primary has answered in the meantime"};
  auto next = state();
  next.role = ReplicaRole::primary;
  ++next.term;
  next.follower = {};
  return become(next, deadline);
}

// ---- operators ----

void ReplicaFence::want_handover(bool wanted) {
  const base::MutexLock lock(mutex_);
  want_handover_ = wanted;
  handed_over_ = false;
}

Status ReplicaFence::promote(bool force, base::Deadline deadline) {
  const base::MutexLock slow(slow_);
  auto next = state();
  if (may_serve().ok()) return Error{Code::conflict, "this keystore is the primary already"};
  if (next.role == ReplicaRole::standby && !next.complete) {
    return Error{Code::unavailable,
                 "this standby has not got everything from its primary",
                 "one whole copy, which a reachable primary gives",
                 {},
                 "attestry keystore standby status says how far it is. Without a primary, restore a backup into an "
                 "empty data folder of a server with keystore.standby = primary or none."};
  }
  bool silent = force;
  {
    const base::MutexLock lock(mutex_);
    silent = silent || due(now()) || handed_over_;
  }
  if (!silent) {
    return Error{Code::conflict,
                 "the other keystore may serve still",
                 "that it hands over, or is off",
                 {},
                 "When you have made sure that it is off: attestry keystore standby promote --force"};
  }
  next.role = ReplicaRole::primary;
  ++next.term;
  next.follower = {};
  TRY_OK(become(next, deadline));
  const base::MutexLock lock(mutex_);
  lease_.reset();
  want_handover_ = handed_over_ = false;
  return base::done();
}

Status ReplicaFence::follow(bool discard, base::Deadline deadline) {
  const base::MutexLock slow(slow_);
  if (may_serve().ok()) {
    return Error{Code::conflict, "this keystore serves",
                 "that its standby is promoted first: attestry keystore standby promote, there"};
  }
  auto next = state();
  if (next.role == ReplicaRole::standby && next.discard == discard) return base::done();
  next.role = ReplicaRole::standby;
  next.follower = {};
  next.complete = false;
  next.discard = discard;
  next.position = {};
  TRY_OK(become(next, deadline));
  const base::MutexLock lock(mutex_);
  last_answer_.reset();
  answer_stamp_ = 0;
  lease_.reset();
  want_handover_ = handed_over_ = false;
  return base::done();
}

}  // namespace attestry::secrets
