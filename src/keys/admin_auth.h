// Who an administrator's request or share comes from (docs/formats/registry.md, "Administrators"). Pure: the caller
// keeps what must not come twice.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/ec.h"
#include "crypto/random.h"

namespace attestry::keys {

using Ed25519PublicKey = base::FixedBytes<32>;

/// Immutable.
struct Admin {
  std::string id;
  std::string pubkey_pem;  ///< as the file has it
  std::string name{};      ///< for people; empty: none was given
  std::variant<crypto::EcPublicKey, Ed25519PublicKey> key;

  std::string fingerprint() const;  ///< hex SHA-256 of pubkey_pem
  /// The key when a share can be encrypted to it.
  const crypto::EcPublicKey* ec_key() const noexcept { return std::get_if<crypto::EcPublicKey>(&key); }
};

/// `{"admins":[{"id":…,"name":…,"pubkey":PEM}, …]}`, 1 to 255 of them; a name may be left out. An id, a key or a name
/// that is there twice is an error: one administrator is one share. Immutable, thread-safe.
class AdminSet {
 public:
  static base::Result<AdminSet> parse(base::ByteView json);
  static base::Result<AdminSet> make(std::vector<std::pair<std::string, std::string>> ids_and_pems,
                                     std::vector<std::string> names = {});  ///< by place; fewer: the others have none
  const std::vector<Admin>& admins() const noexcept { return admins_; }     ///< in the order of the file
  const Admin* find(std::string_view id) const noexcept;
  std::string json() const;  ///< as parse takes it

 private:
  explicit AdminSet(std::vector<Admin> admins) noexcept : admins_(std::move(admins)) {}
  std::vector<Admin> admins_;
};

/// Header names of the wire, both versions.
inline constexpr std::string_view kAdminIdHeader = "X-Admin-ID";
inline constexpr std::string_view kAdminSignatureHeader = "X-Admin-Signature";       // v1: base64 of DER
inline constexpr std::string_view kAdminTimeHeader = "X-Admin-Time";                 // v2: Unix seconds
inline constexpr std::string_view kAdminNonceHeader = "X-Admin-Nonce";               // v2: base64url of 16 bytes
inline constexpr std::string_view kAdminSignatureV2Header = "X-Admin-Signature-V2";  // v2: base64url

/// As they arrived; absent headers are empty.
struct AdminHeaders {
  std::string id;
  std::string signature;
  std::string time;
  std::string nonce;
  std::string signature_v2;
};
struct AdminRequestParts {
  std::string_view method;  ///< "GET"
  std::string_view host;    ///< Host header, which the caller has found to be its own name
  base::ByteView server{};  ///< v2: server_id() of the server that is asked
  std::string_view path;    ///< v1: decoded path; v2: the request target as sent, with its query
  base::ByteView body;
};
/// What a v2 request names its server by: SHA-256 of the SPKI of the key of this run of it (GET /admin/commitments,
/// "recovery_key"). Two servers of the same admins, and two runs of one, have different ones.
base::Digest32 server_id(const crypto::EcPublicKey& recovery_key);
/// What evidence of a server over its recovery key says: SHA-512(LP("attestry/recovery-key/1") ‖ LP(set id) ‖
/// LP(SPKI)); the set id is 16 zero bytes when there is no set of shares.
base::FixedBytes<64> recovery_key_report_data(base::ByteView set_id, const crypto::EcPublicKey& recovery_key);

/// Which versions a listener takes.
enum class AdminVersions : std::uint8_t { v2_only, v1_and_v2 };

struct AdminAccess {
  const Admin* who = nullptr;  ///< lives as long as the set
  int version = 2;
  /// The same for the same request, whatever the signature's bytes: refuse it when it was seen before (v2: always; v1:
  /// in strict settings).
  base::Digest32 replay_key{};
  base::UtcTime forget_after{};  ///< v2: the replay key may be dropped then; v1: never (the greatest time)
};

inline constexpr std::int64_t kAdminClockSeconds = 120;  // how far a v2 request's time may be off, either way

/// Error `unauthenticated` with the same words whatever is wrong. A request with v2 headers is judged by them alone.
base::Result<AdminAccess> verify_admin_request(const AdminSet& admins, const AdminHeaders& headers,
                                               const AdminRequestParts& request, base::UtcTime now,
                                               AdminVersions versions);

using AdminSigner = std::variant<const crypto::EcPrivateKey*, const crypto::Ed25519PrivateKey*>;
/// v1 has only ECDSA.
AdminHeaders sign_admin_request_v1(std::string_view id, const crypto::EcPrivateKey& key, std::string_view path,
                                   base::ByteView body);
AdminHeaders sign_admin_request_v2(std::string_view id, const AdminSigner& key, const AdminRequestParts& request,
                                   base::UtcTime now, crypto::Random& random);

/// What a share's signature covered: `raw` on P-256 leaves the x byte out (the share itself as digest, cut to the
/// order), the others cover all of it.
enum class ShareDigest : std::uint8_t { raw, sha256, message };
/// Nothing when it does not verify. Ed25519 signs the share as message.
std::optional<ShareDigest> verify_share_signature(const Admin& admin, base::ByteView share, base::ByteView signature);
/// As the registry's clients do: `raw` or `sha256`.
base::Bytes sign_share(const crypto::EcPrivateKey& key, base::ByteView share, ShareDigest digest = ShareDigest::raw);

}  // namespace attestry::keys
