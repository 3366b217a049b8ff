// An answer of a contract that is accepted has one spelling, and reading it takes no more memory than it has bytes.
#include "chain/registry_abi.h"
#include "require.h"

namespace {

using namespace attestry;

template <class R, class... A>
void check(const chain::registry::Function<R, A...>& function, base::ByteView data) {
  const auto value = function.decode(data);
  if (value) REQUIRE(base::equal(function.encode_result(*value), data));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace registry = chain::registry;
  const base::ByteView bytes{data, size};
  check(registry::kPki, bytes);
  check(registry::kAppPki, bytes);
  check(registry::kInstanceDomainNames, bytes);
  check(registry::kIdentityAllowed, bytes);
  check(registry::kConfigForIdentity, bytes);
  check(registry::kGetArtifact, bytes);
  check(registry::kFetchOnboardRequest, bytes);
  check(registry::kOnboardRequests, bytes);
  check(registry::kAllowlistedApplications, bytes);
  check(registry::kOwner, bytes);
  const std::string reason = chain::revert_reason(bytes);
  REQUIRE(reason.size() <= 2 * size + 64);
  const auto arguments = registry::kSetConfigForDcap.arguments(bytes);
  if (arguments) {
    const auto again =
        registry::kSetConfigForDcap(std::get<0>(*arguments), std::get<1>(*arguments), std::get<2>(*arguments));
    const auto twice = registry::kSetConfigForDcap.arguments(again);
    REQUIRE(twice && *twice == *arguments);
  }
  return 0;
}
