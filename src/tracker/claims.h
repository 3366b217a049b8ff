// Claims of spent receipts between instances: the body of POST /v1/tracker/claims, and an authority that is another
// instance. docs/formats/pbts.md
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/secret.h"
#include "net/client.h"
#include "tracker/spent.h"

namespace attestry::tracker {

struct ClaimsBody {
  InstanceId owner{};
  std::vector<SpentClaim> claims{};
};
/// `{"instance":HEX,"claims":[{"id":HEX,"last":SECONDS},…]}`, at most StoredSpent::kMostClaims. Pure. Errors:
/// `malformed`, `too_large`.
std::string write_claims(const InstanceId& owner, const std::vector<SpentClaim>& claims);
base::Result<ClaimsBody> read_claims(const base::JsonValue& body);
/// `{"granted":[true,…]}` for `count` claims. Pure. Error: `malformed`.
base::Result<std::vector<bool>> read_granted(std::string body, std::size_t count);

/// Asks another instance, once per call and in the calling thread. Thread-safe.
class RemoteSpent final : public SpentAuthority {
 public:
  /// `url` without a path; `token` is what the authority knows this instance by. `http` outlives it.
  RemoteSpent(net::HttpTransport& http, std::string url, crypto::Secret token, const base::Clock& clock)
      : http_(http), url_(std::move(url)), token_(std::move(token)), clock_(clock) {}
  /// The authority refuses an `owner` whose token it is not. Every failure is `unavailable`.
  void claim(const InstanceId& owner, std::vector<SpentClaim> claims, std::string_view customer,
             Answer answer) override;

 private:
  base::Result<std::vector<bool>> ask(const InstanceId& owner, const std::vector<SpentClaim>& claims) const;

  net::HttpTransport& http_;
  const std::string url_;
  const crypto::Secret token_;
  const base::Clock& clock_;
};

}  // namespace attestry::tracker
