#include "provision/keymanager_history.h"

#include <algorithm>
#include <iterator>

#include "base/encoding.h"
#include "chain/abi.h"
#include "chain/registry_abi.h"
#include "crypto/hash.h"
#include "curves/secp256k1.h"
#include "keys/keymanager_dialects.h"

namespace attestry::provision {

using attestation::Outcome;
using base::Bytes;
using base::ByteView;
using base::Code;
using base::Error;
using base::Result;
namespace abi = chain::keymanager;

namespace {

constexpr std::size_t kVrsBytes = 65;

/// Who signed: vrs; nothing for what is no signature.
std::optional<curves::Address> signer_of(const base::Digest32& digest, ByteView vrs) {
  if (vrs.size() != kVrsBytes || vrs[0] < 27 || vrs[0] > 28) return std::nullopt;
  Bytes rsv = base::to_bytes(vrs.subspan(1));
  rsv.push_back(static_cast<std::uint8_t>(vrs[0] - 27));
  const auto key = curves::secp256k1_recover(digest, rsv);
  if (!key.ok()) return std::nullopt;
  return curves::ethereum_address(*key);
}

/// The arguments of every call of that function in the data, wherever they begin: a wallet wraps what it calls.
template <class... A>
std::vector<std::tuple<A...>> calls_in(ByteView input, const chain::registry::Function<abi::Nothing, A...>& function) {
  std::vector<std::tuple<A...>> out;
  const auto wanted = function.selector();
  for (std::size_t at = 0; at + wanted.size() <= input.size(); ++at) {
    if (!base::equal(input.subspan(at, wanted.size()), wanted)) continue;
    auto arguments = function.arguments(input.subspan(at));
    if (arguments.ok()) out.push_back(*std::move(arguments));
  }
  return out;
}

/// The state of the contract while its events are read.
class Replay {
 public:
  explicit Replay(const KeyManagerHistory& history) : history_(history) {}

  Result<std::vector<AuditStep>> run() {
    TRY_OK(check_beginning());
    for (const auto& log : history_.logs) {
      TRY(const auto event, abi::read(log));
      if (event) std::visit([&](const auto& e) { on(log, e); }, *event);
    }
    if (key_ != history_.key || epoch_ != history_.epoch) {
      return Error{Code::denied, "the events do not lead to the key that the contract has",
                   curves::address_checksum_text(history_.key) + ", epoch " + std::to_string(history_.epoch),
                   curves::address_checksum_text(key_) + ", epoch " + std::to_string(epoch_),
                   "Events are missing, or this is no contract of ours: ask other endpoints."};
    }
    return std::move(steps_);
  }

 private:
  /// The first event is the constructor's: nothing came before.
  base::Status check_beginning() const {
    const bool whole = !history_.logs.empty() && history_.logs.front().topics.size() == 3 &&
                       history_.logs.front().topics[0] == chain::registry::kOwnershipTransferred.topic() &&
                       history_.logs.front().topics[1] == chain::Word{};
    if (whole) return base::done();
    return Error{
        Code::denied, "the history does not begin with the contract", "its creation as the first event",
        history_.logs.empty() ? "no event" : "another one, in block " + std::to_string(history_.logs.front().block),
        "Begin with the block in which it was deployed, or before: --from BLOCK."};
  }

  AuditStep& begin(StepKind kind, const chain::LogRecord& log, const curves::Address& subject) {
    steps_.push_back({.kind = kind,
                      .block = log.block,
                      .transaction = log.transaction,
                      .subject = subject,
                      .epoch = epoch_,
                      .master = key_,
                      .lists = lists_});
    return steps_.back();
  }
  ByteView input_of(const chain::LogRecord& log) const {
    const auto found = history_.inputs.find(log.transaction);
    return found == history_.inputs.end() ? ByteView{} : ByteView{found->second};
  }

