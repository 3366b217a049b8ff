#include "app/settings.h"

#include <toml++/toml.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "app/cli.h"
#include "app/keymanager_settings.h"
#include "app/keystore_registration.h"
#include "app/keystore_sealing.h"
#include "app/keystore_settings.h"
#include "app/node_settings.h"
#include "app/threshold_settings.h"
#include "app/tracker_chain.h"
#include "app/tracker_settings.h"
#include "app/vault_settings.h"

namespace attestry::app {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr SettingInfo kCore[] = {
    {"server.data", "attestry-data", "folder of store, root file, tokens and checkpoint"},
    {"server.origin", "",
     "name of the log and audience of evidence, fixed at creation; default attestry.local/<random>"},
    {"server.realm", "production", "production or simulated, fixed at creation"},
    {"server.listen", "127.0.0.1:8443", "public listener: workloads, verification, log"},
    {"server.admin_listen", "127.0.0.1:8444", "admin listener: operators, approvals, secrets; or unix:PATH"},
    {"server.metrics_listen", "127.0.0.1:8445", "metrics; empty: none"},
    {"server.services", "verify,provision,governance,log,collateral", "which groups of routes this process offers"},
    {"server.workers", "0", "worker threads; 0: as many as cores"},
    {"tls.mode", "auto", "auto (own certificate), files, or off (loopback only)"},
    {"tls.certificate", "", "PEM chain, leaf first (mode files)"},
    {"tls.key", "", "PEM private key (mode files)"},
    {"unlock.kind", "key-file", "what opens the root file: key-file or passphrase"},
    {"unlock.source", "", "file:PATH, fd:N or credential:NAME; must be set in the production realm"},
    {"collateral.pcs", "https://api.trustedservices.intel.com", "Intel's PCS or a PCCS"},
    {"collateral.ca", "", "PEM file to trust for the PCS besides nothing else; empty: the system's roots"},
    {"collateral.kds", "https://kdsintf.amd.com", "AMD's KDS or a cache of it, for SEV-SNP"},
    {"collateral.kds_ca", "", "PEM file to trust for the KDS besides nothing else; empty: the system's roots"},
    {"collateral.kds_vcek_seconds", "10", "between two VCEKs asked of the KDS, as AMD allows; 0: no limit"},
    {"collateral.kds_vcek_burst", "2", "VCEKs asked for at once after a rest"},
    {"collateral.host_fetches_per_minute", "120", "fetches of anything else, of one host; 0: no limit"},
    {"collateral.issuers", "",
     "token issuers that are believed, https:// URLs as their `iss` says it, comma-separated; keys come from "
     "ISSUER/certs"},
    {"collateral.issuers_ca", "", "PEM file to trust for the issuers besides nothing else; empty: the system's roots"},
    {"collateral.files", "", "bundle files or folders, comma-separated; used before the network"},
    {"collateral.offline", "false", "never ask the network"},
    {"collateral.refresh_seconds", "86400", "the longest from a fetch to its refresh"},
    {"collateral.max_stale_seconds", "604800", "use of what could not be refreshed, from when that was due"},
    {"collateral.alarm_hours", "48", "warn this long before something in use can be used no more"},
    {"collateral.max_queue", "1024", "fetches of new things that wait for one host; more are refused"},
    {"collateral.unused_vcek_days", "180", "the store forgets a VCEK that nobody asked for in this time"},
    {"collateral.timeout_seconds", "10", "for one registration or verification"},
    {"collateral.serve", "held",
     "what anybody gets on the paths of the PCS and the KDS: off, held (a vendor is never asked for it), or fetch"},
    {"registry.listen", "", "the registry's dialect for workloads and anybody, 127.0.0.1:8080; empty: not offered"},
    {"registry.contracts", "",
     "whose apps these are: addresses of contracts, comma-separated, kms (those that registry.kms_contract lists), or "
     "any: then whoever deploys a contract is served"},
    {"registry.proxy_listen", "",
     "the same for a proxy that ends attested TLS and whose measurement headers are believed: unix:PATH, or an address "
     "with registry.proxy_ca"},
    {"registry.proxy_ca", "", "PEM file: the CA of that proxy's client certificate"},
    {"registry.admin_listen", "127.0.0.1:8081", "for the registry's administrators: bootstrap, drain; or unix:PATH"},
    {"registry.tenant", "default", "whose apps the dialect's contracts are"},
    {"registry.kms", "derived",
     "where the dialect's master key comes from: derived (from the root), simple, shamir, or onboard (an operator "
     "brings "
     "it, from a server that has it)"},
    {"registry.master", "", "kms simple: file with the 64 hex digits of the master key"},
    {"registry.admins", "", "kms shamir: JSON file with the administrators' public keys"},
    {"registry.threshold", "2", "kms shamir: how many administrators bring the master key together"},
    {"registry.bootstrap_timeout", "86400",
     "kms shamir and onboard: seconds to wait for the master key before the server gives up; 0: for ever"},
    {"registry.admin_hosts", "",
     "what administrators and operators call registry.admin_listen, HOST:PORT, comma-separated; loopback names are "
     "always "
     "right"},
    {"registry.admin_v1", "false",
     "take the first version of administrators' and operators' requests too, which anybody who saw one can send to "
     "another server or need no signature at all, and shares in clear"},
    {"registry.foreign_shares", "false", "kms shamir: put shares together that this server knows no commitments of"},
    {"registry.commitments", "", "kms shamir, on a new machine: file with what GET /admin/commitments said on the old"},
    {"registry.kms_contract", "",
     "address of the key service's own contract: which servers may have its master, and which apps it serves"},
    {"registry.operators", "",
     "accounts that may run this key server besides those with the contract's ROLE_OPERATOR, comma-separated"},
    {"registry.onboard_ca", "", "PEM file to trust for the server that gives its master; empty: the system's roots"},
    {"registry.channel_listen", "",
     "gives the master to other servers of the key service in attested sessions: address of this listener"},
    {"registry.channel_peer", "",
     "kms onboard without registry.kms_contract: HOST:PORT of a server that gives its master, called until it does"},
    {"registry.channel_key", "",
     "with registry.channel_peer: SHA-256 of the key service's own public key, 64 hex digits; no other master is kept"},
    {"registry.governance", "chain", "who says what may run: chain (a contract), or local (operators' approvals)"},
    {"registry.rpc", "http://127.0.0.1:8545", "JSON-RPC endpoints of the chain, comma-separated"},
    {"registry.rpc_ca", "", "PEM file to trust for the endpoints besides nothing else; empty: the system's roots"},
    {"registry.chain_id", "1", "id of the chain; every endpoint must have it"},
    {"registry.quorum", "0", "endpoints that must agree; 0: more than half"},
    {"registry.finality", "finalized", "which block is believed: finalized, safe or depth:N"},
    {"registry.max_head_age", "120", "seconds that the newest block may be old; 0: any age, for development chains"},
    {"registry.floor", "kept",
     "newest final block that was ever seen: kept over restarts, or forgotten at the start, for a chain begun anew"},
    {"registry.head_ms", "1000", "milliseconds that the newest block is believed to be the newest; 0: asked each time"},
    {"registry.event_cache", "true",
     "what attestry's own contracts said stays true until a block has an event of theirs; false: asked at every block"},
    {"registry.storage_proofs", "false",
     "prove what allows a release with eth_getProof against the block's hash; attestry's own contracts only"},
    {"registry.identity", "any",
     "any, or extended: only identities that cover firmware, configuration and debug bit count"},
    {"registry.first_generation", "false", "believe contracts that have no IdentityAllowed()"},
    {"registry.policy", "default",
     "appraises evidence before the contract is asked: genuine, default, strict or a file"},
    {"registry.evidence_once", "true",
     "evidence in a request counts once, unless the TLS connection proves that the client holds the key"},
    {"registry.operator_signature", "v1",
     "v1 (as the seed's instances sign), or v2: bound to contract, chain and time"},
    {"registry.operator_digest", "sha256",
     "what a v1 signature of an operator is over: sha256 of the key's PEM text, or keccak256, as the oldest clients "
     "sign"},
    {"registry.names", "strict", "of certificates: strict (of the app only), or free (whatever is asked for)"},
    {"registry.templates", "text", "references in configurations: text or json"},
    {"registry.storage_root", "", "file: storage of contracts lies beneath this folder; default <data>/registry-files"},
    {"registry.storage_private", "false",
     "storage of contracts may be on this machine and in private networks: whoever owns a contract names it"},
    {"registry.seed_layout", "false",
     "also read the first registry's names in storage, which know no apps: any contract that names a place reads it"},
    {"registry.storage_credentials", "",
     "file with what this server uses at the storage of single apps: lines of contract, URI, key or token"},
    {"registry.storage_ca", "", "PEM file: what storage over TLS is trusted by; empty: the system's roots"},
    {"registry.github_api", "https://api.github.com", "API of github: storage, for a GitHub Enterprise Server"},
    {"registry.storage_cache_bytes", "268435456", "of what was read from storage, on disk"},
    {"registry.storage_seconds", "5", "for one read of one storage backend"},
    {"registry.attestation", "none",
     "this server's own evidence: none, dummy, simulated:SEEDFILE, or the URL of a quote provider"},
    {"registry.old_status", "false", "answer with the status codes of the first servers"},
    {"registry.legacy_maa", "false", "take registers of Azure as raw characters"},
    {"registry.believe_headers_of_anybody", "false",
     "measurements are whatever a header says: everybody who reaches the port gets every key"},
    {"appraisals.attempt_days", "30",
     "how long appraisals of registrations that ended before the log are kept; 0: for ever"},
    {"appraisals.attempts", "1000", "most of those that one tenant keeps; the oldest go first"},
    {"appraisals.kept_days", "365", "how long stored verifications and imports are kept; 0: for ever"},
    {"appraisals.logged_days", "0", "how long appraisals that a log leaf names are kept; 0: for ever"},
    {"audit.checkpoint", "", "where the newest checkpoint is kept, outside the store; default <data>/checkpoint"},
    {"audit.accept_missing_checkpoint", "false", "start although the checkpoint file is gone; once, by an operator"},
    {"state.reseal_pause_ms", "20",
     "rest between the steps of sealing what is stored anew (attestry sealing rotate), so that requests come first"},
    {"state.confirm_clock", "false",
     "an operator says that this machine's clock is right, after a day or more of standstill; once"},
    {"limits.connections", "2048", "open connections"},
    {"limits.in_flight", "2048", "requests being answered"},
    {"limits.requests_per_second", "100", "of one client address on the public listener; beyond: 429; 0: no limit"},
    {"limits.burst", "200", "requests of one client address at once, after a rest"},
    {"limits.rate_exempt", "127.0.0.0/8,::1", "addresses and networks without that limit, comma-separated"},
    {"limits.body_bytes", "16777216", "largest request body of any route"},
    {"limits.header_seconds", "10", "deadline for a request's header"},
    {"limits.read_seconds", "30", "deadline for a request's body"},
    {"limits.request_seconds", "30", "deadline for an answer"},
    {"log.level", "info", "debug, info, warning or error"},
    {"log.format", "text", "text or json"},
};

std::vector<SettingInfo> all_settings() {
  std::vector<SettingInfo> out;
  for (const auto& part :
       {std::span<const SettingInfo>{kCore}, keymanager_setting_infos(), keystore_setting_infos(),
        keystore_registration_setting_infos(), keystore_sealing_setting_infos(), vault_setting_infos(),
        tracker_setting_infos(), tracker_chain_setting_infos(), node_setting_infos(), threshold_setting_infos()}) {
    out.insert(out.end(), part.begin(), part.end());
  }
  return out;
}

bool known(std::string_view name) {
  for (const auto& info : setting_infos()) {
    if (info.name == name) return true;
  }
  return false;
}

Error unknown_setting(std::string_view name, const std::string& where) {
  std::vector<std::string> names;
  for (const auto& info : setting_infos()) names.emplace_back(info.name);
  const std::string near = nearest(name, names);
  return Error{Code::configuration,
               where + ": unknown setting " + std::string{name},
               {},
               {},
               near.empty() ? "attestry config show lists all settings." : "Did you mean " + near + "?"};
}

constexpr std::string_view kPrefix = "ATTESTRY_";

std::string environment_name(std::string_view setting) {
  std::string name{kPrefix};
  for (const char c : setting) {
    name += c == '.' ? '_' : (c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c);
  }
  return name;
}

/// Variables that begin like settings and are none: of flags, and of this project's own build and tests.
constexpr std::string_view kOtherVariables[] = {
    "ATTESTRY_CONFIG",    "ATTESTRY_SERVER",        "ATTESTRY_TOKEN_FILE",  "ATTESTRY_CA",
    "ATTESTRY_TENANT",    "ATTESTRY_OPERATOR_KEY",  "ATTESTRY_TRUST",       "ATTESTRY_PUBLIC_SERVER",
    "ATTESTRY_REAL_CASE", "ATTESTRY_JOBS",          "ATTESTRY_TRACKER",     "ATTESTRY_RPC",
    "ATTESTRY_CHAIN_ID",  "ATTESTRY_CONTRACT",      "ATTESTRY_NETWORK",     "ATTESTRY_NPM",
    "ATTESTRY_SAMPLES",   "ATTESTRY_SHARED",        "ATTESTRY_TEST_DATA",   "ATTESTRY_DOWNLOADS",
    "ATTESTRY_VAULT",     "ATTESTRY_FUZZ_SECONDS",  "ATTESTRY_BENCH_BUILD", "ATTESTRY_DEPS",
    "ATTESTRY_BASE",      "ATTESTRY_FILES_AT_ONCE", "ATTESTRY_BENCH_FOLDER"};

/// Kubernetes and container links tell every process where a service named attestry-something is:
/// ..._SERVICE_HOST, ..._SERVICE_PORT[_NAME], ..._PORT=tcp://..., ..._PORT_<number>_<protocol>[_...].
bool is_service_link(std::string_view name, std::string_view value) {
  if (name.ends_with("_SERVICE_HOST") || name.find("_SERVICE_PORT") != std::string_view::npos) return true;
  if (name.ends_with("_PORT")) return value.find("://") != std::string_view::npos;
  const auto port = name.rfind("_PORT_");
  return port != std::string_view::npos && port + 6 < name.size() && name[port + 6] >= '0' && name[port + 6] <= '9';
}

void check_variables(const Settings::Environment& environment, std::vector<Error>& mistakes) {
  std::vector<std::string> names;
  for (const auto& info : setting_infos()) names.push_back(environment_name(info.name));
  for (const auto& [name, value] : environment) {
    if (!name.starts_with(kPrefix) || is_service_link(name, value)) continue;
    if (std::ranges::find(kOtherVariables, name) != std::end(kOtherVariables)) continue;
    if (std::ranges::find(names, name) != names.end()) continue;
    const std::string near = nearest(name, names);
    mistakes.push_back(Error{Code::configuration,
                             "environment: unknown variable " + name,
                             {},
                             {},
                             near.empty()
                                 ? "attestry config show lists all settings; server.listen is ATTESTRY_SERVER_LISTEN."
                                 : "Did you mean " + near + "? If it is for another program, unset it here."});
  }
}

Result<std::string> toml_text(const toml::node& node, const std::string& where) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return std::to_string(number->get());
  if (const auto* flag = node.as_boolean()) return std::string{flag->get() ? "true" : "false"};
  if (const auto* array = node.as_array()) {
    std::string joined;
    for (const auto& item : *array) {
      const auto* text = item.as_string();
      if (text == nullptr) return Error{Code::configuration, where + ": a list may hold strings only"};
      joined += (joined.empty() ? "" : ",") + text->get();
    }
    return joined;
  }
  return Error{Code::configuration, where + ": neither text, number, true/false nor a list of texts"};
}

