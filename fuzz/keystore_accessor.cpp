// An accessor that is accepted in one tagging is written in both and read back the same, and has a seed or a reason; a
// contract's reply is a secret, none, or an outage.
#include "secrets/keystore_accessor.h"
#include "base/json.h"
#include "require.h"
#include "secrets/keystore_profile.h"

namespace {

using namespace attestry;
namespace keystore = secrets::keystore;

void check(const keystore::Accessor& accessor) {
  const auto internal = base::JsonDocument::parse(keystore::request_json(accessor).compact());
  const auto external = base::JsonDocument::parse(keystore::chain_json(accessor).compact());
  REQUIRE(internal && external);
  const auto a = keystore::parse_request_accessor((*internal)->root());
  const auto b = keystore::parse_chain_accessor((*external)->root());
  // normalise_repo() takes off one layer at a time, so that reading again may take off another.
  REQUIRE(a.ok() == b.ok());
  if (a) REQUIRE(*a == *b);
  const auto owner = chain::near::AccountId::parse("alice.near");
  const auto seed = keystore::seed_of(accessor, *owner, "7");
  if (seed) REQUIRE(seed->text().find('\0') == std::string::npos && seed->v3()[0] == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text{base::as_text({data, size})};
  const auto stored = keystore::parse_stored_secret(text);
  if (!stored) REQUIRE(stored.error().code == base::Code::unavailable);
  if (stored && *stored) check((*stored)->accessor);
  const auto variables = keystore::Variables::parse(crypto::Secret::copy_of({data, size}));
  if (variables) {
    const auto json = variables->json();
    if (json) REQUIRE(keystore::Variables::parse(*json)->names() == variables->names());
  }
  const auto document = base::JsonDocument::parse(text);
  if (!document) return 0;
  if (const auto accessor = keystore::parse_request_accessor((*document)->root()); accessor) check(*accessor);
  if (const auto accessor = keystore::parse_chain_accessor((*document)->root()); accessor) check(*accessor);
  return 0;
}
