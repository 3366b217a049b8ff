// `attestry why`: the tree of decisions behind a verdict, whether it is stored, in a file, or made now of evidence.
#include <CLI/CLI.hpp>

#include <ostream>

#include "app/appraisal_files.h"
#include "app/verify_inputs.h"
#include "appraisal/explain.h"

namespace attestry::app {
namespace {

struct WhyCommand {
  AppraisalPlace place;
  VerifyInputs inputs;
  bool all = false;
  bool asks_anew = false;  ///< a policy or a time is given
  bool no_colour = false;
  std::string format = "text";
};

base::Result<int> print(Context& context, const WhyCommand& options, const NamedAppraisal& found) {
  TRY(const auto verdict, appraisal::read_verdict(found.verdict_json));
  if (options.format == "json") {
    const auto json = appraisal::why_json(verdict, found.id);
    context.out << (context.out_is_terminal ? json.pretty() : json.compact()) << "\n";
  } else {
    context.out << appraisal::why_text(verdict, {.colour = context.colour && !options.no_colour,
                                                 .all = options.all,
                                                 .appraisal = found.id,
                                                 .note = found.note});
  }
  return exit_code_of(verdict.verdict);
}

base::Result<int> why(Context& context, const WhyCommand& options) {
  if (names_appraisal(options.inputs.evidence, options.place)) {
    if (options.asks_anew) {
      return base::Error{base::Code::usage, "what is stored is explained as it was judged", "no --policy and no --at",
                         options.inputs.evidence, "To judge it again: attestry appraisal replay ID --policy NEW"};
    }
    TRY(const auto found, find_appraisal(context, options.inputs.evidence, options.place));
    return print(context, options, found);
  }
  TRY(const auto judged, judge_evidence(context, options.inputs));
  return print(context, options, {.id = {}, .verdict_json = attestation::to_json(judged.verdict)});
}

constexpr const char* kFooter =
    "Examples:\n"
    "  attestry why 1f3a9c52 --server https://127.0.0.1:8444 --token-file data/admin.token --ca data/tls.pem\n"
    "  attestry why appraisal.json\n"
    "  attestry why quote.bin --collateral collateral.json --at 2026-06-15T00:00:00Z\n"
    "  attestry verify quote.bin --format json > verdict.json; attestry why verdict.json\n"
    "A refused registration is answered with the id of its appraisal (`appraisal` in the problem document).\n"
    "Exit codes: 0 accepted, 1 refused, 2 wrong use, 3 undecided.";

}  // namespace

void add_why(CLI::App& app, Context& context) {
  auto options = std::make_shared<WhyCommand>();
  auto* command = app.add_subcommand("why", "Explain a verdict: root cause, what followed from it, what passed");
  command->footer(kFooter);
  command
      ->add_option("APPRAISAL", options->inputs.evidence,
                   "id of a stored appraisal (8 digits are enough), an exported file, a verdict's JSON, or evidence as "
                   "`attestry verify` takes it")
      ->type_name("ID|FILE|FOLDER")
      ->required();
  command->add_option("--in", options->place.folder, "folder of appraisals to look for the id in")->type_name("FOLDER");
  add_server_options(*command, options->place.connection);
  add_verify_inputs(*command, options->inputs);
  command->add_flag("--all", options->all, "list passed checks one by one (text)");
  command->add_flag("--no-color", options->no_colour, "no colours, whatever the terminal");
  command->add_option("--format", options->format, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  command->callback([&context, command, options] {
    options->asks_anew = command->count("--policy") + command->count("--at") > 0;
    finish(context, [&] { return why(context, *options); });
  });
}

}  // namespace attestry::app
