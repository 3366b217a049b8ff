// An audit of a key manager's contract: the history out of the chain or out of a folder, the evidence that it names,
// and what each step rests on. `attestry keymanager audit` prints it.
#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "app/cli.h"
#include "app/keymanager_commands.h"
#include "app/verify_inputs.h"
#include "provision/keymanager_history.h"

namespace attestry::app {

struct AuditOptions : KeyManagerOptions {
  std::uint64_t from = 0;              ///< first block that is asked for
  std::vector<std::string> beacons{};  ///< for blobs
  std::string save{};                  ///< folder
  std::string offline{};               ///< folder that was saved
  VerifyInputs verify{};               ///< anchors, collateral, policy, time
  std::vector<std::string> codes{};    ///< SHA-256 of contracts' code that count besides this program's
  provision::AuditRules rules{};       ///< `identities` is the policy's
  bool ignore_unanswered = false;
};

struct AuditedStep {
  provision::AuditStep step;
  std::vector<provision::AuditCheck> checks{};  ///< all of it
  attestation::Outcome outcome{};
  bool simulated = false;
  std::optional<provision::PostedEvidence> shown{};  ///< of which the checks speak
};

struct AuditResult {
  provision::KeyManagerHistory history;
  provision::AuditCheck code{};  ///< whether the contract is one whose events say all
  std::vector<AuditedStep> steps{};
  /// Of the code and of the steps that may have given somebody the key; `undecided` when there is none.
  attestation::Outcome outcome{};
};

/// Errors: `unavailable` when the chain, its blobs or collateral's services do not answer as needed for the question,
/// `denied` when the history is not whole, `usage`, `malformed` for a folder that was not saved so.
base::Result<AuditResult> audit_keymanager(Context& context, AuditOptions options);

/// The same bytes for the same history, evidence, collateral, anchors and policy.
std::string audit_json(const AuditResult& result);
std::string audit_text(const AuditResult& result);

}  // namespace attestry::app
