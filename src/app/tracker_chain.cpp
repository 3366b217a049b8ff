#include "app/tracker_chain.h"

#include <algorithm>
#include <utility>

#include "app/network_profiles.h"
#include "app/registry_chain.h"
#include "app/settings_reader.h"
#include "net/url.h"

namespace attestry::app {

using base::Code;
using base::Error;
using base::Result;

namespace {

constexpr std::string_view kAccountPurpose = "attestry/tracker/account/v1";

constexpr SettingInfo kChain[] = {
    {"tracker.rpc", "", "endpoints of the chain for reputations, comma-separated; empty: no chain"},
    {"tracker.rpc_ca", "", "PEM file to trust for the endpoints besides nothing else; empty: the system's roots"},
    {"tracker.network", "", "a chain by name, as `attestry keymanager` knows it; what is not set otherwise is its"},
    {"tracker.chain_id", "1", "id of the chain; every endpoint must have it"},
    {"tracker.quorum", "0", "endpoints that must agree; 0: more than half"},
    {"tracker.finality", "finalized", "which block is believed: finalized, safe or depth:N"},
    {"tracker.max_head_age", "120", "seconds that the newest block may be old; 0: any age, for development chains"},
    {"tracker.factory", "", "address of the ReputationFactory that /contract/init asks"},
    {"tracker.reputation", "", "address of this tracker's Reputation, when /contract/init has not made it here"},
    {"tracker.account", "root",
     "whose transactions: root (a key derived from the keys' root), or a file of mode 0600 with a key as 64 hex "
     "digits"},
};

void apply_profile(SettingsReader& read, const Settings& settings, chain::QuorumOptions& options) {
  const std::string& name = read.text("tracker.network");
  if (name.empty()) return;
  const auto profile = read.noted("tracker.network", network_profile(name));
  if (!profile) return;
  const auto unsaid = [&](std::string_view setting) { return settings.origin(setting) == "default"; };
  if (unsaid("tracker.chain_id")) {
    options.chain_id = profile->chain_id;
  } else if (options.chain_id != profile->chain_id) {
    read.note({Code::configuration, read.named("tracker.chain_id") + " is not that of tracker.network",
               std::to_string(profile->chain_id), std::to_string(options.chain_id)});
  }
  const auto finality = chain::Finality::parse(profile->finality);
  if (unsaid("tracker.finality") && finality) options.finality = *finality;
  if (!profile->rpc.empty() && unsaid("tracker.rpc")) options.endpoints = {{.url = std::string{profile->rpc}}};
}

Result<curves::Secp256k1PrivateKey> account_key(const std::string& account, const ServiceParts& parts) {
  if (account != "root") return read_chain_key(account, {});
  return curves::Secp256k1PrivateKey::from_scalar(parts.sealing(kAccountPurpose).reveal());
}

}  // namespace

std::span<const SettingInfo> tracker_chain_setting_infos() noexcept { return kChain; }

TrackerChainSettings read_tracker_chain_settings(const Settings& settings, std::vector<Error>& mistakes) {
  SettingsReader read{settings, mistakes};
  TrackerChainSettings out;
  auto& options = out.chain;
  options.chain_id = static_cast<std::uint64_t>(read.number("tracker.chain_id", 1, INT64_MAX));
  options.quorum = static_cast<std::size_t>(read.number("tracker.quorum", 0, 64));
  options.max_head_age = read.number("tracker.max_head_age", 0, 86'400);
  options.max_final_age = options.max_head_age == 0 ? 0 : std::max(options.max_final_age, options.max_head_age);
  const auto finality = read.noted("tracker.finality", chain::Finality::parse(read.text("tracker.finality")));
  if (finality) options.finality = *finality;
  for (const std::string& url : read.list("tracker.rpc")) {
    read.noted("tracker.rpc", net::check_http_url(url, shown_endpoint(url)));
    options.endpoints.push_back({.url = url});
  }
  out.ca = read.text("tracker.rpc_ca");
  read.certificates("tracker.rpc_ca");
  apply_profile(read, settings, options);
  for (const auto& [name, into] :
       {std::pair{"tracker.factory", &out.factory}, std::pair{"tracker.reputation", &out.reputation}}) {
    const std::string& written = read.text(name);
    if (written.empty()) continue;
    *into = read.address(name, written);
    if (options.endpoints.empty())
      read.note({Code::configuration, read.named(name), "tracker.rpc or tracker.network beside it", "no endpoint"});
  }
  out.account = read.text("tracker.account");
  if (options.endpoints.empty()) return out;
  for (Error& mistake : chain::mistakes_in(options)) {
    mistake.at(read.named(mistake.what.contains("quorum") ? "tracker.quorum" : "tracker.rpc"));
    read.note(std::move(mistake));
  }
  return out;
}

Result<std::unique_ptr<TrackerChain>> TrackerChain::open(const TrackerChainSettings& said,
                                                         attestation::Attester* attester, const tracker::Ledger& ledger,
                                                         const ServiceParts& parts) {
  TRY(auto key, account_key(said.account, parts), "tracker.account");
  std::unique_ptr<TrackerChain> out{new TrackerChain(std::move(key))};
  TRY(out->http_, net::HttpClient::make({.ca_file = said.ca, .clock = &parts.clock}), "tracker.rpc_ca");
  auto options = said.chain;
  options.clock = &parts.clock;
  // What was written a moment ago is asked for at once.
  options.head_ttl = std::chrono::milliseconds(0);
  // Only what former contracts have is asked for so, one member at a time, and a chain of them may take a while.
  options.stranger_timeout = options.round_timeout;
  std::vector<chain::Endpoint*> endpoints;
  std::string shown;
  for (const auto& endpoint : options.endpoints) {
    out->endpoints_.push_back(std::make_unique<chain::Endpoint>(*out->http_, endpoint));
    endpoints.push_back(out->endpoints_.back().get());
    shown += (shown.empty() ? "" : ",") + shown_endpoint(endpoint.url);
  }
  TRY(out->reader_, chain::QuorumReader::make(*out->http_, std::move(options)), "tracker.rpc");
  out->sender_ = std::make_unique<chain::Sender>(
      std::move(endpoints), out->key_,
      chain::SenderOptions{.chain_id = said.chain.chain_id,
                           .clock = &parts.clock,
                           .before_sending = tracker::logged_transactions(parts.store, parts.log, parts.clock)});
  out->chain_ = std::make_unique<tracker::ReputationChain>(*out->reader_, out->reader_->for_strangers(), *out->reader_,
                                                           tracker::send_with(*out->sender_));
  TRY(out->publisher_, tracker::Publisher::open(*out->chain_, ledger, parts.store, out->sender_->address()));
  out->recollection_ = std::make_unique<tracker::Recollection>(*out->publisher_, parts.clock);
  out->deps_ = std::make_unique<api::TrackerContractDeps>(api::TrackerContractDeps{.chain = *out->chain_,
                                                                                   .publisher = *out->publisher_,
                                                                                   .recollection = *out->recollection_,
                                                                                   .reader = *out->reader_,
                                                                                   .store = parts.store,
                                                                                   .lane = out->lane_,
                                                                                   .strangers = out->strangers_,
                                                                                   .clock = parts.clock,
                                                                                   .account = out->sender_->address(),
                                                                                   .factory = said.factory,
                                                                                   .reputation = said.reputation,
                                                                                   .endpoints = std::move(shown)});
  if (attester != nullptr) {
    out->deps_->evidence = [attester](const auto& data) -> Result<base::Bytes> {
      TRY(auto evidence, attester->attest(data));
      return std::move(evidence.bytes);
    };
  }
  return out;
}

}  // namespace attestry::app
