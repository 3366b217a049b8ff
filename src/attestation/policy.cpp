#include "attestation/policy.h"

#include <algorithm>
#include <cstdlib>

#include "base/json.h"
#include "crypto/hash.h"

namespace attestry::attestation {
namespace {

using base::Result;

constexpr std::string_view kGenuine =
    R"({"format":1,"name":"genuine","tcb":{"accept":["UpToDate","SWHardeningNeeded","ConfigurationNeeded",)"
    R"("ConfigurationAndSWHardeningNeeded","OutOfDate","OutOfDateConfigurationNeeded","TDRelaunchAdvised",)"
    R"("TDRelaunchAdvisedConfigurationNeeded"]},"debug":false,"migratable":true,"service_td":true,)"
    R"("reserved_attributes":true,"vmpl":[0,1,2,3],"require":{"revocation":false,"token_keys":false}})";

// The minima are those of AMD-SB-3019 (CVE-2024-56161, attestation_checks 2.2, 10): below them the host can load
// microcode that AMD did not sign. For Turin none is known. Intel judges the others' versions itself.
constexpr std::string_view kStrict =
    R"({"format":1,"name":"strict","tcb":{"accept":["UpToDate"],"allow_advisories":[],"minimum":{"sgx":"any",)"
    R"("tdx":"any","nitro":"any","maa":"any","snp":{"milan":{"reported":{"snp":24},"current":{"snp":24},)"
    R"("committed":{"snp":24},"launch":{"snp":24}},"genoa":{"reported":{"snp":23},"current":{"snp":23},)"
    R"("committed":{"snp":23},"launch":{"snp":23}},"turin":"any"}}},"debug":false,)"
    R"("migratable":false,"service_td":false,"reserved_attributes":false,"vmpl":[0],)"
    R"("require":{"sept_ve_disable":true,"revocation":true,"committed_firmware":true,"token_keys":true},)"
    R"("max_collateral_staleness_seconds":86400})";

constexpr std::string_view kStandard =
    R"({"format":1,"name":"default","tcb":{"accept":["UpToDate","SWHardeningNeeded"]},"debug":false,)"
    R"("migratable":false,"service_td":false,"reserved_attributes":false,"vmpl":[0],)"
    R"("require":{"revocation":true,"token_keys":true}})";

}  // namespace

bool fixes_boot(const PolicyRules& rules, const IdentityRule& identity) {
  const auto is_register = [](const auto& claim) { return claim.first == "rtmr2"; };
  return std::ranges::any_of(identity.claims, is_register) ||
         std::ranges::any_of(rules.conditions, &Condition::fixes_boot);
}

bool fixes_boot(const PolicyRules& rules) {
  if (std::ranges::any_of(rules.conditions, &Condition::fixes_boot)) return true;
  return rules.require_identity && !rules.identities.empty() &&
         std::ranges::all_of(rules.identities, [&](const IdentityRule& rule) { return fixes_boot(rules, rule); });
}

Result<Policy> Policy::parse(std::string_view json) {
  TRY(const auto document, base::JsonDocument::parse(std::string{json}, {.max_bytes = kMaxPolicyDocumentBytes}),
      "policy");
  PolicyFindings findings;
  Policy policy;
  policy.rules_ = read_policy_rules(document->root(), findings);
  if (!findings.empty()) return first_error(findings).at("policy");
  policy.document_ = json;
  policy.sha256_ = crypto::sha256(base::as_bytes(json));
  return policy;
}

namespace {

const Policy& parsed_once(std::string_view document) {
  // Built-in documents go through the same parser as everybody's; the tests prove that they parse.
  static const auto* const policies = [] {
    auto* list = new std::vector<std::pair<std::string_view, Policy>>;
    for (const std::string_view text : {kGenuine, kStandard, kStrict}) {
      auto policy = Policy::parse(text);
      if (!policy.ok()) std::abort();
      list->emplace_back(text, *std::move(policy));
    }
    return list;
  }();
  return std::ranges::find(*policies, document, &std::pair<std::string_view, Policy>::first)->second;
}

}  // namespace

const Policy& Policy::genuine() { return parsed_once(kGenuine); }
const Policy& Policy::standard() { return parsed_once(kStandard); }
const Policy& Policy::strict() { return parsed_once(kStrict); }

const Policy* Policy::builtin(std::string_view name) {
  if (name == "genuine") return &genuine();
  if (name == "default") return &standard();
  if (name == "strict") return &strict();
  return nullptr;
}

}  // namespace attestry::attestation
