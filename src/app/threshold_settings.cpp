#include "app/threshold_settings.h"

#include <algorithm>

#include "app/settings_reader.h"
#include "keys/ckd.h"
#include "net/peer.h"

namespace attestry::app {

using base::Code;
using base::Error;

namespace {

constexpr SettingInfo kThreshold[] = {
    {"keys.source", "local",
     "where keys of apps come from: local (the root file) or threshold (nodes of which none has the root); fixed when "
     "the log gets its first leaf"},
    {"threshold.nodes", "", "nodes of the threshold root, HOST:PORT, comma-separated"},
    {"threshold.master_public_key", "", "of those nodes, bls12381g2:…: what they derive is checked with it"},
    {"threshold.app", "name:attestry-node",
     "app whose approvals, here, say which software the nodes run; as node.app has it at the nodes"},
    {"threshold.attestation", "none",
     "evidence of this server, for the nodes: the address of a quote provider, or in the simulated realm "
     "simulated:FILE"},
    {"threshold.patience_seconds", "5", "how long one derivation may take"}};

}  // namespace

std::span<const SettingInfo> threshold_setting_infos() noexcept { return kThreshold; }

ThresholdSettings read_threshold_settings(const Settings& settings, std::vector<Error>& mistakes) {
  SettingsReader reader{settings, mistakes};
  ThresholdSettings out;
  out.used = !reader.is_first("keys.source", {"local", "threshold"});
  out.nodes = reader.list("threshold.nodes");
  out.master_public_key = reader.text("threshold.master_public_key");
  out.attestation = reader.text("threshold.attestation");
  out.patience = std::chrono::seconds(reader.number("threshold.patience_seconds", 1, 60));
  const auto wrong = [&](std::string_view name, std::string_view what, std::string expected, std::string found) {
    reader.note(
        Error{Code::configuration, reader.named(name) + std::string{what}, std::move(expected), std::move(found)});
  };
  for (const std::string& node : out.nodes) {
    if (!net::is_peer_address(node)) wrong("threshold.nodes", "", "HOST:PORT or [::1]:PORT", node);
    if (std::ranges::count(out.nodes, node) > 1) wrong("threshold.nodes", "", "each node once", node);
  }
  if (!out.master_public_key.empty()) {
    out.encoded = reader.noted("threshold.master_public_key", keys::ckd::g2_from_text(out.master_public_key));
    if (out.encoded) reader.noted("threshold.master_public_key", keys::ckd::MasterPublicKey::decode(*out.encoded));
  }
  out.app = reader.noted("threshold.app", base::AppRef::parse(reader.text("threshold.app")));
  if (!out.used) {
    for (const auto* name : {"threshold.nodes", "threshold.master_public_key"}) {
      if (!reader.text(name).empty()) wrong(name, " is for keys.source = threshold", "nothing", reader.text(name));
    }
    return out;
  }
  if (out.nodes.size() < 2) {
    wrong("threshold.nodes", "", "the channels of two nodes or more, HOST:PORT", std::to_string(out.nodes.size()));
  }
  if (out.master_public_key.empty()) {
    wrong("threshold.master_public_key", " says which cluster is believed",
          "bls12381g2:…, as `attestry node status` prints it", "nothing");
  }
  if (out.attestation == "none") {
    wrong("threshold.attestation", " shows the nodes what this server is", "the address of a quote provider", "none");
  }
  return out;
}

}  // namespace attestry::app
