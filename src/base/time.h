// Time inside is int64 UTC seconds, outside RFC 3339 with Z (FORMATS 11). Clocks are arguments.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace attestry::base {

/// Seconds since 1970-01-01T00:00:00Z.
struct UtcTime {
  std::int64_t seconds = 0;
  friend constexpr auto operator<=>(const UtcTime&, const UtcTime&) = default;
  constexpr UtcTime operator+(std::int64_t s) const noexcept { return {seconds + s}; }
  constexpr UtcTime operator-(std::int64_t s) const noexcept { return {seconds - s}; }
};

/// "2026-11-21T11:43:52Z". Years 0000 to 9999.
std::string to_rfc3339(UtcTime time);
/// Strict: "YYYY-MM-DDTHH:MM:SS[.fraction]Z"; a fraction is cut off; no offset but Z; no leap second.
Result<UtcTime> parse_rfc3339(std::string_view text);
/// Proleptic Gregorian; fields already in range.
UtcTime from_civil(int year, unsigned month, unsigned day, unsigned hour, unsigned minute, unsigned second);

/// Wall and steady time as an interface, so that libraries never read a clock themselves. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual UtcTime now() const = 0;
  virtual std::chrono::steady_clock::time_point steady() const = 0;
};

/// The machine's clocks. One instance lives for the whole process.
const Clock& system_clock();

/// A point on the steady clock until which a call may take.
using Deadline = std::chrono::steady_clock::time_point;

}  // namespace attestry::base
