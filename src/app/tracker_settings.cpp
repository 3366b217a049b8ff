#include "app/tracker_settings.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "app/settings_reader.h"
#include "app/simulated_tee.h"
#include "app/tracker_tee.h"
#include "base/encoding.h"
#include "base/ids.h"
#include "net/address.h"

namespace attestry::app {

using base::Code;
using base::Error;
using base::Result;

namespace {

constexpr SettingInfo kTracker[] = {
    {"tracker.listen", "", "a BitTorrent tracker with receipts: addresses, comma-separated; empty: not offered"},
    {"tracker.udp_listen", "", "the same over UDP (BEP 15): addresses, comma-separated; [::] takes IPv4, too"},
    {"tracker.udp_rate", "200", "datagrams a second of one address over UDP, more are dropped; 0: no limit"},
    {"tracker.plaintext", "false",
     "it speaks without TLS on any address and with every tls.mode: many clients refuse certificates of no known CA"},
    {"tracker.trusted_proxies", "",
     "addresses and networks whose X-Real-IP is believed, comma-separated; others' is not looked at"},
    {"tracker.min_ratio", "0.5", "of uploaded to downloaded bytes, below which a member's client may not start"},
    {"tracker.members_only", "false", "announces and scrapes without a member's passkey hear a failure"},
    {"tracker.unproven_members", "false", "for that, the user id of a member is enough: anybody can say one"},
    {"tracker.members_add_torrents", "false", "members, too, make torrents known, with their passkeys"},
    {"tracker.interval", "1800", "seconds between a client's announces; who was silent half as long again is gone"},
    {"tracker.min_interval", "900", "seconds that a client waits at least"},
    {"tracker.most_wanted", "200", "peers in one answer, at most"},
    {"tracker.known_torrents_only", "false",
     "announces and receipts count only for torrents whose .torrent the tracker was given"},
    {"tracker.max_known_torrents", "100000", "torrents that it knows, at most"},
    {"tracker.torrents", "1000000", "torrents in memory, at most"},
    {"tracker.peers", "4000000", "peers in memory, at most"},
    {"tracker.peers_per_torrent", "50000", "likewise of one torrent"},
    {"tracker.peers_per_member", "1000", "likewise of one member, by its passkey; 0: no limit"},
    {"tracker.peers_per_address", "1000", "likewise of one address, or one /64 of IPv6; 0: no limit"},
    {"tracker.claimers", "",
     "other instances that claim receipts here before they credit them: INSTANCE:SHA256-OF-TOKEN, comma-separated"},
    {"tracker.spent_at", "", "URL of the tracker that knows what all instances have credited; empty: this one alone"},
    {"tracker.spent_ca", "", "PEM file to trust for it besides nothing else; empty: the system's roots"},
    {"tracker.spent_token", "", "file with this instance's token there"},
    {"tracker.receipt_window", "3600",
     "seconds for which a receipt can be reported; for a new store, later it is changed by POST /config"},
    {"tracker.verify_signatures", "true",
     "only receipts that the receiver has signed are credited; for a new store, likewise. Without, anybody credits "
     "himself"},
    {"tracker.unproven_keys", "false", "members register without a proof that they have their key"},
    {"tracker.unbound_proofs", "false",
     "members register with a proof of possession alone, which whoever has seen it can repeat here under another name"},
    {"tracker.bound_receipts_only", "false",
     "only receipts of version 2 count: receivers sign size and tracker, too, which the first tracker's clients do "
     "not"},
    {"tracker.max_piece_bytes", "16777216", "of a receipt's piece"},
    {"tracker.max_receipts", "1000", "in one report"},
    {"tracker.max_members", "1000000", "registered members"},
    {"tracker.registrations_per_hour", "100",
     "of one address, or one /56 of IPv6, more hear 429; 0: no limit, for tests and behind a proxy that has its own"},
    {"tracker.tee_mode", "disabled",
     "disabled, enabled or benchmark: whether /keygen-tee and /generate-attestation serve"},
    {"tracker.attestation", "",
     "the TEE of the tracker: dstack:SOCKET of a guest agent, the address of a quote provider, or simulated:FILE in "
     "the "
     "simulated realm; empty: none"},
    {"tracker.attested_members", "false", "members register only with evidence of a TEE that names their key"},
    {"tracker.member_policy", "default",
     "what their evidence is judged by: genuine, default, strict or a policy's file"},
    {"tracker.pccs_urls", "",
     "addresses that a request to /verify-attestation may name, comma-separated; collateral comes from collateral.pcs "
     "all the same"},
    {"tracker.test_routes", "false", "/keygen and /attest take and give private keys: for tests only"},
};

Result<double> ratio(const std::string& text) {
  double out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out, std::chars_format::fixed);
  if (error == std::errc{} && end == text.data() + text.size() && out >= 0 && out <= 1000) return out;
  return Error{Code::configuration, "no ratio", "0 to 1000, such as 0.5", text};
}

void read_tee(SettingsReader& reader, TrackerSettings& out) {
  const auto mode = reader.noted("tracker.tee_mode", api::tee_mode_from(reader.text("tracker.tee_mode")));
  out.tee_mode = mode.value_or(api::TeeMode::disabled);
  const std::string& attestation = reader.text("tracker.attestation");
  if (attestation.empty() && out.tee_mode != api::TeeMode::disabled) {
    reader.note(Error{Code::configuration, reader.named("tracker.tee_mode"), "tracker.attestation beside it",
                      "no tracker.attestation"});
  }
  const bool known = attestation.empty() || attestation.starts_with("http://") || attestation.starts_with("https://") ||
                     attestation.starts_with(kSimulatedAttestation) ||
                     attestation.starts_with(std::string{kDstackAttestation} + "/");
  if (!known) {
    reader.note(Error{Code::configuration, reader.named("tracker.attestation"),
                      "dstack:/PATH/OF/SOCKET, http://…, https://… or simulated:FILE", attestation});
  }
  if (attestation.starts_with(kSimulatedAttestation) &&
      reader.text("server.realm") == base::to_text(base::Realm::production)) {
    reader.note(Error{Code::configuration,
                      reader.named("tracker.attestation") + ": a simulated TEE vouches for nothing",
                      "dstack:SOCKET or the address of a quote provider", attestation});
  }
  out.attested_members = reader.flag("tracker.attested_members");
  if (auto policy = reader.noted("tracker.member_policy", policy_of(reader.text("tracker.member_policy"))))
    out.member_policy = *std::move(policy);
  out.pccs_urls = reader.list("tracker.pccs_urls");
}

}  // namespace

