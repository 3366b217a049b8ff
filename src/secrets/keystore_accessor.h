// What a secret is for, as workers and the contract of NEAR OutLayer name it, and what the contract stores.
// docs/formats/keystore.md. Pure values, thread-safe.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/bytes.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "base/result.h"
#include "chain/near_types.h"
#include "secrets/keystore_seeds.h"

namespace attestry::secrets::keystore {

struct RepoAccessor {
  std::string repo{};  ///< normalised (normalise_repo)
  std::optional<std::string> branch{};
  friend bool operator==(const RepoAccessor&, const RepoAccessor&) = default;
};
struct WasmHashAccessor {
  std::string hash{};  ///< 64 lower-case hex digits
  friend bool operator==(const WasmHashAccessor&, const WasmHashAccessor&) = default;
};
struct ProjectAccessor {
  std::string project_id{};
  friend bool operator==(const ProjectAccessor&, const ProjectAccessor&) = default;
};
struct PaymentKeyAccessor {
  friend bool operator==(const PaymentKeyAccessor&, const PaymentKeyAccessor&) = default;
};
/// In the order of the contract's numbers.
using Accessor = std::variant<RepoAccessor, WasmHashAccessor, ProjectAccessor, PaymentKeyAccessor>;

/// As requests say it: {"type":"Repo","repo":…,"branch":…}, {"type":"WasmHash","hash":…}, {"type":"Project",
/// "project_id":…}, {"type":"System","secret_type":"payment_key"}. Members that it does not know are passed over, as
/// the original does. Errors: `malformed`.
base::Result<Accessor> parse_request_accessor(const base::JsonValue& value);
/// As the contract says it: {"Repo":{…}}, {"WasmHash":{…}}, {"Project":{…}}, {"System":"PaymentKey"}.
base::Result<Accessor> parse_chain_accessor(const base::JsonValue& value);
base::JsonOut request_json(const Accessor& accessor);
base::JsonOut chain_json(const Accessor& accessor);
/// What signed strings call it (3.6): the project id, `wasm:{hash}`, `repo:{repo}:{branch}`, `system:PaymentKey`.
std::string binding_text(const Accessor& accessor);

/// The arguments of `get_secret_with_vault`.
std::string secret_query(const Accessor& accessor, std::string_view profile, const chain::near::AccountId& owner);

/// What the contract has under (accessor, profile, owner).
struct StoredSecret {
  base::Bytes blob{};    ///< decoded
  std::string access{};  ///< JSON, for AccessCondition::parse
  Accessor accessor{};   ///< of the entry: its branch may be none where the request named one
  std::optional<chain::near::AccountId> vault{};
};
/// The reply of `get_secret_with_vault`; nothing: the contract has no such secret. Errors: `unavailable`, whatever is
/// wrong with it: nothing was learned.
base::Result<std::optional<StoredSecret>> parse_stored_secret(std::string reply);

/// The seed of a stored secret. The branch is that of the entry, not the requested one. Error `denied` when the entry
/// is of something else than was asked for, beyond a branch of none: a contract does not do that.
base::Result<Seed> seed_of(const Accessor& requested, const StoredSecret& stored, const chain::near::AccountId& owner,
                           std::string_view profile, const SeedRules& rules = {});
/// For a secret that is not stored yet.
base::Result<Seed> seed_of(const Accessor& accessor, const chain::near::AccountId& owner, std::string_view profile,
                           const SeedRules& rules = {});

/// 1 to 64 letters, digits, '-' and '_'.
base::Status check_profile(std::string_view profile);
/// Whether it is the name of an implicit account, 64 lower-case hex digits: such a profile belongs to that agent.
bool is_agent_profile(std::string_view profile) noexcept;
/// An agent's secret is opened only for the agent, and only when the agent left it. Errors `denied`: "This secret is
/// addressed to a different agent. …", "This secret was not left by the agent itself. …". Nothing to say about other
/// profiles.
base::Status check_agent_secret(std::string_view profile, const chain::near::AccountId& user,
                                const chain::near::AccountId& owner);

}  // namespace attestry::secrets::keystore
