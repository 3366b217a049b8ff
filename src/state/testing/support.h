// What tests of the rooms above the store share: a folder that goes away, a clock that stands still.
#pragma once
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "base/mutex.h"
#include "base/time.h"
#include "state/store.h"

namespace attestry::state::testing {

/// A fresh folder under TMPDIR, removed with everything in it.
class TempFolder {
 public:
  TempFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "attestry-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) std::abort();
    path_ = pattern;
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const noexcept { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

/// Wall and steady time move only when told. Thread-safe.
class ManualClock final : public base::Clock {
 public:
  explicit ManualClock(base::UtcTime start) : now_(start) {}
  base::UtcTime now() const override {
    const base::MutexLock lock(mutex_);
    return now_;
  }
  std::chrono::steady_clock::time_point steady() const override {
    const base::MutexLock lock(mutex_);
    return steady_;
  }
  /// Both clocks go on, as time does.
  void pass(std::int64_t seconds) {
    const base::MutexLock lock(mutex_);
    now_ = now_ + seconds;
    steady_ += std::chrono::seconds(seconds);
  }
  /// Only the wall clock moves, as when somebody sets it.
  void set_wall(base::UtcTime time) {
    const base::MutexLock lock(mutex_);
    now_ = time;
  }

 private:
  mutable base::Mutex mutex_;
  base::UtcTime now_ ATTESTRY_GUARDED_BY(mutex_);
  std::chrono::steady_clock::time_point steady_ ATTESTRY_GUARDED_BY(mutex_){};
};

/// Far enough that only a hang reaches it.
inline base::Deadline patient() { return std::chrono::steady_clock::now() + std::chrono::minutes(5); }

}  // namespace attestry::state::testing
