// `attestry verify`: evidence and collateral in, a verdict out. Whatever is wrong with the input is a failed check; an
// error is only what keeps the question from being asked.
#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <optional>
#include <ostream>

#include "app/appraisal_files.h"
#include "app/cli.h"
#include "app/evidence_files.h"
#include "app/outputs.h"
#include "app/shelf_files.h"
#include "app/verify_inputs.h"
#include "appraisal/replay.h"
#include "attestation/artefact.h"
#include "attestation/event_logs.h"
#include "attestation/eventlog/log.h"
#include "attestation/policy.h"
#include "attestation/verifier.h"
#include "base/encoding.h"
#include "collateral/bundle.h"
#include "collateral/pcs.h"
#include "collateral/shelf.h"
#include "collateral/vault.h"
#include "collateral/vendors.h"
#include "net/client.h"

namespace attestry::app {
namespace {

constexpr std::size_t kMaxPolicyBytes = 1u << 20;
constexpr std::size_t kMaxListBytes = 16u << 20;
constexpr std::chrono::seconds kFetchTime{30};

struct VerifyOptions {
  VerifyInputs inputs;
  std::string store;
  std::string appraisal;
  bool brief = false;
  std::string format = "text";
};

/// Event logs under the names that firmware tools and dstack's SDKs give them. Two names of one log are one too many:
/// the first one there counts.
constexpr std::array<std::string_view, 3> kTcgLogFiles{"ccel.bin", "ccel_data.bin", "eventlog.bin"};
constexpr std::array<std::string_view, 2> kDstackLogFiles{"eventlog.json", "dstack_tcb_info.json"};

base::Result<attestation::Supplement> read_event_log(Context& context, const std::string& path) {
  TRY(base::Bytes bytes, read_input(context, path, attestation::eventlog::kMaxLogBytes), "event log");
  const auto kind = attestation::event_log_kind(bytes);
  return attestation::Supplement{kind, std::move(bytes)};
}

/// The logs in a folder belong to its quote. Other evidence has no registers that a log could lead to; there a log is
/// judged only when a flag names it.
base::Status add_event_logs(Context& context, const VerifyInputs& options, attestation::Evidence& evidence) {
  const auto add = [&](attestation::SupplementKind kind, base::Bytes bytes) {
    std::erase_if(evidence.supplements, [kind](const attestation::Supplement& known) { return known.kind == kind; });
    evidence.supplements.push_back({kind, std::move(bytes)});
  };
  const auto first_of = [&](auto names, attestation::SupplementKind kind) -> base::Status {
    for (const std::string_view name : names) {
      const auto place = std::filesystem::path(options.evidence) / name;
      std::error_code ignored;
      if (!std::filesystem::exists(place, ignored)) continue;
      // The name says what it should be; the bytes may be too broken to tell.
      TRY(attestation::Supplement log, read_event_log(context, place.string()));
      add(kind, std::move(log.bytes));
      break;
    }
    return base::done();
  };
  if (is_folder(options.evidence) && evidence.format == attestation::EvidenceFormat::dcap_quote) {
    TRY_OK(first_of(kTcgLogFiles, attestation::SupplementKind::tcg_event_log));
    TRY_OK(first_of(kDstackLogFiles, attestation::SupplementKind::dstack_event_log));
  }
  for (const std::string& path : options.event_logs) {
    TRY(attestation::Supplement log, read_event_log(context, path), "--event-log");
    add(log.kind, std::move(log.bytes));
  }
  return base::done();
}

/// A key set says nothing about whose it is. The caller does, by naming it beside one issuer. Of a folder that
/// `attestry collateral import` or `fetch` made, what this evidence needs.
base::Result<collateral::Bundle> read_named(const std::string& path, const VerifyInputs& options,
                                            const attestation::Evidence& evidence, base::UtcTime at) {
  if (has_shelf(path)) {
    TRY(const collateral::Shelf shelf, read_shelf(path), "--collateral");
    const auto found = shelf.collateral_for(evidence, options.issuers, at);
    return collateral::Bundle{.items = found->items(), .problems = found->problems()};
  }
  // The name may be mistyped, and collateral is there for whoever does not look at the verdict again.
  if (!std::filesystem::exists(path)) {
    return base::Error{base::Code::usage, "--collateral " + path + ": no such file or folder", "a file or a folder", "",
                       "Correct the path, or leave the flag out."};
  }
  collateral::Bundle bundle = collateral::read_bundle_path(path);
  const bool has_keys = std::ranges::any_of(
      bundle.items, [](const auto& item) { return item.kind == attestation::CollateralKind::jwks; });
  if (has_keys && options.issuers.size() > 1) {
    return base::Error{base::Code::usage, "--collateral " + path + ": whose key set is this?",
                       "--jwks ISSUER=FILE when several issuers are named", "",
                       "Give the key set of each issuer with --jwks ISSUER=FILE instead."};
  }
  if (options.issuers.size() == 1) bundle.set_key_origin(options.issuers.front());
  return bundle;
}

struct NamedKeySet {
  std::string issuer;
  std::string path;
};
/// ISSUER=FILE. Both may have more "=" in them, so the issuer is one that --issuer names.
base::Result<NamedKeySet> parse_key_set(const std::string& text, const std::vector<std::string>& issuers) {
  NamedKeySet out;
  for (const std::string& issuer : issuers) {
    if (text.starts_with(issuer + "=") && issuer.size() >= out.issuer.size()) {
      out = {.issuer = issuer, .path = text.substr(issuer.size() + 1)};
    }
  }
  if (!out.path.empty()) return out;
  return base::Error{base::Code::usage, "--jwks", "ISSUER=FILE of an issuer that --issuer names", text,
                     "Name the issuer with --issuer, too, exactly as the token's `iss` says it."};
}

/// Of several key sets the one of the token's issuer, if somebody believes that; else any: the verdict then says whose
/// keys are missing.
base::Status read_key_sets(Context& context, const VerifyInputs& options, const attestation::Evidence& evidence,
                           collateral::Bundle& bundle) {
  std::optional<NamedKeySet> chosen;
  const auto needs = attestation::needs_of(evidence, options.issuers);
  for (const std::string& text : options.key_sets) {
    TRY(NamedKeySet one, parse_key_set(text, options.issuers));
    const bool wanted =
        !needs.empty() && needs.front().artefacts.front() == attestation::Artefact{attestation::JwksOf{one.issuer}};
    if (!chosen || wanted) chosen = std::move(one);
  }
  if (!chosen) return base::done();
  TRY(base::Bytes bytes, read_input(context, chosen->path, kMaxKeySetBytes), "--jwks " + chosen->path);
  bundle.set(attestation::CollateralKind::jwks, std::move(bytes), chosen->issuer);
  return base::done();
}

/// The folder's own collateral first, then what the flags name, later ones replacing earlier ones. Nobody vouches for
/// a key set that lies beside the evidence.
base::Result<collateral::Bundle> read_local(Context& context, const VerifyInputs& options,
                                            const attestation::Evidence& evidence, base::UtcTime at) {
  collateral::Bundle bundle;
  if (is_folder(options.evidence)) bundle.merge(collateral::read_bundle_path(options.evidence));
  for (const std::string& path : options.collateral) {
    TRY(collateral::Bundle named, read_named(path, options, evidence, at));
    bundle.merge(std::move(named));
  }
  TRY_OK(read_key_sets(context, options, evidence, bundle));
  return bundle;
}

/// What a verifier cannot do without.
std::vector<attestation::CollateralKind> wanted(attestation::EvidenceFormat format) {
  using enum attestation::CollateralKind;
  switch (format) {
    case attestation::EvidenceFormat::dcap_quote:
      return {tcb_info, tcb_info_signature, tcb_info_chain, qe_identity, qe_identity_signature, qe_identity_chain,
              pck_crl,  root_ca_crl};
    case attestation::EvidenceFormat::snp_report:
      return {vek, amd_chain, amd_crl};
    case attestation::EvidenceFormat::maa_token:
      return {jwks};
    case attestation::EvidenceFormat::nitro_document:
    case attestation::EvidenceFormat::unknown:
      break;
  }
  return {};
}

/// Of that what the bundle says nothing about.
std::vector<attestation::CollateralKind> lacking(const collateral::Bundle& bundle, attestation::EvidenceFormat format) {
  std::vector<attestation::CollateralKind> out;
  for (const auto kind : wanted(format)) {
    const bool have = std::ranges::any_of(bundle.items, [&](const auto& item) { return item.kind == kind; });
    const bool wrong =
        std::ranges::any_of(bundle.problems, [&](const auto& p) { return p.kind == kind && !p.missing; });
    if (!have && !wrong) out.push_back(kind);
  }
  return out;
}

/// Today's collateral of a vendor says nothing about test roots and little about another time: then the network is
/// asked only when a service is named.
bool may_ask_network(const VerifyInputs& options, attestation::EvidenceFormat format) {
  if (options.offline) return false;
  if (format == attestation::EvidenceFormat::dcap_quote && options.pcs) return true;
  if (format == attestation::EvidenceFormat::snp_report && options.kds) return true;
  return options.at.empty() && options.trust.empty();
}

/// Only a set that the verifier accepts at `at`: what a broken service says is no answer, and least of all a refusal.
base::Result<collateral::Bundle> fetch(Context& context, const VerifyInputs& options,
                                       const attestation::Verifier& verifier, const attestation::DcapNeeds& needs,
                                       base::UtcTime at) {
  TRY(const auto http, net::HttpClient::make({.ca_file = options.pcs_ca}), "--pcs-ca");
  collateral::PcsOptions service;
  if (options.pcs) service.base_url = *options.pcs;
  const collateral::PcsClient client(*http, service);
  TRY(collateral::Bundle bundle, client.fetch(needs, context.clock.steady() + kFetchTime));
  TRY_OK(verifier.accept_collateral(*bundle.collateral(), needs, at), client.base_url());
  return bundle;
}

/// Judges what comes as of the time in question; waits go by the real clock.
class ClockAt final : public base::Clock {
 public:
  ClockAt(base::UtcTime at, const base::Clock& real) : at_(at), real_(real) {}
  base::UtcTime now() const override { return at_; }
  std::chrono::steady_clock::time_point steady() const override { return real_.steady(); }

