// Two servers of one keystore, of which one serves and the other follows (docs/how-to/run-a-standby-keystore.md): who
// may serve, since when, and until when. The state that says so is durable before anything is done by it.
//
// Terms: whoever begins to serve in the place of another does so in a higher term, and whoever hears of a higher one
// than its own stands down. Lease: a standby that may take over by itself promises with every question not to do so
// before a time has passed since the last answer it had; the primary serves only as long as a promise lasts that
// repeats the stamp of an answer, counted from when that answer was made and a tenth shorter. No clock of one is
// compared with the other's; that they run alike within a tenth is all that is asked of them.
#pragma once
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/boot_clock.h"
#include "base/bytes.h"
#include "base/mutex.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/random.h"
#include "state/store.h"

namespace attestry::secrets {

enum class ReplicaRole : std::uint8_t {
  primary = 1,     ///< serves, while it may
  standby = 2,     ///< follows the other one
  stood_down = 3,  ///< was a primary, and another one is now: an operator makes it the standby
};
std::string_view to_text(ReplicaRole role) noexcept;

using ReplicaId = base::FixedBytes<16>;

/// How far a standby has followed: which life of which feed (KeystoreFeed), and its last change.
struct ReplicaPosition {
  ReplicaId feed{};
  std::uint64_t change = 0;
  bool operator==(const ReplicaPosition&) const = default;
};

/// What is durable of it.
struct ReplicaState {
  ReplicaRole role = ReplicaRole::primary;
  std::uint64_t term = 1;
  ReplicaId id{};         ///< of this server: where two have one term, the higher one counts
  ReplicaId follower{};   ///< of a primary: who has, or had, what it takes to serve; zeros: nobody
  bool complete = false;  ///< of a standby: it has everything up to `position`
  bool discard = false;   ///< of a standby: masters of its own may be replaced
  ReplicaPosition position{};
};
base::Bytes encode(const ReplicaState& state);
base::Result<ReplicaState> parse_replica_state(base::ByteView value);

/// What the caller says of itself.
struct ReplicaClaim {
  ReplicaRole role = ReplicaRole::standby;
  std::uint64_t term = 0;
  ReplicaId id{};
  std::uint64_t stamp = 0;             ///< of the last answer, 0: none yet
  std::uint32_t takeover_seconds = 0;  ///< the promise; 0: it never takes over by itself
  bool handover = false;               ///< an operator wants this standby to be the primary
};
/// What the called one says of itself.
struct ReplicaReply {
  ReplicaRole role = ReplicaRole::primary;
  std::uint64_t term = 0;
  ReplicaId id{};
  std::uint64_t stamp = 0;
};

struct ReplicaOptions {
  ReplicaRole first = ReplicaRole::primary;  ///< of a server that has no state yet
  std::chrono::seconds takeover{0};          ///< of this server as a standby; 0: never by itself
  /// Its steady() must go on while the machine is suspended. now() is only looked at to notice that it did not.
  /// Outlives the fence.
  const base::Clock* clock = &base::boot_clock();
};

/// Thread-safe; the store outlives it. Methods with a deadline wait for the store.
class ReplicaFence {
 public:
  /// Whether there is a state: a server that was one of two does not forget it with its settings.
  static base::Result<bool> exists(const state::Store& store);
  static base::Result<std::unique_ptr<ReplicaFence>> open(state::Store& store, crypto::Random& random,
                                                          ReplicaOptions options);

  /// `unavailable`, and why, unless this server is the one that serves now. Cheap: asked for each use of a key.
  /// `term`: set to the one that it serves in.
  base::Status may_serve(std::uint64_t* term = nullptr) const;
  bool wants_handover() const;   ///< an operator waits for the primary to hand over
  bool has_handed_over() const;  ///< and it did
  ReplicaState state() const;
  /// Since the last answer of the primary, or the last question of the standby that counted; nothing before the first.
  std::optional<std::chrono::milliseconds> silent() const;

  /// To be called often. A virtual machine that was paused wakes with a lease that has not run by its own clock: when
  /// the time of day has moved much further than the steady clock, a primary whose lease counts serves nobody until its
  /// standby has answered anew.
  void notice_pauses();

