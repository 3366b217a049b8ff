#include "net/rate_limit.h"

#include <algorithm>

#include "net/networks.h"

namespace attestry::net {
namespace {

constexpr std::size_t kV6NetworkBytes = 8;

}  // namespace

base::Result<RateLimiter> RateLimiter::make(const RateLimit& limit) {
  TRY(auto exempt, Networks::parse(limit.exempt));
  return RateLimiter{limit, std::move(exempt)};
}

RateLimiter::RateLimiter(const RateLimit& limit, Networks exempt)
    : capacity_(std::max<std::size_t>(1, limit.addresses)), exempt_(std::move(exempt)) {
  if (limit.requests_per_second != 0) {
    interval_ = Nanoseconds{std::chrono::seconds{1}} / limit.requests_per_second;
  } else if (limit.requests_per_hour != 0) {
    interval_ = Nanoseconds{std::chrono::hours{1}} / limit.requests_per_hour;
  }
  tolerance_ = interval_ * std::max(1u, limit.burst);
}

RateLimiter::RateLimiter(RateLimiter&& other) noexcept
    : interval_(other.interval_),
      tolerance_(other.tolerance_),
      capacity_(other.capacity_),
      exempt_(std::move(other.exempt_)) {}

std::optional<ClientNetwork> RateLimiter::network_of(std::string_view text) const {
  if (interval_ == Nanoseconds{0}) return std::nullopt;
  const auto address = parse_ip(text);
  return address ? network_of(*address) : std::nullopt;
}

std::optional<ClientNetwork> RateLimiter::network_of(const Ip& address) const {
  if (interval_ == Nanoseconds{0} || exempt_.contain(address)) return std::nullopt;
  auto network = address;
  if (!is_v4(network))
    std::fill(network.begin() + static_cast<std::ptrdiff_t>(kV6NetworkBytes), network.end(), std::uint8_t{0});
  return network;
}

std::optional<unsigned> RateLimiter::take(const ClientNetwork& network, base::Deadline now) {
  const base::MutexLock lock{mutex_};
  auto found = buckets_.find(network);
  if (found == buckets_.end()) {
    if (buckets_.size() >= capacity_) {
      buckets_.erase(order_.back());
      order_.pop_back();
    }
    order_.push_front(network);
    found = buckets_.emplace(network, Bucket{now, order_.begin()}).first;
  } else {
    order_.splice(order_.begin(), order_, found->second.used);
  }
  auto& bucket = found->second;
  const auto next = std::max(bucket.empty_at, now) + interval_;
  if (const auto over = next - now - tolerance_; over > Nanoseconds{0}) {
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(over).count();
    return static_cast<unsigned>(std::max<std::int64_t>(1, seconds));
  }
  bucket.empty_at = next;
  return std::nullopt;
}

std::size_t RateLimiter::size() const {
  const base::MutexLock lock{mutex_};
  return buckets_.size();
}

}  // namespace attestry::net
