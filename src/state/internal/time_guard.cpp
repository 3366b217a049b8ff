#include "state/internal/time_guard.h"

#include <algorithm>
#include <string>

namespace attestry::state {
namespace {

constexpr std::int64_t kRunningTolerance = 300;
constexpr std::int64_t kStartTolerance = 24 * 3600;
constexpr std::int64_t kBehindTolerance = 300;

}  // namespace

TimeGuard::TimeGuard(const base::Clock& clock, std::optional<base::UtcTime> highest, bool confirmed)
    : clock_(clock), highest_(highest) {
  const base::MutexLock lock(mutex_);
  anchor_here();
  if (highest && !confirmed && clock_.now() > *highest) {
    // Until the clock has been within a day of the store once, the store is what it is measured against.
    anchor_ = *highest;
    tolerance_ = kStartTolerance;
    if (!jumped()) anchor_here();
  }
}

void TimeGuard::anchor_here() const {
  anchor_ = clock_.now();
  anchor_steady_ = clock_.steady();
  tolerance_ = kRunningTolerance;
}

base::UtcTime TimeGuard::expected() const {
  const auto elapsed = std::chrono::duration_cast<std::chrono::seconds>(clock_.steady() - anchor_steady_);
  return anchor_ + elapsed.count();
}

std::int64_t TimeGuard::ahead() const { return clock_.now().seconds - expected().seconds; }

bool TimeGuard::jumped() const { return ahead() > tolerance_; }

base::UtcTime TimeGuard::now() const {
  const base::MutexLock lock(mutex_);
  // A clock that is not believed must not expire anything: collecting by it could forget nonces that are still valid.
  const base::UtcTime wall = jumped() ? expected() : clock_.now();
  return highest_ ? std::max(wall, *highest_) : wall;
}

base::Status TimeGuard::usable() const {
  const base::MutexLock lock(mutex_);
  if (jumped()) {
    return base::Error{base::Code::unavailable, "the clock has jumped ahead", "about " + base::to_rfc3339(expected()),
                       base::to_rfc3339(clock_.now()),
                       "Correct the clock, or confirm it as an operator if it is right."};
  }
  if (highest_ && clock_.now() < *highest_ - kBehindTolerance) {
    return base::Error{base::Code::unavailable, "the clock is behind the newest time in the store",
                       "not before " + base::to_rfc3339(*highest_ - kBehindTolerance), base::to_rfc3339(clock_.now()),
                       "Correct the clock of this machine."};
  }
  if (tolerance_ == kStartTolerance) anchor_here();
  return base::done();
}

void TimeGuard::confirm() {
  const base::MutexLock lock(mutex_);
  anchor_here();
}

std::optional<base::UtcTime> TimeGuard::to_store() const {
  const base::MutexLock lock(mutex_);
  if (jumped()) return std::nullopt;
  const base::UtcTime wall = clock_.now();
  if (highest_ && wall <= *highest_) return std::nullopt;
  return wall;
}

void TimeGuard::stored(base::UtcTime time) {
  const base::MutexLock lock(mutex_);
  if (!highest_ || *highest_ < time) highest_ = time;
}

}  // namespace attestry::state
