// Bounded threads for each slow backend: calls to one that hangs wait in its own lane, and never in another's.
#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/time.h"

namespace attestry::blobs {

struct LaneOptions {
  std::size_t threads = 8;               ///< calls that run at once in one lane
  std::size_t waiting = 64;              ///< calls that wait behind them; more are refused at once
  std::size_t lanes = 1024;              ///< idle ones are dropped first
  std::chrono::milliseconds idle{5000};  ///< after which a thread ends
};

/// Thread-safe. The destructor waits for calls that run, so they must have deadlines.
class Lanes {
 public:
  explicit Lanes(LaneOptions options = {});
  ~Lanes();
  Lanes(const Lanes&) = delete;
  Lanes& operator=(const Lanes&) = delete;

  /// Runs `call` on a thread of the lane `name` (the tenant, the app and the backend: who shares a name shares a fate).
  /// `unavailable` when the lane is full; the call is not run then. A call that is still waiting at its deadline is run
  /// with `late` = true and should only report that.
  base::Status run(const std::string& name, base::Deadline deadline, std::function<void(bool late)> call);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace attestry::blobs
