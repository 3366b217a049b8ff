// What the settings of section `tracker` say, read in one place: a server starts with it, and `config check` and
// `doctor` name everything that is wrong with it.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "api/tracker_claims.h"
#include "api/tracker_tee.h"
#include "app/settings.h"
#include "attestation/policy.h"
#include "net/networks.h"
#include "tracker/announce.h"
#include "tracker/ledger.h"
#include "tracker/swarms.h"
#include "tracker/torrents.h"

namespace attestry::app {

std::span<const SettingInfo> tracker_setting_infos() noexcept;

struct TrackerSettings {
  std::vector<std::string> listen{};  ///< empty: not offered
  std::vector<std::string> udp_listen{};
  std::uint32_t udp_rate = 0;  ///< datagrams a second of one address; 0: no limit
  bool plaintext = false;
  net::Networks trusted_proxies{};
  double min_ratio = 0.5;
  std::uint32_t registrations_per_hour = 0;  ///< of one address; 0: no limit
  bool members_only = false;
  bool unproven_members = false;
  bool members_add_torrents = false;
  api::TrackerClaimers claimers{};  ///< empty: it is no authority for others
  std::string spent_at{};           ///< URL of the authority; empty: its own store is
  std::string spent_ca{};
  std::string spent_token{};  ///< file
  bool test_routes = false;
  api::TeeMode tee_mode = api::TeeMode::disabled;
  bool attested_members = false;
  attestation::Policy member_policy = attestation::Policy::standard();
  std::vector<std::string> pccs_urls{};
  tracker::AnnounceTimes times{};
  tracker::SwarmLimits swarms{};
  tracker::TorrentsOptions torrents{};
  tracker::LedgerOptions ledger{};  ///< without what is not a setting
};

/// Appends every mistake; what is returned is good only without any. Makes and asks nothing.
TrackerSettings read_tracker_settings(const Settings& settings, std::vector<base::Error>& mistakes);

}  // namespace attestry::app
