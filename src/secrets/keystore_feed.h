// The store as a keystore's rooms see it where another server may follow: every change of what is followed goes into a
// feed, in the order of its commits, and is acknowledged only when it may be. Whoever writes notices nothing of it.
#pragma once
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/random.h"
#include "secrets/keystore_replica.h"
#include "state/store.h"

namespace attestry::secrets {

struct KeystoreFeedOptions {
  /// Whether this server may change what is followed, and acknowledge it.
  std::function<base::Status()> may_serve;
  /// Whether a change is acknowledged only when the standby has it.
  std::function<bool()> sync = [] { return false; };
  std::chrono::milliseconds patience{5'000};  ///< for the standby; then `unavailable`
  std::size_t most_changes = 65'536;          ///< that are remembered; who is further behind gets everything
  const base::Clock* clock = &base::system_clock();
};

/// A record that a standby takes would not fit into an answer beyond these, so it is not written at all: `too_large`.
inline constexpr std::size_t kMostFollowedKey = 8u << 10;
inline constexpr std::size_t kMostFollowedValue = 32u << 20;

/// Whether a standby has a copy of this record: Space::keystore_masters, keystore_sessions and keystore_state, but for
/// the fence's own record and what a walk has encrypted anew (the walk is repeated by who takes over).
bool is_followed(base::ByteView key);

/// What changed since a position: keys of records, each once.
struct KeystoreChanges {
  bool whole = false;    ///< everything is to be copied, and `keys` is empty
  bool masters = false;  ///< something of Space::keystore_masters is among it
  std::set<base::Bytes> keys;
  ReplicaPosition until;
};

/// Thread-safe; the inner store outlives it. Marks of used evidence are followed, but nobody waits for that: a release
/// never depends on the standby.
class KeystoreFeed final : public state::Store {
 public:
  KeystoreFeed(state::Store& inner, crypto::Random& random, KeystoreFeedOptions options);
  ~KeystoreFeed() override;

  /// What a copy that is at `from` lacks. A view that is read after this call has all of it.
  KeystoreChanges since(const ReplicaPosition& from) const;
  /// Waits until there is more than `from`, or `until`; or stop().
  void wait_beyond(const ReplicaPosition& from, base::Deadline until) const;
  /// Changes that the standby has not confirmed.
  std::uint64_t behind() const;
  /// The standby has everything up to there, durable.
  void acknowledge(const ReplicaPosition& position);
  /// Gives up on changes whose patience is over; to be called now and then.
  void expire();
  /// Ends what waits, with `unavailable`.
  void stop();

  /// Writes of this thread are a standby's own: allowed while it does not serve, and no part of the feed's promises.
  class Applying {
   public:
    explicit Applying(KeystoreFeed& feed);
    ~Applying();
    Applying(const Applying&) = delete;
    Applying& operator=(const Applying&) = delete;

   private:
    KeystoreFeed& feed_;
  };

  base::Realm realm() const noexcept override { return inner_.realm(); }
  base::Result<std::unique_ptr<state::ReadView>> read() const override { return inner_.read(); }
  /// `unavailable` when it changes what is followed and this server may not.
  void write(Closure closure, Completion completion) override;
  base::Status write_and_wait(Closure closure, base::Deadline deadline) override;
  void set_after_commit(AfterCommit hook) override { inner_.set_after_commit(std::move(hook)); }
  base::UtcTime now() const override { return inner_.now(); }
  base::Status clock_usable() const override { return inner_.clock_usable(); }
  void confirm_clock() override { inner_.confirm_clock(); }
  state::StoreStats stats() const override { return inner_.stats(); }

 private:
  using Keys = std::set<base::Bytes>;
  struct Change {
    std::uint64_t number = 0;
    base::Bytes key;
  };
  struct Waiting {
    std::uint64_t number = 0;
    base::Deadline until;
    Completion completion;
  };
  /// The number of the last of them that is to be confirmed; 0 when there is none.
  std::uint64_t note(const Keys& keys);
  bool applying() const;

  state::Store& inner_;
  const KeystoreFeedOptions options_;
  const ReplicaId id_;
  mutable std::mutex mutex_;  // std::mutex: condition variables wait on it
  mutable std::condition_variable changed_;
  mutable std::condition_variable acknowledged_;
  std::deque<Change> changes_;
  std::uint64_t last_ = 1;   ///< number of the newest change; a position of 0 has nothing
  std::uint64_t known_ = 1;  ///< up to here changes are forgotten
  std::uint64_t followed_ = 0;
  std::deque<Waiting> waiting_;
  bool stopped_ = false;
  std::set<std::thread::id> applying_;
};

}  // namespace attestry::secrets
