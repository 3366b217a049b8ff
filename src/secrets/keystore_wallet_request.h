// What comes along with a request to a wallet, and what the contract has of it: votes of approvers, the entry with the
// policy, intents that are built here. docs/formats/keystore-wire.md. Pure, thread-safe.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/json.h"
#include "base/result.h"
#include "base/time.h"
#include "chain/near_types.h"
#include "secrets/keystore_wallet_policy.h"

namespace attestry::secrets::keystore {

struct WalletVotes {
  std::string id{};  ///< of the approval, 1 to 128 bytes without ':'
  std::vector<WalletVote> votes{};
};
/// {"id", "approvals": […], "rejections": […]}, each vote {"approver", "public_key", "signature", "nonce"}: an account,
/// "ed25519:…", base64 of 64 bytes and of 32. At most kMaxVotes of a kind. Error `malformed`.
base::Result<WalletVotes> parse_wallet_votes(const base::JsonValue& value);

/// The contract's entry about a wallet: {"owner", "encrypted_data", "frozen"}.
struct WalletPolicyRecord {
  base::Bytes encrypted{};  ///< decoded; a blob for the seed wallet-policy:{id}
  std::optional<chain::near::AccountId> owner{};
  bool frozen = false;
};
/// Nothing: the wallet has no policy. Error `unavailable`, whatever is wrong with the reply: nothing was learned.
base::Result<std::optional<WalletPolicyRecord>> parse_wallet_policy_record(std::string reply);

/// The text without white space between its parts, members in their order: what a contract that writes the value anew
/// gets, too.
std::string compact_json(const base::JsonValue& value);

/// Contracts whose messages trusted operations may be for.
bool is_intents_contract(std::string_view recipient) noexcept;
/// The message of withdraw and intents_transfer for these contracts: {"signer_id","deadline","intents":[…]}. The token
/// is "nep141:{contract}", as parse_wallet_op names it. Error `malformed`.
base::Result<std::string> intent_message(const WalletOp& op, std::string_view signer, base::UtcTime deadline);

}  // namespace attestry::secrets::keystore
