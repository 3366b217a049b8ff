// A backup of a keystore's masters that so many of its administrators open together, on any machine
// (docs/how-to/back-up-a-keystore.md, docs/formats/keystore-backup.md). The masters are sealed under a key of the
// backup's own; that key is split among the administrators, each share encrypted to its owner's key as a share of the
// registry's master is (docs/formats/registry.md).
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/ec.h"
#include "crypto/random.h"
#include "crypto/secret.h"
#include "keys/admin_auth.h"
#include "secrets/keystore_masters.h"

namespace attestry::secrets {

struct KeystoreBackup {
  struct Share {
    std::string admin;
    base::Digest32 commitment{};  ///< curves::share_commitment
    base::Bytes sealed;           ///< ecies v2 to the admin's key
  };
  std::string realm;   ///< "production" or "simulated"
  std::string origin;  ///< of the log of the server that made it
  base::UtcTime created;
  base::FixedBytes<16> set_id{};
  unsigned threshold = 0;
  base::Digest32 secret_commitment{};
  std::vector<std::string> key_ids;  ///< of the default masters, oldest epoch first
  std::uint32_t oldest = 0;
  std::vector<Share> shares;
  base::Bytes sealed;  ///< nonce (12) ‖ AES-256-GCM of encode_bundle(); everything above is its AAD
};

struct BackupAbout {
  std::string realm;
  std::string origin;
  base::UtcTime now;
  std::vector<std::string> key_ids;
};

/// Splits among all of `admins`, of whom `threshold` open it: 2 <= threshold <= their number. `configuration` when an
/// admin's key cannot hold a share.
base::Result<KeystoreBackup> make_backup(const KeystoreBundle& bundle, const BackupAbout& about,
                                         const keys::AdminSet& admins, unsigned threshold, crypto::Random& random);
/// Pretty JSON; nothing in it is secret but to whom the keys of enough administrators are known.
std::string backup_json(const KeystoreBackup& backup);
/// Strict; `malformed`.
base::Result<KeystoreBackup> parse_backup(std::string_view json);

/// By the administrator himself: his share. `not_found` for nobody's name; `wrong_key` when the key is not the one that
/// the share was encrypted to.
base::Result<crypto::Secret> open_backup_share(const KeystoreBackup& backup, std::string_view admin,
                                               const crypto::EcPrivateKey& key);
/// Whether it is one of this backup's.
bool is_share_of(const KeystoreBackup& backup, const crypto::Secret& share);
/// With enough shares, in any order. `denied` for too few; `wrong_key` for a share that is none of this backup, with
/// its place; `corrupt` when the backup was altered.
base::Result<KeystoreBundle> open_backup(const KeystoreBackup& backup, std::span<const crypto::Secret> shares);

}  // namespace attestry::secrets
