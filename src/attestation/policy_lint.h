// What is wrong with a policy document although it may parse: all of it, each with its place. Pure; time is an
// argument.
#pragma once
#include <string_view>

#include "attestation/policy_finding.h"
#include "base/time.h"

namespace attestry::attestation {

/// Every mistake that Policy::parse() would refuse, and what parses but cannot be meant: conditions that no evidence
/// meets (they contradict each other, or ask for claims that the listed platforms do not have), identities that no
/// evidence can match, waivers that are past, an empty list of identities; and as warnings what is double or never
/// used.
PolicyFindings lint_policy(std::string_view json, base::UtcTime now);

/// No finding is an error.
bool is_sound(const PolicyFindings& findings) noexcept;
std::string_view to_text(PolicyFinding::Severity severity) noexcept;

}  // namespace attestry::attestation
