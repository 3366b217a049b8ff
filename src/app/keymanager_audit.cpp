#include "app/keymanager_audit.h"

#include <stdlib.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <ostream>

#include "app/evidence_files.h"
#include "app/typed_text.h"
#include "attestation/catalogue.h"
#include "base/encoding.h"
#include "base/json_writer.h"
#include "chain/blob_data.h"
#include "chain/keymanager_abi.h"
#include "crypto/hash.h"

namespace attestry::app {

using attestation::Outcome;
using base::Bytes;
using base::Code;
using base::Error;
using base::Result;
using provision::AuditCheck;
using provision::AuditStep;
using provision::KeyManagerHistory;
namespace abi = chain::keymanager;
namespace fs = std::filesystem;

namespace {

constexpr std::size_t kMaxHistoryFile = 256u << 20;

/// The folder of one audit: history.json, evidence/HASH.bin, collateral/HASH.json. A temporary one goes with it.
class AuditFolder {
 public:
  static Result<std::unique_ptr<AuditFolder>> make(const std::string& named) {
    std::unique_ptr<AuditFolder> out{new AuditFolder};
    out->path_ = named;
    if (named.empty()) {
      std::string pattern = (fs::temp_directory_path() / "attestry-audit-XXXXXX").string();
      if (::mkdtemp(pattern.data()) == nullptr) return Error{Code::io, "cannot make a temporary folder"};
      out->path_ = pattern;
      out->temporary_ = true;
    }
    std::error_code failure;
    fs::create_directories(out->path_ / "evidence", failure);
    if (!failure) fs::create_directories(out->path_ / "collateral", failure);
    if (failure) return Error{Code::io, "cannot write into " + out->path_.string(), {}, failure.message()};
    return out;
  }
  static std::unique_ptr<AuditFolder> of(const std::string& saved) {
    std::unique_ptr<AuditFolder> out{new AuditFolder};
    out->path_ = saved;
    return out;
  }
  AuditFolder(const AuditFolder&) = delete;
  AuditFolder& operator=(const AuditFolder&) = delete;
  ~AuditFolder() {
    std::error_code ignored;
    if (temporary_) fs::remove_all(path_, ignored);
  }

  fs::path history() const { return path_ / "history.json"; }
  fs::path evidence(const chain::Word& hash) const { return path_ / "evidence" / (base::hex(hash) + ".bin"); }
  fs::path collateral(const chain::Word& hash) const { return path_ / "collateral" / (base::hex(hash) + ".json"); }

