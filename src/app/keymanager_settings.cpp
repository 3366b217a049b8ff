#include "app/keymanager_settings.h"

#include <algorithm>

#include "app/loopback.h"
#include "app/network_profiles.h"
#include "app/settings_reader.h"
#include "app/simulated_tee.h"
#include "net/address.h"
#include "net/url.h"

namespace attestry::app {

using base::Code;
using base::Error;

namespace {

constexpr SettingInfo kKeyManager[] = {
    {"keymanager.listen", "", "the key manager for workloads: addresses, also unix:PATH; empty: not offered"},
    {"keymanager.plaintext", "false",
     "with tls.mode off on any address: TLS ends in front of it, and whoever is in between reads every key"},
    {"keymanager.host_listen", "", "the key manager for its host: address; empty: none"},
    {"keymanager.host_ca", "", "PEM file: whose certificates may use keymanager.host_listen beyond this machine"},
    {"keymanager.compat", "native",
     "whose byte forms are spoken: native, keymanager (the first service) or dstack-vm (the second)"},
    {"keymanager.contract", "", "address of the KeyManager contract; needed but for simulated servers of one"},
    {"keymanager.rpc", "", "endpoints of the chain, comma-separated"},
    {"keymanager.rpc_ca", "", "PEM file to trust for the endpoints besides nothing else; empty: the system's roots"},
    {"keymanager.network", "", "a chain by name, as `attestry keymanager` knows it; what is not set otherwise is its"},
    {"keymanager.chain_id", "1", "id of the chain; every endpoint must have it"},
    {"keymanager.quorum", "0", "endpoints that must agree; 0: more than half"},
    {"keymanager.finality", "finalized", "which block is believed: finalized, safe or depth:N"},
    {"keymanager.max_head_age", "120", "seconds that the newest block may be old; 0: any age, for development chains"},
    {"keymanager.look_ms", "1000", "milliseconds between two looks at the contract"},
    {"keymanager.believed_seconds", "30", "how long the contract's last answer counts when it cannot be read"},
    {"keymanager.attestation", "none",
     "this server's own evidence: none, simulated:SEEDFILE, or the URL of a quote provider"},
    {"keymanager.policy", "default",
     "appraises newcomers besides the contract's lists: genuine, default, strict or a file"},
    {"keymanager.mrtd_suffices", "false",
     "a newcomer's firmware, which MRTD is, says enough: whatever it boots gets the master key"},
    {"keymanager.machine_suffices", "false",
     "a listed machine's MRTD, RTMR0 and RTMR3 say enough: whatever kernel and command line it boots get the master "
     "key"},
    {"keymanager.workloads", "", "file with a policy whose identities are workloads, by name, for attested TLS"},
    {"keymanager.apps", "",
     "apps whose approved software is a workload of that name, for attested TLS: name:NAME, comma-separated"},
    {"keymanager.users", "", "workloads by user or group of a unix socket: UID=NAME or gid:GID=NAME, comma-separated"},
    {"keymanager.sources", "", "workloads by address: ADDRESS=NAME or NETWORK/BITS=NAME, comma-separated"},
    {"keymanager.identity_seconds", "300", "how long a certificate with verified evidence is believed"},
    {"keymanager.reverse_dns_identity", "false",
     "a workload is whatever name DNS has for its address: whoever writes there gets every key"},
    {"keymanager.any_tag", "false", "workloads take the keys of any tag and sign for any, as in the second service"},
    {"keymanager.attest_seconds", "3600", "how long an attestation for verifyBound holds"},
};

/// That they are addresses, and not in the clear for others, is looked at with all listeners (validate.cpp).
void read_listeners(SettingsReader& read, KeyManagerSettings& out) {
  out.listen = read.list("keymanager.listen");
  out.host_listen = read.text("keymanager.host_listen");
  out.host_ca = read.certificates("keymanager.host_ca");
  if (out.host_listen.empty()) return;
  if (is_loopback(out.host_listen)) return;
  if (!out.host_ca.empty() && read.text("tls.mode") != "off") return;
  read.note({Code::configuration, read.named("keymanager.host_listen"),
             "an address of this machine, unix:PATH, or keymanager.host_ca with TLS", out.host_listen,
             "Whoever reaches this port says when the server joins, and whom it helps."});
}

/// What a network's profile says where no other setting does.
void apply_profile(SettingsReader& read, const Settings& settings, chain::QuorumOptions& options) {
  const std::string& name = read.text("keymanager.network");
  if (name.empty()) return;
  const auto profile = read.noted("keymanager.network", network_profile(name));
  if (!profile) return;
  const auto unsaid = [&](std::string_view setting) { return settings.origin(setting) == "default"; };
  if (unsaid("keymanager.chain_id")) {
    options.chain_id = profile->chain_id;
  } else if (options.chain_id != profile->chain_id) {
    read.note({Code::configuration, read.named("keymanager.chain_id") + " is not that of keymanager.network",
               std::to_string(profile->chain_id), std::to_string(options.chain_id)});
  }
  const auto finality = chain::Finality::parse(profile->finality);
  if (unsaid("keymanager.finality") && finality) options.finality = *finality;
  if (!profile->rpc.empty() && unsaid("keymanager.rpc")) options.endpoints = {{.url = std::string{profile->rpc}}};
}

void read_chain(SettingsReader& read, const Settings& settings, KeyManagerSettings& out) {
  auto& options = out.chain;
  options.chain_id = static_cast<std::uint64_t>(read.number("keymanager.chain_id", 1, INT64_MAX));
  options.quorum = static_cast<std::size_t>(read.number("keymanager.quorum", 0, 64));
  options.max_head_age = read.number("keymanager.max_head_age", 0, 86400);
  options.max_final_age = options.max_head_age == 0 ? 0 : std::max(options.max_final_age, options.max_head_age);
  const auto finality = read.noted("keymanager.finality", chain::Finality::parse(read.text("keymanager.finality")));
  if (finality) options.finality = *finality;
  // The key manager asks in its own rhythm, and its host wants to see every block at once.
  options.head_ttl = std::chrono::milliseconds(0);
  out.rules.look = std::chrono::milliseconds(read.number("keymanager.look_ms", 10, 600'000));
  out.rules.believed = std::chrono::seconds(read.number("keymanager.believed_seconds", 1, 86400));
  for (const std::string& url : read.list("keymanager.rpc")) {
    read.noted("keymanager.rpc", net::check_http_url(url, shown_endpoint(url)));
    options.endpoints.push_back({.url = url});
  }
  read.certificates("keymanager.rpc_ca");
  apply_profile(read, settings, options);
  out.rules.final_blocks = options.finality.kind == chain::Finality::Kind::finalized;
  const std::string& contract = read.text("keymanager.contract");
  out.on_chain = !contract.empty();
  out.rules.contract.chain_id = options.chain_id;
  if (out.on_chain) {
    out.rules.contract.address = read.address("keymanager.contract", contract);
    for (Error& mistake : chain::mistakes_in(options)) {
      mistake.at(read.named(mistake.what.contains("quorum") ? "keymanager.quorum" : "keymanager.rpc"));
      read.note(std::move(mistake));
    }
  } else if (!out.listen.empty() && read.text("server.realm") == base::to_text(base::Realm::production)) {
    read.note({Code::configuration, read.named("keymanager.contract") + " says who is a key manager",
               "the address of a KeyManager contract", "", "Deploy one: attestry keymanager deploy."});
  }
}

void read_attestation(SettingsReader& read, KeyManagerSettings& out) {
  out.attestation = read.text("keymanager.attestation");
  const std::string& kind = out.attestation;
  if (kind == "none") {
    if (!out.on_chain || out.host_listen.empty()) return;
    return read.note({Code::configuration, read.named("keymanager.attestation"),
                      "simulated:SEEDFILE, or the URL of a quote provider", kind,
                      "Neither the contract's owner nor another member believes a server without evidence."});
  }
  if (!kind.starts_with(kSimulatedAttestation)) {
    read.noted("keymanager.attestation", net::check_http_url(kind));
    return;
  }
  if (read.text("server.realm") == base::to_text(base::Realm::production)) {
    return read.note({Code::configuration,
                      read.named("keymanager.attestation") + ": a simulated TEE vouches for nothing",
                      "the address of a quote provider", kind});
  }
  read.noted("keymanager.attestation", SimulatedTee::open(kind.substr(kSimulatedAttestation.size()), "tdx-v4"));
}

void read_identities(SettingsReader& read, KeyManagerSettings& out) {
  for (const std::string& text : read.list("keymanager.sources")) {
    read.noted("keymanager.sources", out.identities.sources.add(text));
  }
  for (const std::string& text : read.list("keymanager.users")) {
    read.noted("keymanager.users", out.identities.processes.add(text));
  }
  for (const std::string& text : read.list("keymanager.apps")) {
    auto app = read.noted("keymanager.apps", base::AppRef::parse(text));
    if (!app) continue;
    if (app->kind() == base::AppRef::Kind::name) {
      read.noted("keymanager.apps", provision::check_workload_name(provision::workload_of(*app)));
    } else {
      read.note({Code::configuration, read.named("keymanager.apps"), "name:NAME", text});
    }
    out.identities.apps.push_back(*std::move(app));
  }
  out.identities.believed = std::chrono::seconds(read.number("keymanager.identity_seconds", 1, 86400));
  out.reverse_dns = read.flag("keymanager.reverse_dns_identity");
  const std::string& workloads = read.text("keymanager.workloads");
  if (workloads.empty()) return;
  auto policy = read.noted("keymanager.workloads", policy_of(workloads));
  if (!policy) return;
  if (!policy->rules().require_identity) {
    read.note({Code::configuration, read.named("keymanager.workloads"), "a policy with identities", workloads,
               "Their names are the workloads'."});
  }
  for (const auto& identity : policy->identities()) {
    read.noted("keymanager.workloads", provision::check_workload_name(identity.name));
  }
  out.identities.policy = *std::move(policy);
}

}  // namespace

std::span<const SettingInfo> keymanager_setting_infos() noexcept { return kKeyManager; }

KeyManagerSettings read_keymanager_settings(const Settings& settings, std::vector<Error>& mistakes) {
  SettingsReader read{settings, mistakes};
  KeyManagerSettings out;
  read_listeners(read, out);
  const bool native = read.is_first("keymanager.compat", {"native", "keymanager", "dstack-vm"});
  using Dialect = provision::KeyManagerDialect;
  out.rules.dialect = native                                           ? Dialect::native
                      : read.text("keymanager.compat") == "keymanager" ? Dialect::keymanager
                                                                       : Dialect::dstack_vm;
  read_chain(read, settings, out);
  read_attestation(read, out);
  if (const auto policy = read.noted("keymanager.policy", policy_of(read.text("keymanager.policy")))) {
    out.rules.policy = *policy;
  }
  out.rules.mrtd_suffices = read.flag("keymanager.mrtd_suffices");
  out.rules.machine_suffices = read.flag("keymanager.machine_suffices") || out.rules.mrtd_suffices;
  out.rules.attestation_seconds = read.number("keymanager.attest_seconds", 1, 365 * 86400);
  read_identities(read, out);
  out.any_tag = read.flag("keymanager.any_tag");
  out.forget_floor = read.text("registry.floor") == "forgotten";
  // The second generation signs for names as they are, and nobody knows all names that DNS has.
  out.bare_tags = out.rules.dialect == Dialect::dstack_vm && !out.any_tag && !out.reverse_dns;
  if (out.bare_tags) read.noted("keymanager.compat", provision::check_names_apart(out.identities));
  return out;
}

}  // namespace attestry::app
