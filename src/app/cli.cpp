#include "app/cli.h"
#include "app/mistakes.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <fstream>

#include "app/cmd_keystore.h"
#include "app/cmd_kms.h"
#include "app/cmd_registry_csr.h"
#include "app/examples.h"
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

/// Where the words lead: the last command that there is, and the first word that is none of its commands.
struct Words {
  const CLI::App* command;
  std::string path = "attestry", unknown{};
};

bool takes_words(const CLI::App& command) {
  return std::ranges::any_of(command.get_options(), [](const auto* one) { return one->get_positional(); });
}

Words follow(const CLI::App& app, const std::vector<std::string>& arguments) {
  Words out{.command = &app};
  for (const std::string& word : arguments) {
    if (word.starts_with('-') || out.command->get_subcommands({}).empty() || takes_words(*out.command)) break;
    const CLI::App* next = nullptr;
    for (const CLI::App* one : out.command->get_subcommands({})) {
      if (one->get_name() == word) next = one;
    }
    if (next == nullptr) {
      out.unknown = word;
      break;
    }
    out.command = next;
    out.path += " " + word;
  }
  return out;
}

int no_such_command(const Words& words, Context& context) {
  std::vector<std::string> commands;
  for (const CLI::App* one : words.command->get_subcommands({})) commands.push_back(one->get_name());
  const std::string above = words.path.substr(std::min(words.path.size(), std::string{"attestry "}.size()));
  const std::string whole = above.empty() ? words.unknown : above + " " + words.unknown;
  const std::string guess = nearest(words.unknown, commands);
  print_error(context.err,
              {.code = base::Code::usage,
               .what = "there is no command " + whole,
               .remedy = guess.empty() ? "`" + words.path + " --help` lists them."
                                       : "Did you mean " + (above.empty() ? "" : above + " ") + guess + "?"});
  return kExitUsage;
}

/// A group's name alone.
int no_command(const Words& words, Context& context) {
  std::string commands;
  for (const CLI::App* one : words.command->get_subcommands({})) {
    commands += (commands.empty() ? "" : ", ") + one->get_name();
  }
  print_error(context.err, {.code = base::Code::usage,
                            .what = words.path + " is a group of commands",
                            .expected = "one of " + commands,
                            .remedy = "`" + words.path + " --help` says what each is for."});
  return kExitUsage;
}

/// The first flag that the command does not have.
std::string unknown_flag(const CLI::App& command, const std::vector<std::string>& arguments) {
  for (const std::string& word : arguments) {
    const std::string flag = word.substr(0, word.find('='));
    if (flag.size() > 2 && flag.starts_with("--") && command.get_option_no_throw(flag) == nullptr) return flag;
  }
  return {};
}

int no_such_flag(const Words& words, const std::string& flag, Context& context) {
  std::vector<std::string> flags;
  for (const CLI::Option* one : words.command->get_options()) {
    for (const std::string& name : one->get_lnames()) flags.push_back("--" + name);
  }
  const std::string guess = nearest(flag, flags);
  print_error(context.err, {.code = base::Code::usage,
                            .what = words.path + " has no " + flag,
                            .remedy = guess.empty() ? "`" + words.path + " --help` lists what it has."
                                                    : "Did you mean " + guess + "?"});
  return kExitUsage;
}

/// Help and version are no errors. A word that is no command, and a flag that there is not, get a guess.
int explain(const CLI::App& app, const CLI::ParseError& error, const std::vector<std::string>& arguments,
            Context& context) {
  if (arguments.empty()) {
    context.err << app.help();
    return kExitUsage;
  }
  const Words words = follow(app, arguments);
  if (!words.unknown.empty()) return no_such_command(words, context);
  if (error.get_exit_code() == 0) {
    app.exit(error, context.out, context.err);
    return kExitOk;
  }
  if (words.command->get_require_subcommand_min() > 0 && words.command->get_subcommands().empty()) {
    return no_command(words, context);
  }
  const bool extras = error.get_exit_code() == static_cast<int>(CLI::ExitCodes::ExtrasError);
  const std::string flag = extras ? unknown_flag(*words.command, arguments) : "";
  if (!flag.empty()) return no_such_flag(words, flag, context);
  app.exit(error, context.out, context.err);
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
  add_tracker(app, context);
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
  add_examples(app);
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

int print_mistakes(Context& context, const std::vector<base::Error>& mistakes) {
  for (const auto& mistake : mistakes) print_error(context.err, mistake);
  if (mistakes.size() > 1) context.err << mistakes.size() << " mistakes in the configuration; nothing was made\n";
  return kExitUsage;
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