using Values = std::map<std::string, Setting, std::less<>>;

void read_section(const std::string& file, const std::string& section, const toml::table& table, Values& values,
                  std::vector<Error>& mistakes) {
  for (const auto& [key, value] : table) {
    const std::string name = section + "." + std::string{key.str()};
    const std::string where = file + ":" + std::to_string(value.source().begin.line);
    if (!known(name)) {
      mistakes.push_back(unknown_setting(name, where));
      continue;
    }
    auto text = toml_text(value, where);
    if (text) {
      values[name] = {std::move(*text), where};
    } else {
      mistakes.push_back(text.error());
    }
  }
}

/// In the order of the file's names, not of its lines: that is how the library keeps them.
void read_file(const std::string& file, Values& values, std::vector<Error>& mistakes) {
  toml::table table;
  try {
    table = toml::parse_file(file);
  } catch (const toml::parse_error& error) {
    mistakes.push_back(Error{Code::configuration, file + ":" + std::to_string(error.source().begin.line) + ": " +
                                                      std::string{error.description()}});
    return;
  }
  for (const auto& [section, node] : table) {
    const std::string name{section.str()};
    if (const auto* inner = node.as_table()) {
      read_section(file, name, *inner, values, mistakes);
    } else {
      mistakes.push_back(unknown_setting(name, file + ":" + std::to_string(node.source().begin.line)));
    }
  }
}

}  // namespace

