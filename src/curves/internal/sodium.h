// libsodium wants to be set up once, before anything else of it is called.
#pragma once
#include "base/result.h"

namespace attestry::curves {

/// Sets it up at the first call; every later one gives the first one's answer. Error `crypto` when it cannot be set up.
/// Thread-safe.
base::Status sodium_ready();

}  // namespace attestry::curves
