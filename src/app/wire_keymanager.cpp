#include "app/wire_keymanager.h"

#include "api/keymanager_host.h"
#include "api/keymanager_public.h"
#include "api/slow_lane.h"
#include "app/keymanager_settings.h"
#include "app/loopback.h"
#include "app/simulated_tee.h"
#include "app/validate.h"
#include "base/log.h"
#include "governance/chain_floor.h"
#include "net/reverse_dns.h"
#include "tee/remote_attester.h"

namespace attestry::app {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::chrono::seconds kQuotePatience{10};
constexpr std::chrono::seconds kFloorPatience{10};
constexpr std::size_t kHostThreads = 4;
constexpr std::size_t kMostHostTasks = 64;

class KeyManagerService final : public Service {
 public:
  KeyManagerService(const Settings& settings, KeyManagerSettings said, const ServiceParts& parts)
      : settings_(settings),
        said_(std::move(said)),
        clock_(parts.clock),
        metrics_(parts.metrics),
        identities_(identity_options(parts), parts.appraiser, parts.registry, parts.clock) {}
  ~KeyManagerService() override { stop(); }
  KeyManagerService(const KeyManagerService&) = delete;
  KeyManagerService& operator=(const KeyManagerService&) = delete;

  Status open(const ServiceParts& parts);
  Status add_routes(net::Router& router) override;
  Result<std::vector<std::pair<std::string, net::Listener>>> listeners(std::string_view chain_pem,
                                                                       std::string_view key_pem) const override;
  void update_metrics() const override;
  void stop() override;

 private:
  provision::KeyManagerIdentityOptions identity_options(const ServiceParts& parts) const;
  Status open_chain(const ServiceParts& parts);
  Status open_attester(const ServiceParts& parts);

