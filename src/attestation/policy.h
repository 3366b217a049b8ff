// Policies: what a relying party accepts of genuine evidence (RFC 9334 appraisal policy). Pure.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "attestation/conditions.h"
#include "attestation/policy_finding.h"
#include "attestation/signed_list.h"
#include "attestation/tcb_minimum.h"
#include "attestation/verdict.h"
#include "base/bytes.h"
#include "base/result.h"

namespace attestry::base {
class JsonValue;
}

namespace attestry::attestation {

/// One approved identity: every listed claim must equal one of its values.
struct IdentityRule {
  std::string name;    ///< for people: "web 1.4.2"
  std::string source;  ///< where the rule came from, as the verdict repeats it: "set:web/<sha256>"; may be empty
  std::vector<std::pair<std::string, std::vector<std::string>>>
      claims;  ///< claim name -> allowed values, lower-case hex
};

/// An advisory that is tolerated until a time, for a reason that stands in the policy.
struct AdvisoryWaiver {
  std::string id;
  base::UtcTime until;
  std::string reason;
};

/// Who may sign a list that conditions look into (`in_list`).
struct ListRule {
  std::string name;
  std::vector<base::FixedBytes<32>> keys;  ///< Ed25519, at least one
  std::uint32_t threshold = 1;             ///< distinct keys that must have signed
};

/// A measurement set (governance) whose approved identities count as the policy's own.
struct SetReference {
  std::string name;
  std::uint32_t approvals = 1;  ///< distinct operators that each of them needs, beside what the app asks for
};

/// What a document says, with what it leaves out as in the built-in policy `default`.
struct PolicyRules {
  std::string name = "policy";
  std::vector<std::string> platforms;  ///< empty: the document has none, every platform
  std::vector<std::string> accept_tcb{"UpToDate", "SWHardeningNeeded"};
  std::optional<std::vector<std::string>> allow_advisories;
  std::vector<AdvisoryWaiver> waivers;
  std::optional<std::uint32_t> min_evaluation_number;
  std::optional<base::UtcTime> min_tcb_date;
  TcbMinimum minimum;
  bool allow_debug = false;
  bool allow_migratable = false;
  bool allow_service_td = false;
  bool allow_reserved_attributes = false;
  bool require_sept_ve_disable = false;
  bool require_revocation = true;
  bool require_token_keys = true;
  bool require_committed_firmware = false;
  bool require_secure_boot = false;
  bool require_event_log = false;
  std::vector<std::string> event_log_registers{"rtmr0", "rtmr1", "rtmr2"};  ///< that the logs must account for
  bool trust_log_labels = false;  ///< what is only an event log's word counts by itself
  std::vector<std::uint32_t> vmpl{0};
  bool require_identity = false;  ///< the document has `identities` or `identities_from`
  std::vector<IdentityRule> identities;
  std::vector<SetReference> identities_from;
  std::vector<ListRule> lists;
  std::vector<Condition> conditions;
  std::optional<std::int64_t> max_age_seconds;
  std::optional<std::int64_t> max_staleness_seconds;
};

/// Whether all that meets the conditions, or is one of the identities, has a listed value of RTMR2: then what is only
/// an event log's word counts in every condition.
bool fixes_boot(const PolicyRules& rules);
/// The same of what must hold beside this identity.
bool fixes_boot(const PolicyRules& rules, const IdentityRule& identity);

/// Reads a document and keeps every mistake with its place; the rules of a document with mistakes are worth nothing.
PolicyRules read_policy_rules(const base::JsonValue& root, PolicyFindings& findings);
inline constexpr std::size_t kMaxPolicyDocumentBytes = 256 * 1024;

/// The parsed policy document. JSON, `{"format":1, …}`; docs/reference/policy.md is its reference and
/// policy_schema_json() its schema; unknown members are refused with a suggestion. An empty `identities` approves
/// nothing. Immutable; safe to read from many threads.
class Policy {
 public:
  /// Error `malformed` names the first mistake and its place; lint_policy() knows them all.
  static base::Result<Policy> parse(std::string_view json);
  /// Cryptography, collateral and no debug; any TCB status but Revoked.
  static const Policy& genuine();
  /// genuine, and TCB UpToDate or SWHardeningNeeded, not migratable, no service TD, no reserved attribute bits,
  /// reports of VMPL 0 only, revocation checked, tokens only by keys that somebody vouches for.
  static const Policy& standard();
  /// default, and TCB UpToDate without advisories, SEPT_VE_DISABLE, committed firmware, SNP firmware in which
  /// AMD-SB-3019 is fixed, collateral at most a day past its refresh.
  static const Policy& strict();
  /// By name ("genuine", "default", "strict") or nullptr.
  static const Policy* builtin(std::string_view name);

  const std::string& name() const noexcept { return rules_.name; }
  /// The document as given (built-in ones have one too), and its SHA-256.
  const std::string& document() const noexcept { return document_; }
  const base::Digest32& sha256() const noexcept { return sha256_; }
  const std::vector<IdentityRule>& identities() const noexcept { return rules_.identities; }
  const PolicyRules& rules() const noexcept { return rules_; }

 private:
  Policy() = default;
  PolicyRules rules_;
  std::string document_;
  base::Digest32 sha256_{};
};

/// Adds the policy.* checks to the verdict (instead of those of an earlier evaluation) and sets its outcome and
/// policy_sha256. Accepted only when the evidence is genuine and no check of the verdict failed or was skipped by the
/// policy. `expected_report_data`: what --report-data asks for, compared with the whole field, padded with zeros at the
/// end. `references`: the signed lists that conditions may look into; what the policy names and is not here leaves the
/// verdict undecided.
void evaluate(const Policy& policy, Verdict& verdict, std::optional<base::ByteView> expected_report_data = {},
              const References& references = {});

}  // namespace attestry::attestation
