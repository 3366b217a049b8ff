// A set of shares as the store keeps it: commitments, who has which, and ciphertexts that their admins have not taken
// yet. Nothing in it is secret.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "keys/admin_auth.h"

namespace attestry::keys {

struct ShareRecord {
  std::string admin;
  base::Digest32 fingerprint{};              ///< key_fingerprint() of the admin
  std::optional<base::Digest32> commitment;  ///< none for a share that was made elsewhere and never seen here
  base::Bytes v1, v2;                        ///< encrypted to the admin; empty when there is none (any more)
  bool fetched = false;                      ///< was sent to the admin
  bool received = false;                     ///< the admin has shown that he holds it
};

struct ShareSet {
  base::FixedBytes<16> id{};
  unsigned threshold = 0;
  base::UtcTime created;
  base::Digest32 admins{};  ///< admins_digest() at that time
  base::Digest32 secret_commitment{};
  std::vector<ShareRecord> shares;  ///< by index

  bool all_fetched() const noexcept;
  /// Index of the admin's share; nullopt when he has none.
  std::optional<unsigned> index_of(std::string_view admin) const noexcept;
};

/// SHA-256 of the admin's SPKI DER, whatever the PEM around it looks like. Only for admins with an EC key.
base::Digest32 key_fingerprint(const Admin& admin);
/// Of ids and keys, in the file's order.
base::Digest32 admins_digest(const AdminSet& admins);
/// `configuration` when something cannot be encrypted to one of them.
base::Status can_hold_shares(const AdminSet& admins);

base::Bytes encode(const ShareSet& set);
base::Result<ShareSet> decode_share_set(base::ByteView stored);

/// What GET /admin/commitments says of a set, and back. What is read knows no keys of admins and no time of making.
/// `now`, by index, is said beside each share; it may be empty.
struct ShareNow {
  std::string name;        ///< of the admin; empty: none
  bool submitted = false;  ///< lies in memory
};
/// `next` is what this says of the set that is to come, or empty.
std::string commitments_json(const ShareSet& set, std::string_view recovery_key_pem,
                             const std::vector<ShareNow>& now = {}, const std::string& next = {});
base::Result<ShareSet> parse_commitments(std::string_view json);
/// Makes a set that was read into one of these admins: `configuration` when one of the set is not among them.
base::Status bind_admins(ShareSet& set, const AdminSet& admins, base::UtcTime now);

}  // namespace attestry::keys
