// Text with escaped or no references renders to itself, what is rendered in JSON mode is JSON, listing and rendering
// agree on what a reference is, and a template whose content is missing gives nothing.
#include "provision/registry_template.h"

#include <algorithm>

#include "base/json.h"
#include "require.h"

namespace {

using namespace attestry;
using provision::ReferenceType;
using provision::RegistryReference;

/// The id's first byte chooses its content; contents refer to each other and to themselves.
std::string content_of(const RegistryReference& reference) {
  const auto other = [](ReferenceType type, std::uint8_t first) {
    RegistryReference out{.type = type};
    out.id[0] = first;
    return to_text(out);
  };
  switch (reference.id[0] % 8) {
    case 0:
      return "{\"a\":[1,\"$1\"]}";
    case 1:
      return "{\"s\":\"" + other(ReferenceType::secret, 0) + "\",\"c\":\"x" + other(ReferenceType::config, 3) + "\"}";
    case 2:
      return "text \" with \\ and\n" + other(ReferenceType::secret, 3);
    case 3:
      return "\"quoted\"";
    case 4:
      return "[\"" + other(ReferenceType::config, 4) + "\"]";
    case 5:
      return "";
    case 6:
      return "\xff\x80";
    default:
      return "12345";
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 16 * 1024) return 0;
  const auto text = base::as_text({data, size});
  std::vector<RegistryReference> seen;
  const provision::TemplateSources sources{
      .fetch_many =
          [&](std::span<const RegistryReference> wanted) {
            std::vector<base::Result<base::Bytes>> out;
            for (const auto& reference : wanted) {
              REQUIRE(std::ranges::find(seen, reference) == seen.end());
              seen.push_back(reference);
              out.emplace_back(base::to_bytes(content_of(reference)));
            }
            return out;
          },
      .open_secret = [](base::ByteView blob) -> base::Result<crypto::Secret> { return crypto::Secret::copy_of(blob); }};
  const provision::TemplateSources nothing{
      .fetch_many =
          [](std::span<const RegistryReference> wanted) {
            const base::Error error{base::Code::not_found, "content not found", {}, {}};
            return std::vector<base::Result<base::Bytes>>(wanted.size(), base::Result<base::Bytes>{error});
          },
      .open_secret = sources.open_secret};

  const auto listed = provision::registry_references(text);
  const auto plain = provision::render_registry_template(text, sources, {.keep_nested = size % 2 == 0});
  if (plain) {
    for (const auto& insertion : plain->insertions) {
      REQUIRE(std::ranges::find(seen, insertion.reference) != seen.end() ||
              insertion.how == provision::InsertedAs::left);
    }
    for (const auto& reference : listed) REQUIRE(std::ranges::find(seen, reference) != seen.end());
    if (listed.empty()) REQUIRE(base::as_text(plain->text.reveal()) == text);
  }
  REQUIRE(provision::render_registry_template(text, nothing).ok() == listed.empty());

  seen.clear();
  const auto json = provision::render_registry_template(text, sources, {.mode = provision::TemplateMode::json});
  if (!json) return 0;
  const auto parsed = base::JsonDocument::parse(std::string{base::as_text(json->text.reveal())});
  REQUIRE(parsed.ok());
  if (json->insertions.empty()) REQUIRE(base::as_text(json->text.reveal()) == text);
  REQUIRE(provision::render_registry_template(text, nothing, {.mode = provision::TemplateMode::json}).ok() ==
          json->insertions.empty());
  return 0;
}
