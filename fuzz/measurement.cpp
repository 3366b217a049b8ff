// Documents of measurement sets and the changes that operators sign: what is accepted can be used in a policy, and a
// change is the same after its canonical form was read again.
#include "governance/measurement.h"
#include "attestation/policy.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace attestry;
  const auto text = base::as_text({data, size});
  if (const auto document = governance::Measurement::parse(text)) {
    REQUIRE(!document->identities.empty() && document->identities.size() == document->names.size());
    for (const auto& identity : document->identities) {
      const auto policy = attestation::Policy::parse(R"({"format":1,"identities":[)" + identity + "]}");
      REQUIRE(policy.ok() && policy->identities().size() == 1);
      REQUIRE(policy->identities().front().source.empty());
    }
  }
  if (const auto action = governance::MeasurementAction::parse(text)) {
    const auto again = governance::MeasurementAction::parse(action->payload());
    REQUIRE(again.ok());
    REQUIRE(again->payload() == action->payload());
  }
  return 0;
}
