// Strict JSON for documents that others sign: RFC 8259 and I-JSON (RFC 7493). Refuses duplicate keys, depth over 32,
// numbers that are not finite, invalid UTF-8, lone surrogates and trailing text, and gives the exact bytes of every
// member. docs/decisions/0001-own-json-reader.md says why this is not Boost.JSON.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace attestry::base {

struct JsonLimits {
  std::size_t max_bytes = 1u << 20;
  std::size_t max_depth = 32;
  std::size_t max_nodes = 200'000;
  bool wipe = false;  ///< the text holds secrets: it is overwritten when the document ends, or when it is refused
};

enum class JsonKind : std::uint8_t { null, boolean, number, string, array, object };

class JsonDocument;

/// One value inside a JsonDocument: a cheap handle, valid as long as the document. Const and thread-safe.
class JsonValue {
 public:
  JsonKind kind() const noexcept;
  bool is_object() const noexcept { return kind() == JsonKind::object; }
  bool is_array() const noexcept { return kind() == JsonKind::array; }
  bool is_string() const noexcept { return kind() == JsonKind::string; }
  bool is_null() const noexcept { return kind() == JsonKind::null; }

  /// The value's own bytes in the source, without surrounding white space: what a signature over a member covers.
  std::string_view source() const noexcept;

  /// Each of these is an error that names `what` when the kind or the range is another.
  Result<std::string> string(std::string_view what) const;
  Result<bool> boolean(std::string_view what) const;
  Result<std::int64_t> integer(std::string_view what, std::int64_t min, std::int64_t max) const;
  /// Finite double.
  Result<double> number(std::string_view what) const;

  /// String without copying when it has no escapes; nullopt otherwise or when it is no string.
  std::optional<std::string_view> plain_string() const noexcept;

  /// Elements of an array, members of an object (0 for other kinds).
  std::size_t size() const noexcept;
  /// Iteration over elements (arrays) or member values (objects) in source order:
  /// for (auto v = value.first(); v; v = v->next()) ...
  std::optional<JsonValue> first() const noexcept;
  std::optional<JsonValue> next() const noexcept;
  /// The (unescaped) key of a member value; empty for an array element.
  std::string key() const;

  /// Member by key; nullopt when absent or when this is no object.
  std::optional<JsonValue> find(std::string_view key) const noexcept;
  /// Member by key or an error that names the key.
  Result<JsonValue> get(std::string_view key) const;
  /// Refuses members whose key is not listed, with the nearest listed key as a suggestion in the error's remedy.
  Status only(std::initializer_list<std::string_view> keys) const;

 private:
  friend class JsonDocument;
  JsonValue(const JsonDocument* document, std::uint32_t index) noexcept : document_(document), index_(index) {}
  const JsonDocument* document_;
  std::uint32_t index_;
};

/// A parsed document that owns its text. Movable handle on immutable shared data; safe to read from many threads.
class JsonDocument {
 public:
  static Result<std::shared_ptr<const JsonDocument>> parse(std::string text, const JsonLimits& limits = {});
  JsonDocument(const JsonDocument&) = delete;
  JsonDocument& operator=(const JsonDocument&) = delete;
  ~JsonDocument();
  JsonValue root() const noexcept { return {this, 0}; }
  const std::string& text() const noexcept { return text_; }

 private:
  friend class JsonValue;
  friend class JsonParser;
  struct Node {
    JsonKind kind;
    bool flag;  ///< boolean: value; string: has escapes
    bool key_escaped;
    std::uint32_t begin, end;          ///< own bytes in text_ (strings: with the quotes)
    std::uint32_t key_begin, key_end;  ///< key without quotes; equal when none
    std::uint32_t count;               ///< children
    std::uint32_t next;                ///< next sibling, 0: none
    std::uint32_t slots;               ///< of an object with many members: where its keys' table begins, plus one
  };
  JsonDocument() = default;
  std::string text_;
  bool wipe_ = false;
  std::vector<Node> nodes_;
  std::vector<std::uint32_t> slots_;  ///< hash tables of nodes by key, one after the other; 0: free
};

inline JsonKind JsonValue::kind() const noexcept { return document_->nodes_[index_].kind; }

}  // namespace attestry::base
