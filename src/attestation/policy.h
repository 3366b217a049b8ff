// Policies: what a relying party accepts of genuine evidence (RFC 9334 appraisal policy). Pure.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "attestation/conditions.h"
#include "attestation/verdict.h"
#include "base/bytes.h"
#include "base/result.h"

namespace attestry::base {
class JsonValue;
}

namespace attestry::attestation {

/// One approved identity: every listed claim must equal one of its values.
struct IdentityRule {
  std::string name;  ///< for people: "web 1.4.2"
  std::vector<std::pair<std::string, std::vector<std::string>>>
      claims;  ///< claim name -> allowed values, lower-case hex
};

/// An advisory that is tolerated until a time, for a reason that stands in the policy.
struct AdvisoryWaiver {
  std::string id;
  base::UtcTime until;
  std::string reason;
};

/// The parsed policy document. JSON, `{"format":1, …}`; docs/reference/policy.md is its reference; unknown members are
/// refused with a suggestion, and what is left out is as in standard(). Members: name, platforms[], tcb{accept[],
/// allow_advisories[]?,
/// waive_advisories[{id, until, reason}]?, min_evaluation_number?, min_date?}, debug, migratable, service_td,
/// reserved_attributes, vmpl[], require{sept_ve_disable, revocation}, identities[{name?, claims{claim: value |
/// [values]}}], conditions[]?, max_collateral_staleness_seconds. An empty `identities` approves nothing. Immutable;
/// safe to read from many threads.
class Policy {
 public:
  /// Error `malformed` names the member.
  static base::Result<Policy> parse(std::string_view json);
  /// Cryptography, collateral and no debug; any TCB status but Revoked.
  static const Policy& genuine();
  /// genuine, and TCB UpToDate or SWHardeningNeeded, no MIGRATABLE, no service TD, no reserved attribute bits,
  /// reports of VMPL 0 only, revocation checked.
  static const Policy& standard();
  /// default, and TCB UpToDate without advisories, SEPT_VE_DISABLE, collateral at most a day past its refresh.
  static const Policy& strict();
  /// By name ("genuine", "default", "strict") or nullptr.
  static const Policy* builtin(std::string_view name);

  const std::string& name() const noexcept { return name_; }
  /// The document as given (built-in ones have one too), and its SHA-256.
  const std::string& document() const noexcept { return document_; }
  const base::Digest32& sha256() const noexcept { return sha256_; }
  const std::vector<IdentityRule>& identities() const noexcept { return identities_; }

 private:
  friend void evaluate(const Policy& policy, Verdict& verdict, std::optional<base::ByteView> expected_report_data);
  Policy() = default;
  static base::Result<Policy> from_json(const base::JsonValue& root);
  base::Status read_tcb(const base::JsonValue& root);
  std::string name_;
  std::string document_;
  base::Digest32 sha256_{};
  std::vector<std::string> platforms_;
  std::vector<std::string> accept_tcb_;
  std::optional<std::vector<std::string>> allow_advisories_;
  std::vector<AdvisoryWaiver> waivers_;
  std::optional<std::uint32_t> min_evaluation_number_;
  std::optional<base::UtcTime> min_tcb_date_;
  bool allow_debug_ = false;
  bool allow_migratable_ = false;
  bool allow_service_td_ = false;
  bool allow_reserved_attributes_ = false;
  bool require_sept_ve_disable_ = false;
  bool require_revocation_ = true;
  std::vector<std::uint32_t> vmpl_{0};
  bool require_identity_ = false;  ///< true when the document has `identities`
  std::vector<IdentityRule> identities_;
  std::vector<Condition> conditions_;
  std::optional<std::int64_t> max_staleness_seconds_;
};

/// Adds the policy.* checks to the verdict (instead of those of an earlier evaluation) and sets its outcome and
/// policy_sha256. Accepted only when the evidence is genuine and no check of the verdict failed or was skipped by the
/// policy. `expected_report_data`: what --report-data asks for, compared with the whole field, padded with zeros at the
/// end.
void evaluate(const Policy& policy, Verdict& verdict, std::optional<base::ByteView> expected_report_data = {});

}  // namespace attestry::attestation
