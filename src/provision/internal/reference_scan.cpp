#include "provision/internal/reference_scan.h"

#include <algorithm>
#include <array>

#include "base/encoding.h"

namespace attestry::provision {

using base::Code;
using base::Error;
using base::JsonValue;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t kDigits = 64;

struct Prefix {
  std::string_view text;
  ReferenceType type;
};
constexpr std::array<Prefix, 2> kPrefixes{
    {{"__CONFIG_REF_", ReferenceType::config}, {"__SECRET_REF_", ReferenceType::secret}}};

/// The next place that begins like a reference.
std::optional<std::pair<std::size_t, Prefix>> find_prefix(std::string_view text, std::size_t from) {
  for (std::size_t at = text.find("__", from); at != std::string_view::npos; at = text.find("__", at + 1)) {
    for (const Prefix& prefix : kPrefixes) {
      if (text.substr(at).starts_with(prefix.text)) return std::pair{at, prefix};
    }
  }
  return std::nullopt;
}

bool is_hex(char c) noexcept { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

std::size_t hex_digits(std::string_view text) noexcept {
  return static_cast<std::size_t>(std::ranges::find_if_not(text, is_hex) - text.begin());
}

/// Keys of members go into pointers as RFC 6901 section 3 says.
std::string escaped_key(std::string_view key) {
  std::string out;
  for (const char c : key) {
    if (c == '~') {
      out += "~0";
    } else if (c == '/') {
      out += "~1";
    } else {
      out += c;
    }
  }
  return out;
}

class JsonScan {
 public:
  JsonScan(JsonText& out, std::string_view text)
      : out_(out),
        text_(text),
        // An escape may hide any letter of a reference; with neither there is nothing to look for.
        may_have_(text.find("_REF_") != std::string_view::npos || text.find("\\u") != std::string_view::npos) {}

  Status value(const JsonValue& v, const std::string& pointer, std::size_t depth) {
    if (v.is_string()) return string(v, pointer, depth);
    if (!v.is_object() && !v.is_array()) return base::done();
    out_.height = std::max(out_.height, depth + 1);
    std::size_t index = 0;
    for (auto child = v.first(); child; child = child->next(), ++index) {
      if (!may_have_) {
        TRY_OK(value(*child, pointer, depth + 1));
        continue;
      }
      const std::string key = v.is_object() ? child->key() : std::to_string(index);
      if (v.is_object() && find_prefix(key, 0)) {
        return Error{Code::malformed, "a reference stands in the name of a member", "references in values only",
                     pointer.empty() ? "a name of the outermost object" : "a name in " + pointer,
                     "Write the name out; only a value can be put in."};
      }
      TRY_OK(value(*child, pointer + "/" + escaped_key(key), depth + 1));
    }
    return base::done();
  }

 private:
  Status string(const JsonValue& v, const std::string& pointer, std::size_t depth) {
    if (!may_have_) return base::done();
    TRY(std::string text, v.string("string"));
    if (!find_prefix(text, 0)) return base::done();
    TRY_OK(check_references(text), pointer.empty() ? "the string" : pointer);
    const auto begin = static_cast<std::size_t>(v.source().data() - text_.data());
    out_.slots.push_back({.begin = begin,
                          .end = begin + v.source().size(),
                          .value = std::move(text),
                          .pointer = pointer,
                          .depth = depth});
    return base::done();
  }

  JsonText& out_;
  std::string_view text_;
  bool may_have_;
};

}  // namespace

std::optional<FoundReference> find_reference(std::string_view text, std::size_t from) {
  for (auto next = find_prefix(text, from); next; next = find_prefix(text, next->first + 1)) {
    const auto& [at, prefix] = *next;
    const std::size_t digits = at + prefix.text.size();
    if (text.size() - digits < kDigits) continue;
    FoundReference found{.reference = {.type = prefix.type}, .begin = at, .end = digits + kDigits};
    if (base::hex_decode_into(text.substr(digits, kDigits), found.reference.id)) return found;
  }
  return std::nullopt;
}

Status check_references(std::string_view text) {
  for (auto next = find_prefix(text, 0); next; next = find_prefix(text, next->first + 1)) {
    const auto& [at, prefix] = *next;
    const std::size_t digits = hex_digits(text.substr(at + prefix.text.size()));
    if (digits == kDigits) continue;
    return Error{Code::malformed, "a reference is not whole",
                 std::string{prefix.text} + " and 64 hex digits, with no more of them behind",
                 std::to_string(digits) + " digits", "Copy the whole id of the content."};
  }
  return base::done();
}

Result<JsonText> scan_json(std::string_view text, std::size_t max_bytes) {
  JsonText out;
  TRY(out.document, base::JsonDocument::parse(std::string{text}, {.max_bytes = max_bytes}));
  TRY_OK((JsonScan{out, out.document->text()}.value(out.document->root(), "", 0)));
  return out;
}

std::size_t json_height(const JsonValue& value) {
  if (!value.is_object() && !value.is_array()) return 0;
  std::size_t most = 0;
  for (auto child = value.first(); child; child = child->next()) most = std::max(most, json_height(*child));
  return most + 1;
}

}  // namespace attestry::provision
