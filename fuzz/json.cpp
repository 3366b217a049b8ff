// What the reader accepts, the writer writes so that it reads back the same; every member is found under its own name.
#include "base/json.h"

#include "base/json_writer.h"
#include "require.h"

namespace {

using namespace attestry::base;

void walk(const JsonValue& value, const JsonLimits& limits) {
  const auto alone = JsonDocument::parse(std::string{value.source()}, limits);
  REQUIRE(alone.has_value());
  REQUIRE((*alone)->root().kind() == value.kind());
  REQUIRE((*alone)->root().size() == value.size());
  if (const auto plain = value.plain_string()) REQUIRE(value.string("x").value() == *plain);
  std::size_t children = 0;
  for (auto child = value.first(); child; child = child->next()) {
    ++children;
    REQUIRE(child->source().data() > value.source().data());
    if (value.is_object()) {
      const auto found = value.find(child->key());
      REQUIRE(found.has_value());
      REQUIRE(found->source().data() == child->source().data());
    }
  }
  REQUIRE(children == value.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const JsonLimits limits{.max_bytes = 1u << 16, .max_depth = 32, .max_nodes = 4096};
  const std::string text = size == 0 ? std::string{} : std::string(reinterpret_cast<const char*>(data), size);
  const auto document = JsonDocument::parse(text, limits);
  if (!document) return 0;
  REQUIRE((*document)->text() == text);
  const JsonValue root = (*document)->root();
  walk(root, limits);
  for (auto child = root.first(); child; child = child->next()) walk(*child, limits);
  const std::string canonical = JsonOut{JsonOut::Raw{text}}.canonical();
  const auto again = JsonDocument::parse(canonical);
  REQUIRE(again.has_value());
  REQUIRE((*again)->root().size() == root.size());
  REQUIRE(JsonOut{JsonOut::Raw{canonical}}.canonical() == canonical);
  return 0;
}
