#include "curves/internal/sodium.h"

#include <sodium.h>

namespace attestry::curves {

base::Status sodium_ready() {
  static const bool ready = sodium_init() >= 0;  // 1 when somebody else did it before
  if (!ready) {
    return base::Error{.code = base::Code::crypto,
                       .what = "libsodium cannot be set up",
                       .expected = "a system that has random numbers"};
  }
  return base::done();
}

}  // namespace attestry::curves
