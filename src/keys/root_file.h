// The root file: the root of all app keys and this server's own keys, wrapped by a passphrase or a key file (FORMATS
// 5).
#pragma once
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "crypto/ec.h"
#include "crypto/random.h"
#include "crypto/secret.h"

namespace attestry::keys {

/// A file of secrets that belongs to its owner alone (mode 0600), at most `most` bytes. Errors: `not_found`, `io`,
/// `too_large`, and `configuration` with the remedy when others may read it.
base::Result<crypto::Secret> read_private_file(const std::string& path, std::size_t most);

/// What opens the root file. Comes from a file, a descriptor or a systemd credential, never from a flag.
struct Unlock {
  enum class Kind : std::uint8_t { passphrase, key_file };
  Kind kind = Kind::key_file;
  crypto::Secret secret;  ///< passphrase bytes (scrypt), or at least 32 random bytes (HKDF)
};
/// Reads an unlock secret: "file:PATH", "fd:N" or "credential:NAME" ($CREDENTIALS_DIRECTORY). A trailing newline of a
/// passphrase is cut. Files that others can read are refused.
base::Result<Unlock> read_unlock(Unlock::Kind kind, std::string_view source);

/// The server's own keys: random, one per purpose, never derived from the root.
struct ServiceKeys {
  crypto::Secret root;           ///< 32 bytes; only keys::LocalRoot looks at it
  crypto::Secret challenge_mac;  ///< 32 bytes
  crypto::Secret log_seed;       ///< 32 bytes, Ed25519
  crypto::Secret token_seed;     ///< 32 bytes, Ed25519
  crypto::Secret sealing;        ///< 32 bytes; wraps the per-tenant sealing keys
};

struct RootFile {
  base::Realm realm = base::Realm::production;
  std::string origin;  ///< the log's origin, fixed at creation
  ServiceKeys keys;
};

/// Makes a new file with mode 0600; never overwrites (`conflict` when it exists); file and folder are synced before it
/// returns.
base::Result<RootFile> create_root_file(const std::string& path, base::Realm realm, std::string origin,
                                        const Unlock& unlock, crypto::Random& random);
/// `wrong_key` for a wrong passphrase or key file, `realm_mismatch`, `not_found`, `corrupt`; changes nothing ever.
base::Result<RootFile> open_root_file(const std::string& path, base::Realm realm, const Unlock& unlock);

}  // namespace attestry::keys
