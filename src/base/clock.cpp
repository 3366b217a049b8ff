// The only place that reads the machine's clocks; not part of the WebAssembly build.
#include <chrono>

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

}  // namespace

const Clock& system_clock() {
  static const SystemClock clock;
  return clock;
}

}  // namespace attestry::base
