// Every byte string survives its text forms, and every accepted text is the only text of its bytes.
#include <algorithm>

#include "base/encoding.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace attestry::base;
  const ByteView bytes{data, size};
  const std::string_view text = as_text(bytes);
  REQUIRE(equal(hex_decode(hex(bytes)).value(), bytes));
  REQUIRE(equal(base64_decode(base64(bytes)).value(), bytes));
  REQUIRE(equal(base64url_decode(base64url(bytes)).value(), bytes));
  if (const auto decoded = hex_decode(text)) {
    const std::string again = hex(*decoded);
    REQUIRE(std::ranges::equal(again, text, [](char lower, char any) {
      return lower == (any >= 'A' && any <= 'F' ? static_cast<char>(any - 'A' + 'a') : any);
    }));
    Bytes fixed(decoded->size());
    REQUIRE(hex_decode_into(text, fixed).has_value() && fixed == *decoded);
  }
  if (const auto decoded = base64_decode(text)) REQUIRE(base64(*decoded) == text);
  if (const auto decoded = base64url_decode(text)) REQUIRE(base64url(*decoded) == text);
  if (const auto decoded = percent_decode(text)) REQUIRE(decoded->size() <= size);
  return 0;
}
