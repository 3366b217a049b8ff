#include "app/wire_tracker.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "api/tracker_announce.h"
#include "api/tracker_claims.h"
#include "api/tracker_members.h"
#include "api/tracker_tee.h"
#include "api/tracker_torrents.h"
#include "app/asking_spent.h"
#include "app/settings_reader.h"
#include "app/tracker_chain.h"
#include "app/tracker_settings.h"
#include "app/tracker_tee.h"
#include "base/encoding.h"
#include "base/log.h"
#include "net/client.h"
#include "net/udp.h"
#include "tracker/claims.h"
#include "tracker/spent.h"
#include "tracker/udp.h"

namespace attestry::app {

using base::Result;
using base::Status;

namespace {

constexpr std::string_view kPasskeyPurpose = "attestry/tracker/passkeys/v1";
constexpr std::string_view kInstancePurpose = "attestry/tracker/instance/v1";
constexpr std::string_view kKeysPurpose = "attestry/tracker/keys/v1";

/// What has to be done without anybody asking: peers that are gone, receipts that nobody can report any more.
class Housekeeping {
 public:
  Housekeeping(tracker::Swarms& swarms, state::Store& store, const base::Clock& clock)
      : swarms_(swarms), store_(store), clock_(clock), thread_([this] { run(); }) {}
  ~Housekeeping() { stop(); }
  Housekeeping(const Housekeeping&) = delete;
  Housekeeping& operator=(const Housekeeping&) = delete;

  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

 private:
  /// 64 sweeps see every torrent.
  static constexpr std::chrono::seconds kSweep{5};
  static constexpr unsigned kSweepsPerCollection = 60;
  static constexpr std::size_t kCollected = 20'000;

  void run() {
    for (unsigned round = 1;; ++round) {
      {
        std::unique_lock lock(mutex_);
        if (wake_.wait_for(lock, kSweep, [this] { return stopping_; })) return;
      }
      swarms_.sweep(api::tracker_seconds(clock_));
      if (round % kSweepsPerCollection == 0) collect();
    }
  }
  void collect() {
    store_.write(
        [now = clock_.now()](state::WriteTxn& txn) -> Status {
          TRY(auto records, tracker::SpentRecords::load(txn));
          TRY_OK(records.collect(now, kCollected));
          return records.finish();
        },
        [](const Status& done) {
          if (!done) {
            base::log(base::LogLevel::warning, "receipts that nobody can report any more were not forgotten",
                      {{"reason", done.error().text()}});
          }
        });
  }

  tracker::Swarms& swarms_;
  state::Store& store_;
  const base::Clock& clock_;
  // std::mutex: a condition variable waits on it.
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
};

class TrackerService final : public Service {
 public:
  TrackerService(TrackerSettings said, TrackerChainSettings chain, const ServiceParts& parts)
      : said_(std::move(said)), chain_said_(std::move(chain)), parts_(parts), swarms_(said_.swarms, parts.random) {}