  // ---- the called one ----
  /// Takes in what a caller says: a promise, or a higher term, for which this server stands down. Whether the caller
  /// gets changes. `conflict` for a second standby, and for a copy of this server's own data folder.
  base::Result<bool> heard(const ReplicaClaim& claim, base::Deadline deadline);
  /// To be made right before it is sent.
  ReplicaReply reply();

  // ---- the caller ----
  ReplicaClaim claim() const;
  /// Whether changes come behind the answer. `unavailable` when the other one does not serve, `conflict` when it is the
  /// older primary. `asked`: what the answer is to.
  base::Result<bool> answered(const ReplicaClaim& asked, const ReplicaReply& reply, base::Deadline deadline);
  /// Keeps a position together with what `rows` writes.
  using Rows = std::function<base::Status(state::WriteTxn&)>;
  base::Status followed(const ReplicaPosition& position, const Rows& rows, base::Deadline deadline);
  /// A part of a whole copy, of which others follow: until the last one, this standby is not complete.
  base::Status copied_part(const Rows& rows, base::Deadline deadline);
  /// The other one has stood down for this one and everything of it is here: now it may be promoted.
  void handed_over();
  /// Every promise has run out, and the other one has not answered since.
  bool takeover_due() const;
  base::Status take_over(base::Deadline deadline);  ///< `conflict` unless it is due

  // ---- operators ----
  /// Asks the primary with the next claim to hand over.
  void want_handover(bool wanted);
  /// Makes this server the primary. `conflict` while another one may serve, unless `force`: the operator has made sure
  /// that it does not; `unavailable` for a standby that has not got everything.
  base::Status promote(bool force, base::Deadline deadline);
  /// Makes this server the standby. `conflict` while it serves. `discard`: what it has and the primary has not may go.
  base::Status follow(bool discard, base::Deadline deadline);

 private:
  using Time = std::chrono::steady_clock::time_point;
  ReplicaFence(state::Store& store, ReplicaOptions options) : store_(store), options_(options) {}
  Time now() const { return options_.clock->steady(); }
  bool due(Time at) const ATTESTRY_REQUIRES(mutex_);
  base::Status become(ReplicaState next, base::Deadline deadline, const Rows& rows = {}) ATTESTRY_REQUIRES(slow_);
  base::Status stand_down(std::uint64_t term, base::Deadline deadline) ATTESTRY_REQUIRES(slow_);
  base::Result<bool> heard_primary(const ReplicaClaim& claim, base::Deadline deadline) ATTESTRY_REQUIRES(slow_);
  base::Result<bool> heard_standby(const ReplicaClaim& claim, base::Deadline deadline) ATTESTRY_REQUIRES(slow_);
  void renew(const ReplicaClaim& claim, bool first);

  state::Store& store_;
  const ReplicaOptions options_;
  base::Mutex slow_;  ///< one change of the state at a time; taken before mutex_
  mutable base::Mutex mutex_;
  ReplicaState state_ ATTESTRY_GUARDED_BY(mutex_);
  // Of a primary.
  bool confirmed_ ATTESTRY_GUARDED_BY(mutex_) = false;     ///< its standby has answered since the start
  std::optional<Time> lease_ ATTESTRY_GUARDED_BY(mutex_);  ///< nothing: none is needed
  std::deque<std::pair<std::uint64_t, Time>> stamps_ ATTESTRY_GUARDED_BY(mutex_);
  std::uint64_t next_stamp_ ATTESTRY_GUARDED_BY(mutex_) = 0;
  std::optional<Time> last_question_ ATTESTRY_GUARDED_BY(mutex_);
  std::uint64_t last_stamp_ ATTESTRY_GUARDED_BY(mutex_) = 0;                          ///< the newest that came back
  std::optional<std::pair<base::UtcTime, Time>> looked_ ATTESTRY_GUARDED_BY(mutex_);  ///< both clocks, at the last look
  // Of a standby.
  std::uint64_t answer_stamp_ ATTESTRY_GUARDED_BY(mutex_) = 0;
  std::optional<Time> last_answer_ ATTESTRY_GUARDED_BY(mutex_);
  bool want_handover_ ATTESTRY_GUARDED_BY(mutex_) = false;
  bool handed_over_ ATTESTRY_GUARDED_BY(mutex_) = false;
};

/// The record that the state is kept in: no part of what is followed.
bool is_replica_state(base::ByteView key);

}  // namespace attestry::secrets
