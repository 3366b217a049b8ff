// `attestry dev`: everything on one machine, simulated. A PCS, a server, an app with its approvals and a TD that proves
// itself; then a real quote with real collateral. What a newcomer sees first.
#include <CLI/CLI.hpp>
#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <ostream>

#include "app/cli.h"
#include "app/dev_bootstrap.h"
#include "app/dev_vendors.h"
#include "app/mistakes.h"
#include "app/paths.h"
#include "app/signals.h"
#include "app/simulated_tee.h"
#include "app/validate.h"
#include "app/wire.h"
#include "attestation/policy.h"
#include "attestation/verifier.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/log.h"
#include "collateral/bundle.h"
#include "collateral/pcs.h"
#include "state/file.h"

namespace attestry::app {
namespace {

constexpr std::chrono::seconds kPatience{30};

struct DevOptions {
  std::string data;
  std::string real;
  std::string listen = "127.0.0.1:8443";
  std::string admin_listen = "127.0.0.1:8444";
  std::string metrics_listen = "127.0.0.1:8445";
  bool once = false;
  bool any_port = false;
  std::vector<std::string> sets;
};

base::Deadline soon() { return std::chrono::steady_clock::now() + kPatience; }

/// Where the data will be: a `--once` run without --data has a folder of its own.
base::Result<std::string> place_of(const DevOptions& options) {
  if (!options.data.empty()) return options.data;
  if (!options.once) return std::string{"attestry-dev"};
  std::error_code failed;
  const auto folder = std::filesystem::temp_directory_path(failed);
  if (failed) return base::Error{base::Code::io, "no folder for temporary files (TMPDIR)", {}, failed.message()};
  return (folder / ("attestry-dev-" + base::hex(crypto::system_random().bytes<8>()))).string();
}

/// Removes the folder of a `--once` run without --data.
class Workspace {
 public:
  static base::Result<std::unique_ptr<Workspace>> make(const DevOptions& options, std::string path) {
    const bool temporary = options.once && options.data.empty();
    std::error_code failed;
    std::filesystem::create_directories(path, failed);
    if (failed) return base::Error{base::Code::io, "cannot create " + path, {}, failed.message()};
    std::filesystem::permissions(path, std::filesystem::perms::owner_all, failed);
    if (failed) {
      return base::Error{base::Code::io,
                         "cannot close the data folder " + path + " to others",
                         {},
                         failed.message(),
                         "Run this as the user whose folder it is, or name another one with --data."};
    }
    return std::unique_ptr<Workspace>{new Workspace(std::move(path), temporary)};
  }
  ~Workspace() {
    std::error_code ignored;
    if (temporary_) std::filesystem::remove_all(path_, ignored);
  }
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;
  const std::string& path() const noexcept { return path_; }
  bool temporary() const noexcept { return temporary_; }

