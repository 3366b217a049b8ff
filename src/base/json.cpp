#include "base/json.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "base/internal/utf8.h"
#include "base/suggest.h"

namespace attestry::base {
namespace {

constexpr std::uint32_t hex_value(char c) {
  if (c >= '0' && c <= '9') return static_cast<std::uint32_t>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<std::uint32_t>(c - 'a' + 10);
  if (c >= 'A' && c <= 'F') return static_cast<std::uint32_t>(c - 'A' + 10);
  return 16;
}

// The value of four hex digits, or above 0xffff. Stops at the first other character, so a NUL at the end is enough.
std::uint32_t hex4(const char* p) {
  std::uint32_t code = 0;
  for (int i = 0; i < 4; ++i) {
    const std::uint32_t digit = hex_value(p[i]);
    if (digit > 15) return 0x10000;
    code = code << 4 | digit;
  }
  return code;
}

constexpr bool is_high_surrogate(std::uint32_t code) { return code >= 0xd800 && code <= 0xdbff; }
constexpr bool is_low_surrogate(std::uint32_t code) { return code >= 0xdc00 && code <= 0xdfff; }
constexpr std::uint32_t join(std::uint32_t high, std::uint32_t low) {
  return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
}

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// Escapes are known to be well formed here: the parser has seen them.
std::string unescape(std::string_view raw) {
  std::string out;
  out.reserve(raw.size());
  for (std::size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] != '\\') {
      out.push_back(raw[i]);
      continue;
    }
    switch (const char c = raw[++i]) {
      case 'b':
        out.push_back('\b');
        break;
      case 'f':
        out.push_back('\f');
        break;
      case 'n':
        out.push_back('\n');
        break;
      case 'r':
        out.push_back('\r');
        break;
      case 't':
        out.push_back('\t');
        break;
      case 'u': {
        std::uint32_t code = hex4(raw.data() + i + 1);
        i += 4;
        if (is_high_surrogate(code)) {
          code = join(code, hex4(raw.data() + i + 3));
          i += 6;
        }
        internal::append_utf8(out, code);
        break;
      }
      default:
        out.push_back(c);
    }
  }
  return out;
}

// What a string may hold without a closer look: printable ASCII but the quote and the backslash.
constexpr std::array<bool, 256> kPlain = [] {
  std::array<bool, 256> table{};
  for (std::size_t c = 0x20; c < 0x80; ++c) table[c] = c != '"' && c != '\\';
  return table;
}();
constexpr bool is_plain(char c) { return kPlain[static_cast<std::uint8_t>(c)]; }

// Nonzero where one of eight bytes is not plain. Borrows can only raise flags above a true one, so the lowest is exact.
constexpr std::uint64_t not_plain(std::uint64_t w) {
  constexpr std::uint64_t kOnes = 0x0101010101010101, kHighs = 0x8080808080808080;
  const std::uint64_t quote = w ^ (kOnes * '"'), backslash = w ^ (kOnes * '\\');
  return (((quote - kOnes) & ~quote) | ((backslash - kOnes) & ~backslash) | ((w - kOnes * 0x20) & ~w) | w) & kHighs;
}

#if defined(__cpp_lib_to_chars)
// Out of range is too large, unless the number is too near to zero, which is zero.
bool is_finite_number(std::string_view text, double& value) {
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec != std::errc::result_out_of_range) return std::isfinite(value);
  const std::size_t e = text.find_first_of("eE");
  const std::string_view mantissa = text.substr(0, e);
  std::int64_t exponent = 0;
  if (e != std::string_view::npos) {
    constexpr std::int64_t kBeyond = std::int64_t{1} << 40;  // more than any text has digits
    const std::string_view digits = text.substr(e + (text[e + 1] == '+' ? 2 : 1));
    const bool whole = std::from_chars(digits.data(), digits.data() + digits.size(), exponent).ec == std::errc{};
    exponent = whole ? std::clamp(exponent, -kBeyond, kBeyond) : digits.front() == '-' ? -kBeyond : kBeyond;
  }
  const std::size_t point = std::min(mantissa.find('.'), mantissa.size());
  const std::size_t first = std::min(mantissa.find_first_of("123456789"), mantissa.size());
  value = 0;
  return exponent + static_cast<std::int64_t>(point) - static_cast<std::int64_t>(first) < 0;
}
#else
// The WebAssembly C++ library has no from_chars for double; its C library knows no other locale than "C".
bool is_finite_number(std::string_view text, double& value) {
  value = std::strtod(std::string{text}.c_str(), nullptr);
  return std::isfinite(value);
}
#endif

