// `attestry serve` and `attestry config`: a server from its settings, and the settings themselves.
#include <CLI/CLI.hpp>
#include <chrono>
#include <map>
#include <optional>
#include <ostream>

#include "app/cli.h"
#include "app/mistakes.h"
#include "app/signals.h"
#include "app/validate.h"
#include "app/wire.h"
#include "base/json_writer.h"
#include "base/log.h"

namespace attestry::app {
namespace {

constexpr std::chrono::seconds kDrain{30};

struct ServeOptions {
  std::string config;
  std::map<std::string, std::string> flags;
  std::vector<std::string> sets;
  std::string format = "text";
  bool with_origin = false;
};

/// Every setting is a flag too: --set server.listen=127.0.0.1:9000; the usual ones have names of their own.
void add_settings_options(CLI::App& command, ServeOptions& options) {
  command.add_option("--config", options.config, "TOML file")->envname("ATTESTRY_CONFIG");
  command.add_option("--set", options.sets, "SECTION.KEY=VALUE, any setting of `attestry config show`");
  const std::pair<const char*, const char*> named[] = {{"--data", "server.data"},
                                                       {"--listen", "server.listen"},
                                                       {"--admin-listen", "server.admin_listen"},
                                                       {"--metrics-listen", "server.metrics_listen"},
                                                       {"--service", "server.services"},
                                                       {"--origin", "server.origin"},
                                                       {"--unlock", "unlock.source"},
                                                       {"--tls", "tls.mode"},
                                                       {"--pcs", "collateral.pcs"},
                                                       {"--log-level", "log.level"}};
  for (const auto& [flag, setting] : named) {
    std::string help;
    for (const auto& info : setting_infos()) {
      if (info.name == setting) help = std::string{info.help} + " [" + std::string{info.default_value} + "]";
    }
    command.add_option_function<std::string>(
        flag, [&options, name = std::string{setting}](const std::string& value) { options.flags[name] = value; }, help);
  }
}

struct OldFlag {
  const char* flag;
  const char* setting;
  const char* value = "";  ///< of a flag that takes none
};
/// Of the first registries' servers, where they mean the same (docs/reference/registry-commands.md).
constexpr OldFlag kOldFlags[] = {{"--rpc-addr", "registry.rpc"},
                                 {"--listen-addr,--kms-listen-addr", "registry.listen"},
                                 {"--metrics-addr", "server.metrics_listen"},
                                 {"--kms-type", "registry.kms"},
                                 {"--kms-contract", "registry.kms_contract"},
                                 {"--shamirkms-admin-keys-file", "registry.admins"},
                                 {"--shamirkms-threshold", "registry.threshold"},
                                 {"--shamirkms-listen-addr,--bootstrap-listen-addr", "registry.admin_listen"},
                                 {"--shamirkms-bootstrap-timeout", "registry.bootstrap_timeout"},
                                 {"--remote-attestation-provider", "registry.attestation"},
                                 {"--log-json", "log.format", "json"},
                                 {"--log-debug", "log.level", "debug"}};

void add_old_flags(CLI::App& command, ServeOptions& options) {
  constexpr const char* kGroup = "Flags of the first registries";
  for (const OldFlag& old : kOldFlags) {
    const std::string help = std::string{"--set "} + old.setting + "=" + old.value;
    if (*old.value != '\0') {
      command.add_flag_callback(
                 old.flag, [&options, &old] { options.flags[old.setting] = old.value; }, help)
          ->group(kGroup);
      continue;
    }
    command
        .add_option_function<std::string>(
            old.flag, [&options, &old](const std::string& value) { options.flags[old.setting] = value; }, help)
        ->group(kGroup);
  }
  command
      .add_option_function<std::string>(
          "--simple-kms-seed",
          [](const std::string&) {
            throw CLI::ValidationError(
                "--simple-kms-seed",
                "everybody on the machine can read a flag: write the 64 hex digits into a file of mode 0600 and give "
                "--kms-type simple --set registry.master=FILE");
          },
          "refused: --set registry.master=FILE")
      ->group(kGroup);
}

base::Result<std::map<std::string, std::string>> flags_of(const ServeOptions& options) {
  auto flags = options.flags;
  TRY_OK(read_sets(options.sets, flags));
  return flags;
}

/// The settings, when a server may start with them; otherwise every mistake was printed.
base::Result<std::optional<Settings>> load_checked(Context& context, const ServeOptions& options) {
  std::vector<base::Error> mistakes;
  TRY(const auto flags, flags_of(options));
  auto settings = Settings::load(options.config, flags, process_environment(), mistakes);
  for (auto& mistake : mistakes_in(settings)) mistakes.push_back(std::move(mistake));
  if (mistakes.empty()) return std::optional{std::move(settings)};
  print_mistakes(context, mistakes);
  return std::optional<Settings>{};
}

/// True when somebody said stop; false when the registry's administrators took too long, because a server that nobody
/// unlocks is one that a supervisor must see.
bool wait_for_end(const RunningServer& server) {
  constexpr std::chrono::milliseconds kLook{200};
  const auto until = std::chrono::steady_clock::now() + server.bootstrap_timeout();
  while (server.awaits_master()) {
    if (wait_for_stop_signal(kLook)) return true;
    if (server.bootstrap_timeout().count() != 0 && std::chrono::steady_clock::now() >= until) return false;
  }
  wait_for_stop_signal();
  return true;
}

base::Result<int> serve(Context& context, const ServeOptions& options) {
  block_signals();
  TRY(const auto checked, load_checked(context, options));
  if (!checked) return kExitUsage;
  const Settings& settings = *checked;
  Seams seams;
  seams.clock = &context.clock;
  seams.files = context.files;
  TRY(const auto server, RunningServer::start(settings, std::move(seams)));
  context.out << "attestry is ready\n"
              << "  workloads and verifiers  " << server->url() << "\n"
              << "  operators                " << server->admin_url() << "  (token in " << server->admin_token_file()
              << ")\n";
  if (!server->metrics_url().empty())
    context.out << "  metrics                  " << server->metrics_url() << "/metrics\n";
  for (const auto& [name, url] : server->dialect_urls()) {
    context.out << "  " << name << std::string(name.size() < 25 ? 25 - name.size() : 1, ' ') << url << "\n";
  }
  context.out << "  log                      " << server->log_vkey() << "\n";
  if (server->awaits_master()) {
    const auto seconds = server->bootstrap_timeout().count();
    context.out << "The registry is LOCKED: it has no master key yet (attestry admin status, attestry kms authorize)"
                << (seconds == 0 ? "" : "; this program ends in " + std::to_string(seconds) + " s without one")
                << ".\n";
  }
  context.out.flush();
  if (context.serving) context.serving({server->url(), server->admin_url(), server->metrics_url()});
  if (!wait_for_end(*server)) {
    return base::Error{
        base::Code::unavailable,
        "nobody brought the registry's master key in time",
        "at most " + std::to_string(server->bootstrap_timeout().count()) + " seconds",
        {},
        "Start the server again and let the administrators run `attestry admin ceremony`, or with "
        "registry.kms onboard the operator `attestry kms onboard`; registry.bootstrap_timeout gives them "
        "more time."};
  }
  base::log(base::LogLevel::info, "stopping", {{"drain_seconds", std::to_string(kDrain.count())}});
  return server->stop(std::chrono::steady_clock::now() + kDrain) ? kExitOk : kExitUndecided;
}

base::Result<int> config_show(Context& context, const ServeOptions& options) {
  TRY(const auto flags, flags_of(options));
  TRY(const auto settings, Settings::load(options.config, flags, process_environment()));
  if (options.format == "json") {
    base::JsonOutObject out;
    for (const auto& [name, setting] : settings.all()) {
      out.emplace_back(name, base::JsonOutObject{{"value", setting.value}, {"origin", setting.origin}});
    }
    context.out << base::JsonOut{std::move(out)}.pretty() << "\n";
    return kExitOk;
  }
  for (const auto& info : setting_infos()) {
    context.out << info.name << " = \"" << settings.text(info.name) << "\"";
    if (options.with_origin) context.out << "  # " << settings.origin(info.name);
    context.out << "\n    " << info.help << "\n";
  }
  return kExitOk;
}

/// Everything that can be told without starting: what `serve` asks before it makes anything.
base::Result<int> config_check(Context& context, const ServeOptions& options) {
  TRY(const auto checked, load_checked(context, options));
  if (!checked) return kExitUsage;
  context.out << "the configuration is good\n";
  return kExitOk;
}

}  // namespace

void add_serve(CLI::App& app, Context& context) {
  auto* command =
      app.add_subcommand("serve", "Run the server: challenges, registrations, verification, governance, log");
  auto options = std::make_shared<ServeOptions>();
  add_settings_options(*command, *options);
  add_old_flags(*command, *options);
  command->callback([options, &context] { finish(context, [&] { return serve(context, *options); }); });
}

void add_config(CLI::App& app, Context& context) {
  auto* command = app.add_subcommand("config", "Look at the settings of a server");
  command->require_subcommand(1);
  // Options of their own: CLI11 reads the environment for both commands, whichever is called.
  auto options = std::make_shared<ServeOptions>();
  auto* show = command->add_subcommand("show", "Every setting, its value and what it means");
  add_settings_options(*show, *options);
  show->add_flag("--origins", options->with_origin, "where each value comes from");
  show->add_option("--format", options->format, "text or json")->check(CLI::IsMember({"text", "json"}));
  show->callback([options, &context] { finish(context, [&] { return config_show(context, *options); }); });
  auto* check = command->add_subcommand("check", "Read the settings and name every mistake");
  auto check_options = std::make_shared<ServeOptions>();
  add_settings_options(*check, *check_options);
  check->callback(
      [check_options, &context] { finish(context, [&] { return config_check(context, *check_options); }); });
}

}  // namespace attestry::app
