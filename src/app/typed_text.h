// Addresses and names that a person typed, checked for the slips that people make.
#pragma once
#include <string_view>

#include "base/result.h"
#include "curves/address.h"

namespace attestry::app {

/// As curves::parse_address; one with letters of both cases must have them where EIP-55 puts them, so that no mistyped
/// digit gets past.
base::Result<curves::Address> typed_address(std::string_view text);

/// A host name as DNS has them (RFC 1123 2.1), a port behind it or not; not an address, not a wildcard.
base::Status check_domain_name(std::string_view text);

}  // namespace attestry::app
