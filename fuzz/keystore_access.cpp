// A condition that parses is within its bounds and has a value; without the chain it is never true by an outage.
#include "secrets/keystore_access.h"
#include "require.h"

namespace {

using namespace attestry;
namespace keystore = secrets::keystore;
namespace near = chain::near;

class Outage final : public keystore::ChainFacts {
 public:
  base::Result<near::U128> balance(const near::AccountId&) override { return error(); }
  base::Result<std::string> view(const near::AccountId&, std::string, std::string) override { return error(); }
  base::Result<base::UtcTime> time() override { return error(); }
  base::Error error() {
    ++asked;
    return {base::Code::unavailable, "no quorum"};
  }
  int asked = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto condition = keystore::AccessCondition::parse(base::as_text({data, size}));
  if (!condition) {
    REQUIRE(condition.error().code == base::Code::malformed || condition.error().code == base::Code::too_large);
    return 0;
  }
  REQUIRE(condition->chain_reads() <= keystore::kMaxChainReads);
  Outage facts;
  const auto alice = near::AccountId::parse("alice.near");
  const auto said = condition->allows({.account = *alice}, facts);
  // A question that was not answered ends it; without one it is decided by the condition alone.
  REQUIRE(facts.asked <= 1);
  if (facts.asked == 1) REQUIRE(!said && said.error().code == base::Code::unavailable);
  if (!said && facts.asked == 0) REQUIRE(said.error().code == base::Code::denied);
  return 0;
}
