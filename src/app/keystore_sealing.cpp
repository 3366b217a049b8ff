#include "app/keystore_sealing.h"

#include "api/keystore_operations.h"
#include "app/validate.h"
#include "base/log.h"
#include "net/client.h"
#include "tee/keyed_sealing.h"
#include "tee/tpm_sealing.h"

namespace attestry::app {

using base::Code;
using base::Error;
using base::Result;

namespace {

constexpr SettingInfo kSealing[] = {
    {"keystore.sealing", "",
     "what the keystore's masters are sealed to besides the root file: tpm2:PCRS, sgx:mrenclave, sgx:mrsigner, snp, "
     "dstack or key-file; empty: nothing"},
    {"keystore.sealing_before", "", "what they were sealed to until now, while keystore.sealing names something new"},
    {"keystore.sealing_tpm", "device:/dev/tpmrm0", "the TPM of tpm2:PCRS, as tpm2-tss names it"},
    {"keystore.sealing_dstack", "/var/run/dstack.sock", "socket of dstack's guest agent"},
    {"keystore.sealing_key_file", "", "32 bytes for key-file, on another disk; default <data>/keystore.key"},
};

constexpr std::chrono::seconds kPatience{10};
constexpr std::chrono::milliseconds kRetry{1000};
constexpr std::chrono::milliseconds kIdle{60'000};
constexpr std::chrono::milliseconds kBetweenPages{5};  // requests come first

std::string key_file_of(const Settings& settings) {
  const std::string& named = settings.text("keystore.sealing_key_file");
  return named.empty() ? settings.text("server.data") + "/keystore.key" : named;
}

}  // namespace

std::span<const SettingInfo> keystore_sealing_setting_infos() noexcept { return kSealing; }

Result<std::shared_ptr<crypto::SealingDevice>> sealing_device(const Settings& settings, std::string_view text) {
  using Device = std::shared_ptr<crypto::SealingDevice>;
  auto& random = crypto::system_random();
  if (text.empty()) return Device{};
  if (text.starts_with("tpm2:")) {
    TRY(auto pcrs, tee::parse_pcrs(text.substr(5)));
    TRY(auto device, tee::tpm_sealing({.pcrs = std::move(pcrs), .tcti = settings.text("keystore.sealing_tpm")}));
    return Device{std::move(device)};
  }
  if (text == "sgx:mrenclave") {
    return Device{tee::keyed_sealing("sgx-mrenclave", "this enclave's measurement",
                                     tee::sgx_source(tee::SgxSealing::mrenclave), random)};
  }
  if (text == "sgx:mrsigner") {
    return Device{tee::keyed_sealing("sgx-mrsigner", "the signer of this enclave",
                                     tee::sgx_source(tee::SgxSealing::mrsigner), random)};
  }
  if (text == "snp") {
    return Device{tee::keyed_sealing("snp", "this chip and this guest's measurement", tee::snp_source(), random)};
  }
  if (text == "dstack") {
    TRY(auto http, net::HttpClient::make());
    return Device{tee::keyed_sealing(
        "dstack", "this app of dstack's key service",
        tee::dstack_source(std::move(http), settings.text("keystore.sealing_dstack"), kPatience, base::system_clock()),
        random)};
  }
  if (text == "key-file") {
    const std::string path = key_file_of(settings);
    return Device{tee::keyed_sealing("key-file", path, tee::key_file_source(path, random), random)};
  }
  return Error{Code::configuration, "what the keystore's masters are sealed to",
               "tpm2:PCRS, sgx:mrenclave, sgx:mrsigner, snp, dstack or key-file", std::string{text}};
}

KeystoreSealing read_keystore_sealing(const Settings& settings, std::vector<Error>& mistakes) {
  KeystoreSealing out;
  const auto read = [&](std::string_view name, std::shared_ptr<crypto::SealingDevice>& into) {
    auto device = sealing_device(settings, settings.text(name));
    if (device) {
      into = *std::move(device);
    } else {
      mistakes.push_back(std::move(device.error().at(named(settings, name))));
    }
  };
  read("keystore.sealing", out.device);
  read("keystore.sealing_before", out.previous);
  return out;
}

Result<std::unique_ptr<KeystoreKeys>> KeystoreKeys::open(const Settings& settings, const ServiceParts& parts,
                                                         KeystoreKeysOptions options) {
  std::vector<Error> mistakes;
  auto sealing = read_keystore_sealing(settings, mistakes);
  TRY_OK(first_of(mistakes));
  secrets::KeystoreMastersOptions of_masters;
  of_masters.first = parts.sealing("attestry/keystore/v1");
  of_masters.source = std::move(options.source);
  of_masters.device = std::move(sealing.device);
  of_masters.previous = std::move(sealing.previous);
  of_masters.v0_seed = std::move(options.v0_seed);
  of_masters.wait_for_import = options.wait_for_import;
  of_masters.gate = std::move(options.gate);
  std::unique_ptr<KeystoreKeys> out{new KeystoreKeys(parts)};
  out->source_ = of_masters.source;
  TRY(out->masters_,
      secrets::KeystoreMasters::open({parts.store, parts.log, parts.secrets.epochs(), parts.random},
                                     std::move(of_masters)),
      "keystore");
  out->lister_ = std::move(options.lister);
  if (out->lister_) {
    out->rotation_.emplace(secrets::KeystoreRotationParts{parts.store, parts.log, *out->masters_, *out->lister_,
                                                          parts.random, options.allowed,
                                                          std::move(options.vault_gate)});
  }
  parts.rotation.add(out->masters_->records());
  out->thread_ = std::thread([keys = out.get()] { keys->work(); });
  return out;
}

KeystoreKeys::~KeystoreKeys() { stop(); }

void KeystoreKeys::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
  lane_.stop();
}

base::Status KeystoreKeys::add_routes(net::Router& router) {
  return api::add_keystore_operations(router, {.store = parts_.store,
                                               .log = parts_.log,
                                               .masters = *masters_,
                                               .rotation = rotation_ ? &*rotation_ : nullptr,
                                               .lane = lane_,
                                               .random = parts_.random,
                                               .wake = [this] {
                                                 {
                                                   const std::lock_guard lock(mutex_);
                                                   woken_ = true;
                                                 }
                                                 wake_.notify_all();
                                               }});
}

base::Status KeystoreKeys::walk_again() {
  if (!rotation_) return base::done();
  TRY_OK(rotation_->walk_again(std::chrono::steady_clock::now() + kPatience));
  {
    const std::lock_guard lock(mutex_);
    woken_ = true;
  }
  wake_.notify_all();
  return base::done();
}

void KeystoreKeys::update_metrics() const {
  auto& metrics = parts_.metrics;
  const auto set = [&](const char* name, const char* help, double value) { metrics.gauge(name, help).set(value); };
  set("attestry_keystore_ready", "Whether the keystore's masters may be used", masters_->ready().ok() ? 1 : 0);
  set("attestry_keystore_epoch", "Epoch of the keystore's master", masters_->current_epoch());
  set("attestry_keystore_oldest_epoch", "Oldest epoch that can be read", masters_->oldest_epoch());
  const auto epochs = masters_->epochs();
  const auto age = epochs.empty() ? 0 : parts_.clock.now().seconds - epochs.back().since.seconds;
  set("attestry_keystore_epoch_age_seconds", "Since the present epoch began", static_cast<double>(age));
  set("attestry_keystore_vaults_loaded", "Vaults with a master in memory",
      static_cast<double>(masters_->loaded_vaults().size()));
  set("attestry_keystore_vaults_banned", "Vaults that are banned", static_cast<double>(masters_->bans().size()));
  if (!rotation_) return;
  const auto walk = rotation_->progress();
  if (!walk) return;
  set("attestry_keystore_walk_running", "Whether secrets are being walked over", walk->finished ? 0 : 1);
  set("attestry_keystore_walk_failed", "Secrets of the last walk that could not be encrypted anew",
      static_cast<double>(walk->failed));
  set("attestry_keystore_walk_anew", "Secrets that the last walk encrypted anew", static_cast<double>(walk->anew));
}

/// False when it is time to stop.
bool KeystoreKeys::rest(std::chrono::milliseconds most) {
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, most, [this] { return stopping_ || woken_; });
  woken_ = false;
  return !stopping_;
}

