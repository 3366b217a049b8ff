#include "app/wire_registry.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "api/fair_lane.h"
#include "app/local_blobs.h"
#include "app/loopback.h"
#include "app/paths.h"
#include "app/registry_channel.h"
#include "app/registry_contracts.h"
#include "app/registry_kms.h"
#include "app/registry_root.h"
#include "app/registry_settings.h"
#include "app/simulated_tee.h"
#include "app/typed_text.h"
#include "app/validate.h"
#include "base/encoding.h"
#include "base/log.h"
#include "blobs/multi.h"
#include "crypto/hash.h"
#include "governance/local_authority.h"
#include "provision/registry_pki.h"
#include "state/file.h"
#include "tee/remote_attester.h"

namespace attestry::app {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::string_view kAnybody = "measurements of anybody are believed (registry.believe_headers_of_anybody)";
constexpr std::size_t kMaxOpenStores = 256;
/// For what anybody may ask.
constexpr std::size_t kStrangersThreads = 4;
constexpr std::size_t kMostStrangers = 64;
constexpr std::int64_t kVaultCertificateSeconds = 86400;
constexpr std::chrono::seconds kQuotePatience{10};
constexpr std::int64_t kFactsSeconds = 5;
constexpr std::chrono::seconds kFloorPatience{30};
constexpr std::chrono::seconds kMasterPatience{5};  // of one question to a threshold root
constexpr std::chrono::seconds kAskAgain{10};       // at the latest

}  // namespace

/// Members in the order of their making.
struct RegistryService::Impl {
  Impl(const Settings& set, RegistrySettings read, RegistryParts given)
      : settings(set), said(std::move(read)), parts(std::move(given)) {}

  const Settings settings;
  const RegistrySettings said;
  RegistryParts parts;
  std::unique_ptr<keys::Bootstrap> bootstrap;
  std::unique_ptr<keys::RegistryMaster> fixed;
  std::unique_ptr<keys::ReceivedMaster> received;
  std::unique_ptr<keys::AwaitedRegistryMaster> awaited;  ///< of a root that others have to be asked for
  std::mutex asking_mutex;                               // std::mutex: a condition variable waits on it
  std::condition_variable asking_wake;
  bool asking_ends = false;
  std::thread asking;
  const keys::RegistryMaster* master = nullptr;
  std::unique_ptr<keys::RegistryKeys> keys;
  std::unique_ptr<net::HttpClient> chain_http;
  base::Mutex watch_mutex;  // these three before the reader, which calls them as long as it lives
  std::unique_ptr<provision::RegistryWatch> watch ATTESTRY_GUARDED_BY(watch_mutex);
  std::unique_ptr<governance::ChainFloor> floor;
  std::unique_ptr<chain::QuorumReader> reader;
  std::unique_ptr<governance::ContractProofs> proofs;  ///< null: not asked for
  std::unique_ptr<governance::ContractAuthority> authority;
  std::unique_ptr<governance::FactsCache> facts;
  std::shared_ptr<blobs::Lanes> lanes;
  std::shared_ptr<blobs::BlobCache> cache;
  std::unique_ptr<net::HttpClient> quote_http;
  std::unique_ptr<SimulatedTee> simulated;
  std::unique_ptr<attestation::Attester> made_attester;
  attestation::Attester* attester = nullptr;
  std::unique_ptr<provision::RegistryProvisioner> provisioner;
  std::unique_ptr<provision::RegistryPkiService> pki;
  std::unique_ptr<KeyService> key_service;
  std::unique_ptr<ChannelService> channels;
  std::unique_ptr<api::FairLane> waiting = std::make_unique<api::FairLane>();
  std::unique_ptr<api::SlowLane> strangers = std::make_unique<api::SlowLane>(kStrangersThreads, kMostStrangers);
  api::RegistryHealth health;
  std::atomic<unsigned> admin_port{0};

