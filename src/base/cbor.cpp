#include "base/cbor.h"

#include <algorithm>
#include <array>
#include <limits>

#include "base/reader.h"
#include "base/utf8.h"

namespace attestry::base {

std::string_view to_text(CborKind kind) noexcept {
  constexpr std::array<std::string_view, 10> kNames{
      "unsigned integer", "negative integer", "byte string", "text", "array", "map", "tag", "boolean", "null",
      "another value"};
  return kNames[static_cast<std::size_t>(kind)];
}

/// One pass without recursion: `open_` holds what is not complete yet, at most as deep as the limit.
class CborParser {
 public:
  CborParser(ByteView bytes, const CborLimits& limits) : limits_(limits), in_(bytes), document_(bytes) {}

  Result<CborDocument> run() {
    do {
      TRY_OK(item());
      TRY_OK(close_complete());
    } while (!open_.empty());
    TRY_OK(in_.finish("CBOR"));
    return std::move(document_);
  }

 private:
  using Node = CborDocument::Node;
  static constexpr std::uint64_t kEndless = std::numeric_limits<std::uint64_t>::max();

  struct Open {
    std::uint32_t node;
    std::uint64_t left;            ///< items that must still come, or kEndless
    std::uint32_t last_child = 0;  ///< 0: none yet, as the root is nobody's child
  };
  struct Head {
    std::uint8_t major;
    std::uint8_t info;
    std::uint64_t value;
    bool endless;
  };

  Error fault(std::string what, std::string expected = {}, std::string found = {}) const {
    return Error{Code::malformed, "CBOR: " + what + " at offset " + std::to_string(in_.offset()), std::move(expected),
                 std::move(found)};
  }
  Error beyond(std::string_view limit, std::size_t most) const {
    return Error{Code::too_large, "CBOR: " + std::string{limit} + " at offset " + std::to_string(in_.offset()),
                 "at most " + std::to_string(most)};
  }

  Result<Head> head() {
    TRY(const std::uint8_t initial, in_.u8("CBOR"));
    Head out{static_cast<std::uint8_t>(initial >> 5), static_cast<std::uint8_t>(initial & 31), 0, false};
    out.value = out.info;
    if (out.info < 24) return out;
    if (out.info == 24) {
      TRY(out.value, in_.u8("CBOR"));
    } else if (out.info == 25) {
      TRY(out.value, in_.u16be("CBOR"));
    } else if (out.info == 26) {
      TRY(out.value, in_.u32be("CBOR"));
    } else if (out.info == 27) {
      TRY(out.value, in_.u64be("CBOR"));
    } else if (out.info == 31) {
      out.endless = true;
    } else {
      return fault("reserved head");
    }
    return out;
  }

  bool expects_key() const {
    return !open_.empty() && document_.nodes_[open_.back().node].kind == CborKind::map &&
           document_.nodes_[open_.back().node].count % 2 == 0;
  }

  Status item() {
    const std::size_t begin = in_.offset();
    const bool key = expects_key();
    TRY(const Head h, head());
    if (h.endless && h.major == 7) return end_endless();
    if (document_.nodes_.size() >= limits_.max_items) return beyond("too many items", limits_.max_items);
    Node node{.kind = CborKind::other,
              .value = h.value,
              .begin = static_cast<std::uint32_t>(begin),
              .content = static_cast<std::uint32_t>(in_.offset()),
              .end = 0,
              .count = 0,
              .next = 0};
    TRY(node.kind, kind_of(h));
    if (node.kind == CborKind::boolean) node.value = h.value - 20;
    if (key && node.kind > CborKind::text)
      return fault("key of a map", "integer or string", std::string{to_text(node.kind)});
    if (node.kind == CborKind::bytes || node.kind == CborKind::text) TRY_OK(string(node));
    node.end = static_cast<std::uint32_t>(in_.offset());
    append(node);
    if (node.kind == CborKind::array || node.kind == CborKind::map || node.kind == CborKind::tag) {
      return open(h, node.kind);
    }
    return done();
  }

  Result<CborKind> kind_of(const Head& h) const {
    if (h.major != 7) {
      if (h.endless && (h.major != 4 && h.major != 5)) {
        return fault(h.major == 2 || h.major == 3 ? "string in chunks" : "reserved head");
      }
      if (h.endless && !limits_.indefinite) return fault("indefinite length", "a definite length");
      constexpr std::array kKinds{CborKind::unsigned_integer,
                                  CborKind::negative_integer,
                                  CborKind::bytes,
                                  CborKind::text,
                                  CborKind::array,
                                  CborKind::map,
                                  CborKind::tag};
      return kKinds[h.major];
    }
    // RFC 8949, 3.3: simple values in one byte, floating point in the longer forms.
    if (h.info == 20 || h.info == 21) return CborKind::boolean;
    if (h.info == 22) return CborKind::null;
    if (h.info == 23 || (h.info >= 25 && h.info <= 27)) return CborKind::other;
    return fault("unassigned simple value");
  }

