#include "chain/abi.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/utf8.h"
#include "curves/keccak.h"

namespace attestry::chain {
namespace {

using base::Bytes;
using base::ByteView;
using base::Code;
using base::Error;
using base::Result;

constexpr std::size_t kWord = 32;

Error malformed(std::string_view field, std::string what) {
  return {Code::malformed, "ABI: " + std::string{field} + ": " + std::move(what)};
}

std::size_t padded(std::size_t size) { return (size + kWord - 1) / kWord * kWord; }

bool all_zero(ByteView bytes) {
  return std::ranges::all_of(bytes, [](std::uint8_t b) { return b == 0; });
}

}  // namespace

Selector selector(std::string_view signature) {
  const base::Digest32 hash = curves::keccak256(base::as_bytes(signature));
  Selector out{};
  std::copy_n(hash.begin(), out.size(), out.begin());
  return out;
}

base::Digest32 event_topic(std::string_view signature) { return curves::keccak256(base::as_bytes(signature)); }

Word to_word(std::uint64_t value) {
  Word word{};
  for (std::size_t i = 0; i < sizeof value; ++i)
    word[kWord - 1 - i] = static_cast<std::uint8_t>(value >> (8 * i) & 0xff);
  return word;
}

Word to_word_signed(std::int64_t value) {
  Word word = to_word(static_cast<std::uint64_t>(value));
  if (value < 0) std::fill_n(word.begin(), kWord - sizeof value, std::uint8_t{0xff});
  return word;
}

Word to_word(const Address& address) {
  Word word{};
  std::ranges::copy(address, word.end() - static_cast<std::ptrdiff_t>(address.size()));
  return word;
}

Result<Address> to_address(const Word& word) {
  constexpr std::size_t kPadding = kWord - std::tuple_size_v<Address>;
  if (!all_zero(ByteView{word}.first(kPadding))) return malformed("address", "longer than 20 bytes");
  Address address{};
  std::copy(word.begin() + kPadding, word.end(), address.begin());
  return address;
}

Result<std::uint64_t> to_u64(const Word& word) {
  constexpr std::size_t kPadding = kWord - sizeof(std::uint64_t);
  if (!all_zero(ByteView{word}.first(kPadding))) return malformed("number", "more than 64 bits");
  std::uint64_t value = 0;
  for (std::size_t i = kPadding; i < kWord; ++i) value = value << 8 | word[i];
  return value;
}

// -- writing

AbiWriter& AbiWriter::word(const Word& value) {
  parts_.push_back({{value.begin(), value.end()}, false});
  return *this;
}

AbiWriter& AbiWriter::tail(Bytes bytes) {
  parts_.push_back({std::move(bytes), true});
  dynamic_ = true;
  return *this;
}

AbiWriter& AbiWriter::fixed_bytes(ByteView value) {
  Word out{};
  std::copy_n(value.begin(), std::min(value.size(), kWord), out.begin());
  return word(out);
}

AbiWriter& AbiWriter::bytes(ByteView value) {
  const Word size = to_word(value.size());
  Bytes out{size.begin(), size.end()};
  base::append(out, value);
  out.resize(kWord + padded(value.size()));
  return tail(std::move(out));
}

AbiWriter& AbiWriter::tuple(const AbiWriter& members) {
  if (members.dynamic_) return tail(members.encode());
  parts_.push_back({members.encode(), false});
  return *this;
}

AbiWriter& AbiWriter::array(std::size_t count, const AbiWriter& elements) {
  const Word size = to_word(count);
  Bytes out{size.begin(), size.end()};
  base::append(out, elements.encode());
  return tail(std::move(out));
}

Bytes AbiWriter::encode() const {
  std::size_t tail_at = 0;
  for (const Part& part : parts_) tail_at += part.dynamic ? kWord : part.bytes.size();
  Bytes heads;
  Bytes tails;
  for (const Part& part : parts_) {
    if (!part.dynamic) {
      base::append(heads, part.bytes);
      continue;
    }
    base::append(heads, to_word(tail_at + tails.size()));
    base::append(tails, part.bytes);
  }
  base::append(heads, tails);
  return heads;
}

Bytes AbiWriter::encode_call(const Selector& selector) const {
  Bytes out{selector.begin(), selector.end()};
  base::append(out, encode());
  return out;
}

// -- reading

AbiReader AbiReader::inside(ByteView region) const {
  AbiReader reader = *this;
  reader.region_ = region;
  reader.position_ = 0;
  return reader;
}

base::Status AbiReader::spend(std::size_t bytes, std::string_view field) {
  if (bytes > *budget_) return malformed(field, "parts that lie over one another");
  *budget_ -= bytes;
  return base::done();
}

Result<Word> AbiReader::word(std::string_view field) {
  TRY_OK(spend(kWord, field));
  if (region_.size() - position_ < kWord) return malformed(field, "cut off");
  Word out{};
  std::copy_n(region_.begin() + static_cast<std::ptrdiff_t>(position_), kWord, out.begin());
  position_ += kWord;
  return out;
}

Result<std::uint64_t> AbiReader::u64(std::string_view field) {
  TRY(const Word value, word(field));
  TRY(const auto number, to_u64(value), field);
  return number;
}

Result<Address> AbiReader::address(std::string_view field) {
  TRY(const Word value, word(field));
  TRY(const auto address, to_address(value), field);
  return address;
}

Result<bool> AbiReader::boolean(std::string_view field) {
  TRY(const std::uint64_t value, u64(field));
  if (value > 1) return malformed(field, "a bool that is neither 0 nor 1");
  return value == 1;
}

Result<ByteView> AbiReader::at_offset(std::string_view field) {
  TRY(const std::uint64_t offset, u64(field));
  if (offset % kWord != 0) return malformed(field, "an offset between two words");
  if (offset > region_.size()) return malformed(field, "an offset past the end");
  return region_.subspan(static_cast<std::size_t>(offset));
}

Result<ByteView> AbiReader::bytes(std::string_view field) {
  TRY(const ByteView rest, at_offset(field));
  AbiReader inner = inside(rest);
  TRY(const std::uint64_t size, inner.u64(field));
  if (size > limits_.max_bytes) return malformed(field, "more than " + std::to_string(limits_.max_bytes) + " bytes");
  const ByteView body = rest.subspan(kWord);
  const auto length = static_cast<std::size_t>(size);
  if (padded(length) > body.size()) return malformed(field, "longer than what is there");
  if (!all_zero(body.subspan(length, padded(length) - length))) return malformed(field, "padding that is not zero");
  TRY_OK(spend(padded(length), field));
  return body.first(length);
}

Result<std::string> AbiReader::string(std::string_view field) {
  TRY(const ByteView view, bytes(field));
  if (!base::is_utf8(base::as_text(view))) return malformed(field, "not UTF-8");
  return std::string{base::as_text(view)};
}

Result<AbiReader> AbiReader::tuple(std::string_view field) {
  TRY(const ByteView rest, at_offset(field));
  return inside(rest);
}

Result<AbiArray> AbiReader::array(std::string_view field) {
  TRY(const ByteView rest, at_offset(field));
  AbiReader inner = inside(rest);
  TRY(const std::uint64_t count, inner.u64(field));
  // Each element takes at least a word, so that a count alone makes nobody allocate.
  const std::size_t most = std::min(limits_.max_count, (rest.size() - kWord) / kWord);
  if (count > most) return malformed(field, "more elements than are there or than are allowed");
  return AbiArray{static_cast<std::size_t>(count), inside(rest.subspan(kWord))};
}

// -- reverts

namespace {

/// OpenZeppelin 5 (access, pausing) and the registry's own.
constexpr std::string_view kKnownErrors[] = {
    "AccessControlUnauthorizedAccount(address,bytes32)",
    "AccessControlBadConfirmation()",
    "OwnableUnauthorizedAccount(address)",
    "OwnableInvalidOwner(address)",
    "EnforcedPause()",
    "ExpectedPause()",
    "AdminFollowsOwnership()",
};
constexpr std::uint32_t kErrorString = 0x08c379a0;
constexpr std::uint32_t kPanic = 0x4e487b71;

}  // namespace

std::string revert_reason(ByteView data) {
  if (data.empty()) return {};
  if (data.size() < 4) return "data 0x" + base::hex(data);
  std::uint32_t id = 0;
  for (std::size_t i = 0; i < 4; ++i) id = id << 8 | data[i];
  AbiReader reader{data.subspan(4)};
  if (id == kErrorString) {
    if (auto text = reader.string("reason"); text.ok()) return *std::move(text);
  }
  if (id == kPanic) {
    if (const auto code = reader.u64("code"); code.ok()) {
      return "panic 0x" + base::hex(base::LpWriter{}.u8(static_cast<std::uint8_t>(*code & 0xff)).bytes());
    }
  }
  for (const std::string_view known : kKnownErrors) {
    if (base::equal(selector(known), data.first(4))) return std::string{known.substr(0, known.find('('))};
  }
  return "custom error 0x" + base::hex(data.first(4));
}

Bytes encode_error_string(std::string_view reason) {
  AbiWriter writer;
  return writer.string(reason).encode_call({0x08, 0xc3, 0x79, 0xa0});
}

}  // namespace attestry::chain
