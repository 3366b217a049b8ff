// `attestry doctor`: looks at this machine, and at a server's settings and reachability, and says what to do.
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <filesystem>
#include <map>
#include <ostream>

#include "app/cli.h"
#include "app/registry_settings.h"
#include "app/settings.h"
#include "app/validate.h"
#include "app/wire.h"
#include "base/reason.h"
#include "base/time.h"
#include "chain/quorum.h"
#include "net/client.h"

namespace attestry::app {
namespace {

constexpr std::chrono::seconds kReach{5};

struct DoctorOptions {
  std::string config;
  std::string server;
  std::string ca;
  std::string data;
  std::vector<std::string> sets;
  bool offline = false;
};

/// One line per finding; counts what is wrong.
class Report {
 public:
  explicit Report(std::ostream& out) : out_(out) {}
  void good(std::string_view what, std::string_view detail) { line("ok  ", what, detail); }
  void note(std::string_view what, std::string_view detail) { line("note", what, detail); }
  void bad(std::string_view what, std::string_view detail, std::string_view remedy) {
    line("BAD ", what, detail);
    out_ << "        what to do: " << remedy << "\n";
    ++problems_;
  }
  int problems() const noexcept { return problems_; }

 private:
  void line(std::string_view mark, std::string_view what, std::string_view detail) {
    out_ << mark << "  " << what << ": " << detail << "\n";
  }
  std::ostream& out_;
  int problems_ = 0;
};

void look_at_machine(Report& report) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_MEMLOCK, &limit) == 0) {
    const bool enough = limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= 1u << 20;
    if (enough) {
      report.good("locked memory", "secrets can stay out of swap");
    } else {
      report.note("locked memory", "limit " + std::to_string(limit.rlim_cur) +
                                       " bytes: under load secrets may be swapped; raise LimitMEMLOCK");
    }
  }
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max < 8192) {  // the server raises it as far as it may
    report.note("open files",
                "limit " + std::to_string(limit.rlim_max) + ": set LimitNOFILE=65536 for many connections");
  } else {
    report.good("open files", "limit is high enough");
  }
  std::error_code ignored;
  const bool tsm = std::filesystem::exists("/sys/kernel/config/tsm/report", ignored);
  report.note("TEE", tsm ? "configfs-tsm is here: this machine can make evidence"
                         : "this machine makes no evidence of its own (fine for a verifier)");
}

void look_at_service(Report& report, const std::string& name, const std::string& url, const std::string& ca,
                     bool must_be_there = false) {
  const auto http = net::HttpClient::make({.ca_file = ca});
  if (!http) return report.bad(name, http.error().what, "Correct the setting.");
  const auto response = (*http)->get(url, std::chrono::steady_clock::now() + kReach);
  if (!response)
    return report.bad(name, response.error().what,
                      must_be_there
                          ? "Check name, port and network; for a certificate of its own give --ca DATA/tls.pem."
                          : "Check name, network, proxy and certificate (collateral.ca); or give bundles "
                            "with collateral.files.");
  if (response->status >= 500)
    return report.bad(name, "answers " + std::to_string(response->status), "Look at that server's own health.");
  if (must_be_there && response->status != 200)
    return report.bad(name, url + " answers " + std::to_string(response->status),
                      "Is this the public listener (server.listen) of an attestry server?");
  report.good(name, url + " answers");
}

/// Without a file of settings nobody has said that this machine is to run a server.
void look_at_unlock(Report& report, const Settings& settings, bool serves) {
  const auto checked = check_unlock(settings);
  if (checked) {
    report.good("root file", "something else than the data folder opens it");
  } else if (serves) {
    report.bad("root file", checked.error().what, checked.error().remedy);
  } else {
    report.note("root file", checked.error().what + "; `attestry serve` needs it");
  }
}

std::string to_do(const base::Error& error) {
  return error.remedy.empty() ? std::string{base::default_remedy(error.code)} : error.remedy;
}

std::string block_text(const chain::BlockRef& block) {
  return "block " + std::to_string(block.number) + " of " + base::to_rfc3339(block.time);
}

