#include "app/validate.h"

#include <cerrno>
#include <chrono>

#include "api/api.h"
#include "app/keymanager_settings.h"
#include "app/keystore_sealing.h"
#include "app/keystore_settings.h"
#include "app/loopback.h"
#include "app/node_settings.h"
#include "app/paths.h"
#include "app/registry_settings.h"
#include "app/simulated_tee.h"
#include "app/threshold_settings.h"
#include "app/tracker_chain.h"
#include "app/tracker_settings.h"
#include "app/vault_settings.h"
#include "app/wire.h"
#include "audit/note.h"
#include "base/log.h"
#include "collateral/fixed_source.h"
#include "net/address.h"
#include "net/client.h"
#include "net/tls.h"
#include "net/url.h"

namespace attestry::app {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t kKeyBytes = 32;

struct Range {
  std::string_view name;
  std::int64_t min;
  std::int64_t max;
};

constexpr Range kNumbers[] = {{"server.workers", 0, 1024},
                              {"collateral.timeout_seconds", 1, 3600},
                              {"appraisals.attempt_days", 0, 36500},
                              {"appraisals.attempts", 1, 1'000'000},
                              {"appraisals.kept_days", 0, 36500},
                              {"appraisals.logged_days", 0, 36500},
                              {"collateral.kds_vcek_seconds", 0, 86400},
                              {"collateral.kds_vcek_burst", 1, 1000},
                              {"collateral.host_fetches_per_minute", 0, 100'000},
                              {"collateral.refresh_seconds", 600, 30 * 86400},
                              {"collateral.max_stale_seconds", 3600, 365 * 86400},
                              {"collateral.alarm_hours", 1, 24 * 30},
                              {"collateral.max_queue", 1, 100'000},
                              {"collateral.unused_vcek_days", 1, 36'500},
                              {"state.reseal_pause_ms", 0, 60'000},
                              {"limits.connections", 1, 1'000'000},
                              {"limits.in_flight", 1, 1'000'000},
                              {"limits.requests_per_second", 0, 1'000'000},
                              {"limits.burst", 1, 1'000'000},
                              {"limits.body_bytes", 1024, 1 << 30},
                              {"limits.header_seconds", 1, 3600},
                              {"limits.read_seconds", 1, 3600},
                              {"limits.request_seconds", 1, 3600}};
constexpr std::string_view kFlags[] = {"collateral.offline",  "audit.accept_missing_checkpoint",
                                       "state.confirm_clock", "keymanager.plaintext",
                                       "keystore.plaintext",  "vault.plaintext"};
/// `plaintext`: the switch for who ends TLS in front of it; empty: there is none.
struct ListenerSetting {
  std::string_view name;
  std::string_view plaintext{};
  bool needed = false;
};
constexpr ListenerSetting kListeners[] = {{"server.listen", {}, true},
                                          {"server.admin_listen", {}, true},
                                          {"server.metrics_listen"},
                                          {"registry.listen"},
                                          {"registry.proxy_listen"},
                                          {"registry.admin_listen"},
                                          {"keymanager.listen", "keymanager.plaintext"},
                                          {"keymanager.host_listen"},
                                          {"keystore.listen", "keystore.plaintext"},
                                          {"vault.listen", "vault.plaintext"},
                                          {"tracker.listen", "tracker.plaintext"}};

Result<std::int64_t> number(const Settings& settings, std::string_view name) {
  for (const auto& range : kNumbers) {
    if (range.name == name) return settings.integer(name, range.min, range.max);
  }
  return Error{Code::internal, "no range for " + std::string{name}};
}

bool is_unix(std::string_view address) { return address.starts_with("unix:"); }

/// One, or several with commas between them.
std::vector<std::string> addresses_of(const Settings& settings, std::string_view name) {
  auto out = settings.list(name);
  if (out.empty()) out.push_back(settings.text(name));
  return out;
}

Status check_listener(const Settings& settings, const ListenerSetting& listener) {
  if (!listener.needed && settings.text(listener.name).empty()) return base::done();
  for (const std::string& address : addresses_of(settings, listener.name)) {
    if ((is_unix(address) && address.size() > 5) || net::is_socket_address(address)) continue;
    return Error{Code::configuration, named(settings, listener.name), "127.0.0.1:8443, [::1]:0 or unix:/path", address,
                 "Give a numeric IP address and a port; names are not resolved."};
  }
  return base::done();
}

/// Without TLS: addresses of this machine and sockets, and what a switch says is behind something that ends TLS.
Status check_plain_listener(const Settings& settings, const ListenerSetting& listener) {
  if (!listener.plaintext.empty()) {
    TRY(const bool allowed, settings.boolean(listener.plaintext));
    if (allowed) return base::done();
  }
  for (const std::string& address : addresses_of(settings, listener.name)) {
    if (address.empty() || is_loopback(address) || !net::is_socket_address(address)) continue;
    Error error{Code::configuration, "tls.mode off is for loopback only",
                "a loopback address in " + std::string{listener.name}, address, "Set tls.mode to auto or files."};
    if (!listener.plaintext.empty()) {
      error.remedy += " If something in front of it ends TLS, set " + std::string{listener.plaintext} + " to true.";
    }
    return error;
  }
  return base::done();
}

Status check_tls(const Settings& settings) {
  const std::string& mode = settings.text("tls.mode");
  if (mode == "auto") return base::done();
  if (mode == "off") {
    for (const auto& listener : kListeners) TRY_OK(check_plain_listener(settings, listener));
    return base::done();
  }
  if (mode != "files") return Error{Code::configuration, named(settings, "tls.mode"), "auto, files or off", mode};
  for (const std::string_view file : {"tls.certificate", "tls.key"}) {
    if (settings.text(file).empty())
      return Error{Code::configuration, std::string{file} + " is not set, and tls.mode is files",
                   "the name of a PEM file", "",
                   "Set tls.certificate and tls.key, or let the server make its own certificate: tls.mode auto."};
  }
  TRY([[maybe_unused]] const auto context,
      net::TlsServerContext::from_files(settings.text("tls.certificate"), settings.text("tls.key")), "tls.mode files");
  return base::done();
}

/// The key itself, where it can be read without taking it away from the start.
Status check_unlock_secret(const Settings& settings) {
  TRY_OK(check_unlock(settings));
  const std::string& source = settings.text("unlock.source");
  if (source.empty() || source.starts_with("fd:")) return base::done();
  const auto kind =
      settings.text("unlock.kind") == "passphrase" ? keys::Unlock::Kind::passphrase : keys::Unlock::Kind::key_file;
  auto unlock = keys::read_unlock(kind, source);
  if (!unlock) {
    Error error = std::move(unlock.error().at(named(settings, "unlock.source")));
    if (error.code == Code::not_found && error.remedy.empty())
      error.remedy =
          "Correct the name, or make the key: `install -d -m 700 /etc/attestry && (umask 077; head -c 32 /dev/urandom "
          "> /etc/attestry/root.key)`.";
    return error;
  }
  return long_enough(*unlock, settings);
}

Status check_data_folder(const Settings& settings) {
  const std::string& data = settings.text("server.data");
  if (data.empty()) return Error{Code::configuration, named(settings, "server.data"), "the name of a folder", ""};
  TRY([[maybe_unused]] const bool have, present(data + "/store.db"), named(settings, "server.data"));
  return base::done();
}

Status check_services(const Settings& settings) {
  TRY([[maybe_unused]] const auto services, api::services_from(settings.text("server.services")),
      named(settings, "server.services"));
  return base::done();
}

Status check_serving(const Settings& settings) {
  TRY([[maybe_unused]] const auto serving, api::serving_from(settings.text("collateral.serve")),
      named(settings, "collateral.serve"));
  return base::done();
}

Status check_origin(const Settings& settings) {
  const std::string& origin = settings.text("server.origin");
  if (origin.empty() || audit::is_key_name(origin)) return base::done();
  return Error{Code::configuration, named(settings, "server.origin"), "a name without spaces and plus signs", origin};
}

Status check_issuers(const Settings& settings) {
  // A simulated issuer is one beside simulated roots only.
  const bool simulated = settings.text("server.realm") == base::to_text(base::Realm::simulated);
  const auto roots = simulated ? attestation::TrustAnchors::simulated({}) : attestation::TrustAnchors::production();
  const auto anchors = roots.with_token_issuers(settings.list("collateral.issuers"));
  if (anchors.ok()) return base::done();
  const Error& why = anchors.error();
  return Error{Code::configuration, named(settings, "collateral.issuers") + ": " + why.what, why.expected, why.found};
}

Status check_files(const Settings& settings) {
  const auto files = settings.list("collateral.files");
  if (files.empty()) return base::done();
  TRY([[maybe_unused]] const auto fixed, collateral::FixedSource::by_platform(files, nullptr),
      named(settings, "collateral.files"));
  return base::done();
}

Status check_ca(const Settings& settings, std::string_view name) {
  TRY([[maybe_unused]] const auto http, net::HttpClient::make({.ca_file = settings.text(name)}), named(settings, name));
  return base::done();
}

Status check_service(const Settings& settings, std::string_view name) {
  if (net::check_http_url(settings.text(name))) return base::done();
  return Error{Code::configuration, named(settings, name), "an http:// or https:// address", settings.text(name)};
}

Status check_rate_exempt(const Settings& settings) {
  TRY([[maybe_unused]] const auto limiter,
      net::RateLimiter::make({.requests_per_second = 1, .burst = 1, .exempt = settings.list("limits.rate_exempt")}),
      named(settings, "limits.rate_exempt"));
  return base::done();
}

/// Those whose readers have no word of their own for it. A start in the production realm would refuse them too, but
/// when the data folder is there already.
Status check_own_evidence(const Settings& settings, std::string_view name) {
  const std::string& kind = settings.text(name);
  const bool production = settings.text("server.realm") == base::to_text(base::Realm::production);
  if (!production || !kind.starts_with(kSimulatedAttestation)) return base::done();
  return Error{Code::configuration, named(settings, name) + ": a simulated TEE vouches for nothing",
               "the address of a quote provider", kind, "Use `attestry dev` to try things out."};
}

Result<std::pair<base::LogLevel, base::LogFormat>> log_of(const Settings& settings) {
  const std::string& level = settings.text("log.level");
  const std::string& format = settings.text("log.format");
  const std::pair<std::string_view, base::LogLevel> levels[] = {{"debug", base::LogLevel::debug},
                                                                {"info", base::LogLevel::info},
                                                                {"warning", base::LogLevel::warning},
                                                                {"error", base::LogLevel::error}};
  if (format != "text" && format != "json")
    return Error{Code::configuration, named(settings, "log.format"), "text or json", format};
  for (const auto& [name, value] : levels) {
    if (name == level) return std::pair{value, format == "json" ? base::LogFormat::json : base::LogFormat::text};
  }
  return Error{Code::configuration, named(settings, "log.level"), "debug, info, warning or error", level};
}

Status check_address_free(const std::string& flag, const std::string& address) {
  const auto problem = net::why_not_bindable(address);
  if (!problem) return base::done();
  const std::string reason = std::generic_category().message(*problem);
  if (*problem == EADDRINUSE)
    return Error{Code::unavailable,
                 "another program listens on " + address,
                 {},
                 reason,
                 "Stop that program, or give another " + flag +
                     " (port 0 takes any free one; attestry dev: "
                     "--any-port)."};
  return Error{Code::configuration, "cannot listen on " + address,
               "an address of this machine, and a port that this "
               "user may use",
               reason, "Give another " + flag + "."};
}

}  // namespace

std::string named(const Settings& settings, std::string_view setting) {
  return std::string{setting} + " (" + settings.origin(setting) + ")";
}

std::vector<Error> mistakes_in(const Settings& settings, UnlockToo unlock_too) {
  std::vector<Error> mistakes;
  const auto note = [&](const auto& result) {
    if (!result.ok()) mistakes.push_back(result.error());
  };
  const bool realm_known = base::realm_from(settings.text("server.realm")).ok();
  if (!realm_known)
    mistakes.push_back(Error{Code::configuration, named(settings, "server.realm"), "production or simulated",
                             settings.text("server.realm")});
  note(check_data_folder(settings));
  note(check_origin(settings));
  for (const auto& listener : kListeners) note(check_listener(settings, listener));
  note(check_services(settings));
  note(check_tls(settings));
  if (realm_known && unlock_too == UnlockToo::yes) note(check_unlock_secret(settings));
  for (const auto service : {"collateral.pcs", "collateral.kds"}) note(check_service(settings, service));
  for (const auto ca : {"collateral.ca", "collateral.kds_ca", "collateral.issuers_ca"}) note(check_ca(settings, ca));
  note(check_serving(settings));
  read_registry_settings(settings, mistakes);
  read_keymanager_settings(settings, mistakes);
  read_keystore_settings(settings, mistakes);
  read_keystore_sealing(settings, mistakes);
  read_vault_settings(settings, mistakes);
  read_tracker_settings(settings, mistakes);
  read_tracker_chain_settings(settings, mistakes);
  read_node_settings(settings, mistakes);
  read_threshold_settings(settings, mistakes);
  for (const auto evidence : {"keystore.standby_attestation", "keystore.registration_attestation", "node.attestation",
                              "threshold.attestation"})
    note(check_own_evidence(settings, evidence));
  note(check_issuers(settings));
  note(check_files(settings));
  for (const auto flag : kFlags) note(settings.boolean(flag));
  for (const auto& range : kNumbers) note(settings.integer(range.name, range.min, range.max));
  note(check_rate_exempt(settings));
  note(log_of(settings));
  return mistakes;
}

Status first_of(const std::vector<Error>& mistakes) {
  if (mistakes.empty()) return base::done();
  Error first = mistakes.front();
  if (mistakes.size() > 1) first.what += " (and " + std::to_string(mistakes.size() - 1) + " more)";
  return first;
}

Status addresses_free(const std::vector<std::pair<std::string, std::string>>& addresses) {
  for (const auto& [flag, address] : addresses) TRY_OK(check_address_free(flag, address));
  return base::done();
}

Status addresses_free(const Settings& settings) {
  std::vector<std::pair<std::string, std::string>> addresses{
      {"--listen", settings.text("server.listen")},
      {"--admin-listen", settings.text("server.admin_listen")},
      {"--metrics-listen", settings.text("server.metrics_listen")}};
  if (!settings.text("registry.listen").empty() || !settings.text("registry.proxy_listen").empty()) {
    for (const std::string name :
         {"registry.listen", "registry.proxy_listen", "registry.admin_listen", "registry.channel_listen"}) {
      addresses.emplace_back("--set " + name, settings.text(name));
    }
  }
  for (const std::string name : {"keymanager.listen", "keymanager.host_listen", "keystore.listen", "vault.listen",
                                 "tracker.listen", "node.listen"}) {
    for (const std::string& address : settings.list(name)) addresses.emplace_back("--set " + name, address);
  }
  return addresses_free(addresses);
}

void warn_of_plain_listeners(const Settings& settings) {
  if (settings.text("tls.mode") != "off") return;
  for (const auto& listener : kListeners) {
    if (listener.plaintext.empty()) continue;
    if (const auto allowed = settings.boolean(listener.plaintext); !allowed || !*allowed) continue;
    for (const std::string& address : settings.list(listener.name)) {
      if (is_loopback(address)) continue;
      base::log(base::LogLevel::warning,
                std::string{listener.plaintext} + ": whoever is between here and where TLS ends reads every secret",
                {{"setting", settings.origin(listener.plaintext)}, {"address", address}});
    }
  }
}

Status long_enough(const keys::Unlock& unlock, const Settings& settings) {
  if (unlock.kind != keys::Unlock::Kind::key_file || unlock.secret.size() >= kKeyBytes) return base::done();
  return Error{Code::configuration, named(settings, "unlock.source") + ": the key file is too short",
               "at least 32 bytes of randomness", std::to_string(unlock.secret.size()) + " bytes",
               "Make one: `(umask 077; head -c 32 /dev/urandom > FILE)`; if this is a passphrase, set unlock.kind to "
               "passphrase."};
}

Result<net::ServerLimits> limits_of(const Settings& settings) {
  net::ServerLimits limits;
  TRY(const auto connections, number(settings, "limits.connections"));
  TRY(const auto in_flight, number(settings, "limits.in_flight"));
  TRY(const auto body, number(settings, "limits.body_bytes"));
  TRY(const auto header_seconds, number(settings, "limits.header_seconds"));
  TRY(const auto read_seconds, number(settings, "limits.read_seconds"));
  TRY(const auto request_seconds, number(settings, "limits.request_seconds"));
  TRY(const auto rate, number(settings, "limits.requests_per_second"));
  TRY(const auto burst, number(settings, "limits.burst"));
  limits.rate = {.requests_per_second = static_cast<unsigned>(rate),
                 .burst = static_cast<unsigned>(burst),
                 .exempt = settings.list("limits.rate_exempt")};
  limits.max_connections = static_cast<std::size_t>(connections);
  limits.max_in_flight = static_cast<std::size_t>(in_flight);
  limits.body_bytes = static_cast<std::size_t>(body);
  limits.header_deadline = std::chrono::seconds{header_seconds};
  limits.read_deadline = std::chrono::seconds{read_seconds};
  limits.request_deadline = std::chrono::seconds{request_seconds};
  return limits;
}

Result<appraisal::Retention> retention_of(const Settings& settings) {
  appraisal::Retention out;
  TRY(out.attempt_days, number(settings, "appraisals.attempt_days"));
  TRY(const auto attempts, number(settings, "appraisals.attempts"));
  TRY(out.kept_days, number(settings, "appraisals.kept_days"));
  TRY(out.logged_days, number(settings, "appraisals.logged_days"));
  out.attempts = static_cast<std::uint64_t>(attempts);
  return out;
}

Result<unsigned> workers_of(const Settings& settings) {
  TRY(const auto workers, number(settings, "server.workers"));
  return static_cast<unsigned>(workers);
}

Status configure_log(const Settings& settings) {
  TRY(const auto log, log_of(settings));
  base::log_configure(log.first, log.second);
  return base::done();
}

}  // namespace attestry::app
