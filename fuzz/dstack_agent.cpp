// Answers of dstack's guest agent: whatever it says is read to something of the promised sizes, or not at all.
#include "tee/dstack_agent.h"

#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace attestry;
  const std::string body{reinterpret_cast<const char*>(data), size};
  if (const auto key = tee::parse_dstack_key(body)) {
    REQUIRE(key->key.size() == 32);
    for (const auto& signature : key->signature_chain) REQUIRE(signature.size() == 65 && signature.back() <= 1);
  }
  const auto quote = tee::parse_dstack_quote(body, {});
  REQUIRE(!quote || !quote->quote.empty());
  if (const auto info = tee::parse_dstack_info(body)) {
    REQUIRE(info->instance_id.empty() || info->instance_id.size() == 20);
    REQUIRE(info->compose_hash.empty() || info->compose_hash.size() == 32);
  }
  return 0;
}
