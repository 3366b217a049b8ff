// Commitments of shares as an operator's file and as the store have them: what is read is written and read the same.
#include "keys/share_set.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace attestry;
  const auto parsed = keys::parse_commitments(base::as_text({data, size}));
  if (parsed.ok()) {
    REQUIRE(parsed->threshold >= 2 && parsed->threshold <= parsed->shares.size() && parsed->shares.size() <= 255);
    const auto again = keys::parse_commitments(keys::commitments_json(*parsed, "a key"));
    REQUIRE(again.ok() && keys::encode(*again) == keys::encode(*parsed));
    const auto stored = keys::decode_share_set(keys::encode(*parsed));
    REQUIRE(stored.ok() && keys::commitments_json(*stored, "") == keys::commitments_json(*parsed, ""));
  }
  const auto decoded = keys::decode_share_set({data, size});
  if (decoded.ok()) {
    const auto encoded = keys::encode(*decoded);
    const auto again = keys::decode_share_set(encoded);
    REQUIRE(again.ok() && keys::encode(*again) == encoded);
  }
  return 0;
}