const char* name_of(JsonKind kind) {
  constexpr std::array<const char*, 6> kNames = {"null", "a boolean", "a number", "a string", "an array", "an object"};
  return kNames[static_cast<std::size_t>(kind)];
}

Error wrong_kind(std::string_view what, JsonKind expected, JsonKind found) {
  return {Code::malformed, std::string{what} + ": wrong kind of JSON value", name_of(expected), name_of(found)};
}

std::string quoted(std::string_view text) {
  constexpr std::size_t kShown = 64;
  std::string out{"\""};
  out.append(text.substr(0, kShown));
  out.append(text.size() > kShown ? "…\"" : "\"");
  return out;
}

/// Keys of one document begin alike, so their ends count most. Not meant to resist those who choose keys: see
/// index_keys.
std::size_t key_hash(std::string_view key) noexcept {
  std::uint64_t last = 0, other = 0;
  if (key.size() >= 8) {
    std::memcpy(&last, key.data() + key.size() - 8, 8);
    std::memcpy(&other, key.data() + (key.size() >= 16 ? key.size() - 16 : 0), 8);
  } else if (!key.empty()) {
    std::memcpy(&last, key.data(), key.size());
  }
  constexpr std::uint64_t kOdd = 0x9e3779b97f4a7c15;
  const std::uint64_t mixed = (last ^ (other + key.size()) * kOdd) * kOdd;
  return static_cast<std::size_t>(mixed >> 32);
}

/// At most half of a table is taken.
constexpr std::size_t table_size(std::uint32_t keys) noexcept { return std::bit_ceil(std::size_t{keys} * 2); }

/// Overwrites in a way that the compiler keeps although nobody reads the text again (crypto::wipe is a room above).
void overwrite(std::string& text) {
  std::memset(text.data(), 0, text.size());
  asm volatile("" : : "r"(text.data()) : "memory");
}

}  // namespace

/// One pass over the text with an explicit stack. The text ends with a NUL, which no rule accepts, so single characters
/// are read without a bounds check.
class JsonParser {
 public:
  JsonParser(JsonDocument& document, const JsonLimits& limits)
      : nodes_(document.nodes_),
        slots_(document.slots_),
        begin_(document.text_.c_str()),
        p_(begin_),
        end_(begin_ + document.text_.size()),
        max_depth_(limits.max_depth),
        max_nodes_(std::min<std::size_t>(limits.max_nodes, std::numeric_limits<std::uint32_t>::max() - 1)) {}

  Status run() {
    nodes_.reserve(std::min(static_cast<std::size_t>(end_ - begin_) / 6 + 8, max_nodes_));
    stack_.reserve(std::min<std::size_t>(max_depth_, 32));
    if (!document()) return error();
    return done();
  }

 private:
  using Node = JsonDocument::Node;
  struct Frame {
    std::uint32_t node;
    std::uint32_t last_child;  ///< 0: none yet
    bool any_key_escaped;
  };
  struct Key {
    std::uint32_t begin = 0, end = 0;
    bool escaped = false;
  };

  // One flat loop: most values are a few bytes long, so that calls would cost more than the work (halves the time).
  [[gnu::flatten]] bool document() {
    skip_space();
    if (!value(Key{})) return false;
    while (!stack_.empty()) {
      if (!next_child()) return false;
    }
    skip_space();
    return p_ == end_ || fail("text after the value", "the end");
  }

  // Takes one child of the innermost open array or object, or its end.
  bool next_child() {
    const Node& open = nodes_[stack_.back().node];
    const bool is_object = open.kind == JsonKind::object;
    const char close = is_object ? '}' : ']';
    skip_space();
    if (*p_ == close) return close_container();
    if (open.count != 0) {
      if (*p_ != ',') return fail("no comma between values", is_object ? "',' or '}'" : "',' or ']'");
      ++p_;
      skip_space();
    }
    Key key;
    if (is_object && !member_key(key)) return false;
    return value(key);
  }

