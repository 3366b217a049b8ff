// `attestry node init` and `attestry node run`: a node's folder with its settings, and the node.
#include <CLI/CLI.hpp>
#include <filesystem>
#include <ostream>
#include <utility>

#include "app/cli.h"
#include "app/node_commands.h"
#include "app/node_settings.h"
#include "app/paths.h"
#include "app/settings.h"
#include "app/validate.h"
#include "state/file.h"

namespace attestry::app {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

struct InitOptions {
  std::string folder, listen = "127.0.0.1:9447", address, app = "name:attestry-node", servers, server_dialects,
                      attestation, unlock;
  std::vector<std::string> operators, sets;
  std::uint32_t id = 0;
  unsigned operators_needed = 1;
  bool simulated = false;
};

std::string settings_file(const std::string& folder) { return folder + "/node.toml"; }

std::string toml_text(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

std::string joined(const std::vector<std::string>& parts) {
  std::string out;
  for (const auto& one : parts) out += (out.empty() ? "" : ",") + one;
  return out;
}

std::map<std::string, std::string> settings_of(const InitOptions& options) {
  const std::string folder = std::filesystem::absolute(options.folder).lexically_normal().string();
  std::map<std::string, std::string> out{{"server.data", folder + "/data"},
                                         {"server.realm", options.simulated ? "simulated" : "production"},
                                         {"node.listen", options.listen},
                                         {"node.id", std::to_string(options.id)},
                                         {"node.app", options.app},
                                         {"node.operators", joined(options.operators)},
                                         {"node.operators_needed", std::to_string(options.operators_needed)}};
  if (!options.address.empty()) out["node.address"] = options.address;
  if (!options.servers.empty()) out["node.servers"] = options.servers;
  if (!options.server_dialects.empty()) out["node.server_dialects"] = options.server_dialects;
  if (!options.unlock.empty()) out["unlock.source"] = options.unlock;
  out["node.attestation"] = !options.attestation.empty() ? options.attestation
                            : options.simulated          ? "simulated:" + folder + "/data/forge.seed"
                                                         : "none";
  return out;
}

/// TOML, section by section.
std::string text_of(const std::map<std::string, std::string>& settings) {
  std::string out = "# A node of a threshold root. `attestry config show` says what each setting means.\n";
  std::string section;
  for (const auto& [name, value] : settings) {
    const auto dot = name.find('.');
    if (name.substr(0, dot) != section) {
      section = name.substr(0, dot);
      out += "\n[" + section + "]\n";
    }
    out += name.substr(dot + 1) + " = " + toml_text(value) + "\n";
  }
  return out;
}

Status make_folder(const std::string& folder) {
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (failed) return Error{Code::io, "cannot create " + folder, {}, failed.message()};
  std::filesystem::permissions(folder, std::filesystem::perms::owner_all, failed);
  if (failed) return Error{Code::io, "cannot close " + folder + " to others", {}, failed.message()};
  return base::done();
}

Result<int> init(Context& context, const InitOptions& options) {
  const std::string file = settings_file(options.folder);
  TRY(const bool there, present(file));
  if (there) {
    return Error{
        Code::conflict, file + " exists already", {}, {}, "Edit it, or choose another folder; nothing was changed."};
  }
  auto chosen = settings_of(options);
  TRY_OK(read_sets(options.sets, chosen));
  std::vector<Error> mistakes;
  const auto settings = Settings::load("", chosen, {}, mistakes);
  read_node_settings(settings, mistakes);
  for (const auto& mistake : mistakes) print_error(context.err, mistake);
  if (!mistakes.empty()) return kExitUsage;
  TRY_OK(make_folder(options.folder));
  const std::string text = text_of(chosen);
  TRY_OK(state::replace_file(state::system_files(), file, base::as_bytes(text)), file);
  context.out << "wrote " << file << "\n";
  context.err
      << "Next:\n  attestry node run " << options.folder << "\n"
      << "then have operators approve the nodes' software at this node (docs/how-to/run-a-threshold-root.md), and\n"
      << "  attestry node join HOST:PORT     # of a node that is there; not at the first one\n";
  return kExitOk;
}

}  // namespace

Result<int> run_node(Context& context, const std::string& folder, const std::vector<std::string>& rest) {
  const std::string file = settings_file(folder);
  TRY(const bool there, present(file));
  if (!there) return Error{Code::not_found, "there is no " + file, {}, {}, "attestry node init " + folder};
  TRY(const auto settings, Settings::load(file, {}, {}));
  std::vector<std::string> arguments;
  if (settings.text("server.realm") == "simulated") {
    // The vendor's services that make simulated evidence good are those of `dev`.
    arguments = {"dev", "--data", settings.text("server.data"), "--any-port"};
    for (const auto& [name, setting] : settings.all()) {
      if (setting.origin == "default" || name == "server.data" || name == "server.realm") continue;
      arguments.insert(arguments.end(), {"--set", name + "=" + setting.value});
    }
  } else {
    arguments = {"serve", "--config", file};
  }
  arguments.insert(arguments.end(), rest.begin(), rest.end());
  return run(arguments, context);
}

void add_node_setup(CLI::App& group, Context& context) {
  {
    auto options = std::make_shared<InitOptions>();
    auto* command = group.add_subcommand("init", "Make a node's folder with its settings");
    command->add_option("folder", options->folder, "is made; the node's settings and data are in it")->required();
    command->add_option("--id", options->id, "its number in the cluster for ever, below 255")->required();
    command->add_option("--listen", options->listen, "where other nodes call")->capture_default_str();
    command->add_option("--address", options->address, "HOST:PORT at which they reach it, when that is another");
    command->add_option("--operator", options->operators, "public key of who says who the members are; again for each")
        ->required();
    command->add_option("--operators-needed", options->operators_needed, "so many must sign")->capture_default_str();
    command->add_option("--app", options->app, "approvals for this app say which software is a node")
        ->capture_default_str();
    command->add_option("--servers", options->servers, "and for this one, which servers may derive for themselves");
    command->add_option("--server-dialects", options->server_dialects,
                        "dialects whose masters they may derive, too: registry,keystore");
    command->add_option("--attestation", options->attestation, "address of a quote provider");
    command->add_option("--unlock", options->unlock, "what opens the root file: file:PATH, fd:N or credential:NAME");
    command->add_option("--set", options->sets, "SECTION.KEY=VALUE, any setting of `attestry config show`");
    command->add_flag("--simulated", options->simulated, "to try things out: nothing of it opens anything real");
    command->callback([&context, options] { finish(context, [&] { return init(context, *options); }); });
  }
  auto folder = std::make_shared<std::string>();
  auto* command = group.add_subcommand("run", "Run the node of a folder; further flags are those of `attestry serve`");
  command->add_option("folder", *folder, "as `init` made it")->required();
  command->allow_extras();
  command->callback([&context, folder, command] {
    finish(context, [&] { return run_node(context, *folder, command->remaining()); });
  });
}

}  // namespace attestry::app
