// What is inside a keystore's secret: names and values, which names nobody may set, values that the keystore makes
// itself and nobody may change. docs/formats/keystore.md
#pragma once
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "chain/near_message.h"
#include "crypto/random.h"
#include "crypto/secret.h"

namespace attestry::secrets::keystore {

inline constexpr std::string_view kProtectedPrefix = "PROTECTED_";
inline constexpr std::size_t kMaxGenerated = 16;
inline constexpr std::size_t kMaxVariables = 1024;
inline constexpr std::size_t kMaxVariablesBytes = 1u << 20;

/// Names that the worker sets for every program.
std::span<const std::string_view> reserved_names() noexcept;
bool is_protected_name(std::string_view name) noexcept;

/// The variables of a program: names and values, in the order of the names. Move-only; not thread-safe.
class Variables {
 public:
  Variables() = default;
  /// A JSON object of strings; the text is wiped. `malformed` "Invalid JSON format: …".
  static base::Result<Variables> parse(const crypto::Secret& json);
  static base::Result<Variables> parse(const base::JsonValue& object);

  const std::map<std::string, crypto::Secret, std::less<>>& all() const noexcept { return all_; }
  bool contains(std::string_view name) const { return all_.contains(name); }
  std::vector<std::string> names() const;
  /// `malformed` for an empty or too long name, one with '=' or control characters, and beyond kMaxVariables.
  base::Status set(std::string name, crypto::Secret value);
  void erase(std::string_view name);
  /// JSON, compact. `too_large` beyond kMaxVariablesBytes.
  base::Result<crypto::Secret> json() const;

 private:
  std::map<std::string, crypto::Secret, std::less<>> all_;
};

/// {"name":"value",…} of UTF-8 texts, compact, in memory that is wiped.
crypto::Secret secret_json(std::span<const std::pair<std::string_view, base::ByteView>> members);

/// What people may set: no reserved name and none with PROTECTED_ in front. Errors `malformed`.
base::Status check_names(const Variables& variables);
/// `secrets_json` of POST /pubkey: a JSON object, its values strings, its names free. The text is wiped.
base::Status check_secrets_json(const crypto::Secret& json);

/// `hex16`, `hex32`, `hex64` (twice as many digits), `ed25519` ("ed25519:" and base58 of a seed), `ed25519_seed` (64
/// digits), `password` and `password:N` (N letters and digits, 8 to 256, of itself 32); `generate_outlayer_secret:` may
/// stand in front. Error `malformed` for another type.
base::Result<crypto::Secret> generate_secret(std::string_view type, crypto::Random& random);

struct Generation {
  std::string name{};
  std::string type{};
};
/// [{"name","generation_type"}], at most kMaxGenerated, every name with PROTECTED_ in front and no two alike.
base::Result<std::vector<Generation>> parse_generations(const base::JsonValue& list);

/// POST /add_generated_secret: what was, with new values. Errors `malformed`: "Cannot generate secrets: keys already
/// exist: …", and for variables that already have protected ones. Takes `random` once per value.
base::Result<Variables> add_generated(Variables before, const std::vector<Generation>& wanted, crypto::Random& random);

/// What the owner signs for POST /update_user_secrets: `Update Outlayer secrets for {owner}:{profile}`, and the names,
/// in order, of what is set and of what is generated.
std::string update_message(std::string_view owner, std::string_view profile, std::vector<std::string> names,
                           std::vector<std::string> generated);
/// What may stand in a further line, `change:` and 64 hex digits, so that nobody can make another change of it:
/// SHA-256(LP("attestry/keystore/change/1") ‖ LP(accessor) ‖ LP(new accessor) ‖ LP(mode) ‖ LP(vault) ‖ for each name in
/// order LP(name) ‖ LP(SHA-256(value)) ‖ LP("") ‖ for each generation in the order of names LP(name) ‖ LP(type)).
/// Accessors are the RFC 8785 form of what the request has; empty where there is none.
struct UpdateChange {
  std::string accessor{}, new_accessor{}, mode{}, vault{};
};
base::Digest32 update_digest(const UpdateChange& change, const Variables& set, std::vector<Generation> generate);

/// Whether the message is that one and signed (NEP-413). Errors: `malformed` when it says something else,
/// `unauthenticated` when the signature is not of the key. Whether the key is one of the owner's is for the chain.
base::Status check_update_signature(std::string_view expected, const chain::near::Message& message,
                                    const chain::near::PublicKey& key, const chain::near::Signature& signature);

enum class UpdateMode : std::uint8_t { append, reset };
base::Result<UpdateMode> parse_update_mode(std::string_view text);
struct UpdateSummary {
  std::vector<std::string> protected_keys_preserved{}, updated_keys{}, removed_keys{};
  std::size_t total_keys = 0;
};
struct Updated {
  Variables variables;
  UpdateSummary summary{};
};
/// `append` keeps what is not set anew, `reset` only what is protected; protected values never change. Errors
/// `malformed`: names as check_names, "Cannot regenerate existing PROTECTED_ secret: …".
base::Result<Updated> update_variables(Variables before, Variables set, UpdateMode mode,
                                       const std::vector<Generation>& generate, crypto::Random& random);

}  // namespace attestry::secrets::keystore
