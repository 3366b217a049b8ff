// Trust settings that are accepted have a key of the log, never ask for more witnesses than they name, and say the same
// after a round trip.
#include "client/trust.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace attestry;
  const auto trust = client::Trust::parse(base::as_text({data, size}));
  if (!trust) {
    REQUIRE(!trust.error().text().empty());
    return 0;
  }
  REQUIRE(!trust->log.log_keys.empty());
  REQUIRE(trust->log.witnesses.threshold <= trust->log.witnesses.witnesses.size());
  const auto again = client::Trust::parse(trust->to_json());
  REQUIRE(again.ok());
  REQUIRE(again->to_json() == trust->to_json());
  REQUIRE(again->log.log_keys == trust->log.log_keys);
  REQUIRE(again->allow_simulated == trust->allow_simulated);
  return 0;
}
