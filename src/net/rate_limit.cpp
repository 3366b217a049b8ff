#include "net/rate_limit.h"

#include <algorithm>
#include <charconv>

#include "net/internal/asio.h"

namespace attestry::net {
namespace {

constexpr unsigned kV4MappedBits = 96;
constexpr std::size_t kV6NetworkBytes = 8;

/// IPv4 addresses as IPv4-mapped ones (RFC 4291, 2.5.5.2), so that a client is the same one on both kinds of sockets.
std::optional<asio::ip::address_v6> parse_address(std::string_view text, bool& v4) {
  boost::system::error_code ec;
  const auto address = asio::ip::make_address(text, ec);
  if (ec) return std::nullopt;
  v4 = address.is_v4();
  return v4 ? asio::ip::make_address_v6(asio::ip::v4_mapped, address.to_v4()) : address.to_v6();
}

bool inside(const ClientNetwork& address, const ClientNetwork& prefix, unsigned bits) {
  const std::size_t whole = bits / 8;
  if (!std::equal(prefix.begin(), prefix.begin() + static_cast<std::ptrdiff_t>(whole), address.begin())) return false;
  if (bits % 8 == 0) return true;
  const auto mask = static_cast<std::uint8_t>(0xff << (8 - bits % 8));
  return (prefix[whole] & mask) == (address[whole] & mask);
}

}  // namespace

std::optional<RateLimiter::Network> RateLimiter::parse(std::string_view text) {
  const auto slash = text.find('/');
  bool v4 = false;
  const auto address = parse_address(text.substr(0, slash), v4);
  if (!address) return std::nullopt;
  const unsigned most = v4 ? 32 : 128;
  unsigned bits = most;
  if (slash != std::string_view::npos) {
    const auto digits = text.substr(slash + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
    if (error != std::errc{} || end != digits.data() + digits.size() || bits > most) return std::nullopt;
  }
  return Network{address->to_bytes(), v4 ? bits + kV4MappedBits : bits};
}

base::Result<RateLimiter> RateLimiter::make(const RateLimit& limit) {
  std::vector<Network> exempt;
  for (const auto& text : limit.exempt) {
    const auto network = parse(text);
    if (!network)
      return base::Error{base::Code::configuration, "no network", "an address or 192.0.2.0/24, 2001:db8::/32", text};
    exempt.push_back(*network);
  }
  return RateLimiter{limit, std::move(exempt)};
}

RateLimiter::RateLimiter(const RateLimit& limit, std::vector<Network> exempt)
    : capacity_(std::max<std::size_t>(1, limit.addresses)), exempt_(std::move(exempt)) {
  if (limit.requests_per_second == 0) return;
  interval_ = Nanoseconds{std::chrono::seconds{1}} / limit.requests_per_second;
  tolerance_ = interval_ * std::max(1u, limit.burst);
}

RateLimiter::RateLimiter(RateLimiter&& other) noexcept
    : interval_(other.interval_),
      tolerance_(other.tolerance_),
      capacity_(other.capacity_),
      exempt_(std::move(other.exempt_)) {}

std::optional<ClientNetwork> RateLimiter::network_of(std::string_view text) const {
  if (interval_ == Nanoseconds{0}) return std::nullopt;
  bool v4 = false;
  const auto address = parse_address(text, v4);
  if (!address) return std::nullopt;
  auto bytes = address->to_bytes();
  ClientNetwork network{};
  std::ranges::copy(bytes, network.begin());
  for (const auto& one : exempt_) {
    if (inside(network, one.prefix, one.bits)) return std::nullopt;
  }
  if (!v4 && !address->is_v4_mapped())
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
