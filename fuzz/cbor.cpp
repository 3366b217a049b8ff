// What the reader accepts, the writer writes so that it reads back the same; every value is found
// under its key; nothing shorter or longer is the same item.
#include "base/cbor.h"

#include "require.h"

namespace {

using namespace attestry::base;

/// Written anew with shortest heads and definite lengths. Depth is bounded by the limits.
void write(const CborValue& value, CborWriter& out) {
  switch (value.kind()) {
    case CborKind::unsigned_integer:
      out.unsigned_integer(value.unsigned_integer("x").value());
      return;
    case CborKind::bytes:
      out.bytes(value.bytes("x").value());
      return;
    case CborKind::text:
      out.text(value.text("x").value());
      return;
    case CborKind::array:
      out.array(value.size());
      break;
    case CborKind::map:
      out.map(value.size());
      break;
    case CborKind::tag:
      out.tag(value.tag_number());
      break;
    case CborKind::negative_integer:
      if (const auto number = value.integer("x")) {
        out.integer(*number);
        return;
      }
      [[fallthrough]];
    case CborKind::boolean:
    case CborKind::null:
    case CborKind::other:
      out.raw(value.source());
      return;
  }
  for (auto child = value.first(); child; child = child->next()) write(*child, out);
}

void same(const CborValue& a, const CborValue& b) {
  REQUIRE(a.kind() == b.kind() && a.size() == b.size() && a.tag_number() == b.tag_number());
  if (a.kind() == CborKind::text) REQUIRE(a.text("x").value() == b.text("x").value());
  if (a.kind() == CborKind::bytes) REQUIRE(equal(a.bytes("x").value(), b.bytes("x").value()));
  const auto left = a.integer("x");
  const auto right = b.integer("x");
  REQUIRE(left.ok() == right.ok() && (!left.ok() || *left == *right));
  auto x = a.first();
  auto y = b.first();
  for (; x && y; x = x->next(), y = y->next()) same(*x, *y);
  REQUIRE(!x && !y);
}

void lookups(const CborValue& map) {
  for (auto key = map.first(); key; key = key->next()->next()) {
    std::optional<CborValue> found;
    if (const auto text = key->text("x")) found = map.find(*text);
    if (const auto number = key->integer("x")) found = map.find(*number);
    if (found) REQUIRE(found->source().data() == key->next()->source().data());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const CborLimits limits{.max_bytes = 1u << 16, .max_depth = 16, .max_items = 4096, .indefinite = true};
  const ByteView bytes{data, size};
  const auto document = CborDocument::parse(bytes, limits);
  if (!document) return 0;
  REQUIRE(document->root().source().size() == size);
  REQUIRE(!CborDocument::parse(bytes.first(size - 1), limits));
  Bytes longer = to_bytes(bytes);
  longer.push_back(0);
  REQUIRE(!CborDocument::parse(longer, limits));
  if (document->root().kind() == CborKind::map) lookups(document->root());
  CborWriter out;
  write(document->root(), out);
  const auto again = CborDocument::parse(out.encoded(), {.max_items = 4096});
  REQUIRE(again.has_value());
  same(document->root(), again->root());
  return 0;
}
