// Bodies of the keystore's larger requests: what is taken can be asked of the chain, and nothing is taken with a
// mistake.
#include "api/keystore_bodies.h"
#include "base/json.h"
#include "require.h"
#include "secrets/keystore_service_chain.h"

using namespace attestry;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto document = base::JsonDocument::parse(std::string{base::as_text({data, size})});
  if (!document) return 0;
  {
    api::KeystoreFields fields{(*document)->root()};
    const auto asked = api::read_keystore_decrypt(fields);
    if (asked) {
      REQUIRE(fields.ok());
      REQUIRE(secrets::keystore::check_profile(asked->name.profile).ok());
      const auto again = base::JsonDocument::parse(secrets::KeystoreChain::arguments(asked->name));
      REQUIRE(again.ok() && (*again)->root().find("accessor"));
    } else {
      REQUIRE(asked.error().status == 400 || asked.error().status == 422);
    }
  }
  api::KeystoreFields fields{(*document)->root()};
  const auto update = api::read_keystore_update(fields);
  if (update) {
    REQUIRE(fields.ok());
    REQUIRE(secrets::keystore::check_names(update->set).ok());
  } else {
    const auto code = update.error().code;
    REQUIRE(code != base::Code::internal && code != base::Code::unavailable);
  }
  return 0;
}
