#include "app/node_settings.h"

#include <algorithm>

#include "app/validate.h"
#include "base/encoding.h"
#include "base/ids.h"
#include "cluster/sharing.h"
#include "net/address.h"
#include "net/peer.h"

namespace attestry::app {

using base::Code;
using base::Error;

namespace {

constexpr SettingInfo kNode[] = {
    {"node.listen", "", "where other nodes of a threshold root call, by attested sessions: address; empty: no node"},
    {"node.address", "", "HOST:PORT at which they reach it; empty: node.listen"},
    {"node.id", "0", "its number in the cluster for ever, below 255; no two nodes have the same"},
    {"node.app", "name:attestry-node", "operators' approvals for this app say which software is a node"},
    {"node.servers", "",
     "approvals for this app say which servers may derive roots of this registry's apps for themselves; empty: none"},
    {"node.server_dialects", "", "dialects whose masters those servers may derive, too; comma-separated; empty: none"},
    {"node.near_accounts", "",
     "NEAR accounts, *.ACCOUNT for all below one, whose keys those servers may have as keystores; comma-separated; "
     "empty: none"},
    {"node.attestation", "none", "who makes this node's evidence: address of a quote provider, or simulated:SEED_FILE"},
    {"node.operators", "", "Ed25519 keys, 64 hex digits each, of those who say who the members are; comma-separated"},
    {"node.operators_needed", "1", "so many of them must have signed"},
    {"node.import", "", "file with the export of a lost node that this one is to be again; only in a new data folder"},
    {"node.import_key", "", "file with the private key of that node's holder, 64 hex digits"},
    {"node.sessions", "64", "sessions of nodes and servers at a time"},
    {"node.faults", "",
     "for tests, in the simulated realm alone: lies of this node to others, comma-separated; empty: none"},
};

class Check {
 public:
  Check(const Settings& settings, std::vector<Error>& mistakes) : settings_(settings), mistakes_(mistakes) {}
  const std::string& text(std::string_view name) const { return settings_.text("node." + std::string{name}); }
  std::int64_t number(std::string_view name, std::int64_t least, std::int64_t most) {
    const auto value = settings_.integer("node." + std::string{name}, least, most);
    if (value) return *value;
    mistakes_.push_back(value.error());
    return least;
  }
  void wrong(std::string_view name, std::string_view what, std::string expected, std::string found,
             std::string remedy = {}) {
    mistakes_.push_back(Error{Code::configuration, named(settings_, "node." + std::string{name}) + std::string{what},
                              std::move(expected), std::move(found), std::move(remedy)});
  }
  void app(std::string_view name) {
    if (const auto parsed = base::AppRef::parse(text(name)); !parsed) {
      wrong(name, ": " + parsed.error().what, parsed.error().expected, text(name));
    }
  }
  std::vector<base::FixedBytes<32>> operators() {
    std::vector<base::FixedBytes<32>> out;
    for (const std::string& one : settings_.list("node.operators")) {
      base::FixedBytes<32> key{};
      if (!base::hex_decode_into(one, key)) {
        const bool shown = one.find("key-1") == std::string::npos;  // never what a private key's file holds
        wrong("operators", "", "64 hex digits for each", shown ? one : "a private key",
              "attestry operator show KEYFILE prints it.");
        return out;
      } else if (std::ranges::find(out, key) == out.end()) {
        out.push_back(key);
      }
    }
    if (out.empty()) wrong("operators", " say who the members are", "at least one key", "none");
    return out;
  }
  cluster::Faults faults() {
    const auto names = settings_.list("node.faults");
    const std::string& realm = settings_.text("server.realm");
    if (!names.empty() && realm != base::to_text(base::Realm::simulated)) {
      wrong("faults", " has a node lie to others", "none outside of the simulated realm", text("faults"));
      return {};
    }
    auto out = cluster::Faults::parse(names);
    if (out) return *std::move(out);
    wrong("faults", ": " + out.error().what, out.error().expected, out.error().found);
    return {};
  }

 private:
  const Settings& settings_;
  std::vector<Error>& mistakes_;
};

}  // namespace

std::span<const SettingInfo> node_setting_infos() noexcept { return kNode; }

NodeSettings read_node_settings(const Settings& settings, std::vector<Error>& mistakes) {
  Check check{settings, mistakes};
  NodeSettings out;
  out.listen = check.text("listen");
  out.address = check.text("address");
  out.app = check.text("app");
  out.servers = check.text("servers");
  out.server_dialects = settings.list("node.server_dialects");
  out.near_accounts = settings.list("node.near_accounts");
  out.attestation = check.text("attestation");
  out.id = static_cast<std::uint32_t>(check.number("id", 0, cluster::kMostNodes - 1));
  out.operators_needed = static_cast<std::size_t>(check.number("operators_needed", 1, 64));
  out.sessions = static_cast<unsigned>(check.number("sessions", 4, 1024));
  out.faults = check.faults();
  out.import = check.text("import");
  out.import_key = check.text("import_key");
  if (out.import.empty() != out.import_key.empty()) {
    check.wrong(out.import.empty() ? "import" : "import_key", " is missing", "both node.import and node.import_key",
                "one");
  }
  if (out.listen.empty()) return out;
  if (!net::is_socket_address(out.listen)) {
    check.wrong("listen", "", "127.0.0.1:9447 or [::1]:0", out.listen,
                "Give a numeric IP address and a port; names are not resolved.");
  }
  const bool everywhere = out.listen.starts_with("0.0.0.0:") || out.listen.starts_with("[::]:");
  if (out.address.empty() ? everywhere : !net::is_peer_address(out.address)) {
    check.wrong("address", " is where others call", "HOST:PORT or [::1]:PORT", out.address);
  }
  if (out.attestation == "none") {
    check.wrong("attestation", " shows other nodes what this one is", "the address of a quote provider", "none");
  }
  check.app("app");
  if (!out.servers.empty()) check.app("servers");
  for (const std::string& one : out.server_dialects) {
    if (one != "registry" && one != "keystore") {
      check.wrong("server_dialects", "", "registry and keystore, with a comma between them", one);
    }
  }
  for (const std::string& one : out.near_accounts) {
    if (!base::AppRef::parse("near:" + one.substr(one.starts_with("*.") ? 2 : 0))) {
      check.wrong("near_accounts", "", "dao.near, or *.vaults.near for all accounts below vaults.near", one);
    }
  }
  if (out.servers.empty() && !out.near_accounts.empty()) {
    check.wrong("near_accounts", " are for servers", "node.servers, which says who these are", "nothing");
  }
  out.operators = check.operators();
  if (out.operators.size() < out.operators_needed && !out.operators.empty()) {
    check.wrong("operators_needed", " is more than there are", "at most " + std::to_string(out.operators.size()),
                std::to_string(out.operators_needed));
  }
  return out;
}

}  // namespace attestry::app