  bool member_key(Key& key) {
    if (*p_ != '"') return fail("no member name", "'\"'");
    ++p_;
    key.begin = offset();
    if (!string_rest(key.escaped)) return false;
    key.end = offset() - 1;
    stack_.back().any_key_escaped |= key.escaped;
    skip_space();
    if (*p_ != ':') return fail("no colon after a member name", "':'");
    ++p_;
    skip_space();
    return true;
  }

  bool value(const Key& key) {
    if (nodes_.size() >= max_nodes_) return fail_limit("too many values", max_nodes_);
    const auto index = static_cast<std::uint32_t>(nodes_.size());
    nodes_.push_back({JsonKind::null, false, key.escaped, offset(), 0, key.begin, key.end, 0, 0, 0});
    if (!stack_.empty()) link(index);
    Node& node = nodes_.back();
    switch (*p_) {
      case '"':
        ++p_;
        node.kind = JsonKind::string;
        if (!string_rest(node.flag)) return false;
        break;
      case '{':
        return open_container(JsonKind::object, index);
      case '[':
        return open_container(JsonKind::array, index);
      case 't':
        node.kind = JsonKind::boolean;
        node.flag = true;
        if (!literal("true")) return false;
        break;
      case 'f':
        node.kind = JsonKind::boolean;
        if (!literal("false")) return false;
        break;
      case 'n':
        if (!literal("null")) return false;
        break;
      default:
        node.kind = JsonKind::number;
        if (!number()) return false;
    }
    node.end = offset();
    return true;
  }

  void link(std::uint32_t index) {
    Frame& frame = stack_.back();
    if (frame.last_child != 0) nodes_[frame.last_child].next = index;
    frame.last_child = index;
    ++nodes_[frame.node].count;
  }

  bool open_container(JsonKind kind, std::uint32_t index) {
    if (stack_.size() >= max_depth_) return fail("nested too deeply", depth_text());
    nodes_[index].kind = kind;
    stack_.push_back({index, 0, false});
    ++p_;
    return true;
  }

  bool close_container() {
    ++p_;
    const Frame frame = stack_.back();
    Node& node = nodes_[frame.node];
    node.end = offset();
    stack_.pop_back();
    return node.kind != JsonKind::object || node.count < 2 || keys_differ(frame);
  }

  std::string_view raw_key(const Node& node) const { return {begin_ + node.key_begin, node.key_end - node.key_begin}; }

  // Few keys are compared each with each, many by a table, and by sorting what a table cannot take, so that a hostile
  // object costs n log n.
  bool keys_differ(const Frame& frame) {
    constexpr std::uint32_t kFew = 12;
    if (frame.any_key_escaped) return sorted_keys_differ(frame);
    if (nodes_[frame.node].count > kFew) return index_keys(frame);
    for (std::uint32_t a = frame.node + 1; nodes_[a].next != 0; a = nodes_[a].next) {
      const Node& first = nodes_[a];
      const std::uint32_t size = first.key_end - first.key_begin;
      for (std::uint32_t b = first.next; b != 0; b = nodes_[b].next) {
        const Node& second = nodes_[b];
        if (second.key_end - second.key_begin == size &&
            std::memcmp(begin_ + first.key_begin, begin_ + second.key_begin, size) == 0) {
          return fail_duplicate(second);
        }
      }
    }
    return true;
  }

  // The table stays with the document: find() looks there. Keys that were chosen to meet in it use up its steps; then
  // there is none, and find() walks.
  [[gnu::noinline]] bool index_keys(const Frame& frame) {
    Node& object = nodes_[frame.node];
    const std::size_t size = table_size(object.count);
    const std::size_t begin = slots_.size();
    if (begin + size >= std::numeric_limits<std::uint32_t>::max()) return sorted_keys_differ(frame);
    slots_.resize(begin + size);
    std::size_t steps = std::size_t{object.count} * 4;
    for (std::uint32_t i = frame.node + 1; i != 0; i = nodes_[i].next) {
      const std::string_view key = raw_key(nodes_[i]);
      std::size_t at = key_hash(key) & (size - 1);
      for (; slots_[begin + at] != 0; at = (at + 1) & (size - 1)) {
        if (raw_key(nodes_[slots_[begin + at]]) == key) return fail_duplicate(nodes_[i]);
        if (steps-- == 0) {
          slots_.resize(begin);
          return sorted_keys_differ(frame);
        }
      }
      slots_[begin + at] = i;
    }
    object.slots = static_cast<std::uint32_t>(begin + 1);
    return true;
  }

