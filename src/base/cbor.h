// Strict CBOR (RFC 8949) for evidence: exactly one item, bounded in bytes, depth and number of items before anything is
// stored, with no allocation from a claimed count. Refuses duplicate keys, strings in chunks, text that is not UTF-8,
// and reserved encodings. ARCHITECTURE 3.13 says why this is not a library.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace attestry::base {

struct CborLimits {
  std::size_t max_bytes = 1u << 20;  ///< at most 2^32 - 1
  std::size_t max_depth = 16;        ///< arrays, maps and tags around an item
  std::size_t max_items = 10'000;    ///< keys and values count one each
  bool indefinite = false;           ///< arrays and maps of indefinite length, too; strings never
};

/// What cannot be told apart further is `other`: floating point and undefined.
enum class CborKind : std::uint8_t {
  unsigned_integer,
  negative_integer,
  bytes,
  text,
  array,
  map,
  tag,
  boolean,
  null,
  other
};
/// "byte string", for messages.
std::string_view to_text(CborKind kind) noexcept;

class CborDocument;

/// One item inside a CborDocument: a cheap handle, valid as long as the document stays where it is. Thread-safe.
class CborValue {
 public:
  CborKind kind() const noexcept;
  bool is_null() const noexcept { return kind() == CborKind::null; }

  /// The item's own encoding in the source.
  ByteView source() const noexcept;

  /// Each of these is an error that names `what` when the kind is another. Lengths and numbers may be encoded longer
  /// than they need to be: what they say is the same.
  Result<std::uint64_t> unsigned_integer(std::string_view what) const;
  /// Unsigned or negative; an error, too, beyond 64 bits with sign.
  Result<std::int64_t> integer(std::string_view what) const;
  Result<ByteView> bytes(std::string_view what) const;  ///< lives as long as the source
  Result<std::string_view> text(std::string_view what) const;
  /// The same as lists that must be walked; an error for another kind.
  Status expect(CborKind kind, std::string_view what) const;

  /// Elements of an array, pairs of a map, 1 for a tag, 0 for others.
  std::size_t size() const noexcept;
  std::uint64_t tag_number() const noexcept;  ///< 0 for other kinds

  /// Elements of an array, or the item inside a tag: for (auto v = list.first(); v; v = v->next()) ...
  /// In a map keys and values take turns: for (auto k = map.first(); k; k = k->next()->next()) with k->next() the
  /// value.
  std::optional<CborValue> first() const noexcept;
  std::optional<CborValue> next() const noexcept;

  /// The value of a key; nullopt when absent or when this is no map.
  std::optional<CborValue> find(std::string_view key) const noexcept;
  std::optional<CborValue> find(std::int64_t key) const noexcept;

 private:
  friend class CborDocument;
  CborValue(const CborDocument* document, std::uint32_t index) noexcept : document_(document), index_(index) {}
  const CborDocument* document_;
  std::uint32_t index_;
};

/// A parsed item over bytes that it does not own: they must outlive it. Safe to read from many threads.
class CborDocument {
 public:
  /// Error `malformed`, or `too_large` beyond a limit. Keys of maps are integers, byte strings or texts.
  static Result<CborDocument> parse(ByteView bytes, const CborLimits& limits = {});
  CborValue root() const noexcept { return {this, 0}; }

 private:
  friend class CborValue;
  friend class CborParser;
  struct Node {
    CborKind kind;
    std::uint64_t value;                ///< argument of the head: number, length, tag
    std::uint32_t begin, content, end;  ///< own bytes: head, contents
    std::uint32_t count;                ///< children: a map has two for each pair
    std::uint32_t next;                 ///< next sibling, 0: none
  };
  explicit CborDocument(ByteView bytes) noexcept : bytes_(bytes) {}
  ByteView bytes_;
  std::vector<Node> nodes_;
};

/// Writes CBOR in the deterministic form (RFC 8949, 4.2.1), but for the order of keys, which is the caller's.
class CborWriter {
 public:
  CborWriter& unsigned_integer(std::uint64_t value) { return head(0, value); }
  CborWriter& integer(std::int64_t value);
  CborWriter& bytes(ByteView value);
  CborWriter& text(std::string_view value);
  CborWriter& array(std::uint64_t count) { return head(4, count); }  ///< then so many items
  CborWriter& map(std::uint64_t pairs) { return head(5, pairs); }    ///< then so many pairs
  CborWriter& tag(std::uint64_t number) { return head(6, number); }  ///< then one item
  CborWriter& boolean(bool value) { return byte(value ? 0xf5 : 0xf4); }
  CborWriter& null() { return byte(0xf6); }
  CborWriter& begin_array() { return byte(0x9f); }  ///< of indefinite length, until end()
  CborWriter& begin_map() { return byte(0xbf); }    ///< of indefinite length, until end()
  CborWriter& end() { return byte(0xff); }
  CborWriter& raw(ByteView items);  ///< items that are encoded already
  const Bytes& encoded() const noexcept { return out_; }
  Bytes take() && noexcept { return std::move(out_); }

 private:
  CborWriter& head(std::uint8_t major, std::uint64_t value);
  CborWriter& byte(std::uint8_t value);
  Bytes out_;
};

}  // namespace attestry::base
