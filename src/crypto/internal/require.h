// For calls that fail only when memory is gone or a caller broke the contract of a header: there is no way to go on
// safely.
#pragma once

namespace attestry::crypto::internal {

[[noreturn]] void stop(const char* what) noexcept;

inline void require(bool good, const char* what) noexcept {
  if (!good) stop(what);
}

}  // namespace attestry::crypto::internal
