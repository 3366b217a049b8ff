// The name that DNS has for an address. Says nothing of who is there: whoever writes the zone writes the name.
#pragma once
#include <string>

#include "base/result.h"

namespace attestry::net {

/// As the system's resolver says it; blocks. `unauthenticated` when there is none, `unavailable` when the resolver does
/// not answer. `address` is numeric, without port or brackets.
base::Result<std::string> name_of_address(const std::string& address);

}  // namespace attestry::net
