#include "base/json_writer.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>

#include "base/internal/utf8.h"
#include "base/json.h"

namespace attestry::base {
namespace {

constexpr int kCompact = -1;
constexpr std::uint32_t kReplacement = 0xfffd;

// What append_json_string writes for the front of `text`: RFC 7493 section 2.1 allows neither broken UTF-8 nor
// noncharacters.
internal::Utf8 front(std::string_view text) {
  const internal::Utf8 decoded = internal::decode_utf8(text.data(), text.size());
  if (decoded.length == 0) return {kReplacement, 1};
  if (internal::is_noncharacter(decoded.code_point)) return {kReplacement, decoded.length};
  return decoded;
}

// RFC 8785 section 3.2.3 sorts by UTF-16 code units: surrogates (D800 to DFFF) stand before E000 to FFFF.
constexpr std::uint32_t utf16_rank(std::uint32_t code) {
  if (code >= 0x10000) return code - 0x10000 + 0xe000;
  return code >= 0xe000 ? code + 0x100000 : code;
}

bool utf16_less(std::string_view a, std::string_view b) {
  while (!a.empty() && !b.empty()) {
    const internal::Utf8 x = front(a), y = front(b);
    if (x.code_point != y.code_point) return utf16_rank(x.code_point) < utf16_rank(y.code_point);
    a.remove_prefix(x.length);
    b.remove_prefix(y.length);
  }
  return a.empty() && !b.empty();
}

void append_integer(std::string& out, std::int64_t value) {
  std::array<char, 20> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  out.append(text.data(), end);
}

// As ECMAScript writes numbers (RFC 8785 section 3.2.2.3): the shortest digits that read back as the same double.
void append_double(std::string& out, double value) {
  if (!std::isfinite(value)) {
    out += "null";
    return;
  }
  if (value == 0) {
    out += '0';
    return;
  }
  std::array<char, 32> text{};
  const char* const end =
      std::to_chars(text.data(), text.data() + text.size(), std::fabs(value), std::chars_format::scientific).ptr;
  const char* const e = std::find(static_cast<const char*>(text.data()), end, 'e');
  std::string digits(text.data(), static_cast<std::size_t>(e - text.data()));
  std::erase(digits, '.');
  int exponent = 0;
  std::from_chars(e + (e[1] == '+' ? 2 : 1), end, exponent);
  const int count = static_cast<int>(digits.size());
  const int point = exponent + 1;  // where the decimal point stands, counted from the first digit
  if (value < 0) out += '-';
  if (point > 21 || point <= -6) {
    out += digits[0];
    if (count > 1) out.append(1, '.').append(digits, 1);
    out += point > 0 ? "e+" : "e";
    append_integer(out, exponent);
  } else if (point <= 0) {
    out.append("0.").append(static_cast<std::size_t>(-point), '0').append(digits);
  } else if (count <= point) {
    out.append(digits).append(static_cast<std::size_t>(point - count), '0');
  } else {
    out.append(digits, 0, static_cast<std::size_t>(point))
        .append(1, '.')
        .append(digits, static_cast<std::size_t>(point));
  }
}

void new_line(std::string& out, int indent) {
  if (indent == kCompact) return;
  out += '\n';
  out.append(static_cast<std::size_t>(indent) * 2, ' ');
}

constexpr int deeper(int indent) { return indent == kCompact ? kCompact : indent + 1; }

JsonOut to_out(const JsonValue& value) {
  constexpr auto kMin = std::numeric_limits<std::int64_t>::min(), kMax = std::numeric_limits<std::int64_t>::max();
  switch (value.kind()) {
    case JsonKind::boolean:
      return *value.boolean("raw");
    case JsonKind::string:
      return *value.string("raw");
    case JsonKind::number: {
      const auto integer = value.integer("raw", kMin, kMax);
      return integer ? JsonOut{*integer} : JsonOut{value.number("raw").value_or(0)};
    }
    case JsonKind::array: {
      JsonOutArray out;
      for (auto v = value.first(); v; v = v->next()) out.push_back(to_out(*v));
      return out;
    }
    case JsonKind::object: {
      JsonOutObject out;
      for (auto v = value.first(); v; v = v->next()) out.emplace_back(v->key(), to_out(*v));
      return out;
    }
    case JsonKind::null:
      break;
  }
  return nullptr;
}

/// Stands for itself in a JSON string, alone.
constexpr bool is_plain(char c) noexcept { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; }

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  out += '"';
  while (!text.empty()) {
    // Nearly everything that is ever written is printable ASCII: whole runs of it are copied at once.
    const auto run = std::ranges::find_if_not(text, is_plain) - text.begin();
    if (run > 0) {
      out.append(text, 0, static_cast<std::size_t>(run));
      text.remove_prefix(static_cast<std::size_t>(run));
      continue;
    }
    const char c = text.front();
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (static_cast<std::uint8_t>(c) < 0x20) {
          out += "\\u00";
          out += kHex[static_cast<std::uint8_t>(c) >> 4];
          out += kHex[static_cast<std::uint8_t>(c) & 15];
        } else {
          const internal::Utf8 decoded = front(text);
          internal::append_utf8(out, decoded.code_point);
          text.remove_prefix(decoded.length - 1);
        }
    }
    text.remove_prefix(1);
  }
  out += '"';
}

