#include "attestation/policy.h"

#include <algorithm>
#include <array>
#include <cstdlib>

#include "base/json.h"
#include "crypto/hash.h"

namespace attestry::attestation {
namespace {

using base::Code;
using base::Error;
using base::JsonValue;
using base::Result;

constexpr std::size_t kMaxDocumentBytes = 256 * 1024;
constexpr std::size_t kMaxListEntries = 4096;
constexpr std::size_t kMaxNameBytes = 200;
constexpr std::int64_t kMaxStalenessSeconds = 366LL * 24 * 3600;

/// What a policy can accept, as Intel's library writes it. Revoked is not here: no policy can accept it.
constexpr std::array<std::string_view, 8> kTcbStatuses{"UpToDate",
                                                       "SWHardeningNeeded",
                                                       "ConfigurationNeeded",
                                                       "ConfigurationAndSWHardeningNeeded",
                                                       "OutOfDate",
                                                       "OutOfDateConfigurationNeeded",
                                                       "TDRelaunchAdvised",
                                                       "TDRelaunchAdvisedConfigurationNeeded"};

Error malformed(std::string what, std::string expected, std::string found) {
  return {.code = Code::malformed, .what = std::move(what), .expected = std::move(expected), .found = std::move(found)};
}

template <std::size_t N>
std::string joined(const std::array<std::string_view, N>& words) {
  std::string out;
  for (const std::string_view word : words) out.append(out.empty() ? "" : ", ").append(word);
  return out;
}

Result<std::vector<std::string>> string_list(const JsonValue& value, std::string_view what) {
  if (!value.is_array()) return malformed(std::string{what} + " is no list", "an array of strings", "");
  if (value.size() > kMaxListEntries) return malformed(std::string{what} + " is too long", "at most 4096 entries", "");
  std::vector<std::string> out;
  for (auto item = value.first(); item; item = item->next()) {
    TRY(std::string text, item->string(what));
    out.push_back(std::move(text));
  }
  return out;
}

template <std::size_t N>
Result<std::vector<std::string>> choice_list(const JsonValue& value, std::string_view what,
                                             const std::array<std::string_view, N>& choices) {
  TRY(auto list, string_list(value, what));
  if (list.empty()) return malformed(std::string{what} + " is empty", "at least one of " + joined(choices), "");
  for (const std::string& text : list) {
    if (std::ranges::find(choices, text) == choices.end()) {
      return malformed(std::string{what} + " names an unknown value", "one of " + joined(choices), text);
    }
  }
  return list;
}

/// Levels of a guest; the host's own pseudo-level is in no list.
Result<std::vector<std::uint32_t>> vmpl_list(const JsonValue& value) {
  constexpr std::size_t kLevels = 4;
  if (!value.is_array() || value.size() == 0 || value.size() > kLevels) {
    return malformed("vmpl is no list of levels", "an array of 1 to 4 numbers from 0 to 3", "");
  }
  std::vector<std::uint32_t> out;
  for (auto item = value.first(); item; item = item->next()) {
    TRY(const std::int64_t level, item->integer("vmpl", 0, kLevels - 1));
    out.push_back(static_cast<std::uint32_t>(level));
  }
  return out;
}

Result<bool> flag(const JsonValue& object, std::string_view key, bool otherwise) {
  const auto member = object.find(key);
  if (!member) return otherwise;
  return member->boolean(key);
}

Result<std::vector<std::string>> claim_values(const ClaimInfo& rule, const JsonValue& value) {
  std::vector<std::string> values;
  if (!value.is_array()) {
    TRY(std::string one, parse_claim_value(rule, value));
    values.push_back(std::move(one));
    return values;
  }
  if (value.size() == 0 || value.size() > kMaxListEntries) {
    return malformed(std::string{rule.name} + " has a list of a wrong size", "1 to 4096 values",
                     std::to_string(value.size()));
  }
  for (auto item = value.first(); item; item = item->next()) {
    TRY(std::string one, parse_claim_value(rule, *item));
    values.push_back(std::move(one));
  }
  return values;
}

Result<std::string> name_of(const JsonValue& object, std::string otherwise) {
  const auto member = object.find("name");
  if (!member) return otherwise;
  TRY(std::string name, member->string("name"));
  if (name.empty() || name.size() > kMaxNameBytes) {
    return malformed("name has a wrong length", "1 to 200 bytes", std::to_string(name.size()));
  }
  return name;
}

std::string identifying_claims() {
  std::string out;
  for (const ClaimInfo& claim : claim_dictionary()) {
    if (claim.identifies) out.append(out.empty() ? "" : ", ").append(claim.name);
  }
  return out;
}

Result<std::vector<Condition>> conditions_of(const JsonValue& value) {
  // An empty list would be a rule that asks for nothing.
  constexpr std::size_t kMaxConditions = 1024;
  if (!value.is_array() || value.size() == 0 || value.size() > kMaxConditions) {
    return malformed("conditions is no list of conditions", "1 to 1024 conditions",
                     value.is_array() ? std::to_string(value.size()) : "");
  }
  std::vector<Condition> out;
  for (auto item = value.first(); item; item = item->next()) {
    TRY(Condition condition, Condition::parse(*item), "conditions[" + std::to_string(out.size()) + "]");
    out.push_back(std::move(condition));
  }
  return out;
}

/// {"id": "INTEL-SA-00837", "until": RFC 3339, "reason": "…"}: for a time, and with a reason that a person gave.
Result<AdvisoryWaiver> waiver_of(const JsonValue& value) {
  TRY_OK(value.only({"id", "until", "reason"}));
  AdvisoryWaiver out;
  TRY(const JsonValue id, value.get("id"));
  TRY(out.id, id.string("id"));
  TRY(const JsonValue until, value.get("until"));
  TRY(const std::string time, until.string("until"));
  TRY(out.until, base::parse_rfc3339(time), "until");
  TRY(const JsonValue reason, value.get("reason"));
  TRY(out.reason, reason.string("reason"));
  if (out.id.empty() || out.reason.empty()) return malformed("a waiver without id or reason", "both", "");
  return out;
}

Result<IdentityRule> identity_rule(const JsonValue& value, std::size_t index) {
  TRY_OK(value.only({"name", "claims"}));
  IdentityRule rule;
  TRY(rule.name, name_of(value, "identity " + std::to_string(index + 1)));
  TRY(const JsonValue claims, value.get("claims"));
  if (!claims.is_object()) return malformed("claims is no object", "an object of claim names", "");
  bool identifies = false;
  for (auto member = claims.first(); member; member = member->next()) {
    std::string name = member->key();
    TRY(const ClaimInfo* known, parse_claim_name(name));
    TRY(auto values, claim_values(*known, *member));
    identifies = identifies || known->identifies;
    rule.claims.emplace_back(std::move(name), std::move(values));
  }
  // Without one of these any code would match that leaves the others alone.
  if (!identifies) return malformed("the identity measures no code", "at least one of " + identifying_claims(), "");
  return rule;
}

Result<std::vector<IdentityRule>> identity_rules(const JsonValue& value) {
  if (!value.is_array() || value.size() > kMaxListEntries) {
    return malformed("identities is no list", "an array of at most 4096 identities", "");
  }
  std::vector<IdentityRule> rules;
  for (auto item = value.first(); item; item = item->next()) {
    TRY(IdentityRule rule, identity_rule(*item, rules.size()), "identities[" + std::to_string(rules.size()) + "]");
    rules.push_back(std::move(rule));
  }
  return rules;
}

constexpr std::string_view kGenuine =
    R"({"format":1,"name":"genuine","tcb":{"accept":["UpToDate","SWHardeningNeeded","ConfigurationNeeded",)"
    R"("ConfigurationAndSWHardeningNeeded","OutOfDate","OutOfDateConfigurationNeeded","TDRelaunchAdvised",)"
    R"("TDRelaunchAdvisedConfigurationNeeded"]},"debug":false,"migratable":true,"service_td":true,)"
    R"("reserved_attributes":true,"vmpl":[0,1,2,3],"require":{"revocation":false}})";

constexpr std::string_view kStrict =
    R"({"format":1,"name":"strict","tcb":{"accept":["UpToDate"],"allow_advisories":[]},"debug":false,)"
    R"("migratable":false,"service_td":false,"reserved_attributes":false,"vmpl":[0],)"
    R"("require":{"sept_ve_disable":true,"revocation":true},"max_collateral_staleness_seconds":86400})";

constexpr std::string_view kStandard =
    R"({"format":1,"name":"default","tcb":{"accept":["UpToDate","SWHardeningNeeded"]},"debug":false,)"
    R"("migratable":false,"service_td":false,"reserved_attributes":false,"vmpl":[0],)"
    R"("require":{"revocation":true}})";

}  // namespace

Result<Policy> Policy::parse(std::string_view json) {
  TRY(const auto document, base::JsonDocument::parse(std::string{json}, {.max_bytes = kMaxDocumentBytes}), "policy");
  TRY(Policy policy, from_json(document->root()), "policy");
  policy.document_ = json;
  policy.sha256_ = crypto::sha256(base::as_bytes(json));
  return policy;
}

Result<Policy> Policy::from_json(const JsonValue& root) {
  if (!root.is_object()) return malformed("the document is no object", "{\"format\":1, ...}", "");
  TRY_OK(root.only({"format", "name", "platforms", "tcb", "debug", "migratable", "service_td", "reserved_attributes",
                    "vmpl", "require", "identities", "conditions", "max_collateral_staleness_seconds"}));
  TRY(const JsonValue format, root.get("format"));
  TRY_OK(format.integer("format (this program knows format 1)", 1, 1));
  Policy policy;
  TRY(policy.name_, name_of(root, "policy"));
  if (const auto platforms = root.find("platforms")) {
    constexpr std::array<std::string_view, 5> kPlatforms{"sgx", "tdx", "snp", "nitro", "maa"};
    TRY(policy.platforms_, choice_list(*platforms, "platforms", kPlatforms));
  }
  TRY_OK(policy.read_tcb(root), "tcb");
  TRY(policy.allow_debug_, flag(root, "debug", false));
  TRY(policy.allow_migratable_, flag(root, "migratable", false));
  TRY(policy.allow_service_td_, flag(root, "service_td", false));
  TRY(policy.allow_reserved_attributes_, flag(root, "reserved_attributes", false));
  if (const auto vmpl = root.find("vmpl")) {
    TRY(policy.vmpl_, vmpl_list(*vmpl));
  }
  if (const auto require = root.find("require")) {
    if (!require->is_object()) return malformed("require is no object", "{\"sept_ve_disable\": true}", "");
    TRY_OK(require->only({"sept_ve_disable", "revocation"}), "require");
    TRY(policy.require_sept_ve_disable_, flag(*require, "sept_ve_disable", false));
    TRY(policy.require_revocation_, flag(*require, "revocation", true));
  }
  if (const auto identities = root.find("identities")) {
    TRY(policy.identities_, identity_rules(*identities));
    policy.require_identity_ = true;
  }
  if (const auto conditions = root.find("conditions")) {
    TRY(policy.conditions_, conditions_of(*conditions));
  }
  if (const auto staleness = root.find("max_collateral_staleness_seconds")) {
    TRY(policy.max_staleness_seconds_, staleness->integer("max_collateral_staleness_seconds", 0, kMaxStalenessSeconds));
  }
  return policy;
}

base::Status Policy::read_tcb(const JsonValue& root) {
  accept_tcb_ = {"UpToDate", "SWHardeningNeeded"};
  const auto tcb = root.find("tcb");
  if (!tcb) return base::done();
  if (!tcb->is_object()) return malformed("it is no object", "{\"accept\": [...]}", "");
  TRY_OK(tcb->only({"accept", "allow_advisories", "waive_advisories", "min_evaluation_number", "min_date"}));
  if (const auto accept = tcb->find("accept")) {
    TRY(accept_tcb_, choice_list(*accept, "accept", kTcbStatuses));
  }
  if (const auto advisories = tcb->find("allow_advisories")) {
    TRY(allow_advisories_, string_list(*advisories, "allow_advisories"));
  }
  if (const auto waivers = tcb->find("waive_advisories")) {
    if (!allow_advisories_)
      return malformed("waive_advisories", "allow_advisories beside it, else every one is allowed", "");
    if (!waivers->is_array() || waivers->size() > kMaxListEntries)
      return malformed("waive_advisories is no list", "an array", "");
    for (auto item = waivers->first(); item; item = item->next()) {
      TRY(AdvisoryWaiver waiver, waiver_of(*item), "waive_advisories[" + std::to_string(waivers_.size()) + "]");
      waivers_.push_back(std::move(waiver));
    }
  }
  if (const auto date = tcb->find("min_date")) {
    TRY(const std::string text, date->string("min_date"));
    TRY(min_tcb_date_, base::parse_rfc3339(text), "min_date");
  }
  if (const auto number = tcb->find("min_evaluation_number")) {
    constexpr std::int64_t kMaxNumber = 0xffffffff;
    TRY(const std::int64_t least, number->integer("min_evaluation_number", 0, kMaxNumber));
    min_evaluation_number_ = static_cast<std::uint32_t>(least);
  }
  return base::done();
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
