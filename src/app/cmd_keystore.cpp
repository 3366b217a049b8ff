// `attestry keystore`: a server from the environment of the NEAR OutLayer keystore worker, and what its owner does on
// the chain (docs/how-to/run-a-keystore.md).
#include "app/cmd_keystore.h"

#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <filesystem>
#include <ostream>

#include "app/cli.h"
#include "app/cmd_keystore_standby.h"
#include "app/keystore_commands.h"
#include "app/keystore_environment.h"
#include "app/paths.h"
#include "base/encoding.h"
#include "base/json_writer.h"
#include "chain/near_rpc.h"
#include "crypto/random.h"
#include "net/client.h"
#include "secrets/keystore_v0.h"
#include "state/file.h"

namespace attestry::app {
namespace {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

constexpr std::size_t kMostFile = 64 * 1024;
constexpr std::chrono::seconds kPatience{60};
constexpr std::uint64_t kTeraGas = 1'000'000'000'000;
constexpr std::string_view kHowToSet =
    "note: `attestry keystore` takes settings and options of the server in --with, each in one of its own:\n"
    "  --with=--set=tls.mode=auto  --with=--set=keystore.plaintext=true  --with=--unlock=file:PATH\n"
    "SERVER_HOST and SERVER_PORT of the environment are keystore.listen; --show says what the others are.\n";

struct RunOptions {
  std::string env_file;
  std::string data = "attestry-keystore";
  std::vector<std::string> rest;  ///< further arguments of `serve`
  std::string format = "text";    ///< of what `show` prints
  bool simulated = false;
  bool show = false;
};

Status keep_private(const std::string& path, std::string_view text) {
  return state::replace_file(state::system_files(), path, base::as_bytes(text));
}

/// Keys leave the environment for files that only this user may read; the settings name those. `made`: such as were not
/// there before.
Status keep_keys(const RunOptions& options, KeystoreEnvironment& read, std::vector<std::string>& made) {
  const auto keep = [&](std::string_view setting, const std::string& name, std::string_view prefix,
                        const std::string& key) -> Status {
    if (key.empty()) return base::done();
    const std::string path = options.data + "." + name;
    TRY(const bool there, present(path));
    TRY_OK(keep_private(path, key + "\n"), path);
    if (!there) made.push_back(path);
    read.settings[std::string{setting}] = std::string{prefix} + path;
    return base::done();
  };
  TRY_OK(keep("keystore.master", "master", "file:", read.master_secret));
  TRY_OK(keep("keystore.private_key", "private-key", "", read.private_key));
  TRY_OK(keep("keystore.init_key", "init-key", "", read.init_key));
  if (read.master_out_path.empty()) return base::done();
  // As the original: made once, kept where the operator says.
  TRY(const auto there, state::system_files().read(read.master_out_path, kMostFile));
  if (!there) {
    const auto secret = crypto::system_random().secret(32);
    TRY_OK(keep_private(read.master_out_path, "KEYSTORE_MASTER_SECRET=" + base::hex(secret.reveal()) + "\n"),
           "KEYSTORE_MASTER_SECRET_OUT_PATH");
    made.push_back(read.master_out_path);
  }
  read.settings["keystore.master"] = "file:" + read.master_out_path;
  return base::done();
}

/// What --show says in place of keep_keys(), which makes files.
void show_keys(const RunOptions& options, KeystoreEnvironment& read) {
  const auto show = [&](std::string_view setting, const char* name, std::string_view prefix, const std::string& key) {
    if (key.empty()) return;
    const std::string path = options.data + "." + name;
    read.settings[std::string{setting}] = std::string{prefix} + path;
    read.notes.push_back("at its start it writes " + path + ", mode 0600: " + std::string{setting} + " is a file");
  };
  show("keystore.master", "master", "file:", read.master_secret);
  show("keystore.private_key", "private-key", "", read.private_key);
  show("keystore.init_key", "init-key", "", read.init_key);
  if (read.master_out_path.empty()) return;
  read.settings["keystore.master"] = "file:" + read.master_out_path;
  read.notes.push_back("a master that is not in " + read.master_out_path + " yet is made there at the first start");
}

void print_settings(Context& context, const RunOptions& options, const KeystoreEnvironment& read) {
  if (options.format == "json") {
    base::JsonOutObject settings;
    base::JsonOutArray notes(read.notes.begin(), read.notes.end());
    for (const auto& [name, value] : read.settings) settings.emplace_back(name, value);
    context.out
        << base::JsonOut{base::JsonOutObject{{"settings", std::move(settings)}, {"notes", std::move(notes)}}}.compact()
        << "\n";
    return;
  }
  for (const auto& note : read.notes) context.err << "note: " << note << "\n";
  for (const auto& [name, value] : read.settings) context.out << name << " = \"" << value << "\"\n";
}

Status is_private(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0 || (info.st_mode & 077) == 0) return base::done();
  return Error{
      Code::configuration, "others may read " + path + ", which holds keys", "mode 0600", {}, "Run: chmod 600 " + path};
}

/// A file that holds keys is nobody else's to read.
Status check_mode(const RunOptions& options, const KeystoreEnvironment& read) {
  if (!read.master_secret.empty() || !read.private_key.empty() || !read.init_key.empty())
    TRY_OK(is_private(options.env_file));
  if (!read.master_out_path.empty()) TRY_OK(is_private(read.master_out_path));
  return base::done();
}

Status check_realm(const RunOptions& options, const KeystoreEnvironment& read) {
  if (options.simulated || (read.tee_mode != "none" && read.tee_mode != "simulated")) return base::done();
  return Error{Code::configuration, "TEE_MODE=" + read.tee_mode + " verifies nothing",
               "outlayer_tee, sgx, sev, tdx or nitro", read.tee_mode,
               "To try things out, give --simulated: nothing of that realm opens anything real."};
}

Result<int> run_from_environment(Context& context, const RunOptions& options) {
  if (options.format == "json" && !options.show) {
    return Error{Code::usage, "--format json", "with --show", "without: a keystore that runs prints no document",
                 "Give --show, or leave --format away."};
  }
  TRY(const auto bytes, read_input(context, options.env_file, kMostFile));
  TRY(const auto variables, parse_env_file(base::as_text(bytes)), options.env_file);
  auto read = read_keystore_environment(variables);
  for (const auto& mistake : read.mistakes) print_error(context.err, mistake);
  if (!read.mistakes.empty()) return kExitUsage;
  TRY_OK(check_realm(options, read));
  TRY_OK(check_mode(options, read));
  if (options.show) {
    show_keys(options, read);
    print_settings(context, options, read);
    return kExitOk;
  }
  for (const auto& note : read.notes) context.err << "note: " << note << "\n";
  std::vector<std::string> made;
  TRY_OK(keep_keys(options, read, made));
  read.wipe();
  std::vector<std::string> arguments{options.simulated ? "dev" : "serve", "--data", options.data};
  if (options.simulated) arguments.emplace_back("--any-port");
  for (const auto& [name, value] : read.settings) {
    arguments.emplace_back("--set");
    arguments.push_back(std::string{name}.append("=").append(value));
  }
  arguments.insert(arguments.end(), options.rest.begin(), options.rest.end());
  const int ended = run(arguments, context);
  if (ended != kExitUsage) return ended;
  // What that command says to set is not this one's to take.
  context.err << kHowToSet;
  // Refused before it made its data folder, it has used none of the keys.
  TRY(const bool used, present(options.data));
  for (const auto& path : made) {
    std::error_code ignored;
    if (!used) std::filesystem::remove(path, ignored);
  }
  return ended;
}

struct PublishOptions {
  std::vector<std::string> rpc;
  std::string network = "testnet";
  std::string contract;
  std::string account;
  std::string key_file;
  std::string pubkey;
};

/// set_keystore_pubkey({"pubkey_hex"}) of the contract, signed by an account that it lets do so (keystore_ckd.md 1.5).
Result<int> publish_key(Context& context, const PublishOptions& options) {
  using chain::near::AccountId;
  using chain::near::EndpointOptions;
  using chain::near::FunctionCall;
  using chain::near::Outcome;
  using chain::near::QuorumReader;
  using chain::near::SecretKey;
  using chain::near::Sender;
  TRY(const auto contract, AccountId::parse(options.contract), "--contract");
  TRY(const auto account, AccountId::parse(options.account.empty() ? options.contract : options.account), "--account");
  TRY(const auto published, secrets::keystore::parse_v0_public_key(options.pubkey), "--pubkey");
  TRY(auto text, read_input(context, options.key_file, kMostFile));
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  auto key = SecretKey::parse(base::as_text(text));
  crypto::wipe(text);
  if (!key) return std::move(key.error().at("--key"));
  const std::string args = base::JsonOut{base::JsonOutObject{{"pubkey_hex", base::hex(published)}}}.compact();
  std::vector<EndpointOptions> endpoints;
  endpoints.reserve(options.rpc.size());
  for (const auto& url : options.rpc) endpoints.push_back({.url = url});
  TRY(const auto http, net::HttpClient::make({.clock = &context.clock}));
  TRY(const auto reader,
      QuorumReader::make(*http, {.chain_id = options.network, .endpoints = endpoints, .clock = &context.clock}));
  TRY(const auto sender, Sender::make(*http, {.chain_id = options.network,
                                              .endpoints = endpoints,
                                              .poll = std::chrono::milliseconds{200},
                                              .clock = &context.clock}));
  const auto deadline = context.clock.steady() + kPatience;
  TRY(const auto signed_transaction, prepare(*reader, account, *key, contract,
                                             {FunctionCall{.method = "set_keystore_pubkey",
                                                           .args = base::to_bytes(std::string_view{args}),
                                                           .gas = 30 * kTeraGas,
                                                           .deposit = {}}},
                                             deadline));
  TRY(const auto outcome, sender->send(signed_transaction, account, deadline));
  if (outcome.kind != Outcome::Kind::succeeded) return error_of(outcome);
  context.out << "published " << base::hex(published) << " on " << contract.text() << "\n";
  return kExitOk;
}

}  // namespace