  [[gnu::noinline]] bool sorted_keys_differ(const Frame& frame) {
    struct Entry {
      std::string_view key;
      std::uint32_t node;
    };
    std::vector<std::string> unescaped;
    unescaped.reserve(frame.any_key_escaped ? nodes_[frame.node].count : 0);  // views into it must stay valid
    std::vector<Entry> entries;
    entries.reserve(nodes_[frame.node].count);
    for (std::uint32_t i = frame.node + 1; i != 0; i = nodes_[i].next) {
      std::string_view key = raw_key(nodes_[i]);
      if (nodes_[i].key_escaped) key = unescaped.emplace_back(unescape(key));
      entries.push_back({key, i});
    }
    std::ranges::sort(entries, [](const Entry& a, const Entry& b) {
      const int order = a.key.compare(b.key);
      return order != 0 ? order < 0 : a.node < b.node;
    });
    const auto twin = std::ranges::adjacent_find(entries, {}, &Entry::key);
    return twin == entries.end() || fail_duplicate(nodes_[std::next(twin)->node]);
  }

  // Stands after the opening quote, ends after the closing one.
  bool string_rest(bool& escaped) {
    for (;;) {
      skip_plain();
      const char c = *p_;
      if (c == '"') {
        ++p_;
        return true;
      }
      if (c == '\\') {
        escaped = true;
        if (!escape()) return false;
      } else if (static_cast<std::uint8_t>(c) >= 0x80) {
        if (!multibyte()) return false;
      } else {
        return p_ == end_ ? fail("unfinished string", "'\"'") : fail("control character in a string", "an escape");
      }
    }
  }

