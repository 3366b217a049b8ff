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
#include "secrets/tokens_changes.h"
#include "state/store.h"

namespace attestry::secrets {

inline constexpr std::size_t kMaxTokens = 200'000;
inline constexpr std::size_t kMaxTokensOfSpace = 20'000;
inline constexpr std::size_t kMaxChildren = 4096;    ///< of one token
inline constexpr std::size_t kMaxRoleTokens = 4096;  ///< of the logins of one role
inline constexpr std::size_t kMaxKeyTokens = 16;     ///< of the logins with one key: the newest ones
inline constexpr std::size_t kMaxTokenDepth = 16;    ///< from a token to the last of its ancestors
inline constexpr std::size_t kMaxPolicies = 16'384;
inline constexpr std::size_t kMaxPoliciesOfSpace = 512;
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
  std::string space{};         ///< the namespace that it was made in, and may use with those below
  std::uint64_t space_id = 0;  ///< of that one: a later one of the same name is another
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
/// `malformed` for what decode_token() would not read: texts of 4096 bytes, 256 policies and entries.
base::Status check_token(const Token& token);
base::Result<Token> decode_token(base::ByteView stored, const base::Digest32& digest);

/// "hvs." and 32 random bytes as base64url; 24 letters and digits.
std::string make_token(crypto::Random& random);
std::string make_accessor(crypto::Random& random);

/// Thread-safe.
class Tokens {
 public:
  /// A damaged token is left out, with a line in the log of the program: it allows nothing any more.
  static base::Result<std::unique_ptr<Tokens>> open(state::Store& store);
  /// Of policies here and namespaces elsewhere.
  RuleChanges& changes() noexcept { return changes_; }

  /// Null when it is not known or has expired.
  TokenPtr find(std::string_view token, base::UtcTime now) const;
  TokenPtr find(const base::Digest32& digest, base::UtcTime now) const;
  TokenPtr find_accessor(std::string_view accessor, base::UtcTime now) const;
  std::vector<std::string> accessors(std::string_view space, base::UtcTime now) const;
  /// The token and all whose parent it is, directly or not.
  std::vector<TokenPtr> family(const base::Digest32& digest) const;

  /// Inside the releasing transaction: `denied` when the token or one that it descends from was revoked or has expired,
  /// or when it rests on an identity that operators have taken back since.
  base::Status require(const state::ReadView& view, const Token& token, base::UtcTime now) const;

  /// As it is stored now; `denied` when it is not.
  static base::Result<Token> stored(const state::ReadView& view, const base::Digest32& digest);
  using Erased = std::vector<TokenPtr>;
  /// `too_large` beyond the limits above. Gives those that it took away: a few expired ones, and of logins with one key
  /// the oldest ones.
  base::Result<Erased> put(state::WriteTxn& txn, const Token& token, base::UtcTime now) const;
  base::Status erase(state::WriteTxn& txn, const Erased& tokens) const;
  /// Makes orphans of its children, and gives them.
  base::Result<std::vector<Token>> release_children(state::WriteTxn& txn, const base::Digest32& parent) const;
  /// Once their writes have succeeded.
  void settle_put(Token token);
  void settle_erase(const Erased& tokens);

  /// Everything of a namespace that goes: policies, roles, tokens. Tokens beyond the first thousands are left to their
  /// end: they belong to a namespace that is no more.
  base::Result<Erased> erase_space(state::WriteTxn& txn, std::string_view space) const;
  void settle_space(std::string_view space, const Erased& tokens);

  struct StoredPolicy {
    std::string document;
    AccessPolicy rules;
  };
  using PolicyPtr = std::shared_ptr<const StoredPolicy>;
  /// "root" has no document and is not here. "default" is, in every namespace.
  PolicyPtr policy(std::string_view space, std::string_view name) const;
  std::vector<std::string> policy_names(std::string_view space) const;
  static base::Result<bool> has_policy(const state::ReadView& view, std::string_view space, std::string_view name);
  base::Status put_policy(state::WriteTxn& txn, std::string_view space, std::string_view name,
                          std::string_view document) const;
  base::Status erase_policy(state::WriteTxn& txn, std::string_view space, std::string_view name) const;
  base::Status settle_policy(std::string_view space, std::string_view name);

  /// `path` is as the token's namespace sees it. All of them for root.
  Capabilities capabilities(const Token& token, std::string_view path) const;
  /// The same by what the view holds, where memory may not have caught up.
  base::Result<Capabilities> capabilities(const state::ReadView& view, const Token& token, std::string_view path) const;
  /// Whether some rule of the token's policies allows something at `prefix` or below it.
  bool reaches_below(const Token& token, std::string_view prefix) const;

 private:
  explicit Tokens(state::Store& store) : store_(store) {}
  using PolicyName = std::pair<std::string, std::string>;
  using Ages = std::set<std::pair<std::int64_t, base::Digest32>>;  ///< by the time of issue
  std::vector<PolicyPtr> held(const Token& token) const;
  base::Status within_limits(const Token& token, base::UtcTime now, Erased& old) const ATTESTRY_REQUIRES(mutex_);
  bool has_room(const std::string& group, std::size_t most, base::UtcTime now, Erased& old) const
      ATTESTRY_REQUIRES(mutex_);
  void forget(const base::Digest32& digest) ATTESTRY_REQUIRES(mutex_);
  state::Store& store_;
  mutable base::Mutex mutex_;
  std::map<base::Digest32, TokenPtr> tokens_ ATTESTRY_GUARDED_BY(mutex_);
  std::map<std::string, base::Digest32, std::less<>> accessors_ ATTESTRY_GUARDED_BY(mutex_);
  std::set<std::pair<std::int64_t, base::Digest32>> ends_ ATTESTRY_GUARDED_BY(mutex_);  ///< of those that have one
  std::map<std::string, Ages, std::less<>> groups_ ATTESTRY_GUARDED_BY(mutex_);  ///< by namespace, parent, role, key
  std::map<PolicyName, PolicyPtr> policies_ ATTESTRY_GUARDED_BY(mutex_);
  PolicyPtr default_;
  RuleChanges changes_;
};

/// `[a-z0-9][a-z0-9._-]{0,127}`, neither "root" nor "response-wrapping".
base::Status check_policy_name(std::string_view name);

}  // namespace attestry::secrets
