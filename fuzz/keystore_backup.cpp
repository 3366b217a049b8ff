// A keystore's backup and the masters in it: what is read is written and read the same.
#include "secrets/keystore_backup.h"
#include "require.h"
#include "secrets/keystore_bundle.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace attestry;
  const base::ByteView bytes{data, size};
  if (const auto bundle = secrets::decode_bundle(bytes)) {
    REQUIRE(base::equal(secrets::encode_bundle(*bundle).reveal(), bytes));
  }
  const auto backup = secrets::parse_backup(base::as_text(bytes));
  if (!backup) return 0;
  REQUIRE(backup->threshold >= 2 && backup->threshold <= backup->shares.size());
  const auto json = secrets::backup_json(*backup);
  const auto again = secrets::parse_backup(json);
  REQUIRE(again && secrets::backup_json(*again) == json);
  return 0;
}
