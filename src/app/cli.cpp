#include "app/cli.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <fstream>

#include "app/cmd_keystore.h"
#include "app/cmd_kms.h"
#include "app/cmd_registry_csr.h"
#include "app/node_commands.h"
#include "app/registry_commands.h"
#include "app/version.h"
#include "base/suggest.h"

namespace attestry::app {
namespace {

constexpr const char* kDescription =
    "attestry: the trust plane for confidential computing.\n"
    "Verifies what a TEE says about itself, explains the verdict check by check, and releases keys, certificates,\n"
    "configuration and secrets only to workloads that were approved.";

constexpr const char* kFooter =
    "Start here:\n"
    "  attestry verify quote.bin --collateral collateral.json   is this machine what it says?\n"
    "  attestry checks show dcap.tcb.level                      what does this check mean, and what to do?\n"
    "  attestry COMMAND --help                                  everything about one command\n"
    "Exit codes: 0 done or accepted, 1 refused, 2 wrong use, 3 undecided or unavailable, 4 defect.";

/// Help and version are no errors. A first word that is no command gets a guess instead of "a subcommand is required".
int explain(const CLI::App& app, const CLI::ParseError& error, const std::vector<std::string>& arguments,
            Context& context) {
  if (error.get_exit_code() == 0) {
    app.exit(error, context.out, context.err);
    return kExitOk;
  }
  if (arguments.empty()) {
    context.err << app.help();
    return kExitUsage;
  }
  std::vector<std::string> commands;
  for (const CLI::App* command : app.get_subcommands({})) commands.push_back(command->get_name());
  const std::string& first = arguments.front();
  if (first.starts_with('-') || std::ranges::find(commands, first) != commands.end()) {
    app.exit(error, context.out, context.err);
    return kExitUsage;
  }
  const std::string guess = nearest(first, commands);
  print_error(context.err, {.code = base::Code::usage,
                            .what = "there is no command " + first,
                            .remedy = guess.empty() ? "`attestry --help` lists them." : "Did you mean " + guess + "?"});
  return kExitUsage;
}

}  // namespace

int run(const std::vector<std::string>& arguments, Context& context) {
  CLI::App app{kDescription, "attestry"};
  app.footer(kFooter);
  app.require_subcommand(1);
  app.set_version_flag("--version", "attestry " + std::string{kVersion});
  add_dev(app, context);
  add_verify(app, context);
  add_why(app, context);
  add_appraisal(app, context);
  add_checks(app, context);
  add_claims(app, context);
  add_serve(app, context);
  add_instance(app, context);
  add_operator(app, context);
  add_operator_signing(app, context);
  add_app(app, context);
  add_admin(app, context);
  add_approve(app, context);
  add_policy(app, context);
  add_measurement(app, context);
  add_place_list(app, context);
  add_blob(app, context);
  add_secret(app, context);
  add_sealing(app, context);
  add_template(app, context);
  add_registry(app, context);
  add_kms(app, context);
  add_keymanager(app, context);
  add_keystore(app, context);
  add_node(app, context);
  add_audit(app, context);
  add_config(app, context);
  add_doctor(app, context);
  add_eventlog(app, context);
  add_forge(app, context);
  add_collateral(app, context);
  add_chain(app, context);
  add_completion(app, context);
  add_version(app, context);
  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    return explain(app, error, arguments, context);
  }
  return context.exit_code;
}

void print_error(std::ostream& err, const base::Error& error) {
  err << "attestry: " << error.what << "\n";
  if (!error.expected.empty()) err << "  expected    " << error.expected << "\n";
  if (!error.found.empty()) err << "  found       " << error.found << "\n";
  err << "  what to do  " << (error.remedy.empty() ? base::default_remedy(error.code) : error.remedy) << "\n";
}

void finish(Context& context, const std::function<base::Result<int>()>& command) {
  const auto code = command();
  if (code.ok()) {
    context.exit_code = *code;
    return;
  }
  print_error(context.err, code.error());
  context.exit_code = base::exit_code(code.error().code);
}

base::Result<base::Bytes> read_input(Context& context, const std::string& path, std::size_t limit) {
  std::ifstream file;
  const bool standard_input = path == "-";
  if (!standard_input) file.open(path, std::ios::binary);
  std::istream& in = standard_input ? context.in : file;
  base::Bytes out;
  std::array<char, 16384> chunk{};
  while (in && out.size() <= limit) {
    const std::size_t want = std::min(chunk.size(), limit + 1 - out.size());
    in.read(chunk.data(), static_cast<std::streamsize>(want));
    const auto* begin = reinterpret_cast<const std::uint8_t*>(chunk.data());
    out.insert(out.end(), begin, begin + in.gcount());
  }
  const bool unreadable = in.bad() || (!standard_input && !file.is_open());
  if (unreadable) {
    return base::Error{.code = base::Code::usage,
                       .what = "cannot read " + path,
                       .remedy = "Check the name and who may read it; - means standard input."};
  }
  return out;
}

std::string nearest(std::string_view given, const std::vector<std::string>& known) {
  const std::vector<std::string_view> views(known.begin(), known.end());
  return std::string{base::nearest(given, views)};
}

}  // namespace attestry::app
