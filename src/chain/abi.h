// The contract ABI of Solidity: selectors, strict encoding and decoding of arguments and answers.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "chain/rpc.h"

namespace attestry::chain {

using Selector = base::FixedBytes<4>;
/// The first four bytes of Keccak-256 over "f(uint256,bytes)".
Selector selector(std::string_view signature);
/// The first topic of an event: Keccak-256 over its signature.
base::Digest32 event_topic(std::string_view signature);

Word to_word(std::uint64_t value);
/// int256 in two's complement.
Word to_word_signed(std::int64_t value);
/// Left-padded, as an address stands in a word.
Word to_word(const Address& address);
/// Nothing when the upper twelve bytes are not zero.
base::Result<Address> to_address(const Word& word);
base::Result<std::uint64_t> to_u64(const Word& word);

/// A sequence of values: the arguments of a function, the members of a tuple, the elements of an array. Not
/// thread-safe.
class AbiWriter {
 public:
  AbiWriter& word(const Word& value);
  AbiWriter& u64(std::uint64_t value) { return word(to_word(value)); }
  AbiWriter& address(const Address& value) { return word(to_word(value)); }
  AbiWriter& boolean(bool value) { return u64(value ? 1 : 0); }
  /// bytes4 and the like: left-aligned.
  AbiWriter& fixed_bytes(base::ByteView value);
  AbiWriter& bytes(base::ByteView value);
  AbiWriter& string(std::string_view value) { return bytes(base::as_bytes(value)); }
  /// A tuple or an array of fixed length. It is dynamic when one of its members is, or when `dynamic` says that its
  /// type is although it has no member.
  AbiWriter& tuple(const AbiWriter& members);
  /// T[]: `elements` holds `count` values.
  AbiWriter& array(std::size_t count, const AbiWriter& elements);

  bool is_dynamic() const noexcept { return dynamic_; }
  /// Heads, then tails.
  base::Bytes encode() const;
  /// With a selector before it: the data of a call.
  base::Bytes encode_call(const Selector& selector) const;

 private:
  struct Part {
    base::Bytes bytes;
    bool dynamic;
  };
  AbiWriter& tail(base::Bytes bytes);
  std::vector<Part> parts_;
  bool dynamic_ = false;
};

struct AbiLimits {
  std::size_t max_bytes = 1u << 20;  ///< of one `bytes` or `string`
  std::size_t max_count = 4096;      ///< elements of one array
};

struct AbiArray;

/// Reads such a sequence. Offsets, lengths and padding are checked, and what points twice at the same bytes is cut off
/// when more was read than there is; whoever wants the canonical spelling encodes what was read and compares
/// (registry_abi.h does). Views live as long as the bytes. Not thread-safe.
class AbiReader {
 public:
  explicit AbiReader(base::ByteView region, const AbiLimits& limits = {})
      : region_(region), limits_(limits), budget_(std::make_shared<std::size_t>(region.size())) {}

  base::Result<Word> word(std::string_view field);
  base::Result<std::uint64_t> u64(std::string_view field);
  base::Result<Address> address(std::string_view field);
  /// 0 or 1, nothing else.
  base::Result<bool> boolean(std::string_view field);
  base::Result<base::ByteView> bytes(std::string_view field);
  /// UTF-8.
  base::Result<std::string> string(std::string_view field);
  /// A tuple (or array of fixed length) that is dynamic; one that is not is read in place, member by member.
  base::Result<AbiReader> tuple(std::string_view field);
  /// T[].
  base::Result<AbiArray> array(std::string_view field);

 private:
  AbiReader inside(base::ByteView region) const;
  base::Status spend(std::size_t bytes, std::string_view field);
  base::Result<base::ByteView> at_offset(std::string_view field);
  base::ByteView region_;
  std::size_t position_ = 0;
  AbiLimits limits_;
  std::shared_ptr<std::size_t> budget_;  ///< bytes that may still be read, of all readers of one answer
};

struct AbiArray {
  std::size_t count;
  AbiReader elements;
};

/// What a revert's data says: "Operator not authorized" for Error(string), "panic 0x11" for Panic(uint256), the name of
/// OpenZeppelin's and the registry's custom errors, "custom error 0x1234abcd", or "" when there is no data.
std::string revert_reason(base::ByteView data);
/// The data of require(false, reason).
base::Bytes encode_error_string(std::string_view reason);

}  // namespace attestry::chain
