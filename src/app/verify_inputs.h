// The inputs of `attestry verify`, for every command that judges evidence: evidence, collateral, time, anchors, policy.
#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "app/cli.h"
#include "appraisal/stored_appraisal.h"
#include "attestation/policy.h"
#include "base/result.h"

namespace attestry::app {

inline constexpr std::size_t kMaxKeySetBytes = 1u << 20;  ///< of a file with a token issuer's keys

struct VerifyInputs {
  std::string evidence;
  std::vector<std::string> collateral;
  std::string at;
  std::vector<std::string> trust;
  std::vector<std::string> issuers;
  std::vector<std::string> key_sets;  ///< ISSUER=FILE
  std::vector<std::string> event_logs;
  std::vector<std::string> place_lists;
  std::optional<std::string> report_data;
  std::optional<std::string> nonce;
  std::optional<std::string> nonce_hex;
  std::string policy = "default";
  std::optional<std::string> pcs;
  std::string pcs_ca;
  std::optional<std::string> kds;
  std::string kds_ca;
  std::string save;
  bool offline = false;
};

/// All flags but the evidence itself.
void add_verify_inputs(CLI::App& command, VerifyInputs& inputs);

struct JudgedEvidence {
  attestation::Verdict verdict;
  appraisal::AppraisalInputs inputs;
};
/// Reads, fetches what is missing and may be fetched, verifies, and evaluates the policy.
base::Result<JudgedEvidence> judge_evidence(Context& context, const VerifyInputs& inputs);

/// A built-in policy's name or a file. Error `usage`.
base::Result<attestation::Policy> policy_named(Context& context, const std::string& name);

/// Of "accepted", "refused", "undecided".
int exit_code_of(std::string_view verdict);

}  // namespace attestry::app
