// Accepted PEM, written anew, reads back as the same blocks.
#include "base/encoding.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace attestry::base;
  const auto blocks = pem_decode(as_text({data, size}), 8);
  if (!blocks) return 0;
  REQUIRE(!blocks->empty() && blocks->size() <= 8);
  std::string text;
  for (const PemBlock& block : *blocks) text += pem_encode(block.label, block.der);
  const auto again = pem_decode(text, 8);
  REQUIRE(again.has_value() && again->size() == blocks->size());
  for (std::size_t i = 0; i < blocks->size(); ++i) {
    REQUIRE((*again)[i].label == (*blocks)[i].label);
    REQUIRE((*again)[i].der == (*blocks)[i].der);
  }
  return 0;
}
