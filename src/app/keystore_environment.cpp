#include "app/keystore_environment.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/encoding.h"
#include "base/suggest.h"
#include "crypto/secret.h"

namespace attestry::app {

using base::Code;
using base::Error;
using base::Result;

namespace {

using Variables = std::map<std::string, std::string>;

/// Every variable of every generation (keystore_ckd.md 7.1).
constexpr std::array<std::string_view, 26> kKnown{"SERVER_HOST",
                                                  "SERVER_PORT",
                                                  "NEAR_NETWORK",
                                                  "NEAR_RPC_URL",
                                                  "OFFCHAINVM_CONTRACT_ID",
                                                  "NEAR_CONTRACT_ID",
                                                  "ALLOWED_WORKER_TOKEN_HASHES",
                                                  "ALLOWED_COORDINATOR_TOKEN_HASHES",
                                                  "TEE_MODE",
                                                  "OPERATOR_ACCOUNT_ID",
                                                  "USE_TEE_REGISTRATION",
                                                  "KEYSTORE_MASTER_SECRET",
                                                  "KEYSTORE_MASTER_SECRET_OUT_PATH",
                                                  "KEYSTORE_DAO_CONTRACT",
                                                  "INIT_ACCOUNT_ID",
                                                  "INIT_ACCOUNT_PRIVATE_KEY",
                                                  "MPC_CONTRACT_ID",
                                                  "MPC_PUBLIC_KEY",
                                                  "MPC_DOMAIN_ID",
                                                  "KEYSTORE_KEY_TYPE",
                                                  "TEE_ALLOWED_KEY_TYPES",
                                                  "LOG_MASTER_KEY_HASH",
                                                  "KEYSTORE_ALLOW_INLINE_POLICY",
                                                  "DSTACK_SIMULATOR_ENDPOINT",
                                                  "RUST_LOG",
                                                  "KEYSTORE_ACCOUNT_ID"};
constexpr std::string_view kPrivateKey = "KEYSTORE_PRIVATE_KEY";

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r";
  const auto begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

std::string_view unquoted(std::string_view text) {
  if (text.size() < 2 || text.front() != text.back() || (text.front() != '"' && text.front() != '\'')) return text;
  return text.substr(1, text.size() - 2);
}

std::string lower(std::string_view text) {
  std::string out{text};
  std::ranges::transform(out, out.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

bool valid_name(std::string_view name) {
  return !name.empty() && (name.front() < '0' || name.front() > '9') && std::ranges::all_of(name, [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

/// Translates one variable after the other.
class Translation {
 public:
  explicit Translation(const Variables& variables) : variables_(variables) {}
  KeystoreEnvironment run() &&;

 private:
  const std::string* find(std::string_view name) const {
    const auto found = variables_.find(std::string{name});
    return found == variables_.end() ? nullptr : &found->second;
  }
  std::string text(std::string_view name, std::string_view otherwise = {}) const {
    const auto* found = find(name);
    return found == nullptr ? std::string{otherwise} : *found;
  }
  /// As the original reads it, for whom nothing but `true` is true; what is neither is no `false` here.
  bool registration() {
    const std::string found = text("USE_TEE_REGISTRATION");
    if (!found.empty() && found != "true" && found != "false")
      mistake("USE_TEE_REGISTRATION is neither true nor false", "true or false, in small letters", found);
    return found == "true";
  }
  bool is_true(std::string_view name) const { return lower(trimmed(text(name))) == "true"; }
  void mistake(std::string what, std::string expected, std::string found, std::string remedy = {}) {
    out_.mistakes.push_back(
        {Code::configuration, std::move(what), std::move(expected), std::move(found), std::move(remedy)});
  }
  void copy(std::string_view variable, std::string setting) {
    if (const auto* found = find(variable); found != nullptr && !found->empty()) out_.settings[setting] = *found;
  }
  void tokens(std::string_view variable, std::string setting);
  void unknown_names();
  void address();
  void chain();
  void published_key();
  void tee();
  void registered();
  void keys();
  void the_rest();

  const Variables& variables_;
  KeystoreEnvironment out_;
};

void Translation::unknown_names() {
  std::vector<std::string_view> known{kKnown.begin(), kKnown.end()};
  known.push_back(kPrivateKey);
  for (const auto& [name, value] : variables_) {
    if (std::ranges::find(known, name) != known.end()) continue;
    const auto near = base::nearest(name, known);
    mistake("no variable of a keystore is called " + name, {}, {},
            near.empty() ? std::string{"Take it out, or set what it stands for with --set."}
                         : "Did you mean " + std::string{near} + "?");
  }
}

void Translation::address() {
  const std::string host = text("SERVER_HOST", "0.0.0.0");
  const std::string port = text("SERVER_PORT", "8081");
  unsigned number = 0;
  const auto [end, failed] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (failed != std::errc{} || end != port.data() + port.size() || number > 65535)
    return mistake("Invalid SERVER_PORT", "0 to 65535", port);
  const std::string joined = (host.contains(':') ? "[" + host + "]" : host) + ":" + port;
  if (const bool good = std::ranges::all_of(host, [](char c) { return c > ' ' && c != '/'; }); host.empty() || !good)
    return mistake("Invalid server address", "an IP address", host);
  out_.settings["keystore.listen"] = joined;
}

void Translation::tokens(std::string_view variable, std::string setting) {
  std::string list, part;
  const std::string given = text(variable);
  for (std::size_t at = 0; at <= given.size(); ++at) {
    if (at < given.size() && given[at] != ',') {
      part += given[at];
      continue;
    }
    if (const auto entry = trimmed(part); !entry.empty()) list += (list.empty() ? "" : ",") + std::string{entry};
    part.clear();
  }
  if (list.empty()) out_.notes.push_back(std::string{variable} + " is empty: every request of that kind is refused");
  out_.settings[setting] = list;
}

void Translation::chain() {
  out_.settings["keystore.network"] = text("NEAR_NETWORK", "testnet");
  if (text("NEAR_RPC_URL").empty()) mistake("NEAR_RPC_URL is required", "the URL of a NEAR node", "nothing");
  copy("NEAR_RPC_URL", "keystore.rpc");
  // The first generations have the contract under another name.
  if (text("OFFCHAINVM_CONTRACT_ID").empty())
    mistake("OFFCHAINVM_CONTRACT_ID is required", "the account of the main contract", "nothing");
  copy("NEAR_CONTRACT_ID", "keystore.contract");
  if (text("NEAR_CONTRACT_ID").empty())
    out_.notes.emplace_back("NEAR_CONTRACT_ID is not set: no secrets are read from the chain");
  copy("OPERATOR_ACCOUNT_ID", "keystore.operator_account");
  copy("KEYSTORE_DAO_CONTRACT", "keystore.dao_contract");
  copy("MPC_CONTRACT_ID", "keystore.mpc_contract");
  if (is_true("KEYSTORE_ALLOW_INLINE_POLICY")) {
    out_.settings["keystore.inline_policy"] = "true";
  } else if (const auto other = lower(trimmed(text("KEYSTORE_ALLOW_INLINE_POLICY")));
             !other.empty() && other != "false") {
    mistake("KEYSTORE_ALLOW_INLINE_POLICY is neither true nor false", "true or false", other);
  }
  published_key();
}

/// The first generation's check at the start: what the contract publishes is this server's key (1.5).
void Translation::published_key() {
  if (text("KEYSTORE_ACCOUNT_ID").empty()) return;
  // That generation knows one contract, by either name.
  const std::string contract = text("NEAR_CONTRACT_ID", text("OFFCHAINVM_CONTRACT_ID"));
  out_.settings["keystore.published_key_method"] = contract + "/get_keystore_pubkey";
  out_.notes.emplace_back("KEYSTORE_ACCOUNT_ID is set: the server starts when " + contract +
                          " publishes its key (`attestry keystore publish-key`)");
}

void Translation::tee() {
  const std::string mode = lower(trimmed(unquoted(trimmed(text("TEE_MODE", "none")))));
  constexpr std::array<std::string_view, 7> kModes{"outlayer_tee", "none", "sgx", "sev", "tdx", "nitro", "simulated"};
  if (std::ranges::find(kModes, mode) == kModes.end())
    return mistake("Invalid TEE_MODE: " + text("TEE_MODE"), "outlayer_tee, sgx, sev, tdx, nitro, simulated or none",
                   mode);
  out_.tee_mode = mode == "outlayer_tee" ? "evidence" : mode;
  out_.settings["keystore.tee_mode"] = out_.tee_mode;
  // v2 has a mode of its own name; the first two generations tell each other apart by what they call the key.
  const bool first = find("KEYSTORE_PRIVATE_KEY") != nullptr || find("KEYSTORE_ACCOUNT_ID") != nullptr;
  out_.settings["keystore.generation"] = mode == "outlayer_tee" ? "v2" : first ? "v0" : "v1";
  if (mode == "outlayer_tee" && text("OPERATOR_ACCOUNT_ID").empty())
    mistake("OPERATOR_ACCOUNT_ID is required when TEE_MODE=outlayer_tee", "an account", "nothing");
  if (const auto* kinds = find("TEE_ALLOWED_KEY_TYPES")) out_.settings["keystore.key_kinds"] = *kinds;
}

/// keystore_ckd.md 7.1, 7.2: the master comes from the MPC network.
void Translation::registered() {
  out_.settings["keystore.master"] = "ckd";
  copy("INIT_ACCOUNT_ID", "keystore.init_account");
  copy("MPC_PUBLIC_KEY", "keystore.mpc_public_key");
  copy("MPC_DOMAIN_ID", "keystore.mpc_domain");
  out_.init_key = text("INIT_ACCOUNT_PRIVATE_KEY");
  const std::string kind = lower(trimmed(text("KEYSTORE_KEY_TYPE")));
  if (!kind.empty() && kind != "ed25519" && kind != "ml-dsa-65")
    mistake("KEYSTORE_KEY_TYPE: the registered key is of one of two kinds", "ed25519 or ml-dsa-65", kind);
  if (!kind.empty()) out_.settings["keystore.registration_key_type"] = kind;
  if (!text("KEYSTORE_MASTER_SECRET_OUT_PATH").empty())
    out_.notes.emplace_back("KEYSTORE_MASTER_SECRET_OUT_PATH is not used: the master comes from the MPC network");
  // As the original, whose evidence comes from dstack's guest agent, or is none.
  out_.settings["keystore.registration_attestation"] =
      out_.tee_mode == "evidence" || out_.tee_mode == "tdx" ? "dstack" : "none";
  // The original kept the master in memory alone.
  if (out_.settings["keystore.registration_attestation"] == "dstack") out_.settings["keystore.sealing"] = "dstack";
}

void Translation::keys() {
  const bool has_master = !text("KEYSTORE_MASTER_SECRET").empty();
  const bool registration = this->registration();
  if (registration && has_master) {
    mistake("USE_TEE_REGISTRATION=true and KEYSTORE_MASTER_SECRET are both set: one master can be used", "one of them",
            "both", "Take KEYSTORE_MASTER_SECRET out to have the master from the network.");
  }
  if (registration) {
    for (const std::string_view name : {"KEYSTORE_DAO_CONTRACT", "INIT_ACCOUNT_ID", "INIT_ACCOUNT_PRIVATE_KEY",
                                        "MPC_CONTRACT_ID", "MPC_PUBLIC_KEY"}) {
      if (text(name).empty()) mistake(std::string{name} + " is required when USE_TEE_REGISTRATION=true", "a value", "");
    }
    registered();
  }
  out_.private_key = text(kPrivateKey);
  if (registration) return;
  if (!has_master) {
    out_.master_out_path = text("KEYSTORE_MASTER_SECRET_OUT_PATH");
    if (out_.master_out_path.empty())
      out_.notes.emplace_back("KEYSTORE_MASTER_SECRET is not set: the master is derived from this server's root");
    return;
  }
  base::Digest32 bytes{};
  const std::string master = text("KEYSTORE_MASTER_SECRET");
  const bool good = base::hex_decode_into(master, bytes).ok();
  crypto::wipe(bytes);
  if (!good)
    mistake("KEYSTORE_MASTER_SECRET is no key", "64 hex digits", std::to_string(master.size()) + " characters");
  out_.master_secret = master;
}

void Translation::the_rest() {
  const auto note = [&](std::string_view name, std::string_view why) {
    if (find(name) != nullptr) out_.notes.push_back(std::string{name} + " is not used: " + std::string{why});
  };
  note("RUST_LOG", "log.level decides what is logged, and never a secret, an owner or a seed");
  note("LOG_MASTER_KEY_HASH", "nothing about the master is logged; `attestry keystore` shows its key id");
  if (const auto* socket = find("DSTACK_SIMULATOR_ENDPOINT"); socket != nullptr && !socket->empty()) {
    const auto path = std::string_view{*socket}.substr(socket->starts_with("unix:") ? 5 : 0);
    if (path.starts_with('/')) {
      out_.settings["keystore.sealing_dstack"] = std::string{path};
    } else {
      note("DSTACK_SIMULATOR_ENDPOINT", "keystore.sealing_dstack is the path of dstack's socket");
    }
  }
  if (text("USE_TEE_REGISTRATION") == "true") return;
  for (const std::string_view name :
       {"INIT_ACCOUNT_ID", "INIT_ACCOUNT_PRIVATE_KEY", "MPC_PUBLIC_KEY", "MPC_DOMAIN_ID", "KEYSTORE_KEY_TYPE"})
    note(name, "without USE_TEE_REGISTRATION=true this server registers with no DAO");
}

KeystoreEnvironment Translation::run() && {
  unknown_names();
  address();
  chain();
  tokens("ALLOWED_WORKER_TOKEN_HASHES", "keystore.worker_tokens");
  tokens("ALLOWED_COORDINATOR_TOKEN_HASHES", "keystore.coordinator_tokens");
  tee();
  keys();
  the_rest();
  return std::move(out_);
}

}  // namespace

void KeystoreEnvironment::wipe() {
  for (std::string* key : {&master_secret, &private_key, &init_key})
    crypto::wipe({reinterpret_cast<std::uint8_t*>(key->data()), key->size()});
}

Result<Variables> parse_env_file(std::string_view text) {
  Variables out;
  std::size_t number = 0;
  while (!text.empty()) {
    ++number;
    const auto end = text.find('\n');
    std::string_view line = trimmed(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.empty() || line.front() == '#') continue;
    if (line.starts_with("export ")) line = trimmed(line.substr(7));
    const auto equals = line.find('=');
    const auto name = trimmed(line.substr(0, equals));
    const std::string where = "line " + std::to_string(number);
    // What stands there may be a secret: it is not shown.
    if (equals == std::string_view::npos || !valid_name(name)) return Error{Code::malformed, where, "NAME=VALUE"};
    if (!out.emplace(name, unquoted(trimmed(line.substr(equals + 1)))).second)
      return Error{Code::malformed, where + ": " + std::string{name} + " is there twice"};
  }
  return out;
}

KeystoreEnvironment read_keystore_environment(const Variables& variables) { return Translation{variables}.run(); }

}  // namespace attestry::app