  void skip_plain() {
    if constexpr (std::endian::native == std::endian::little) {
      while (end_ - p_ >= 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, p_, 8);
        const std::uint64_t flags = not_plain(word);
        if (flags != 0) {
          p_ += std::countr_zero(flags) / 8;
          return;
        }
        p_ += 8;
      }
    }
    while (is_plain(*p_)) ++p_;
  }

  [[gnu::noinline]] bool multibyte() {
    const internal::Utf8 decoded = internal::decode_utf8(p_, static_cast<std::size_t>(end_ - p_));
    if (decoded.length == 0) return fail("invalid UTF-8", "UTF-8 (RFC 3629)");
    if (internal::is_noncharacter(decoded.code_point))
      return fail("noncharacter", "a character (RFC 7493 section 2.1)");
    p_ += decoded.length;
    return true;
  }

  [[gnu::noinline]] bool escape() {
    ++p_;
    if (*p_ != 'u') {
      if (*p_ == '\0' || std::strchr("\"\\/bfnrt", *p_) == nullptr) return fail("unknown escape", "one of \"\\/bfnrtu");
      ++p_;
      return true;
    }
    std::uint32_t code = hex4(p_ + 1);
    if (code > 0xffff) return fail("broken \\u escape", "four hex digits");
    p_ += 5;
    if (is_low_surrogate(code)) return fail("lone surrogate", "a pair of surrogates");
    if (is_high_surrogate(code)) {
      const std::uint32_t low = p_[0] == '\\' && p_[1] == 'u' ? hex4(p_ + 2) : 0;
      if (!is_low_surrogate(low)) return fail("lone surrogate", "a pair of surrogates");
      code = join(code, low);
      p_ += 6;
    }
    return !internal::is_noncharacter(code) || fail("noncharacter", "a character (RFC 7493 section 2.1)");
  }

  bool number() {
    const char* const start = p_;
    if (*p_ == '-') ++p_;
    if (!is_digit(*p_))
      return fail(p_ == start ? "no value" : "broken number", p_ == start ? "a JSON value" : "a digit");
    const char* const whole = p_;
    skip_digits();
    if (*whole == '0' && p_ - whole > 1) return fail("leading zero", "a number without");
    if (*p_ == '.') {
      ++p_;
      if (!is_digit(*p_)) return fail("broken number", "a digit after the point");
      skip_digits();
    }
    const bool has_exponent = *p_ == 'e' || *p_ == 'E';
    if (has_exponent) {
      ++p_;
      if (*p_ == '+' || *p_ == '-') ++p_;
      if (!is_digit(*p_)) return fail("broken number", "a digit in the exponent");
      skip_digits();
    }
    // Only an exponent or more than 308 digits can leave the range of a double.
    if (!has_exponent && p_ - start < 308) return true;
    double ignored = 0;
    const std::string_view text{start, static_cast<std::size_t>(p_ - start)};
    return is_finite_number(text, ignored) || fail("number too large", "a finite number");
  }

  void skip_digits() {
    while (is_digit(*p_)) ++p_;
  }

  bool literal(std::string_view word) {
    if (static_cast<std::size_t>(end_ - p_) < word.size() || std::memcmp(p_, word.data(), word.size()) != 0) {
      return fail("no value", "true, false or null");
    }
    p_ += word.size();
    return true;
  }

  void skip_space() {
    while (*p_ == ' ' || *p_ == '\n' || *p_ == '\r' || *p_ == '\t') ++p_;
  }

  std::uint32_t offset() const { return static_cast<std::uint32_t>(p_ - begin_); }

  [[gnu::cold, gnu::noinline]] bool fail(std::string_view problem, std::string_view expected) {
    problem_ = problem;
    expected_ = expected;
    return false;
  }
  [[gnu::cold, gnu::noinline]] bool fail_limit(std::string_view problem, std::size_t limit) {
    code_ = Code::too_large;
    return fail(problem, "at most " + std::to_string(limit));
  }
  [[gnu::cold, gnu::noinline]] bool fail_duplicate(const Node& second) {
    p_ = begin_ + second.key_begin;
    return fail("duplicate member " + quoted(raw_key(second)), "each name once in an object");
  }
  [[gnu::cold, gnu::noinline]] std::string depth_text() const {
    return "at most " + std::to_string(max_depth_) + " levels";
  }

  Error error() const {
    const std::string_view before{begin_, static_cast<std::size_t>(p_ - begin_)};
    const std::size_t line_start = before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
    const auto line = 1 + std::ranges::count(before, '\n');
    return {code_,
            "json: line " + std::to_string(line) + ", column " + std::to_string(before.size() - line_start + 1) + ": " +
                problem_,
            expected_};
  }

  std::vector<Node>& nodes_;
  std::vector<std::uint32_t>& slots_;
  const char* const begin_;
  const char* p_;
  const char* const end_;
  const std::size_t max_depth_;
  const std::size_t max_nodes_;
  std::vector<Frame> stack_;
  Code code_ = Code::malformed;
  std::string problem_;
  std::string expected_;
};

Result<std::shared_ptr<const JsonDocument>> JsonDocument::parse(std::string text, const JsonLimits& limits) {
  constexpr std::size_t kOffsets = std::numeric_limits<std::uint32_t>::max() - 1;
  const std::size_t max_bytes = std::min(limits.max_bytes, kOffsets);
  if (text.size() > max_bytes) {
    if (limits.wipe) overwrite(text);
    return Error{Code::too_large, "json: document too large", "at most " + std::to_string(max_bytes) + " bytes",
                 std::to_string(text.size()) + " bytes"};
  }
  const std::shared_ptr<JsonDocument> document{new JsonDocument};
  document->wipe_ = limits.wipe;
  document->text_ = std::move(text);
  TRY_OK(JsonParser(*document, limits).run());
  return document;
}

JsonDocument::~JsonDocument() {
  if (wipe_) overwrite(text_);
}

std::string_view JsonValue::source() const noexcept {
  const auto& node = document_->nodes_[index_];
  return {document_->text_.data() + node.begin, node.end - node.begin};
}

Result<std::string> JsonValue::string(std::string_view what) const {
  if (!is_string()) return wrong_kind(what, JsonKind::string, kind());
  const std::string_view inner = source().substr(1, source().size() - 2);
  return document_->nodes_[index_].flag ? unescape(inner) : std::string{inner};
}

Result<bool> JsonValue::boolean(std::string_view what) const {
  if (kind() != JsonKind::boolean) return wrong_kind(what, JsonKind::boolean, kind());
  return document_->nodes_[index_].flag;
}

