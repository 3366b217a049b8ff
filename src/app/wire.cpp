#include "app/wire.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <filesystem>

#include "api/api.h"
#include "app/local_blobs.h"
#include "app/loopback.h"
#include "app/paths.h"
#include "app/validate.h"
#include "app/version.h"
#include "app/wire_keymanager.h"
#include "app/wire_keystore.h"
#include "app/wire_node.h"
#include "app/wire_registry.h"
#include "app/wire_threshold.h"
#include "app/wire_tracker.h"
#include "app/wire_vault.h"
#include "base/encoding.h"
#include "base/log.h"
#include "blobs/sealing.h"
#include "collateral/fixed_source.h"
#include "collateral/metrics.h"
#include "collateral/vault.h"
#include "collateral/vendors.h"
#include "crypto/hash.h"
#include "crypto/x509.h"
#include "keys/root_file.h"
#include "net/request_metrics.h"
#include "net/server.h"
#include "state/file.h"

namespace attestry::app {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

/// Many systems start programs with 1024 open files at most and let them have more for the asking. Connections go to
/// chains, storage and files as well.
void allow_open_files(std::size_t connections) {
  const rlim_t wanted = 2 * connections + 1024;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return;
  limit.rlim_cur = std::min(wanted, limit.rlim_max);
  if (::setrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur == wanted) return;
  base::log(
      base::LogLevel::warning, "open files",
      {{"limit", std::to_string(limit.rlim_cur)}, {"wanted", std::to_string(wanted)}, {"remedy", "LimitNOFILE="}});
}

constexpr std::size_t kTokenBytes = 32;
constexpr std::size_t kOperatorThreads = 4;
constexpr std::int64_t kOwnCertificateSeconds = 90 * 24 * 3600;
constexpr std::string_view kUnlockRemedy =
    "Make a key file outside the data folder, `install -d -m 700 /etc/attestry && (umask 077; head -c 32 /dev/urandom "
    "> /etc/attestry/root.key)`, keep a "
    "copy apart from the backup of the data, and say `--unlock file:/etc/attestry/root.key`; or use a passphrase: "
    "`--set unlock.kind=passphrase --unlock file:PATH`.";

Result<std::string> read_small(const std::string& path) {
  TRY(const auto bytes, state::system_files().read(path, 64 * 1024));
  if (!bytes) return std::string{};
  std::string text{base::as_text(*bytes)};
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return text;
}

Status write_private(const std::string& path, std::string_view text) {
  return state::replace_file(state::system_files(), path, base::as_bytes(text));
}

/// Paths inside the data folder.
struct Layout {
  std::string data;
  std::string root() const { return data + "/root.json"; }
  std::string root_key() const { return data + "/root.key"; }
  std::string store() const { return data + "/store.db"; }
  std::string checkpoint() const { return data + "/checkpoint"; }
  std::string token() const { return data + "/admin.token"; }
  std::string tls_certificate() const { return data + "/tls.pem"; }
  std::string tls_key() const { return data + "/tls.key"; }
};

Status make_data_folder(const std::string& path) {
  std::error_code failed;
  std::filesystem::create_directories(path, failed);
  if (failed) return Error{Code::io, "cannot create the data folder " + path, {}, failed.message()};
  if (::chmod(path.c_str(), 0700) != 0)
    return Error{Code::io, "cannot close the data folder " + path + " to others", {}, std::strerror(errno)};
  return base::done();
}

/// A copy of the data folder must not hold what opens it. Compared as the system resolves them: "..", links, and
/// relative names.
bool lies_in_data_folder(const std::string& source, const std::string& data) {
  constexpr std::string_view kFile = "file:";
  if (!source.starts_with(kFile)) return false;
  std::error_code failed;
  const auto folder = std::filesystem::weakly_canonical(std::filesystem::absolute(data, failed) / "", failed);
  if (failed) return false;
  const auto file =
      std::filesystem::weakly_canonical(std::filesystem::absolute(source.substr(kFile.size()), failed), failed);
  if (failed) return false;
  const auto inside = std::filesystem::relative(file, folder, failed);
  return !failed && !inside.empty() && *inside.begin() != "..";
}

Error unlock_lies_inside(const Settings& settings) {
  return {Code::configuration, "what opens the root file lies in the data folder: whoever copies the folder has both",
          "a place outside " + settings.text("server.data"), settings.text("unlock.source"),
          std::string{kUnlockRemedy}};
}

Status check_unlock_in(const Settings& settings, base::Realm realm) {
  const std::string& kind = settings.text("unlock.kind");
  if (kind != "key-file" && kind != "passphrase")
    return Error{Code::configuration, "unlock.kind (" + settings.origin("unlock.kind") + ")", "key-file or passphrase",
                 kind};
  if (!settings.text("unlock.source").empty()) return base::done();
  if (kind == "key-file" && realm == base::Realm::simulated) return base::done();
  return Error{Code::configuration, "unlock.source is not set: it names what opens the root file",
               "file:PATH, fd:N or credential:NAME", "", std::string{kUnlockRemedy}};
}

Result<keys::Unlock> read_unlock(const Settings& settings, const Layout& layout, base::Realm realm, bool first_start) {
  TRY_OK(check_unlock_in(settings, realm));
  const auto kind =
      settings.text("unlock.kind") == "passphrase" ? keys::Unlock::Kind::passphrase : keys::Unlock::Kind::key_file;
  std::string source = settings.text("unlock.source");
  if (source.empty()) {
    // The simulated realm alone comes here. There is nothing to protect in it.
    source = "file:" + layout.root_key();
    TRY(const bool have_key, present(layout.root_key()));
    if (first_start && !have_key) {
      const auto key = crypto::system_random().secret(32);
      TRY_OK(write_private(layout.root_key(), base::hex(key.reveal())), "key file");
      base::log(base::LogLevel::warning,
                "made a key file beside the root file: it protects nothing; for simulated data only",
                {{"path", layout.root_key()}});
    }
  } else if (realm == base::Realm::production && lies_in_data_folder(source, layout.data)) {
    const auto problem = unlock_lies_inside(settings);
    if (first_start) return problem;
    base::log(base::LogLevel::warning, problem.what, {{"unlock.source", source}});
  }
  TRY(auto unlock, keys::read_unlock(kind, source), named(settings, "unlock.source"));
  TRY_OK(long_enough(unlock, settings));
  return unlock;
}

/// The two settings that a wrong key can come from.
Error not_opened(Error error, const Settings& settings) {
  if (error.code != Code::wrong_key) return error;
  error.remedy = "Nothing was changed. unlock.source is " + settings.text("unlock.source") + " (" +
                 settings.origin("unlock.source") + ") and unlock.kind is " + settings.text("unlock.kind") + " (" +
                 settings.origin("unlock.kind") +
                 "): set them to the key file, or with unlock.kind passphrase to the passphrase, that this data folder "
                 "was made with.";
  return error;
}

/// On a first start with a key of its own the key is read before the data folder is made: a descriptor can be read
/// only once, and a start that fails leaves nothing behind.
Result<keys::RootFile> open_root(const Settings& settings, const Layout& layout, base::Realm realm) {
  TRY(const bool have_root, present(layout.root()));
  TRY(const bool have_store, present(layout.store()));
  const bool first_start = !have_root;
  // A store without its root file is a lost root, not a first start: making a new one would orphan every app key.
  if (first_start && have_store) {
    return Error{Code::configuration,
                 "the store is here but the root file is not: " + layout.root(),
                 {},
                 {},
                 "Restore the root file from your backup, or start with an empty data folder."};
  }
  if (first_start && settings.text("unlock.source").empty()) TRY_OK(make_data_folder(layout.data));
  TRY(const auto unlock, read_unlock(settings, layout, realm, first_start));
  TRY_OK(make_data_folder(layout.data));
  if (!first_start) {
    auto opened = keys::open_root_file(layout.root(), realm, unlock);
    if (!opened) return not_opened(opened.error(), settings);
    return opened;
  }
  std::string origin = settings.text("server.origin");
  if (origin.empty()) origin = "attestry.local/" + base::hex(crypto::system_random().bytes<8>());
  TRY(auto made, keys::create_root_file(layout.root(), realm, std::move(origin), unlock, crypto::system_random()));
  base::log(base::LogLevel::info, "first start: made a root of keys",
            {{"path", layout.root()}, {"origin", made.origin}});
  return made;
}

Result<std::string> admin_token(const Layout& layout) {
  TRY(auto token, read_small(layout.token()), "admin token");
  if (!token.empty()) return token;
  token = base::base64url(crypto::system_random().bytes<kTokenBytes>());
  TRY_OK(write_private(layout.token(), token + "\n"), "admin token");
  return token;
}

/// A self-signed certificate for loopback and the listener's name, renewed at every start.
Result<std::pair<std::string, std::string>> own_certificate(base::UtcTime now) {
  auto& random = crypto::system_random();
  const auto key = crypto::EcPrivateKey::generate(crypto::Curve::p256, random);
  const auto spki = key.public_key().spki();
  auto serial = base::to_bytes(random.bytes<16>());
  serial[0] = static_cast<std::uint8_t>((serial[0] & 0x7f) | 0x40);
  const std::vector<crypto::NameField> name{{"2.5.4.3", "attestry", false}};
  const crypto::CertificateSpec spec{
      .serial = serial,
      .subject = name,
      .issuer = name,
      .issuer_der = {},
      .not_before = now - 300,
      .not_after = now + kOwnCertificateSeconds,
      .spki = spki,
      .extensions = {
          {"2.5.29.19", true, crypto::der::basic_constraints(true, 0u)},
          {"2.5.29.15", true, crypto::der::key_usage(crypto::der::digital_signature | crypto::der::key_cert_sign)},
          {"2.5.29.37", false, crypto::der::extended_key_usage({"1.3.6.1.5.5.7.3.1"})},
          {"2.5.29.14", false, crypto::der::subject_key_id(spki)},
          {"2.5.29.17", false, crypto::der::subject_alt_name({"localhost"}, {}, {{127, 0, 0, 1}})}}};
  TRY(const auto der, crypto::issue_certificate(spec, key), "own certificate");
  const auto pkcs8 = key.pkcs8();
  return std::pair{base::pem_encode("CERTIFICATE", der), base::pem_encode("PRIVATE KEY", pkcs8.reveal())};
}

struct Tls {
  std::shared_ptr<net::TlsServerContext> context;
  std::string own_certificate;
  std::string chain_pem{};  ///< for listeners with a context of their own; empty with mode off
  std::string key_pem{};
};

Result<Tls> make_tls(const Settings& settings, const Layout& layout, base::UtcTime now) {
  const std::string& mode = settings.text("tls.mode");
  Tls tls;
  if (mode == "off") return tls;
  if (mode == "files") {
    TRY(tls.context, net::TlsServerContext::from_files(settings.text("tls.certificate"), settings.text("tls.key")),
        "tls");
    TRY(tls.chain_pem, read_small(settings.text("tls.certificate")));
    TRY(tls.key_pem, read_small(settings.text("tls.key")));
    return tls;
  }
  TRY(auto made, own_certificate(now));
  TRY(tls.context, net::TlsServerContext::from_pem(made.first, made.second), "tls");
  TRY_OK(write_private(layout.tls_certificate(), made.first), "own certificate");
  tls.chain_pem = made.first;
  tls.key_pem = std::move(made.second);
  tls.own_certificate = std::move(made.first);
  return tls;
}

}  // namespace

