// What is accepted as the answer to a batch has one answer for every request, each a result or an error.
#include "chain/json_rpc.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace attestry;
  if (size == 0) return 0;
  const std::size_t expected = 1 + data[0] % 4;
  const auto text = base::as_text({data + 1, size - 1});
  const auto answers = chain::parse_rpc_batch(std::string{text}, expected, 1u << 16);
  if (!answers) return 0;
  REQUIRE(answers->answers.size() == expected);
  for (const auto& answer : answers->answers) {
    REQUIRE(answer.result.has_value() != answer.error.has_value());
    if (answer.error) {
      const auto outcome = chain::revert_of(*answer.error);
      if (outcome) REQUIRE(outcome->reverted);
      continue;
    }
    const auto number = chain::parse_quantity(*answer.result, "n");
    if (number) REQUIRE(chain::quantity(*number).size() == answer.result->plain_string()->size());
    const auto bytes = chain::parse_data(*answer.result, "d");
    if (bytes) REQUIRE(chain::hex_data(*bytes).size() == answer.result->plain_string()->size());
  }
  return 0;
}
