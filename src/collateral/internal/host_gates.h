// When each host may be asked again: its own word (429, Retry-After), a bucket for what it gives out rarely, one for
// everything else, and a back-off after failures.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "collateral/fetcher.h"
#include "crypto/random.h"

namespace attestry::collateral::internal {

struct GateOptions {
  std::int64_t scarce_seconds = 10;  ///< between two scarce fetches; 0: no limit
  std::int64_t scarce_burst = 2;
  std::int64_t fetches_per_minute = 0;  ///< of everything else, so many at once after a rest; 0: no limit
  std::int64_t failure_seconds = 5;
  std::int64_t max_failure_seconds = 300;
  std::int64_t max_retry_after = 86400;
};

/// Half of `seconds` and a random part of the other half, in milliseconds: whoever failed together does not come back
/// together.
std::int64_t jittered_ms(std::int64_t seconds, crypto::Random& random);

/// Not thread-safe.
class HostGates {
 public:
  HostGates(const GateOptions& options, const base::Clock& clock, crypto::Random& random)
      : options_(options), clock_(clock), random_(random) {}

  struct State {
    base::Deadline opens{};             ///< a fetch may begin then
    std::optional<base::Error> away{};  ///< it failed, and is not asked again before `opens`
  };
  /// `refresh`: of something held. A quarter of the bucket is for these alone, so that whoever asks for new things
  /// keeps nothing from being renewed.
  State state(const Origin& origin, bool refresh = false) const;
  /// A host that failed last is asked by one at a time.
  bool has_room(const Origin& origin, std::size_t at_once) const;
  /// When a fetch can begin that has so many others before it, as far as that is known beforehand.
  base::Deadline turn(const Origin& origin, std::int64_t before) const;

  void begin(const Origin& origin);
  /// After every begin().
  void succeeded(const Origin& origin);
  void failed(const Origin& origin, const Trouble& trouble, const base::Error& error);

 private:
  struct Host {
    base::Deadline scarce_due{};     ///< when everything taken so far has come back (GCRA: theoretical arrival time)
    base::Deadline due{};            ///< the same of everything else
    base::Deadline scarce_closed{};  ///< 429 to a scarce fetch
    base::Deadline closed{};         ///< 429 or 503 to any other
    base::Deadline away_until{};
    std::optional<base::Error> away{};
    unsigned failures = 0;  ///< one after the other
    std::size_t in_flight = 0;
  };
  struct Bucket {
    base::Deadline::duration interval{};   ///< between two; 0: no limit
    base::Deadline::duration tolerance{};  ///< what goes through at once, less one
  };
  Bucket bucket(const Origin& origin, bool refresh) const;
  static base::Deadline& due_of(Host& host, const Origin& origin) { return origin.scarce ? host.scarce_due : host.due; }
  static const base::Deadline& due_of(const Host& host, const Origin& origin) {
    return origin.scarce ? host.scarce_due : host.due;
  }
  base::Deadline::duration pause_after(const Trouble& trouble, std::int64_t otherwise) const;

  GateOptions options_;
  const base::Clock& clock_;
  crypto::Random& random_;
  std::map<std::string, Host> hosts_;
};

}  // namespace attestry::collateral::internal
