#include "attestation/policy_schema.h"

#include <algorithm>
#include <map>

#include "attestation/claim_dictionary.h"
#include "attestation/conditions.h"
#include "attestation/tcb_minimum.h"
#include "base/json_writer.h"

namespace attestry::attestation {
namespace {

using base::JsonOut;
using base::JsonOutArray;
using base::JsonOutObject;

constexpr std::int64_t kMaxNumber = (std::int64_t{1} << 53) - 1;
constexpr int kMaxValues = 4096;

JsonOut reference(const std::string& name) { return JsonOutObject{{"$ref", "#/$defs/" + name}}; }

JsonOutObject number(std::int64_t least, std::int64_t most) {
  return {{"type", "integer"}, {"minimum", least}, {"maximum", most}};
}

JsonOutObject list(JsonOut items, int least, int most) {
  return {{"type", "array"}, {"minItems", least}, {"maxItems", most}, {"items", std::move(items)}};
}

template <class Words>
JsonOutArray words(const Words& from) {
  JsonOutArray out;
  for (const std::string_view word : from) out.emplace_back(word);
  return out;
}

JsonOutObject object(JsonOutObject members, const std::vector<std::string_view>& required = {}) {
  JsonOutObject out{{"type", "object"}, {"additionalProperties", false}, {"properties", std::move(members)}};
  if (!required.empty()) out.emplace_back("required", words(required));
  return out;
}

JsonOutObject filled_object(JsonOutObject members) {
  auto out = object(std::move(members));
  out.emplace_back("minProperties", 1);
  return out;
}

JsonOutObject described(JsonOutObject schema, std::string_view description) {
  schema.emplace_back("description", description);
  return schema;
}

std::string hex_pattern(const ClaimInfo& claim) {
  return claim.size == 0 ? "^([0-9a-fA-F]{2}){0,2048}$" : "^[0-9a-fA-F]{" + std::to_string(2 * claim.size) + "}$";
}

JsonOutObject value_schema(const ClaimInfo& claim) {
  switch (claim.type) {
    case ClaimType::number:
      return number(0, kMaxNumber);
    case ClaimType::boolean:
      return {{"type", "boolean"}};
    case ClaimType::text:
      return {{"type", "string"}, {"maxLength", 4096}};
    case ClaimType::bytes:
      break;
  }
  JsonOutObject out{{"type", "string"}, {"pattern", hex_pattern(claim)}};
  // All-zero measurements are no measurements.
  if (claim.identifies) out.emplace_back("not", JsonOutObject{{"pattern", "^0*$"}});
  return out;
}

/// Claims that look alike share one definition: its name says what they are.
std::string shape_of(const ClaimInfo& claim) {
  std::string out{to_text(claim.type)};
  if (claim.type == ClaimType::bytes) out += claim.size == 0 ? "_any" : "_" + std::to_string(claim.size);
  if (claim.identifies) out += "_measurement";
  return out;
}

/// Of each shape the first claim, and the names of all.
std::map<std::string, std::pair<const ClaimInfo*, std::vector<std::string_view>>> shapes() {
  std::map<std::string, std::pair<const ClaimInfo*, std::vector<std::string_view>>> out;
  for (const ClaimInfo& claim : claim_dictionary()) {
    auto& [first, names] = out[shape_of(claim)];
    if (first == nullptr) first = &claim;
    names.push_back(claim.name);
  }
  return out;
}

/// One condition on a claim of this shape: the claim and exactly one operator.
JsonOutObject leaf(const std::string& shape, const ClaimInfo& claim, const std::vector<std::string_view>& names) {
  const JsonOut value = reference("value_" + shape);
  JsonOutObject members{{"claim", JsonOutObject{{"enum", words(names)}}},
                        {"equals", value},
                        {"one_of", list(value, 1, kMaxValues)},
                        {"in_list", reference("name")}};
  if (claim.type == ClaimType::number) {
    members.emplace_back("at_least", number(0, kMaxNumber));
    members.emplace_back("at_most", number(0, kMaxNumber));
  }
  if (claim.type == ClaimType::bytes) {
    const std::string mask = claim.size == 0 ? "^([0-9a-fA-F]{2}){1,2048}$" : hex_pattern(claim);
    const JsonOutObject mask_schema{{"type", "string"}, {"pattern", mask}, {"not", JsonOutObject{{"pattern", "^0*$"}}}};
    members.emplace_back("bits_set", mask_schema);
    members.emplace_back("bits_clear", mask_schema);
    const std::string most = claim.size == 0 ? "4096" : std::to_string(2 * claim.size);
    members.emplace_back("prefix", JsonOutObject{{"type", "string"}, {"pattern", "^[0-9a-fA-F]{1," + most + "}$"}});
  }
  if (claim.type == ClaimType::text) {
    members.emplace_back("prefix", JsonOutObject{{"type", "string"}, {"minLength", 1}, {"maxLength", 4096}});
  }
  auto out = object(std::move(members), {"claim"});
  out.emplace_back("minProperties", 2);
  out.emplace_back("maxProperties", 2);
  return out;
}

JsonOutObject group(const char* key, int depth) {
  return object({{key, list(reference("condition_" + std::to_string(depth - 1)), 1, 256)}}, {key});
}

/// condition_N: at most N more any_of and all_of inside one another.
void add_conditions(JsonOutObject& defs) {
  JsonOutArray leaves;
  for (const auto& [shape, of] : shapes()) {
    const JsonOut value = reference("value_" + shape);
    defs.emplace_back("value_" + shape, value_schema(*of.first));
    defs.emplace_back("values_" + shape, JsonOutObject{{"anyOf", JsonOutArray{value, list(value, 1, kMaxValues)}}});
    leaves.emplace_back(leaf(shape, *of.first, of.second));
  }
  defs.emplace_back("condition_0", JsonOutObject{{"anyOf", std::move(leaves)}});
  for (int depth = 1; depth <= kMaxConditionDepth; ++depth) {
    defs.emplace_back("condition_" + std::to_string(depth),
                      JsonOutObject{{"anyOf", JsonOutArray{reference("condition_0"), group("any_of", depth),
                                                           group("all_of", depth)}}});
  }
}

JsonOutObject identity() {
  JsonOutObject claims;
  JsonOutArray identifying;
  for (const ClaimInfo& claim : claim_dictionary()) {
    claims.emplace_back(claim.name, reference("values_" + shape_of(claim)));
    if (claim.identifies) identifying.emplace_back(JsonOutObject{{"required", JsonOutArray{claim.name}}});
  }
  auto of = object(std::move(claims));
  of.emplace_back("anyOf", std::move(identifying));
  return object({{"name", reference("text")}, {"source", reference("text")}, {"claims", std::move(of)}}, {"claims"});
}

JsonOutObject any_or(JsonOutObject of) {
  return {{"anyOf", JsonOutArray{JsonOutObject{{"const", "any"}}, std::move(of)}}};
}

/// At least one version that is not 0: every version reaches 0.
JsonOutObject versions(const JsonOutObject& components) {
  JsonOutArray one_above_zero;
  for (const auto& [name, svn] : components) {
    one_above_zero.emplace_back(JsonOutObject{{"required", JsonOutArray{name}},
                                              {"properties", JsonOutObject{{name, JsonOutObject{{"minimum", 1}}}}}});
  }
  auto out = object(components);
  out.emplace_back("anyOf", std::move(one_above_zero));
  return out;
}

JsonOutObject minimum() {
  const JsonOut svn = number(0, 255);
  const JsonOut isv = number(1, 65535);
  auto svns = list(svn, 1, 16);
  svns.emplace_back("contains", JsonOutObject{{"minimum", 1}});
  const JsonOutObject sgx{{"components", svns}, {"pcesvn", isv}, {"qe_isvsvn", isv}};
  JsonOutObject tdx = sgx;
  tdx.emplace_back("tdx_components", svns);
  JsonOutObject families;
  for (const std::string_view family : kSnpFamilies) {
    JsonOutObject components;
    for (const std::string_view name : kSnpComponents) {
      if (name != "fmc" || family == "turin") components.emplace_back(name, svn);
    }
    JsonOutObject tcbs;
    for (const std::string_view tcb : kSnpTcbs) tcbs.emplace_back(tcb, versions(components));
    families.emplace_back(family, any_or(filled_object(std::move(tcbs))));
  }
  return filled_object({{"sgx", any_or(filled_object(sgx))},
                        {"tdx", any_or(filled_object(std::move(tdx)))},
                        {"snp", any_or(filled_object(std::move(families)))},
                        {"nitro", JsonOutObject{{"const", "any"}}},
                        {"maa", JsonOutObject{{"const", "any"}}}});
}

JsonOutObject tcb() {
  const JsonOutArray statuses{"UpToDate",
                              "SWHardeningNeeded",
                              "ConfigurationNeeded",
                              "ConfigurationAndSWHardeningNeeded",
                              "OutOfDate",
                              "OutOfDateConfigurationNeeded",
                              "TDRelaunchAdvised",
                              "TDRelaunchAdvisedConfigurationNeeded"};
  const JsonOut waiver =
      object({{"id", reference("text")}, {"until", reference("time")}, {"reason", reference("text")}},
             {"id", "until", "reason"});
  auto out = object({{"accept", list(JsonOutObject{{"enum", statuses}}, 1, kMaxValues)},
                     {"allow_advisories", list(reference("text"), 0, kMaxValues)},
                     {"waive_advisories", list(waiver, 1, kMaxValues)},
                     {"min_evaluation_number", number(0, 0xffffffff)},
                     {"min_date", reference("time")},
                     {"minimum", minimum()}});
  out.emplace_back("dependentRequired", JsonOutObject{{"waive_advisories", JsonOutArray{"allow_advisories"}}});
  return out;
}

JsonOut set_reference() {
  return JsonOutObject{
      {"anyOf", JsonOutArray{JsonOutObject{{"type", "string"}, {"pattern", "^set:[a-z0-9][a-z0-9._-]{0,62}$"}},
                             object({{"set", reference("name")}, {"approvals", number(1, 64)}}, {"set"})}}};
}

JsonOutObject members() {
  const JsonOutObject flag{{"type", "boolean"}};
  const JsonOut key = JsonOutObject{{"type", "string"}, {"pattern", "^[0-9a-fA-F]{64}$"}};
  const JsonOut signed_list =
      object({{"name", reference("name")}, {"keys", list(key, 1, 16)}, {"threshold", number(1, 16)}}, {"name", "keys"});
  const JsonOut event_log = object(
      {{"registers", list(JsonOutObject{{"enum", JsonOutArray{"rtmr0", "rtmr1", "rtmr2", "rtmr3"}}}, 1, kMaxValues)},
       {"trust_log_labels", described(flag, "true believes labels that no register covers")}});
  constexpr std::int64_t kYear = 366LL * 24 * 3600;
  return {
      {"format", JsonOutObject{{"const", 1}}},
      {"name", reference("text")},
      {"platforms", list(JsonOutObject{{"enum", JsonOutArray{"sgx", "tdx", "snp", "nitro", "maa"}}}, 1, kMaxValues)},
      {"tcb", tcb()},
      {"debug", described(flag, "true allows it")},
      {"migratable", described(flag, "true allows it")},
      {"service_td", described(flag, "true allows it")},
      {"reserved_attributes", described(flag, "true allows it")},
      {"vmpl", list(number(0, 3), 1, 4)},
      {"require", object({{"sept_ve_disable", flag},
                          {"revocation", flag},
                          {"committed_firmware", flag},
                          {"secure_boot", flag},
                          {"event_log", JsonOutObject{{"anyOf", JsonOutArray{flag, event_log}}}},
                          {"token_keys", flag}})},
      {"identities", list(reference("identity"), 0, kMaxValues)},
      {"identities_from", list(set_reference(), 1, 64)},
      {"lists", list(signed_list, 1, 64)},
      {"conditions", list(reference("condition_" + std::to_string(kMaxConditionDepth)), 1, 1024)},
      {"max_age_seconds", number(0, kYear)},
      {"max_collateral_staleness_seconds", number(0, kYear)}};
}

}  // namespace

std::string policy_schema_json() {
  JsonOutObject defs{
      {"text", JsonOutObject{{"type", "string"}, {"minLength", 1}, {"maxLength", 200}}},
      {"name", JsonOutObject{{"type", "string"}, {"pattern", "^[a-z0-9][a-z0-9._-]{0,62}$"}}},
      {"time", JsonOutObject{{"type", "string"},
                             {"format", "date-time"},
                             {"pattern", R"(^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$)"}}},
      {"identity", identity()}};
  add_conditions(defs);
  auto out = object(members(), {"format"});
  JsonOutObject schema{{"$schema", "https://json-schema.org/draft/2020-12/schema"},
                       {"$id", "urn:attestry:schema:policy:1"},
                       {"title", "attestry policy, format 1"},
                       {"description", "What a relying party accepts of genuine evidence: docs/reference/policy.md"}};
  for (auto& member : out) schema.push_back(std::move(member));
  schema.emplace_back("$defs", std::move(defs));
  return JsonOut{std::move(schema)}.pretty();
}

}  // namespace attestry::attestation
