#include "app/wire_registry.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <list>
#include <map>
#include <optional>
#include <set>

#include "api/fair_lane.h"
#include "app/local_blobs.h"
#include "app/loopback.h"
#include "app/paths.h"
#include "app/registry_channel.h"
#include "app/registry_contracts.h"
#include "app/registry_kms.h"
#include "app/registry_root.h"
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

constexpr std::size_t kMaxOpenStores = 256;
/// For what anybody may ask.
constexpr std::size_t kStrangersThreads = 4;
constexpr std::size_t kMostStrangers = 64;
constexpr std::int64_t kVaultCertificateSeconds = 86400;
constexpr std::chrono::seconds kQuotePatience{10};
constexpr std::int64_t kFactsSeconds = 5;
constexpr std::chrono::seconds kFloorPatience{30};

Result<std::string> read_text(const std::string& path, std::size_t most) {
  TRY(const auto bytes, state::system_files().read(path, most), path);
  if (!bytes) return Error{Code::not_found, "no such file: " + path};
  return std::string{base::as_text(*bytes)};
}

Result<attestation::Policy> read_policy(const Settings& settings) {
  const std::string& name = settings.text("registry.policy");
  if (const auto* builtin = attestation::Policy::builtin(name)) return *builtin;
  TRY(const auto text, read_text(name, attestation::kMaxPolicyDocumentBytes), named(settings, "registry.policy"));
  return attestation::Policy::parse(text);
}

Result<provision::RegistryRules> read_rules(const Settings& settings) {
  provision::RegistryRules rules;
  TRY(rules.tenant, base::Tenant::parse(settings.text("registry.tenant")), named(settings, "registry.tenant"));
  TRY(rules.policy, read_policy(settings));
  TRY(rules.evidence_once, settings.boolean("registry.evidence_once"));
  rules.operator_v1 = settings.text("registry.operator_signature") == "v1";
  rules.strict_names = settings.text("registry.names") == "strict";
  rules.templates.mode =
      settings.text("registry.templates") == "json" ? provision::TemplateMode::json : provision::TemplateMode::text;
  return rules;
}

Result<chain::QuorumOptions> read_chain(const Settings& settings, const base::Clock& clock) {
  chain::QuorumOptions options;
  TRY(const auto id, settings.integer("registry.chain_id", 1, INT64_MAX));
  TRY(const auto quorum, settings.integer("registry.quorum", 0, 64));
  TRY(options.max_head_age, settings.integer("registry.max_head_age", 0, 86400));
  TRY(options.finality, chain::Finality::parse(settings.text("registry.finality")),
      named(settings, "registry.finality"));
  options.chain_id = static_cast<std::uint64_t>(id);
  options.quorum = static_cast<std::size_t>(quorum);
  if (options.max_head_age == 0) options.max_final_age = 0;
  TRY(const auto head_ms, settings.integer("registry.head_ms", 0, 60'000));
  options.head_ttl = std::chrono::milliseconds(head_ms);
  // Asked in the background, so that a registration finds the head in memory and costs one round trip.
  options.poll = std::chrono::milliseconds(head_ms / 2);
  TRY(const bool events, settings.boolean("registry.event_cache"));
  if (events) {
    TRY(const auto own, own_contracts());
    for (const governance::OwnContract& contract : own) options.event_codes.push_back(contract.code_hash);
  }
  for (const std::string& url : settings.list("registry.rpc")) options.endpoints.push_back({.url = url});
  options.clock = &clock;
  return options;
}

/// nullopt: any, or those that the key service's contract lists.
Result<std::optional<std::set<curves::Address>>> read_contracts(const Settings& settings) {
  const auto listed = settings.list("registry.contracts");
  if (listed == std::vector<std::string>{"any"} || follows_contract(settings))
    return std::optional<std::set<curves::Address>>{};
  std::set<curves::Address> out;
  for (const std::string& text : listed) {
    TRY(const auto address, typed_address(text), named(settings, "registry.contracts"));
    out.insert(address);
  }
  if (!out.empty()) return std::optional{std::move(out)};
  return Error{Code::configuration, named(settings, "registry.contracts") + " says whose apps are served",
               "addresses of contracts, kms, or any", "",
               "With any, whoever deploys a contract gets keys for it, and names storage that this server calls."};
}

bool one_of(const Settings& settings, std::string_view name, std::initializer_list<std::string_view> values) {
  return std::ranges::find(values, settings.text(name)) != values.end();
}

}  // namespace

/// Members in the order of their making.
struct RegistryService::Impl {
  Impl(const Settings& set, RegistryParts given) : settings(set), parts(std::move(given)) {}

  const Settings settings;
  RegistryParts parts;
  std::unique_ptr<keys::Bootstrap> bootstrap;
  std::unique_ptr<keys::RegistryMaster> fixed;
  std::unique_ptr<keys::ReceivedMaster> received;
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
  std::string storage_ca;  ///< PEM; empty: the system's roots
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

  Status open_keys();
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
  } else {
    fixed = std::make_unique<keys::FixedRegistryMaster>(std::move(parts.master));
    master = fixed.get();
  }
  keys = std::make_unique<keys::RegistryKeys>(*master);
  return base::done();
}

