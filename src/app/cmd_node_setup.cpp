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
#include "app/simulated_tee.h"
#include "app/validate.h"
#include "base/json_writer.h"
#include "crypto/random.h"
#include "state/file.h"

namespace attestry::app {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

struct InitOptions {
  std::string folder, listen = "127.0.0.1:9447", address, app = "name:attestry-node", servers, server_dialects,
                      near_accounts, attestation, unlock, seed, format = "text";
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
  if (!options.near_accounts.empty()) out["node.near_accounts"] = options.near_accounts;
  // As the folder's own: the node may be started from anywhere.
  if (!options.unlock.empty()) {
    constexpr std::string_view file = "file:";
    out["unlock.source"] =
        options.unlock.starts_with(file)
            ? std::string{file} +
                  std::filesystem::absolute(options.unlock.substr(file.size())).lexically_normal().string()
            : options.unlock;
  }
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

/// What is a node's must not be mixed with what is not.
Status check_folder(const std::string& folder) {
  std::error_code failed;
  const auto status = std::filesystem::status(folder, failed);
  if (status.type() == std::filesystem::file_type::not_found) return base::done();
  if (!std::filesystem::is_directory(status)) {
    return Error{Code::usage, "a node's folder", "a new folder", folder + ", which is none",
                 "Choose another name; nothing was done."};
  }
  const std::filesystem::directory_iterator inside(folder, failed);
  if (failed || inside == std::filesystem::directory_iterator{}) return base::done();
  return Error{Code::usage, "a node's folder", "a new folder, or an empty one",
               folder + ", with " + inside->path().filename().string() + " in it",
               "Choose another name; nothing was changed."};
}

Status make_folder(const std::string& folder) {
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (failed) return Error{Code::io, "cannot create " + folder, {}, failed.message()};
  std::filesystem::permissions(folder, std::filesystem::perms::owner_all, failed);
  if (failed) return Error{Code::io, "cannot close " + folder + " to others", {}, failed.message()};
  return base::done();
}

/// Simulated machines believe each other where they have the same vendor, which is what the seed makes.
Status simulate(const std::string& folder, const std::string& seed) {
  const std::string own = folder + "/data/forge.seed";
  TRY_OK(make_folder(folder + "/data"));
  if (seed.empty()) return make_simulated_seed(own, crypto::system_random());
  TRY(const auto bytes, state::system_files().read(seed, 4096));
  if (!bytes) {
    return Error{Code::not_found, "--seed " + seed, "the file DIR/data/forge.seed of another simulated node", "none"};
  }
  return state::replace_file(state::system_files(), own, *bytes);
}

Result<int> init(Context& context, const InitOptions& options) {
  const std::string file = settings_file(options.folder);
  TRY(const bool there, present(file));
  if (there) {
    return Error{
        Code::conflict, file + " exists already", {}, {}, "Edit it, or choose another folder; nothing was changed."};
  }
  TRY_OK(check_folder(options.folder));
  if (options.simulated && !options.attestation.empty() && !options.attestation.starts_with(kSimulatedAttestation)) {
    return Error{Code::usage, "--attestation", "none with --simulated, which makes simulated evidence",
                 options.attestation, "Leave one of the two away: simulated nodes believe no real TEE's evidence."};
  }
  if (!options.seed.empty() && !options.simulated) {
    return Error{Code::usage, "--seed", "with --simulated", "without: real machines have their vendor's keys"};
  }
  for (const std::string& one : options.operators) {
    if (!one.starts_with("-")) continue;
    return Error{Code::usage, "--operator", "the public key of an operator, 64 hex digits", "the flag " + one,
                 "The variable before it may be empty: attestry operator show KEYFILE prints the key."};
  }
  auto chosen = settings_of(options);
  TRY_OK(read_sets(options.sets, chosen));
  if (chosen["node.attestation"] == "none") {
    return Error{Code::usage, "who makes this node's evidence", "--attestation URL, or --simulated to try it out",
                 "neither"};
  }
  std::vector<Error> mistakes;
  const auto settings = Settings::load("", chosen, {}, mistakes);
  const auto said = read_node_settings(settings, mistakes);
  for (const auto& mistake : mistakes) print_error(context.err, mistake);
  if (!mistakes.empty()) return kExitUsage;
  TRY_OK(make_folder(options.folder));
  if (options.simulated) TRY_OK(simulate(options.folder, options.seed));
  const std::string text = text_of(chosen);
  TRY_OK(state::replace_file(state::system_files(), file, base::as_bytes(text)), file);
  if (options.format == "json") {
    base::JsonOutObject out{{"settings", file}, {"id", said.id}, {"realm", settings.text("server.realm")}};
    if (options.simulated) out.emplace_back("seed", options.folder + "/data/forge.seed");
    context.out << base::JsonOut{std::move(out)}.compact() << "\n";
    return kExitOk;
  }
  context.out << "wrote " << file << "\n";
  if (options.simulated && options.seed.empty()) {
    context.err
        << "Other simulated nodes of this cluster need its seed, or they do not believe each other's evidence:\n"
        << "  attestry node init ... --simulated --seed " << options.folder << "/data/forge.seed\n";
  }
  context.err
      << "Next:\n  attestry node run " << options.folder << "\n"
      << "(to bring a lost node back, in its place: attestry node import " << options.folder
      << " --from EXPORT --holder-key FILE)\n"
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
        ->required()
        ->allow_extra_args(false);
    command->add_option("--operators-needed", options->operators_needed, "so many must sign")->capture_default_str();
    command->add_option("--app", options->app, "approvals for this app say which software is a node")
        ->capture_default_str();
    command->add_option("--servers", options->servers, "and for this one, which servers may derive for themselves");
    command->add_option("--server-dialects", options->server_dialects,
                        "dialects whose masters they may derive, too: registry,keystore");
    command->add_option("--near-accounts", options->near_accounts,
                        "NEAR accounts, or *.ACCOUNT for all below one, whose keys they may have as keystores");
    command->add_option("--attestation", options->attestation, "address of a quote provider");
    command->add_option("--unlock", options->unlock, "what opens the root file: file:PATH, fd:N or credential:NAME");
    command->add_option("--set", options->sets, "SECTION.KEY=VALUE, any setting of `attestry config show`");
    command->add_option("--seed", options->seed,
                        "with --simulated: DIR/data/forge.seed of another node of the cluster");
    command->add_flag("--simulated", options->simulated, "to try things out: nothing of it opens anything real");
    add_node_format(*command, options->format);
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
