#include "app/keystore_registration.h"

#include <algorithm>
#include <array>

#include "app/simulated_tee.h"
#include "app/validate.h"
#include "base/base58.h"
#include "base/log.h"
#include "secrets/keystore_registration.h"
#include "secrets/keystore_v0.h"
#include "state/file.h"
#include "tee/dstack_agent.h"
#include "tee/remote_attester.h"

namespace attestry::app {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using chain::near::KeyKind;
using std::chrono::milliseconds;

namespace {

constexpr std::string_view kMaster = "ckd";
constexpr std::string_view kNodes = "nodes";  // of keystore.mpc
constexpr std::string_view kNetwork = "network";
constexpr milliseconds kQuotePatience{10'000};
constexpr milliseconds kPoll{200};        // of a transaction's outcome
constexpr milliseconds kRequest{12'000};  // nodes answer a transaction after ten seconds at the latest
constexpr std::size_t kMostKeyFile = 4096;

constexpr SettingInfo kRegistration[] = {
    {"keystore.init_account", "", "with keystore.master ckd: NEAR account that may submit registrations to the DAO"},
    {"keystore.init_key", "", "file with a key of that account, ed25519:…"},
    {"keystore.mpc", "network",
     "with keystore.master ckd: who derives it, network (NEAR's, for who is voted in by the DAO) or nodes (of "
     "keys.source "
     "threshold)"},
    {"keystore.mpc_public_key", "", "with keystore.master ckd: the MPC network's key, bls12381g2:…"},
    {"keystore.mpc_domain", "2", "domain of that key in the MPC contract"},
    {"keystore.registration_attestation", "none",
     "evidence of this server for the DAO: dstack, a quote provider's address; simulated realm: none, simulated:FILE"},
    {"keystore.registration_key", "",
     "without evidence: file of the key that is registered, made at the first start; default "
     "<data>/keystore-registration.key"},
    {"keystore.registration_key_type", "ed25519", "kind of the key that is registered: ed25519 or ml-dsa-65"},
    {"keystore.registration_poll_ms", "5000", "between two looks at the DAO"},
    {"keystore.registration_seconds", "1800", "how long the DAO's votes are waited for"},
    {"keystore.sealed_by_root_alone", "false",
     "with keystore.master ckd and no keystore.sealing: the root file alone guards the master of all keystores of the "
     "DAO"},
    {"keystore.registration_lookup_ms", "3000", "between two looks for an access key that was just granted"},
};

struct Said {
  std::string attestation{};
  KeyKind kind = KeyKind::ed25519;
  std::optional<chain::near::AccountId> init{};
  std::optional<keys::ckd::MasterPublicKey> network{};
  std::uint64_t domain = 2;
  milliseconds poll{5000}, patience{1'800'000}, lookup{3000};
};

Result<keys::ckd::MasterPublicKey> network_key(std::string_view text) {
  TRY(const auto bytes, keys::ckd::g2_from_text(text));
  return keys::ckd::MasterPublicKey::decode(bytes);
}

/// Reads what there is; what is wrong with it is noted.
Said read(const Settings& settings, std::vector<Error>& mistakes) {
  Said out;
  const auto note = [&](std::string_view name, Error error) {
    error.code = Code::configuration;
    mistakes.push_back(std::move(error.at(named(settings, name))));
  };
  const auto number = [&](std::string_view name, std::int64_t min, std::int64_t max) {
    const auto value = settings.integer(name, min, max);
    if (!value) note(name, value.error());
    return value.value_or(min);
  };
  out.attestation = settings.text("keystore.registration_attestation");
  const std::string& kind = settings.text("keystore.registration_key_type");
  if (kind == to_text(KeyKind::ml_dsa_65)) {
    out.kind = KeyKind::ml_dsa_65;
  } else if (kind != to_text(KeyKind::ed25519)) {
    note("keystore.registration_key_type", {Code::configuration, "kind of key", "ed25519 or ml-dsa-65", kind});
  }
  out.domain = static_cast<std::uint64_t>(number("keystore.mpc_domain", 0, 1'000'000));
  out.poll = milliseconds(number("keystore.registration_poll_ms", 1, 600'000));
  out.patience = std::chrono::seconds(number("keystore.registration_seconds", 0, 30 * 86'400));
  out.lookup = milliseconds(number("keystore.registration_lookup_ms", 1, 600'000));
  if (const auto& text = settings.text("keystore.init_account"); !text.empty()) {
    if (auto account = chain::near::AccountId::parse(text)) {
      out.init = *std::move(account);
    } else {
      note("keystore.init_account", account.error());
    }
  }
  if (const auto& text = settings.text("keystore.mpc_public_key"); !text.empty()) {
    if (auto key = network_key(text)) {
      out.network = *std::move(key);
    } else {
      note("keystore.mpc_public_key", key.error());
    }
  }
  if (const auto key = read_near_key(settings, "keystore.init_key"); !key) mistakes.push_back(key.error());
  return out;
}

constexpr std::size_t kSeed = 32;

/// "ed25519:" and the base58 of seed ‖ public key, or "ml-dsa-65:" and that of the seed; and the end of the line.
Result<crypto::Secret> key_file_of(const crypto::Secret& seed, KeyKind kind) {
  crypto::Secret said = seed.clone();
  if (kind == KeyKind::ed25519) {
    TRY(const auto key, crypto::Ed25519PrivateKey::from_seed(seed.reveal()));
    said = crypto::Secret(2 * kSeed);
    std::ranges::copy(seed.reveal(), said.writable().begin());
    std::ranges::copy(key.public_key(), said.writable().begin() + kSeed);
  }
  const std::string name = std::string{to_text(kind)} + ":";
  crypto::Secret room(name.size() + base::base58_room(said.size()) + 1);
  std::ranges::copy(name, room.writable().begin());
  const auto digits = room.writable().subspan(name.size());
  TRY(const auto used, base::base58_into(said.reveal(), {reinterpret_cast<char*>(digits.data()), digits.size()}));
  digits[used] = '\n';
  return crypto::Secret::copy_of(room.reveal().first(name.size() + used + 1));
}

/// The seed in such a file. Errors never show the text.
Result<crypto::Secret> seed_in(std::string_view text, KeyKind kind) {
  const std::string name = std::string{to_text(kind)} + ":";
  if (!text.starts_with(name)) {
    return Error{Code::configuration, "the file holds no key of the kind that is to be registered", name + "…",
                 "something else",
                 "Name another file (keystore.registration_key), or the kind that it holds "
                 "(keystore.registration_key_type)."};
  }
  if (kind == KeyKind::ed25519) {
    TRY(const auto key, secrets::keystore::V0Key::parse(text));
    return key.signing().seed().clone();
  }
  crypto::Secret seed(kSeed);
  TRY_OK(base::base58_decode_into(text.substr(name.size()), seed.writable()), "32 bytes in base58");
  return seed;
}

}  // namespace

std::span<const SettingInfo> keystore_registration_setting_infos() noexcept { return kRegistration; }

bool is_registered_keystore(const Settings& settings) {
  return settings.text("keystore.master") == kMaster && !is_keystore_of_nodes(settings);
}

bool is_keystore_of_nodes(const Settings& settings) {
  return settings.text("keystore.master") == kMaster && settings.text("keystore.mpc") == kNodes;
}

namespace {

void check_mpc(const Settings& settings, std::vector<Error>& mistakes) {
  if (const auto& mpc = settings.text("keystore.mpc"); mpc != kNetwork && mpc != kNodes)
    mistakes.push_back({Code::configuration, named(settings, "keystore.mpc"), "network or nodes", mpc});
  if (!is_keystore_of_nodes(settings)) return;
  if (settings.text("keys.source") != "threshold") {
    mistakes.push_back({Code::configuration, named(settings, "keystore.mpc") + " = nodes: nodes of a threshold root",
                        "keys.source = threshold, and which they are", settings.text("keys.source")});
  }
  if (settings.text("keystore.dao_contract").empty()) {
    mistakes.push_back({Code::configuration, named(settings, "keystore.dao_contract") + " has the default master",
                        "the account of the DAO", "nothing"});
  }
}

}  // namespace

void check_keystore_registration(const Settings& settings, std::vector<Error>& mistakes) {
  constexpr std::array<std::string_view, 3> kOwn{"keystore.init_account", "keystore.init_key",
                                                 "keystore.mpc_public_key"};
  constexpr std::array<std::string_view, 3> kShared{"keystore.rpc", "keystore.dao_contract", "keystore.mpc_contract"};
  constexpr std::array<std::string_view, 2> kOfOthers{"keystore.dao_key", "keystore.dao_account"};
  [[maybe_unused]] const auto said = read(settings, mistakes);
  const bool asked = is_registered_keystore(settings);
  const bool of_nodes = is_keystore_of_nodes(settings);
  const auto wrong = [&](std::string_view name, std::string_view what) {
    mistakes.push_back({Code::configuration, named(settings, name) + std::string{what}});
  };
  for (const auto name : kOwn) {
    const bool there = !settings.text(name).empty();
    if (there && of_nodes) wrong(name, " is not used with keystore.mpc = nodes: threshold.master_public_key is");
    if (there && !asked && !of_nodes) wrong(name, " is of no use without keystore.master = ckd");
    if (!there && asked) wrong(name, " is needed with keystore.master = ckd");
  }
  const auto root_alone = settings.boolean("keystore.sealed_by_root_alone");
  if (!root_alone) mistakes.push_back(Error{root_alone.error()}.at(named(settings, "keystore.sealed_by_root_alone")));
  check_mpc(settings, mistakes);
  if (!asked && !of_nodes) return;
  if (settings.text("server.realm") == "production" && settings.text("keystore.sealing").empty() &&
      !root_alone.value_or(true)) {
    mistakes.push_back({Code::configuration,
                        named(settings, "keystore.sealing") +
                            ": with keystore.master = ckd the master of all keystores of the DAO is kept here",
                        "what seals it besides the root file", "nothing",
                        "Name a device: dstack, tpm2:PCRS, snp, sgx:mrenclave or key-file; or set "
                        "keystore.sealed_by_root_alone = true when the root file is guard enough."});
  }
  if (!asked) return;
  for (const auto name : kShared) {
    if (settings.text(name).empty()) wrong(name, " is needed with keystore.master = ckd");
  }
  for (const auto name : kOfOthers) {
    if (!settings.text(name).empty()) wrong(name, " is not used with keystore.master = ckd: the registered key is");
  }
}

Status KeystoreRegistration::open_attester(const Settings& settings, const ServiceParts& parts,
                                           net::HttpTransport& http) {
  const std::string& kind = settings.text("keystore.registration_attestation");
  const bool simulated = kind == "none" || kind.starts_with(kSimulatedAttestation);
  if (simulated && parts.store.realm() == base::Realm::production) {
    return Error{Code::configuration,
                 named(settings, "keystore.registration_attestation") + ": a DAO approves what evidence vouches for",
                 "dstack or the address of a quote provider", kind, "Use `attestry dev` to try things out."};
  }
  if (kind == "none") return base::done();
  if (simulated) {
    TRY(auto tee, SimulatedTee::open(kind.substr(kSimulatedAttestation.size()), "tdx-v4"),
        named(settings, "keystore.registration_attestation"));
    attester_ = &tee->attester();
    simulated_ = std::shared_ptr<SimulatedTee>(std::move(tee));
    return base::done();
  }
  if (kind == "dstack") {
    const std::string& socket = settings.text("keystore.sealing_dstack");
    made_ = std::make_unique<tee::DstackAgent>(http, socket, kQuotePatience, parts.clock);
  } else {
    made_ = std::make_unique<tee::RemoteAttester>(http, kind, kQuotePatience, parts.clock);
  }
  attester_ = made_.get();
  return base::done();
}

/// keystore_ckd.md 7.2(3).
Status KeystoreRegistration::open_key(const Settings& settings, const ServiceParts& parts) {
  if (attester_ != nullptr) {
    seed_ = parts.random.secret(kSeed);
    return base::done();
  }
  const std::string& set = settings.text("keystore.registration_key");
  const std::string path = set.empty() ? parts.data + "/keystore-registration.key" : set;
  auto& files = state::system_files();
  TRY(auto there, files.read(path, kMostKeyFile), path);
  if (!there) {
    auto seed = parts.random.secret(kSeed);
    TRY(const auto text, key_file_of(seed, kind_));
    TRY_OK(state::replace_file(files, path, text.reveal()), path);
    seed_ = std::move(seed);
    return base::done();
  }
  crypto::wipe(*there);
  TRY(auto text, read_secret_file(path), named(settings, "keystore.registration_key"));
  auto seed = seed_in(text, kind_);
  crypto::wipe({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
  if (!seed) return std::move(seed.error().at(path));
  seed_ = *std::move(seed);
  return base::done();
}

Result<chain::near::SecretKey> KeystoreRegistration::key() const {
  return chain::near::SecretKey::from_seed(seed_.reveal(), kind_);
}

Result<std::unique_ptr<KeystoreRegistration>> KeystoreRegistration::open(const Settings& settings,
                                                                         const ServiceParts& parts,
                                                                         const KeystoreSettings& said,
                                                                         net::HttpTransport& http,
                                                                         chain::near::ChainReader& reader) {
  std::vector<Error> mistakes;
  auto own = read(settings, mistakes);
  TRY_OK(first_of(mistakes));
  std::unique_ptr<KeystoreRegistration> out{new KeystoreRegistration};
  out->kind_ = own.kind;
  TRY_OK(out->open_attester(settings, parts, http));
  TRY_OK(out->open_key(settings, parts));
  TRY(out->sender_, chain::near::Sender::make(http, {.chain_id = said.chain.chain_id,
                                                     .endpoints = said.chain.endpoints,
                                                     .quorum = said.chain.quorum,
                                                     .request_timeout = kRequest,
                                                     .poll = kPoll,
                                                     .clock = &parts.clock}));
  TRY(auto key, out->key());
  TRY(auto init_key, read_near_key(settings, "keystore.init_key"));
  if (!init_key || !own.init || !own.network || !said.dao || !said.mpc)
    return Error{Code::configuration, "keystore.master = ckd needs more settings"};
  base::log(base::LogLevel::info, "keystore: its masters come from the MPC network, once the DAO has approved this key",
            {{"dao", said.dao->text()}, {"key", key.public_key().text()}});
  out->source_ = secrets::registered_source({.reader = reader,
                                             .sender = *out->sender_,
                                             .random = parts.random,
                                             .clock = parts.clock,
                                             .store = parts.store,
                                             .attester = out->attester_,
                                             .key = std::move(key),
                                             .init_key = *std::move(init_key)},
                                            {.dao = *said.dao,
                                             .init = *own.init,
                                             .mpc = *said.mpc,
                                             .network = *std::move(own.network),
                                             .domain = own.domain,
                                             .poll = own.poll,
                                             .patience = own.patience,
                                             .lookup = own.lookup});
  return out;
}

}  // namespace attestry::app
