// AMD's Key Distribution Service as a pure function over the forge's PKIs: what tests and `attestry dev` serve over
// HTTP, so that the real collateral client runs everywhere.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/mutex.h"
#include "base/time.h"
#include "forge/pcs.h"
#include "forge/snp_pki.h"

namespace attestry::forge {

/// How often AMD's service gives out a VCEK: a token bucket.
struct KdsLimit {
  std::int64_t seconds = 10;  ///< until a token comes back
  std::int64_t burst = 1;
};

struct KdsCounts {
  std::uint64_t vceks = 0;      ///< given out
  std::uint64_t throttled = 0;  ///< 429
  std::uint64_t unknown = 0;    ///< 404
  std::uint64_t others = 0;     ///< chains and revocation lists
};

/// Knows the chips 0 to `chips` - 1 of each PKI (SnpScenario::chip) at the TCB that their reports have. Thread-safe;
/// the PKIs must outlive it.
class ForgeKds {
 public:
  ForgeKds(std::vector<const SnpPki*> pkis, std::uint32_t chips, std::optional<KdsLimit> limit = {});

  /// Answers GET `target` ("/vcek/v1/Milan/<hwid>?blSPL=…", "/vlek/v1/Genoa/crl"). `at` decides the dates of what it
  /// signs and the bucket. 404 for unknown products, chips, TCBs and paths, 400 for missing parameters, 429 with
  /// Retry-After when the bucket is empty.
  PcsReply get(std::string_view target, base::UtcTime at);
  KdsCounts counts() const;

 private:
  PcsReply answer(std::string_view target, base::UtcTime at);
  PcsReply vcek(const SnpPki& pki, std::string_view hwid, std::string_view query, base::UtcTime at);

  const std::vector<const SnpPki*> pkis_;
  const std::optional<KdsLimit> limit_;
  std::map<base::Bytes, std::uint32_t> chips_;  ///< by hwid ‖ the product's first letter
  mutable base::Mutex mutex_;
  KdsCounts counts_ ATTESTRY_GUARDED_BY(mutex_);
  std::int64_t due_ ATTESTRY_GUARDED_BY(mutex_) = INT64_MIN / 2;  ///< when all tokens are back
};

}  // namespace attestry::forge
