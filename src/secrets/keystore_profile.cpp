#include "secrets/keystore_profile.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/base58.h"
#include "base/encoding.h"
#include "base/utf8.h"
#include "crypto/hash.h"

namespace attestry::secrets::keystore {

using base::Code;
using base::Error;
using base::JsonValue;
using base::Result;
using crypto::Secret;

namespace {

constexpr std::size_t kMaxNameBytes = 256;
constexpr std::size_t kDefaultPassword = 32;
constexpr std::string_view kGenerator = "generate_outlayer_secret:";
constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

constexpr std::array<std::string_view, 26> kReserved = {"NEAR_SENDER_ID",
                                                        "NEAR_CONTRACT_ID",
                                                        "NEAR_BLOCK_HEIGHT",
                                                        "NEAR_BLOCK_TIMESTAMP",
                                                        "NEAR_RECEIPT_ID",
                                                        "NEAR_PREDECESSOR_ID",
                                                        "NEAR_SIGNER_PUBLIC_KEY",
                                                        "NEAR_GAS_BURNT",
                                                        "NEAR_USER_ACCOUNT_ID",
                                                        "NEAR_PAYMENT_YOCTO",
                                                        "NEAR_TRANSACTION_HASH",
                                                        "NEAR_MAX_INSTRUCTIONS",
                                                        "NEAR_MAX_MEMORY_MB",
                                                        "NEAR_MAX_EXECUTION_SECONDS",
                                                        "NEAR_REQUEST_ID",
                                                        "NEAR_NETWORK_ID",
                                                        "OUTLAYER_PROJECT_ID",
                                                        "OUTLAYER_PROJECT_UUID",
                                                        "OUTLAYER_EXECUTION_TYPE",
                                                        "OUTLAYER_CALL_ID",
                                                        "OUTLAYER_PROJECT_NAME",
                                                        "OUTLAYER_PROJECT_OWNER",
                                                        "ATTACHED_USD",
                                                        "USD_PAYMENT",
                                                        "WALLET_ID",
                                                        "NEAR_RPC_PROXY_AVAILABLE"};

Error bad_json(std::string_view why) { return {Code::malformed, "Invalid JSON format: " + std::string{why}}; }

std::string joined(const std::vector<std::string>& names, std::string_view between) {
  std::string out;
  for (const std::string& name : names) {
    if (!out.empty()) out += between;
    out += name;
  }
  return out;
}

/// Writes JSON into memory that is wiped: nothing of a value is left behind in a buffer that grew.
class SecretJson {
 public:
  explicit SecretJson(Secret* out) noexcept : out_(out) {}
  void raw(char c) {
    if (out_ != nullptr) out_->writable()[size_] = static_cast<std::uint8_t>(c);
    ++size_;
  }
  void string(std::string_view text) {
    constexpr std::string_view digits = "0123456789abcdef";
    raw('"');
    for (const char c : text) {
      const auto byte = static_cast<unsigned char>(c);
      if (c == '"' || c == '\\') {
        raw('\\');
        raw(c);
      } else if (byte < 0x20) {
        for (const char letter : {'\\', 'u', '0', '0', digits[byte >> 4], digits[byte & 15]}) raw(letter);
      } else {
        raw(c);
      }
    }
    raw('"');
  }
  std::size_t size() const noexcept { return size_; }

