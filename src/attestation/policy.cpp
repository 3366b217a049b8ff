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

/// Claims that an identity may name. Size 0: a decimal number.
struct ClaimRule {
  std::string_view name;
  std::size_t bytes;
  bool identifies;  ///< measures code: an identity needs at least one of these, and zeros there approve nothing
};
constexpr std::array<ClaimRule, 31> kClaims{{
    {"mrtd", 48, true},
    {"rtmr0", 48, false},
    {"rtmr1", 48, false},
    {"rtmr2", 48, false},
    {"rtmr3", 48, false},
    {"mrseam", 48, false},
    {"mrsignerseam", 48, false},
    {"mrconfigid", 48, false},
    {"mrowner", 48, false},
    {"mrownerconfig", 48, false},
    {"mrservicetd", 48, false},
    {"init_servtd_hash", 48, false},
    {"cur_servtd_hash", 48, false},
    {"init_servtd_attributes", 8, false},
    {"cur_servtd_attributes", 8, false},
    {"td_id", 32, false},
    {"vmid", 1, false},
    {"td_attributes", 8, false},
    {"seam_attributes", 8, false},
    {"xfam", 8, false},
    {"mrenclave", 32, true},
    {"mrsigner", 32, true},
    {"isvprodid", 0, false},
    {"isvsvn", 0, false},
    {"attributes", 16, false},
    {"miscselect", 4, false},
    {"isvextprodid", 16, false},
    {"isvfamilyid", 16, false},
    {"configid", 64, false},
    {"configsvn", 0, false},
    {"report_data", 64, false},
}};

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

Result<bool> flag(const JsonValue& object, std::string_view key, bool otherwise) {
  const auto member = object.find(key);
  if (!member) return otherwise;
  return member->boolean(key);
}

const ClaimRule* claim_rule(std::string_view name) {
  const auto found = std::ranges::find(kClaims, name, &ClaimRule::name);
  return found == kClaims.end() ? nullptr : &*found;
}

Error unknown_claim(const std::string& name) {
  std::string known;
  for (const ClaimRule& rule : kClaims) known.append(known.empty() ? "" : ", ").append(rule.name);
  return malformed("unknown claim", "one of " + known, name);
}

Result<std::string> claim_value(const ClaimRule& rule, const JsonValue& value) {
  if (rule.bytes == 0) {
    constexpr std::int64_t kMaxNumber = 0xffff;
    TRY(const std::int64_t number, value.integer(rule.name, 0, kMaxNumber));
    return std::to_string(number);
  }
  TRY(std::string text, value.string(rule.name));
  const bool all_hex = std::ranges::all_of(
      text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); });
  if (!all_hex || text.size() != 2 * rule.bytes) {
    return malformed(std::string{rule.name} + " has a wrong value", std::to_string(2 * rule.bytes) + " hex digits",
                     text.substr(0, 2 * rule.bytes + 1));
  }
  for (char& c : text) {
    if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
  }
  if (rule.identifies && std::ranges::all_of(text, [](char c) { return c == '0'; })) {
    return malformed(std::string{rule.name} + " is all zero", "a real measurement", "zeros");
  }
  return text;
}

Result<std::vector<std::string>> claim_values(const ClaimRule& rule, const JsonValue& value) {
  std::vector<std::string> values;
  if (!value.is_array()) {
    TRY(std::string one, claim_value(rule, value));
    values.push_back(std::move(one));
    return values;
  }
  if (value.size() == 0 || value.size() > kMaxListEntries) {
    return malformed(std::string{rule.name} + " has a list of a wrong size", "1 to 4096 values",
                     std::to_string(value.size()));
  }
  for (auto item = value.first(); item; item = item->next()) {
    TRY(std::string one, claim_value(rule, *item));
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

Result<IdentityRule> identity_rule(const JsonValue& value, std::size_t index) {
  TRY_OK(value.only({"name", "claims"}));
  IdentityRule rule;
  TRY(rule.name, name_of(value, "identity " + std::to_string(index + 1)));
  TRY(const JsonValue claims, value.get("claims"));
  if (!claims.is_object()) return malformed("claims is no object", "an object of claim names", "");
  bool identifies = false;
  for (auto member = claims.first(); member; member = member->next()) {
    std::string name = member->key();
    const ClaimRule* known = claim_rule(name);
    if (known == nullptr) return unknown_claim(name);
    TRY(auto values, claim_values(*known, *member));
    identifies = identifies || known->identifies;
    rule.claims.emplace_back(std::move(name), std::move(values));
  }
  // Without one of these any code would match that leaves the others alone.
  if (!identifies) return malformed("the identity measures no code", "at least one of mrtd, mrenclave, mrsigner", "");
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
    R"("reserved_attributes":true})";

constexpr std::string_view kStandard =
    R"({"format":1,"name":"default","tcb":{"accept":["UpToDate","SWHardeningNeeded"]},"debug":false,)"
    R"("migratable":false,"service_td":false,"reserved_attributes":false})";

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
                    "require", "identities", "max_collateral_staleness_seconds"}));
  TRY(const JsonValue format, root.get("format"));
  TRY_OK(format.integer("format (this program knows format 1)", 1, 1));
  Policy policy;
  TRY(policy.name_, name_of(root, "policy"));
  if (const auto platforms = root.find("platforms")) {
    constexpr std::array<std::string_view, 2> kPlatforms{"sgx", "tdx"};
    TRY(policy.platforms_, choice_list(*platforms, "platforms", kPlatforms));
  }
  TRY_OK(policy.read_tcb(root), "tcb");
  TRY(policy.allow_debug_, flag(root, "debug", false));
  TRY(policy.allow_migratable_, flag(root, "migratable", false));
  TRY(policy.allow_service_td_, flag(root, "service_td", false));
  TRY(policy.allow_reserved_attributes_, flag(root, "reserved_attributes", false));
  if (const auto require = root.find("require")) {
    if (!require->is_object()) return malformed("require is no object", "{\"sept_ve_disable\": true}", "");
    TRY_OK(require->only({"sept_ve_disable"}), "require");
    TRY(policy.require_sept_ve_disable_, flag(*require, "sept_ve_disable", false));
  }
  if (const auto identities = root.find("identities")) {
    TRY(policy.identities_, identity_rules(*identities));
    policy.require_identity_ = true;
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
  TRY_OK(tcb->only({"accept", "allow_advisories", "min_evaluation_number"}));
  if (const auto accept = tcb->find("accept")) {
    TRY(accept_tcb_, choice_list(*accept, "accept", kTcbStatuses));
  }
  if (const auto advisories = tcb->find("allow_advisories")) {
    TRY(allow_advisories_, string_list(*advisories, "allow_advisories"));
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
    for (const std::string_view text : {kGenuine, kStandard}) {
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

const Policy* Policy::builtin(std::string_view name) {
  if (name == "genuine") return &genuine();
  if (name == "default") return &standard();
  return nullptr;
}

}  // namespace attestry::attestation