 private:
  AuditFolder() = default;
  fs::path path_;
  bool temporary_ = false;
};

base::Status write_file(const fs::path& path, std::string_view text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(text.data(), static_cast<std::streamsize>(text.size()));
  file.close();
  if (!file) return Error{Code::io, "cannot write " + path.string()};
  return base::done();
}

// -- the history out of the chain

/// What only one endpoint is asked, because what it says proves itself or decides nothing.
Result<chain::RpcAnswers> ask_any(ChainSession& session, const std::vector<chain::RpcRequest>& requests) {
  Error last{Code::unavailable, "no endpoint answers"};
  for (chain::Endpoint* endpoint : session.endpoints()) {
    auto answers = endpoint->batch(requests, session.deadline());
    if (answers.ok()) return answers;
    last = answers.error();
  }
  return last;
}

base::Status add_times(ChainSession& session, KeyManagerHistory& history) {
  std::vector<chain::RpcRequest> requests;
  std::vector<std::uint64_t> blocks;
  for (const auto& log : history.logs) {
    if (!blocks.empty() && blocks.back() == log.block) continue;
    blocks.push_back(log.block);
    requests.push_back({"eth_getBlockByNumber", {chain::quantity(log.block), false}});
  }
  TRY(const auto answers, ask_any(session, requests));
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const auto& block = answers.answers[i].result;
    const auto stamp = block ? block->find("timestamp") : std::nullopt;
    if (!stamp) return Error{Code::unavailable, "the endpoint has no block " + std::to_string(blocks[i])};
    TRY(const std::uint64_t seconds, chain::parse_quantity(*stamp, "timestamp"));
    history.times[blocks[i]] = {static_cast<std::int64_t>(seconds)};
  }
  return base::done();
}

/// Call data of the transactions that an audit looks into.
base::Status add_inputs(ChainSession& session, KeyManagerHistory& history) {
  const std::vector<base::Digest32> wanted{abi::topic<abi::XPubRotated>(), abi::topic<abi::EvidencePosted>(),
                                           abi::topic<abi::JoinRequested>(), abi::topic<abi::Onboarded>()};
  std::vector<base::Digest32> hashes;
  std::vector<chain::RpcRequest> requests;
  for (const auto& log : history.logs) {
    const bool needed = !log.topics.empty() && std::ranges::find(wanted, log.topics.front()) != wanted.end();
    if (!needed || std::ranges::find(hashes, log.transaction) != hashes.end()) continue;
    hashes.push_back(log.transaction);
    requests.push_back({"eth_getTransactionByHash", {chain::hex_data(log.transaction)}});
  }
  if (requests.empty()) return base::done();
  TRY(const auto answers, ask_any(session, requests));
  for (std::size_t i = 0; i < hashes.size(); ++i) {
    const auto& found = answers.answers[i].result;
    const auto input = found ? found->find("input") : std::nullopt;
    if (!input) continue;  // what needs it says so
    TRY(history.inputs[hashes[i]], chain::parse_data(*input, "input"));
  }
  return base::done();
}

Result<KeyManagerHistory> read_chain(ChainSession& session, const AuditOptions& options, base::UtcTime at) {
  KeyManagerHistory out;
  out.contract = {.chain_id = options.chain.chain_id, .address = session.contract()};
  TRY(out.head, session.find_contract());
  TRY(const Bytes code, session.code(session.contract(), out.head), "the contract's code");
  out.code = crypto::sha256(code);
  out.at = at;
  TRY(out.logs, session.reader().logs({session.contract(), options.from, out.head.number, {}}, session.deadline()));
  const std::vector<chain::Call> calls{abi::kXPub.at(session.contract()), abi::kEpoch.at(session.contract())};
  TRY(const auto outcomes, session.reader().call(out.head, calls, session.deadline()));
  TRY(out.key, abi::kXPub.result(outcomes[0]));
  TRY(out.epoch, abi::kEpoch.result(outcomes[1]));
  if (!out.logs.empty()) TRY_OK(add_times(session, out));
  TRY_OK(add_inputs(session, out));
  return out;
}

// -- evidence

/// Out of call data or a blob, into the folder. Nothing is written when nobody has it any more.
base::Status fetch_evidence(ChainSession& session, const AuditOptions& options, const KeyManagerHistory& history,
                            const provision::PostedEvidence& posted, const AuditFolder& folder) {
  const auto input = history.inputs.find(posted.transaction);
  if (input != history.inputs.end()) {
    const auto found = provision::evidence_in(input->second, posted.hash);
    if (found) return write_file(folder.evidence(posted.hash), base::as_text(*found));
  }
  if (posted.blob_hash == chain::Word{}) return base::done();
  const auto time = history.times.find(posted.block);
  const chain::BlobSources sources{
      .beacons = options.beacons, .endpoints = session.endpoints(), .http = &session.http()};
  const auto blob = chain::fetch_blob(
      sources,
      {.number = posted.block, .hash = {}, .time = time == history.times.end() ? base::UtcTime{} : time->second},
      posted.blob_hash, session.deadline());
  if (!blob.ok() && blob.error().code == Code::not_found) return base::done();
  TRY_OK(blob);
  const auto data = chain::blob_unpack(*blob);
  if (!data.ok()) return base::done();  // not a form of ours: as good as none
  return write_file(folder.evidence(posted.hash), base::as_text(*data));
}

/// Evidence of a step, out of the folder: that it is what the contract named, by its hash and as its blob.
AuditCheck posted_check(const provision::PostedEvidence& posted, const KeyManagerHistory& history,
                        const AuditFolder& folder) {
  const bool as_blob = posted.blob_hash != chain::Word{};
  std::ifstream file(folder.evidence(posted.hash), std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!file || text.empty()) {
    return {"posted", Outcome::undecided,
            as_blob ? "its blob 0x" + base::hex(posted.blob_hash) + " is not kept by anybody that was asked"
                    : "its call data are not known"};
  }
  const auto bytes = base::as_bytes(text);
  if (crypto::sha256(bytes) != posted.hash) return {"posted", Outcome::refused, "its SHA-256 is another one"};
  const auto input = history.inputs.find(posted.transaction);
  if (input != history.inputs.end() && provision::evidence_in(input->second, posted.hash)) {
    return {"posted", Outcome::accepted, "in the call data"};
  }
  const auto packed = chain::blob_pack(bytes);
  if (packed.ok() && chain::check_blob(*packed, posted.blob_hash).ok()) {
    return {"posted", Outcome::accepted, "in the blob 0x" + base::hex(posted.blob_hash)};
  }
  return {"posted", Outcome::refused, "it is not in the blob that the contract names"};
}

AuditCheck verdict_check(const attestation::Verdict& verdict) {
  std::string detail{attestation::to_text(verdict.outcome)};
  if (const auto* cause = verdict.root_cause()) detail += ": " + std::string{attestation::info(cause->check).id};
  if (verdict.simulated) detail += ", of a simulated TEE";
  return {"verdict", verdict.outcome, std::move(detail)};
}

/// What one piece of evidence says of a step.
Result<AuditedStep> judge_posted(Context& context, const AuditOptions& options, const KeyManagerHistory& history,
                                 const AuditStep& step, const provision::PostedEvidence& posted,
                                 const AuditFolder& folder) {
  AuditedStep out{.step = step, .shown = posted};
  out.checks.push_back(posted_check(posted, history, folder));
  if (out.checks.front().outcome == Outcome::accepted) {
    VerifyInputs inputs = options.verify;
    inputs.evidence = folder.evidence(posted.hash).string();
    if (options.offline.empty()) {
      inputs.save = folder.collateral(posted.hash).string();
    } else {
      inputs.offline = true;
      inputs.at = base::to_rfc3339(history.at);
      if (fs::exists(folder.collateral(posted.hash))) {
        inputs.collateral.push_back(folder.collateral(posted.hash).string());
      }
    }
    TRY(const JudgedEvidence judged, judge_evidence(context, inputs));
    out.simulated = judged.verdict.simulated;
    out.checks.push_back(verdict_check(judged.verdict));
    std::ranges::move(provision::compare(step, history.contract, judged.verdict, options.rules),
                      std::back_inserter(out.checks));
  }
  out.outcome = provision::outcome_of(out.checks);
  return out;
}

/// The first piece that holds; else what came with the step itself; else nothing, because a stranger may post anything
/// about everybody.
Result<AuditedStep> judge_evidence_of(Context& context, const AuditOptions& options, const KeyManagerHistory& history,
                                      const AuditStep& step, const AuditFolder& folder) {
  std::optional<AuditedStep> own;
  for (const auto& posted : step.evidence) {
    TRY(auto judged, judge_posted(context, options, history, step, posted, folder));
    if (judged.outcome == Outcome::accepted) return judged;
    const bool came_with_it = step.kind == provision::StepKind::onboarding || posted.transaction == step.transaction;
    if (came_with_it && !own) own = std::move(judged);
  }
  if (own) return *std::move(own);
  AuditedStep none{.step = step};
  none.checks.push_back({"posted", Outcome::undecided,
                         step.evidence.empty()
                             ? "no evidence was ever posted"
                             : "what was posted later does not hold, and anybody may have posted it"});
  return none;
}

Result<AuditedStep> judge_step(Context& context, const AuditOptions& options, const KeyManagerHistory& history,
                               const AuditStep& step, const AuditFolder& folder) {
  if (step.kind == provision::StepKind::deregistration) {
    return AuditedStep{.step = step, .checks = step.checks, .outcome = Outcome::accepted};
  }
  TRY(auto out, judge_evidence_of(context, options, history, step, folder));
  out.checks.insert(out.checks.begin() + 1, step.checks.begin(), step.checks.end());  // behind "posted"
  out.outcome = provision::outcome_of(out.checks);
  if (step.kind == provision::StepKind::request && step.counts() && out.outcome != Outcome::accepted) {
    out.checks.push_back({"answer", Outcome::undecided,
                          "nobody answered it on the chain; whether a member did off it, the members' logs say"});
    out.outcome = Outcome::undecided;
  }
  return out;
}

/// Other code may keep members of which no event says anything.
Result<AuditCheck> check_code(const AuditOptions& options, const KeyManagerHistory& history) {
  if (!history.code) return AuditCheck{"code", Outcome::undecided, "the folder does not say which code it was"};
  const std::string name = "SHA-256 " + base::hex(*history.code);
  TRY(const auto code, contract_code(ContractKind::key_manager));
  if (*history.code == crypto::sha256(code.deployed)) return AuditCheck{"code", Outcome::accepted, "this program's"};
  for (const std::string& text : options.codes) {
    TRY(const auto known, parse_word(text, "--code-sha256"));
    if (known == *history.code) return AuditCheck{"code", Outcome::accepted, name + ", which --code-sha256 names"};
  }
  return AuditCheck{"code", Outcome::undecided, name + " is not this program's: what it does not log, nobody sees"};
}

Outcome overall(const AuditResult& result, const AuditOptions& options) {
  std::vector<AuditCheck> counted;
  for (const auto& one : result.steps) {
    const bool unanswered = one.step.kind == provision::StepKind::request;
    if (one.step.counts() && !(unanswered && options.ignore_unanswered)) counted.push_back({"", one.outcome, ""});
  }
  if (!counted.empty()) counted.push_back(result.code);
  return provision::outcome_of(counted);
}

/// Of the history that is there, the evidence is too, as far as anybody has it.
Result<KeyManagerHistory> gather(Context& context, const AuditOptions& options, base::UtcTime at,
                                 const AuditFolder& folder) {
  if (!options.offline.empty()) {
    TRY(const Bytes bytes, read_input(context, folder.history().string(), kMaxHistoryFile), "--offline");
    TRY(auto saved, KeyManagerHistory::parse(std::string{base::as_text(bytes)}), folder.history().string());
    if (!options.verify.at.empty()) saved.at = at;
    return saved;
  }
  TRY(const auto session, ChainSession::open(options.chain, context));
  TRY(auto history, read_chain(*session, options, at));
  TRY(const auto steps, provision::steps_of(history));
  for (const AuditStep& step : steps) {
    for (const auto& posted : step.evidence) TRY_OK(fetch_evidence(*session, options, history, posted, folder));
  }
  TRY_OK(write_file(folder.history(), history.to_json()));
  return history;
}

}  // namespace

