// A clock that goes on while the machine is suspended.
#pragma once
#include "base/time.h"

namespace attestry::base {

/// As system_clock(), but steady() is CLOCK_BOOTTIME: its points are no Deadlines, and are compared with each other
/// only. One instance lives for the whole process.
const Clock& boot_clock();

}  // namespace attestry::base
