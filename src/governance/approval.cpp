#include "governance/approval.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "crypto/hash.h"

namespace attestry::governance {

using base::Code;
using base::Error;
using base::Result;

namespace {

constexpr Action kActions[] = {
    Action::app_create,     Action::policy_approve, Action::identity_approve, Action::configuration_approve,
    Action::secret_approve, Action::threshold_set,  Action::epoch_advance,    Action::epoch_retire,
    Action::revoke};

Result<std::string> text_member(const base::JsonValue& object, std::string_view key) {
  TRY(const auto value, object.get(key));
  return value.string(key);
}

bool is_hex_digest(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

}  // namespace

std::string_view to_text(Action action) noexcept {
  switch (action) {
    case Action::app_create:
      return "app.create";
    case Action::policy_approve:
      return "policy.approve";
    case Action::identity_approve:
      return "identity.approve";
    case Action::configuration_approve:
      return "configuration.approve";
    case Action::secret_approve:
      return "secret.approve";
    case Action::threshold_set:
      return "threshold.set";
    case Action::epoch_advance:
      return "epoch.advance";
    case Action::epoch_retire:
      return "epoch.retire";
    case Action::revoke:
      return "revoke";
  }
  return "unknown";
}

Result<Action> action_from(std::string_view text) {
  for (const Action action : kActions) {
    if (to_text(action) == text) return action;
  }
  std::string known;
  for (const Action action : kActions) known += (known.empty() ? "" : ", ") + std::string{to_text(action)};
  return Error{Code::malformed, "unknown action", known, std::string{text}};
}

std::string Approval::payload() const {
  return base::JsonOut{base::JsonOutObject{{"v", 1},
                                           {"audience", audience},
                                           {"realm", base::to_text(realm)},
                                           {"tenant", tenant.text()},
                                           {"app", app.text()},
                                           {"action", to_text(action)},
                                           {"subject", subject},
                                           {"policy_sha256", policy_sha256},
                                           {"seq", seq},
                                           {"prev", prev},
                                           {"expires", base::to_rfc3339(expires)}}}
      .canonical();
}

Result<Approval> Approval::parse(std::string_view payload) {
  TRY(const auto doc, base::JsonDocument::parse(std::string{payload}), "approval payload");
  const auto root = doc->root();
  TRY_OK(root.only({"v", "audience", "realm", "tenant", "app", "action", "subject", "policy_sha256", "seq", "prev",
                    "expires"}),
         "approval payload");
  TRY(const auto v, root.get("v"));
  TRY([[maybe_unused]] const auto version, v.integer("v", 1, 1), "approval payload");
  TRY(auto audience, text_member(root, "audience"));
  TRY(const auto realm_text, text_member(root, "realm"));
  TRY(const auto realm, base::realm_from(realm_text));
  TRY(const auto tenant_text, text_member(root, "tenant"));
  TRY(auto tenant, base::Tenant::parse(tenant_text));
  TRY(const auto app_text, text_member(root, "app"));
  TRY(auto app, base::AppRef::parse(app_text));
  TRY(const auto action_text, text_member(root, "action"));
  TRY(const auto action, action_from(action_text));
  TRY(auto subject, text_member(root, "subject"));
  TRY(auto policy, text_member(root, "policy_sha256"));
  if (!policy.empty() && !is_hex_digest(policy))
    return Error{Code::malformed, "policy_sha256", "64 hex digits or empty", policy};
  TRY(const auto seq_value, root.get("seq"));
  TRY(const auto seq, seq_value.integer("seq", 1, (std::int64_t{1} << 53) - 1));
  TRY(auto prev, text_member(root, "prev"));
  if (!prev.empty() && !is_hex_digest(prev)) return Error{Code::malformed, "prev", "64 hex digits or empty", prev};
  TRY(const auto expires_text, text_member(root, "expires"));
  TRY(const auto expires, base::parse_rfc3339(expires_text), "expires");
  return Approval{.audience = std::move(audience),
                  .realm = realm,
                  .tenant = std::move(tenant),
                  .app = std::move(app),
                  .action = action,
                  .subject = std::move(subject),
                  .policy_sha256 = std::move(policy),
                  .seq = static_cast<std::uint64_t>(seq),
                  .prev = std::move(prev),
                  .expires = expires};
}

}  // namespace attestry::governance
