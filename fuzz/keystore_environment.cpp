// A file that is taken has good names only, and either it becomes settings or every reason is said; keys
// are kept apart.
#include "app/keystore_environment.h"
#include "base/bytes.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace attestry;
  const auto variables = app::parse_env_file(base::as_text({data, size}));
  if (!variables) return 0;
  for (const auto& [name, value] : *variables) REQUIRE(!name.empty() && name.find('=') == std::string::npos);
  const auto read = app::read_keystore_environment(*variables);
  for (const auto& mistake : read.mistakes) REQUIRE(mistake.code == base::Code::configuration && !mistake.what.empty());
  if (read.mistakes.empty()) REQUIRE(read.settings.contains("keystore.listen"));
  REQUIRE(!read.settings.contains("keystore.master") && !read.settings.contains("keystore.private_key"));
  return 0;
}