  void on(const chain::LogRecord& log, const abi::BootstrapComplete& e) {
    key_ = e.key;
    ++epoch_;
    begin(StepKind::bootstrap, log, e.key);
  }
  void on(const chain::LogRecord& log, const abi::XPubRotated& e) {
    key_ = e.key;
    epoch_ = e.epoch;
    AuditStep& step = begin(StepKind::rotation, log, e.key);
    const auto digest = keys::keymanager_rotation_digest(history_.contract, e.key, e.epoch);
    std::optional<bool> good;
    for (const auto& [key, signature, hash, evidence] : calls_in(input_of(log), abi::kRotate)) {
      if (key == e.key) good = good.value_or(false) || signer_of(digest, signature) == e.key;
    }
    step.checks.push_back(signature_check(good, "the new key signed the rotation"));
  }
  /// Belongs to the newest step that put that key in force. Anybody may post: it is collected, not believed.
  void on(const chain::LogRecord& log, const abi::EvidencePosted& e) {
    for (auto step = steps_.rbegin(); step != steps_.rend(); ++step) {
      const bool wants = step->kind == StepKind::bootstrap || step->kind == StepKind::rotation;
      if (!wants || step->subject != e.subject) continue;
      step->evidence.push_back({e.evidence_hash, e.blob_hash, log.transaction, log.block});
      return;
    }
  }
  void on(const chain::LogRecord& log, const abi::JoinRequested& e) {
    AuditStep& step = begin(StepKind::request, log, e.member);
    step.evidence.push_back({e.evidence_hash, e.blob_hash, log.transaction, log.block});
    step.box_key = e.box_key;
    const auto digest =
        keys::keymanager_join_digest(history_.contract, {e.member, e.box_key, e.by, e.evidence_hash, epoch_});
    std::optional<bool> good;
    for (const auto& [member, box_key, signature, hash, evidence] : calls_in(input_of(log), abi::kJoin)) {
      if (member == e.member) good = good.value_or(false) || signer_of(digest, signature) == e.member;
    }
    step.checks.push_back(signature_check(good, "the newcomer signed the request"));
  }
  void on(const chain::LogRecord& log, const abi::Onboarded& e) {
    std::optional<AuditStep> asked;
    for (AuditStep& step : steps_) {
      if (step.kind != StepKind::request || step.subject != e.member || step.epoch != epoch_) continue;
      step.answered = true;
      asked = step;
    }
    AuditStep& step = begin(StepKind::onboarding, log, e.member);
    step.fmspc = e.fmspc;
    step.measurement = e.measurement;
    if (asked) {
      step.evidence = asked->evidence;
      step.box_key = asked->box_key;
      step.checks = asked->checks;
    }
    step.checks.push_back(onboarding_signature(log, e));
  }
  AuditCheck onboarding_signature(const chain::LogRecord& log, const abi::Onboarded& e) const {
    const auto ours =
        keys::keymanager_onboard_digest(history_.contract, e.member, {e.fmspc, e.measurement, e.response, epoch_});
    const auto known = keys::keymanager_v2::onboard_digest(e.member, e.fmspc, e.measurement, e.response);
    std::optional<bool> good;
    bool unbound = false;
    for (const auto& [member, fmspc, measurement, response, signature] : calls_in(input_of(log), abi::kOnboard)) {
      if (member != e.member) continue;
      const bool bound = signer_of(ours, signature) == key_;
      const bool known_form = !bound && lists_.unbound_onboarding && signer_of(known, signature) == key_;
      unbound = known_form || (unbound && !bound);
      good = good.value_or(false) || bound || known_form;
    }
    return signature_check(good, unbound ? "the master key signed the answer, in a form that names no contract"
                                         : "the master key signed the answer");
  }
  void on(const chain::LogRecord& log, const abi::OnboardedKey& /*event*/) {
    begin(StepKind::onboarding, log, {}).first_generation = true;
  }
  void on(const chain::LogRecord& log, const abi::Deregistered& e) { begin(StepKind::deregistration, log, e.member); }
  void on(const chain::LogRecord& log, const abi::KeyDeregistered& /*event*/) {
    begin(StepKind::deregistration, log, {}).first_generation = true;
  }
  /// The lists of the step that began the epoch go on to take in what is allowed later: the owner may put a key in
  /// force first and then say what may have it.
  void extend(auto&& add) {
    for (auto step = steps_.rbegin(); step != steps_.rend(); ++step) {
      if (step->kind != StepKind::bootstrap && step->kind != StepKind::rotation) continue;
      add(step->lists);
      return;
    }
  }
  void on(const chain::LogRecord& /*log*/, const abi::MrtdAllowed& e) {
    put(lists_.mrtds, e.measurement, e.allowed);
    if (e.allowed) extend([&e](KeyManagerLists& lists) { lists.mrtds.insert(e.measurement); });
  }
  void on(const chain::LogRecord& /*log*/, const abi::MrenclaveAllowed& e) {
    put(lists_.mrenclaves, e.measurement, e.allowed);
    if (e.allowed) extend([&e](KeyManagerLists& lists) { lists.mrenclaves.insert(e.measurement); });
  }
  void on(const chain::LogRecord& /*log*/, const abi::MachineAllowed& e) {
    base::FixedBytes<48> mrtd{}, rtmr0{}, rtmr3{};
    if (e.mrtd.size() != 48 || e.rtmr0.size() != 48 || e.rtmr3.size() != 48) return;
    std::ranges::copy(e.mrtd, mrtd.begin());
    std::ranges::copy(e.rtmr0, rtmr0.begin());
    std::ranges::copy(e.rtmr3, rtmr3.begin());
    const auto key = keys::replicatoor::machine_key(e.rootfs, mrtd, rtmr0, rtmr3);
    if (e.allowed) {
      lists_.machines[key] = e;
      extend([&](KeyManagerLists& lists) { lists.machines[key] = e; });
    } else {
      lists_.machines.erase(key);
    }
  }
  void on(const chain::LogRecord& /*log*/, const abi::TcbAllowed& e) {
    if (e.rule.statuses == 0) {
      lists_.tcbs.erase(e.fmspc);
    } else {
      lists_.tcbs[e.fmspc] = {e.rule};
      extend([&e](KeyManagerLists& lists) { lists.tcbs[e.fmspc].push_back(e.rule); });
    }
  }
  void on(const chain::LogRecord& /*log*/, const abi::UnboundOnboardingSet& e) {
    lists_.unbound_onboarding = e.accepted;
  }
  void on(const chain::LogRecord& /*log*/, const auto& /*others decide nothing*/) {}