  Status open(const Settings& settings) {
    TRY_OK(open_tee(settings));
    auto options = said_.ledger;
    tracker::InstanceId instance{};
    std::ranges::copy(parts_.sealing(kInstancePurpose).reveal(), instance.begin());
    TRY_OK(check_claimers(instance));
    options.instance_id = instance;
    TRY(torrents_, tracker::Torrents::open(parts_.store, parts_.log, parts_.random, said_.torrents));
    options.torrents = [this](tracker::Receipt& receipt) { return torrents_->refuses(receipt); };
    TRY_OK(open_authority());
    options.shared = asking_.get();
    TRY(ledger_, tracker::Ledger::open(parts_.store, parts_.log, parts_.random, std::move(options)));
    TRY(passkeys_, tracker::Passkeys::open(parts_.store, parts_.log, parts_.random, parts_.sealing(kPasskeyPurpose)));
    for (const std::string& user_id : ledger_->user_ids()) passkeys_->add(user_id);
    authority_ = std::make_unique<tracker::StoredSpent>(parts_.store, [this] { return ledger_->rules(); });
    deps_ = std::make_unique<api::TrackerDeps>(api::TrackerDeps{.swarms = swarms_,
                                                                .ledger = *ledger_,
                                                                .torrents = *torrents_,
                                                                .passkeys = *passkeys_,
                                                                .random = parts_.random,
                                                                .clock = parts_.clock,
                                                                .lane = lane_,
                                                                .operators = operators_,
                                                                .trusted_proxies = said_.trusted_proxies,
                                                                .times = said_.times,
                                                                .most_wanted = said_.swarms.most_wanted,
                                                                .max_receipts = said_.ledger.max_receipts,
                                                                .registrations_per_hour = said_.registrations_per_hour,
                                                                .min_ratio = said_.min_ratio,
                                                                .members_only = said_.members_only,
                                                                .unproven_members = said_.unproven_members,
                                                                .members_add_torrents = said_.members_add_torrents,
                                                                .test_routes = said_.test_routes,
                                                                .tee = tee_.get()});
    if (!chain_said_.chain.endpoints.empty()) {
      TRY(chain_, TrackerChain::open(chain_said_, tee_source_->attester(), *ledger_, parts_));
      deps_->recollection = &chain_->recollection();
    }
    warn_of_weak_settings();
    housekeeping_ = std::make_unique<Housekeeping>(swarms_, parts_.store, parts_.clock);
    return listen_to_datagrams();
  }

  Status add_routes(net::Router& router) override {
    TRY_OK(api::register_tracker_announce(router, *deps_));
    if (!said_.claimers.empty()) TRY_OK(api::register_tracker_claims(router, *authority_, said_.claimers));
    TRY_OK(api::register_tracker_torrents(router, *deps_));
    TRY_OK(api::register_tracker_contract(router, *deps_, chain_ ? &chain_->deps() : nullptr));
    TRY_OK(api::register_tracker_members(router, *deps_));
    return api::register_tracker_tee(router, *deps_, *tee_, tee_lane_);
  }

  Result<std::vector<std::pair<std::string, net::Listener>>> listeners(std::string_view chain_pem,
                                                                       std::string_view key_pem) const override {
    std::vector<std::pair<std::string, net::Listener>> out;
    for (const std::string& address : said_.listen) {
      net::Listener listener{address, {net::Role::tracker}};
      if (!chain_pem.empty() && !said_.plaintext && !address.starts_with("unix:")) {
        TRY(listener.tls, net::TlsServerContext::from_pem(chain_pem, key_pem));
      }
      out.emplace_back("tracker", std::move(listener));
    }
    return out;
  }

  void update_metrics() const override {
    auto& metrics = parts_.metrics;
    metrics.gauge("attestry_tracker_torrents", "Torrents that somebody shares").set(swarms_.torrents());
    metrics.gauge("attestry_tracker_peers", "Peers of all torrents").set(swarms_.peers());
    metrics.gauge("attestry_tracker_known_torrents", "Torrents whose pieces are known")
        .set(static_cast<double>(torrents_->size()));
    const auto stats = ledger_->stats();
    if (!stats) return;
    metrics.gauge("attestry_tracker_members", "Registered members").set(static_cast<double>(stats->members));
    metrics.gauge("attestry_tracker_spent_receipts", "Receipts that are remembered as credited")
        .set(static_cast<double>(stats->spent));
  }

  std::vector<std::pair<std::string, std::string>> other_urls() const override {
    std::vector<std::pair<std::string, std::string>> out;
    out.reserve(udp_.size());
    for (const auto& server : udp_) out.emplace_back("tracker over UDP", server->url());
    return out;
  }

  void stop() override {
    udp_.clear();
    housekeeping_->stop();
    if (http_) http_->stop();
    if (chain_) chain_->stop();
    operators_.stop();
    lane_.stop();
    if (asking_) asking_->stop();
    tee_lane_.stop();
  }

