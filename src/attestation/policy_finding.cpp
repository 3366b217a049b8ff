#include "attestation/policy_finding.h"

#include <algorithm>

#include "base/suggest.h"
#include "base/utf8.h"

namespace attestry::attestation {

using base::Code;
using base::Error;

std::string path_of(std::string_view parent, std::string_view member) {
  return parent.empty() ? std::string{member} : std::string{parent} + "." + std::string{member};
}

std::string path_of(std::string_view parent, std::size_t index) {
  return std::string{parent} + "[" + std::to_string(index) + "]";
}

void add_finding(PolicyFindings& findings, std::string path, Error error) {
  // A list of a million mistakes helps nobody, and documents come from strangers too.
  constexpr std::size_t kMostFindings = 1000;
  if (findings.size() >= kMostFindings) return;
  findings.push_back({.path = std::move(path), .error = std::move(error)});
}

bool only_members(const base::JsonValue& object, std::string_view path, std::initializer_list<std::string_view> keys,
                  PolicyFindings& findings) {
  if (!object.is_object()) {
    add_finding(findings, std::string{path}, {.code = Code::malformed, .what = "no object", .expected = "an object"});
    return false;
  }
  bool all_known = true;
  for (auto member = object.first(); member; member = member->next()) {
    const std::string key = member->key();
    if (std::ranges::find(keys, std::string_view{key}) != keys.end()) continue;
    all_known = false;
    Error error{.code = Code::malformed, .what = "unknown member", .found = std::string{base::utf8_prefix(key, 120)}};
    for (const std::string_view known : keys) error.expected.append(error.expected.empty() ? "" : ", ").append(known);
    const std::string_view guess = base::nearest(key, {keys.begin(), keys.size()});
    error.remedy = guess.empty() ? "Remove it." : "Did you mean " + std::string{guess} + "?";
    add_finding(findings, std::string{path}, std::move(error));
  }
  return all_known;
}

Error first_error(const PolicyFindings& findings) {
  const auto first = std::ranges::find(findings, PolicyFinding::Severity::error, &PolicyFinding::severity);
  Error error = first->error;
  if (!first->path.empty()) error.at(first->path);
  return error;
}

}  // namespace attestry::attestation