  const Settings settings_;
  const KeyManagerSettings said_;
  const base::Clock& clock_;
  net::Metrics& metrics_;
  std::unique_ptr<net::HttpClient> chain_http_;
  std::unique_ptr<governance::ChainFloor> floor_;
  std::unique_ptr<chain::QuorumReader> reader_;
  std::unique_ptr<net::HttpClient> quote_http_;
  std::unique_ptr<SimulatedTee> simulated_;
  std::unique_ptr<attestation::Attester> made_attester_;
  attestation::Attester* attester_ = nullptr;
  provision::KeyManagerIdentities identities_;
  std::shared_ptr<const provision::KeyManagerRecords> records_;  ///< the rotation of sealing keys has it, too
  std::unique_ptr<provision::KeyManager> manager_;
  std::unique_ptr<api::SlowLane> host_ = std::make_unique<api::SlowLane>(kHostThreads, kMostHostTasks);
  std::unique_ptr<api::SlowLane> names_ = std::make_unique<api::SlowLane>(kHostThreads);
};

provision::KeyManagerIdentityOptions KeyManagerService::identity_options(const ServiceParts& parts) const {
  auto out = said_.identities;
  out.realm = parts.store.realm();
  if (said_.reverse_dns) out.reverse_dns = net::name_of_address;
  return out;
}

Status KeyManagerService::open_chain(const ServiceParts& parts) {
  if (!said_.on_chain) return base::done();
  auto options = said_.chain;
  options.clock = &clock_;
  floor_ = std::make_unique<governance::ChainFloor>(parts.store, options.chain_id);
  if (said_.forget_floor) {
    TRY_OK(floor_->forget(clock_.steady() + kFloorPatience));
    base::log(base::LogLevel::warning, "registry.floor is forgotten: the endpoints' word is believed for the past",
              {{"setting", settings_.origin("registry.floor")}});
  } else {
    TRY(options.floor, floor_->stored());
  }
  options.on_head = [this](const chain::BlockRef& block) { floor_->saw(block); };
  TRY(chain_http_, net::HttpClient::make({.ca_file = settings_.text("keymanager.rpc_ca"), .clock = &clock_}),
      named(settings_, "keymanager.rpc_ca"));
  TRY(reader_, chain::QuorumReader::make(*chain_http_, std::move(options)));
  return base::done();
}

Status KeyManagerService::open_attester(const ServiceParts& parts) {
  const std::string& kind = said_.attestation;
  if (kind == "none") return base::done();
  if (!kind.starts_with(kSimulatedAttestation)) {
    TRY(quote_http_, net::HttpClient::make({.clock = &clock_}));
    made_attester_ = std::make_unique<tee::RemoteAttester>(*quote_http_, kind, kQuotePatience, clock_);
    attester_ = made_attester_.get();
    return base::done();
  }
  if (parts.store.realm() == base::Realm::production) {
    return Error{Code::configuration, "keymanager.attestation: a simulated TEE vouches for nothing",
                 "the address of a quote provider", kind};
  }
  TRY(simulated_, SimulatedTee::open(kind.substr(kSimulatedAttestation.size()), "tdx-v4"),
      named(settings_, "keymanager.attestation"));
  attester_ = &simulated_->attester();
  return base::done();
}

Status KeyManagerService::open(const ServiceParts& parts) {
  TRY_OK(open_chain(parts));
  TRY_OK(open_attester(parts));
  records_ = std::make_shared<const provision::KeyManagerRecords>(
      parts.secrets.epochs(), parts.sealing("attestry/keymanager/v1"),
      provision::KeyManagerRecords::scope_of(said_.rules.contract, settings_.text("keymanager.compat")), parts.random);
  parts.rotation.add(records_);
  TRY(manager_, provision::KeyManager::open({.store = parts.store,
                                             .log = parts.log,
                                             .appraiser = parts.appraiser,
                                             .attester = attester_,
                                             .reader = reader_.get(),
                                             .records = *records_,
                                             .random = parts.random,
                                             .clock = parts.clock},
                                            said_.rules));
  return base::done();
}

/// What makes keys easier to get than a reader of the other settings would think is said at every start.
void warn_of_weak_settings(const Settings& settings, const KeyManagerSettings& said) {
  const auto warn = [&](bool weak, std::string_view name, std::string_view consequence) {
    if (!weak) return;
    base::log(base::LogLevel::warning, std::string{name} + ": " + std::string{consequence},
              {{"setting", settings.origin(name)}});
  };
  warn(said.reverse_dns, "keymanager.reverse_dns_identity", "whoever writes the names of addresses gets every key");
  warn(said.any_tag, "keymanager.any_tag", "every workload has the keys of all");
  warn(said.rules.mrtd_suffices, "keymanager.mrtd_suffices", "whatever a listed firmware boots gets the master key");
  warn(said.rules.machine_suffices && !said.rules.mrtd_suffices, "keymanager.machine_suffices",
       "whatever kernel a listed machine boots gets the master key");
}

Status KeyManagerService::add_routes(net::Router& router) {
  warn_of_weak_settings(settings_, said_);
  TRY_OK(api::register_keymanager_public(router, {.manager = *manager_,
                                                  .identities = identities_,
                                                  .run_waiting = [this](auto& task) { return names_->run(task); },
                                                  .tags = {.any = said_.any_tag, .bare = said_.bare_tags}}));
  return api::register_keymanager_host(
      router, {.manager = *manager_, .run_waiting = [this](auto& task) { return host_->run(task); }});
}

Result<std::vector<std::pair<std::string, net::Listener>>> KeyManagerService::listeners(
    std::string_view chain_pem, std::string_view key_pem) const {
  const bool plain = chain_pem.empty();
  std::vector<std::pair<std::string, net::Listener>> out;
  for (const std::string& address : said_.listen) {
    net::Listener listener{address, {net::Role::keymanager}};
    if (!plain && !address.starts_with("unix:")) {
      TRY(listener.tls,
          net::TlsServerContext::from_pem(chain_pem, key_pem, {.certificates = net::TlsClients::Certificates::asked}));
    }
    out.emplace_back("key manager", std::move(listener));
  }
  if (said_.host_listen.empty()) return out;
  net::Listener host{said_.host_listen, {net::Role::keymanager_host}};
  if (!said_.host_ca.empty() && !said_.host_listen.starts_with("unix:")) {
    TRY(host.tls,
        net::TlsServerContext::from_pem(
            chain_pem, key_pem, {.certificates = net::TlsClients::Certificates::required, .ca_pem = said_.host_ca}));
  }
  out.emplace_back("key manager host", std::move(host));
  return out;
}

void KeyManagerService::update_metrics() const {
  const auto standing = manager_->standing();
  metrics_.gauge("attestry_keymanager_member", "Whether keys can be released").set(standing.member ? 1 : 0);
  metrics_.gauge("attestry_keymanager_epoch", "The contract's epoch, as it was read last").set(standing.epoch);
}

void KeyManagerService::stop() {
  if (host_) host_->stop();
  if (names_) names_->stop();
  if (manager_) manager_->stop();
}

}  // namespace

Result<std::unique_ptr<Service>> open_keymanager(const Settings& settings, const ServiceParts& parts) {
  std::vector<Error> mistakes;
  auto said = read_keymanager_settings(settings, mistakes);
  TRY_OK(first_of(mistakes));
  if (said.listen.empty()) return std::unique_ptr<Service>{};
  auto out = std::make_unique<KeyManagerService>(settings, std::move(said), parts);
  TRY_OK(out->open(parts), "key manager");
  return std::unique_ptr<Service>{std::move(out)};
}

}  // namespace attestry::app
