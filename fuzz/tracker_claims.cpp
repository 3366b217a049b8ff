// Claims of spent receipts, which another instance sends, and the answers that it gets: what is read of them is written
// the same, and is within the limits.
#include <string>

#include "base/json.h"
#include "require.h"
#include "tracker/claims.h"

using namespace attestry;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text{reinterpret_cast<const char*>(data), size};
  for (const std::size_t count : {std::size_t{0}, std::size_t{1}, std::size_t{3}}) {
    const auto granted = tracker::read_granted(text, count);
    REQUIRE(!granted || granted->size() == count);
  }
  const auto document = base::JsonDocument::parse(text);
  if (!document) return 0;
  const auto body = tracker::read_claims((*document)->root());
  if (!body) {
    REQUIRE(body.error().code == base::Code::malformed || body.error().code == base::Code::too_large);
    return 0;
  }
  REQUIRE(body->claims.size() <= tracker::StoredSpent::kMostClaims);
  const auto again = base::JsonDocument::parse(tracker::write_claims(body->owner, body->claims));
  REQUIRE(again.ok());
  const auto same = tracker::read_claims((*again)->root());
  REQUIRE(same.ok() && same->owner == body->owner && same->claims.size() == body->claims.size());
  for (std::size_t i = 0; i < same->claims.size(); ++i) {
    const auto& claim = body->claims[i];
    REQUIRE(same->claims[i].id == claim.id && same->claims[i].last == claim.last);
    // What is reckoned with it stays a time.
    REQUIRE(tracker::keep_spent_until(claim, {}, {1'700'000'000}) > claim.last);
  }
  return 0;
}
