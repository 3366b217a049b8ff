// Expansion and listing agree on what a reference is, a template with an unresolved reference gives nothing, and any
// text whose ${ are escaped expands to itself.
#include "provision/template.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace attestry;
  if (size > 64 * 1024) return 0;
  const auto text = base::as_text({data, size});
  std::vector<std::string> seen;
  const auto same = provision::expand_template(text, [&](std::string_view reference) -> base::Result<std::string> {
    seen.emplace_back(reference);
    return "${" + std::string{reference} + "}";
  });
  const auto refuse = [](std::string_view) -> base::Result<std::string> {
    return base::Error{base::Code::denied, "no"};
  };
  const auto listed = provision::template_references(text);
  REQUIRE(same.ok() == listed.ok());
  if (listed) {
    REQUIRE(seen == *listed);
    REQUIRE(same->size() <= size);
    REQUIRE(provision::expand_template(text, refuse).ok() == listed->empty());
  }

  std::string escaped;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.substr(i, 2) == "${") escaped += '$';
    escaped += text[i];
  }
  const auto literal = provision::expand_template(escaped, refuse);
  REQUIRE(literal.ok());
  REQUIRE(base::as_text(literal->reveal()) == text);
  return 0;
}
