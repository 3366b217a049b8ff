// What the history of a key manager's contract says, step by step, for auditors: who got the master key, on which
// evidence, under which lists, and who signed. Pure, thread-safe; whoever fetches the history believes nobody but the
// chain's logs (docs/how-to/audit-a-key-manager.md).
#pragma once
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "attestation/verdict.h"
#include "base/result.h"
#include "chain/keymanager_abi.h"
#include "keys/keymanager_digests.h"

namespace attestry::provision {

/// All that an audit rests on, but the evidence and its collateral.
struct KeyManagerHistory {
  keys::KeyManagerContract contract{};
  chain::BlockRef head{};                          ///< up to which it goes
  base::UtcTime at{};                              ///< as of which evidence is judged
  std::optional<base::Digest32> code{};            ///< SHA-256 of what stands there at the head; of old files: nothing
  curves::Address key{};                           ///< xPub at the head
  chain::keymanager::Epoch epoch = 0;              ///< at the head
  std::vector<chain::LogRecord> logs{};            ///< of the contract, all, in the order of the chain
  std::map<std::uint64_t, base::UtcTime> times{};  ///< of their blocks, as a node says
  std::map<base::Digest32, base::Bytes> inputs{};  ///< call data by transaction, where a node had it

  /// Deterministic.
  std::string to_json() const;
  /// Strict; error `malformed`.
  static base::Result<KeyManagerHistory> parse(std::string text);
};

/// The lists at one point of the history.
struct KeyManagerLists {
  std::set<chain::Word> mrtds{}, mrenclaves{};
  std::map<chain::Word, chain::keymanager::MachineAllowed> machines{};
  /// One at a time; with what was allowed later in an epoch, all of them.
  std::map<chain::keymanager::FmspcWord, std::vector<chain::keymanager::TcbRule>> tcbs{};
  bool unbound_onboarding = false;
  bool allows(const chain::Word& measurement) const;
};

/// One thing that was looked at.
struct AuditCheck {
  std::string name{};
  attestation::Outcome outcome{};
  std::string detail{};
};

struct PostedEvidence {
  chain::Word hash{};       ///< SHA-256
  chain::Word blob_hash{};  ///< zeros: in the call data
  base::Digest32 transaction{};
  std::uint64_t block = 0;
};

enum class StepKind : std::uint8_t { bootstrap, rotation, request, onboarding, deregistration };
std::string_view to_text(StepKind kind) noexcept;

/// One step of the history that concerns who has the key.
struct AuditStep {
  StepKind kind{};
  std::uint64_t block = 0;
  base::Digest32 transaction{};
  curves::Address subject{};  ///< the new key, or the newcomer
  chain::keymanager::Epoch epoch = 0;
  curves::Address master{};  ///< xPub that signed, of an onboarding
  KeyManagerLists lists{};   ///< then; of a new key, with what was allowed later in its epoch
  /// All that was posted about it: anybody may, so only what holds says something.
  std::vector<PostedEvidence> evidence{};
  std::optional<chain::Word> box_key{};
  chain::keymanager::FmspcWord fmspc{};  ///< what an onboarding says of the platform
  chain::Word measurement{};
  bool first_generation = false;     ///< known by its X25519 key; the subject is none
  bool answered = false;             ///< of a request: somebody was onboarded for it
  std::vector<AuditCheck> checks{};  ///< of the signatures, from steps_of()
  /// Whether it may have given somebody the key. A departure takes nothing. A request that was answered is the
  /// onboarding's; what a member answered off the chain nobody sees, so one that was not answered counts, too.
  bool counts() const { return kind != StepKind::deregistration && !(kind == StepKind::request && answered); }
};

/// What besides the lists has to be known of a machine, as with the members (keymanager.policy, …).
struct AuditRules {
  bool identities = false;  ///< the policy that judged the evidence names what boots
  bool mrtd_suffices = false;
  bool machine_suffices = false;
};

/// In the order of the chain. Error `denied` when the history is not whole: it does not begin with the contract's
/// creation, or does not lead to the key and the epoch that the contract has.
base::Result<std::vector<AuditStep>> steps_of(const KeyManagerHistory& history);

/// The evidence out of call data that carries it, also inside the call of a wallet; nothing when it is not there.
std::optional<base::Bytes> evidence_in(base::ByteView input, const chain::Word& hash);

/// What the evidence says against what the step needs: binding of the report data, measurement, lists, platform.
/// `verdict`: the verifier's, made without an expected report data.
std::vector<AuditCheck> compare(const AuditStep& step, const keys::KeyManagerContract& contract,
                                const attestation::Verdict& verdict, const AuditRules& rules);

/// Refused when one is, else undecided when one is.
attestation::Outcome outcome_of(const std::vector<AuditCheck>& checks);

}  // namespace attestry::provision
