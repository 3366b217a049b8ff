// Ethereum addresses and their text forms.
#pragma once
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace attestry::curves {

using Address = base::FixedBytes<20>;

enum class AddressPrefix : std::uint8_t { optional, refused, required };

/// 40 hex digits of either case, `0x` in front as `prefix` says. The mixed case of EIP-55 is not checked: callers that
/// take addresses from people may compare with address_checksum_text.
base::Result<Address> parse_address(std::string_view text, AddressPrefix prefix = AddressPrefix::optional);

std::string address_hex(const Address& address);            ///< 40 lower-case digits, no prefix
std::string address_checksum_text(const Address& address);  ///< 0x and the mixed case of EIP-55

}  // namespace attestry::curves
