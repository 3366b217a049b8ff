// How many requests a client's address may send: a token bucket for each, for a bounded number of addresses.
#pragma once
#include <chrono>
#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "base/time.h"
#include "net/networks.h"

namespace attestry::net {

struct RateLimit {
  unsigned requests_per_second = 0;  ///< 0: what the next one says
  unsigned requests_per_hour = 0;    ///< where that is 0, for what is seldom done; 0: no limit
  unsigned burst = 200;              ///< requests at once after a rest; at least 1
  /// "127.0.0.0/8", "::1", "2001:db8::/32": clients without a limit, such as a proxy in front that has its own.
  std::vector<std::string> exempt{};
  std::size_t addresses = 65'536;  ///< the longest unseen is forgotten for a new one; about 200 bytes each
};

/// Whose requests are counted together: an IPv4 address, or the /64 network of an IPv6 address, because its owner has
/// all addresses of that.
using ClientNetwork = Ip;

/// Thread-safe.
class RateLimiter {
 public:
  /// `configuration` for an exemption that is no network.
  static base::Result<RateLimiter> make(const RateLimit& limit);
  RateLimiter(RateLimiter&& other) noexcept;

  /// None: the address has no limit. `address` is numeric, without port or brackets; what is none has no limit either
  /// (unix sockets).
  std::optional<ClientNetwork> network_of(std::string_view address) const;
  std::optional<ClientNetwork> network_of(const Ip& address) const;
  /// Counts a request. None: it may go on. Else the whole seconds, at least 1, until another would.
  std::optional<unsigned> take(const ClientNetwork& network, base::Deadline now);
  std::size_t size() const;

 private:
  using Nanoseconds = std::chrono::nanoseconds;
  struct Bucket {
    base::Deadline empty_at;  ///< when everything taken so far has come back (GCRA: theoretical arrival time)
    std::list<ClientNetwork>::iterator used;
  };
  RateLimiter(const RateLimit& limit, Networks exempt);

  Nanoseconds interval_{0};
  Nanoseconds tolerance_{0};
  std::size_t capacity_;
  Networks exempt_;
  mutable base::Mutex mutex_;
  std::map<ClientNetwork, Bucket> buckets_ ATTESTRY_GUARDED_BY(mutex_);
  std::list<ClientNetwork> order_ ATTESTRY_GUARDED_BY(mutex_);  ///< last used first
};

}  // namespace attestry::net
