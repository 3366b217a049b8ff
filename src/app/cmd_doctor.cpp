// `attestry doctor`: looks at this machine, and at a server's settings and reachability, and says what to do.
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <filesystem>
#include <ostream>

#include "app/cli.h"
#include "app/settings.h"
#include "app/wire.h"
#include "net/client.h"

namespace attestry::app {
namespace {

constexpr std::chrono::seconds kReach{5};

struct DoctorOptions {
  std::string config;
  std::string server;
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
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < 4096) {
    report.note("open files",
                "limit " + std::to_string(limit.rlim_cur) + ": set LimitNOFILE=65536 for many connections");
  } else {
    report.good("open files", "limit is high enough");
  }
  const bool tsm = std::filesystem::exists("/sys/kernel/config/tsm/report");
  report.note("TEE", tsm ? "configfs-tsm is here: this machine can make evidence"
                         : "this machine makes no evidence of its own (fine for a verifier)");
}

void look_at_service(Report& report, const std::string& name, const std::string& url, bool must_be_there = false) {
  const auto http = net::HttpClient::make();
  if (!http) return report.bad(name, http.error().what, "Correct the setting.");
  const auto response = (*http)->get(url, std::chrono::steady_clock::now() + kReach);
  if (!response)
    return report.bad(name, response.error().what,
                      "Check name, network, proxy and certificate; or give bundles with collateral.files.");
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

base::Result<int> doctor(Context& context, const DoctorOptions& options) {
  Report report{context.out};
  look_at_machine(report);
  const auto settings = Settings::load(options.config, {}, process_environment());
  if (!settings) {
    report.bad("settings", settings.error().what,
               settings.error().remedy.empty() ? "attestry config show lists all settings." : settings.error().remedy);
  } else if (const auto checked = check_settings(*settings); !checked) {
    report.bad("settings", checked.error().what + "; expected " + checked.error().expected, "attestry config check");
  } else {
    report.good("settings", "all known, all in range");
    look_at_unlock(report, *settings, !options.config.empty());
    if (!options.offline && settings->text("collateral.offline") != "true")
      look_at_service(report, "collateral", settings->text("collateral.pcs"));
  }
  if (!options.server.empty()) look_at_service(report, "server", options.server + "/health/ready", true);
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
  command->add_flag("--offline", options->offline, "ask nobody");
  command->callback([options, &context] { finish(context, [&] { return doctor(context, *options); }); });
}

}  // namespace attestry::app