 private:
  static constexpr std::string_view kAnnounce = "/announce";
  static constexpr std::size_t kUdpKeyBytes = 32;
  static constexpr unsigned kUdpThreads = 2;
  /// Signatures take the processor: forged ones may cost others' announces none of it, and one address others' reports
  /// no more than half of it. Who sends many gets what is left over.
  static constexpr api::FairLaneOptions kLane{.threads = 2,
                                              .threads_of_one = 1,
                                              .waiting = 256,
                                              .waiting_of_one = 32,
                                              .share_places = true,
                                              .niceness = 10,
                                              .resting_threads = 1};
  static constexpr api::FairLaneOptions kOperatorsLane{
      .threads = 1, .threads_of_one = 1, .waiting = 64, .waiting_of_one = 64};
  static constexpr api::FairLaneOptions kTeeLane{
      .threads = 2, .threads_of_one = 1, .waiting = 32, .waiting_of_one = 8, .share_places = true};

  Status open_tee(const Settings& settings) {
    const base::Realm realm = parts_.store.realm();
    TRY(tee_source_, TrackerTeeSource::open(settings, realm, parts_.clock, parts_.sealing(kKeysPurpose)));
    tee_ = std::make_unique<api::TrackerTee>(api::TrackerTeeParts{.appraiser = parts_.appraiser,
                                                                  .clock = parts_.clock,
                                                                  .random = parts_.random,
                                                                  .realm = realm,
                                                                  .attester = tee_source_->attester(),
                                                                  .keys = tee_source_->keys(),
                                                                  .vendor = tee_source_->vendor(),
                                                                  .mode = said_.tee_mode,
                                                                  .attested_members = said_.attested_members,
                                                                  .member_policy = said_.member_policy,
                                                                  .pccs_urls = said_.pccs_urls});
    return base::done();
  }

  /// Another instance that knows what all of them have credited.
  /// The record tells instances apart by their ids: what one with ours claims would count as ours.
  Status check_claimers(const tracker::InstanceId& own) const {
    for (const auto& [token, instance] : said_.claimers) {
      if (instance != own) continue;
      return base::Error{base::Code::configuration, "tracker.claimers", "ids of other instances",
                         base::hex(own) + ", which is this one's own",
                         "A tracker that was made of a copy of this one's root has its id: give it a root of its own."};
    }
    return base::done();
  }

  Status open_authority() {
    if (said_.spent_at.empty()) return base::done();
    constexpr std::size_t kMostToken = 4096;
    TRY(auto token, SettingsReader::read_file(said_.spent_token, kMostToken), "tracker.spent_token");
    while (token.ends_with('\n') || token.ends_with('\r')) token.pop_back();
    auto secret = crypto::Secret::copy_of(base::as_bytes(token));
    net::wipe_text(token);
    TRY(http_, net::HttpClient::make({.ca_file = said_.spent_ca, .clock = &parts_.clock}), "tracker.spent_ca");
    remote_ = std::make_unique<tracker::RemoteSpent>(*http_, said_.spent_at, std::move(secret), parts_.clock);
    asking_ = std::make_unique<AskingSpent>(*remote_, parts_.clock);
    return base::done();
  }

  /// BEP 15. A client's user is named by the URL that it was given: udp://tracker:6969/PASSKEY/announce, or
  /// udp://tracker:6969/announce?user_id=alice (BEP 41).
  Status listen_to_datagrams() {
    datagrams_ = std::make_unique<tracker::UdpTracker>(
        tracker::UdpTrackerParts{
            .swarms = swarms_,
            .admit = [this](const tracker::Announcement& said, std::string_view url) { return admit(said, url); },
            .interval = said_.times.interval,
            .scrapes = !said_.members_only || said_.unproven_members},
        parts_.random.secret(kUdpKeyBytes));
    for (const std::string& address : said_.udp_listen) {
      net::UdpOptions options{.address = address, .threads = kUdpThreads};
      options.rate.requests_per_second = said_.udp_rate;
      options.rate.burst = said_.udp_rate;
      TRY(auto server, net::UdpServer::start(
                           options,
                           [this](base::ByteView datagram, const net::SocketAddress& from, base::Bytes& answer) {
                             datagrams_->answer(datagram, from, api::tracker_seconds(parts_.clock), answer);
                           },
                           [this](base::ByteView datagram, const net::SocketAddress& from) {
                             return datagrams_->proves(datagram, from, api::tracker_seconds(parts_.clock));
                           }));
      udp_.push_back(std::move(server));
    }
    return base::done();
  }

