// RLP, the encoding of Ethereum's headers, accounts and transactions (Yellow Paper, appendix B). Decoding is canonical:
// what is accepted has exactly one spelling.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace attestry::chain {

base::Bytes rlp_bytes(base::ByteView bytes);
/// A scalar: big-endian without leading zeros, zero is the empty string.
base::Bytes rlp_integer(std::uint64_t value);
base::Bytes rlp_integer(base::ByteView big_endian);
/// A list of items that are encoded already.
base::Bytes rlp_list(std::span<const base::Bytes> items);

/// Views into the bytes that were decoded.
struct RlpItem {
  bool is_list = false;
  base::ByteView payload{};
  base::ByteView encoded{};  ///< with its prefix
};

/// The one item that `whole` is.
base::Result<RlpItem> rlp_decode(base::ByteView whole);
/// The items of a list, at most `max`.
base::Result<std::vector<RlpItem>> rlp_items(const RlpItem& list, std::size_t max = 64);
/// A string of exactly that size. `field` names it in errors.
base::Result<base::ByteView> rlp_fixed(const RlpItem& item, std::size_t size, std::string_view field);
/// A scalar below 2^64.
base::Result<std::uint64_t> rlp_u64(const RlpItem& item, std::string_view field);
/// A scalar below 2^256.
base::Result<base::FixedBytes<32>> rlp_word(const RlpItem& item, std::string_view field);

}  // namespace attestry::chain