void add_keystore(CLI::App& app, Context& context) {
  auto* command = app.add_subcommand("keystore", "A keystore for NEAR OutLayer's workers, from its own environment");
  auto options = std::make_shared<RunOptions>();
  command->add_option("--env-file", options->env_file, "NAME=VALUE lines of the keystore worker, any generation");
  command->add_option("--data", options->data, "data folder")->capture_default_str();
  command->add_flag("--simulated", options->simulated, "in the simulated realm, as `attestry dev`");
  command->add_flag("--show", options->show, "show the settings that it stands for, and end");
  command->add_option("--format", options->format, "of --show: text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  command->add_option("--with", options->rest, "a further argument of `attestry serve`, such as --with=--unlock=file:K")
      ->allow_extra_args(false);
  command->callback([command, options, &context] {
    if (!command->get_subcommands().empty()) return;
    finish(context, [&]() -> Result<int> {
      if (options->env_file.empty()) return Error{Code::usage, "--env-file is missing"};
      return run_from_environment(context, *options);
    });
  });

  add_keystore_operations(*command, context);
  add_keystore_standby(*command, context);

  auto* publish = command->add_subcommand("publish-key", "Tell the contract which key secrets are encrypted for");
  auto asked = std::make_shared<PublishOptions>();
  publish->add_option("--rpc", asked->rpc, "NEAR JSON-RPC endpoint; again for each")->required();
  publish->add_option("--network", asked->network, "as the nodes name it")->capture_default_str();
  publish->add_option("--contract", asked->contract, "account of the contract")->required();
  publish->add_option("--account", asked->account, "who signs [the contract's own account]");
  publish->add_option("--key", asked->key_file, "file with that account's key, \"ed25519:…\"")->required();
  publish->add_option("--pubkey", asked->pubkey, "as GET /pubkey says it, hex or base58")->required();
  publish->callback([asked, &context] { finish(context, [&] { return publish_key(context, *asked); }); });
}

}  // namespace attestry::app
