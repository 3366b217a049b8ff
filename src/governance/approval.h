// Approvals: who allowed what, signed by operators' keys, in order, never replayed (FORMATS 2).
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/dsse.h"

namespace attestry::governance {

/// What an approval does to its subject. Text in the payload: "app.create", "policy.approve", "identity.approve",
/// "configuration.approve", "secret.approve", "threshold.set", "epoch.advance", "epoch.retire", "revoke".
enum class Action : std::uint8_t {
  app_create,             ///< subject: the app's text form; makes the app known
  policy_approve,         ///< subject: SHA-256 of the policy document (a blob); it becomes the app's policy
  identity_approve,       ///< subject: SHA-256 of an identity document (a blob)
  configuration_approve,  ///< subject: SHA-256 of a configuration template (a blob); it becomes the app's configuration
  secret_approve,         ///< subject: content id of a stored secret
  threshold_set,          ///< subject: decimal m; from now on m distinct operators must sign
  epoch_advance,          ///< subject: decimal epoch, the present one + 1; new releases get keys of the new epoch
  epoch_retire,           ///< subject: decimal epoch; keys of the epochs before it are given out no more
  revoke,                 ///< subject: any digest approved before; accepted at any seq, idempotent
};
std::string_view to_text(Action action) noexcept;
base::Result<Action> action_from(std::string_view text);

inline constexpr std::string_view kApprovalPayloadType = "application/vnd.attestry.approval.v1+json";

struct Approval {
  std::string audience;  ///< the log's origin
  base::Realm realm = base::Realm::production;
  base::Tenant tenant = base::Tenant::standard();
  base::AppRef app;
  Action action = Action::app_create;
  std::string subject;
  std::string policy_sha256;  ///< hex digest of the app's policy that the operator saw; empty before the first
  std::uint64_t seq = 1;      ///< last + 1 per (tenant, app)
  std::string prev;           ///< hex SHA-256 of the last accepted payload; empty for the first
  base::UtcTime expires;      ///< limits acceptance only

  /// RFC 8785 payload, the bytes that are signed and hashed.
  std::string payload() const;
  /// Strict; refuses unknown members.
  static base::Result<Approval> parse(std::string_view payload);
};

using crypto::Envelope;
using crypto::EnvelopeSignature;

}  // namespace attestry::governance
