#include "cluster/lookout.h"

#include <chrono>
#include <utility>

#include "base/log.h"
#include "state/keys.h"

namespace attestry::cluster {

using base::MutexLock;
using base::Result;
using base::Status;

namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kMostAddress = 255;
constexpr std::chrono::seconds kStorePatience{10};
/// Rounds from one time to the next, where the answer is an epoch, which may be large.
constexpr std::size_t kJoinAgain = 12;

state::Key joined_key() { return state::Key(state::Space::threshold).lp("joined"); }

}  // namespace

Result<std::unique_ptr<Lookout>> Lookout::open(Node& node, FindColleague find, SayJoin say_join, state::Store& store) {
  std::unique_ptr<Lookout> out{new Lookout(node, std::move(find), std::move(say_join), store)};
  TRY(const auto view, store.read());
  TRY(const auto stored, view->get(joined_key()));
  if (stored) {
    TRY(auto in, state::open_value(*stored, kVersion, "where a node joined"));
    TRY(const auto peer, in.lp("address", kMostAddress));
    TRY_OK(in.finish("where a node joined"));
    const MutexLock lock{out->mutex_};
    out->joined_ = std::string{base::as_text(peer)};
  }
  return out;
}

bool Lookout::has_place() const {
  const auto now = node_.current();
  const Member* self = now == nullptr ? nullptr : now->plan.find(node_.id());
  return self != nullptr && self->signing_key == node_.signing_key();
}

Status Lookout::keep(const std::optional<std::string>& peer) {
  TRY_OK(store_.write_and_wait(
      [&](state::WriteTxn& txn) -> Status {
        if (!peer) return txn.erase(joined_key());
        auto value = state::value(kVersion);
        value.lp(*peer);
        return txn.put(joined_key(), value.bytes());
      },
      std::chrono::steady_clock::now() + kStorePatience));
  const MutexLock lock{mutex_};
  joined_ = peer;
  return base::done();
}

Status Lookout::join(const std::string& peer) {
  // It is known by its evidence alone: what it says of the cluster, operators have signed.
  TRY(const auto epoch, say_join_(peer));
  if (epoch) TRY_OK(node_.activate(*epoch));
  TRY_OK(keep(peer));
  base::log(base::LogLevel::info, "this node is known to a cluster",
            {{"peer", peer}, {"epoch", epoch ? std::to_string(epoch->plan.epoch) : "none yet"}});
  return base::done();
}

/// The node there may have been started anew, and does not know any more who has come; and before the first epoch
/// nobody else tells this one of it, unless it has a place there.
void Lookout::come_again() {
  std::optional<std::string> peer;
  {
    const MutexLock lock{mutex_};
    peer = joined_;
  }
  if (!peer) return;
  if (has_place()) {
    const auto forgotten = keep(std::nullopt);
    if (!forgotten) base::log(base::LogLevel::warning, "where this node joined", {{"error", forgotten.error().text()}});
    return;
  }
  if (node_.current() != nullptr && round_ % kJoinAgain != 0) return;
  const auto epoch = say_join_(*peer);
  // Once, however long it is away.
  if (!epoch && std::exchange(heard_, false)) {
    base::log(base::LogLevel::warning, "the node where this one joined does not answer",
              {{"peer", *peer}, {"reason", epoch.error().text()}});
  }
  if (epoch) heard_ = true;
  if (!epoch || !*epoch) return;
  const auto followed = node_.activate(**epoch);
  if (!followed) base::log(base::LogLevel::warning, "an epoch is not followed", {{"reason", followed.error().text()}});
}

void Lookout::look() {
  come_again();
  const std::size_t round = round_++;
  const auto now = node_.current();
  if (now == nullptr) return;
  const bool fresh = std::exchange(looked_at_, now) != now;
  if (fresh) {
    // Others may be members now.
    behind_.clear();
    const MutexLock lock{mutex_};
    away_.clear();
  }
  const auto& members = now->plan.members;
  for (std::size_t i = 0; i < members.size() && node_.current() == now; ++i) {
    const bool turn = fresh || i == round % members.size();
    if (turn || behind_.contains(members[i].id)) look_at(now, members[i]);
  }
}

void Lookout::look_at(const EpochPtr& now, const Member& member) {
  if (member.id == node_.id()) return;
  const auto colleague = find_(member);
  if (colleague == nullptr) return;
  const auto there = colleague->current(now);
  {
    const MutexLock lock{mutex_};
    if (there) {
      away_.erase(member.id);
    } else {
      away_.insert(member.id);
    }
  }
  if (there && meet(*colleague, *there)) {
    behind_.erase(member.id);
  } else {
    behind_.insert(member.id);
  }
}

/// Whether both are in the same epoch afterwards.
bool Lookout::meet(Colleague& colleague, const EpochPtr& there) {
  const auto before = node_.current();
  if (there && there->outcome.digest() == before->outcome.digest()) return true;
  // Of two outcomes of one number activate() knows which wins.
  if (there && there->plan.epoch >= before->plan.epoch) {
    const auto followed = node_.activate(*there);
    if (!followed) {
      base::log(base::LogLevel::warning, "a later epoch is not followed", {{"reason", followed.error().text()}});
      return false;
    }
    if (node_.current() != before) {
      base::log(base::LogLevel::info, "this node follows", {{"epoch", std::to_string(there->plan.epoch)}});
      return true;
    }
  }
  return colleague.activate(*before).ok();
}

std::optional<std::string> Lookout::joined() const {
  const MutexLock lock{mutex_};
  return joined_;
}

std::size_t Lookout::away() const {
  const MutexLock lock{mutex_};
  return away_.size();
}

}  // namespace attestry::cluster