 private:
  Workspace(std::string path, bool temporary) : path_(std::move(path)), temporary_(temporary) {}
  std::string path_;
  bool temporary_;
};

base::Result<std::map<std::string, std::string>> dev_settings(const DevOptions& options, const std::string& data,
                                                              const std::string& pcs, const std::string& kds) {
  // --any-port is for what nobody said otherwise.
  static const DevOptions kUnsaid;
  const auto address = [&](const std::string& wanted, const std::string& unsaid) {
    return options.any_port && wanted == unsaid ? std::string{"127.0.0.1:0"} : wanted;
  };
  std::map<std::string, std::string> settings{
      {"server.data", data},
      {"server.realm", "simulated"},
      {"server.listen", address(options.listen, kUnsaid.listen)},
      {"server.admin_listen", address(options.admin_listen, kUnsaid.admin_listen)},
      {"server.metrics_listen", address(options.metrics_listen, kUnsaid.metrics_listen)},
      {"registry.admin_listen", address("127.0.0.1:8081", "127.0.0.1:8081")},
      {"registry.floor", "forgotten"},  // development chains begin anew
      {"tls.mode", "off"},
      {"collateral.pcs", pcs},
      {"collateral.kds", kds},
      {"collateral.kds_vcek_seconds", "0"},
      {"log.level", "warning"}};
  TRY_OK(read_sets(options.sets, settings));
  return settings;
}

bool is_the_same_place(const std::string& one, const std::string& other) {
  std::error_code failed;
  const auto first = std::filesystem::weakly_canonical(std::filesystem::absolute(one, failed), failed);
  if (failed) return false;
  return first == std::filesystem::weakly_canonical(std::filesystem::absolute(other, failed), failed) && !failed;
}

/// What a server would refuse to start with, before anything is made. The vendors' addresses are not known yet, and the
/// seed of the simulated TEE may not be there yet: any address stands for them.
base::Result<std::vector<base::Error>> judge(const DevOptions& options, const std::string& data) {
  const std::string later = "http://127.0.0.1:1";
  const std::string seed = data + "/forge.seed";
  TRY(auto chosen, dev_settings(options, data, later, later));
  TRY(const bool have_seed, present(seed));
  for (auto& [name, value] : chosen) {
    if (have_seed || !value.starts_with(kSimulatedAttestation)) continue;
    if (is_the_same_place(value.substr(kSimulatedAttestation.size()), seed)) value = later;
  }
  std::vector<base::Error> mistakes;
  const auto settings = Settings::load("", chosen, {}, mistakes);
  for (auto& mistake : mistakes_in(settings)) mistakes.push_back(std::move(mistake));
  if (mistakes.empty()) TRY_OK(addresses_free(settings));
  return mistakes;
}

/// Remembers the evidence that the registration made, to show its verdict.
class RecordingAttester final : public attestation::Attester {
 public:
  explicit RecordingAttester(attestation::Attester& inner) : inner_(inner) {}
  base::Result<attestation::Evidence> attest(const base::FixedBytes<64>& report_data) override {
    TRY(last, inner_.attest(report_data));
    return last;
  }
  attestation::Evidence last;

