#include "curves/address.h"

#include "base/encoding.h"
#include "curves/keccak.h"

namespace attestry::curves {

base::Result<Address> parse_address(std::string_view text, AddressPrefix prefix) {
  const bool has_prefix = text.starts_with("0x") || text.starts_with("0X");
  const bool allowed = has_prefix ? prefix != AddressPrefix::refused : prefix != AddressPrefix::required;
  const std::string_view digits = has_prefix ? text.substr(2) : text;
  Address out{};
  if (!allowed || digits.size() != 2 * out.size() || !base::hex_decode_into(digits, out).ok()) {
    return base::Error{.code = base::Code::malformed,
                       .what = "not an address",
                       .expected = prefix == AddressPrefix::refused    ? "40 hex digits"
                                   : prefix == AddressPrefix::required ? "0x and 40 hex digits"
                                                                       : "40 hex digits, 0x in front or not"};
  }
  return out;
}

std::string address_hex(const Address& address) { return base::hex(address); }

std::string address_checksum_text(const Address& address) {
  std::string digits = base::hex(address);
  const base::Digest32 hash = keccak256(base::as_bytes(digits));
  for (std::size_t i = 0; i < digits.size(); ++i) {
    // EIP-55: a letter is a capital where the hash's digit at its place is 8 or more.
    const unsigned nibble = i % 2 == 0 ? hash[i / 2] >> 4 : hash[i / 2] & 0x0fU;
    if (digits[i] >= 'a' && nibble >= 8) digits[i] = static_cast<char>(digits[i] - 'a' + 'A');
  }
  return "0x" + digits;
}

}  // namespace attestry::curves