/// Members in the order of their making: each may use those above it, and all are gone in reverse.
struct RunningServer::Impl {
  Layout layout;
  std::string own_certificate;
  bool has_metrics = false;
  std::chrono::seconds bootstrap_timeout{0};
  std::unique_ptr<attestation::Verifier> verifier;
  std::unique_ptr<state::Store> store;
  std::unique_ptr<audit::Log> log;
  net::Health health;
  /// One for each kind of service, because each may be trusted under a CA of its own.
  std::unique_ptr<net::HttpClient> pcs_http;
  std::unique_ptr<net::HttpClient> kds_http;
  std::unique_ptr<net::HttpClient> issuers_http;
  std::unique_ptr<collateral::PcsClient> pcs;
  std::unique_ptr<collateral::KdsClient> kds;
  std::unique_ptr<collateral::JwksClient> jwks;
  std::unique_ptr<collateral::Vendors> vendors;
  std::unique_ptr<collateral::Vault> vault;
  std::unique_ptr<collateral::FixedSource> fixed;
  collateral::CollateralSource* source = nullptr;
  std::unique_ptr<appraisal::Appraiser> appraiser;
  std::unique_ptr<appraisal::Challenges> challenges;
  std::unique_ptr<governance::Registry> registry;
  std::unique_ptr<keys::LocalRoot> local;
  std::unique_ptr<ThresholdKeys> threshold;
  const keys::AppRootSource* roots = nullptr;           ///< one of these two
  const keys::LegacyMasters* legacy_masters = nullptr;  ///< likewise
  std::unique_ptr<secrets::SecretStore> secrets;
  std::unique_ptr<blobs::SealerEpochs> sealer_epochs;
  std::unique_ptr<blobs::Sealer> sealer;
  std::unique_ptr<keys::SealedMaster> sealed_master;
  std::unique_ptr<provision::SealingRotation> sealing;
  std::unique_ptr<appraisal::AppraisalStore> appraisals;
  std::unique_ptr<provision::Registrar> registrar;
  std::unique_ptr<RegistryService> registry_dialect;
  std::vector<std::pair<std::string, std::size_t>> registry_listeners;  ///< for whom, and which of the server's
  struct Dialect {
    std::unique_ptr<Service> service;
    std::vector<std::pair<std::string, std::size_t>> listeners;
  };
  std::vector<Dialect> dialects;
  net::Metrics metrics;
  net::RequestMetrics request_metrics{metrics};
  std::unique_ptr<collateral::VaultMetrics> vault_metrics;
  crypto::Secret idempotency_key;
  std::unique_ptr<api::SlowLane> slow;
  std::unique_ptr<api::SlowLane> operators_lane;
  std::unique_ptr<api::Deps> deps;
  std::shared_ptr<net::Router> router = std::make_shared<net::Router>();
  std::unique_ptr<net::Server> server;