namespace {

/// INSTANCE:HASH, each 64 lower-case hexadecimal digits.
api::TrackerClaimers claimers_of(SettingsReader& reader) {
  api::TrackerClaimers out;
  std::set<tracker::InstanceId> claiming;
  for (const std::string& one : reader.list("tracker.claimers")) {
    const auto colon = std::min(one.find(':'), one.size());
    tracker::InstanceId instance{};
    base::Digest32 token{};
    const bool good = base::hex_decode_into(std::string_view{one}.substr(0, colon), instance) && colon < one.size() &&
                      base::hex_decode_into(std::string_view{one}.substr(colon + 1), token);
    if (good && !claiming.insert(instance).second) {
      reader.note(
          {Code::configuration, reader.named("tracker.claimers"), "each instance once", base::hex(instance) + " twice",
           "Two trackers of one id are not told apart, and each would be paid for a receipt: give each a root of "
           "its own. To change a token put the new one in the old one's place."});
      continue;
    }
    if (good && out.emplace(token, instance).second) continue;
    reader.note({Code::configuration, reader.named("tracker.claimers"),
                 "INSTANCE:SHA256, an instance id and the SHA-256 of a token of its own, each 64 hex digits",
                 std::to_string(one.size()) + " characters that are not, or a token twice",
                 "The instance's id is in the answer of its /health; `printf %s TOKEN | sha256sum` makes the rest."});
  }
  return out;
}

/// The token crosses the network with every claim.
void read_authority(SettingsReader& reader, TrackerSettings& out) {
  out.spent_at = reader.text("tracker.spent_at");
  out.spent_ca = reader.text("tracker.spent_ca");
  out.spent_token = reader.text("tracker.spent_token");
  while (out.spent_at.ends_with('/')) out.spent_at.pop_back();
  if (out.spent_at.empty()) return;
  const auto begins = [&](std::string_view with) { return out.spent_at.starts_with(with); };
  if (!begins("https://") && !begins("http://127.0.0.1:") && !begins("http://[::1]:")) {
    reader.note({Code::configuration, reader.named("tracker.spent_at"),
                 "https://HOST, or http:// with a loopback address and a port", shown_endpoint(out.spent_at)});
  }
  if (out.spent_token.empty()) {
    reader.note(
        {Code::configuration, reader.named("tracker.spent_token"), "a file with this instance's token there", "none"});
  }
}

}  // namespace

