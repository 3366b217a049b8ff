// Writes JSON. JsonObject keeps insertion order for what people read; canonical() writes RFC 8785 for what we hash.
#pragma once
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace attestry::base {

class JsonOut;
using JsonOutArray = std::vector<JsonOut>;
using JsonOutObject = std::vector<std::pair<std::string, JsonOut>>;

/// A JSON value to be written: null, bool, integer (|n| < 2^53), double (null when not finite), string, array, object
/// in insertion order, or raw text that is known to be JSON. The caller gives every name once per object.
class JsonOut {
 public:
  struct Raw {
    std::string text;
  };
  JsonOut() : v_(nullptr) {}
  JsonOut(std::nullptr_t) : v_(nullptr) {}
  JsonOut(bool b) : v_(b) {}
  JsonOut(int n) : v_(static_cast<std::int64_t>(n)) {}
  JsonOut(unsigned n) : v_(static_cast<std::int64_t>(n)) {}
  JsonOut(std::int64_t n) : v_(n) {}
  JsonOut(std::uint64_t n) : v_(static_cast<std::int64_t>(n)) {
    if (n > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) v_ = Raw{std::to_string(n)};
  }
  JsonOut(double d) : v_(d) {}
  JsonOut(const char* s) : v_(std::string{s}) {}
  JsonOut(std::string s) : v_(std::move(s)) {}
  JsonOut(std::string_view s) : v_(std::string{s}) {}
  JsonOut(JsonOutArray a) : v_(std::move(a)) {}
  JsonOut(JsonOutObject o) : v_(std::move(o)) {}
  JsonOut(Raw raw) : v_(std::move(raw)) {}

  /// Compact, members in insertion order.
  std::string compact() const;
  /// Indented by two spaces, for people.
  std::string pretty() const;
  /// RFC 8785: members sorted by UTF-16 code units, raw text too; only strings, booleans, null and integers below 2^53
  /// occur (FORMATS 1).
  std::string canonical() const;

 private:
  void write(std::string& out, int indent, bool sorted) const;
  static void write_array(const JsonOutArray& array, std::string& out, int indent, bool sorted);
  static void write_object(const JsonOutObject& object, std::string& out, int indent, bool sorted);
  std::variant<std::nullptr_t, bool, std::int64_t, double, std::string, JsonOutArray, JsonOutObject, Raw> v_;
};

/// Appends `text` as a JSON string with quotes; invalid UTF-8 and noncharacters become U+FFFD.
void append_json_string(std::string& out, std::string_view text);

}  // namespace attestry::base
