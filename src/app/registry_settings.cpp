#include "app/registry_settings.h"

#include <algorithm>
#include <filesystem>
#include <initializer_list>
#include <utility>

#include "app/registry_channel.h"
#include "app/registry_contracts.h"
#include "app/registry_root.h"
#include "app/settings_reader.h"
#include "app/simulated_tee.h"
#include "app/typed_text.h"
#include "app/validate.h"
#include "base/encoding.h"
#include "keys/root_file.h"
#include "net/url.h"
#include "state/file.h"

namespace attestry::app {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t kMaxCredentials = 64u << 10;

provision::RegistryRules rules_of(SettingsReader& read) {
  provision::RegistryRules rules;
  if (auto tenant = read.noted("registry.tenant", base::Tenant::parse(read.text("registry.tenant")))) {
    rules.tenant = std::move(*tenant);
  }
  rules.evidence_once = read.flag("registry.evidence_once");
  rules.operator_v1 = read.is_first("registry.operator_signature", {"v1", "v2"});
  rules.operator_digest = read.is_first("registry.operator_digest", {"sha256", "keccak256"})
                              ? provision::OperatorDigest::sha256
                              : provision::OperatorDigest::keccak256;
  rules.strict_names = read.is_first("registry.names", {"strict", "free"});
  rules.templates.mode = read.is_first("registry.templates", {"text", "json"}) ? provision::TemplateMode::text
                                                                               : provision::TemplateMode::json;
  return rules;
}

chain::QuorumOptions chain_of(SettingsReader& read, bool used) {
  chain::QuorumOptions options;
  options.chain_id = static_cast<std::uint64_t>(read.number("registry.chain_id", 1, INT64_MAX));
  options.quorum = static_cast<std::size_t>(read.number("registry.quorum", 0, 64));
  options.max_head_age = read.number("registry.max_head_age", 0, 86400);
  // A final block is older than the newest: who lets that one be so old means the other, too.
  options.max_final_age = options.max_head_age == 0 ? 0 : std::max(options.max_final_age, options.max_head_age);
  if (const auto finality = read.noted("registry.finality", chain::Finality::parse(read.text("registry.finality")))) {
    options.finality = *finality;
  }
  const auto head_ms = read.number("registry.head_ms", 0, 60'000);
  options.head_ttl = std::chrono::milliseconds(head_ms);
  // Asked in the background, so that a registration finds the head in memory and costs one round trip.
  options.poll = std::chrono::milliseconds(head_ms / 2);
  if (read.flag("registry.event_cache")) {
    const auto own = read.noted("registry.event_cache", own_contracts());
    for (const auto& contract : own.value_or(std::vector<governance::OwnContract>{})) {
      options.event_codes.push_back(contract.code_hash);
    }
  }
  for (const std::string& url : read.list("registry.rpc")) {
    read.noted("registry.rpc", net::check_http_url(url, shown_endpoint(url)));
    options.endpoints.push_back({.url = url});
  }
  read.certificates("registry.rpc_ca");
  if (!used) return options;
  for (Error& mistake : chain::mistakes_in(options)) {
    mistake.at(read.named(mistake.what.contains("quorum") ? "registry.quorum" : "registry.rpc"));
    read.note(std::move(mistake));
  }
  return options;
}

void read_contracts(SettingsReader& read, RegistrySettings& out) {
  const auto listed = read.list("registry.contracts");
  out.contract_lists_apps = listed == std::vector<std::string>{"kms"};
  if (!out.contract_lists_apps && listed != std::vector<std::string>{"any"}) {
    out.contracts.emplace();
    for (const std::string& text : listed) out.contracts->insert(read.address("registry.contracts", text));
  }
  if (!out.offered || !listed.empty()) return;
  read.note({Code::configuration, read.named("registry.contracts") + " says whose apps are served",
             "addresses of contracts, kms, or any", "",
             "With any, whoever deploys a contract gets keys for it, and names storage that this server calls."});
}

void read_key_service(SettingsReader& read, RegistrySettings& out) {
  for (const std::string& text : read.list("registry.operators")) {
    out.operators.push_back(read.address("registry.operators", text));
  }
  read.certificates("registry.onboard_ca");
  const std::string& contract = read.text("registry.kms_contract");
  if (!contract.empty()) {
    out.kms_contract = read.address("registry.kms_contract", contract);
    if (out.on_chain || !out.offered) return;
    return read.note({Code::configuration, read.named("registry.kms_contract") + " is read from a chain",
                      "registry.governance chain", read.text("registry.governance")});
  }
  if (!out.offered) return;
  for (const auto& [name, needs] :
       {std::pair{"registry.kms", read.text("registry.kms") == "onboard" && read.text("registry.channel_peer").empty()},
        std::pair{"registry.contracts", out.contract_lists_apps}}) {
    if (!needs) continue;
    read.note({Code::configuration, read.named(name) + " needs the key service's contract", "registry.kms_contract",
               read.text(name), "Deploy one: attestry registry deploy kms."});
  }
}

Status is_folder(const std::string& path) {
  std::error_code failed;
  if (path.empty() || std::filesystem::is_directory(path, failed)) return base::done();
  return Error{Code::configuration, "there is no folder " + path, "a folder that this user may enter",
               failed ? failed.message() : "something else", "Make it: mkdir -p " + path};
}

Result<StorageCredentials> storage_credentials(const std::string& path) {
  if (path.empty()) return StorageCredentials{};
  TRY(const auto text, keys::read_private_file(path, kMaxCredentials));
  return StorageCredentials::parse(text);
}

void read_storage(SettingsReader& read, RegistrySettings& out) {
  out.storage_root = read.text("registry.storage_root");
  read.noted("registry.storage_root", is_folder(out.storage_root));
  out.storage_private = read.flag("registry.storage_private");
  out.seed_layout = read.flag("registry.seed_layout");
  out.storage_ca = read.certificates("registry.storage_ca");
  out.storage_credentials = std::make_shared<const StorageCredentials>(
      read.noted("registry.storage_credentials", storage_credentials(read.text("registry.storage_credentials")))
          .value_or(StorageCredentials{}));
  read.noted("registry.github_api", net::check_http_url(read.text("registry.github_api")));
  out.storage_cache_bytes = static_cast<std::uint64_t>(read.number("registry.storage_cache_bytes", 0, INT64_MAX));
  out.storage_deadline = std::chrono::seconds(read.number("registry.storage_seconds", 1, 600));
}

void read_attestation(SettingsReader& read) {
  const std::string& kind = read.text("registry.attestation");
  if (kind == "none" || kind == "dummy") return;
  if (!kind.starts_with(kSimulatedAttestation)) {
    Status good = net::check_http_url(kind);
    if (good) return;
    good.error().expected = "none, dummy, simulated:SEEDFILE, or the URL of a quote provider";
    read.noted("registry.attestation", std::move(good));
    return;
  }
  if (read.text("server.realm") == base::to_text(base::Realm::production)) {
    return read.note({Code::configuration, read.named("registry.attestation") + ": a simulated TEE vouches for nothing",
                      "none, or the address of a quote provider", kind,
                      "Use `attestry dev`, or a data folder that was made for the simulated realm."});
  }
  read.noted("registry.attestation", SimulatedTee::open(kind.substr(kSimulatedAttestation.size()), "tdx-v4"));
}

void read_listeners(SettingsReader& read, RegistrySettings& out) {
  const std::string& proxy = read.text("registry.proxy_listen");
  out.proxy_ca = read.certificates("registry.proxy_ca");
  if (!proxy.empty() && !proxy.starts_with("unix:")) {
    if (read.text("registry.proxy_ca").empty()) {
      read.note(
          {Code::configuration, read.named("registry.proxy_listen"), "registry.proxy_ca, or unix:PATH", proxy,
           "A proxy whose headers are believed proves who it is: by a certificate, or by reaching a unix socket."});
    }
    if (read.text("tls.mode") == "off") {
      read.note(
          {Code::configuration, read.named("registry.proxy_listen") + " needs TLS", "tls.mode auto or files", "off"});
    }
  }
  for (const std::string& host : read.list("registry.admin_hosts")) {
    if (host.find_first_of("/ @?#") == std::string::npos) continue;
    read.note({Code::configuration, read.named("registry.admin_hosts"), "HOST or HOST:PORT", host});
  }
}

}  // namespace

RegistrySettings read_registry_settings(const Settings& settings, std::vector<Error>& mistakes) {
  SettingsReader read{settings, mistakes};
  RegistrySettings out;
  out.offered = !read.text("registry.listen").empty() || !read.text("registry.proxy_listen").empty();
  read.is_first("registry.kms", {"derived", "simple", "shamir", "onboard"});
  read.is_first("registry.governance", {"chain", "local"});
  out.on_chain = read.text("registry.governance") != "local";
  out.extended = !read.is_first("registry.identity", {"any", "extended"});
  out.forget_floor = !read.is_first("registry.floor", {"kept", "forgotten"});
  read_listeners(read, out);
  read_contracts(read, out);
  out.rules = rules_of(read);
  const auto policy = read.noted("registry.policy", policy_of(read.text("registry.policy")));
  if (policy) out.rules.policy = *policy;
  out.rules.remember_grants = out.on_chain;
  out.chain = chain_of(read, out.offered && out.on_chain);
  out.first_generation = read.flag("registry.first_generation");
  out.v1_requests = read.flag("registry.admin_v1");
  read_key_service(read, out);
  check_channel(settings, policy ? &*policy : nullptr, mistakes);
  check_registry_root(settings, mistakes);
  read_storage(read, out);
  read_attestation(read);
  out.old_status = read.flag("registry.old_status");
  out.legacy_maa = read.flag("registry.legacy_maa");
  out.believe_headers_of_anybody = read.flag("registry.believe_headers_of_anybody");
  out.storage_proofs = read.flag("registry.storage_proofs");
  if (out.offered && out.storage_proofs && !out.on_chain) {
    read.note({Code::configuration, read.named("registry.storage_proofs"), "false, with registry.governance local",
               "true", "There is no chain whose blocks could prove anything."});
  }
  if (out.offered && out.extended && !out.on_chain) {
    read.note({Code::configuration, read.named("registry.identity"), "any, with registry.governance local", "extended",
               "Approvals name every register that counts by themselves."});
  }
  return out;
}

Result<RegistrySettings> read_registry_settings(const Settings& settings) {
  std::vector<Error> mistakes;
  auto out = read_registry_settings(settings, mistakes);
  TRY_OK(first_of(mistakes));
  return out;
}

}  // namespace attestry::app
