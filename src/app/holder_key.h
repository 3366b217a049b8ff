// Files with the private key of a holder: who may open what a node of a threshold root exported
// (docs/how-to/recover-a-threshold-cluster.md). One line "attestry-holder-key-1 <64 hex digits>", mode 0600.
#pragma once
#include <string>
#include <string_view>

#include "base/result.h"
#include "crypto/hpke.h"
#include "crypto/random.h"

namespace attestry::app {

/// How the file begins. Without it a private key and a public one look the same, and one is given for the other.
inline constexpr std::string_view kHolderKeyHeader = "attestry-holder-key-1 ";

/// `conflict` when anything of that name is there already.
base::Result<crypto::HpkeKeyPair> create_holder_key(const std::string& path, crypto::Random& random);
/// Takes a line without the header, too, as development versions wrote it. Errors: `not_found`, `configuration` for
/// anything else, which says nothing of what the file holds.
base::Result<crypto::HpkeKeyPair> read_holder_key(const std::string& path);

/// What may be said of a text that is no public key: never what it is when it may be a private one.
std::string not_a_public_key(std::string_view text);

}  // namespace attestry::app