Result<std::int64_t> JsonValue::integer(std::string_view what, std::int64_t min, std::int64_t max) const {
  if (kind() != JsonKind::number) return wrong_kind(what, JsonKind::number, kind());
  const std::string_view text = source();
  std::int64_t value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure == std::errc{} && end == text.data() + text.size() && value >= min && value <= max) return value;
  return Error{Code::malformed, std::string{what} + ": not an integer in range",
               "an integer from " + std::to_string(min) + " to " + std::to_string(max),
               std::string{text.substr(0, 32)}};
}

Result<double> JsonValue::number(std::string_view what) const {
  if (kind() != JsonKind::number) return wrong_kind(what, JsonKind::number, kind());
  double value = 0;
  if (!is_finite_number(source(), value)) {
    return Error{Code::malformed, std::string{what} + ": number too large", "a finite number"};
  }
  return value;
}

std::optional<std::string_view> JsonValue::plain_string() const noexcept {
  if (!is_string() || document_->nodes_[index_].flag) return std::nullopt;
  return source().substr(1, source().size() - 2);
}

std::size_t JsonValue::size() const noexcept { return document_->nodes_[index_].count; }

std::optional<JsonValue> JsonValue::first() const noexcept {
  if (size() == 0) return std::nullopt;
  return JsonValue{document_, index_ + 1};
}

std::optional<JsonValue> JsonValue::next() const noexcept {
  const std::uint32_t next = document_->nodes_[index_].next;
  if (next == 0) return std::nullopt;
  return JsonValue{document_, next};
}

std::string JsonValue::key() const {
  const auto& node = document_->nodes_[index_];
  const std::string_view raw{document_->text_.data() + node.key_begin, node.key_end - node.key_begin};
  return node.key_escaped ? unescape(raw) : std::string{raw};
}

std::optional<JsonValue> JsonValue::find(std::string_view key) const noexcept {
  // Signed documents have some hundred members and are read on the path of a verification: no handle per member here.
  const auto& nodes = document_->nodes_;
  const auto& object = nodes[index_];
  if (object.kind != JsonKind::object || object.count == 0) return std::nullopt;
  if (object.slots != 0) {
    const std::uint32_t* const slots = document_->slots_.data() + (object.slots - 1);
    const std::size_t size = table_size(object.count);
    for (std::size_t at = key_hash(key) & (size - 1); slots[at] != 0; at = (at + 1) & (size - 1)) {
      const auto& node = nodes[slots[at]];
      const std::string_view raw{document_->text_.data() + node.key_begin, node.key_end - node.key_begin};
      if (raw == key) return JsonValue{document_, slots[at]};
    }
    return std::nullopt;
  }
  for (std::uint32_t at = index_ + 1; at != 0; at = nodes[at].next) {
    const auto& node = nodes[at];
    const std::string_view raw{document_->text_.data() + node.key_begin, node.key_end - node.key_begin};
    if (node.key_escaped ? unescape(raw) == key : raw == key) return JsonValue{document_, at};
  }
  return std::nullopt;
}

Result<JsonValue> JsonValue::get(std::string_view key) const {
  if (!is_object()) {
    return Error{Code::malformed, "no member " + quoted(key) + ": not an object", name_of(JsonKind::object),
                 name_of(kind())};
  }
  const auto member = find(key);
  if (!member) return Error{Code::malformed, "member " + quoted(key) + " is missing"};
  return *member;
}

Status JsonValue::only(std::initializer_list<std::string_view> keys) const {
  if (!is_object()) return wrong_kind("members", JsonKind::object, kind());
  for (auto member = first(); member; member = member->next()) {
    const std::string key = member->key();
    if (std::ranges::find(keys, std::string_view{key}) != keys.end()) continue;
    Error error{Code::malformed, "unknown member " + quoted(key)};
    for (const std::string_view known : keys)
      error.expected += (error.expected.empty() ? "" : ", ") + std::string{known};
    const std::string_view guess = nearest(key, {keys.begin(), keys.size()});
    error.remedy = guess.empty() ? "Remove it." : "Did you mean " + quoted(guess) + "?";
    return error;
  }
  return done();
}

}  // namespace attestry::base
