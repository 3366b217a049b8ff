#include "secrets/keystore_accessor.h"

#include <algorithm>
#include <utility>

#include "base/encoding.h"
#include "base/utf8.h"
#include "secrets/keystore_ciphertext.h"

namespace attestry::secrets::keystore {

using base::Code;
using base::Error;
using base::JsonOut;
using base::JsonOutObject;
using base::JsonValue;
using base::Result;
using chain::near::AccountId;

namespace {

constexpr std::size_t kMaxName = 512;

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

bool is_lower_hex(std::string_view text) noexcept {
  return std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

Result<std::string> name_member(const JsonValue& from, std::string_view key) {
  TRY(const JsonValue value, from.get(key));
  TRY(std::string text, value.string(key));
  if (text.empty() || text.size() > kMaxName) {
    return Error{Code::malformed, std::string{key}, "1 to 512 bytes", std::to_string(text.size()) + " bytes"};
  }
  return text;
}

Result<Accessor> repo(const JsonValue& from) {
  TRY(const std::string name, name_member(from, "repo"));
  RepoAccessor out{.repo = normalise_repo(name), .branch = std::nullopt};
  if (const auto branch = from.find("branch"); branch && !branch->is_null()) {
    TRY(std::string text, branch->string("branch"));
    if (text.size() > kMaxName) return Error{Code::malformed, "branch", "at most 512 bytes"};
    if (!text.empty()) out.branch = std::move(text);
  }
  if (out.repo.empty()) return Error{Code::malformed, "repo", "a repository such as github.com/owner/name", name};
  return Accessor{std::move(out)};
}

Result<Accessor> wasm(const JsonValue& from) {
  TRY(const std::string text, name_member(from, "hash"));
  const auto bytes = base::hex_decode(text);
  if (!bytes || bytes->size() != 32) {
    return Error{Code::malformed, "hash", "64 hex digits", std::string{base::utf8_prefix(text, 80)}};
  }
  return Accessor{WasmHashAccessor{base::hex(*bytes)}};
}

Result<Accessor> project(const JsonValue& from) {
  TRY(std::string id, name_member(from, "project_id"));
  return Accessor{ProjectAccessor{std::move(id)}};
}

Error no_accessor(std::string_view expected, std::string_view found) {
  return {Code::malformed, "accessor", std::string{expected}, std::string{base::utf8_prefix(found, 80)}};
}

/// What is in the reply, after its shape is known to be JSON.
Result<std::optional<StoredSecret>> read_stored(const JsonValue& root) {
  TRY(const JsonValue profile, root.get("profile"));
  if (profile.is_null()) return std::optional<StoredSecret>{};
  StoredSecret out;
  TRY(const JsonValue encrypted, profile.get("encrypted_secrets"));
  TRY(const std::string blob, encrypted.string("encrypted_secrets"));
  TRY(out.blob, base::base64_decode(blob), "encrypted_secrets");
  TRY(const JsonValue access, profile.get("access"));
  out.access = access.source();
  TRY(const JsonValue accessor, profile.get("accessor"));
  TRY(out.accessor, parse_chain_accessor(accessor));
  if (const auto vault = root.find("vault_id"); vault && !vault->is_null()) {
    TRY(const std::string name, vault->string("vault_id"));
    TRY(out.vault, AccountId::parse(name), "vault_id");
  }
  return std::optional{std::move(out)};
}

/// A request for a branch may be answered by the secret of all branches.
bool serves(const Accessor& stored, const Accessor& requested) {
  if (stored == requested) return true;
  const auto* have = std::get_if<RepoAccessor>(&stored);
  const auto* want = std::get_if<RepoAccessor>(&requested);
  return have != nullptr && want != nullptr && have->repo == want->repo && !have->branch;
}

}  // namespace

Result<Accessor> parse_request_accessor(const JsonValue& value) {
  if (!value.is_object()) return no_accessor("an object with 'type'", value.source());
  TRY(const JsonValue type, value.get("type"));
  TRY(const std::string name, type.string("type"));
  if (name == "Repo") return repo(value);
  if (name == "WasmHash") return wasm(value);
  if (name == "Project") return project(value);
  if (name != "System") return no_accessor("type Repo, WasmHash, Project or System", name);
  TRY(const std::string secret, name_member(value, "secret_type"));
  if (secret != "payment_key") return no_accessor("secret_type payment_key", secret);
  return Accessor{PaymentKeyAccessor{}};
}

Result<Accessor> parse_chain_accessor(const JsonValue& value) {
  if (!value.is_object() || value.size() != 1) {
    return no_accessor("an object with one member, Repo, WasmHash, Project or System", value.source());
  }
  const JsonValue inner = *value.first();
  const std::string name = inner.key();
  if (name == "Repo") return repo(inner);
  if (name == "WasmHash") return wasm(inner);
  if (name == "Project") return project(inner);
  if (name != "System") return no_accessor("Repo, WasmHash, Project or System", name);
  if (inner.plain_string() != "PaymentKey") return no_accessor("System PaymentKey", inner.source());
  return Accessor{PaymentKeyAccessor{}};
}

JsonOut request_json(const Accessor& accessor) {
  return std::visit(Overloaded{[](const RepoAccessor& a) {
                                 const JsonOut branch = a.branch ? JsonOut{*a.branch} : JsonOut{};
                                 return JsonOut{JsonOutObject{{"type", "Repo"}, {"repo", a.repo}, {"branch", branch}}};
                               },
                               [](const WasmHashAccessor& a) {
                                 return JsonOut{JsonOutObject{{"type", "WasmHash"}, {"hash", a.hash}}};
                               },
                               [](const ProjectAccessor& a) {
                                 return JsonOut{JsonOutObject{{"type", "Project"}, {"project_id", a.project_id}}};
                               },
                               [](const PaymentKeyAccessor&) {
                                 return JsonOut{JsonOutObject{{"type", "System"}, {"secret_type", "payment_key"}}};
                               }},
                    accessor);
}

JsonOut chain_json(const Accessor& accessor) {
  return std::visit(
      Overloaded{[](const RepoAccessor& a) {
                   const JsonOut branch = a.branch ? JsonOut{*a.branch} : JsonOut{};
                   return JsonOut{JsonOutObject{{"Repo", JsonOutObject{{"repo", a.repo}, {"branch", branch}}}}};
                 },
                 [](const WasmHashAccessor& a) {
                   return JsonOut{JsonOutObject{{"WasmHash", JsonOutObject{{"hash", a.hash}}}}};
                 },
                 [](const ProjectAccessor& a) {
                   return JsonOut{JsonOutObject{{"Project", JsonOutObject{{"project_id", a.project_id}}}}};
                 },
                 [](const PaymentKeyAccessor&) { return JsonOut{JsonOutObject{{"System", "PaymentKey"}}}; }},
      accessor);
}

std::string binding_text(const Accessor& accessor) {
  return std::visit(Overloaded{[](const RepoAccessor& a) { return "repo:" + a.repo + ":" + a.branch.value_or(""); },
                               [](const WasmHashAccessor& a) { return "wasm:" + a.hash; },
                               [](const ProjectAccessor& a) { return a.project_id; },
                               [](const PaymentKeyAccessor&) { return std::string{"system:PaymentKey"}; }},
                    accessor);
}

std::string secret_query(const Accessor& accessor, std::string_view profile, const AccountId& owner) {
  return JsonOut{JsonOutObject{{"accessor", chain_json(accessor)}, {"profile", profile}, {"owner", owner.text()}}}
      .compact();
}

Result<std::optional<StoredSecret>> parse_stored_secret(std::string reply) {
  // base64 of the largest blob, and what stands around it.
  const auto document = base::JsonDocument::parse(std::move(reply), {.max_bytes = kMaxBlobBytes / 3 * 4 + (1u << 20)});
  auto out = document ? read_stored((*document)->root()) : Result<std::optional<StoredSecret>>{document.error()};
  if (!out) {
    return Error{Code::unavailable, "the contract's answer about a secret: " + out.error().text(),
                 "{profile, vault_id} as get_secret_with_vault returns it"};
  }
  return out;
}

Result<Seed> seed_of(const Accessor& accessor, const AccountId& owner, std::string_view profile,
                     const SeedRules& rules) {
  return std::visit(Overloaded{[&](const RepoAccessor& a) {
                                 return Seed::repo(a.repo, owner.text(), a.branch ? std::string_view{*a.branch} : "",
                                                   rules);
                               },
                               [&](const WasmHashAccessor& a) { return Seed::wasm_hash(a.hash, owner.text()); },
                               [&](const ProjectAccessor& a) { return Seed::project(a.project_id, owner.text()); },
                               [&](const PaymentKeyAccessor&) { return Seed::payment_key(owner.text(), profile); }},
                    accessor);
}

Result<Seed> seed_of(const Accessor& requested, const StoredSecret& stored, const AccountId& owner,
                     std::string_view profile, const SeedRules& rules) {
  if (!serves(stored.accessor, requested)) {
    return Error{Code::denied, "the contract's entry is of another accessor", chain_json(requested).compact(),
                 chain_json(stored.accessor).compact()};
  }
  return seed_of(stored.accessor, owner, profile, rules);
}

base::Status check_profile(std::string_view profile) {
  const bool good = !profile.empty() && profile.size() <= 64 && std::ranges::all_of(profile, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
  });
  if (good) return base::done();
  return Error{Code::malformed, "profile", "1 to 64 letters, digits, '-' and '_'",
               std::string{base::utf8_prefix(profile, 80)}};
}

bool is_agent_profile(std::string_view profile) noexcept { return profile.size() == 64 && is_lower_hex(profile); }

base::Status check_agent_secret(std::string_view profile, const AccountId& user, const AccountId& owner) {
  if (!is_agent_profile(profile)) return base::done();
  if (profile != user.text()) {
    return Error{Code::denied,
                 "This secret is addressed to a different agent. Only the account that its profile names "
                 "can read it."};
  }
  if (profile != owner.text()) {
    return Error{Code::denied,
                 "This secret was not left by the agent itself. A profile of this form is kept for what "
                 "its own account stores."};
  }
  return base::done();
}

}  // namespace attestry::secrets::keystore
