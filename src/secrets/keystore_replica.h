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
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

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

/// How far a standby has followed: which life of which feed (KeystoreFeed::id), and its last change.
struct ReplicaPosition {
  base::FixedBytes<16> feed{};
  std::uint64_t change = 0;
  bool operator==(const ReplicaPosition&) const = default;
};

/// What is durable of it.
struct ReplicaState {
  ReplicaRole role = ReplicaRole::primary;
  std::uint64_t term = 1;
  base::FixedBytes<16> id{};  ///< of this server: where two have one term, the higher one counts
  bool followed = false;      ///< of a primary: a standby has, or had, what it takes to serve
  bool complete = false;      ///< of a standby: it has everything up to `position`
  bool discard = false;       ///< of a standby: masters of its own may be replaced
  ReplicaPosition position{};
  std::uint32_t promised_seconds = 0;  ///< the longest that it promised not to take over
};
base::Bytes encode(const ReplicaState& state);
base::Result<ReplicaState> parse_replica_state(base::ByteView value);

/// The standby says with each question who it is, and what it promises.
struct ReplicaClaim {
  ReplicaRole role = ReplicaRole::standby;
  std::uint64_t term = 0;
  base::FixedBytes<16> id{};
  std::uint64_t stamp = 0;             ///< of the last answer, 0: none yet
  std::uint32_t takeover_seconds = 0;  ///< 0: it never takes over by itself
};

struct ReplicaOptions {
  ReplicaRole first = ReplicaRole::primary;  ///< of a server that has no state yet
  std::chrono::seconds takeover{0};          ///< of this server as a standby; 0: never by itself
  std::function<base::Deadline()> now = [] { return std::chrono::steady_clock::now(); };
};

/// Thread-safe; the store outlives it.
class ReplicaFence {
 public:
  static base::Result<std::unique_ptr<ReplicaFence>> open(state::Store& store, crypto::Random& random,
                                                          ReplicaOptions options);
  /// `unavailable`, and why, unless this server is the one that serves now. Cheap: asked for each use of a key.
  base::Status may_serve() const;
};

}  // namespace attestry::secrets
