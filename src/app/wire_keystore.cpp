#include "app/wire_keystore.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "api/fair_lane.h"
#include "api/keystore_routes.h"
#include "app/keystore_registration.h"
#include "app/keystore_sealing.h"
#include "app/keystore_settings.h"
#include "app/keystore_standby.h"
#include "app/validate.h"
#include "base/encoding.h"
#include "base/log.h"
#include "keys/ckd.h"
#include "net/client.h"
#include "secrets/keystore_rotation_contract.h"

namespace attestry::app {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

using std::chrono::seconds;

constexpr std::string_view kSessionSealing = "attestry/keystore/sessions/v1";
constexpr std::string_view kDialect = "keystore";
constexpr seconds kStartPatience{30};
constexpr seconds kWalkPatience{30};             // for one answer of the contract
constexpr seconds kRecheckPatience{5};           // for one worker's key
constexpr std::chrono::milliseconds kPoll{200};  // of a transaction's outcome
constexpr seconds kCompareAgain{1};
constexpr std::string_view kMismatch = "Public key mismatch";

class KeystoreServer final : public Service {
 public:
  KeystoreServer(const Settings& settings, const ServiceParts& parts) : settings_(settings), parts_(parts) {}
  ~KeystoreServer() override { stop(); }

  Status open();
  Status add_routes(net::Router& router) override;
  Result<std::vector<std::pair<std::string, net::Listener>>> listeners(std::string_view chain_pem,
                                                                       std::string_view key_pem) const override;
  void update_metrics() const override;
  void stop_accepting() override {
    if (standby_) standby_->stop_waiting();
  }
  void stop() override;

 private:
  Status check_realm() const;
  Result<std::shared_ptr<secrets::MasterSource>> derived_from_root() const;
  Status open_masters();
  Status look_at_vault(std::string_view vault, base::Deadline deadline);
  Status open_chain();
  Status open_vaults();
  void open_wallets();
  Status start_standby();
  /// What the rooms write to.
  state::Store& store() const { return standby_ ? standby_->store() : parts_.store; }
  bool compares() const;
  Status compare_published_key();
  Status compare_at_start();
  void compare_until_done();
  void hold_back(const Error& why);
  void warn_of_weak_settings() const;
  void recheck_now_and_then();