/// Asks every endpoint once.
void ask_chain(Report& report, chain::QuorumReader& reader, const RegistrySettings& registry, base::UtcTime now) {
  const auto head = reader.refresh(std::chrono::steady_clock::now() + kReach);
  const auto status = reader.status();
  for (const auto& endpoint : status.endpoints) {
    const std::string name = "chain at " + endpoint.name;
    if (!endpoint.trouble.empty()) {
      report.bad(name, endpoint.trouble, "Correct registry.rpc and registry.chain_id, or look at that node.");
    } else {
      report.good(name, "chain " + std::to_string(registry.chain.chain_id) +
                            (endpoint.newest ? ", newest block " + std::to_string(*endpoint.newest) : ""));
    }
  }
  if (!head) return report.bad("chain", base::reason(head.error()), to_do(head.error()));
  std::string text = block_text(*head) + " is " + registry.chain.finality.text();
  if (status.newest)
    text += "; the newest one is " + std::to_string(now.seconds - status.newest->time.seconds) + " s old";
  report.good("chain", text + "; a quorum of " + std::to_string(status.quorum) + " of " +
                           std::to_string(status.endpoints.size()) + " says so");
}

/// `settings` has no mistakes.
void look_at_registry(Report& report, const Settings& settings, bool offline, base::UtcTime now) {
  const auto registry = read_registry_settings(settings);
  if (!registry || !registry->offered) return;
  if (!registry->on_chain) return report.good("registry", "its apps are governed here, without a chain");
  if (offline) return report.note("registry", "its chain was not asked (--offline)");
  const auto http = net::HttpClient::make({.ca_file = settings.text("registry.rpc_ca")});
  if (!http) return report.bad("chain", base::reason(http.error()), to_do(http.error()));
  auto options = registry->chain;
  options.poll = std::chrono::milliseconds{0};
  const auto reader = chain::QuorumReader::make(**http, std::move(options));
  if (!reader) return report.bad("chain", base::reason(reader.error()), to_do(reader.error()));
  ask_chain(report, **reader, *registry, now);
}

/// All mistakes, then what the good settings name.
void look_at_settings(Report& report, const DoctorOptions& options, const std::map<std::string, std::string>& flags,
                      base::UtcTime now) {
  std::vector<base::Error> mistakes;
  const auto settings = Settings::load(options.config, flags, process_environment(), mistakes);
  for (auto& mistake : mistakes_in(settings, UnlockToo::no)) mistakes.push_back(std::move(mistake));
  for (const auto& mistake : mistakes) report.bad("settings", base::reason(mistake), to_do(mistake));
  if (!mistakes.empty()) return;
  report.good("settings", "all known, all in range");
  look_at_unlock(report, settings, !options.config.empty() || !flags.empty());
  if (!options.offline && settings.text("collateral.offline") != "true")
    look_at_service(report, "collateral", settings.text("collateral.pcs"), settings.text("collateral.ca"));
  look_at_registry(report, settings, options.offline, now);
}

base::Result<int> doctor(Context& context, const DoctorOptions& options) {
  std::map<std::string, std::string> flags;
  TRY_OK(read_sets(options.sets, flags));
  if (!options.data.empty()) flags["server.data"] = options.data;
  Report report{context.out};
  look_at_machine(report);
  look_at_settings(report, options, flags, context.clock.now());
  if (!options.server.empty()) look_at_service(report, "server", options.server + "/health/ready", options.ca, true);
  context.out << (report.problems() == 0 ? "nothing is wrong\n" : std::to_string(report.problems()) + " to mend\n");
  return report.problems() == 0 ? kExitOk : kExitRefused;
}

}  // namespace

void add_doctor(CLI::App& app, Context& context) {
  auto* command =
      app.add_subcommand("doctor", "Look at this machine, the settings and what they name, and say what to mend");
  auto options = std::make_shared<DoctorOptions>();
  command->add_option("--config", options->config, "TOML file")->envname("ATTESTRY_CONFIG");
  command->add_option("--server", options->server, "a server to look at too: the address of its public listener");
  command->add_option("--ca", options->ca, "PEM certificate to trust for that server (tls.pem of the data folder)")
      ->envname("ATTESTRY_CA");
  command->add_option("--data", options->data, "data folder of the server that is to run here");
  command->add_option("--set", options->sets, "SECTION.KEY=VALUE, any setting of `attestry config show`");
  command->add_flag("--offline", options->offline, "ask nobody");
  command->callback([options, &context] { finish(context, [&] { return doctor(context, *options); }); });
}

}  // namespace attestry::app
