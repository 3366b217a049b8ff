// A storage URI is refused, or taken apart into parts that are shown without its user and password and read back as the
// same place; and no text at all is shown with what stands before its last @.
#include "base/encoding.h"
#include "blobs/internal/uri.h"
#include "blobs/store.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace attestry;
  const auto text = base::as_text({data, size});
  REQUIRE(blobs::shown_uri(text).size() <= 3 * 4096 + 200);
  if (const auto ms = blobs::parse_duration_ms(text)) REQUIRE(*ms >= 0 && *ms <= 86'400'000);
  const auto uri = blobs::parse_uri(text);
  if (!uri) return 0;
  const auto again = blobs::parse_uri(uri->shown());
  if (!again) return 0;  // hosts are shown as they came, and may hold a percent sign
  REQUIRE(!again->user && !again->password);
  REQUIRE(again->scheme == uri->scheme && again->host == uri->host && again->port == uri->port);
  REQUIRE(again->path == uri->path);
  return 0;
}
