// The rules of FORMATS 11 about a clock that is behind the store or jumps ahead.
#pragma once
#include <cstdint>
#include <optional>

#include "base/mutex.h"
#include "base/result.h"
#include "base/time.h"

namespace attestry::state {

/// Thread-safe. Keeps a pair of wall and steady time that belong together; where the wall clock runs away from what the
/// steady clock says, it is not believed.
class TimeGuard {
 public:
  /// `highest`: the time in the store, nullopt in a new one.
  TimeGuard(const base::Clock& clock, std::optional<base::UtcTime> highest, bool confirmed);

  base::UtcTime now() const;
  base::Status usable() const;
  void confirm();
  /// The time to write with this batch: nullopt when it would not raise the stored one or the clock is not believed.
  std::optional<base::UtcTime> to_store() const;
  void stored(base::UtcTime time);

 private:
  std::int64_t ahead() const ATTESTRY_REQUIRES(mutex_);
  bool jumped() const ATTESTRY_REQUIRES(mutex_);
  base::UtcTime expected() const ATTESTRY_REQUIRES(mutex_);
  void anchor_here() const ATTESTRY_REQUIRES(mutex_);

  const base::Clock& clock_;
  mutable base::Mutex mutex_;
  std::optional<base::UtcTime> highest_ ATTESTRY_GUARDED_BY(mutex_);
  mutable base::UtcTime anchor_ ATTESTRY_GUARDED_BY(mutex_);
  mutable std::chrono::steady_clock::time_point anchor_steady_ ATTESTRY_GUARDED_BY(mutex_);
  mutable std::int64_t tolerance_ ATTESTRY_GUARDED_BY(mutex_);
};

}  // namespace attestry::state
