// Mistakes of a policy document, each with its place: whoever corrects a document wants all of them at once.
#pragma once
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace attestry::attestation {

struct PolicyFinding {
  enum class Severity : std::uint8_t { error, warning };
  Severity severity = Severity::error;
  std::string path;   ///< "conditions[2].any_of[0]"; empty: the whole document
  base::Error error;  ///< what, expected, found, remedy; code `malformed`
};
using PolicyFindings = std::vector<PolicyFinding>;

/// "tcb" and "accept" make "tcb.accept".
std::string path_of(std::string_view parent, std::string_view member);
/// "conditions" and 2 make "conditions[2]".
std::string path_of(std::string_view parent, std::size_t index);

void add_finding(PolicyFindings& findings, std::string path, base::Error error);

/// Every member of `object` that is not one of `keys`, each with a suggestion. False when there was one, or when this
/// is no object.
bool only_members(const base::JsonValue& object, std::string_view path, std::initializer_list<std::string_view> keys,
                  PolicyFindings& findings);

/// Keeps the value, or the mistake. False when there was one.
template <class T, class Target>
bool take(PolicyFindings& findings, std::string path, base::Result<T> read, Target& out) {
  if (read.ok()) {
    out = *std::move(read);
    return true;
  }
  add_finding(findings, std::move(path), std::move(read).error());
  return false;
}

/// The first mistake as an error that names its place.
base::Error first_error(const PolicyFindings& findings);

}  // namespace attestry::attestation