void KeystoreKeys::work() {
  std::string said;
  const auto trouble = [&said](const char* what, const Error& error) {
    if (error.text() == said) return;
    said = error.text();
    base::log(base::LogLevel::warning, what, {{"reason", said}});
  };
  bool opened = false;
  auto pause = std::chrono::milliseconds{0};
  while (rest(pause)) {
    pause = kRetry;
    const auto soon = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    if (!opened) {
      const auto done = masters_->prepare(soon);
      if (!done) {
        trouble("the keystore has no master and tries again", done.error());
        // What else may be away, a device or the store, is no reason to ask without a rest.
        if (const auto asked = source_->again_in(); asked.count() > 0) pause = asked;
        continue;
      }
      opened = true;
      said.clear();
      base::log(base::LogLevel::info, "the keystore has its masters",
                {{"source", std::string{masters_->source_name()}},
                 {"sealed", masters_->device_name()},
                 {"epoch", std::to_string(masters_->current_epoch())}});
    }
    pause = kIdle;
    if (!rotation_) continue;
    const auto done = rotation_->step(soon);
    if (!done) trouble("the walk over secrets has to wait", done.error());
    if (!done) pause = kRetry;
    if (done && !*done) pause = kBetweenPages;
  }
}

}  // namespace attestry::app