Result<AuditResult> audit_keymanager(Context& context, AuditOptions options) {
  if (!options.offline.empty() && !options.save.empty()) {
    return Error{Code::usage, "--offline and --save exclude each other", "one of them"};
  }
  TRY(const base::UtcTime at, time_of(context, options.verify.at));
  TRY(const auto policy, policy_named(context, options.verify.policy), "--policy");
  options.rules.identities = policy.rules().require_identity;
  options.rules.machine_suffices = options.rules.machine_suffices || options.rules.mrtd_suffices;
  std::unique_ptr<AuditFolder> folder = AuditFolder::of(options.offline);
  if (options.offline.empty()) {
    TRY_OK(resolve_network(options));
    TRY(folder, AuditFolder::make(options.save));
  }
  AuditResult out;
  TRY(out.history, gather(context, options, at, *folder));
  if (!options.chain.contract.empty()) {
    TRY(const auto asked, typed_address(options.chain.contract), "CONTRACT");
    if (asked != out.history.contract.address) {
      return Error{Code::usage, "the folder holds the history of another contract",
                   curves::address_checksum_text(asked), curves::address_checksum_text(out.history.contract.address)};
    }
  }
  TRY(const auto steps, provision::steps_of(out.history));
  for (const AuditStep& step : steps) {
    TRY(auto judged, judge_step(context, options, out.history, step, *folder));
    out.steps.push_back(std::move(judged));
  }
  TRY(out.code, check_code(options, out.history));
  out.outcome = overall(out, options);
  return out;
}