  Status open_rooms(const Settings& settings, Seams& seams, base::Realm realm);
  Status open_source(const Settings& settings, const Seams& seams);
  Status open_roots(const Settings& settings, const Seams& seams, crypto::Secret root);
  Status open_sealing(const Settings& settings, crypto::Secret blob_sealing);
  Status open_services(const Settings& settings, const Seams& seams, const crypto::Secret& sealing_key);
  Status service_listeners(std::string_view chain_pem, std::string_view key_pem, net::ServerOptions& options);
  Status listen(const Settings& settings, const Seams& seams);
};

namespace {

Result<std::unique_ptr<net::HttpClient>> http_client(const Settings& settings, std::string_view ca,
                                                     const base::Clock* clock) {
  TRY(auto http, net::HttpClient::make({.ca_file = settings.text(ca), .clock = clock}), ca);
  return http;
}

Result<collateral::VaultOptions> vault_options(const Settings& settings, const base::Clock* clock) {
  constexpr std::int64_t kMost = INT64_MAX;  // the ranges are mistakes_in's
  collateral::VaultOptions out;
  TRY(out.refresh_seconds, settings.integer("collateral.refresh_seconds", 1, kMost));
  TRY(out.max_stale_seconds, settings.integer("collateral.max_stale_seconds", 1, kMost));
  TRY(const auto alarm_hours, settings.integer("collateral.alarm_hours", 1, 24 * 365));
  TRY(const auto queue, settings.integer("collateral.max_queue", 1, 100'000));
  TRY(out.scarce_seconds, settings.integer("collateral.kds_vcek_seconds", 0, kMost));
  TRY(out.scarce_burst, settings.integer("collateral.kds_vcek_burst", 1, kMost));
  TRY(const auto unused_days, settings.integer("collateral.unused_vcek_days", 1, 36'500));
  out.unused_vcek_seconds = unused_days * 86400;
  TRY(out.host_fetches_per_minute, settings.integer("collateral.host_fetches_per_minute", 0, kMost));
  out.alarm_seconds = alarm_hours * 3600;
  out.max_queue = static_cast<std::size_t>(queue);
  out.clock = clock;
  return out;
}

/// For a disk that is slow to start.
constexpr std::chrono::seconds kImportPatience{60};

/// What the operator gives besides Intel's: into the vault, if it is authentic. A key set in a folder does not say
/// whose it is, unless there is one issuer only.
Status import_files(const std::vector<std::string>& files, const Settings& settings, const base::Clock& clock,
                    collateral::Vault& vault) {
  const base::UtcTime now = clock.now();
  TRY(const auto bundles, collateral::read_bundles(files));
  const auto issuers = settings.list("collateral.issuers");
  for (const auto& [path, bundle] : bundles) {
    // A restart must not take an old file for something that was just fetched.
    const collateral::Provenance from{.source = "file " + path,
                                      .issuer = issuers.size() == 1 ? issuers.front() : std::string{},
                                      .fetched_at = bundle.modified};
    TRY(const auto imported, vault.import(bundle.items, from, now, clock.steady() + kImportPatience));
    for (const auto& one : imported) {
      if (one.outcome != collateral::Imported::Outcome::refused) continue;
      base::log(base::LogLevel::warning, "collateral of a file was not taken",
                {{"path", path}, {"artefact", one.name}, {"reason", one.reason}});
    }
  }
  return base::done();
}

}  // namespace

Status RunningServer::Impl::open_source(const Settings& settings, const Seams& seams) {
  TRY(const bool offline, settings.boolean("collateral.offline"));
  const auto files = settings.list("collateral.files");
  if (!offline) {
    TRY(pcs_http, http_client(settings, "collateral.ca", seams.clock));
    TRY(kds_http, http_client(settings, "collateral.kds_ca", seams.clock));
    TRY(issuers_http, http_client(settings, "collateral.issuers_ca", seams.clock));
    pcs = std::make_unique<collateral::PcsClient>(*pcs_http,
                                                  collateral::PcsOptions{.base_url = settings.text("collateral.pcs")});
    kds = std::make_unique<collateral::KdsClient>(*kds_http,
                                                  collateral::KdsOptions{.base_url = settings.text("collateral.kds")});
    jwks = std::make_unique<collateral::JwksClient>(*issuers_http);
    vendors = std::make_unique<collateral::Vendors>(pcs.get(), kds.get(), jwks.get());
  }
  TRY(const auto options, vault_options(settings, seams.clock));
  vault = std::make_unique<collateral::Vault>(vendors.get(), *verifier, store.get(), options);
  health.set("collateral", true);
  vault->on_alarms([this](const std::vector<collateral::Alarm>& alarms) {
    std::string reason;
    for (const auto& alarm : alarms) {
      reason += (reason.empty() ? "" : "; ") + to_text(alarm.artefact) + " can be used until " +
                base::to_rfc3339(alarm.usable_until);
    }
    // Still ready: what is held is good until then.
    health.set("collateral", true, std::move(reason));
  });
  source = vault.get();
  if (!files.empty()) {
    TRY_OK(import_files(files, settings, *seams.clock, *vault), "collateral.files");
    TRY(fixed, collateral::FixedSource::by_platform(files, vault.get()), "collateral.files");
    source = fixed.get();
  }
  vault_metrics = std::make_unique<collateral::VaultMetrics>(metrics, *verifier, vault.get());
  return base::done();
}

namespace {

/// The store's epochs, as what seals files sees them.
class BlobEpochs final : public blobs::SealerEpochs {
 public:
  explicit BlobEpochs(const keys::SealingEpochs& epochs) : epochs_(epochs) {}
  Result<std::uint32_t> current(const base::Tenant& tenant) const override {
    TRY(const auto state, epochs_.state(tenant));
    return state.current;
  }
  Status readable(const base::Tenant& tenant, std::uint32_t epoch) const override {
    TRY(const auto state, epochs_.state(tenant));
    if (epoch >= state.oldest) return base::done();
    return Error{Code::denied, "it was sealed in a retired epoch", std::to_string(state.oldest) + " or later",
                 std::to_string(epoch)};
  }
  Result<crypto::Secret> key(const base::Tenant& tenant, std::uint32_t epoch) const override {
    return epochs_.key(tenant, epoch, "blobs");
  }

 private:
  const keys::SealingEpochs& epochs_;
};

}  // namespace

Status RunningServer::Impl::open_sealing(const Settings& settings, crypto::Secret blob_sealing) {
  sealer_epochs = std::make_unique<BlobEpochs>(secrets->epochs());
  const std::string first_keys = layout.data + "/registry-keys";
  TRY(sealer,
      blobs::open_tenant_sealer(first_keys, std::move(blob_sealing), crypto::system_random(), sealer_epochs.get()));
  TRY(const auto pause, settings.integer("state.reseal_pause_ms", 0, 60'000));
  sealing = std::make_unique<provision::SealingRotation>(
      provision::SealingRotationDeps{.store = *store,
                                     .log = *log,
                                     .secrets = *secrets,
                                     .master = *sealed_master,
                                     .sealer = *sealer,
                                     .files = local_blobs_folder(layout.data),
                                     .cache = layout.data + "/registry-cache",
                                     .first_keys = first_keys,
                                     .pause = std::chrono::milliseconds(pause)});
  return base::done();
}

Status RunningServer::Impl::open_roots(const Settings& settings, const Seams& seams, crypto::Secret root) {
  std::vector<Error> mistakes;
  const auto said = read_threshold_settings(settings, mistakes);
  TRY_OK(first_of(mistakes));
  TRY_OK(check_key_source(*store, *log, said));
  if (!said.used) {
    local = std::make_unique<keys::LocalRoot>(std::move(root));
    roots = local.get();
    legacy_masters = local.get();
    return base::done();
  }
  TRY(threshold, ThresholdKeys::open(settings, said,
                                     {.source = {.appraiser = *appraiser,
                                                 .registry = *registry,
                                                 .random = crypto::system_random(),
                                                 .clock = *seams.clock},
                                      .health = health,
                                      .instead = seams.nodes}));
  roots = &threshold->root();
  legacy_masters = &threshold->root();
  return base::done();
}

Status RunningServer::Impl::open_rooms(const Settings& settings, Seams& seams, base::Realm realm) {
  TRY(auto root, open_root(settings, layout, realm));
  const std::string& origin = settings.text("server.origin");
  if (!origin.empty() && origin != root.origin) {
    return Error{Code::configuration, "server.origin differs from the root file's", root.origin, origin,
                 "The origin is fixed at creation; remove the setting or use another data folder."};
  }
  std::vector<std::string> issuers = seams.anchors.token_issuers();
  for (std::string& issuer : settings.list("collateral.issuers")) issuers.push_back(std::move(issuer));
  TRY(auto anchors, seams.anchors.with_token_issuers(std::move(issuers)), "collateral.issuers");
  verifier = std::make_unique<attestation::Verifier>(std::move(anchors));
  TRY(const bool confirm_clock, settings.boolean("state.confirm_clock"));
  TRY(store,
      state::Store::open(
          {.path = layout.store(), .realm = realm, .clock = seams.clock, .confirm_clock = confirm_clock}),
      "store");
  TRY(auto log_key, crypto::Ed25519PrivateKey::from_seed(root.keys.log_seed.reveal()), "log key");
  TRY(const bool accept_missing, settings.boolean("audit.accept_missing_checkpoint"));
  const std::string& checkpoint = settings.text("audit.checkpoint");
  TRY(log,
      audit::Log::open(*store, std::move(log_key),
                       {.origin = root.origin,
                        .checkpoint_path = checkpoint.empty() ? layout.checkpoint() : checkpoint,
                        .accept_missing_checkpoint = accept_missing,
                        .files = seams.files}),
      "log");
  TRY_OK(open_source(settings, seams));
  auto& random = crypto::system_random();
  TRY(const auto longest, settings.integer("collateral.timeout_seconds", 1, 3600));
  appraiser = std::make_unique<appraisal::Appraiser>(*verifier, *source, std::chrono::seconds(longest), *seams.clock);
  challenges = std::make_unique<appraisal::Challenges>(std::move(root.keys.challenge_mac), random);
  registry = std::make_unique<governance::Registry>(*store, *log, realm, root.origin);
  auto master_sealing =
      crypto::hkdf_sha256({}, root.keys.sealing.reveal(), base::as_bytes("attestry/registry-master/v1"), 32);
  auto blob_sealing = crypto::hkdf_sha256({}, root.keys.sealing.reveal(), base::as_bytes("attestry/blobs/v1"), 32);
  const crypto::Secret sealing_key = crypto::Secret::copy_of(root.keys.sealing.reveal());
  TRY_OK(open_roots(settings, seams, std::move(root.keys.root)));
  idempotency_key = crypto::hkdf_sha256({}, root.keys.sealing.reveal(), base::as_bytes("attestry/idempotency/v1"), 32);
  secrets = std::make_unique<secrets::SecretStore>(*store, std::move(root.keys.sealing), random);
  sealed_master = std::make_unique<keys::SealedMaster>(secrets->epochs(), std::move(master_sealing), random);
  TRY_OK(open_sealing(settings, std::move(blob_sealing)));
  TRY(const auto retention, retention_of(settings));
  appraisals = std::make_unique<appraisal::AppraisalStore>(*store, retention);
  registrar = std::make_unique<provision::Registrar>(provision::RegistrarDeps{
      *store, *log, *challenges, *appraiser, *registry, *roots, *secrets, random, *seams.clock, *appraisals,
      [this](std::move_only_function<void()>& task) { return threshold && threshold->run_waiting(task); }});
  TRY(const auto patience, settings.integer("registry.bootstrap_timeout", 0, INT64_MAX));  // the range is mistakes_in's
  bootstrap_timeout = std::chrono::seconds(patience);
  TRY(registry_dialect, RegistryService::open(settings, {.store = *store,
                                                         .log = *log,
                                                         .appraiser = *appraiser,
                                                         .registry = *registry,
                                                         .appraisals = *appraisals,
                                                         .clock = *seams.clock,
                                                         .data = layout.data,
                                                         .legacy_masters = *legacy_masters,
                                                         .sealed_master = *sealed_master,
                                                         .sealer = *sealer}));
  return open_services(settings, seams, sealing_key);
}

Status RunningServer::Impl::open_services(const Settings& settings, const Seams& seams,
                                          const crypto::Secret& sealing_key) {
  const ServiceParts parts{.store = *store,
                           .log = *log,
                           .appraiser = *appraiser,
                           .challenges = *challenges,
                           .registry = *registry,
                           .appraisals = *appraisals,
                           .roots = *roots,
                           .secrets = *secrets,
                           .rotation = *sealing,
                           .random = crypto::system_random(),
                           .clock = *seams.clock,
                           .metrics = metrics,
                           .health = health,
                           .data = layout.data,
                           .sealing =
                               [&](std::string_view purpose) {
                                 return crypto::hkdf_sha256({}, sealing_key.reveal(), base::as_bytes(purpose), 32);
                               },
                           .legacy_masters = *legacy_masters,
                           .nodes = threshold ? &threshold->root() : nullptr};
  for (const auto open : {open_keymanager, open_keystore, open_vault, open_tracker, open_node}) {
    TRY(auto service, open(settings, parts));
    if (service) dialects.push_back({.service = std::move(service), .listeners = {}});
  }
  return base::done();
}

Status RunningServer::Impl::service_listeners(std::string_view chain_pem, std::string_view key_pem,
                                              net::ServerOptions& options) {
  for (auto& [service, listeners] : dialects) {
    TRY(auto more, service->listeners(chain_pem, key_pem));
    for (auto& [name, listener] : more) {
      listeners.emplace_back(name, options.listeners.size());
      options.listeners.push_back(std::move(listener));
    }
  }
  return base::done();
}

/// Of "http://127.0.0.1:8081"; 0 where there is none (a socket in the file system).
static unsigned port_of(const std::string& url) {
  unsigned out = 0;
  const auto colon = url.rfind(':');
  if (colon != std::string::npos) std::from_chars(url.data() + colon + 1, url.data() + url.size(), out);
  return out;
}

Status RunningServer::Impl::listen(const Settings& settings, const Seams& seams) {
  TRY(const auto token, admin_token(layout));
  deps = std::make_unique<api::Deps>(api::Deps{*store, *log, *registry, *secrets, *challenges, *appraiser, *registrar,
                                               *appraisals, metrics, health, std::string{kVersion},
                                               std::move(idempotency_key)});
  deps->sealing = sealing.get();
  deps->authenticate = api::make_authenticator(crypto::sha256(base::as_bytes(token)));
  deps->update_metrics = [this] {
    vault_metrics->update();
    if (registry_dialect) registry_dialect->update_metrics(metrics);
    for (const auto& offered : dialects) offered.service->update_metrics();
  };
  slow = std::make_unique<api::SlowLane>();
  operators_lane = std::make_unique<api::SlowLane>(kOperatorThreads);
  deps->vault = vault.get();
  deps->slow = slow.get();
  deps->operators = operators_lane.get();
  deps->clock = seams.clock;
  TRY(deps->serving, api::serving_from(settings.text("collateral.serve")), "collateral.serve");
  TRY(const auto patience, settings.integer("collateral.timeout_seconds", 1, 3600));
  deps->patience = std::chrono::seconds(patience);
  TRY(const auto services, api::services_from(settings.text("server.services")), "server.services");
  TRY_OK(api::add_routes(*router, *deps, services), "routes");
  if (registry_dialect) TRY_OK(registry_dialect->add_routes(*router), "routes of the registry");
  for (const auto& offered : dialects) TRY_OK(offered.service->add_routes(*router), "routes of a service");
  router->set_authenticator(deps->authenticate);
  TRY_OK(router->check(), "routes");
  TRY(auto tls, make_tls(settings, layout, seams.clock->now()));
  own_certificate = std::move(tls.own_certificate);
  TRY(const auto limits, limits_of(settings));
  allow_open_files(limits.max_connections);
  TRY(const auto workers, workers_of(settings));
  net::ServerOptions options{.listeners = {}, .limits = limits, .workers = workers, .clock = seams.clock};
  options.listeners.push_back({settings.text("server.listen"), {net::Role::public_, net::Role::attested}, tls.context});
  const std::string& admin = settings.text("server.admin_listen");
  options.listeners.push_back({admin, {net::Role::admin}, admin.starts_with("unix:") ? nullptr : tls.context});
  if (const std::string& address = settings.text("server.metrics_listen"); !address.empty()) {
    has_metrics = true;
    options.listeners.push_back({address, {net::Role::metrics}, is_loopback(address) ? nullptr : tls.context});
  }
  if (registry_dialect) {
    TRY(auto more, registry_dialect->listeners(tls.chain_pem, tls.key_pem), "registry");
    for (auto& [name, listener] : more) {
      registry_listeners.emplace_back(name, options.listeners.size());
      options.listeners.push_back(std::move(listener));
    }
  }
  warn_of_plain_listeners(settings);
  TRY_OK(service_listeners(tls.chain_pem, tls.key_pem, options));
  options.on_finished = [this](const net::RequestRecord& record) { request_metrics.count(record); };
  TRY(server, net::Server::start(std::move(options), router));
  for (const auto& [name, index] : registry_listeners) {
    if (name == "registry admins") registry_dialect->listening(port_of(server->url(index)));
  }
  for (const auto& [service, listeners] : dialects) {
    std::vector<std::string> urls;
    for (const auto& [name, index] : listeners) urls.push_back(server->url(index));
    service->listening(urls);
  }
  health.set("store", true);
  health.set("log", true);
  return base::done();
}

RunningServer::RunningServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
RunningServer::~RunningServer() {
  if (impl_->registry_dialect) impl_->registry_dialect->stop_channels();
  for (const auto& offered : impl_->dialects) offered.service->stop_accepting();
  impl_->server.reset();
  if (impl_->threshold) impl_->threshold->stop_asking();
  impl_->sealing.reset();
  // Whoever waits for collateral is answered while the rooms that it goes on with are still here.
  impl_->slow.reset();
  impl_->operators_lane.reset();
  if (impl_->vault) impl_->vault->stop();
  // What it runs may still ask the vault, which says that it stops.
  if (impl_->registry_dialect) impl_->registry_dialect->stop();
  for (const auto& offered : impl_->dialects) offered.service->stop();
  if (impl_->threshold) impl_->threshold->stop();
  impl_->vault.reset();
  // What handlers queued is committed, and its checkpoint stored, while the log that both need is still here.
  constexpr std::chrono::seconds kFlush{60};
  const auto flushed = impl_->store->write_and_wait([](state::WriteTxn&) { return base::done(); },
                                                    std::chrono::steady_clock::now() + kFlush);
  if (!flushed) base::log(base::LogLevel::error, "the store did not settle", {{"reason", flushed.error().what}});
}

Result<std::unique_ptr<RunningServer>> RunningServer::start(const Settings& settings, Seams seams) {
  TRY_OK(first_of(mistakes_in(settings)));  // before anything is made
  TRY_OK(addresses_free(settings));
  TRY_OK(configure_log(settings));
  TRY(const auto realm, base::realm_from(settings.text("server.realm")), "server.realm");
  if (realm != seams.anchors.realm()) {
    return Error{Code::realm_mismatch, "trust anchors of another realm", std::string{base::to_text(realm)},
                 std::string{base::to_text(seams.anchors.realm())}};
  }
  auto impl = std::make_unique<Impl>();
  impl->layout.data = settings.text("server.data");
  TRY_OK(impl->open_rooms(settings, seams, realm));
  TRY_OK(impl->listen(settings, seams));
  base::log(base::LogLevel::info, "listening",
            {{"public", impl->server->url(0)},
             {"admin", impl->server->url(1)},
             {"origin", impl->log->origin()},
             {"realm", std::string{base::to_text(realm)}}});
  return std::unique_ptr<RunningServer>{new RunningServer(std::move(impl))};
}

std::string RunningServer::url() const { return impl_->server->url(0); }
std::string RunningServer::admin_url() const { return impl_->server->url(1); }
std::string RunningServer::metrics_url() const { return impl_->has_metrics ? impl_->server->url(2) : std::string{}; }
std::vector<std::pair<std::string, std::string>> RunningServer::dialect_urls() const {
  std::vector<std::pair<std::string, std::string>> out;
  for (const auto& [name, index] : impl_->registry_listeners) out.emplace_back(name, impl_->server->url(index));
  for (const auto& offered : impl_->dialects) {
    for (const auto& [name, index] : offered.listeners) out.emplace_back(name, impl_->server->url(index));
    for (auto& [name, url] : offered.service->other_urls()) out.emplace_back(std::move(name), std::move(url));
  }
  const auto channel = impl_->registry_dialect ? impl_->registry_dialect->channel_address() : std::string{};
  if (!channel.empty()) out.emplace_back("registry channel", channel);
  return out;
}
bool RunningServer::awaits_master() const {
  return impl_->registry_dialect && impl_->registry_dialect->awaits_master();
}
std::chrono::seconds RunningServer::bootstrap_timeout() const { return impl_->bootstrap_timeout; }
const std::string& RunningServer::origin() const { return impl_->log->origin(); }
std::string RunningServer::log_vkey() const { return impl_->log->key().vkey(); }
const std::string& RunningServer::own_certificate() const { return impl_->own_certificate; }
std::string RunningServer::admin_token_file() const { return impl_->layout.token(); }

bool RunningServer::stop(base::Deadline deadline) {
  impl_->health.shut_down();
  if (impl_->registry_dialect) impl_->registry_dialect->stop_channels();
  for (const auto& offered : impl_->dialects) offered.service->stop_accepting();
  return impl_->server->stop(deadline);
}

Status check_unlock(const Settings& settings) {
  TRY(const auto realm, base::realm_from(settings.text("server.realm")), "server.realm");
  TRY_OK(check_unlock_in(settings, realm));
  if (realm == base::Realm::production &&
      lies_in_data_folder(settings.text("unlock.source"), settings.text("server.data")))
    return unlock_lies_inside(settings);
  return base::done();
}

}  // namespace attestry::app
