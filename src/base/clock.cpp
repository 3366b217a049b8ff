// The only place that reads the machine's clocks; not part of the WebAssembly build.
#include <time.h>

#include <chrono>

#include "base/boot_clock.h"
#include "base/time.h"

namespace attestry::base {
namespace {

class SystemClock final : public Clock {
 public:
  UtcTime now() const override {
    const auto since = std::chrono::system_clock::now().time_since_epoch();
    return {std::chrono::floor<std::chrono::seconds>(since).count()};
  }
  std::chrono::steady_clock::time_point steady() const override { return std::chrono::steady_clock::now(); }
};

class BootClock final : public Clock {
 public:
  UtcTime now() const override { return system_clock().now(); }
  std::chrono::steady_clock::time_point steady() const override {
    timespec at{};
    ::clock_gettime(CLOCK_BOOTTIME, &at);
    return std::chrono::steady_clock::time_point{std::chrono::seconds(at.tv_sec) +
                                                 std::chrono::nanoseconds(at.tv_nsec)};
  }
};

}  // namespace

const Clock& boot_clock() {
  static const BootClock clock;
  return clock;
}

const Clock& system_clock() {
  static const SystemClock clock;
  return clock;
}

}  // namespace attestry::base
