// Bencoding as BEP 3 defines it: strict reading of what strangers send, and the few writes that replies need.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace attestry::tracker {

struct BencodeLimits {
  std::size_t max_bytes = 8u << 20;
  std::size_t max_depth = 32;
  std::size_t max_nodes = 200'000;
};

enum class BencodeKind : std::uint8_t { integer, string, list, dictionary };

/// One value; every view points into the bytes that it was read from. Const and thread-safe.
struct Bencode {
  BencodeKind kind = BencodeKind::integer;
  std::int64_t integer = 0;
  std::string_view string{};
  base::ByteView source{};                                   ///< the value's own bytes: what an infohash is taken of
  std::vector<Bencode> list{};                               ///< also a dictionary's values, in order
  std::vector<std::string_view> keys{};                      ///< of a dictionary, ascending
  const Bencode* find(std::string_view key) const noexcept;  ///< null when absent or when this is no dictionary

  /// Each is `malformed` and names the key when it is absent, of another kind or out of range.
  base::Result<std::int64_t> get_integer(std::string_view key, std::int64_t min, std::int64_t max) const;
  base::Result<std::string_view> get_string(std::string_view key) const;
};

/// Exactly one value. Refuses integers with leading zeros or "-0", keys that are not strings in ascending order or are
/// there twice, integers beyond 64 bits, and trailing bytes.
base::Result<Bencode> parse_bencode(base::ByteView bytes, const BencodeLimits& limits = {});

/// "4:spam".
void append_bencoded(std::string& out, std::string_view text);
/// "i42e".
void append_bencoded(std::string& out, std::int64_t number);

}  // namespace attestry::tracker
