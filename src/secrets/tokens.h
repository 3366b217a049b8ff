// Tokens of clients and their policies. A token is known here by its digest only; what it may do is decided anew with
// each use, and what it releases is released in a transaction that sees that it is still there (docs/formats/vault.md).
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/mutex.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/random.h"
#include "secrets/tokens_acl.h"
#include "state/store.h"

namespace attestry::secrets {

inline constexpr std::size_t kMaxTokens = 100'000;
inline constexpr std::size_t kMaxPolicies = 4096;
inline constexpr std::int64_t kLongestTokenSeconds = 768 * 3600;  ///< 32 days, as in Vault

/// The attestation that a token rests on.
struct Attested {
  base::Tenant tenant = base::Tenant::standard();
  base::AppRef app;
  std::string source{};          ///< of the identity that let it in (governance/instance_record.h)
  std::uint64_t version = 0;     ///< of the app's approvals then
  std::uint64_t leaf_index = 0;  ///< of the login
  base::Bytes spki{};            ///< the key that the evidence is bound to
  base::UtcTime until{};         ///< end of the attestation: no renewal goes beyond
};

struct Token {
  base::Digest32 digest{};  ///< SHA-256 of the token
  std::string accessor{};
  std::string space{};  ///< the namespace that it was made in, and may use with those below
  std::vector<std::string> policies{};
  std::string display_name{};
  std::map<std::string, std::string> metadata{};
  base::UtcTime issued{};
  base::UtcTime expires{};        ///< 0: never
  std::int64_t ttl = 0;           ///< seconds that it was made with; 0: without end
  std::int64_t explicit_max = 0;  ///< seconds from `issued`; 0: none
  std::int64_t period = 0;        ///< seconds that each renewal gives; 0: none
  bool renewable = false;
  std::optional<base::Digest32> parent{};  ///< whose end is its end; none: an orphan
  std::string path = "auth/token/create";  ///< how it was made
  std::optional<Attested> attested{};

  bool expired(base::UtcTime now) const noexcept { return expires.seconds != 0 && expires <= now; }
  bool root() const noexcept;
};
using TokenPtr = std::shared_ptr<const Token>;

base::Bytes encode_token(const Token& token);
base::Result<Token> decode_token(base::ByteView stored, const base::Digest32& digest);

/// "hvs." and 32 random bytes as base64url; 24 letters and digits.
std::string make_token(crypto::Random& random);
std::string make_accessor(crypto::Random& random);

/// Thread-safe.
class Tokens {
 public:
  static base::Result<std::unique_ptr<Tokens>> open(state::Store& store);

  /// Null when it is not known or has expired.
  TokenPtr find(std::string_view token, base::UtcTime now) const;
  TokenPtr find(const base::Digest32& digest, base::UtcTime now) const;
  TokenPtr find_accessor(std::string_view accessor, base::UtcTime now) const;
  std::vector<std::string> accessors(std::string_view space, base::UtcTime now) const;
  /// The token and all whose parent it is, directly or not.
  std::vector<TokenPtr> family(const base::Digest32& digest) const;

  /// Inside the releasing transaction: `denied` when the token was revoked, has expired, or rests on an identity that
  /// operators have taken back since.
  base::Status require(const state::ReadView& view, const Token& token, base::UtcTime now) const;

  /// `too_large` beyond kMaxTokens. Takes a few expired ones away.
  base::Status put(state::WriteTxn& txn, const Token& token, base::UtcTime now) const;
  base::Status erase(state::WriteTxn& txn, const std::vector<TokenPtr>& tokens) const;
  /// Once their writes have succeeded.
  void settle_put(Token token, base::UtcTime now);
  void settle_erase(const std::vector<TokenPtr>& tokens);

  struct StoredPolicy {
    std::string document;
    AccessPolicy rules;
  };
  using PolicyPtr = std::shared_ptr<const StoredPolicy>;
  /// "root" has no document and is not here. "default" is, in every namespace.
  PolicyPtr policy(std::string_view space, std::string_view name) const;
  std::vector<std::string> policy_names(std::string_view space) const;
  base::Status put_policy(state::WriteTxn& txn, std::string_view space, std::string_view name,
                          std::string_view document) const;
  base::Status erase_policy(state::WriteTxn& txn, std::string_view space, std::string_view name) const;
  base::Status settle_policy(std::string_view space, std::string_view name);

  /// `path` is as the token's namespace sees it. All of them for root.
  Capabilities capabilities(const Token& token, std::string_view path) const;

 private:
  explicit Tokens(state::Store& store) : store_(store) {}
  using PolicyName = std::pair<std::string, std::string>;
  void forget(const base::Digest32& digest) ATTESTRY_REQUIRES(mutex_);
  state::Store& store_;
  mutable base::Mutex mutex_;
  std::map<base::Digest32, TokenPtr> tokens_ ATTESTRY_GUARDED_BY(mutex_);
  std::map<std::string, base::Digest32, std::less<>> accessors_ ATTESTRY_GUARDED_BY(mutex_);
  std::set<std::pair<std::int64_t, base::Digest32>> ends_ ATTESTRY_GUARDED_BY(mutex_);  ///< of those that have one
  std::map<PolicyName, PolicyPtr> policies_ ATTESTRY_GUARDED_BY(mutex_);
  PolicyPtr default_;
};

/// `[a-z0-9][a-z0-9._-]{0,127}`, neither "root" nor "response-wrapping".
base::Status check_policy_name(std::string_view name);

}  // namespace attestry::secrets