void JsonOut::write_array(const JsonOutArray& array, std::string& out, int indent, bool sorted) {
  out += '[';
  for (std::size_t i = 0; i < array.size(); ++i) {
    if (i != 0) out += ',';
    new_line(out, deeper(indent));
    array[i].write(out, deeper(indent), sorted);
  }
  if (!array.empty()) new_line(out, indent);
  out += ']';
}

void JsonOut::write_object(const JsonOutObject& object, std::string& out, int indent, bool sorted) {
  std::vector<const JsonOutObject::value_type*> members;
  members.reserve(object.size());
  for (const auto& member : object) members.push_back(&member);
  if (sorted)
    std::ranges::sort(members, utf16_less, [](const auto* member) { return std::string_view{member->first}; });
  out += '{';
  for (std::size_t i = 0; i < members.size(); ++i) {
    if (i != 0) out += ',';
    new_line(out, deeper(indent));
    append_json_string(out, members[i]->first);
    out += indent == kCompact ? ":" : ": ";
    members[i]->second.write(out, deeper(indent), sorted);
  }
  if (!members.empty()) new_line(out, indent);
  out += '}';
}

void JsonOut::write(std::string& out, int indent, bool sorted) const {
  if (const auto* boolean = std::get_if<bool>(&v_)) {
    out += *boolean ? "true" : "false";
  } else if (const auto* integer = std::get_if<std::int64_t>(&v_)) {
    append_integer(out, *integer);
  } else if (const auto* number = std::get_if<double>(&v_)) {
    append_double(out, *number);
  } else if (const auto* string = std::get_if<std::string>(&v_)) {
    append_json_string(out, *string);
  } else if (const auto* array = std::get_if<JsonOutArray>(&v_)) {
    write_array(*array, out, indent, sorted);
  } else if (const auto* object = std::get_if<JsonOutObject>(&v_)) {
    write_object(*object, out, indent, sorted);
  } else if (const auto* raw = std::get_if<Raw>(&v_)) {
    // Others' text has its own order and spacing, which RFC 8785 does not keep.
    const auto parsed = sorted ? JsonDocument::parse(raw->text) : Result<std::shared_ptr<const JsonDocument>>{nullptr};
    if (parsed && *parsed) {
      to_out((*parsed)->root()).write(out, indent, sorted);
    } else {
      out += raw->text;
    }
  } else {
    out += "null";
  }
}

std::string JsonOut::compact() const {
  std::string out;
  write(out, kCompact, false);
  return out;
}

std::string JsonOut::pretty() const {
  std::string out;
  write(out, 0, false);
  return out;
}

std::string JsonOut::canonical() const {
  std::string out;
  write(out, kCompact, true);
  return out;
}

}  // namespace attestry::base