std::span<const SettingInfo> setting_infos() noexcept {
  static const std::vector<SettingInfo> all = all_settings();
  return all;
}

Status read_sets(const std::vector<std::string>& sets, std::map<std::string, std::string>& flags) {
  for (const auto& set : sets) {
    const auto equals = set.find('=');
    if (equals == std::string::npos)
      return Error{Code::usage, "--set", "SECTION.KEY=VALUE", set, "`attestry config show` lists all settings."};
    flags[set.substr(0, equals)] = set.substr(equals + 1);
  }
  return base::done();
}

Settings::Environment process_environment() {
  Settings::Environment found;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text{*entry};
    const auto equals = text.find('=');
    if (text.starts_with(kPrefix) && equals != std::string_view::npos)
      found.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return found;
}

Result<Settings> Settings::load(const std::string& file, const std::map<std::string, std::string>& flags,
                                const Environment& environment) {
  std::vector<Error> mistakes;
  auto settings = load(file, flags, environment, mistakes);
  if (!mistakes.empty()) return mistakes.front();
  return settings;
}

Settings Settings::load(const std::string& file, const std::map<std::string, std::string>& flags,
                        const Environment& environment, std::vector<Error>& mistakes) {
  Settings settings;
  for (const auto& info : setting_infos())
    settings.values_[std::string{info.name}] = {std::string{info.default_value}, "default"};
  if (!file.empty()) read_file(file, settings.values_, mistakes);
  check_variables(environment, mistakes);
  for (const auto& info : setting_infos()) {
    const std::string name = environment_name(info.name);
    if (const auto found = environment.find(name); found != environment.end())
      settings.values_[std::string{info.name}] = {found->second, "environment " + name};
  }
  for (const auto& [name, value] : flags) {
    if (known(name)) {
      settings.values_[name] = {value, "flag"};
    } else {
      mistakes.push_back(unknown_setting(name, "flag"));
    }
  }
  return settings;
}