 private:
  attestation::Attester& inner_;
};

base::Status show_simulated_verdict(Context& context, const attestation::Verifier& verifier,
                                    const attestation::Evidence& evidence, const std::string& pcs_url) {
  TRY(const auto http, net::HttpClient::make());
  const collateral::PcsClient pcs{*http, {.base_url = pcs_url}};
  TRY(const auto needs, attestation::dcap_needs(evidence.bytes));
  TRY(const auto bundle, pcs.fetch(needs, soon()));
  TRY(auto verdict, verifier.verify(evidence, *bundle.collateral(), context.clock.now()));
  attestation::evaluate(attestation::Policy::standard(), verdict);
  context.out << attestation::to_text_report(verdict, context.colour) << "\n";
  return base::done();
}

/// A case folder (quote.bin, collateral.json, case.json with verify_at).
base::Result<bool> show_real_verdict(Context& context, const std::string& folder) {
  if (folder.empty()) return false;
  TRY(auto quote, read_input(context, folder + "/quote.bin", 1u << 20));
  base::UtcTime at = context.clock.now();
  TRY(const bool says_when, present(folder + "/case.json"));
  if (says_when) {
    TRY(const auto text, read_input(context, folder + "/case.json", 1u << 20));
    TRY(const auto doc, base::JsonDocument::parse(std::string{base::as_text(text)}));
    if (const auto value = doc->root().find("verify_at"); value && value->is_string()) {
      TRY(const auto time, value->string("verify_at"));
      TRY(at, base::parse_rfc3339(time));
    }
  }
  const attestation::Verifier verifier{attestation::TrustAnchors::production()};
  const attestation::Evidence evidence{attestation::detect_format(quote), std::move(quote)};
  TRY(auto verdict, verifier.verify(evidence, *collateral::read_bundle_path(folder).collateral(), at));
  attestation::evaluate(attestation::Policy::standard(), verdict);
  context.out << "A real Intel TDX quote with Intel's collateral, judged at " << base::to_rfc3339(at) << ":\n\n"
              << attestation::to_text_report(verdict, context.colour) << "\n";
  if (verdict.outcome != attestation::Outcome::accepted) {
    return base::Error{base::Code::evidence_false, "the real quote in " + folder + " was not accepted"};
  }
  return true;
}

void print_next_steps(Context& context, const DevOptions& options, const Workspace& workspace,
                      const RunningServer& server) {
  const std::string& data = workspace.path();
  context.out << "Three commands to try next:\n";
  if (workspace.temporary()) {
    context.out << "  attestry dev                                   the same, and it stays\n"
                << "  attestry forge --out case && attestry verify case --trust case/root.pem\n"
                << "  attestry checks show dcap.tcb.level\n";
    return;
  }
  context.out << "  attestry instance --server " << server.url() << " --trust " << data
              << "/trust.json --simulated-tee " << data << "/forge.seed --app " << kDevApp << " --out received\n"
              << "  attestry app show " << kDevApp << " --server " << server.admin_url() << " --token-file "
              << server.admin_token_file() << "\n"
              << "  attestry audit verify --store " << data << "/store.db --checkpoint " << data
              << "/checkpoint --trust " << data << "/trust.json\n";
  if (!options.once) context.out << "\nServing until Ctrl-C.\n";
}

/// Before anything is made: a wrong name is no reason to show less than was asked for.
base::Status check_real(const std::string& folder) {
  if (folder.empty()) return base::done();
  TRY(const bool have, present(folder + "/quote.bin"), "--real");
  if (have) return base::done();
  return base::Error{base::Code::usage, "--real: there is no quote.bin in " + folder,
                     "a folder with quote.bin and collateral.json", "",
                     "Correct the name, or leave --real away: the rest of the demonstration needs no real quote."};
}

base::Result<int> dev(Context& context, const DevOptions& options) {
  TRY_OK(check_real(options.real));
  if (!options.any_port) {
    TRY_OK(addresses_free({{"--listen", options.listen},
                           {"--admin-listen", options.admin_listen},
                           {"--metrics-listen", options.metrics_listen}}));
  }
  block_signals();
  base::log_configure(base::LogLevel::warning, base::LogFormat::text);
  TRY(auto place, place_of(options));
  TRY(const auto mistakes, judge(options, place), "server");
  if (mistakes.size() == 1) return mistakes.front();
  if (!mistakes.empty()) return print_mistakes(context, mistakes);
  TRY(const auto workspace, Workspace::make(options, std::move(place)));
  const std::string& data = workspace->path();
  context.out << "attestry dev: everything here is SIMULATED and can never open a production store.\n"
              << "  data folder     " << data << (workspace->temporary() ? " (removed at the end)" : "") << "\n"
              << "  root of keys    " << data << "/root.json, opened by the key file " << data
              << "/root.key (made by dev)\n";
  TRY_OK(make_simulated_seed(data + "/forge.seed", crypto::system_random()));
  TRY(const auto tee, SimulatedTee::open(data + "/forge.seed", "tdx-v4"));
  TRY(const auto seed, read_input(context, data + "/forge.seed", 4096));
  TRY(const auto vendors, DevVendors::start(tee->pki(), seed, context.clock));
  Seams seams;
  TRY(auto roots, vendors->roots());
  seams.anchors = attestation::TrustAnchors::simulated(std::move(roots));
  seams.clock = &context.clock;
  seams.files = context.files;
  const attestation::Verifier verifier{seams.anchors};
  TRY(const auto chosen, dev_settings(options, data, vendors->pcs_url(), vendors->kds_url()));
  TRY(const auto settings, Settings::load("", chosen, {}));
  TRY_OK(configure_log(settings));
  TRY(const auto server, RunningServer::start(settings, std::move(seams)), "server");
  context.out << "  collateral      " << vendors->pcs_url() << " (simulated service)\n"
              << "  chips' keys     " << vendors->kds_url() << " (simulated service)\n"
              << "  server          " << server->url() << ", operators " << server->admin_url() << ", metrics "
              << server->metrics_url() << "/metrics\n";
  for (const auto& [name, url] : server->dialect_urls()) {
    context.out << "  " << name << std::string(name.size() < 16 ? 16 - name.size() : 1, ' ') << url << "\n";
  }
  context.out << "  log             " << server->log_vkey() << "\n\n";

  TRY(const auto probe, tee->attester().attest({}));
  TRY(const auto probe_verdict, verifier.verify(probe, *attestation::Collateral::none(), context.clock.now()));
  const auto* mrtd = probe_verdict.claim("mrtd");
  if (mrtd == nullptr) return base::Error{base::Code::internal, "the simulated TD has no MRTD"};
  TRY_OK(bootstrap_dev(*server, data, mrtd->value, context.clock.now()), "bootstrap");

  TRY(const auto trust_text, read_input(context, data + "/trust.json", 1u << 20));
  TRY(const auto trust, client::Trust::parse(base::as_text(trust_text)));
  TRY(const auto http, net::HttpClient::make({.ca_pem = server->own_certificate()}));
  RecordingAttester attester{tee->attester()};
  TRY(const auto app, base::AppRef::parse(kDevApp));
  std::string appraisal;
  const auto registered = client::register_instance(
      *http, attester, trust, {.url = server->url(), .app = app, .deadline = soon(), .refused_appraisal = &appraisal},
      crypto::system_random());
  if (registered.ok()) {
    context.out << "A simulated TD proved itself to the server:\n\n";
    TRY_OK(show_simulated_verdict(context, verifier, attester.last, vendors->pcs_url()), "verdict");
    print_registered(context.out, *registered);
  } else {
    // Another policy, a revoked identity: what the operators of this folder decided is no reason to end.
    print_error(context.err, registered.error());
    if (!appraisal.empty()) print_appraisal(context.err, appraisal);
    if (options.once) return base::exit_code(registered.error().code);
    context.out << "The simulated TD was refused: " << kDevApp << " of this data folder does not let it in now (reason "
                << "above). The server serves all the same.\n";
  }
  context.out << "\n";
  TRY(const bool shown, show_real_verdict(context, options.real), "real quote");
  if (!shown) {
    context.out << "No real quote is at hand: give a folder with quote.bin and collateral.json (--real DIR; make run "
                   "fetches one).\n\n";
  }
  print_next_steps(context, options, *workspace, *server);
  context.out.flush();
  if (context.serving) context.serving({server->url(), server->admin_url(), server->metrics_url()});
  if (!options.once) wait_for_stop_signal();
  return server->stop(soon()) ? kExitOk : kExitUndecided;
}

}  // namespace

void add_dev(CLI::App& app, Context& context) {
  auto* command = app.add_subcommand(
      "dev", "Try everything on this machine: a simulated TEE, a server, a registration, a real quote");
  auto options = std::make_shared<DevOptions>();
  command->add_flag("--once", options->once, "end after the demonstration");
  command->add_option("--data", options->data, "data folder [attestry-dev; with --once a temporary one]");
  command->add_option("--real", options->real, "folder with a real quote and its collateral")
      ->envname("ATTESTRY_REAL_CASE");
  command->add_option("--listen", options->listen, "public listener")->capture_default_str();
  command->add_option("--admin-listen", options->admin_listen, "operators' listener")->capture_default_str();
  command->add_option("--metrics-listen", options->metrics_listen, "metrics listener")->capture_default_str();
  command->add_flag("--any-port", options->any_port,
                    "listen on free ports, whichever they are, where nothing else is said");
  command->add_option("--set", options->sets, "SECTION.KEY=VALUE, any setting of `attestry config show`")
      ->allow_extra_args(false);
  command->callback([options, &context] {
    if (options->once && options->data.empty()) options->any_port = true;
    finish(context, [&] { return dev(context, *options); });
  });
}

}  // namespace attestry::app