  tracker::Admission admit(const tracker::Announcement& said, std::string_view url) const {
    std::string user;
    if (const auto query = net::parse_query(net::raw_query(url))) {
      for (const auto& [name, value] : *query) {
        if (name == "user_id" && user.empty()) user = value;
      }
    }
    // "/PASSKEY/announce", without the query.
    std::string_view passkey = url.substr(0, url.find('?'));
    passkey = passkey.ends_with(kAnnounce) ? passkey.substr(0, passkey.size() - kAnnounce.size()) : "";
    if (passkey.starts_with('/')) passkey.remove_prefix(1);
    const auto member = api::tracker_admit(said, {.passkey = passkey, .user_id = user}, *deps_);
    if (!member) return {.refusal = member.error().what};
    return {.refusal = {}, .member = *member};
  }

  void warn_of_weak_settings() const {
    const auto warn = [](std::string_view what) { base::log(base::LogLevel::warning, std::string{what}); };
    if (!ledger_->config().verify_signatures)
      warn("tracker.verify_signatures is off: every member credits himself with what he likes");
    if (said_.ledger.unproven_keys) warn("tracker.unproven_keys: a member's key may be another's");
    if (said_.ledger.unbound_proofs)
      warn("tracker.unbound_proofs: who has seen a proof of possession registers that key under a name of his own");
    if (said_.unproven_members) warn("tracker.unproven_members: who knows a member's name announces as a member");
    if (said_.test_routes) warn("tracker.test_routes: private keys cross the network in /keygen and /attest");
  }

  const TrackerSettings said_;
  const TrackerChainSettings chain_said_;
  const ServiceParts parts_;
  tracker::Swarms swarms_;
  std::unique_ptr<tracker::Torrents> torrents_;
  std::unique_ptr<net::HttpClient> http_;  ///< with remote_
  std::unique_ptr<tracker::RemoteSpent> remote_;
  std::unique_ptr<AskingSpent> asking_;  ///< with remote_
  std::unique_ptr<tracker::StoredSpent> authority_;
  std::unique_ptr<tracker::Ledger> ledger_;
  std::unique_ptr<tracker::Passkeys> passkeys_;
  std::unique_ptr<TrackerTeeSource> tee_source_;
  std::unique_ptr<api::TrackerTee> tee_;
  std::unique_ptr<api::TrackerDeps> deps_;
  std::unique_ptr<Housekeeping> housekeeping_;
  std::unique_ptr<TrackerChain> chain_;
  std::unique_ptr<tracker::UdpTracker> datagrams_;
  api::FairLane lane_{kLane};
  api::FairLane operators_{kOperatorsLane};
  api::FairLane tee_lane_{kTeeLane};                  ///< a TEE that is slow holds up no report
  std::vector<std::unique_ptr<net::UdpServer>> udp_;  ///< the last: its threads use the others
};

}  // namespace

Result<std::unique_ptr<Service>> open_tracker(const Settings& settings, const ServiceParts& parts) {
  std::vector<base::Error> mistakes;
  auto said = read_tracker_settings(settings, mistakes);
  auto chain = read_tracker_chain_settings(settings, mistakes);
  if (!mistakes.empty()) return mistakes.front();
  if (said.listen.empty()) return std::unique_ptr<Service>{};
  auto service = std::make_unique<TrackerService>(std::move(said), std::move(chain), parts);
  TRY_OK(service->open(settings), "tracker");
  return std::unique_ptr<Service>{std::move(service)};
}

}  // namespace attestry::app
