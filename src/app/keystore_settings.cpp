#include "app/keystore_settings.h"

#include <sys/stat.h>

#include <algorithm>
#include <initializer_list>

#include "app/keystore_registration.h"
#include "app/keystore_standby_settings.h"
#include "app/settings_reader.h"
#include "app/validate.h"
#include "base/encoding.h"
#include "net/http.h"
#include "secrets/keystore_v0.h"
#include "state/file.h"

namespace attestry::app {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using secrets::TeeMode;

namespace {

constexpr std::size_t kMostSecretFile = 4096;
constexpr std::string_view kFile = "file:";
/// A transaction of NEAR has at most 1.5 MiB, and with it what a contract stores of one; an answer shows each byte as
/// up to four characters. So every secret that can be stored can be read.
constexpr std::size_t kMostChainAnswer = 8u << 20;

constexpr SettingInfo kKeystore[] = {
    {"keystore.listen", "", "the keystore for workers and coordinators: address; empty: not offered"},
    {"keystore.plaintext", "false",
     "with tls.mode off on any address: TLS ends in front of it, and whoever is in between reads every secret"},
    {"keystore.generation", "v0", "whose health document and words of 401 are shown: v0, v1 or v2; all are served"},
    {"keystore.worker_tokens", "", "lower-case hex SHA-256 of workers' bearer tokens; empty: none is taken"},
    {"keystore.coordinator_tokens", "", "the same of coordinators'"},
    {"keystore.master", "derived",
     "derived (from the root), generated, file:PATH with 64 hex digits, or ckd (see keystore.mpc)"},
    {"keystore.private_key", "", "file with the first generation's Ed25519 key; empty: made from the master"},
    {"keystore.tee_mode", "evidence", "evidence (any kind), sgx, sev, tdx or nitro; simulated realm: simulated, none"},
    {"keystore.policy", "default", "what workers' evidence must meet: genuine, default, strict or a file"},
    {"keystore.audience", "", "the name that workers' evidence is made for; empty: the log's origin"},
    {"keystore.simulated_code_hashes", "0000000000000000000000000000000000000000000000000000000000000000",
     "hex of code hashes that tee_mode simulated takes"},
    {"keystore.trust_registered_keys", "false",
     "a worker whose key the operator's account has needs no evidence; its replies are in the clear"},
    {"keystore.plaintext_replies", "false",
     "requests with their own evidence need not name a key, and their replies are in the clear"},
    {"keystore.raw_seeds", "false", "/decrypt-raw: any worker may decrypt under any seed"},
    {"keystore.broken_public_key_cipher", "false",
     "reads blobs whose key is the public key (first generations; no secret)"},
    {"keystore.broken_xor_cipher", "false", "reads XOR of the first generation (no secret)"},
    {"keystore.seed_colons", "false", "takes repositories and branches with ':', which other owners' seeds may equal"},
    {"keystore.empty_allow_all", "false", "takes the condition {\"AllowAll\":{}}, as early scripts wrote it"},
    {"keystore.old_status", "false", "401 before it is ready and 500 while the chain is away, as the original has it"},
    {"keystore.bind_channel", "true", "a session is of use over its own TLS connection alone, where TLS ends here"},
    {"keystore.session_seconds", "86400", "life of a worker's session"},
    {"keystore.recheck_seconds", "60", "between two looks whether workers' keys are still the operator's"},
    {"keystore.writes", "1",
     "blobs that the keystore makes: 1 (ECIES v1, which others read) or 3 (epoch, key id, AAD)"},
    {"keystore.update_recipients", "", "whom owners sign changes of secrets for; empty: keystore.contract"},
    {"keystore.signed_values", "false", "owners' signatures of changes must name the values, not the names alone"},
    {"keystore.token_rate", "50000", "requests per second and token, which many workers may share; 0: no limit"},
    {"keystore.owner_rate", "20000", "decrypts per second and owner; 0: no limit"},
    {"keystore.stranger_rate", "20", "POST /pubkey per second and address (IPv6: /64) without a token; 0: no limit"},
    {"keystore.register_rate", "100", "challenges and registrations per second and token; 0: no limit"},
    {"keystore.network", "testnet", "NEAR network as its nodes name it"},
    {"keystore.rpc", "", "NEAR JSON-RPC endpoints; more than half must agree (keystore.quorum)"},
    {"keystore.quorum", "0", "endpoints that must agree; 0: more than half"},
    {"keystore.rpc_ca", "", "PEM file of CAs for those endpoints; empty: the system's"},
    {"keystore.contract", "", "NEAR account of the contract with the secrets; empty: none are read"},
    {"keystore.operator_account", "", "NEAR account whose access keys are workers"},
    {"keystore.key_kinds", "ed25519", "kinds of workers' keys: ed25519, ml-dsa-65"},
    {"keystore.chain_ttl_ms", "1000", "how long what the chain said is used without asking for a new block"},
    {"keystore.max_head_age", "120", "seconds that the final block may be behind the clock; 0: any"},
    {"keystore.wallet_policy_method", "get_wallet_policy",
     "view of the contract with the entry about a wallet: {\"wallet_pubkey\"}"},
    {"keystore.inline_policy", "false", "requests to wallets may bring their own policy, past the one on the chain"},
    {"keystore.wallets_without_policy", "false", "a wallet whose owner has stored no policy signs without one"},
    {"keystore.export_keys", "false", "/wallet/derive-ephemeral-key: gives private keys away"},
    {"keystore.dao_contract", "", "NEAR account of the DAO that says which vaults are served; empty: all are"},
    {"keystore.dao_account", "", "NEAR account that tells the DAO about vaults; empty: the DAO's own"},
    {"keystore.dao_key", "", "file with a key of that account, ed25519:…; empty: the DAO is told nothing"},
    {"keystore.mpc_contract", "", "NEAR account of the MPC contract that vaults must name to be verified"},
    {"keystore.published_key_method", "",
     "view that gives the published public key, compared at the start: METHOD of the contract, or ACCOUNT/METHOD"},
    {"keystore.standby", "", "primary or standby: one of two keystores, as it begins; empty: this is the only one"},
    {"keystore.standby_listen", "", "address where the other keystore calls"},
    {"keystore.standby_peer", "", "HOST:PORT of the other keystore's standby_listen"},
    {"keystore.standby_app", "name:keystore", "app whose approvals say which software serves this keystore"},
    {"keystore.standby_attestation", "none",
     "evidence of this server: none, a quote provider's address, simulated:FILE"},
    {"keystore.standby_poll_seconds", "1", "the standby is heard this often at least; changes follow at once"},
    {"keystore.standby_takeover_seconds", "0", "silence of the primary after which the standby takes over; 0: never"},
    {"keystore.standby_sync", "false", "sessions, bans and rotations are acknowledged once the standby has them"},
    {"keystore.standby_session_seconds", "300", "after this long both servers show their evidence anew, 1 to 300"},
    {"keystore.standby_sync_seconds", "5", "how long that is waited for; then the answer is 503"},
};

/// Takes values out of the settings; what is wrong with one is noted, and a harmless value stands for it.
class Reader {
 public:
  Reader(const Settings& settings, std::vector<Error>& mistakes) : settings_(settings), mistakes_(mistakes) {}
  const std::string& text(std::string_view name) const { return settings_.text(name); }
  std::vector<std::string> list(std::string_view name) const { return settings_.list(name); }
  void note(std::string_view name, Error error) {
    error.code = Code::configuration;
    mistakes_.push_back(std::move(error.at(named(settings_, name))));
  }
  template <class T>
  std::optional<T> noted(std::string_view name, Result<T> result) {
    if (result) return *std::move(result);
    note(name, std::move(result).error());
    return std::nullopt;
  }
  bool flag(std::string_view name) { return noted(name, settings_.boolean(name)).value_or(false); }
  template <class T = std::int64_t>
  T number(std::string_view name, std::int64_t min, std::int64_t max) {
    return static_cast<T>(noted(name, settings_.integer(name, min, max)).value_or(min));
  }