  static void put(std::set<chain::Word>& list, const chain::Word& word, bool allowed) {
    if (allowed) {
      list.insert(word);
    } else {
      list.erase(word);
    }
  }
  static AuditCheck signature_check(std::optional<bool> good, std::string what) {
    // The contract looked at the signature itself; call data are what one node says, and prove nothing against anybody.
    if (!good) return {"signature", Outcome::undecided, "no call data with it are known"};
    if (!*good) return {"signature", Outcome::undecided, "the call data that a node gave hold none that is good"};
    return {"signature", Outcome::accepted, std::move(what)};
  }

  const KeyManagerHistory& history_;
  curves::Address key_{};
  abi::Epoch epoch_ = 0;
  KeyManagerLists lists_{};
  std::vector<AuditStep> steps_{};
};

// -- what evidence says

/// The bytes of a claim; empty when the evidence makes none.
Bytes claimed(const attestation::Verdict& verdict, std::string_view name) {
  const auto* claim = verdict.claim(name);
  if (claim == nullptr) return {};
  auto bytes = base::hex_decode(claim->value);
  return bytes.ok() ? *std::move(bytes) : Bytes{};
}

/// A word that the lists may know software by, and whether it says all of what runs.
struct SoftwareName {
  chain::Word word{};
  bool whole = false;
  std::string_view what{};
};

/// Every one of them, the whole ones first.
std::vector<SoftwareName> names_of(const attestation::Verdict& verdict, const KeyManagerLists& lists,
                                   const AuditRules& rules) {
  std::vector<SoftwareName> out;
  const Bytes mrenclave = claimed(verdict, "mrenclave");
  if (mrenclave.size() == std::tuple_size_v<chain::Word>) {
    out.push_back({.whole = true, .what = "MRENCLAVE"});
    std::ranges::copy(mrenclave, out.back().word.begin());
  }
  const Bytes mrtd = claimed(verdict, "mrtd");
  for (const auto& [key, machine] : lists.machines) {
    if (machine.mrtd == mrtd && machine.rtmr0 == claimed(verdict, "rtmr0") &&
        machine.rtmr3 == claimed(verdict, "rtmr3")) {
      out.push_back({key, rules.identities || rules.machine_suffices, "MRTD, RTMR0 and RTMR3 say"});
    }
  }
  if (!mrtd.empty()) {
    out.push_back({crypto::sha256(mrtd), rules.identities || rules.mrtd_suffices, "MRTD says"});
  }
  std::vector<SoftwareName> ordered;
  for (const bool whole : {true, false}) {
    std::ranges::copy_if(out, std::back_inserter(ordered), [&](const SoftwareName& one) { return one.whole == whole; });
  }
  return ordered;
}

AuditCheck check(std::string name, bool good, std::string detail) {
  return {std::move(name), good ? Outcome::accepted : Outcome::refused, std::move(detail)};
}

AuditCheck binding(const AuditStep& step, const keys::KeyManagerContract& contract,
                   const attestation::Verdict& verdict) {
  const auto says = [&verdict](const base::Digest32& head) {
    return keys::report_data_form(verdict.report_data, head).has_value();
  };
  constexpr const char* kOurs = "made for this contract and epoch";
  constexpr const char* kKnown = "made for this key; the form of known generations names no contract";
  if (!step.box_key) {
    if (says(keys::keymanager_bootstrap_head(contract, step.subject, step.epoch))) {
      return check("binding", true, kOurs);
    }
    const bool known = says(keys::keymanager_v2::bootstrap_head(step.subject)) ||
                       says(keys::keymanager_v1::bootstrap_head(step.subject));
    return check("binding", known, known ? kKnown : "the report data were made for something else");
  }
  if (says(keys::keymanager_newcomer_head(contract, step.subject, *step.box_key, step.epoch))) {
    return check("binding", true, kOurs);
  }
  const bool known = says(keys::keymanager_v2::register_head(*step.box_key, step.subject));
  return check("binding", known, known ? kKnown : "the report data were made for something else");
}

AuditCheck software(const AuditStep& step, const attestation::Verdict& verdict, const AuditRules& rules) {
  const bool onboarded = step.kind == StepKind::onboarding;
  const auto names = names_of(verdict, step.lists, rules);
  const auto told = std::ranges::find_if(names, [&](const SoftwareName& one) { return one.word == step.measurement; });
  if (onboarded && told == names.end()) {
    return check(
        "software", false,
        "the contract was told 0x" + base::hex(step.measurement) + ", which is not what the evidence measures");
  }
  const auto listed =
      onboarded ? told : std::ranges::find_if(names, [&](const auto& one) { return step.lists.allows(one.word); });
  if (listed == names.end() || !step.lists.allows(listed->word)) {
    return check("software", false,
                 names.empty() ? "the evidence has no measurement that the lists know"
                               : "0x" + base::hex(names.front().word) + " was not listed then");
  }
  const std::string name = "0x" + base::hex(listed->word);
  if (!listed->whole) {
    return {"software", Outcome::undecided,
            name + " was listed, but " + std::string{listed->what} +
                " which firmware ran, and not what it booted: give a --policy with identities"};
  }
  return check("software", true, name + (onboarded ? " was listed then" : " was listed in its epoch"));
}

AuditCheck platform(const AuditStep& step, const attestation::Verdict& verdict) {
  const Bytes fmspc = claimed(verdict, "fmspc");
  abi::FmspcWord word{};
  if (fmspc.size() != 6) return check("platform", false, "the evidence names no family of platforms");
  std::ranges::copy(fmspc, word.begin());
  const std::string name = base::hex(fmspc);
  if (step.kind == StepKind::onboarding && word != step.fmspc) {
    return check("platform", false, "the contract was told another family than " + name);
  }
  const auto rule = step.lists.tcbs.find(word);
  if (rule == step.lists.tcbs.end()) return check("platform", false, "family " + name + " was not listed then");
  if (!verdict.tcb) return {"platform", Outcome::undecided, "its TCB status is not known"};
  const auto evaluation = verdict.tcb->evaluation_number.value_or(0);
  const bool taken = std::ranges::any_of(
      rule->second, [&](const abi::TcbRule& one) { return abi::takes(one, verdict.tcb->status, evaluation); });
  return check("platform", taken,
               "family " + name + ", " + verdict.tcb->status + " by TCB evaluation " + std::to_string(evaluation));
}

}  // namespace

bool KeyManagerLists::allows(const chain::Word& measurement) const {
  return mrtds.contains(measurement) || mrenclaves.contains(measurement) || machines.contains(measurement);
}

std::string_view to_text(StepKind kind) noexcept {
  constexpr std::array<std::string_view, 5> kNames{"bootstrap", "rotation", "request", "onboarding", "deregistration"};
  return kNames.at(static_cast<std::size_t>(kind));
}

Result<std::vector<AuditStep>> steps_of(const KeyManagerHistory& history) { return Replay{history}.run(); }

std::optional<Bytes> evidence_in(ByteView input, const chain::Word& hash) {
  const auto is_it = [&hash](const Bytes& bytes) { return !bytes.empty() && crypto::sha256(bytes) == hash; };
  for (const auto& arguments : calls_in(input, abi::kBootstrapWithEvidence)) {
    if (is_it(std::get<2>(arguments))) return std::get<2>(arguments);
  }
  for (const auto& arguments : calls_in(input, abi::kPostEvidence)) {
    if (is_it(std::get<2>(arguments))) return std::get<2>(arguments);
  }
  for (const auto& arguments : calls_in(input, abi::kRotate)) {
    if (is_it(std::get<3>(arguments))) return std::get<3>(arguments);
  }
  for (const auto& arguments : calls_in(input, abi::kJoin)) {
    if (is_it(std::get<4>(arguments))) return std::get<4>(arguments);
  }
  return std::nullopt;
}

std::vector<AuditCheck> compare(const AuditStep& step, const keys::KeyManagerContract& contract,
                                const attestation::Verdict& verdict, const AuditRules& rules) {
  return {binding(step, contract, verdict), software(step, verdict, rules), platform(step, verdict)};
}

Outcome outcome_of(const std::vector<AuditCheck>& checks) {
  const auto has = [&checks](Outcome outcome) {
    return std::ranges::any_of(checks, [outcome](const AuditCheck& one) { return one.outcome == outcome; });
  };
  if (has(Outcome::refused)) return Outcome::refused;
  return has(Outcome::undecided) || checks.empty() ? Outcome::undecided : Outcome::accepted;
}

}  // namespace attestry::provision
