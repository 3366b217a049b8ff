#include "secrets/keystore_seeds.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <utility>

#include "base/encoding.h"
#include "base/utf8.h"

namespace attestry::secrets::keystore {

using base::Code;
using base::Error;
using base::Result;

namespace {

constexpr std::size_t kMaxComponent = 512;
constexpr std::size_t kMaxText = 1024;
constexpr std::string_view kWhite = " \t\r\n\v\f";

/// First words of seeds. A repository of such a name, with an owner and a branch of somebody's choice, would be the
/// seed of another kind: `wasm_hash` owned by the implicit account <hash> with the branch `alice.near`.
constexpr std::array kFirstWords = {
    std::pair{std::string_view{"wasm_hash"}, SeedKind::wasm_hash},
    std::pair{std::string_view{"project"}, SeedKind::project},
    std::pair{std::string_view{"system"}, SeedKind::payment_key},
    std::pair{std::string_view{"storage"}, SeedKind::storage},
    std::pair{std::string_view{"vrf-key"}, SeedKind::vrf},
    std::pair{std::string_view{"wallet"}, SeedKind::wallet},
    std::pair{std::string_view{"wallet-policy"}, SeedKind::wallet_policy},
    std::pair{std::string_view{"outlayer.near"}, SeedKind::vault_tee_key},
    std::pair{std::string_view{"vault-master"}, SeedKind::vault_master},
};
/// Labels in front of a seed (4.1).
constexpr std::array<std::string_view, 2> kLabels = {"ecies:", "secret-path:"};

constexpr std::array<std::string_view, 15> kEvmChains = {"ethereum", "eth",       "polygon", "pol",      "matic",
                                                         "base",     "arbitrum",  "arb",     "optimism", "op",
                                                         "bsc",      "avalanche", "avax",    "hyperevm", "hood"};

bool is_control(char c) noexcept { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

base::Status check(std::string_view name, std::string_view value, bool colons) {
  const auto wrong = [&](std::string_view expected) {
    return Error{Code::malformed, "seed component '" + std::string{name} + "'", std::string{expected}};
  };
  if (value.empty() || value.size() > kMaxComponent) return wrong("1 to 512 bytes");
  if (!base::is_utf8(value) || std::ranges::any_of(value, is_control)) return wrong("text without control characters");
  if (!colons && value.find(':') != std::string_view::npos) {
    Error error = wrong("no ':', which separates the components of a seed");
    error.found = std::string{value};
    error.remedy =
        "Use a name without ':'; the setting for seeds with colons takes it, and lets two owners share a key.";
    return error;
  }
  return base::done();
}

base::Bytes v3_of(std::string_view kind, std::initializer_list<std::string_view> components) {
  base::LpWriter out;
  out.lp("attestry/keystore/seed/3").lp(kind);
  for (const std::string_view component : components) out.lp(component);
  return std::move(out).take();
}

std::string joined(std::initializer_list<std::string_view> parts) {
  std::string out;
  for (const std::string_view part : parts) {
    if (!out.empty()) out += ':';
    out += part;
  }
  return out;
}

Result<std::string> wasm(std::string_view hash) {
  const auto bytes = base::hex_decode(hash);
  if (!bytes || bytes->size() != 32) {
    return Error{Code::malformed, "WASM hash", "64 hex digits", std::string{base::utf8_prefix(hash, 80)}};
  }
  return base::hex(*bytes);
}

}  // namespace

std::string_view to_text(SeedKind kind) noexcept {
  switch (kind) {
    case SeedKind::wasm_hash:
      return "wasm_hash";
    case SeedKind::project:
      return "project";
    case SeedKind::payment_key:
      return "payment_key";
    case SeedKind::storage:
      return "storage";
    case SeedKind::vrf:
      return "vrf";
    case SeedKind::wallet:
      return "wallet";
    case SeedKind::wallet_policy:
      return "wallet_policy";
    case SeedKind::vault_tee_key:
      return "vault_tee_key";
    case SeedKind::vault_master:
      return "vault_master";
    case SeedKind::repo:
      return "repo";
  }
  return "repo";
}

std::string normalise_repo(std::string_view repo) {
  const auto begin = repo.find_first_not_of(kWhite);
  if (begin == std::string_view::npos) return {};
  repo = repo.substr(begin, repo.find_last_not_of(kWhite) - begin + 1);
  for (const std::string_view scheme : {"https://", "http://", "ssh://"}) {
    if (repo.starts_with(scheme)) {
      repo.remove_prefix(scheme.size());
      break;
    }
  }
  std::string out{repo};
  if (out.starts_with("git@")) {
    out.erase(0, 4);
    std::ranges::replace(out, ':', '/');
  }
  if (out.ends_with(".git")) out.erase(out.size() - 4);
  return out;
}

std::string_view wallet_chain(std::string_view name) noexcept {
  return std::ranges::find(kEvmChains, name) != kEvmChains.end() ? "evm" : name;
}

SeedKind kind_of_text(std::string_view text) noexcept {
  const std::string_view word = text.substr(0, text.find(':'));
  for (const auto& [first, kind] : kFirstWords) {
    if (word == first) return kind;
  }
  return SeedKind::repo;
}

Result<Seed> Seed::repo(std::string_view repo, std::string_view owner, std::string_view branch,
                        const SeedRules& rules) {
  const std::string name = normalise_repo(repo);
  TRY_OK(check("repo", name, rules.colons));
  TRY_OK(check("owner", owner, false));
  if (kind_of_text(name) != SeedKind::repo ||
      std::ranges::any_of(kLabels, [&](std::string_view label) { return (name + ":").starts_with(label); })) {
    return Error{Code::malformed, "seed component 'repo'", "a repository such as github.com/owner/name", name};
  }
  if (branch.empty()) return Seed{SeedKind::repo, joined({name, owner}), v3_of("repo", {name, owner})};
  TRY_OK(check("branch", branch, rules.colons));
  return Seed{SeedKind::repo, joined({name, owner, branch}), v3_of("repo", {name, owner, branch})};
}

Result<Seed> Seed::wasm_hash(std::string_view hash, std::string_view owner) {
  TRY(const std::string digits, wasm(hash));
  TRY_OK(check("owner", owner, false));
  return Seed{SeedKind::wasm_hash, joined({"wasm_hash", digits, owner}), v3_of("wasm_hash", {digits, owner})};
}

Result<Seed> Seed::project(std::string_view project_id, std::string_view owner) {
  TRY_OK(check("project_id", project_id, false));
  TRY_OK(check("owner", owner, false));
  return Seed{SeedKind::project, joined({"project", project_id, owner}), v3_of("project", {project_id, owner})};
}

Result<Seed> Seed::payment_key(std::string_view owner, std::string_view nonce) {
  TRY_OK(check("owner", owner, false));
  const bool digits = !nonce.empty() && nonce.size() <= 10 && nonce.front() != '0' &&
                      std::ranges::all_of(nonce, [](char c) { return c >= '0' && c <= '9'; });
  if (!digits || std::stoull(std::string{nonce}) > 0x7fffffff) {
    return Error{Code::malformed, "payment key nonce", "a decimal number from 1 to 2147483647",
                 std::string{base::utf8_prefix(nonce, 40)}};
  }
  return Seed{SeedKind::payment_key, joined({"system", "payment_key", owner, nonce}),
              v3_of("payment_key", {owner, nonce})};
}

Result<Seed> Seed::storage(const std::optional<std::string>& project_uuid, std::string_view wasm_hash,
                           std::string_view account) {
  TRY_OK(check("account_id", account, false));
  if (!project_uuid) {
    TRY(const std::string digits, wasm(wasm_hash));
    return Seed{SeedKind::storage, joined({"storage", "wasm", digits, account}),
                v3_of("storage_wasm", {digits, account})};
  }
  TRY_OK(check("project_uuid", *project_uuid, false));
  return Seed{SeedKind::storage, joined({"storage", *project_uuid, account}),
              v3_of("storage", {*project_uuid, account})};
}

Seed Seed::vrf() { return {SeedKind::vrf, "vrf-key", v3_of("vrf", {})}; }

Result<Seed> Seed::wallet(std::string_view id, std::string_view chain) {
  TRY_OK(check("wallet_id", id, false));
  TRY_OK(check("chain", chain, false));
  const std::string_view name = wallet_chain(chain);
  return Seed{SeedKind::wallet, joined({"wallet", id, name}), v3_of("wallet", {id, name})};
}

Result<Seed> Seed::wallet_sub(std::string_view id, std::string_view chain, std::string_view sub_path,
                              const SeedRules& rules) {
  TRY_OK(check("wallet_id", id, false));
  TRY_OK(check("chain", chain, false));
  TRY_OK(check("sub_path", sub_path, rules.colons));
  const std::string_view name = wallet_chain(chain);
  return Seed{SeedKind::wallet, joined({"wallet", id, name, sub_path}), v3_of("wallet_sub", {id, name, sub_path})};
}

Result<Seed> Seed::wallet_policy(std::string_view id) {
  TRY_OK(check("wallet_id", id, false));
  return Seed{SeedKind::wallet_policy, joined({"wallet-policy", id}), v3_of("wallet_policy", {id})};
}

Result<Seed> Seed::vault_tee_key(std::string_view vault) {
  TRY_OK(check("vault_id", vault, false));
  return Seed{SeedKind::vault_tee_key, joined({"outlayer.near", vault}), v3_of("vault_tee_key", {vault})};
}

Result<Seed> Seed::vault_master(std::string_view vault) {
  TRY_OK(check("vault_id", vault, false));
  return Seed{SeedKind::vault_master, joined({"vault-master", vault}), v3_of("vault_master", {vault})};
}

Result<Seed> Seed::from_text(std::string_view text) {
  if (text.empty() || text.size() > kMaxText || !base::is_utf8(text) || std::ranges::any_of(text, is_control)) {
    return Error{Code::malformed, "seed", "1 to 1024 bytes of text without control characters",
                 std::to_string(text.size()) + " bytes"};
  }
  for (const std::string_view label : kLabels) {
    if (text.starts_with(label)) {
      return Error{Code::malformed, "seed", "one that does not begin with '" + std::string{label} + "'",
                   std::string{base::utf8_prefix(text, 80)}};
    }
  }
  return Seed{kind_of_text(text), std::string{text}, v3_of("text", {text})};
}

}  // namespace attestry::secrets::keystore