  Status string(const Node& node) {
    if (node.value > in_.remaining()) {
      return fault("string is cut off", std::to_string(node.value) + " bytes", std::to_string(in_.remaining()));
    }
    TRY(const ByteView content, in_.take(static_cast<std::size_t>(node.value), "CBOR string"));
    if (node.kind == CborKind::text && !is_utf8(as_text(content))) return fault("text is not UTF-8");
    return done();
  }

  void append(const Node& node) {
    const auto index = static_cast<std::uint32_t>(document_.nodes_.size());
    document_.nodes_.push_back(node);
    if (open_.empty()) return;
    Open& parent = open_.back();
    if (parent.last_child != 0) document_.nodes_[parent.last_child].next = index;
    parent.last_child = index;
    ++document_.nodes_[parent.node].count;
    if (parent.left != kEndless) --parent.left;
  }

  Status open(const Head& h, CborKind kind) {
    if (open_.size() >= limits_.max_depth) return beyond("nested too deeply", limits_.max_depth);
    // Every item takes a byte at least, so a larger count is a lie; it is never used for more than this comparison.
    const bool map = kind == CborKind::map;
    if (kind != CborKind::tag && !h.endless && h.value > in_.remaining() / (map ? 2 : 1)) {
      return fault("more items than bytes", "at most " + std::to_string(in_.remaining()), std::to_string(h.value));
    }
    std::uint64_t left = kind == CborKind::tag ? 1 : map ? 2 * h.value : h.value;
    if (h.endless) left = kEndless;
    open_.push_back({static_cast<std::uint32_t>(document_.nodes_.size() - 1), left});
    return done();
  }

  Status end_endless() {
    if (open_.empty() || open_.back().left != kEndless) return fault("end of nothing");
    Node& node = document_.nodes_[open_.back().node];
    if (node.kind == CborKind::map && node.count % 2 != 0) return fault("key without a value");
    open_.back().left = 0;
    return done();
  }

  Status close_complete() {
    while (!open_.empty() && open_.back().left == 0) {
      Node& node = document_.nodes_[open_.back().node];
      node.end = static_cast<std::uint32_t>(in_.offset());
      if (node.kind == CborKind::map) TRY_OK(distinct_keys(open_.back().node));
      open_.pop_back();
    }
    return done();
  }

  /// By what they say, not by how it is encoded: 0 in one byte and 0 in two are one key.
  bool before(std::uint32_t a, std::uint32_t b) const {
    const Node& x = document_.nodes_[a];
    const Node& y = document_.nodes_[b];
    if (x.kind != y.kind) return x.kind < y.kind;
    if (x.value != y.value) return x.value < y.value;
    if (x.kind != CborKind::bytes && x.kind != CborKind::text) return false;
    const ByteView s = document_.bytes_.subspan(x.content, x.end - x.content);
    const ByteView t = document_.bytes_.subspan(y.content, y.end - y.content);
    return std::ranges::lexicographical_compare(s, t);
  }

  Status distinct_keys(std::uint32_t map) {
    keys_.clear();
    std::uint32_t at = document_.nodes_[map].count == 0 ? 0 : map + 1;
    while (at != 0) {
      keys_.push_back(at);
      at = document_.nodes_[document_.nodes_[at].next].next;
    }
    const auto less = [this](std::uint32_t a, std::uint32_t b) { return before(a, b); };
    std::ranges::sort(keys_, less);
    const auto twice = std::ranges::adjacent_find(keys_, [&](std::uint32_t a, std::uint32_t b) { return !less(a, b); });
    if (twice != keys_.end()) return fault("a key stands twice in a map that ends");
    return done();
  }