 private:
  base::UtcTime at_;
  const base::Clock& real_;
};

/// Of the way to judge the evidence that is nearest to complete what is there; the rest is missing for that reason.
base::Result<collateral::Bundle> what_came(const collateral::Vault& vault, const std::vector<attestation::Needs>& ways,
                                           attestation::EvidenceFormat format, base::UtcTime at,
                                           const base::Error& why) {
  std::vector<collateral::Held> best;
  for (const auto& way : ways) {
    const auto wanted_here = [&](const attestation::Artefact& one) {
      return std::ranges::find(way.artefacts, one) != way.artefacts.end();
    };
    TRY(auto held, vault.held(wanted_here, at, collateral::kMaxShelfBytes));
    if (held.size() > best.size()) best = std::move(held);
  }
  if (best.empty()) return why;
  collateral::Bundle out;
  for (const auto& one : best) {
    out.items.insert(out.items.end(), one.documents->items().begin(), one.documents->items().end());
  }
  for (const auto kind : wanted(format)) {
    if (std::ranges::find(out.items, kind, &attestation::CollateralItem::kind) == out.items.end()) {
      out.set_problem(kind, why.text(), true);
    }
  }
  return out;
}

/// AMD's and issuers' by a vault of one call: it knows what is needed, in which order, and what is authentic.
base::Result<collateral::Bundle> fetch_by_vault(Context& context, const VerifyInputs& options,
                                                const attestation::Verifier& verifier,
                                                const attestation::Evidence& evidence, base::UtcTime at) {
  TRY(const auto kds_http, net::HttpClient::make({.ca_file = options.kds_ca}), "--kds-ca");
  TRY(const auto issuers_http, net::HttpClient::make());
  collateral::KdsOptions service;
  if (options.kds) service.base_url = *options.kds;
  const collateral::KdsClient kds(*kds_http, service);
  const collateral::JwksClient issuers(*issuers_http);
  collateral::Vendors vendors(nullptr, &kds, &issuers);
  const ClockAt clock(at, context.clock);
  collateral::Vault vault(&vendors, verifier, nullptr, {.background = false, .clock = &clock});
  const auto set = vault.collateral_for(evidence, at, context.clock.steady() + kFetchTime);
  if (set.ok()) return collateral::Bundle{(*set)->items(), (*set)->problems()};
  return what_came(vault, attestation::needs_of(evidence, options.issuers), evidence.format, at, set.error());
}

base::Result<std::shared_ptr<const attestation::Collateral>> collect(Context& context, const VerifyInputs& options,
                                                                     const attestation::Verifier& verifier,
                                                                     const attestation::Evidence& evidence,
                                                                     base::UtcTime at) {
  TRY(collateral::Bundle local, read_local(context, options, evidence, at));
  const auto missing = lacking(local, evidence.format);
  if (missing.empty() || !may_ask_network(options, evidence.format)) return local.collateral();
  const bool dcap = evidence.format == attestation::EvidenceFormat::dcap_quote;
  const auto needs =
      dcap ? attestation::dcap_needs(evidence.bytes) : base::Result<attestation::DcapNeeds>(attestation::DcapNeeds{});
  if (!needs.ok()) return local.collateral();  // the verifier says what is wrong with the evidence
  auto fetched =
      dcap ? fetch(context, options, verifier, *needs, at) : fetch_by_vault(context, options, verifier, evidence, at);
  if (!fetched.ok()) {
    for (const auto kind : missing) local.set_problem(kind, fetched.error().text(), true);
    return local.collateral();
  }
  fetched->merge(std::move(local));
  return fetched->collateral();
}

}  // namespace

base::Result<attestation::Policy> policy_named(Context& context, const std::string& name) {
  if (const attestation::Policy* builtin = attestation::Policy::builtin(name)) return *builtin;
  const auto read = read_input(context, name, kMaxPolicyBytes);
  if (!read) {
    return base::Error{base::Code::usage, "--policy: neither a built-in policy nor a file that can be read",
                       "genuine, default, strict or a file", name,
                       "`attestry policy builtin default` prints one to start from."};
  }
  const base::Bytes& bytes = *read;
  TRY(attestation::Policy policy, attestation::Policy::parse(base::as_text(bytes)), name);
  return policy;
}

namespace {

base::Result<std::vector<attestation::SignedList>> read_lists(Context& context, const VerifyInputs& options) {
  std::vector<attestation::SignedList> lists;
  for (const std::string& path : options.place_lists) {
    TRY(const base::Bytes bytes, read_input(context, path, kMaxListBytes), "--place-list");
    TRY(attestation::SignedList list, attestation::SignedList::parse(base::as_text(bytes)), "--place-list " + path);
    lists.push_back(std::move(list));
  }
  return lists;
}

base::Result<std::optional<base::Bytes>> expected_report_data(const std::optional<std::string>& hex) {
  if (!hex) return std::optional<base::Bytes>{};
  // An empty value would compare equal to nothing but zeros: more likely a script lost its variable.
  if (hex->empty()) return base::Error{.code = base::Code::usage, .what = "--report-data is empty", .expected = "hex"};
  TRY(base::Bytes bytes, base::hex_decode(*hex), "--report-data");
  return std::optional<base::Bytes>{std::move(bytes)};
}

base::Result<std::optional<base::Bytes>> expected_nonce(const VerifyInputs& options) {
  if (!options.nonce && !options.nonce_hex) return std::optional<base::Bytes>{};
  const std::string& given = options.nonce ? *options.nonce : *options.nonce_hex;
  // No evidence is fresh for want of a nonce: more likely a script lost its variable.
  if (given.empty()) {
    return base::Error{.code = base::Code::usage, .what = "--nonce is empty", .expected = "the nonce that you sent"};
  }
  if (options.nonce) return std::optional<base::Bytes>{base::to_bytes(given)};
  TRY(base::Bytes bytes, base::hex_decode(given), "--nonce-hex");
  return std::optional<base::Bytes>{std::move(bytes)};
}

void print(Context& context, const attestation::Verdict& verdict, const VerifyOptions& options) {
  if (options.format == "json") {
    context.out << attestation::to_json(verdict, context.out_is_terminal) << "\n";
    return;
  }
  context.out << attestation::to_text_report(verdict, context.colour, !options.brief);
}

/// What was fetched or given, whether the verdict is good or not: it is what the verdict rests on.
base::Status save_collateral(const std::string& path, const attestation::Collateral& collateral) {
  if (path.empty()) return base::done();
  TRY_OK(check_output(path), "--save-collateral");
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << collateral::write_bundle(collateral) << "\n";
  file.close();
  if (file) return base::done();
  return base::Error{base::Code::io,
                     "--save-collateral: cannot write " + path,
                     {},
                     {},
                     "Check the folder, who may write there, and the free space."};
}

}  // namespace

int exit_code_of(std::string_view verdict) {
  if (verdict == attestation::to_text(attestation::Outcome::accepted)) return kExitOk;
  return verdict == attestation::to_text(attestation::Outcome::refused) ? kExitRefused : kExitUndecided;
}

base::Result<JudgedEvidence> judge_evidence(Context& context, const VerifyInputs& options) {
  TRY(const base::UtcTime at, time_of(context, options.at));
  TRY(auto report_data, expected_report_data(options.report_data));
  TRY(auto nonce, expected_nonce(options));
  TRY(attestation::Policy policy, policy_named(context, options.policy));
  TRY(auto lists, read_lists(context, options));
  TRY(attestation::TrustAnchors anchors, read_anchors(context, options.trust, options.issuers));
  TRY(attestation::Evidence evidence, read_evidence(context, options.evidence));
  TRY_OK(add_event_logs(context, options, evidence));
  const attestation::Verifier verifier(anchors);
  TRY(auto collateral, collect(context, options, verifier, evidence, at));
  TRY_OK(save_collateral(options.save, *collateral));
  TRY(attestation::Verdict found, verifier.verify(evidence, *collateral, at));
  appraisal::AppraisalInputs inputs{.evidence = std::move(evidence),
                                    .collateral = std::move(collateral),
                                    .at = at,
                                    .anchors = std::move(anchors),
                                    .policy = std::move(policy),
                                    .report_data = std::move(report_data),
                                    .nonce = std::move(nonce),
                                    .lists = std::move(lists)};
  auto judged = appraisal::judge(std::move(found), inputs);
  return JudgedEvidence{std::move(judged.verdict), std::move(inputs)};
}

namespace {

/// Kept before it is printed: a verdict that somebody saw is there to be explained.
base::Status keep(Context& context, const VerifyOptions& options, const JudgedEvidence& judged) {
  if (options.store.empty() && options.appraisal.empty()) return base::done();
  const auto whole = appraisal::StoredAppraisal::make(judged.inputs, attestation::to_json(judged.verdict));
  if (!options.store.empty()) TRY_OK(keep_in_folder(options.store, whole), "--store");
  if (!options.appraisal.empty()) TRY_OK(write_export_file(context, options.appraisal, whole), "--appraisal");
  context.err << "appraisal " << base::hex(whole.id()) << "\n";
  return base::done();
}

base::Result<int> verify(Context& context, const VerifyOptions& options) {
  TRY(const JudgedEvidence judged, judge_evidence(context, options.inputs));
  TRY_OK(keep(context, options, judged));
  print(context, judged.verdict, options);
  return exit_code_of(attestation::to_text(judged.verdict.outcome));
}

constexpr const char* kFooter =
    "Examples:\n"
    "  attestry verify quote.bin --collateral collateral.json\n"
    "  attestry verify case-folder --at 2026-06-15T00:00:00Z --format json\n"
    "  attestry verify - --policy policy.json --report-data 9a9d48e7 < quote.bin\n"
    "  attestry verify token.jwt --issuer URL --jwks URL=jwks.json --nonce TEXT\n"
    "Exit codes: 0 accepted, 1 refused, 2 wrong use, 3 undecided (collateral is missing or cannot be reached).\n"
    "The verdict names one root cause; `attestry why` shows what followed from it, and `attestry checks show ID` "
    "explains\n"
    "any check.";

}  // namespace

void add_verify_inputs(CLI::App& app, VerifyInputs& inputs) {
  auto* command = &app;
  auto* options = &inputs;
  command
      ->add_option(
          "--collateral", options->collateral,
          "file (bundle or a reply of Intel's service) or folder, also one of `attestry collateral import`; may "
          "be given again, later ones win")
      ->type_name("FILE|FOLDER")
      ->allow_extra_args(false);
  command
      ->add_option("--save-collateral", options->save,
                   "write the collateral that was used, fetched or given, as a bundle for --collateral")
      ->type_name("FILE");
  command->add_option("--at", options->at, "judge as of this time, for example 2026-06-15T00:00:00Z (default: now)")
      ->type_name("TIME");
  command
      ->add_option("--issuer", options->issuers,
                   "an issuer whose Azure Attestation tokens are believed, exactly as their `iss` says it; its keys "
                   "come with --jwks, with --collateral when one issuer is named, or else from ISSUER/certs")
      ->type_name("URL")
      ->allow_extra_args(false);
  command
      ->add_option(
          "--jwks", options->key_sets,
          "key set of an issuer that --issuer names, as you fetched it from ISSUER/certs over TLS; may be given "
          "again. Of a jwks.json that lies beside the token nobody knows whose it is")
      ->type_name("ISSUER=FILE")
      ->allow_extra_args(false);
  command
      ->add_option("--event-log", options->event_logs,
                   "log of the TD's boot: TCG (the CCEL data area) or dstack's JSON; it must lead to the registers of "
                   "the quote, and what it says becomes claims. One of each kind; in a folder ccel.bin, eventlog.json "
                   "and their like are taken")
      ->type_name("FILE")
      ->allow_extra_args(false);
  command
      ->add_option("--trust", options->trust,
                   "certificate of a test root that replaces the vendors' roots; the verdict then is simulated")
      ->type_name("FILE")
      ->allow_extra_args(false);
  command
      ->add_option("--report-data", options->report_data,
                   "hex that the evidence must carry; shorter than 64 bytes is padded with zeros at the end")
      ->type_name("HEX");
  auto* nonce = command
                    ->add_option("--nonce", options->nonce,
                                 "text that an Azure token (client payload, also as base64 of it) or a Nitro document "
                                 "must bear as its nonce; other evidence bears one as --report-data")
                    ->type_name("TEXT");
  command->add_option("--nonce-hex", options->nonce_hex, "the same for bytes that are no text")
      ->type_name("HEX")
      ->excludes(nonce);
  command->add_option("--policy", options->policy, "genuine, default, strict or a policy file")
      ->type_name("NAME|FILE")
      ->capture_default_str();
  command
      ->add_option("--place-list", options->place_lists,
                   "signed list that the policy's conditions look into (attestry policy sign-list); may be given again")
      ->type_name("FILE")
      ->allow_extra_args(false);
  command
      ->add_option("--pcs", options->pcs,
                   "Intel's service or a PCCS for collateral that is not given (default: Intel's, but with --at or "
                   "--trust none)")
      ->type_name("URL");
  command->add_option("--pcs-ca", options->pcs_ca, "CA certificate of that service, when the system does not know it")
      ->type_name("FILE");
  command
      ->add_option("--kds", options->kds,
                   "AMD's key service or a cache of it for SEV-SNP collateral that is not given (default: AMD's, but "
                   "with --at or --trust none)")
      ->type_name("URL");
  command->add_option("--kds-ca", options->kds_ca, "CA certificate of that service, when the system does not know it")
      ->type_name("FILE");
  command->add_flag("--offline", options->offline,
                    "never ask the network; what is missing leaves the verdict undecided");
}

void add_verify(CLI::App& app, Context& context) {
  auto options = std::make_shared<VerifyOptions>();
  auto* command = app.add_subcommand("verify", "Judge evidence of a TEE: is it genuine, and does a policy accept it?");
  command->footer(kFooter);
  command
      ->add_option("EVIDENCE", options->inputs.evidence,
                   "an SGX or TDX quote, an SEV-SNP report, a Nitro document (all as raw bytes) or an Azure "
                   "Attestation token: a file, - for standard input, or a folder with it and its collateral")
      ->type_name("FILE|FOLDER|-")
      ->required();
  add_verify_inputs(*command, options->inputs);
  command
      ->add_option(
          "--store", options->store,
          "keep the appraisal, with everything that it rests on, in this folder (attestry appraisal list --in)")
      ->type_name("FOLDER");
  command
      ->add_option("--appraisal", options->appraisal,
                   "write it as one self-contained file, for `attestry why` and `attestry appraisal replay` anywhere")
      ->type_name("FILE");
  command->add_flag("--brief", options->brief, "do not list passed and skipped checks (text)");
  command->add_option("--format", options->format, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  command->callback([&context, options] { finish(context, [&] { return verify(context, *options); }); });
}

}  // namespace attestry::app
