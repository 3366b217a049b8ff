// Tokens for attested workloads: evidence that was made for a challenge of ours and for the key in its binding is
// appraised by what operators approved for an app, as a registration's is, and the role says which policies the token
// gets. It lives as long as that identity is let in (docs/formats/vault.md).
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "appraisal/appraisal_store.h"
#include "appraisal/appraiser.h"
#include "appraisal/challenge.h"
#include "audit/log.h"
#include "governance/registry.h"
#include "secrets/namespaces.h"
#include "secrets/tokens.h"

namespace attestry::secrets {

inline constexpr std::size_t kMaxRoles = 512;  ///< of one namespace

struct LoginRole {
  base::AppRef app;  ///< of the namespace's tenant
  std::vector<std::string> policies{};
  std::int64_t ttl = 0;  ///< seconds; 0: the server's
  friend bool operator==(const LoginRole&, const LoginRole&) = default;
};
/// `[a-z0-9][a-z0-9._-]{0,127}`, as policies.
/// `too_large` for a new one beyond kMaxRoles in the namespace.
base::Status put_role(state::WriteTxn& txn, std::string_view space, std::string_view name, const LoginRole& role);
base::Status erase_role(state::WriteTxn& txn, std::string_view space, std::string_view name);
/// `not_found`.
base::Result<LoginRole> read_role(const state::ReadView& view, std::string_view space, std::string_view name);
base::Result<std::vector<std::string>> list_roles(const state::ReadView& view, std::string_view space);

struct LoginRequest {
  attestation::Evidence evidence;
  base::Bytes nonce;
  base::Bytes spki;  ///< DER SubjectPublicKeyInfo of the key that the token is bound to
  base::Bytes body;  ///< as received
  std::string space;
  std::uint64_t space_id = 0;
  std::string role_name;
  LoginRole role;
  base::Tenant tenant = base::Tenant::standard();
};

struct LoginDeps {
  state::Store& store;
  audit::Log& log;
  const appraisal::Appraiser& appraiser;
  const appraisal::Challenges& challenges;
  governance::Registry& registry;
  const appraisal::AppraisalStore& appraisals;
  Tokens& tokens;
  crypto::Random& random;
  std::int64_t ttl = 3600;  ///< of roles that name none
};

struct LoggedIn {
  std::string secret;  ///< the token
  Token token;
};

/// Thread-safe.
class AttestedLogin {
 public:
  explicit AttestedLogin(LoginDeps deps) : deps_(deps) {}
  appraisal::Challenge challenge() const;
  /// `done` is called once, on the committer's thread after the leaf is durable and checkpointed, or on another where
  /// it ends before. Errors: those of a registration; `denied` by policy and approvals is a leaf, too. The collateral
  /// source must be gone before this is.
  void log_in(LoginRequest request, base::Deadline deadline,
              std::move_only_function<void(base::Result<LoggedIn>)> done) const;

 private:
  LoginDeps deps_;
};

}  // namespace attestry::secrets