  const CborLimits& limits_;
  Reader in_;
  CborDocument document_;
  std::vector<Open> open_;
  std::vector<std::uint32_t> keys_;
};

Result<CborDocument> CborDocument::parse(ByteView bytes, const CborLimits& limits) {
  const std::size_t most = std::min<std::size_t>(limits.max_bytes, std::numeric_limits<std::uint32_t>::max());
  if (bytes.size() > most) {
    return Error{Code::too_large, "CBOR: too long", "at most " + std::to_string(most) + " bytes",
                 std::to_string(bytes.size())};
  }
  return CborParser{bytes, limits}.run();
}

namespace {

Error wrong_kind(std::string_view what, std::string_view expected, CborKind found) {
  return Error{Code::malformed, std::string{what}, std::string{expected}, std::string{to_text(found)}};
}

}  // namespace

CborKind CborValue::kind() const noexcept { return document_->nodes_[index_].kind; }

ByteView CborValue::source() const noexcept {
  const auto& node = document_->nodes_[index_];
  return document_->bytes_.subspan(node.begin, node.end - node.begin);
}

Result<std::uint64_t> CborValue::unsigned_integer(std::string_view what) const {
  TRY_OK(expect(CborKind::unsigned_integer, what));
  return document_->nodes_[index_].value;
}

Result<std::int64_t> CborValue::integer(std::string_view what) const {
  const auto& node = document_->nodes_[index_];
  const bool negative = node.kind == CborKind::negative_integer;
  if (!negative && node.kind != CborKind::unsigned_integer) return wrong_kind(what, "integer", node.kind);
  if (node.value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    return Error{Code::malformed, std::string{what}, "an integer of 64 bits", "a larger one"};
  }
  const auto value = static_cast<std::int64_t>(node.value);
  return negative ? -1 - value : value;
}

Result<ByteView> CborValue::bytes(std::string_view what) const {
  TRY_OK(expect(CborKind::bytes, what));
  const auto& node = document_->nodes_[index_];
  return document_->bytes_.subspan(node.content, node.end - node.content);
}

Result<std::string_view> CborValue::text(std::string_view what) const {
  TRY_OK(expect(CborKind::text, what));
  const auto& node = document_->nodes_[index_];
  return as_text(document_->bytes_.subspan(node.content, node.end - node.content));
}

Status CborValue::expect(CborKind wanted, std::string_view what) const {
  if (kind() != wanted) return wrong_kind(what, to_text(wanted), kind());
  return done();
}

std::size_t CborValue::size() const noexcept {
  const auto& node = document_->nodes_[index_];
  return node.kind == CborKind::map ? node.count / 2 : node.count;
}

std::uint64_t CborValue::tag_number() const noexcept {
  return kind() == CborKind::tag ? document_->nodes_[index_].value : 0;
}

std::optional<CborValue> CborValue::first() const noexcept {
  if (document_->nodes_[index_].count == 0) return std::nullopt;
  return CborValue{document_, index_ + 1};  // children are stored right behind their parent
}

std::optional<CborValue> CborValue::next() const noexcept {
  const std::uint32_t next = document_->nodes_[index_].next;
  if (next == 0) return std::nullopt;
  return CborValue{document_, next};
}

std::optional<CborValue> CborValue::find(std::string_view key) const noexcept {
  if (kind() != CborKind::map) return std::nullopt;
  for (auto k = first(); k; k = k->next()->next()) {
    const auto& node = document_->nodes_[k->index_];
    if (node.kind != CborKind::text) continue;
    if (as_text(document_->bytes_.subspan(node.content, node.end - node.content)) == key) return k->next();
  }
  return std::nullopt;
}

std::optional<CborValue> CborValue::find(std::int64_t key) const noexcept {
  if (kind() != CborKind::map) return std::nullopt;
  const CborKind wanted = key < 0 ? CborKind::negative_integer : CborKind::unsigned_integer;
  const auto value = static_cast<std::uint64_t>(key < 0 ? -1 - key : key);
  for (auto k = first(); k; k = k->next()->next()) {
    const auto& node = document_->nodes_[k->index_];
    if (node.kind == wanted && node.value == value) return k->next();
  }
  return std::nullopt;
}

CborWriter& CborWriter::integer(std::int64_t value) {
  if (value >= 0) return head(0, static_cast<std::uint64_t>(value));
  return head(1, static_cast<std::uint64_t>(-1 - value));
}

CborWriter& CborWriter::bytes(ByteView value) {
  head(2, value.size());
  return raw(value);
}

CborWriter& CborWriter::text(std::string_view value) {
  head(3, value.size());
  return raw(as_bytes(value));
}

CborWriter& CborWriter::raw(ByteView items) {
  append(out_, items);
  return *this;
}

CborWriter& CborWriter::byte(std::uint8_t value) {
  out_.push_back(value);
  return *this;
}

CborWriter& CborWriter::head(std::uint8_t major, std::uint64_t value) {
  const auto initial = static_cast<std::uint8_t>(major << 5);
  if (value < 24) return byte(static_cast<std::uint8_t>(initial | value));
  int size = 8;
  std::uint8_t info = 27;
  if (value <= 0xff) {
    size = 1;
    info = 24;
  } else if (value <= 0xffff) {
    size = 2;
    info = 25;
  } else if (value <= 0xffffffff) {
    size = 4;
    info = 26;
  }
  byte(static_cast<std::uint8_t>(initial | info));
  for (int i = size - 1; i >= 0; --i) byte(static_cast<std::uint8_t>(value >> (8 * i)));
  return *this;
}

}  // namespace attestry::base