  struct Opened {
    std::shared_ptr<blobs::BlobStore> store;
    base::Deadline until{};
  };
  base::Mutex stores_mutex;
  std::map<std::string, Opened> stores ATTESTRY_GUARDED_BY(stores_mutex);

  ~Impl() { end_asking(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  Status open_keys();
  void ask_for_master();
  void end_asking();
  bool locked() const;
  Status open_governance();
  Status keep_floor(chain::QuorumOptions& options);
  void head_moved();
  Status open_storage();
  Status open_attester();
  Status open_key_service();
  Status open_channels();
  Status open();
  bool run_waiting(std::move_only_function<void()>& task) const { return waiting->run({}, task); }
  bool run_waiting(const curves::Address& app, std::move_only_function<void()>& task) const {
    return waiting->run(base::as_text(app), task);
  }
  bool run_strangers(std::move_only_function<void()>& task) const { return strangers->run(task); }

  Result<std::shared_ptr<blobs::BlobStore>> store_of(const governance::Grant& grant, const keys::RegistryAppKeys& app,
                                                     const std::vector<std::string>& uris);
  Result<blobs::StoreContext> context_of(const governance::Grant& grant, const keys::RegistryAppKeys& app,
                                         const std::vector<std::string>& uris) const;
  Result<blobs::VaultCredentials> vault_certificate(const curves::Address& contract,
                                                    const keys::RegistryAppKeys& app) const;
};

Status RegistryService::Impl::open_keys() {
  const std::string& kms = settings.text("registry.kms");
  if (kms == "shamir") {
    TRY(bootstrap, open_bootstrap(settings, parts.store, parts.log, crypto::system_random(), parts.clock));
    master = bootstrap.get();
  } else if (kms == "onboard") {
    TRY(received, keys::ReceivedMaster::open(parts.store, parts.sealed_master));
    master = received.get();
  } else if (kms == "simple") {
    TRY(auto secret, read_registry_master(settings));
    fixed = std::make_unique<keys::FixedRegistryMaster>(std::move(secret));
    master = fixed.get();
  } else if (parts.legacy_masters.waits()) {
    awaited = std::make_unique<keys::AwaitedRegistryMaster>();
    asking = std::thread([this] { ask_for_master(); });
    master = awaited.get();
  } else {
    TRY(auto secret, parts.legacy_masters.legacy_master(keys::kRegistryDialect, base::Deadline::max()));
    fixed = std::make_unique<keys::FixedRegistryMaster>(std::move(secret));
    master = fixed.get();
  }
  keys = std::make_unique<keys::RegistryKeys>(*master);
  return base::done();
}

/// A thread: nodes may come later than this server.
void RegistryService::Impl::ask_for_master() {
  std::string last;
  std::chrono::seconds pause{1};
  std::unique_lock lock{asking_mutex};
  while (!asking_ends) {
    lock.unlock();
    auto secret =
        parts.legacy_masters.legacy_master(keys::kRegistryDialect, std::chrono::steady_clock::now() + kMasterPatience);
    if (secret) {
      awaited->set(std::move(*secret));
      base::log(base::LogLevel::info, "the registry has its master key", {{"from", "threshold root"}});
      return;
    }
    if (last != secret.error().text()) {
      last = secret.error().text();
      base::log(base::LogLevel::warning, "the registry has no master key and asks again", {{"reason", last}});
    }
    lock.lock();
    asking_wake.wait_for(lock, pause, [this] { return asking_ends; });
    pause = std::min(2 * pause, kAskAgain);  // each question that reaches a node is a leaf of its log
  }
}

void RegistryService::Impl::end_asking() {
  {
    const std::scoped_lock lock{asking_mutex};
    asking_ends = true;
  }
  asking_wake.notify_all();
  if (asking.joinable()) asking.join();
}

/// An older view of the chain than this server had before is refused, whoever shows it.
Status RegistryService::Impl::keep_floor(chain::QuorumOptions& options) {
  floor = std::make_unique<governance::ChainFloor>(parts.store, options.chain_id);
  if (said.forget_floor) {
    TRY_OK(floor->forget(parts.clock.steady() + kFloorPatience));
    base::log(base::LogLevel::warning, "registry.floor is forgotten: the endpoints' word is believed for the past",
              {{"setting", settings.origin("registry.floor")}});
  } else {
    TRY(options.floor, floor->stored());
  }
  options.on_head = [this](const chain::BlockRef& block) {
    floor->saw(block);
    head_moved();
  };
  return base::done();
}

void RegistryService::Impl::head_moved() {
  const base::MutexLock lock(watch_mutex);
  if (watch) watch->head_moved();
}

Status RegistryService::Impl::open_governance() {
  auto options = said.chain;
  options.clock = &parts.clock;
  if (!said.on_chain) {
    authority = std::make_unique<governance::LocalAuthority>(parts.registry, parts.clock, options.chain_id);
    return base::done();
  }
  const std::uint64_t chain_id = options.chain_id;
  TRY_OK(keep_floor(options));
  TRY(chain_http, net::HttpClient::make({.ca_file = settings.text("registry.rpc_ca"), .clock = &parts.clock}),
      named(settings, "registry.rpc_ca"));
  TRY(reader, chain::QuorumReader::make(*chain_http, std::move(options)));
  if (said.storage_proofs) {
    TRY(auto own, own_contracts());
    proofs = std::make_unique<governance::ContractProofs>(*reader, std::move(own));
  }
  governance::ChainAuthorityOptions asked{.chain_id = chain_id,
                                          .require_extended = said.extended,
                                          .first_generation = said.first_generation,
                                          .proofs = proofs.get(),
                                          .finality = settings.text("registry.finality"),
                                          .clock = &parts.clock};
  if (said.contract_lists_apps) asked.key_service = said.kms_contract;
  authority = std::make_unique<governance::ChainAuthority>(*reader, reader->for_strangers(), std::move(asked));
  return base::done();
}

Status RegistryService::Impl::open_storage() {
  // A read ends at its own deadline however full a lane is, so a burst of different blobs may wait.
  lanes = std::make_shared<blobs::Lanes>(blobs::LaneOptions{.waiting = 1024});
  if (said.storage_cache_bytes == 0) return base::done();
  TRY(cache,
      blobs::BlobCache::open(
          {.folder = parts.data + "/registry-cache", .max_bytes = said.storage_cache_bytes, .sealer = &parts.sealer}));
  return base::done();
}

Status RegistryService::Impl::open_attester() {
  const std::string& kind = settings.text("registry.attestation");
  if (kind == "none") return base::done();
  if (kind == "dummy") {
    made_attester = std::make_unique<tee::DummyAttester>();
  } else if (kind.starts_with(kSimulatedAttestation)) {
    if (parts.store.realm() == base::Realm::production) {
      return Error{Code::configuration, "registry.attestation: a simulated TEE vouches for nothing",
                   "none, or the address of a quote provider", kind,
                   "Use `attestry dev`, or a data folder that was made for the simulated realm."};
    }
    TRY(simulated, SimulatedTee::open(kind.substr(kSimulatedAttestation.size()), "tdx-v4"),
        named(settings, "registry.attestation"));
    attester = &simulated->attester();
    return base::done();
  } else {
    TRY(quote_http, net::HttpClient::make({.clock = &parts.clock}));
    made_attester = std::make_unique<tee::RemoteAttester>(*quote_http, kind, kQuotePatience, parts.clock);
  }
  attester = made_attester.get();
  return base::done();
}

/// Vault knows an app by a certificate of its CA: "<40 hex>.app".
Result<blobs::VaultCredentials> RegistryService::Impl::vault_certificate(const curves::Address& contract,
                                                                         const keys::RegistryAppKeys& app) const {
  auto& random = crypto::system_random();
  const auto key = crypto::EcPrivateKey::generate(crypto::Curve::p256, random);
  TRY(const auto request, crypto::make_csr({.subject = {{"2.5.4.3", provision::registry_app_name(contract), false}},
                                            .dns = {},
                                            .ips = {},
                                            .extensions = {}},
                                           key));
  TRY(const auto csr, crypto::parse_csr_full(request));
  blobs::VaultCredentials out;
  TRY(out.certificate_pem,
      provision::registry_leaf_pem(app, contract, csr, {}, parts.store.now(), random, 2 * kVaultCertificateSeconds));
  out.key_pem = crypto::Secret::copy_of(base::as_bytes(base::pem_encode("PRIVATE KEY", key.pkcs8().reveal())));
  return out;
}

Result<blobs::StoreContext> RegistryService::Impl::context_of(const governance::Grant& grant,
                                                              const keys::RegistryAppKeys& app,
                                                              const std::vector<std::string>& uris) const {
  TRY(const auto contract, keys::contract_of(grant.app()));
  // A folder for each app: the URIs of contracts are public, and the first registry's names say no app.
  const std::string root = (said.storage_root.empty() ? parts.data + "/registry-files" : said.storage_root) + "/" +
                           grant.tenant().text() + "/" + base::hex(contract);
  blobs::StoreContext context{.tenant = grant.tenant(),
                              .app = grant.app(),
                              .dialect = said.seed_layout ? blobs::Dialect::seed : blobs::Dialect::native,
                              .max_bytes = 4u << 20,
                              .file_root = root,
                              .file_root_is_own = true,
                              .github_api = settings.text("registry.github_api"),
                              .ca_pem = said.storage_ca,
                              .clock = &parts.clock};
  context.connect = [storage_private = said.storage_private](
                        net::ClientOptions options) -> Result<std::shared_ptr<net::HttpTransport>> {
    // The URIs are a contract owner's: nobody may have this server call what only it can reach.
    options.public_only = !storage_private;
    options.environment_proxy = storage_private;  // a proxy would reach what this process may not
    TRY(auto http, net::HttpClient::make(std::move(options)));
    return std::shared_ptr<net::HttpTransport>{std::move(http)};
  };
  // Aliasing: the reader is this service's and outlives the store.
  if (reader) context.chain.reader = std::shared_ptr<chain::ChainReader>{std::shared_ptr<void>{}, reader.get()};
  const bool vault = std::ranges::any_of(uris, [](const std::string& uri) { return uri.starts_with("vault:"); });
  if (vault) {
    TRY(context.vault, vault_certificate(contract, app));
  }
  return context;
}

Result<std::shared_ptr<blobs::BlobStore>> RegistryService::Impl::store_of(const governance::Grant& grant,
                                                                          const keys::RegistryAppKeys& app,
                                                                          const std::vector<std::string>& uris) {
  std::string name = grant.tenant().text() + " " + grant.app().text();
  for (const std::string& uri : uris) name += "\n" + uri;
  const auto now = parts.clock.steady();
  {
    const base::MutexLock lock(stores_mutex);
    const auto found = stores.find(name);
    if (found != stores.end() && now < found->second.until) return found->second.store;
  }
  TRY(auto context, context_of(grant, app, uris));
  TRY(const auto contract, keys::contract_of(grant.app()));
  auto elsewhere = uris;
  const bool here = std::erase(elsewhere, governance::kLocalStorage) > 0;
  auto opened = blobs::open_all(elsewhere, context, [&](std::string_view uri, blobs::StoreContext& mine) {
    said.storage_credentials->give(contract, uri, mine);
  });
  if (here) {
    TRY(auto local,
        open_local_blobs(parts.data, grant.tenant(), grant.app(), parts.sealer, parts.registry, parts.clock));
    opened.stores.push_back(std::move(local));
  }
  for (const auto& [uri, why] : opened.refused) {
    base::log(base::LogLevel::warning, "a storage backend of an app cannot be used",
              {{"app", grant.app().text()}, {"uri", uri}, {"reason", why.text()}});
  }
  if (opened.stores.empty()) {
    return Error{Code::unavailable, "no valid storage backends created",
                 "at least one backend that this server can open",
                 opened.refused.empty() ? "the contract names none" : opened.refused.front().second.text()};
  }
  TRY(auto multi,
      blobs::make_multi(
          std::move(opened.stores),
          {.lanes = lanes, .cache = cache, .backend_deadline = said.storage_deadline, .clock = &parts.clock}));
  std::shared_ptr<blobs::BlobStore> store = std::move(multi);
  const base::MutexLock lock(stores_mutex);
  // Rarely and all at once: what is in use stays alive with its users.
  if (stores.size() >= kMaxOpenStores) stores.clear();
  stores[name] = {store, now + std::chrono::seconds(kVaultCertificateSeconds)};
  return store;
}

Status RegistryService::Impl::open() {
  const base::Tenant& tenant = said.rules.tenant;
  TRY_OK(open_keys());
  TRY_OK(open_governance());
  TRY_OK(open_storage());
  TRY_OK(open_attester());
  provisioner = std::make_unique<provision::RegistryProvisioner>(
      provision::RegistryProvisionerDeps{
          .store = parts.store,
          .log = parts.log,
          .appraiser = parts.appraiser,
          .registry = parts.registry,
          .authority = *authority,
          .keys = *keys,
          .appraisals = parts.appraisals,
          .random = crypto::system_random(),
          .open_storage = [this](const governance::Grant& grant, const keys::RegistryAppKeys& app,
                                 const std::vector<std::string>& uris) { return store_of(grant, app, uris); },
          .run_waiting = [this](const curves::Address& app,
                                std::move_only_function<void()>& task) { return run_waiting(app, task); }},
      said.rules);
  pki = std::make_unique<provision::RegistryPkiService>(*keys, attester, parts.clock);
  // Who has the head asked for each time wants to see every block at once.
  facts = std::make_unique<governance::FactsCache>(
      *authority, tenant, parts.clock,
      governance::FactsCacheOptions{.seconds = said.chain.head_ttl.count() == 0 ? 0 : kFactsSeconds});
  if (reader) {  // last: its thread uses all the others
    const base::MutexLock lock(watch_mutex);
    watch = std::make_unique<provision::RegistryWatch>(
        provision::RegistryWatchDeps{parts.store, parts.log, *authority, crypto::system_random(), tenant});
    watch->head_moved();  // what happened while nothing ran here
  }
  TRY_OK(open_key_service());
  return open_channels();
}

Status RegistryService::Impl::open_key_service() {
  if (!said.kms_contract) return base::done();
  TRY(key_service, KeyService::open(settings, said,
                                    {.store = parts.store,
                                     .log = parts.log,
                                     .appraiser = parts.appraiser,
                                     .registry = parts.registry,
                                     .tenant = provisioner->rules().tenant,
                                     .reader = *reader,
                                     .strangers = reader->for_strangers(),
                                     .master = *master,
                                     .received = received.get(),
                                     .pki = *pki,
                                     .policy = provisioner->rules().policy,
                                     .clock = parts.clock,
                                     .proofs = proofs.get(),
                                     .run_strangers = [this](auto& task) { return run_strangers(task); },
                                     .run_waiting = [this](auto& task) { return run_waiting(task); }}));
  return base::done();
}

Status RegistryService::Impl::open_channels() {
  TRY(channels, ChannelService::open(settings, {.store = parts.store,
                                                .log = parts.log,
                                                .appraiser = parts.appraiser,
                                                .attester = attester,
                                                .master = *master,
                                                .received = received.get(),
                                                .contract = key_service ? key_service->contract.get() : nullptr,
                                                .approvals = *authority,
                                                .policies = parts.registry,
                                                .policy = provisioner->rules().policy,
                                                .tenant = provisioner->rules().tenant,
                                                .clock = parts.clock}));
  return base::done();
}

RegistryService::RegistryService(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
RegistryService::~RegistryService() { stop(); }

void RegistryService::stop_channels() {
  if (impl_->channels) impl_->channels->stop();
}

void RegistryService::stop() {
  stop_channels();
  impl_->end_asking();
  // What runs on one of them goes on with the other and with all the rest: they end, and stay where they are.
  impl_->strangers->stop();
  impl_->waiting->stop();
  std::unique_ptr<provision::RegistryWatch> watch;
  {
    const base::MutexLock lock(impl_->watch_mutex);
    watch = std::move(impl_->watch);
  }
}

Result<std::unique_ptr<RegistryService>> RegistryService::open(const Settings& settings, RegistryParts parts) {
  if (settings.text("registry.listen").empty() && settings.text("registry.proxy_listen").empty()) {
    return std::unique_ptr<RegistryService>{};
  }
  TRY(auto said, read_registry_settings(settings));
  auto impl = std::make_unique<Impl>(settings, std::move(said), std::move(parts));
  TRY_OK(impl->open(), "registry");
  return std::unique_ptr<RegistryService>{new RegistryService(std::move(impl))};
}

/// What makes keys easier to get than a reader of the other settings would think is said at every start.
void warn_of_weak_settings(const Settings& settings, const RegistrySettings& said) {
  const auto warn = [&](std::string_view name, std::string_view consequence) {
    base::log(base::LogLevel::warning, std::string{name} + ": " + std::string{consequence},
              {{"setting", settings.origin(name)}});
  };
  if (said.believe_headers_of_anybody) {
    warn("registry.believe_headers_of_anybody", "whoever reaches the registry's port gets every app's keys");
  }
  if (!said.rules.evidence_once)
    warn("registry.evidence_once", "whoever has seen a request gets the same keys by sending it again");
  if (settings.text("registry.attestation") == "dummy") {
    warn("registry.attestation", "nobody can verify that this server runs in a TEE");
  }
}

Status RegistryService::add_routes(net::Router& router) {
  const Settings& settings = impl_->settings;
  const RegistrySettings& said = impl_->said;
  api::RegistryPublicRules rules{.tenant = said.rules.tenant};
  rules.old_status = said.old_status;
  rules.legacy_maa = said.legacy_maa;
  rules.believe_headers_of_anybody = said.believe_headers_of_anybody;
  rules.contracts = said.contracts;
  rules.quotes_need_contract = said.on_chain;
  warn_of_weak_settings(settings, said);
  const auto* service = impl_->key_service.get();
  if (service != nullptr) {
    rules.kms_operator = service->kms_operator.get();
    rules.kms_contract = service->contract->address();
    if (said.contract_lists_apps) rules.applications = service->contract.get();
  }
  TRY_OK(api::register_registry_public(
      router,
      {.provisioner = *impl_->provisioner,
       .pki = *impl_->pki,
       .facts = *impl_->facts,
       .run_strangers = [impl = impl_.get()](auto& task) { return impl->run_strangers(task); },
       .health = impl_->health,
       .waits_for = [this]() -> std::string { return impl_->locked() ? "the master key is not there yet" : ""; },
       .rules = std::move(rules)}));
  if (service != nullptr) {
    TRY_OK(api::register_registry_operator(
        router, {.kms_operator = *service->kms_operator,
                 .receiver = service->receiver.get(),
                 .http = service->http.get(),
                 .onboarding = *service->onboarding,
                 .run_waiting = [impl = impl_.get()](auto& task) { return impl->run_waiting(task); },
                 .old_status = said.old_status,
                 .channel = impl_->channels ? impl_->channels->receiver() : nullptr,
                 .hosts = settings.list("registry.admin_hosts"),
                 .own_port = [impl = impl_.get()] { return impl->admin_port.load(); }}));
  }
  TRY_OK(api::register_registry_blobs(router, [impl = impl_.get()](const base::Tenant& tenant,
                                                                   const base::AppRef& app) {
    return open_local_blobs(impl->parts.data, tenant, app, impl->parts.sealer, impl->parts.registry, impl->parts.clock);
  }));
  if (!impl_->bootstrap) return base::done();
  api::RegistryAdminDeps deps{.bootstrap = *impl_->bootstrap,
                              .hosts = settings.list("registry.admin_hosts"),
                              .attest = {},
                              .own_port = [impl = impl_.get()] { return impl->admin_port.load(); },
                              .clock = &impl_->parts.clock};
  if (impl_->attester != nullptr) {
    deps.attest = [attester = impl_->attester](const base::FixedBytes<64>& report_data) -> Result<base::Bytes> {
      TRY(auto evidence, attester->attest(report_data), "attestation");
      return std::move(evidence.bytes);
    };
  }
  return api::register_registry_admin(router, deps);
}

void RegistryService::listening(unsigned admin_port) noexcept { impl_->admin_port = admin_port; }

std::string RegistryService::channel_address() const {
  return impl_->channels ? impl_->channels->address() : std::string{};
}

bool RegistryService::awaits_master() const { return impl_->awaited == nullptr && impl_->locked(); }

bool RegistryService::Impl::locked() const {
  if (bootstrap) return bootstrap->status().state != keys::BootstrapState::complete;
  if (awaited) return !awaited->has();
  return received && !received->has();
}

void RegistryService::update_metrics(net::Metrics& metrics) const {
  metrics.gauge("attestry_registry_unlocked", "Whether the master key is there").set(impl_->locked() ? 0 : 1);
  if (!impl_->reader) return;
  const chain::ChainStatus now = impl_->reader->status();
  const bool held = now.stalled || !now.head || !now.alarm.empty();
  metrics.gauge("attestry_chain_stalled", "Whether nothing is believed of the chain").set(held ? 1 : 0);
  metrics.gauge("attestry_chain_endpoints_agreeing", "Endpoints that voted for the head when it was asked for last")
      .set(static_cast<double>(now.agreeing));
  if (!now.newest) return;
  const auto age = impl_->parts.clock.now().seconds - now.newest->time.seconds;
  metrics.gauge("attestry_chain_head_age_seconds", "Since the time of the newest block").set(static_cast<double>(age));
}

Result<std::vector<std::pair<std::string, net::Listener>>> RegistryService::listeners(std::string_view chain_pem,
                                                                                      std::string_view key_pem) const {
  const Settings& settings = impl_->settings;
  const bool plain = chain_pem.empty();
  std::vector<std::pair<std::string, net::Listener>> out;
  if (const std::string& address = settings.text("registry.listen"); !address.empty()) {
    net::Listener listener{address, {net::Role::registry}};
    if (!plain) {
      TRY(listener.tls,
          net::TlsServerContext::from_pem(chain_pem, key_pem, {.certificates = net::TlsClients::Certificates::asked}));
    }
    out.emplace_back("registry", std::move(listener));
  }
  if (const std::string& address = settings.text("registry.proxy_listen"); !address.empty()) {
    net::Listener listener{address, {net::Role::registry_proxy}};
    if (!address.starts_with("unix:")) {
      TRY(listener.tls, net::TlsServerContext::from_pem(
                            chain_pem, key_pem,
                            {.certificates = net::TlsClients::Certificates::required, .ca_pem = impl_->said.proxy_ca}));
    }
    out.emplace_back("registry proxy", std::move(listener));
  }
  if (const std::string& address = settings.text("registry.admin_listen"); !address.empty()) {
    net::Listener listener{address, {net::Role::bootstrap}};
    if (!plain && !address.starts_with("unix:") && !is_loopback(address)) {
      TRY(listener.tls, net::TlsServerContext::from_pem(chain_pem, key_pem));
    }
    out.emplace_back("registry admins", std::move(listener));
  }
  if (impl_->said.believe_headers_of_anybody) {
    const auto marks = std::make_shared<const net::Headers>(net::Headers{{"X-Attestry-Warning", kAnybody}});
    for (auto& [name, listener] : out) listener.headers = marks;
  }
  return out;
}

}  // namespace attestry::app
