// What is done with policy documents without a server: lint them, print their schema, sign the lists that they look
// into.
#include "app/cmd_policy.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <optional>
#include <ostream>

#include "app/operator.h"
#include "attestation/policy.h"
#include "attestation/policy_lint.h"
#include "attestation/policy_schema.h"
#include "attestation/signed_list.h"
#include "base/encoding.h"
#include "base/json_writer.h"

namespace attestry::app {
namespace {

using attestation::PolicyFinding;
using attestation::PolicyFindings;

constexpr std::size_t kMaxListFile = 16u << 20;

struct LintOptions {
  std::vector<std::string> files;
  std::string at;
  std::string format = "text";
};

struct Linted {
  std::string file;
  PolicyFindings findings;
  std::optional<attestation::Policy> policy;  ///< when it parses
};

void print_finding(std::ostream& out, const PolicyFinding& finding) {
  out << "  " << to_text(finding.severity) << (finding.severity == PolicyFinding::Severity::error ? "    " : "  ")
      << (finding.path.empty() ? "the document" : finding.path) << ": " << finding.error.what;
  if (!finding.error.found.empty()) out << ": " << finding.error.found;
  out << "\n";
  if (!finding.error.expected.empty()) out << "           expected: " << finding.error.expected << "\n";
  if (!finding.error.remedy.empty()) out << "           " << finding.error.remedy << "\n";
}

std::string mistakes(const PolicyFindings& findings) {
  const auto errors = std::ranges::count(findings, PolicyFinding::Severity::error, &PolicyFinding::severity);
  const auto warnings = static_cast<std::ptrdiff_t>(findings.size()) - errors;
  std::string out = std::to_string(errors) + (errors == 1 ? " mistake" : " mistakes");
  if (warnings > 0) out += ", " + std::to_string(warnings) + (warnings == 1 ? " warning" : " warnings");
  return out;
}

void print_text(Context& context, const Linted& linted, bool several) {
  const std::string name = several ? linted.file + ": " : "";
  const bool sound = attestation::is_sound(linted.findings);
  if (sound && linted.policy) {
    context.out << name << "good: " << linted.policy->name() << ", sha256 " << base::hex(linted.policy->sha256())
                << ", " << linted.policy->identities().size() << " identities\n";
  }
  if (linted.findings.empty()) return;
  context.err << linted.file << ": " << mistakes(linted.findings) << "\n";
  for (const PolicyFinding& finding : linted.findings) print_finding(context.err, finding);
  if (sound) return;
  context.err
      << "  what to do: correct them all; docs/reference/policy.md explains every member, `attestry claims` lists "
         "the claims\n";
}

base::JsonOut to_json(const Linted& linted) {
  base::JsonOutArray findings;
  for (const PolicyFinding& finding : linted.findings) {
    findings.emplace_back(base::JsonOutObject{{"severity", to_text(finding.severity)},
                                              {"path", finding.path},
                                              {"what", finding.error.what},
                                              {"expected", finding.error.expected},
                                              {"found", finding.error.found},
                                              {"remedy", finding.error.remedy}});
  }
  return base::JsonOutObject{
      {"file", linted.file},
      {"sound", attestation::is_sound(linted.findings)},
      {"sha256", linted.policy ? base::JsonOut{base::hex(linted.policy->sha256())} : base::JsonOut{nullptr}},
      {"findings", std::move(findings)}};
}

base::Result<Linted> lint_file(Context& context, const std::string& file, base::UtcTime now) {
  Linted out{.file = file, .findings = {}, .policy = {}};
  std::string text;
  if (const auto* builtin = attestation::Policy::builtin(file)) {
    text = builtin->document();
  } else {
    TRY(const auto bytes, read_input(context, file, attestation::kMaxPolicyDocumentBytes));
    text = base::as_text(bytes);
  }
  out.findings = attestation::lint_policy(text, now);
  auto policy = attestation::Policy::parse(text);
  if (policy.ok()) out.policy = *std::move(policy);
  return out;
}

base::Result<int> lint(Context& context, const LintOptions& options) {
  base::UtcTime now = context.clock.now();
  if (!options.at.empty()) {
    TRY(now, base::parse_rfc3339(options.at), "--at");
  }
  int code = kExitOk;
  base::JsonOutArray all;
  for (const std::string& file : options.files) {
    const auto linted = lint_file(context, file, now);
    if (!linted.ok()) {
      print_error(context.err, linted.error());
      code = kExitUsage;
      continue;
    }
    if (!attestation::is_sound(linted->findings)) code = kExitUsage;
    if (options.format == "json") {
      all.push_back(to_json(*linted));
    } else {
      print_text(context, *linted, options.files.size() > 1);
    }
  }
  if (options.format == "json") {
    context.out << base::JsonOut{base::JsonOutObject{{"files", std::move(all)}}}.pretty() << "\n";
  }
  return code;
}

base::Result<crypto::Envelope> envelope_of(const std::string& text) {
  TRY(const auto document, base::JsonDocument::parse(text, {.max_bytes = kMaxListFile}), "list");
  if (document->root().find("payloadType")) {
    TRY(const auto list, attestation::SignedList::parse(text));
    return list.envelope();
  }
  TRY_OK(attestation::SignedList::check_document(text), "list");
  return crypto::Envelope{
      .payload_type = std::string{attestation::kSignedListPayloadType}, .payload = text, .signatures = {}};
}

base::Result<int> sign_list(Context& context, const std::string& file, const std::string& key_file) {
  TRY(const auto bytes, read_input(context, file, kMaxListFile));
  TRY(auto envelope, envelope_of(std::string{base::as_text(bytes)}), file);
  TRY(const auto key, read_operator_key(key_file));
  if (envelope.count_valid({key.public_key()}) > 0) {
    return base::Error{base::Code::conflict, "this key has signed the list already", "another key",
                       base::hex(key.public_key()), "Have another operator sign it, or use the file as it is."};
  }
  envelope.sign(key);
  context.out << envelope.to_json() << "\n";
  context.err << "signed by " << base::hex(key.public_key()) << ", " << envelope.signatures.size()
              << (envelope.signatures.size() == 1 ? " signature\n" : " signatures\n");
  return kExitOk;
}

void add_lint(CLI::App& group, Context& context, const char* name, const char* help) {
  auto options = std::make_shared<LintOptions>();
  auto* command = group.add_subcommand(name, help);
  command->add_option("FILE", options->files, "policy documents, built-in policies, or - for standard input")
      ->required();
  command->add_option("--at", options->at, "judge dates as of this time (default: now)")->type_name("TIME");
  command->add_option("--format", options->format, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  command->footer(
      "All mistakes are listed, not the first alone: unknown members and claims, claims that the listed platforms do\n"
      "not have, conditions that contradict each other, waivers that are past, lists that accept nothing.\n"
      "Exit codes: 0 all are good (perhaps with warnings), 2 otherwise.");
  command->callback([&context, options] { finish(context, [&] { return lint(context, *options); }); });
}

}  // namespace

void add_policy_documents(CLI::App& group, Context& context) {
  add_lint(group, context, "lint", "Find every mistake of policy documents");
  add_lint(group, context, "check", "The same as lint");

  auto* schema = group.add_subcommand("schema", "Print the JSON Schema of policy documents, for editors");
  schema->callback([&context] {
    finish(context, [&]() -> base::Result<int> {
      context.out << attestation::policy_schema_json() << "\n";
      return kExitOk;
    });
  });

  struct SignOptions {
    std::string file;
    std::string key;
  };
  auto options = std::make_shared<SignOptions>();
  auto* sign = group.add_subcommand("sign-list", "Sign a list that policies look into (in_list); prints the envelope");
  sign->add_option("FILE", options->file,
                   R"(document {"format":1,"name","version","not_after","claims":{CLAIM:[VALUES]}}, or an envelope to )"
                   "which a signature is added")
      ->required();
  sign->add_option("--key", options->key, "operator's key file (attestry operator keygen)")
      ->envname("ATTESTRY_OPERATOR_KEY")
      ->required();
  sign->footer(
      "Example:\n"
      "  attestry policy sign-list berlin.json --key me.key > berlin.list.json\n"
      "  attestry verify report.bin --policy policy.json --place-list berlin.list.json");
  sign->callback(
      [&context, options] { finish(context, [&] { return sign_list(context, options->file, options->key); }); });
}

}  // namespace attestry::app
