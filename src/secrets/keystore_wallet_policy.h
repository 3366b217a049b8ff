// What the owner of a wallet allows: the policy that is stored encrypted on the chain, and the votes of approvers.
// docs/formats/keystore.md. Pure, thread-safe.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "base/time.h"
#include "chain/near_message.h"
#include "secrets/keystore_wallet.h"

namespace attestry::secrets::keystore {

/// By token, as token_name has it; `*` is for all that are not named, `native` the chain's own.
using TokenLimits = std::map<std::string, chain::near::U128, std::less<>>;

struct WalletApprover {
  std::string id{};
  std::string role{};
  std::optional<chain::near::PublicKey> key{};  ///< only this one counts
};

/// Of a JSON object with `frozen`, `rules`, `approval`, `capabilities`, `webhook_url`; strict, because a rule that is
/// not understood is a rule that is not kept.
struct WalletPolicy {
  enum class AddressMode : std::uint8_t { none, whitelist, blacklist };
  bool frozen = false;
  std::optional<std::vector<std::string>> transaction_types{};  ///< nothing: all
  std::optional<std::vector<std::string>> allowed_tokens{};     ///< nothing: all
  AddressMode address_mode = AddressMode::none;
  std::vector<std::string> addresses{};
  TokenLimits per_transaction{}, daily{}, hourly{}, monthly{};
  std::optional<std::uint64_t> hourly_tx_count{};
  std::optional<std::uint64_t> max_per_hour{};
  std::int64_t utc_offset = 0;                                   ///< seconds, of the hours and days
  std::optional<std::pair<unsigned, unsigned>> allowed_hours{};  ///< from the first to before the second
  std::optional<std::vector<unsigned>> allowed_days{};           ///< 0 Sunday to 6 Saturday
  std::uint64_t threshold = 0;                                   ///< approvals needed; 0: none
  std::vector<WalletApprover> approvers{};
  std::vector<std::string> excluded_types{};  ///< kinds that need no approval
  std::vector<std::string> capabilities{};    ///< what was switched on; the rest is off
  std::string webhook_url{};

  /// Errors `malformed`.
  static base::Result<WalletPolicy> parse(const base::JsonValue& value);
};

/// What the wallet did before, as the caller counts it: of the operation's token, in its units.
struct WalletUsage {
  chain::near::U128 hour{}, day{}, month{};
  std::uint64_t transactions_this_hour = 0;
  std::uint64_t requests_this_hour = 0;
};

/// `denied` with the rule that forbids the operation; otherwise whether approvals are needed. Operations that move what
/// the policy cannot see (raw, trusted ones, EVM and Solana) need their capability: raw_sign, sign_message, swap,
/// confidential, cross_chain_withdraw, payment_check, evm_sign, solana_sign.
base::Result<bool> check_wallet_policy(const WalletPolicy& policy, const WalletOp& op, const WalletUsage& usage,
                                       base::UtcTime now);
/// Of /wallet/evm and /wallet/solana, which have no op.
base::Status check_capability(const WalletPolicy& policy, std::string_view capability);

struct WalletVote {
  std::string approver{};
  bool approve = true;
  chain::near::PublicKey key;
  base::FixedBytes<32> nonce{};
  chain::near::Signature signature;
};
struct WalletApproval {
  std::string id{};
  std::string wallet_public_key{};
  std::string request_hash{};
  chain::near::AccountId contract;  ///< the recipient of the votes
};
enum class VoteResult : std::uint8_t { approved, vetoed, pending };
/// One valid rejection vetoes. Votes count once per approver, and only of approvers in the policy, with the pinned key
/// where there is one, and whose key `is_key_of` finds on the account; an error of it ends the count. Votes that do not
/// count are passed over. Error `malformed` for more than kMaxVotes of a kind.
base::Result<VoteResult> count_votes(
    const WalletPolicy& policy, const WalletApproval& approval, const std::vector<WalletVote>& votes,
    const std::function<base::Result<bool>(const std::string& account, const chain::near::PublicKey& key)>& is_key_of);

}  // namespace attestry::secrets::keystore
