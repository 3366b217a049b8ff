// `attestry instance`: acts as the workload. Registers with a server and writes what it received into a folder, after
// the receipt was checked under this side's own trust settings.
#include <CLI/CLI.hpp>
#include <chrono>
#include <ostream>

#include "app/cli.h"
#include "app/release_folder.h"
#include "app/simulated_tee.h"
#include "attestation/event_logs.h"
#include "attestation/eventlog/log.h"
#include "base/encoding.h"
#include "base/json_writer.h"
#include "client/registration.h"

namespace attestry::app {
namespace {

constexpr std::size_t kMaxTrust = 1u << 20;

struct InstanceOptions {
  std::string server = "https://127.0.0.1:8443";
  std::string trust;
  std::string ca;
  std::string tenant = "default";
  std::string app;
  std::string out;
  std::string simulated_tee;
  std::string kind = "tdx-v4";
  bool simulated_boot = false;
  std::vector<std::string> event_logs;
  std::string format = "text";
  std::int64_t timeout = 30;
};

void print_json(Context& context, const client::Registered& registered) {
  base::JsonOutArray keys;
  for (const auto& key : registered.release.keys) {
    keys.emplace_back(base::JsonOutObject{{"purpose", key.purpose},
                                          {"algorithm", key.algorithm},
                                          {"path", key.path},
                                          {"file", key_file_name(key.purpose, key.algorithm, key.path)},
                                          {"public", base::base64url(key.public_key)}});
  }
  base::JsonOutArray former;
  for (const auto& one : registered.release.former_keys) {
    former.emplace_back(base::JsonOutObject{{"epoch", one.epoch},
                                            {"purpose", one.key.purpose},
                                            {"algorithm", one.key.algorithm},
                                            {"path", one.key.path},
                                            {"file", former_key_file_name(one)},
                                            {"public", base::base64url(one.key.public_key)}});
  }
  base::JsonOutArray secrets;
  for (const auto& [name, value] : registered.release.secrets)
    secrets.emplace_back(base::JsonOutObject{{"name", name}, {"size", value.size()}});
  context.out << base::JsonOut{base::JsonOutObject{
                                   {"instance", registered.release.instance},
                                   {"expires", base::to_rfc3339(registered.release.expires)},
                                   {"leaf_index", registered.receipt.index},
                                   {"log_size", registered.receipt.head.size},
                                   {"witnessed", registered.receipt.witnessed},
                                   {"simulated", registered.receipt.leaf.realm == base::Realm::simulated},
                                   {"keys", std::move(keys)},
                                   {"former_keys", std::move(former)},
                                   {"secrets", std::move(secrets)},
                                   {"configuration_bytes", registered.release.configuration.size()}}}
                     .pretty()
              << "\n";
}

/// A refusal is explained by the appraisal that the server kept: whoever asks its operators needs the id.
base::Result<int> refused(Context& context, const InstanceOptions& options, const base::Error& error,
                          const std::string& appraisal) {
  if (appraisal.empty()) return error;
  print_error(context.err, error);
  print_appraisal(context.err, appraisal);
  if (options.format == "json") {
    context.out << base::JsonOut{base::JsonOutObject{{"code", base::slug(error.code)},
                                                     {"detail", error.what},
                                                     {"expected", error.expected},
                                                     {"found", error.found},
                                                     {"remedy", error.remedy},
                                                     {"appraisal", appraisal}}}
                       .pretty()
                << "\n";
  }
  return base::exit_code(error.code);
}

base::Result<int> register_command(Context& context, const InstanceOptions& options) {
  if (options.simulated_tee.empty()) {
    return base::Error{base::Code::usage,
                       "no source of evidence",
                       "--simulated-tee FILE",
                       {},
                       "This version makes evidence of simulated TEEs only; the file is forge.seed of the data folder "
                       "of attestry dev."};
  }
  TRY(const auto trust_bytes, read_input(context, options.trust, kMaxTrust), "--trust");
  TRY(const auto trust, client::Trust::parse(base::as_text(trust_bytes)), "--trust");
  TRY(const auto tee, SimulatedTee::open(options.simulated_tee, options.kind, options.simulated_boot),
      "--simulated-tee");
  TRY(const auto http, net::HttpClient::make({.ca_file = options.ca}), "--ca");
  TRY(const auto tenant, base::Tenant::parse(options.tenant), "--tenant");
  TRY(const auto app, base::AppRef::parse(options.app), "--app");
  std::vector<attestation::Supplement> logs;
  for (const std::string& path : options.event_logs) {
    TRY(auto bytes, read_input(context, path, attestation::eventlog::kMaxLogBytes), "--event-log");
    TRY_OK(attestation::add_event_log(logs, std::move(bytes)), "--event-log " + path);
  }
  std::string appraisal;
  const client::RegistrationRequest request{
      .url = options.server,
      .tenant = tenant,
      .app = app,
      .deadline = std::chrono::steady_clock::now() + std::chrono::seconds{options.timeout},
      .event_logs = std::move(logs),
      .refused_appraisal = &appraisal};
  const auto done = client::register_instance(*http, tee->attester(), trust, request, crypto::system_random());
  if (!done) return refused(context, options, done.error(), appraisal);
  const client::Registered& registered = *done;
  if (!options.out.empty()) TRY_OK(write_release(options.out, registered), "--out");
  if (options.format == "json") {
    print_json(context, registered);
  } else {
    print_registered(context.out, registered);
    if (!options.out.empty()) context.out << "  written to      " << options.out << "\n";
  }
  return kExitOk;
}

}  // namespace

void print_appraisal(std::ostream& err, const std::string& id) {
  err << "  appraisal   " << id << "\n              its operators see why: attestry why " << id << "\n";
}

void print_registered(std::ostream& out, const client::Registered& registered) {
  const auto& release = registered.release;
  out << "registered " << release.app << " of tenant " << release.tenant << "\n"
      << "  instance        " << release.instance << "\n"
      << "  valid until     " << base::to_rfc3339(release.expires) << "\n"
      << "  certificate     for the key that the evidence binds, issued by the app's own CA\n";
  for (const auto& key : release.keys) {
    out << "  key             " << key.purpose << " " << key.algorithm;
    if (!key.public_key.empty()) out << ", public " << base::base64url(key.public_key).substr(0, 32) << "…";
    out << "\n";
  }
  for (const auto& former : release.former_keys)
    out << "  former key      " << former.key.purpose << " " << former.key.algorithm << " of epoch " << former.epoch
        << "\n";
  for (const auto& [name, value] : release.secrets)
    out << "  secret          " << name << ", " << value.size() << " bytes (not shown)\n";
  out << "  configuration   " << release.configuration.size() << " bytes, template "
      << release.configuration_id.substr(0, 16) << "…\n"
      << "  receipt         leaf " << registered.receipt.index << " of " << registered.receipt.head.size << " in log "
      << registered.receipt.leaf.audience << (registered.receipt.witnessed ? ", witnessed" : ", not witnessed") << "\n";
}

void add_instance(CLI::App& app, Context& context) {
  auto* command = app.add_subcommand(
      "instance", "Act as a workload: prove what runs here and receive certificate, keys and configuration");
  auto options = std::make_shared<InstanceOptions>();
  command->add_option("--server", options->server, "public listener of the server")
      ->envname("ATTESTRY_PUBLIC_SERVER")
      ->capture_default_str();
  command->add_option("--trust", options->trust, "trust settings: origin and log keys (JSON)")
      ->envname("ATTESTRY_TRUST")
      ->required();
  command->add_option("--ca", options->ca, "PEM certificate to trust for TLS");
  command->add_option("--tenant", options->tenant, "tenant")->capture_default_str();
  command->add_option("--app", options->app, "app, such as name:hello")->required();
  command->add_option("--out", options->out, "folder to write everything received into (files of mode 0600)");
  command->add_option("--simulated-tee", options->simulated_tee,
                      "seed file of a simulated TEE (attestry dev makes forge.seed)");
  command->add_option("--kind", options->kind, "kind of simulated evidence: tdx-v4, tdx-v5, sgx-v3, …")
      ->capture_default_str();
  command->add_flag("--simulated-boot", options->simulated_boot,
                    "the simulated TD measures its boot and sends its event logs, those of attestry forge --event-log "
                    "with this seed");
  command
      ->add_option("--event-log", options->event_logs,
                   "log of this TD's boot, for policies that ask what was booted: TCG (the CCEL data area) or "
                   "dstack's JSON; it must lead to the registers of the quote. May be given again, once for each kind")
      ->type_name("FILE")
      ->allow_extra_args(false);
  command->add_option("--timeout", options->timeout, "seconds for the whole registration")->capture_default_str();
  command->add_option("--format", options->format, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  command->callback([options, &context] { finish(context, [&] { return register_command(context, *options); }); });
}

}  // namespace attestry::app