// -- for people and programs

namespace {

std::string subject_of(const AuditStep& step) {
  return step.first_generation ? "(first generation)" : curves::address_checksum_text(step.subject);
}

std::string time_text(const KeyManagerHistory& history, std::uint64_t block) {
  const auto found = history.times.find(block);
  return found == history.times.end() ? "" : base::to_rfc3339(found->second);
}

}  // namespace

std::string audit_json(const AuditResult& result) {
  const auto& history = result.history;
  base::JsonOutArray steps;
  for (const auto& one : result.steps) {
    base::JsonOutArray checks;
    for (const auto& check : one.checks) {
      checks.emplace_back(base::JsonOutObject{{"name", check.name},
                                              {"outcome", std::string{attestation::to_text(check.outcome)}},
                                              {"detail", check.detail}});
    }
    base::JsonOutObject step{{"kind", std::string{to_text(one.step.kind)}},
                             {"block", one.step.block},
                             {"time", time_text(history, one.step.block)},
                             {"transaction", chain::hex_data(one.step.transaction)},
                             {"subject", subject_of(one.step)},
                             {"epoch", std::uint64_t{one.step.epoch}},
                             {"counts", one.step.counts()},
                             {"outcome", std::string{attestation::to_text(one.outcome)}},
                             {"simulated", one.simulated},
                             {"checks", std::move(checks)}};
    if (one.shown) {
      step.emplace_back("evidence_sha256", base::hex(one.shown->hash));
      if (one.shown->blob_hash != chain::Word{}) step.emplace_back("blob", chain::hex_data(one.shown->blob_hash));
    }
    steps.emplace_back(std::move(step));
  }
  base::JsonOutObject out{
      {"contract", curves::address_checksum_text(history.contract.address)},
      {"chain_id", history.contract.chain_id},
      {"block", history.head.number},
      {"block_hash", chain::hex_data(history.head.hash)},
      {"at", base::to_rfc3339(history.at)},
      {"code_sha256", history.code ? base::JsonOut{base::hex(*history.code)} : base::JsonOut{}},
      {"code", std::string{attestation::to_text(result.code.outcome)}},
      {"xPub", curves::address_checksum_text(history.key)},
      {"epoch", std::uint64_t{history.epoch}},
      {"outcome", std::string{attestation::to_text(result.outcome)}},
      {"steps", std::move(steps)},
  };
  return base::JsonOut{std::move(out)}.pretty() + "\n";
}