 private:
  Secret* out_;  ///< null: only counts
  std::size_t size_ = 0;
};

void write(SecretJson& out, const std::map<std::string, Secret, std::less<>>& all) {
  out.raw('{');
  bool first = true;
  for (const auto& [name, value] : all) {
    if (!std::exchange(first, false)) out.raw(',');
    out.string(name);
    out.raw(':');
    out.string(base::as_text(value.reveal()));
  }
  out.raw('}');
}

Result<Secret> generated_hex(std::size_t bytes, crypto::Random& random) {
  const Secret raw = random.secret(bytes);
  std::string text = base::hex(raw.reveal());
  Secret out = Secret::copy_of(base::as_bytes(text));
  crypto::wipe({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
  return out;
}

Secret generated_ed25519(crypto::Random& random) {
  const Secret raw = random.secret(32);
  std::string text = "ed25519:" + base::base58(raw.reveal());
  Secret out = Secret::copy_of(base::as_bytes(text));
  crypto::wipe({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
  return out;
}

Secret generated_password(std::size_t size, crypto::Random& random) {
  Secret out(size);
  constexpr unsigned even = 256 / kLetters.size() * kLetters.size();  // below it every letter is as likely
  Secret pool;
  std::size_t next = 0;
  for (std::size_t i = 0; i < size;) {
    if (next >= pool.size()) {
      pool = random.secret(64);
      next = 0;
    }
    const unsigned byte = pool.reveal()[next++];
    if (byte < even) out.writable()[i++] = static_cast<std::uint8_t>(kLetters[byte % kLetters.size()]);
  }
  return out;
}

Result<std::size_t> password_size(std::string_view text) {
  std::size_t size = 0;
  for (const char c : text.substr(0, 4)) {
    if (c < '0' || c > '9') {
      size = 0;
      break;
    }
    size = size * 10 + static_cast<std::size_t>(c - '0');
  }
  if (size >= 8 && size <= 256) return size;
  return Error{Code::malformed, "length of a password", "8 to 256", std::string{base::utf8_prefix(text, 40)}};
}

base::Status check_generations(const std::vector<Generation>& wanted) {
  if (wanted.size() > kMaxGenerated) {
    return Error{Code::malformed, "secrets to generate", "at most 16", std::to_string(wanted.size())};
  }
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const std::string& name = wanted[i].name;
    if (!is_protected_name(name) || name.size() == kProtectedPrefix.size()) {
      return Error{Code::malformed, "name of a generated secret", "PROTECTED_ and more", name};
    }
    const auto begin = wanted.begin();
    if (std::any_of(begin, begin + static_cast<std::ptrdiff_t>(i), [&](const auto& g) { return g.name == name; })) {
      return Error{Code::malformed, "secrets to generate", "every name once", name};
    }
  }
  return base::done();
}

base::Status fill(Variables& variables, const std::vector<Generation>& wanted, crypto::Random& random) {
  for (const Generation& one : wanted) {
    TRY(Secret value, generate_secret(one.type, random), one.name);
    TRY_OK(variables.set(one.name, std::move(value)));
  }
  return base::done();
}

}  // namespace

std::span<const std::string_view> reserved_names() noexcept { return kReserved; }
bool is_protected_name(std::string_view name) noexcept { return name.starts_with(kProtectedPrefix); }

Result<Variables> Variables::parse(const Secret& json) {
  const auto document = base::JsonDocument::parse(std::string{base::as_text(json.reveal())},
                                                  {.max_bytes = kMaxVariablesBytes, .wipe = true});
  if (!document) return bad_json(document.error().text());
  return parse((*document)->root());
}

Result<Variables> Variables::parse(const JsonValue& object) {
  if (!object.is_object()) return bad_json("expected an object of names and values");
  Variables out;
  for (auto value = object.first(); value; value = value->next()) {
    std::string name = value->key();
    if (!value->is_string()) return bad_json("the value of '" + name + "' is no string");
    TRY(std::string text, value->string("value"));
    Secret secret = Secret::absorb({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
    TRY_OK(out.set(std::move(name), std::move(secret)));
  }
  return out;
}

std::vector<std::string> Variables::names() const {
  std::vector<std::string> out;
  out.reserve(all_.size());
  for (const auto& [name, value] : all_) out.push_back(name);
  return out;
}

base::Status Variables::set(std::string name, Secret value) {
  const bool good = !name.empty() && name.size() <= kMaxNameBytes && base::is_utf8(name) &&
                    std::ranges::none_of(name, [](char c) { return c == '=' || (c >= 0 && c < 0x20) || c == 0x7f; });
  if (!good) {
    return Error{Code::malformed, "name of a secret", "1 to 256 bytes without '=' and control characters",
                 std::string{base::utf8_prefix(name, 40)}};
  }
  if (!base::is_utf8(base::as_text(value.reveal()))) return Error{Code::malformed, "value of '" + name + "'", "UTF-8"};
  if (all_.size() >= kMaxVariables && !all_.contains(name)) {
    return Error{Code::too_large, "secrets of one profile", "at most " + std::to_string(kMaxVariables), "more"};
  }
  all_.insert_or_assign(std::move(name), std::move(value));
  return base::done();
}

void Variables::erase(std::string_view name) {
  if (const auto found = all_.find(name); found != all_.end()) all_.erase(found);
}

Result<Secret> Variables::json() const {
  SecretJson counted{nullptr};
  write(counted, all_);
  if (counted.size() > kMaxVariablesBytes) {
    return Error{Code::too_large, "secrets of one profile", std::to_string(kMaxVariablesBytes) + " bytes of JSON",
                 std::to_string(counted.size()) + " bytes"};
  }
  Secret out(counted.size());
  SecretJson writer{&out};
  write(writer, all_);
  return out;
}

Secret secret_json(std::span<const std::pair<std::string_view, base::ByteView>> members) {
  const auto write_all = [&](SecretJson& out) {
    out.raw('{');
    bool first = true;
    for (const auto& [name, value] : members) {
      if (!std::exchange(first, false)) out.raw(',');
      out.string(name);
      out.raw(':');
      out.string(base::as_text(value));
    }
    out.raw('}');
  };
  SecretJson counted{nullptr};
  write_all(counted);
  Secret out(counted.size());
  SecretJson writer{&out};
  write_all(writer);
  return out;
}

base::Status check_names(const Variables& variables) {
  for (const auto& [name, value] : variables.all()) {
    if (std::ranges::find(kReserved, name) != kReserved.end()) {
      return Error{Code::malformed, "'" + name + "' is a reserved name", "a name that the worker does not set itself"};
    }
    if (is_protected_name(name)) {
      return Error{Code::malformed,
                   "'" + name + "' is a PROTECTED_ name",
                   "a name of another kind",
                   {},
                   "PROTECTED_ secrets are generated by the keystore and cannot be set."};
    }
  }
  return base::done();
}

base::Status check_secrets_json(const Secret& json) {
  TRY(const Variables variables, Variables::parse(json));
  return check_names(variables);
}

Result<Secret> generate_secret(std::string_view type, crypto::Random& random) {
  if (type.starts_with(kGenerator)) type.remove_prefix(kGenerator.size());
  if (type == "hex16") return generated_hex(16, random);
  if (type == "hex32" || type == "ed25519_seed") return generated_hex(32, random);
  if (type == "hex64") return generated_hex(64, random);
  if (type == "ed25519") return generated_ed25519(random);
  if (type == "password") return generated_password(kDefaultPassword, random);
  if (type.starts_with("password:")) {
    TRY(const std::size_t size, password_size(type.substr(9)));
    return generated_password(size, random);
  }
  return Error{Code::malformed, "generation_type", "hex16, hex32, hex64, ed25519, ed25519_seed, password or password:N",
               std::string{base::utf8_prefix(type, 40)}};
}

Result<std::vector<Generation>> parse_generations(const JsonValue& list) {
  if (!list.is_array()) return Error{Code::malformed, "secrets to generate", "an array of {name, generation_type}"};
  std::vector<Generation> out;
  for (auto value = list.first(); value; value = value->next()) {
    Generation one;
    TRY(const JsonValue name, value->get("name"));
    TRY(one.name, name.string("name"));
    TRY(const JsonValue type, value->get("generation_type"));
    TRY(one.type, type.string("generation_type"));
    out.push_back(std::move(one));
  }
  TRY_OK(check_generations(out));
  return out;
}

Result<Variables> add_generated(Variables before, const std::vector<Generation>& wanted, crypto::Random& random) {
  TRY_OK(check_generations(wanted));
  std::vector<std::string> there;
  for (const Generation& one : wanted) {
    if (before.contains(one.name)) there.push_back(one.name);
  }
  if (!there.empty()) {
    return Error{Code::malformed, "Cannot generate secrets: keys already exist: " + joined(there, ", ")};
  }
  for (const auto& [name, value] : before.all()) {
    if (is_protected_name(name)) {
      return Error{Code::malformed,
                   "the secrets already have the PROTECTED_ name '" + name + "'",
                   "secrets that people wrote",
                   {},
                   "Use update_user_secrets, which keeps PROTECTED_ values."};
    }
  }
  TRY_OK(fill(before, wanted, random));
  return before;
}

std::string update_message(std::string_view owner, std::string_view profile, std::vector<std::string> names,
                           std::vector<std::string> generated) {
  std::string out = "Update Outlayer secrets for " + std::string{owner} + ":" + std::string{profile};
  std::ranges::sort(names);
  std::ranges::sort(generated);
  if (!names.empty()) out += "\nkeys:" + joined(names, ",");
  if (!generated.empty()) out += "\nprotected:" + joined(generated, ",");
  return out;
}

base::Digest32 update_digest(const UpdateChange& change, const Variables& set, std::vector<Generation> generate) {
  base::LpWriter out;
  out.lp("attestry/keystore/change/1").lp(change.accessor).lp(change.new_accessor).lp(change.mode).lp(change.vault);
  for (const auto& [name, value] : set.all()) out.lp(name).lp(crypto::sha256(value.reveal()));
  out.lp("");
  std::ranges::sort(generate, {}, &Generation::name);
  for (const Generation& one : generate) out.lp(one.name).lp(one.type);
  return crypto::sha256(out.bytes());
}

base::Status check_update_signature(std::string_view expected, const chain::near::Message& message,
                                    const chain::near::PublicKey& key, const chain::near::Signature& signature) {
  if (message.message != expected) {
    return Error{Code::malformed, "signed_message", std::string{expected},
                 std::string{base::utf8_prefix(message.message, 400)}};
  }
  return chain::near::verify(message, key, signature);
}

Result<UpdateMode> parse_update_mode(std::string_view text) {
  if (text == "append") return UpdateMode::append;
  if (text == "reset") return UpdateMode::reset;
  return Error{Code::malformed, "mode", "append or reset", std::string{base::utf8_prefix(text, 40)}};
}

Result<Updated> update_variables(Variables before, Variables set, UpdateMode mode,
                                 const std::vector<Generation>& generate, crypto::Random& random) {
  TRY_OK(check_names(set));
  TRY_OK(check_generations(generate));
  for (const Generation& one : generate) {
    if (before.contains(one.name)) {
      return Error{Code::malformed, "Cannot regenerate existing PROTECTED_ secret: " + one.name};
    }
  }
  Updated out{.variables = std::move(before), .summary = {}};
  for (const std::string& name : out.variables.names()) {
    if (is_protected_name(name)) {
      out.summary.protected_keys_preserved.push_back(name);
    } else if (mode == UpdateMode::reset && !set.contains(name)) {
      out.summary.removed_keys.push_back(name);
      out.variables.erase(name);
    }
  }
  for (const auto& [name, value] : set.all()) {
    out.summary.updated_keys.push_back(name);
    TRY_OK(out.variables.set(name, value.clone()));
  }
  TRY_OK(fill(out.variables, generate, random));
  for (const Generation& one : generate) out.summary.updated_keys.push_back(one.name);
  std::ranges::sort(out.summary.updated_keys);
  out.summary.total_keys = out.variables.all().size();
  return out;
}

}  // namespace attestry::secrets::keystore
