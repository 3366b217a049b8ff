// The catalogue for people: the answer to "what is dcap.tcb.level and what do I do now?".
#include <CLI/CLI.hpp>

#include <algorithm>
#include <ostream>

#include "app/cli.h"
#include "attestation/catalogue.h"
#include "base/json_writer.h"

namespace attestry::app {
namespace {

using attestation::CheckInfo;

base::JsonOut json_of(const CheckInfo& check) {
  base::JsonOutArray needs;
  for (const attestation::CheckId need : check.needs) needs.emplace_back(attestation::info(need).id);
  return base::JsonOutObject{{"id", check.id},           {"title", check.title},   {"specification", check.spec},
                             {"meaning", check.meaning}, {"remedy", check.remedy}, {"needs", std::move(needs)}};
}

void list_text(std::ostream& out) {
  std::size_t width = 0;
  for (const CheckInfo& check : attestation::catalogue()) width = std::max(width, check.id.size());
  for (const CheckInfo& check : attestation::catalogue()) {
    out << check.id << std::string(width - check.id.size() + 2, ' ') << check.title << "\n";
  }
  out << "\n"
      << attestation::catalogue().size() << " checks, catalogue " << attestation::kCatalogueVersion
      << ". `attestry checks show ID` says what a failure means and what to do.\n";
}

base::Result<int> list(Context& context, const std::string& format) {
  if (format == "text") {
    list_text(context.out);
    return kExitOk;
  }
  base::JsonOutArray checks;
  for (const CheckInfo& check : attestation::catalogue()) checks.push_back(json_of(check));
  context.out << base::JsonOut(
                     base::JsonOutObject{{"catalogue", attestation::kCatalogueVersion}, {"checks", std::move(checks)}})
                     .pretty()
              << "\n";
  return kExitOk;
}

base::Error unknown(const std::string& id) {
  std::vector<std::string> ids;
  for (const CheckInfo& check : attestation::catalogue()) ids.emplace_back(check.id);
  const std::string guess = nearest(id, ids);
  return {.code = base::Code::usage,
          .what = "there is no check " + id,
          .remedy = guess.empty() ? "`attestry checks` lists them all." : "Did you mean " + guess + "?"};
}

void show_text(std::ostream& out, const CheckInfo& check, bool colour) {
  out << (colour ? "\x1b[1m" : "") << check.id << (colour ? "\x1b[0m" : "") << "\n";
  out << "  checks that    " << check.title << "\n";
  out << "  when it fails  " << check.meaning << "\n";
  out << "  what to do     " << check.remedy << "\n";
  out << "  specification  " << check.spec << "\n";
  out << "  needs          ";
  if (check.needs.empty()) out << "nothing";
  for (std::size_t i = 0; i < check.needs.size(); ++i) {
    out << (i == 0 ? "" : ", ") << attestation::info(check.needs[i]).id;
  }
  out << "\n";
}

base::Result<int> show(Context& context, const std::string& id, const std::string& format) {
  const auto check = attestation::find_check(id);
  if (!check) return unknown(id);
  const CheckInfo& found = attestation::info(*check);
  if (format == "json") {
    context.out << json_of(found).pretty() << "\n";
  } else {
    show_text(context.out, found, context.colour);
  }
  return kExitOk;
}

}  // namespace

void add_checks(CLI::App& app, Context& context) {
  struct Options {
    std::string format = "text";
    std::string id;
  };
  auto options = std::make_shared<Options>();
  auto* command =
      app.add_subcommand("checks", "List every check that a verdict can show; `checks show ID` explains one");
  command->add_option("--format", options->format, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  command->require_subcommand(0, 1);
  command->fallthrough();
  auto* show_command = command->add_subcommand("show", "What a check looks at, what a failure means and what to do");
  show_command->fallthrough();
  command->add_subcommand("list", "The same as `checks` alone")->fallthrough();
  show_command->add_option("ID", options->id, "id as in verdicts, for example dcap.tcb.level")->required();
  command->callback([&context, options, show_command] {
    finish(context, [&] {
      return show_command->parsed() ? show(context, options->id, options->format) : list(context, options->format);
    });
  });
}

}  // namespace attestry::app