  const Settings settings_;
  const ServiceParts parts_;
  KeystoreSettings said_;
  std::unique_ptr<KeystoreStandbyService> standby_;  ///< null: this keystore is the only one
  std::unique_ptr<KeystoreKeys> keys_;
  std::unique_ptr<secrets::KeystoreSessions> sessions_;
  std::unique_ptr<secrets::KeystoreEvidence> evidence_;
  std::unique_ptr<net::HttpClient> http_;
  std::unique_ptr<chain::near::QuorumReader> reader_;
  std::unique_ptr<secrets::KeystoreChain> chain_;
  std::unique_ptr<KeystoreRegistration> registration_;  ///< null: masters come from elsewhere
  std::unique_ptr<api::FairLane> waiting_;
  std::unique_ptr<secrets::KeystoreVaults> vaults_;  ///< null: no DAO is set
  std::atomic<bool> has_vaults_ = false;             ///< whether vaults_ is what it stays
  std::unique_ptr<secrets::KeystoreService> service_;
  std::unique_ptr<secrets::KeystoreWallets> wallets_;
  std::mutex stop_mutex_;  // std::mutex: a condition variable waits on it
  std::condition_variable stop_;
  bool stopping_ = false;
  std::thread recheck_, comparing_;
};

/// What proves nothing is for the realm in which nothing is real.
Status KeystoreServer::check_realm() const {
  const auto mode = said_.evidence.mode;
  const bool simulated = mode == secrets::TeeMode::none || mode == secrets::TeeMode::simulated;
  if (!simulated || parts_.store.realm() == base::Realm::simulated) return base::done();
  return Error{Code::configuration, named(settings_, "keystore.tee_mode"), "evidence, sgx, sev, tdx or nitro",
               std::string{to_text(mode)},
               "A production server serves workers that prove what they are. Use `attestry dev` to try things out."};
}

Result<std::shared_ptr<secrets::MasterSource>> KeystoreServer::derived_from_root() const {
  const auto ask = [&masters = parts_.legacy_masters] {
    return masters.legacy_master(kDialect, std::chrono::steady_clock::now() + kStartPatience);
  };
  if (parts_.legacy_masters.waits()) {
    return std::shared_ptr<secrets::MasterSource>{secrets::threshold_source(ask, parts_.random)};
  }
  TRY(auto master, ask());
  return std::shared_ptr<secrets::MasterSource>{secrets::derived_source(std::move(master), parts_.random)};
}

Status KeystoreServer::open_masters() {
  KeystoreKeysOptions options{.allowed = said_.rules.broken};
  const std::string& master = settings_.text("keystore.master");
  if (master == "derived") {
    TRY(options.source, derived_from_root());
  } else if (master == "generated") {
    options.source = secrets::generated_source(parts_.random, [](const crypto::Secret& made) {
      base::log(base::LogLevel::warning,
                "keystore.master = generated: a new master was made; only this data folder and backups of it have it",
                {{"key_id", secrets::master_key_id(made)}});
      return base::done();
    });
  } else if (is_keystore_of_nodes(settings_)) {
    TRY(const auto network, keys::ckd::g2_from_text(settings_.text("threshold.master_public_key")));
    if (parts_.nodes == nullptr || !said_.dao)
      return Error{Code::configuration, "keystore.mpc = nodes needs more settings"};
    options.source = secrets::nodes_source(*parts_.nodes, said_.dao->text(), network);
  } else if (is_registered_keystore(settings_)) {
    TRY(registration_, KeystoreRegistration::open(settings_, parts_, said_, *http_, *reader_));
    options.source = registration_->source();
  } else {
    TRY(auto secret, read_keystore_master(settings_));
    options.source = secrets::imported_source(std::move(secret), parts_.random);
  }
  TRY(options.v0_seed, read_keystore_private_key(settings_));
  if (reader_ && said_.contract) {
    options.lister = std::make_shared<secrets::ContractLister>(*reader_, *said_.contract, parts_.clock,
                                                               said_.rules.seeds, kWalkPatience);
  }
  if (standby_) {
    options.wait_for_import = standby_->waits_for_masters();
    options.gate = standby_->gate();
  }
  options.vault_gate = [this](std::string_view vault, base::Deadline deadline) {
    return look_at_vault(vault, deadline);
  };
  TRY(keys_, KeystoreKeys::open(settings_, with_store(parts_, store()), std::move(options)));
  return base::done();
}

Status KeystoreServer::open_chain() {
  if (said_.chain.endpoints.empty()) return base::done();
  TRY(http_, net::HttpClient::make({.ca_file = settings_.text("keystore.rpc_ca"), .clock = &parts_.clock}),
      named(settings_, "keystore.rpc_ca"));
  auto options = said_.chain;
  options.clock = &parts_.clock;
  TRY(reader_, chain::near::QuorumReader::make(*http_, std::move(options)), "keystore.rpc");
  chain_ = std::make_unique<secrets::KeystoreChain>(
      *reader_, said_.contract, parts_.clock,
      secrets::KeystoreChainRules{.ttl = said_.chain_ttl, .access = said_.access});
  return base::done();
}

/// For walks, whose thread runs before there are vaults, because these need its masters.
Status KeystoreServer::look_at_vault(std::string_view vault, base::Deadline deadline) {
  if (!said_.dao) return base::done();
  if (!has_vaults_) return Error{Code::unavailable, "this server has only begun"};
  return vaults_->look(vault, deadline);
}

/// Which vaults are served is the DAO's to say, and where there is a key for it, this server tells it what it has seen.
Status KeystoreServer::open_vaults() {
  if (!said_.dao) return base::done();
  std::optional<secrets::KeystoreVaultSigner> signer;
  TRY(auto key, read_near_key(settings_, "keystore.dao_key"));
  if (registration_) {
    TRY(key, registration_->key());
  }
  if (key) {
    TRY(auto sender, chain::near::Sender::make(*http_, {.chain_id = said_.chain.chain_id,
                                                        .endpoints = said_.chain.endpoints,
                                                        .quorum = said_.chain.quorum,
                                                        .poll = kPoll,
                                                        .clock = &parts_.clock}));
    signer.emplace(std::move(sender), said_.dao_account.value_or(*said_.dao), *std::move(key));
  }
  vaults_ = std::make_unique<secrets::KeystoreVaults>(
      secrets::KeystoreVaultParts{
          .store = store(), .log = parts_.log, .masters = keys_->masters(), .reader = *reader_, .clock = parts_.clock},
      secrets::KeystoreVaultRules{.dao = *said_.dao, .mpc = said_.mpc, .ttl = said_.chain_ttl}, std::move(signer));
  has_vaults_ = true;
  return base::done();
}

void KeystoreServer::open_wallets() {
  wallets_ = std::make_unique<secrets::KeystoreWallets>(
      secrets::KeystoreWalletParts{
          .store = store(),
          .log = parts_.log,
          .keystore = *service_,
          .reader = reader_.get(),
          .contract = said_.contract,
          .random = parts_.random,
          .run_waiting = [this](std::string_view whose, auto& task) { return waiting_->run(whose, task); }},
      said_.wallets);
}

Status KeystoreServer::start_standby() {
  return standby_->start(
      keys_->masters(),
      {.carry = [this](base::ByteView key, base::ByteView value) { return sessions_->carry(key, value); },
       .take = [this](base::ByteView key, base::ByteView carried) { return sessions_->take(key, carried); },
       .reload = [this]() -> Status {
         TRY_OK(sessions_->reload());
         // What it served before it was the standby it serves on: a walk that cannot be gone on with is another matter.
         if (const auto walk = keys_->walk_again(); !walk) {
           base::log(base::LogLevel::error, "a walk over owners' secrets was not begun anew",
                     {{"reason", walk.error().text()}, {"do", "attestry keystore walk"}});
         }
         return base::done();
       }});
}

bool KeystoreServer::compares() const {
  return !said_.published_key_method.empty() && reader_ && said_.published_key_contract.has_value();
}

/// The first generation's start-up check (keystore_ckd.md 1.5): whoever encrypts asks the contract for the key. Until
/// it has succeeded nothing is served. `configuration` when another key is published; anything else is to be tried
/// again.
Status KeystoreServer::compare_published_key() {
  const auto deadline = parts_.clock.steady() + kStartPatience;
  // Of a standby it is compared once it serves.
  TRY(const auto seed, keys_->masters().v0_seed_though_held());
  TRY(const auto opened, secrets::keystore::V0Key::from_seed(seed.reveal()));
  const auto key = opened.public_key();
  TRY(const auto head, reader_->head(deadline), "keystore.rpc");
  TRY(const auto bytes,
      reader_->call(head, *said_.published_key_contract, said_.published_key_method,
                    base::to_bytes(std::string_view{"{}"}), deadline),
      "published key");
  TRY(const auto document, base::JsonDocument::parse(std::string{base::as_text(bytes)}), "published key");
  const auto root = document->root();
  const std::string found = root.is_null() ? "none" : root.string("published key").value_or("no text");
  if (found == base::hex(key)) {
    base::log(base::LogLevel::info, "✓ Public key verified - matches contract", {{"key", found}});
    keys_->masters().hold(std::nullopt);
    return base::done();
  }
  return Error{Code::configuration, std::string{kMismatch}, base::hex(key), found,
               "Publish it: `attestry keystore publish-key`, or start with the key that is published "
               "(keystore.private_key)."};
}

void KeystoreServer::hold_back(const Error& why) {
  keys_->masters().hold(Error{Code::unavailable, "the published key was not compared yet", {}, why.text()});
}

/// A contract that names another key ends the start; one that does not answer, or a device that is away, does not.
Status KeystoreServer::compare_at_start() {
  if (!compares()) return base::done();
  hold_back({Code::unavailable, "nobody was asked yet"});
  const auto done = compare_published_key();
  if (done) return done;
  if (done.error().code == Code::configuration && done.error().what == kMismatch) return done;
  hold_back(done.error());
  base::log(base::LogLevel::warning, "the keystore serves once its published key was compared",
            {{"reason", done.error().text()}});
  comparing_ = std::thread([this] { compare_until_done(); });
  return base::done();
}

void KeystoreServer::compare_until_done() {
  std::string said;
  std::unique_lock lock{stop_mutex_};
  while (!stop_.wait_for(lock, kCompareAgain, [this] { return stopping_; })) {
    lock.unlock();
    const auto done = compare_published_key();
    if (done) return;
    hold_back(done.error());
    lock.lock();
    if (stopping_) return;
    lock.unlock();
    if (said != done.error().text()) {
      said = done.error().text();
      base::log(base::LogLevel::warning, "the published key could not be compared", {{"reason", said}});
    }
    lock.lock();
  }
}

void KeystoreServer::warn_of_weak_settings() const {
  const auto warn = [&](bool weak, std::string_view name, std::string_view consequence) {
    if (!weak) return;
    base::log(base::LogLevel::warning, std::string{name} + ": " + std::string{consequence},
              {{"setting", settings_.origin(name)}});
  };
  warn(said_.routes.tokens.workers.empty(), "keystore.worker_tokens", "empty: every worker is refused");
  warn(said_.routes.tokens.coordinators.empty(), "keystore.coordinator_tokens", "empty: every coordinator is refused");
  warn(said_.rules.trust_registered_keys, "keystore.trust_registered_keys",
       "whoever holds a key of the operator's account gets secrets, whatever runs there");
  warn(said_.routes.plaintext_replies, "keystore.plaintext_replies", "whoever ends TLS in front of here reads secrets");
  warn(said_.routes.raw_seeds, "keystore.raw_seeds", "any worker reads everything of the default master");
  warn(said_.wallets.inline_policy, "keystore.inline_policy",
       "whoever has a coordinator's token sets wallets' policies");
  warn(said_.wallets.without_policy, "keystore.wallets_without_policy",
       "whoever has a coordinator's token moves what wallets without a policy have");
  warn(said_.wallets.export_keys, "keystore.export_keys", "private keys leave, and nobody sees what they sign");
  warn(said_.rules.broken.public_key_as_key, "keystore.broken_public_key_cipher", "what is read was never secret");
  warn(said_.rules.broken.xor_v0, "keystore.broken_xor_cipher", "what is read was never secret");
  warn(said_.rules.seeds.colons, "keystore.seed_colons", "two owners may share a key");
  warn(said_.access.empty_allow_all, "keystore.empty_allow_all", "a condition that says nothing lets everybody in");
  warn(said_.routes.old_status, "keystore.old_status", "an outage looks like a denial");
  warn(!said_.routes.bind_channel, "keystore.bind_channel",
       "off: whoever learns a session's id uses it from elsewhere");
}

Status KeystoreServer::open() {
  TRY(said_, read_keystore_settings(settings_));
  TRY_OK(check_realm());
  if (said_.evidence.audience.empty()) said_.evidence.audience = parts_.log.origin();
  TRY_OK(open_chain());
  TRY(standby_, KeystoreStandbyService::open(settings_, parts_), "keystore");
  TRY_OK(open_masters(), "keystore");
  TRY(sessions_, secrets::KeystoreSessions::open(store(), parts_.sealing(kSessionSealing), parts_.random,
                                                 {.seconds = said_.rules.session_seconds}));
  evidence_ = std::make_unique<secrets::KeystoreEvidence>(parts_.appraiser, said_.evidence);
  waiting_ = std::make_unique<api::FairLane>();
  TRY_OK(open_vaults());
  TRY(service_, secrets::KeystoreService::open(
                    {.store = store(),
                     .log = parts_.log,
                     .masters = keys_->masters(),
                     .sessions = *sessions_,
                     .evidence = *evidence_,
                     .chain = chain_.get(),
                     .vaults = vaults_.get(),
                     .random = parts_.random,
                     .clock = parts_.clock,
                     .run_waiting = [this](std::string_view whose, auto& task) { return waiting_->run(whose, task); }},
                    said_.rules));
  open_wallets();
  if (standby_) TRY_OK(start_standby());
  TRY_OK(compare_at_start());
  warn_of_weak_settings();
  recheck_ = std::thread([this] { recheck_now_and_then(); });
  return base::done();
}

void KeystoreServer::recheck_now_and_then() {
  std::unique_lock lock{stop_mutex_};
  while (!stop_.wait_for(lock, seconds(said_.recheck_seconds), [this] { return stopping_; })) {
    lock.unlock();
    const auto ended = service_->recheck(kRecheckPatience, [this] {
      const std::scoped_lock still{stop_mutex_};
      return !stopping_;
    });
    if (!ended)
      base::log(base::LogLevel::warning, "workers' keys could not be looked up", {{"reason", ended.error().text()}});
    lock.lock();
  }
}

void KeystoreServer::stop() {
  {
    const std::scoped_lock lock{stop_mutex_};
    stopping_ = true;
  }
  stop_.notify_all();
  // No thread that is waited for here waits for a node of the chain.
  if (http_) http_->stop();
  if (recheck_.joinable()) recheck_.join();
  if (comparing_.joinable()) comparing_.join();
  if (waiting_) waiting_->stop();
  if (keys_) keys_->stop();
  if (standby_) standby_->stop();
}

Status KeystoreServer::add_routes(net::Router& router) {
  TRY_OK(keys_->add_routes(router));
  if (standby_) TRY_OK(standby_->add_routes(router));
  return api::register_keystore(
      router, {.service = *service_,
               .random = parts_.random,
               .clock = parts_.clock,
               .metrics = parts_.metrics,
               .rules = said_.routes,
               .wallets = wallets_.get(),
               .vaults = vaults_.get(),
               .run_waiting = [this](std::string_view whose, auto& task) { return waiting_->run(whose, task); }});
}

Result<std::vector<std::pair<std::string, net::Listener>>> KeystoreServer::listeners(std::string_view chain_pem,
                                                                                     std::string_view key_pem) const {
  net::Listener listener{said_.listen, {net::Role::keystore}};
  if (!chain_pem.empty() && !said_.listen.starts_with("unix:")) {
    TRY(listener.tls,
        net::TlsServerContext::from_pem(chain_pem, key_pem, {.certificates = net::TlsClients::Certificates::asked}));
  }
  std::vector<std::pair<std::string, net::Listener>> out;
  out.emplace_back("keystore", std::move(listener));
  return out;
}

void KeystoreServer::update_metrics() const {
  auto& metrics = parts_.metrics;
  keys_->update_metrics();
  if (standby_) standby_->update_metrics();
  metrics.gauge("attestry_keystore_sessions", "Workers with a session").set(static_cast<double>(sessions_->size()));
  metrics.gauge("attestry_keystore_oldest_look_seconds", "Since a worker's key was looked up that has waited longest")
      .set(static_cast<double>(service_->oldest_look().count()));
  if (!reader_) return;
  const auto now = reader_->status();
  const bool held = !now.head || !now.alarm.empty();
  metrics.gauge("attestry_keystore_chain_stalled", "Whether nothing is believed of the chain").set(held ? 1 : 0);
  if (!now.head) return;
  metrics.gauge("attestry_keystore_chain_head_age_seconds", "Since the time of the newest final block")
      .set(static_cast<double>(parts_.clock.now().seconds - now.head->time.seconds));
}

}  // namespace

Result<std::unique_ptr<Service>> open_keystore(const Settings& settings, const ServiceParts& parts) {
  if (settings.text("keystore.listen").empty()) return std::unique_ptr<Service>{};
  auto server = std::make_unique<KeystoreServer>(settings, parts);
  TRY_OK(server->open(), "keystore");
  return std::unique_ptr<Service>{std::move(server)};
}

}  // namespace attestry::app
