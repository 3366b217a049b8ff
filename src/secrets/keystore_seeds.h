// What a keystore derives keys for: seeds, the texts that others agree on, and a spelling of our own that no two owners
// can share. docs/formats/keystore.md. Pure values, thread-safe.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace attestry::secrets::keystore {

/// In the order in which texts are told apart; `repo` is what is none of the others.
enum class SeedKind : std::uint8_t {
  wasm_hash,
  project,
  payment_key,
  storage,
  vrf,
  wallet,
  wallet_policy,
  vault_tee_key,
  vault_master,
  repo,
};
std::string_view to_text(SeedKind kind) noexcept;

/// A seed of the compatible generations joins its components by ':' and does not say where one ends. Components that
/// would make two owners share a key are therefore refused (`malformed`): a ':' within one, a repository that is
/// called as another kind of seed begins, NUL, and more than 512 bytes. `colons` takes repositories, branches and
/// sub-paths with ':' all the same, as the original does.
struct SeedRules {
  bool colons = false;
};

/// Immutable.
class Seed {
 public:
  /// `repo` is normalised first (normalise_repo). `{repo}:{owner}` or `{repo}:{owner}:{branch}`; an empty branch is
  /// none.
  static base::Result<Seed> repo(std::string_view repo, std::string_view owner, std::string_view branch = {},
                                 const SeedRules& rules = {});
  /// `wasm_hash:{hash}:{owner}`; 64 hex digits, taken in either case and written in lower case.
  static base::Result<Seed> wasm_hash(std::string_view hash, std::string_view owner);
  /// `project:{project_id}:{owner}`.
  static base::Result<Seed> project(std::string_view project_id, std::string_view owner);
  /// `system:payment_key:{owner}:{nonce}`; the nonce is decimal, 1 to 2^31 - 1, without leading zeros.
  static base::Result<Seed> payment_key(std::string_view owner, std::string_view nonce);
  /// `storage:{project_uuid}:{account}`, or `storage:wasm:{wasm_hash}:{account}` without a project.
  static base::Result<Seed> storage(const std::optional<std::string>& project_uuid, std::string_view wasm_hash,
                                    std::string_view account);
  static Seed vrf();
  /// `wallet:{id}:{chain}`; the names of EVM chains all become `evm`.
  static base::Result<Seed> wallet(std::string_view id, std::string_view chain);
  /// `wallet:{id}:{chain}:{sub_path}`, not empty.
  static base::Result<Seed> wallet_sub(std::string_view id, std::string_view chain, std::string_view sub_path,
                                       const SeedRules& rules = {});
  static base::Result<Seed> wallet_policy(std::string_view id);
  /// `outlayer.near:{vault}`: of the key with which a vault's master is asked for. The same on every network.
  static base::Result<Seed> vault_tee_key(std::string_view vault);
  /// `vault-master:{vault}`: only for secret_path().
  static base::Result<Seed> vault_master(std::string_view vault);

  /// A seed that a caller spells itself (`seed` of /pubkey and others): 1 to 1024 bytes of UTF-8 without control
  /// characters. Refused: what begins like a label of another derivation (`ecies:`, `secret-path:`), because its
  /// Ed25519 key would be another seed's X25519 key.
  static base::Result<Seed> from_text(std::string_view text);

  SeedKind kind() const noexcept { return kind_; }
  const std::string& text() const noexcept { return text_; }
  /// LP("attestry/keystore/seed/3") ‖ LP(kind) ‖ LP of each component: what one is made of can be read from it. A seed
  /// from_text() has its text as the only component, under the kind "text".
  const base::Bytes& v3() const noexcept { return v3_; }

 private:
  Seed(SeedKind kind, std::string text, base::Bytes v3) : kind_(kind), text_(std::move(text)), v3_(std::move(v3)) {}
  SeedKind kind_;
  std::string text_;
  base::Bytes v3_;
};

/// Trims white space; takes off one of https://, http:// and ssh://; if `git@` follows, takes it off and writes every
/// ':' as '/'; takes off a trailing `.git`.
std::string normalise_repo(std::string_view repo);

/// "evm" for a name of an EVM chain (ethereum, polygon, …), otherwise the name itself.
std::string_view wallet_chain(std::string_view name) noexcept;

/// How a seed's text begins; says nothing about whether the rest is right.
SeedKind kind_of_text(std::string_view text) noexcept;

}  // namespace attestry::secrets::keystore
