#include "secrets/tokens_login.h"

#include <algorithm>

#include "appraisal/replay.h"
#include "base/encoding.h"
#include "base/reader.h"
#include "crypto/hash.h"
#include "governance/grant.h"
#include "governance/instance_record.h"
#include "state/keys.h"
#include "state/scan.h"

namespace attestry::secrets {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using state::Key;
using state::Space;

namespace {

constexpr std::uint8_t kRoleVersion = 1;
constexpr std::size_t kMaxText = 1024;
constexpr std::size_t kMaxRolePolicies = 64;
constexpr std::size_t kCollectedPerCommit = 4;

Key roles_of(std::string_view space) { return Key(Space::tokens).lp("role").lp(space); }

/// One login on its way: everything that the transaction needs is decided before it.
struct Login {
  LoginDeps deps;
  LoginRequest request;
  std::optional<appraisal::Fresh> fresh{};
  std::optional<governance::AppPolicy> app{};
  base::UtcTime now{};
  audit::Leaf leaf{};
  std::shared_ptr<const appraisal::StoredAppraisal> appraisal{};
  appraisal::Entry entry{};
  LoggedIn result{};
  Tokens::Erased replaced{};
  std::optional<Error> refusal{};
};

Status begin(Login& login) {
  TRY_OK(login.deps.store.clock_usable());
  login.now = login.deps.store.now();
  const auto& request = login.request;
  TRY(auto fresh, login.deps.challenges.check(request.nonce, base::Purpose::token, request.body, login.now));
  TRY(const auto answered, appraisal::Challenges::answered(login.deps.store, fresh));
  if (answered) return Error{Code::replayed, "this challenge was used"};
  TRY(auto app, login.deps.registry.policy_of(request.tenant, request.role.app, login.now));
  login.fresh.emplace(std::move(fresh));
  login.app.emplace(std::move(app));
  return base::done();
}

attestation::BindingStatement statement_of(const Login& login) {
  return {.purpose = base::Purpose::token,
          .audience = login.deps.registry.audience(),
          .nonce = login.fresh->nonce(),
          .tenant = login.request.tenant,
          .app = login.request.role.app,
          .csr_spki = login.request.spki,
          .recipient = {}};
}

/// Where the identity came from that matched; what a document itself says comes behind it.
std::string source_of(const attestation::Verdict& verdict) {
  const auto found = std::ranges::find(verdict.checks, attestation::CheckId::policy_measurement_allowed,
                                       &attestation::CheckResult::check);
  if (found == verdict.checks.end() || !governance::is_own_source(found->detail)) return {};
  return found->detail.substr(0, found->detail.find(' '));
}

void begin_leaf(Login& login, std::string_view type, const attestation::Verdict& verdict) {
  const governance::AppState& state = login.app->state();
  auto& leaf = login.leaf;
  leaf.type = type;
  leaf.realm = login.deps.registry.realm();
  leaf.audience = login.deps.registry.audience();
  leaf.tenant = state.tenant;
  leaf.app = state.app.text();
  leaf.time = login.now;
  leaf.binding = base::hex(verdict.report_data);
  leaf.appraisal = base::hex(login.appraisal->id());
  leaf.policy = base::hex(verdict.policy_sha256.value_or(base::Digest32{}));
  leaf.epoch = state.epoch;
}

Token token_of(const Login& login, const governance::Grant& grant, std::string source) {
  const auto& request = login.request;
  Token token;
  token.digest = crypto::sha256(base::as_bytes(login.result.secret));
  token.accessor = make_accessor(login.deps.random);
  token.space = request.space;
  token.space_id = request.space_id;
  token.policies = request.role.policies;
  token.policies.emplace_back("default");
  std::ranges::sort(token.policies);
  const auto same = std::ranges::unique(token.policies);
  token.policies.erase(same.begin(), same.end());
  token.display_name = "attestry-" + request.role_name;
  token.metadata = {{"app", request.role.app.text()}, {"role", request.role_name}};
  token.issued = login.now;
  token.ttl = request.role.ttl != 0 ? request.role.ttl : login.deps.ttl;
  token.renewable = true;
  token.path = "auth/attestry/login";
  Attested attested{.tenant = request.tenant, .app = request.role.app, .source = std::move(source)};
  attested.version = login.app->state().version;
  attested.spki = request.spki;
  attested.until = grant.expires();
  token.attested = std::move(attested);
  token.expires = std::min(login.now + token.ttl, grant.expires());
  return token;
}

Status decide(Login& login, Result<appraisal::Examined> maybe) {
  TRY(auto examined, std::move(maybe));
  appraisal::AppraisalInputs inputs{.evidence = login.request.evidence,
                                    .collateral = std::move(examined.collateral),
                                    .at = login.now,
                                    .anchors = login.deps.appraiser.verifier().anchors(),
                                    .policy = login.app->policy(),
                                    .lists = login.app->lists(),
                                    .binding = statement_of(login)};
  auto judged = appraisal::judge(std::move(examined.verdict), inputs);
  if (judged.refusal && judged.refusal->code != Code::denied) return *std::move(judged.refusal);
  login.entry = {.origin = judged.refusal ? appraisal::Origin::refusal : appraisal::Origin::release,
                 .stored = login.now,
                 .app = login.request.role.app.text(),
                 .summary = appraisal::summary_of(judged.verdict)};
  login.appraisal = std::make_shared<const appraisal::StoredAppraisal>(
      appraisal::StoredAppraisal::make(std::move(inputs), attestation::to_json(judged.verdict)));
  auto source = source_of(judged.verdict);
  if (!judged.refusal && source.empty()) {
    judged.refusal = Error{Code::denied,
                           "the app's policy names nobody",
                           "an identity, which operators can take back",
                           {},
                           "Approve an identity for the app: attestry approve identity"};
  }
  if (judged.refusal) {
    begin_leaf(login, "refusal", judged.verdict);
    login.refusal = std::move(judged.refusal);
    return base::done();
  }
  TRY(const auto grant,
      governance::authorize(*judged.verified, *login.fresh, *login.app, login.deps.registry.realm(), login.now));
  login.result.secret = make_token(login.deps.random);
  login.result.token = token_of(login, grant, std::move(source));
  begin_leaf(login, "vault.login", judged.verdict);
  const auto key = login.deps.random.secret(32);
  login.leaf.outputs["accessor"] = audit::commitment(key, "accessor", base::as_bytes(login.result.token.accessor));
  return base::done();
}

/// The role was read before the evidence was looked at: a role that was changed or taken away meanwhile gives nothing.
Status role_stands(const LoginRequest& request, const state::ReadView& view) {
  const Error changed{Code::denied, "the role was changed at this moment", {}, {}, "Log in again."};
  const auto space = Namespaces::stored(view, request.space);
  if (!space && space.error().code != Code::not_found) return space.error();
  if (!space || space->id != request.space_id || space->tenant != request.tenant) return changed;
  const auto role = read_role(view, request.space, request.role_name);
  if (!role && role.error().code != Code::not_found) return role.error();
  return role && *role == request.role ? base::done() : Status{changed};
}

/// Everything or nothing.
Status write(Login& login, state::WriteTxn& txn) {
  const governance::AppState& state = login.app->state();
  const auto now = login.deps.store.now();
  TRY_OK(role_stands(login.request, txn));
  TRY_OK(governance::Registry::require_version(txn, state.tenant, state.app, state.version, state.references));
  TRY(const auto index, login.deps.log.append(txn, login.leaf));
  TRY_OK(login.fresh->spend(txn, now, false, index, {}));
  login.entry.leaf_index = index;
  TRY_OK(login.deps.appraisals.put(txn, state.tenant, *login.appraisal, login.entry));
  TRY_OK(appraisal::Challenges::collect_expired(txn, now, kCollectedPerCommit));
  if (login.refusal) return base::done();
  login.result.token.attested->leaf_index = index;
  TRY(login.replaced, login.deps.tokens.put(txn, login.result.token, now));
  return base::done();
}

}  // namespace

Status put_role(state::WriteTxn& txn, std::string_view space, std::string_view name, const LoginRole& role) {
  TRY_OK(check_policy_name(name));
  if (role.policies.size() > kMaxRolePolicies) return Error{Code::malformed, "policies of a role", "at most 64"};
  for (const auto& policy : role.policies) TRY_OK(check_policy_name(policy));
  TRY(const auto there, txn.get(roles_of(space).lp(name)));
  if (!there) {
    TRY(const auto names, list_roles(txn, space));
    if (names.size() >= kMaxRoles) return Error{Code::too_large, "there are too many roles"};
  }
  auto out = state::value(kRoleVersion);
  out.lp(role.app.bytes())
      .u64(static_cast<std::uint64_t>(role.ttl))
      .u32(static_cast<std::uint32_t>(role.policies.size()));
  for (const auto& policy : role.policies) out.lp(policy);
  return txn.put(roles_of(space).lp(name), out.bytes());
}

Status erase_role(state::WriteTxn& txn, std::string_view space, std::string_view name) {
  return txn.erase(roles_of(space).lp(name));
}

Result<LoginRole> read_role(const state::ReadView& view, std::string_view space, std::string_view name) {
  TRY(const auto stored, view.get(roles_of(space).lp(name)));
  if (!stored) return Error{Code::not_found, "there is no such role"};
  TRY(auto in, state::open_value(*stored, kRoleVersion, "role"));
  TRY(const auto app_bytes, in.lp("app", kMaxText));
  TRY(auto app, base::AppRef::from_bytes(app_bytes));
  LoginRole out{.app = std::move(app)};
  TRY(const auto ttl, in.u64be("ttl"));
  out.ttl = static_cast<std::int64_t>(ttl);
  TRY(const auto count, in.u32be("policies"));
  for (std::uint32_t i = 0; i < count; ++i) {
    TRY(const auto policy, in.lp("policy", kMaxText));
    out.policies.emplace_back(base::as_text(policy));
  }
  TRY_OK(in.finish("role"));
  return out;
}

Result<std::vector<std::string>> list_roles(const state::ReadView& view, std::string_view space) {
  const Key prefix = roles_of(space);
  std::vector<std::string> out;
  TRY_OK(state::scan_each(view, prefix, kMaxRoles, [&](base::ByteView key, base::ByteView) -> Status {
    base::Reader in{key.subspan(prefix.bytes().size())};
    TRY(const auto name, in.lp("role", kMaxText));
    out.emplace_back(base::as_text(name));
    return base::done();
  }));
  return out;
}

appraisal::Challenge AttestedLogin::challenge() const {
  return deps_.challenges.issue(base::Purpose::token, deps_.store.now());
}

void AttestedLogin::log_in(LoginRequest request, base::Deadline deadline,
                           std::move_only_function<void(Result<LoggedIn>)> done) const {
  auto login = std::make_shared<Login>(Login{.deps = deps_, .request = std::move(request)});
  if (const auto good = begin(*login); !good) return done(good.error());
  auto go_on = [login, done = std::move(done)](Result<appraisal::Examined> examined) mutable {
    if (const auto decided = decide(*login, std::move(examined)); !decided) return done(decided.error());
    login->deps.store.write([login](state::WriteTxn& txn) { return write(*login, txn); },
                            [login, done = std::move(done)](Status status) mutable {
                              if (!status) return done(status.error());
                              if (login->refusal) return done(*login->refusal);
                              login->deps.tokens.settle_erase(login->replaced);
                              login->deps.tokens.settle_put(login->result.token);
                              done(std::move(login->result));
                            });
  };
  deps_.appraiser.examine_when_ready(login->request.evidence, login->now, login->now, deadline, std::move(go_on));
}

}  // namespace attestry::secrets
