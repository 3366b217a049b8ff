// Any request target gets an answer of the simulated PCS: a known status, and headers that cannot be split.
#include <algorithm>
#include <string_view>

#include "forge/pcs.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace attestry;
  static const auto pki = forge::ForgePki::make(base::as_bytes("fuzz")).value();
  const forge::ForgePcs pcs(pki);
  const auto reply = pcs.get(base::as_text({data, size}), {1'795'261'432});
  REQUIRE(reply.status == 200 || reply.status == 400 || reply.status == 404);
  REQUIRE((reply.status == 200) == !reply.body.empty());
  for (const auto& [name, value] : reply.headers) {
    REQUIRE(name.find_first_of("\r\n:") == std::string::npos);
    REQUIRE(value.find_first_of("\r\n") == std::string::npos);
  }
  return 0;
}