/// An older view of the chain than this server had before is refused, whoever shows it.
Status RegistryService::Impl::keep_floor(chain::QuorumOptions& options) {
  floor = std::make_unique<governance::ChainFloor>(parts.store, options.chain_id);
  if (settings.text("registry.floor") == "forgotten") {
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
  TRY(auto options, read_chain(settings, parts.clock));
  if (settings.text("registry.governance") == "local") {
    authority = std::make_unique<governance::LocalAuthority>(parts.registry, parts.clock, options.chain_id);
    return base::done();
  }
  const std::uint64_t chain_id = options.chain_id;
  TRY_OK(keep_floor(options));
  TRY(chain_http, net::HttpClient::make({.ca_file = settings.text("registry.rpc_ca"), .clock = &parts.clock}),
      named(settings, "registry.rpc_ca"));
  TRY(reader, chain::QuorumReader::make(*chain_http, std::move(options)));
  TRY(const bool prove, settings.boolean("registry.storage_proofs"));
  if (prove) {
    TRY(auto own, own_contracts());
    proofs = std::make_unique<governance::ContractProofs>(*reader, std::move(own));
  }
  TRY(const bool first_generation, settings.boolean("registry.first_generation"));
  governance::ChainAuthorityOptions asked{.chain_id = chain_id,
                                          .require_extended = settings.text("registry.identity") == "extended",
                                          .first_generation = first_generation,
                                          .proofs = proofs.get(),
                                          .finality = settings.text("registry.finality"),
                                          .clock = &parts.clock};
  if (follows_contract(settings)) {
    TRY(asked.key_service, curves::parse_address(settings.text("registry.kms_contract")),
        named(settings, "registry.kms_contract"));
  }
  authority = std::make_unique<governance::ChainAuthority>(*reader, reader->for_strangers(), std::move(asked));
  return base::done();
}

Status RegistryService::Impl::open_storage() {
  // A read ends at its own deadline however full a lane is, so a burst of different blobs may wait.
  lanes = std::make_shared<blobs::Lanes>(blobs::LaneOptions{.waiting = 1024});
  if (const std::string& ca = settings.text("registry.storage_ca"); !ca.empty()) {
    TRY(storage_ca, read_text(ca, 1u << 20), named(settings, "registry.storage_ca"));
  }
  TRY(const auto bytes, settings.integer("registry.storage_cache_bytes", 0, INT64_MAX));
  if (bytes == 0) return base::done();
  TRY(cache, blobs::BlobCache::open({.folder = parts.data + "/registry-cache",
                                     .max_bytes = static_cast<std::uint64_t>(bytes),
                                     .sealer = &parts.sealer}));
  return base::done();
}

Status RegistryService::Impl::open_attester() {
  constexpr std::string_view kSimulated = "simulated:";
  const std::string& kind = settings.text("registry.attestation");
  if (kind == "none") return base::done();
  if (kind == "dummy") {
    made_attester = std::make_unique<tee::DummyAttester>();
  } else if (kind.starts_with(kSimulated)) {
    if (parts.store.realm() == base::Realm::production) {
      return Error{Code::configuration, "registry.attestation: a simulated TEE vouches for nothing",
                   "none, or the address of a quote provider", kind,
                   "Use `attestry dev`, or a data folder that was made for the simulated realm."};
    }
    TRY(simulated, SimulatedTee::open(kind.substr(kSimulated.size()), "tdx-v4"),
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
  const std::string& configured = settings.text("registry.storage_root");
  // A folder for each app: the URIs of contracts are public, and their names in the seed's layout say no app.
  const std::string root = (configured.empty() ? parts.data + "/registry-files" : configured) + "/" +
                           grant.tenant().text() + "/" + base::hex(contract);
  blobs::StoreContext context{.tenant = grant.tenant(),
                              .app = grant.app(),
                              .dialect = blobs::Dialect::seed,
                              .max_bytes = 4u << 20,
                              .file_root = root,
                              .github_api = settings.text("registry.github_api"),
                              .ca_pem = storage_ca,
                              .clock = &parts.clock};
  TRY(const bool storage_private, settings.boolean("registry.storage_private"));
  context.connect = [storage_private](net::ClientOptions options) -> Result<std::shared_ptr<net::HttpTransport>> {
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
  TRY(const auto context, context_of(grant, app, uris));
  auto elsewhere = uris;
  const bool here = std::erase(elsewhere, governance::kLocalStorage) > 0;
  auto opened = blobs::open_all(elsewhere, context);
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
  TRY(const auto seconds, settings.integer("registry.storage_seconds", 1, 600));
  TRY(auto multi,
      blobs::make_multi(
          std::move(opened.stores),
          {.lanes = lanes, .cache = cache, .backend_deadline = std::chrono::seconds(seconds), .clock = &parts.clock}));
  std::shared_ptr<blobs::BlobStore> store = std::move(multi);
  const base::MutexLock lock(stores_mutex);
  // Rarely and all at once: what is in use stays alive with its users.
  if (stores.size() >= kMaxOpenStores) stores.clear();
  stores[name] = {store, now + std::chrono::seconds(kVaultCertificateSeconds)};
  return store;
}

Status RegistryService::Impl::open() {
  TRY(auto rules, read_rules(settings));
  const auto tenant = rules.tenant;
  rules.remember_grants = settings.text("registry.governance") == "chain";
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
      std::move(rules));
  pki = std::make_unique<provision::RegistryPkiService>(*keys, attester, parts.clock);
  // Who has the head asked for each time wants to see every block at once.
  TRY(const auto head_ms, settings.integer("registry.head_ms", 0, 60'000));
  facts = std::make_unique<governance::FactsCache>(
      *authority, tenant, parts.clock, governance::FactsCacheOptions{.seconds = head_ms == 0 ? 0 : kFactsSeconds});
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
  if (settings.text("registry.kms_contract").empty()) return base::done();
  TRY(key_service, KeyService::open(settings, {.store = parts.store,
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

void RegistryService::stop() {
  if (impl_->channels) impl_->channels->stop();
  impl_->waiting.reset();  // what runs there uses all the others
  impl_->strangers.reset();
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
  TRY_OK(check_registry(settings));
  auto impl = std::make_unique<Impl>(settings, std::move(parts));
  TRY_OK(impl->open(), "registry");
  return std::unique_ptr<RegistryService>{new RegistryService(std::move(impl))};
}

/// What makes keys easier to get than a reader of the other settings would think is said at every start.
Status warn_of_weak_settings(const Settings& settings) {
  const auto warn = [&](std::string_view name, std::string_view consequence) {
    base::log(base::LogLevel::warning, std::string{name} + ": " + std::string{consequence},
              {{"setting", settings.origin(name)}});
  };
  TRY(const bool headers, settings.boolean("registry.believe_headers_of_anybody"));
  if (headers) {
    warn("registry.believe_headers_of_anybody", "whoever reaches the registry's port gets every app's keys");
  }
  TRY(const bool once, settings.boolean("registry.evidence_once"));
  if (!once) warn("registry.evidence_once", "whoever has seen a request gets the same keys by sending it again");
  if (settings.text("registry.attestation") == "dummy") {
    warn("registry.attestation", "nobody can verify that this server runs in a TEE");
  }
  return base::done();
}

Status RegistryService::add_routes(net::Router& router) {
  const Settings& settings = impl_->settings;
  api::RegistryPublicRules rules{.tenant = impl_->provisioner->rules().tenant};
  TRY(rules.old_status, settings.boolean("registry.old_status"));
  TRY(rules.legacy_maa, settings.boolean("registry.legacy_maa"));
  TRY(rules.believe_headers_of_anybody, settings.boolean("registry.believe_headers_of_anybody"));
  TRY(rules.contracts, read_contracts(settings));
  rules.quotes_need_contract = settings.text("registry.governance") == "chain";
  TRY_OK(warn_of_weak_settings(settings));
  const auto* service = impl_->key_service.get();
  if (service != nullptr) {
    rules.kms_operator = service->kms_operator.get();
    rules.kms_contract = service->contract->address();
    if (follows_contract(settings)) rules.applications = service->contract.get();
  }
  const bool old_status = rules.old_status;
  TRY_OK(api::register_registry_public(
      router,
      {.provisioner = *impl_->provisioner,
       .pki = *impl_->pki,
       .facts = *impl_->facts,
       .run_strangers = [impl = impl_.get()](auto& task) { return impl->run_strangers(task); },
       .health = impl_->health,
       .waits_for = [this]() -> std::string { return awaits_master() ? "the master key is not there yet" : ""; },
       .rules = std::move(rules)}));
  if (service != nullptr) {
    TRY_OK(api::register_registry_operator(
        router, {.kms_operator = *service->kms_operator,
                 .receiver = service->receiver.get(),
                 .http = service->http.get(),
                 .onboarding = *service->onboarding,
                 .run_waiting = [impl = impl_.get()](auto& task) { return impl->run_waiting(task); },
                 .old_status = old_status,
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

bool RegistryService::awaits_master() const {
  if (impl_->bootstrap) return impl_->bootstrap->status().state != keys::BootstrapState::complete;
  return impl_->received && !impl_->received->has();
}

void RegistryService::update_metrics(net::Metrics& metrics) const {
  metrics.gauge("attestry_registry_unlocked", "Whether the master key is there").set(awaits_master() ? 0 : 1);
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
      TRY(const auto ca, read_text(settings.text("registry.proxy_ca"), 1u << 20), named(settings, "registry.proxy_ca"));
      TRY(listener.tls,
          net::TlsServerContext::from_pem(chain_pem, key_pem,
                                          {.certificates = net::TlsClients::Certificates::required, .ca_pem = ca}));
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
  return out;
}

Status check_registry(const Settings& settings) {
  struct Choice {
    std::string_view name;
    std::initializer_list<std::string_view> values;
    std::string_view shown;
  };
  const Choice choices[] = {
      {"registry.kms", {"derived", "simple", "shamir", "onboard"}, "derived, simple, shamir or onboard"},
      {"registry.governance", {"chain", "local"}, "chain or local"},
      {"registry.identity", {"any", "extended"}, "any or extended"},
      {"registry.floor", {"kept", "forgotten"}, "kept or forgotten"},
      {"registry.operator_signature", {"v1", "v2"}, "v1 or v2"},
      {"registry.names", {"strict", "free"}, "strict or free"},
      {"registry.templates", {"text", "json"}, "text or json"}};
  for (const Choice& choice : choices) {
    if (one_of(settings, choice.name, choice.values)) continue;
    return Error{Code::configuration, named(settings, choice.name), std::string{choice.shown},
                 settings.text(choice.name)};
  }
  const std::string& proxy = settings.text("registry.proxy_listen");
  if (proxy.empty() && settings.text("registry.listen").empty()) return base::done();
  TRY([[maybe_unused]] const auto contracts, read_contracts(settings));
  TRY_OK(check_key_service(settings));
  TRY_OK(check_channel(settings));
  if (settings.text("registry.identity") == "extended" && settings.text("registry.governance") == "local") {
    return Error{Code::configuration, named(settings, "registry.identity"), "any, with registry.governance local",
                 "extended", "Approvals name every register that counts by themselves."};
  }
  TRY(const bool prove, settings.boolean("registry.storage_proofs"));
  if (prove && settings.text("registry.governance") == "local") {
    return Error{Code::configuration, named(settings, "registry.storage_proofs"),
                 "false, with registry.governance local", "true",
                 "There is no chain whose blocks could prove anything."};
  }
  if (proxy.empty() || proxy.starts_with("unix:")) return base::done();
  if (settings.text("registry.proxy_ca").empty()) {
    return Error{
        Code::configuration, named(settings, "registry.proxy_listen"), "registry.proxy_ca, or unix:PATH", proxy,
        "A proxy whose headers are believed proves who it is: by a certificate, or by reaching a unix socket."};
  }
  if (settings.text("tls.mode") != "off") return base::done();
  return Error{Code::configuration, named(settings, "registry.proxy_listen") + " needs TLS", "tls.mode auto or files",
               "off"};
}

}  // namespace attestry::app
