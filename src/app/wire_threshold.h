// The key source `threshold` of a running server (docs/how-to/use-a-threshold-root.md).
#pragma once
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

#include "api/slow_lane.h"
#include "app/threshold_source.h"
#include "audit/log.h"
#include "keys/threshold_root.h"
#include "net/metrics.h"
#include "state/store.h"

namespace attestry::app {

/// A data folder has one key source for ever: another one would give every app other keys. What `said` says is kept
/// with the first leaf of the log, and compared from then on. Error `configuration`.
base::Status check_key_source(state::Store& store, const audit::Log& log, const ThresholdSettings& said);

/// All outlives it.
struct ThresholdKeysParts {
  ThresholdSourceParts source;
  net::Health& health;
  keys::CkdSource* instead = nullptr;  ///< of the nodes that the settings name: tests
};

/// Thread-safe.
class ThresholdKeys {
 public:
  static base::Result<std::unique_ptr<ThresholdKeys>> open(const Settings& settings, const ThresholdSettings& said,
                                                           ThresholdKeysParts parts);
  ~ThresholdKeys() { stop(); }
  ThresholdKeys(const ThresholdKeys&) = delete;
  ThresholdKeys& operator=(const ThresholdKeys&) = delete;

  const keys::ThresholdRoot& root() const noexcept { return *root_; }
  /// Registrar's run_waiting.
  bool run_waiting(std::move_only_function<void()>& task) { return lane_.run(task); }
  /// Nodes are asked no more: who waits for them is answered.
  void stop_asking();
  /// That, and ends the threads; drops registrations that have not begun. May be called again.
  void stop();

 private:
  ThresholdKeys(ThresholdSettings said, ThresholdKeysParts parts) : said_(std::move(said)), parts_(parts) {}
  void watch();

  const ThresholdSettings said_;
  const ThresholdKeysParts parts_;
  std::unique_ptr<ThresholdSource> source_;
  std::unique_ptr<keys::ThresholdRoot> root_;
  api::SlowLane lane_;
  std::mutex mutex_;  // std::mutex: a condition variable waits on it
  std::condition_variable wake_;
  bool stopping_ = false;
  bool stopped_ = false;
  std::thread watching_;
};

}  // namespace attestry::app