std::span<const SettingInfo> tracker_setting_infos() noexcept { return kTracker; }

TrackerSettings read_tracker_settings(const Settings& settings, std::vector<Error>& mistakes) {
  SettingsReader reader{settings, mistakes};
  const auto u32 = [&](std::string_view name, std::uint32_t min, std::uint32_t max) {
    return static_cast<std::uint32_t>(reader.number(name, min, max));
  };
  TrackerSettings out;
  out.listen = reader.list("tracker.listen");
  out.udp_listen = reader.list("tracker.udp_listen");
  out.udp_rate = u32("tracker.udp_rate", 0, 1'000'000);
  for (const std::string& address : out.udp_listen) {
    if (!net::is_socket_address(address)) {
      reader.note(
          Error{Code::configuration, reader.named("tracker.udp_listen"), "127.0.0.1:6969 or [::]:6969", address});
    }
  }
  if (!out.udp_listen.empty() && out.listen.empty()) {
    reader.note(Error{Code::configuration, reader.named("tracker.udp_listen"), "tracker.listen beside it",
                      "no tracker.listen", "members register and report over HTTP"});
  }
  out.plaintext = reader.flag("tracker.plaintext");
  out.trusted_proxies =
      reader.noted("tracker.trusted_proxies", net::Networks::parse(reader.list("tracker.trusted_proxies")))
          .value_or(net::Networks{});
  out.min_ratio = reader.noted("tracker.min_ratio", ratio(reader.text("tracker.min_ratio"))).value_or(0);
  out.registrations_per_hour = u32("tracker.registrations_per_hour", 0, 1'000'000);
  out.members_only = reader.flag("tracker.members_only");
  out.unproven_members = reader.flag("tracker.unproven_members");
  out.members_add_torrents = reader.flag("tracker.members_add_torrents");
  out.test_routes = reader.flag("tracker.test_routes");
  out.times.interval = u32("tracker.interval", 60, 86'400);
  out.times.min_interval = u32("tracker.min_interval", 1, 86'400);
  if (out.times.min_interval > out.times.interval) {
    reader.note(Error{Code::configuration, reader.named("tracker.min_interval"), "at most tracker.interval",
                      std::to_string(out.times.min_interval)});
  }
  read_tee(reader, out);
  // A client that is as late as the network and its own clock make it is not gone.
  out.swarms.stale_seconds = out.times.interval + out.times.interval / 2;
  out.swarms.most_wanted = u32("tracker.most_wanted", 1, 1000);
  out.swarms.torrents = u32("tracker.torrents", 1, 100'000'000);
  out.swarms.peers = u32("tracker.peers", 1, 1'000'000'000);
  out.swarms.peers_per_torrent = u32("tracker.peers_per_torrent", 1, 1U << 24U);
  out.swarms.peers_per_member = static_cast<std::uint16_t>(u32("tracker.peers_per_member", 0, 65'535));
  out.swarms.peers_per_address = static_cast<std::uint16_t>(u32("tracker.peers_per_address", 0, 65'535));
  out.claimers = claimers_of(reader);
  read_authority(reader, out);
  out.torrents.known_only = reader.flag("tracker.known_torrents_only");
  out.torrents.max_torrents = u32("tracker.max_known_torrents", 1, 100'000'000);
  out.ledger.config.window = reader.number("tracker.receipt_window", 60, 604'800);
  out.ledger.config.verify_signatures = reader.flag("tracker.verify_signatures");
  out.ledger.unproven_keys = reader.flag("tracker.unproven_keys");
  out.ledger.unbound_proofs = reader.flag("tracker.unbound_proofs");
  out.ledger.bound_receipts_only = reader.flag("tracker.bound_receipts_only");
  out.ledger.max_piece_size = u32("tracker.max_piece_bytes", 1, 1U << 30U);
  out.ledger.max_receipts = u32("tracker.max_receipts", 1, 10'000);
  out.ledger.max_members = u32("tracker.max_members", 1, 100'000'000);
  return out;
}

}  // namespace attestry::app
