#include "collateral/internal/host_gates.h"

#include <algorithm>
#include <chrono>

#include "collateral/internal/get_document.h"

namespace attestry::collateral::internal {
namespace {

using Duration = base::Deadline::duration;
using std::chrono::seconds;

}  // namespace

std::int64_t jittered_ms(std::int64_t whole_seconds, crypto::Random& random) {
  const std::int64_t half = std::max<std::int64_t>(0, whole_seconds) * 500;
  if (half == 0) return 0;
  std::uint64_t drawn = 0;
  for (const std::uint8_t byte : random.bytes<7>()) drawn = drawn << 8 | byte;
  return half + static_cast<std::int64_t>(drawn % static_cast<std::uint64_t>(half + 1));
}

HostGates::State HostGates::state(const Origin& origin, bool refresh) const {
  State out;
  const auto found = hosts_.find(origin.host);
  if (found == hosts_.end()) return out;
  const Host& host = found->second;
  const base::Deadline now = clock_.steady();
  out.opens = host.closed;
  if (origin.scarce) out.opens = std::max(out.opens, host.scarce_closed);
  const Bucket limit = bucket(origin, refresh);
  if (limit.interval > Duration::zero()) out.opens = std::max(out.opens, due_of(host, origin) - limit.tolerance);
  if (host.away && now < host.away_until) {
    out.away = host.away;
    out.opens = std::max(out.opens, host.away_until);
  }
  return out;
}

bool HostGates::has_room(const Origin& origin, std::size_t at_once) const {
  const auto found = hosts_.find(origin.host);
  if (found == hosts_.end()) return true;
  return found->second.in_flight < (found->second.failures > 0 ? 1 : at_once);
}

HostGates::Bucket HostGates::bucket(const Origin& origin, bool refresh) const {
  if (origin.scarce) {
    const Duration interval = seconds(std::max<std::int64_t>(0, options_.scarce_seconds));
    return {interval, interval * (std::max<std::int64_t>(1, options_.scarce_burst) - 1)};
  }
  const std::int64_t most = options_.fetches_per_minute;
  if (most <= 0) return {};
  const Duration interval = Duration{std::chrono::minutes(1)} / most;
  const std::int64_t at_once = refresh ? most : most - most / 4;
  return {interval, interval * (at_once - 1)};
}

base::Deadline HostGates::turn(const Origin& origin, std::int64_t before) const {
  const base::Deadline now = clock_.steady();
  base::Deadline out = std::max(state(origin).opens, now);
  const Bucket limit = bucket(origin, false);
  if (limit.interval == Duration::zero()) return out;
  const auto found = hosts_.find(origin.host);
  const base::Deadline due = found == hosts_.end() ? now : std::max(now, due_of(found->second, origin));
  return std::max(out, due - limit.tolerance + limit.interval * before);
}

void HostGates::begin(const Origin& origin) {
  Host& host = hosts_[origin.host];
  ++host.in_flight;
  base::Deadline& due = due_of(host, origin);
  due = std::max(due, clock_.steady()) + bucket(origin, false).interval;
}

void HostGates::succeeded(const Origin& origin) {
  Host& host = hosts_[origin.host];
  --host.in_flight;
  host.failures = 0;
  host.away.reset();
}

Duration HostGates::pause_after(const Trouble& trouble, std::int64_t otherwise) const {
  const auto asked = retry_after_seconds(trouble.retry_after, clock_.now());
  return seconds(std::clamp<std::int64_t>(asked.value_or(otherwise), 1, options_.max_retry_after));
}

void HostGates::failed(const Origin& origin, const Trouble& trouble, const base::Error& error) {
  Host& host = hosts_[origin.host];
  --host.in_flight;
  const base::Deadline now = clock_.steady();
  if (trouble.throttled) {
    const base::Deadline until =
        now + pause_after(trouble, std::max(options_.scarce_seconds, options_.failure_seconds));
    // What is rationed is the scarce: chains and revocation lists need not wait for it.
    base::Deadline& closed = origin.scarce ? host.scarce_closed : host.closed;
    closed = std::max(closed, until);
    return;
  }
  if (!trouble.away) {  // it answered
    host.failures = 0;
    host.away.reset();
    return;
  }
  const unsigned doublings = std::min(host.failures++, 16u);
  const std::int64_t longest = std::min(options_.failure_seconds << doublings, options_.max_failure_seconds);
  Duration pause = std::chrono::milliseconds(jittered_ms(longest, random_));
  if (!trouble.retry_after.empty()) pause = std::max(pause, pause_after(trouble, 0));
  host.away_until = std::max(host.away_until, now + pause);
  host.away = error;
  if (error.code != base::Code::deadline_exceeded) return;
  host.away->code = base::Code::unavailable;
  host.away->what += ": no answer in time";
}

}  // namespace attestry::collateral::internal
