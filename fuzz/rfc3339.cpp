// An accepted time is written as it was read, but for a fraction; every moment of years 0 to 9999 survives its text.
#include <cstring>

#include "base/bytes.h"
#include "base/time.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace attestry::base;
  const std::string_view text = as_text({data, size});
  if (const auto time = parse_rfc3339(text)) {
    REQUIRE(to_rfc3339(*time) == std::string{text.substr(0, 19)} + "Z");
  }
  if (size >= sizeof(std::int64_t)) {
    UtcTime any;
    std::memcpy(&any.seconds, data, sizeof any.seconds);
    const std::string written = to_rfc3339(any);
    const auto read = parse_rfc3339(written);
    REQUIRE(read.has_value());
    const UtcTime first = from_civil(0, 1, 1, 0, 0, 0), last = from_civil(9999, 12, 31, 23, 59, 59);
    REQUIRE(*read == (any < first ? first : any > last ? last : any));
  }
  return 0;
}