 private:
  const Settings& settings_;
  std::vector<Error>& mistakes_;
};

Result<attestation::Policy> policy_of(const std::string& name) {
  if (const auto* builtin = attestation::Policy::builtin(name)) return *builtin;
  TRY(const auto bytes, state::system_files().read(name, attestation::kMaxPolicyDocumentBytes));
  if (bytes) return attestation::Policy::parse(base::as_text(*bytes));
  return Error{Code::configuration, "there is no file " + name, "genuine, default, strict or a file with a policy"};
}

/// keystore_ckd.md 1.3: exact strings, and whoever puts a token where its hash belongs would refuse every worker.
std::vector<std::string> tokens_of(Reader& read, std::string_view name) {
  auto out = read.list(name);
  for (const std::string& hash : out) {
    base::Digest32 digest{};
    if (base::hex_decode_into(hash, digest).ok() && hash == base::hex(digest)) continue;
    read.note(name,
              {Code::configuration, "a token's hash", "64 lower-case hex digits: the SHA-256 of a token",
               std::to_string(hash.size()) + " characters that are not", "Make one: `printf %s TOKEN | sha256sum`."});
  }
  return out;
}

std::optional<TeeMode> tee_mode_of(std::string_view text) {
  if (text == "evidence" || text == "outlayer_tee") return TeeMode::evidence;
  for (const TeeMode mode :
       {TeeMode::sgx, TeeMode::sev, TeeMode::tdx, TeeMode::nitro, TeeMode::simulated, TeeMode::none}) {
    if (to_text(mode) == text) return mode;
  }
  return std::nullopt;
}

void read_evidence(Reader& read, KeystoreSettings& out) {
  if (auto policy = read.noted("keystore.policy", policy_of(read.text("keystore.policy"))))
    out.evidence.policy = *std::move(policy);
  out.evidence.audience = read.text("keystore.audience");
  out.evidence.without_key = read.flag("keystore.plaintext_replies");
  out.evidence.simulated = read.list("keystore.simulated_code_hashes");
  const std::string& mode = read.text("keystore.tee_mode");
  if (const auto known = tee_mode_of(mode)) {
    out.evidence.mode = *known;
    const bool simulated = *known == TeeMode::none || *known == TeeMode::simulated;
    if (simulated && read.text("server.realm") == base::to_text(base::Realm::production))
      read.note("keystore.tee_mode",
                {Code::configuration, "proves nothing", "evidence, sgx, sev, tdx or nitro", mode,
                 "A production server serves workers that prove what they are. Use `attestry dev` to try things out."});
  } else {
    read.note("keystore.tee_mode", {Code::configuration, "Invalid TEE_MODE: " + mode,
                                    "evidence, sgx, sev, tdx, nitro, simulated or none", mode});
  }
}

void read_routes(Reader& read, KeystoreSettings& out) {
  using api::KeystoreGeneration;
  const std::string& generation = read.text("keystore.generation");
  if (generation == "v1") {
    out.routes.generation = KeystoreGeneration::v1;
  } else if (generation == "v2") {
    out.routes.generation = KeystoreGeneration::v2;
  } else if (generation != "v0") {
    read.note("keystore.generation", {Code::configuration, "no such generation", "v0, v1 or v2", generation});
  }
  out.routes.tokens = {.workers = tokens_of(read, "keystore.worker_tokens"),
                       .coordinators = tokens_of(read, "keystore.coordinator_tokens")};
  out.routes.old_status = read.flag("keystore.old_status");
  out.routes.plaintext_replies = read.flag("keystore.plaintext_replies");
  out.routes.raw_seeds = read.flag("keystore.raw_seeds");
  out.routes.bind_channel = read.flag("keystore.bind_channel");
  constexpr std::int64_t kMostRate = 1'000'000;
  out.routes.token_rate = read.number<unsigned>("keystore.token_rate", 0, kMostRate);
  out.routes.owner_rate = read.number<unsigned>("keystore.owner_rate", 0, kMostRate);
  out.routes.stranger_rate = read.number<unsigned>("keystore.stranger_rate", 0, kMostRate);
  out.routes.register_rate = read.number<unsigned>("keystore.register_rate", 0, kMostRate);
}

void read_chain(Reader& read, KeystoreSettings& out) {
  using chain::near::AccountId;
  using chain::near::KeyKind;
  const auto account = [&](std::string_view name) -> std::optional<AccountId> {
    if (read.text(name).empty()) return std::nullopt;
    return read.noted(name, AccountId::parse(read.text(name)));
  };
  out.contract = account("keystore.contract");
  out.rules.operator_account = account("keystore.operator_account");
  out.dao = account("keystore.dao_contract");
  out.dao_account = account("keystore.dao_account");
  out.mpc = account("keystore.mpc_contract");
  out.wallets = {.policy_method = read.text("keystore.wallet_policy_method"),
                 .inline_policy = read.flag("keystore.inline_policy"),
                 .without_policy = read.flag("keystore.wallets_without_policy"),
                 .export_keys = read.flag("keystore.export_keys"),
                 .own = {}};
  for (const auto& own : {out.contract, out.dao}) {
    if (own) out.wallets.own.push_back(*own);
  }
  if (!read.text("keystore.dao_key").empty() && (!out.dao || !out.mpc))
    read.note("keystore.dao_key", {Code::configuration,
                                   "is of no use without keystore.dao_contract and "
                                   "keystore.mpc_contract"});
  out.chain.chain_id = read.text("keystore.network");
  for (const std::string& url : read.list("keystore.rpc"))
    out.chain.endpoints.push_back({.url = url, .max_bytes = kMostChainAnswer});
  out.chain.quorum = read.number<std::size_t>("keystore.quorum", 0, 64);
  out.chain.max_head_age = read.number("keystore.max_head_age", 0, 86'400);
  out.chain_ttl = std::chrono::milliseconds(read.number("keystore.chain_ttl_ms", 0, 60'000));
  out.chain.head_ttl = out.chain_ttl;
  out.published_key_method = read.text("keystore.published_key_method");
  out.published_key_contract = out.contract;
  if (const auto slash = out.published_key_method.find('/'); slash != std::string::npos) {
    out.published_key_contract =
        read.noted("keystore.published_key_method", AccountId::parse(out.published_key_method.substr(0, slash)));
    out.published_key_method.erase(0, slash + 1);
  } else if (!out.published_key_method.empty() && !out.contract) {
    read.note("keystore.published_key_method",
              {Code::configuration, "no contract to ask", "keystore.contract, or ACCOUNT/METHOD"});
  }
  const bool asked = out.contract || out.rules.operator_account || out.dao;
  if (out.chain.endpoints.empty()) {
    if (asked)
      read.note("keystore.rpc", {Code::configuration, "a contract, an operator's account or a DAO needs endpoints"});
  } else {
    for (auto& mistake : chain::near::mistakes_in(out.chain)) read.note("keystore.rpc", std::move(mistake));
  }
  out.rules.key_kinds.clear();
  for (const std::string& kind : read.list("keystore.key_kinds")) {
    if (kind == "ed25519") {
      out.rules.key_kinds.insert(KeyKind::ed25519);
    } else if (kind == "ml-dsa-65") {
      out.rules.key_kinds.insert(KeyKind::ml_dsa_65);
    } else {
      read.note("keystore.key_kinds", {Code::configuration, "workers' keys of this kind cannot be verified here",
                                       "ed25519, ml-dsa-65", kind});
    }
  }
}

}  // namespace

std::span<const SettingInfo> keystore_setting_infos() noexcept { return kKeystore; }

Result<std::string> read_secret_file(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) == 0 && (info.st_mode & 077) != 0) {
    return Error{Code::configuration, "others may read " + path, "mode 0600", {}, "Run: chmod 600 " + path};
  }
  TRY(const auto bytes, state::system_files().read(path, kMostSecretFile));
  if (!bytes) return Error{Code::configuration, "there is no file " + path};
  std::string text{base::as_text(*bytes)};
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.pop_back();
  return text;
}

Result<crypto::Secret> read_keystore_master(const Settings& settings) {
  const std::string& value = settings.text("keystore.master");
  if (!value.starts_with(kFile))
    return Error{Code::configuration, named(settings, "keystore.master"), "derived, generated, ckd or file:PATH",
                 value};
  TRY(auto text, read_secret_file(value.substr(kFile.size())), named(settings, "keystore.master"));
  constexpr std::string_view kName = "KEYSTORE_MASTER_SECRET=";
  const std::string_view digits = std::string_view{text}.substr(text.starts_with(kName) ? kName.size() : 0);
  base::Digest32 bytes{};
  const bool good = base::hex_decode_into(digits, bytes).ok();
  const std::size_t found = digits.size();
  net::wipe_text(text);
  if (good) return crypto::Secret::absorb(bytes);
  return Error{Code::configuration, named(settings, "keystore.master"), "64 hex digits: 32 bytes",
               std::to_string(found) + " characters that are not",
               "Make one: `(umask 077; openssl rand -hex 32 > FILE)`."};
}

Result<std::optional<crypto::Secret>> read_keystore_private_key(const Settings& settings) {
  const std::string& path = settings.text("keystore.private_key");
  if (path.empty()) return std::optional<crypto::Secret>{};
  TRY(auto text, read_secret_file(path), named(settings, "keystore.private_key"));
  auto key = secrets::keystore::V0Key::parse(text);
  net::wipe_text(text);
  if (!key) return std::move(key.error().at(named(settings, "keystore.private_key")));
  return std::optional{key->signing().seed().clone()};
}

Result<std::optional<chain::near::SecretKey>> read_near_key(const Settings& settings, std::string_view name) {
  const std::string& path = settings.text(name);
  if (path.empty()) return std::optional<chain::near::SecretKey>{};
  TRY(auto text, read_secret_file(path), named(settings, name));
  auto key = chain::near::SecretKey::parse(text);
  net::wipe_text(text);
  if (!key) return std::move(key.error().at(named(settings, name)));
  return std::optional{*std::move(key)};
}

KeystoreSettings read_keystore_settings(const Settings& settings, std::vector<Error>& mistakes) {
  KeystoreSettings out;
  Reader read{settings, mistakes};
  out.listen = read.text("keystore.listen");
  read_routes(read, out);
  read_evidence(read, out);
  read_chain(read, out);
  SettingsReader{settings, mistakes}.certificates("keystore.rpc_ca");
  out.rules.trust_registered_keys = read.flag("keystore.trust_registered_keys");
  out.rules.broken = {.public_key_as_key = read.flag("keystore.broken_public_key_cipher"),
                      .xor_v0 = read.flag("keystore.broken_xor_cipher")};
  out.access.empty_allow_all = read.flag("keystore.empty_allow_all");
  out.rules.seeds.colons = read.flag("keystore.seed_colons");
  [[maybe_unused]] const auto standby = read_keystore_standby_settings(settings, mistakes);
  out.rules.update_recipients = read.list("keystore.update_recipients");
  if (out.rules.update_recipients.empty() && out.contract) out.rules.update_recipients = {out.contract->text()};
  const std::string& writes = read.text("keystore.writes");
  if (writes == "3") out.rules.writes = secrets::KeystoreBlob::v3;
  if (writes != "1" && writes != "3")
    read.note("keystore.writes", {Code::configuration, "no such form of blobs", "1 or 3", writes});
  out.rules.signed_values = read.flag("keystore.signed_values");
  out.rules.session_seconds = read.number("keystore.session_seconds", 1, 30 * 86'400);
  out.recheck_seconds = read.number("keystore.recheck_seconds", 1, 86'400);
  const std::string& master = read.text("keystore.master");
  check_keystore_registration(settings, mistakes);
  if (master != "derived" && master != "generated" && !is_registered_keystore(settings) &&
      !is_keystore_of_nodes(settings)) {
    if (const auto secret = read_keystore_master(settings); !secret) mistakes.push_back(secret.error());
  }
  if (const auto key = read_keystore_private_key(settings); !key) mistakes.push_back(key.error());
  if (const auto key = read_near_key(settings, "keystore.dao_key"); !key) mistakes.push_back(key.error());
  return out;
}

Result<KeystoreSettings> read_keystore_settings(const Settings& settings) {
  std::vector<Error> mistakes;
  auto out = read_keystore_settings(settings, mistakes);
  TRY_OK(first_of(mistakes));
  return out;
}

}  // namespace attestry::app
