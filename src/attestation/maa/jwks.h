// The key set of a token issuer (RFC 7517), as its /certs gives it: RSA keys by certificate (x5c), by number (n, e) or
// by both. Only RSA keys for signatures are of use; others may stand in the set and stay unused.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/rsa.h"

namespace attestry::attestation::maa {

/// Of the document. Microsoft's largest have a tenth of it.
inline constexpr std::size_t kMaxSetBytes = 256u << 10;

struct Jwk {
  std::string kid;
  std::optional<crypto::RsaPublicKey> key;  ///< nullopt: the key cannot be used, `problem` says why
  std::string problem;
};

/// Immutable after parsing; safe to read from many threads.
struct KeySet {
  std::vector<Jwk> keys;  ///< those that have a kid
  bool usable() const;    ///< one of them at least
};

/// {"keys": [...]} with objects in it. Members that this program does not know are ignored (RFC 7517, 5), and a key
/// that cannot be used keeps the others usable. Error `malformed` when the document is no key set, or larger than
/// kMaxSetBytes.
base::Result<KeySet> parse_jwks(std::string_view json);

}  // namespace attestry::attestation::maa