std::string audit_text(const AuditResult& result) {
  const auto& history = result.history;
  const auto pad = [](std::string text, std::size_t width) {
    return text + std::string(text.size() < width ? width - text.size() : 1, ' ');
  };
  std::string out = "contract " + curves::address_checksum_text(history.contract.address) + " on chain " +
                    std::to_string(history.contract.chain_id) + " up to block " + std::to_string(history.head.number) +
                    "\nevidence judged as of " + base::to_rfc3339(history.at) +
                    "\ncode: " + std::string{attestation::to_text(result.code.outcome)} + ", " + result.code.detail +
                    "\n\n";
  out += pad("STEP", 16) + pad("BLOCK", 10) + pad("EPOCH", 7) + pad("SUBJECT", 44) + "OUTCOME\n";
  for (const auto& one : result.steps) {
    out += pad(std::string{to_text(one.step.kind)}, 16) + pad(std::to_string(one.step.block), 10) +
           pad(std::to_string(one.step.epoch), 7) + pad(subject_of(one.step), 44) +
           std::string{attestation::to_text(one.outcome)} + (one.step.counts() ? "" : " (does not count)") + "\n";
    for (const auto& check : one.checks) {
      out +=
          "  " + pad(check.name, 12) + pad(std::string{attestation::to_text(check.outcome)}, 11) + check.detail + "\n";
    }
  }
  if (result.steps.empty()) out += "(nobody has had a key yet)\n";
  return out + "\n" + std::string{attestation::to_text(result.outcome)} + "\n";
}

}  // namespace attestry::app
