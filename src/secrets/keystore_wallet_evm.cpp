#include "secrets/keystore_wallet_evm.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/encoding.h"
#include "base/utf8.h"
#include "curves/address.h"
#include "curves/eip712.h"
#include "curves/ethereum_signature.h"
#include "curves/keccak.h"

namespace attestry::secrets::keystore {

using base::Bytes;
using base::ByteView;
using base::Code;
using base::Error;
using base::JsonValue;
using base::Result;

namespace {

constexpr std::size_t kMaxTypes = 64;
constexpr std::size_t kMaxMembers = 128;
constexpr std::size_t kMaxDepth = 16;
constexpr std::size_t kMaxTypedData = 64 * 1024;
using Word = base::FixedBytes<32>;

Error wrong(std::string_view field, std::string_view expected, std::string_view found) {
  return {Code::malformed, std::string{field}, std::string{expected}, std::string{base::utf8_prefix(found, 80)}};
}

// -- numbers of 256 bits, big-endian

/// word * base + digit; false when it does not fit.
bool push_digit(Word& word, unsigned base, unsigned digit) noexcept {
  unsigned carry = digit;
  for (std::size_t i = word.size(); i-- > 0;) {
    carry += word[i] * base;
    word[i] = static_cast<std::uint8_t>(carry);
    carry >>= 8;
  }
  return carry == 0;
}

void negate(Word& word) noexcept {
  unsigned carry = 1;
  for (std::size_t i = word.size(); i-- > 0;) {
    carry += static_cast<std::uint8_t>(~word[i]);
    word[i] = static_cast<std::uint8_t>(carry);
    carry >>= 8;
  }
}

/// Whether only the last `bits` bits are set.
bool fits(const Word& word, std::size_t bits) noexcept {
  const std::size_t zero = 256 - bits;
  for (std::size_t i = 0; i < zero / 8; ++i) {
    if (word[i] != 0) return false;
  }
  return zero % 8 == 0 || (word[zero / 8] >> (8 - zero % 8)) == 0;
}

struct Number {
  Word magnitude{};
  bool negative = false;
};

Result<Number> number_of(const JsonValue& value, std::string_view field) {
  const bool quoted = value.is_string();
  const auto text = quoted ? value.string(field) : Result<std::string>{std::string{value.source()}};
  std::string_view digits = *text;
  Number out;
  if (digits.starts_with('-')) {
    out.negative = true;
    digits.remove_prefix(1);
  }
  const bool hex = quoted && (digits.starts_with("0x") || digits.starts_with("0X"));
  if (hex) digits.remove_prefix(2);
  const auto bad = [&] { return wrong(field, "a whole number of at most 256 bits", *text); };
  if (digits.empty() || digits.size() > 80 || value.kind() == base::JsonKind::boolean) return bad();
  for (const char c : digits) {
    unsigned digit = 99;
    if (c >= '0' && c <= '9') digit = static_cast<unsigned>(c - '0');
    if (hex && c >= 'a' && c <= 'f') digit = static_cast<unsigned>(c - 'a' + 10);
    if (hex && c >= 'A' && c <= 'F') digit = static_cast<unsigned>(c - 'A' + 10);
    if (digit == 99 || !push_digit(out.magnitude, hex ? 16 : 10, digit)) return bad();
  }
  return out;
}

Result<Word> unsigned_of(const JsonValue& value, std::size_t bits, std::string_view field) {
  TRY(const Number number, number_of(value, field));
  if (number.negative && number.magnitude != Word{}) return wrong(field, "no negative number", value.source());
  if (!fits(number.magnitude, bits)) return wrong(field, "at most " + std::to_string(bits) + " bits", value.source());
  return number.magnitude;
}

Result<Word> signed_of(const JsonValue& value, std::size_t bits, std::string_view field) {
  TRY(const Number number, number_of(value, field));
  Word word = number.magnitude;
  // -2^(bits-1) is the one number whose magnitude needs the sign's bit.
  Word least{};
  least[32 - bits / 8] = 0x80;
  const bool in_range = fits(word, bits - 1) || (number.negative && word == least);
  if (!in_range) return wrong(field, "a signed number of " + std::to_string(bits) + " bits", value.source());
  if (number.negative) negate(word);
  return word;
}

Result<std::uint64_t> u64_of(const JsonValue& value, std::string_view field) {
  TRY(const Word word, unsigned_of(value, 64, field));
  std::uint64_t out = 0;
  for (std::size_t i = 24; i < 32; ++i) out = out << 8 | word[i];
  return out;
}

Result<Bytes> bytes_of(const JsonValue& value, std::string_view field) {
  TRY(const std::string text, value.string(field));
  if (!text.starts_with("0x")) return wrong(field, "0x and hex digits", text);
  return base::hex_decode(std::string_view{text}.substr(2));
}

// -- typed data

struct Member {
  std::string name;
  std::string type;
};
using Types = std::map<std::string, std::vector<Member>, std::less<>>;

bool is_name(std::string_view text) noexcept {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$'; };
  if (text.empty() || text.size() > 128 || !letter(text.front())) return false;
  return std::ranges::all_of(text, [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

std::string_view element_of(std::string_view type) noexcept { return type.substr(0, type.find('[')); }

/// The number behind uint, int or bytes.
std::optional<std::size_t> size_behind(std::string_view type, std::string_view name) {
  if (!type.starts_with(name)) return std::nullopt;
  const std::string_view digits = type.substr(name.size());
  if (digits.empty() || digits.size() > 3 || digits.front() == '0' ||
      !std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; })) {
    return std::nullopt;
  }
  return static_cast<std::size_t>(std::stoul(std::string{digits}));
}

std::optional<std::size_t> integer_bits(std::string_view type, std::string_view name) {
  if (type == name) return 256;
  const auto bits = size_behind(type, name);
  return bits && *bits <= 256 && *bits % 8 == 0 ? bits : std::nullopt;
}

bool is_atomic(std::string_view type) {
  if (type == "bool" || type == "address" || type == "bytes" || type == "string") return true;
  if (integer_bits(type, "uint") || integer_bits(type, "int")) return true;
  const auto size = size_behind(type, "bytes");
  return size && *size <= 32;
}

Result<Types> read_types(const JsonValue& value) {
  if (!value.is_object() || value.size() == 0 || value.size() > kMaxTypes) {
    return wrong("types", "an object of 1 to 64 types", value.source());
  }
  Types out;
  for (auto type = value.first(); type; type = type->next()) {
    const std::string name = type->key();
    if (!is_name(name) || is_atomic(name)) return wrong("types", "names of structs", name);
    if (!type->is_array() || type->size() > kMaxMembers) return wrong(name, "an array of members", type->source());
    std::vector<Member> members;
    for (auto member = type->first(); member; member = member->next()) {
      TRY_OK(member->only({"name", "type"}), name);
      Member one;
      TRY(const JsonValue member_name, member->get("name"), name);
      TRY(one.name, member_name.string("name"), name);
      TRY(const JsonValue member_type, member->get("type"), name);
      TRY(one.type, member_type.string("type"), name);
      const bool twice = std::ranges::any_of(members, [&](const Member& m) { return m.name == one.name; });
      if (!is_name(one.name) || twice) return wrong(name, "members with names of their own", one.name);
      members.push_back(std::move(one));
    }
    out.emplace(name, std::move(members));
  }
  return out;
}

class Encoder {
 public:
  explicit Encoder(const Types& types) noexcept : types_(types) {}

  Result<base::Digest32> hash_struct(std::string_view name, const JsonValue& value, std::size_t depth) {
    if (depth > kMaxDepth) return wrong("typed data", "at most 16 structs and arrays within each other", "more");
    const auto type = types_.find(name);
    if (type == types_.end()) return wrong("typed data", "a type that `types` has", name);
    if (!value.is_object()) return wrong(name, "an object", value.source());
    if (value.size() != type->second.size())
      return wrong(name, "every member of the type and no other", value.source());
    TRY(const base::Digest32 type_hash, hash_of_type(name));
    Bytes encoded = base::to_bytes(type_hash);
    for (const Member& member : type->second) {
      TRY(const JsonValue inner, value.get(member.name), name);
      TRY(const Word word, encode(member.type, inner, member.name, depth + 1));
      base::append(encoded, word);
    }
    return curves::keccak256(encoded);
  }

 private:
  /// encodeType: the struct, and behind it those that it needs, by name.
  Result<base::Digest32> hash_of_type(std::string_view name) {
    if (const auto known = hashes_.find(name); known != hashes_.end()) return known->second;
    std::set<std::string, std::less<>> needed;
    std::vector<std::string> open{std::string{name}};
    while (!open.empty()) {
      const std::string next = std::move(open.back());
      open.pop_back();
      if (!needed.insert(next).second) continue;
      const auto type = types_.find(next);
      if (type == types_.end()) return wrong("typed data", "a type that `types` has", next);
      for (const Member& member : type->second) {
        if (const std::string_view inner = element_of(member.type); !is_atomic(inner)) open.emplace_back(inner);
      }
    }
    needed.erase(std::string{name});
    std::string text = described(name);
    for (const std::string& other : needed) text += described(other);
    const base::Digest32 hash = curves::keccak256(base::as_bytes(text));
    hashes_.emplace(std::string{name}, hash);
    return hash;
  }

  std::string described(std::string_view name) const {
    std::string out{name};
    out += '(';
    const auto& members = types_.find(name)->second;
    for (std::size_t i = 0; i < members.size(); ++i) {
      if (i > 0) out += ',';
      out += members[i].type + " " + members[i].name;
    }
    return out + ")";
  }

  Result<Word> encode(std::string_view type, const JsonValue& value, std::string_view field, std::size_t depth) {
    if (type.ends_with(']')) return encode_array(type, value, field, depth);
    if (!is_atomic(type)) {
      if (value.is_null()) return Word{};
      return hash_struct(type, value, depth);
    }
    if (type == "string") {
      TRY(const std::string text, value.string(field));
      return curves::keccak256(base::as_bytes(text));
    }
    if (type == "bytes") {
      TRY(const Bytes bytes, bytes_of(value, field));
      return curves::keccak256(bytes);
    }
    if (type == "bool") {
      TRY(const bool yes, value.boolean(field));
      Word out{};
      out[31] = yes ? 1 : 0;
      return out;
    }
    if (type == "address") return encode_address(value, field);
    if (const auto bits = integer_bits(type, "uint")) return unsigned_of(value, *bits, field);
    if (const auto bits = integer_bits(type, "int")) return signed_of(value, *bits, field);
    TRY(const Bytes bytes, bytes_of(value, field));
    if (bytes.size() != *size_behind(type, "bytes")) return wrong(field, std::string{type}, value.source());
    Word out{};
    std::ranges::copy(bytes, out.begin());
    return out;
  }

  static Result<Word> encode_address(const JsonValue& value, std::string_view field) {
    TRY(const std::string text, value.string(field));
    TRY(const auto address, curves::parse_address(text, curves::AddressPrefix::required), field);
    Word out{};
    std::ranges::copy(address, out.begin() + 12);
    return out;
  }

  Result<Word> encode_array(std::string_view type, const JsonValue& value, std::string_view field, std::size_t depth) {
    if (depth > kMaxDepth) return wrong("typed data", "at most 16 structs and arrays within each other", "more");
    // The last pair of brackets is the outermost array.
    const std::size_t open = type.rfind('[');
    const std::string_view count = type.substr(open + 1, type.size() - open - 2);
    if (!value.is_array() || open == 0) return wrong(field, std::string{type}, value.source());
    const bool digits = std::ranges::all_of(count, [](char c) { return c >= '0' && c <= '9'; });
    if (!digits || (!count.empty() && count != std::to_string(value.size()))) {
      return wrong(field, std::string{type}, std::to_string(value.size()) + " elements");
    }
    Bytes encoded;
    for (auto element = value.first(); element; element = element->next()) {
      TRY(const Word word, encode(type.substr(0, open), *element, field, depth + 1));
      base::append(encoded, word);
    }
    return curves::keccak256(encoded);
  }

  const Types& types_;
  std::map<std::string, base::Digest32, std::less<>> hashes_;
};

}  // namespace

Result<base::Digest32> typed_data_digest(const JsonValue& typed_data) {
  if (typed_data.source().size() > kMaxTypedData) return Error{Code::too_large, "typed data", "at most 64 KiB"};
  TRY_OK(typed_data.only({"types", "primaryType", "domain", "message"}), "typed data");
  TRY(const JsonValue type_list, typed_data.get("types"), "typed data");
  TRY(const Types types, read_types(type_list));
  TRY(const JsonValue primary, typed_data.get("primaryType"), "typed data");
  TRY(const std::string name, primary.string("primaryType"));
  TRY(const JsonValue domain, typed_data.get("domain"), "typed data");
  Encoder encoder{types};
  TRY(const base::Digest32 separator, encoder.hash_struct("EIP712Domain", domain, 0));
  if (name == "EIP712Domain") {
    Bytes only{0x19, 0x01};
    base::append(only, separator);
    return curves::keccak256(only);
  }
  TRY(const JsonValue message, typed_data.get("message"), "typed data");
  TRY(const base::Digest32 hash, encoder.hash_struct(name, message, 0));
  return curves::eip712_digest(separator, hash);
}

Result<base::Digest32> evm_message_digest(std::string_view message, std::string_view encoding) {
  if (encoding == "utf8") return curves::ethereum_message_digest(base::as_bytes(message));
  if (encoding != "hex") return wrong("encoding", "utf8 or hex", encoding);
  if (message.starts_with("0x")) message.remove_prefix(2);
  TRY(const Bytes bytes, base::hex_decode(message), "message");
  return curves::ethereum_message_digest(bytes);
}

Result<std::string> evm_signature(const curves::Secp256k1PrivateKey& key, const base::Digest32& digest) {
  TRY(const auto signature, curves::ethereum_sign(key, digest, curves::SignatureLayout::rsv));
  return "0x" + base::hex(signature);
}

Result<chain::Transaction> parse_evm_transaction(const JsonValue& transaction) {
  TRY_OK(transaction.only({"type", "chainId", "nonce", "maxPriorityFeePerGas", "maxFeePerGas", "gas", "gasLimit", "to",
                           "value", "data"}),
         "transaction");
  if (const auto type = transaction.find("type")) {
    TRY(const std::uint64_t number, u64_of(*type, "type"));
    if (number != 2) return wrong("type", "2 (EIP-1559)", type->source());
  }
  const auto number = [&](std::string_view name) -> Result<std::uint64_t> {
    TRY(const JsonValue value, transaction.get(name), "transaction");
    return u64_of(value, name);
  };
  const bool limit = transaction.find("gasLimit").has_value();
  if (limit && transaction.find("gas")) return wrong("transaction", "one of gas and gasLimit", "both");
  chain::Transaction out;
  TRY(out.chain_id, number("chainId"));
  if (out.chain_id == 0) return wrong("chainId", "the chain's number", "0");
  TRY(out.nonce, number("nonce"));
  TRY(out.max_priority_fee, number("maxPriorityFeePerGas"));
  TRY(out.max_fee, number("maxFeePerGas"));
  TRY(out.gas_limit, number(limit ? "gasLimit" : "gas"));
  if (const auto to = transaction.find("to"); to && !to->is_null()) {
    TRY(const std::string text, to->string("to"));
    TRY(out.to, curves::parse_address(text, curves::AddressPrefix::required), "to");
  }
  if (const auto value = transaction.find("value")) {
    TRY(out.value, unsigned_of(*value, 256, "value"));
  }
  if (const auto data = transaction.find("data")) {
    TRY(out.data, bytes_of(*data, "data"));
  }
  return out;
}

}  // namespace attestry::secrets::keystore
