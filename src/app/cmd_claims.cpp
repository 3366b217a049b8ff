// The dictionary of claims for people: what can a policy ask of this platform, and what does the value mean?
#include <CLI/CLI.hpp>

#include <algorithm>
#include <ostream>

#include "app/cli.h"
#include "attestation/claim_dictionary.h"
#include "base/json_writer.h"

namespace attestry::app {
namespace {

using attestation::ClaimInfo;
using attestation::ClaimType;

bool is_of(const ClaimInfo& claim, std::string_view platform) {
  std::string_view rest = claim.platforms;
  while (!rest.empty()) {
    const auto space = std::min(rest.find(' '), rest.size());
    if (rest.substr(0, space) == platform) return true;
    rest.remove_prefix(std::min(space + 1, rest.size()));
  }
  return false;
}

/// In the order in which the dictionary names them first.
std::vector<std::string> platforms() {
  std::vector<std::string> out;
  for (const ClaimInfo& claim : attestation::claim_dictionary()) {
    std::string_view rest = claim.platforms;
    while (!rest.empty()) {
      const auto space = std::min(rest.find(' '), rest.size());
      const std::string name{rest.substr(0, space)};
      if (std::ranges::find(out, name) == out.end()) out.push_back(name);
      rest.remove_prefix(std::min(space + 1, rest.size()));
    }
  }
  return out;
}

std::string value_of(const ClaimInfo& claim) {
  if (claim.type != ClaimType::bytes) return std::string{to_text(claim.type)};
  return claim.size == 0 ? "hex" : "hex, " + std::to_string(claim.size) + " bytes";
}

void print_text(std::ostream& out, const std::vector<std::string>& wanted) {
  std::size_t width = 0;
  for (const ClaimInfo& claim : attestation::claim_dictionary()) width = std::max(width, claim.name.size());
  for (const std::string& platform : wanted) {
    out << platform << "\n";
    for (const ClaimInfo& claim : attestation::claim_dictionary()) {
      if (!is_of(claim, platform)) continue;
      const std::string value = value_of(claim);
      constexpr std::size_t kValueWidth = 16;
      out << "  " << claim.name << std::string(width - claim.name.size() + 2, ' ') << value
          << std::string(kValueWidth - std::min(kValueWidth - 1, value.size()), ' ') << claim.meaning
          << (claim.identifies ? " (identifies code)" : "") << "\n";
    }
  }
}

void print_markdown(std::ostream& out, const std::vector<std::string>& wanted) {
  for (const std::string& platform : wanted) {
    out << "\n## " << platform << "\n\n| claim | value | meaning |\n|---|---|---|\n";
    for (const ClaimInfo& claim : attestation::claim_dictionary()) {
      if (!is_of(claim, platform)) continue;
      out << "| `" << claim.name << "` | " << value_of(claim) << " | " << claim.meaning
          << (claim.identifies ? " **(identifies code)**" : "") << " |\n";
    }
  }
}

void print_json(std::ostream& out, const std::vector<std::string>& wanted) {
  base::JsonOutArray claims;
  for (const ClaimInfo& claim : attestation::claim_dictionary()) {
    const auto of = [&](const std::string& platform) { return is_of(claim, platform); };
    if (std::ranges::none_of(wanted, of)) continue;
    claims.emplace_back(base::JsonOutObject{{"name", claim.name},
                                            {"platforms", claim.platforms},
                                            {"type", to_text(claim.type)},
                                            {"bytes", static_cast<std::int64_t>(claim.size)},
                                            {"identifies", claim.identifies},
                                            {"meaning", claim.meaning}});
  }
  out << base::JsonOut(base::JsonOutObject{{"claims", std::move(claims)}}).pretty() << "\n";
}

base::Result<int> claims(Context& context, const std::string& platform, const std::string& format) {
  std::vector<std::string> wanted = platforms();
  if (!platform.empty()) {
    if (std::ranges::find(wanted, platform) == wanted.end()) {
      std::string known;
      for (const std::string& name : wanted) known.append(known.empty() ? "" : ", ").append(name);
      return base::Error{base::Code::usage, "--platform: there are no claims of it", known, platform};
    }
    wanted = {platform};
  }
  if (format == "json") {
    print_json(context.out, wanted);
  } else if (format == "markdown") {
    print_markdown(context.out, wanted);
  } else {
    print_text(context.out, wanted);
  }
  return kExitOk;
}

}  // namespace

void add_claims(CLI::App& app, Context& context) {
  struct Options {
    std::string platform;
    std::string format = "text";
  };
  auto options = std::make_shared<Options>();
  auto* command = app.add_subcommand("claims", "List what evidence can say of each platform, and a policy ask for");
  command->add_option("--platform", options->platform, "only this one, for example tdx")->type_name("NAME");
  command->add_option("--format", options->format, "text, markdown or json")
      ->check(CLI::IsMember({"text", "markdown", "json"}))
      ->capture_default_str();
  command->callback(
      [&context, options] { finish(context, [&] { return claims(context, options->platform, options->format); }); });
}

}  // namespace attestry::app
