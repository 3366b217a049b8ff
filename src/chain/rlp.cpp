#include "chain/rlp.h"

#include <algorithm>

namespace attestry::chain {
namespace {

using base::Bytes;
using base::ByteView;
using base::Code;
using base::Error;
using base::Result;

constexpr std::uint8_t kString = 0x80;
constexpr std::uint8_t kList = 0xc0;
constexpr std::size_t kShort = 55;  // longest payload whose length stands in the prefix

Error malformed(std::string what) { return {Code::malformed, "RLP: " + std::move(what)}; }

ByteView without_zeros(ByteView big_endian) {
  const auto begin = std::ranges::find_if(big_endian, [](std::uint8_t b) { return b != 0; });
  return {begin, big_endian.end()};
}

Bytes with_prefix(std::uint8_t kind, ByteView payload) {
  Bytes out;
  if (payload.size() <= kShort) {
    out.push_back(static_cast<std::uint8_t>(kind + payload.size()));
  } else {
    const auto length = base::LpWriter{}.u64(payload.size()).bytes();
    const ByteView digits = without_zeros(length);
    out.push_back(static_cast<std::uint8_t>(kind + kShort + digits.size()));
    base::append(out, digits);
  }
  base::append(out, payload);
  return out;
}

/// The length that follows a long prefix; `bytes` begins after the prefix.
Result<std::size_t> long_length(ByteView bytes, std::size_t digits) {
  if (bytes.size() < digits) return malformed("cut off in a length");
  if (bytes[0] == 0) return malformed("a length with leading zeros");
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < digits; ++i) length = length << 8 | bytes[i];
  if (length <= kShort) return malformed("a long form for a short item");
  return static_cast<std::size_t>(length);
}

/// The first item of `bytes`, which is not empty.
Result<RlpItem> first_item(ByteView bytes) {
  const std::uint8_t prefix = bytes[0];
  if (prefix < kString) return RlpItem{false, bytes.first(1), bytes.first(1)};
  const bool is_list = prefix >= kList;
  const std::size_t size = std::size_t{prefix} - (is_list ? kList : kString);
  std::size_t header = 1;
  std::size_t length = size;
  if (size > kShort) {
    const std::size_t digits = size - kShort;
    TRY(length, long_length(bytes.subspan(1), digits));
    header += digits;
  }
  if (length > bytes.size() - header) return malformed("an item longer than its bytes");
  const RlpItem item{is_list, bytes.subspan(header, length), bytes.first(header + length)};
  if (!is_list && length == 1 && item.payload[0] < kString) return malformed("a small byte with a prefix");
  return item;
}

Result<ByteView> scalar(const RlpItem& item, std::size_t max, std::string_view field) {
  if (item.is_list) return malformed(std::string{field} + " is a list");
  if (item.payload.size() > max) return malformed(std::string{field} + " is too large");
  if (!item.payload.empty() && item.payload[0] == 0) return malformed(std::string{field} + " has leading zeros");
  return item.payload;
}

}  // namespace

Bytes rlp_bytes(ByteView bytes) {
  if (bytes.size() == 1 && bytes[0] < kString) return base::to_bytes(bytes);
  return with_prefix(kString, bytes);
}

Bytes rlp_integer(std::uint64_t value) { return rlp_integer(base::LpWriter{}.u64(value).bytes()); }

Bytes rlp_integer(ByteView big_endian) { return rlp_bytes(without_zeros(big_endian)); }

Bytes rlp_list(std::span<const Bytes> items) {
  Bytes payload;
  for (const Bytes& item : items) base::append(payload, item);
  return with_prefix(kList, payload);
}

Result<RlpItem> rlp_decode(ByteView whole) {
  if (whole.empty()) return malformed("no bytes");
  TRY(const RlpItem item, first_item(whole));
  if (item.encoded.size() != whole.size()) return malformed("bytes after the item");
  return item;
}

Result<std::vector<RlpItem>> rlp_items(const RlpItem& list, std::size_t max) {
  if (!list.is_list) return malformed("a string where a list belongs");
  std::vector<RlpItem> items;
  for (ByteView rest = list.payload; !rest.empty();) {
    if (items.size() == max) return malformed("a list of more than " + std::to_string(max) + " items");
    TRY(const RlpItem item, first_item(rest));
    items.push_back(item);
    rest = rest.subspan(item.encoded.size());
  }
  return items;
}

Result<ByteView> rlp_fixed(const RlpItem& item, std::size_t size, std::string_view field) {
  if (item.is_list || item.payload.size() != size) {
    return malformed(std::string{field} + " is not a string of " + std::to_string(size) + " bytes");
  }
  return item.payload;
}

Result<std::uint64_t> rlp_u64(const RlpItem& item, std::string_view field) {
  TRY(const ByteView digits, scalar(item, sizeof(std::uint64_t), field));
  std::uint64_t value = 0;
  for (const std::uint8_t digit : digits) value = value << 8 | digit;
  return value;
}

Result<base::FixedBytes<32>> rlp_word(const RlpItem& item, std::string_view field) {
  TRY(const ByteView digits, scalar(item, 32, field));
  base::FixedBytes<32> word{};
  std::ranges::copy(digits, word.end() - static_cast<std::ptrdiff_t>(digits.size()));
  return word;
}

}  // namespace attestry::chain