const std::string& Settings::text(std::string_view name) const { return values_.find(name)->second.value; }
const std::string& Settings::origin(std::string_view name) const { return values_.find(name)->second.origin; }

Result<bool> Settings::boolean(std::string_view name) const {
  const std::string& value = text(name);
  if (value == "true") return true;
  if (value == "false") return false;
  return Error{Code::configuration, std::string{name} + " (" + origin(name) + ")", "true or false", value};
}

Result<std::int64_t> Settings::integer(std::string_view name, std::int64_t min, std::int64_t max) const {
  const std::string& value = text(name);
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (value.empty() || error != std::errc{} || end != value.data() + value.size() || number < min || number > max) {
    return Error{Code::configuration, std::string{name} + " (" + origin(name) + ")",
                 "a number from " + std::to_string(min) + " to " + std::to_string(max), value};
  }
  return number;
}

std::vector<std::string> Settings::list(std::string_view name) const {
  std::vector<std::string> items;
  std::string_view rest = text(name);
  while (!rest.empty()) {
    const auto comma = rest.find(',');
    if (comma != 0) items.emplace_back(rest.substr(0, comma));
    rest = comma == std::string_view::npos ? std::string_view{} : rest.substr(comma + 1);
  }
  return items;
}

}  // namespace attestry::app
