// Wallets whose keys a keystore derives: addresses, what is asked to be signed, the strings that contracts check, and
// what is never signed. docs/formats/keystore.md. Pure, thread-safe.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/json.h"
#include "base/result.h"
#include "chain/near_message.h"
#include "chain/near_transaction.h"
#include "chain/near_types.h"
#include "crypto/secret.h"

namespace attestry::secrets::keystore {

// -- addresses

struct WalletAddress {
  std::string address{};
  std::string public_key{};  ///< "ed25519:<hex>" or "secp256k1:<hex of the compressed point>"; hex, not base58
};
/// near (the implicit account), solana, or a name of an EVM chain (EIP-55). Error `malformed` for another chain.
base::Result<WalletAddress> wallet_address(const crypto::Secret& master, std::string_view wallet_id,
                                           std::string_view chain);

// -- what is asked for

/// SHA-256 of the compact JSON with members sorted, 64 hex digits: what approvers see and sign. Error `malformed` for
/// what is no object.
base::Result<std::string> request_hash(const base::JsonValue& op);

/// Who makes the bytes that are signed: the keystore (`built`), somebody whose hash is in the request (`hash_pinned`),
/// or somebody who is believed (`trusted`).
enum class OpClass : std::uint8_t { built, hash_pinned, trusted, auth };
struct WalletOp {
  std::string kind{};
  OpClass op_class = OpClass::built;
  std::string hash{};               ///< request_hash
  std::optional<std::string> to{};  ///< receiver or beneficiary
  std::optional<chain::near::U128> amount{};
  std::optional<std::string> token{};  ///< as token_name has it; none: the chain's own
};
/// One name for what has two: "nep141:usdc.near" for "usdc.near", so that a limit on one is a limit on the other. What
/// has a ':' stays as it is.
std::string token_name(std::string_view text);
/// `op` of /wallet/sign: transfer, call, delete, withdraw, intents_transfer; raw, sign_message; swap, confidential,
/// cross_chain_withdraw, payment_check; auth. Error `malformed` for others and for members of a wrong shape.
base::Result<WalletOp> parse_wallet_op(const base::JsonValue& op);

/// The actions of a transfer, call or delete, and to whom. Error `usage` for another kind.
struct NearPlan {
  chain::near::AccountId receiver;
  std::vector<chain::near::Action> actions{};
};
base::Result<NearPlan> plan_near(const base::JsonValue& op, const chain::near::AccountId& wallet);

/// Whether bytes that somebody supplies are those of the request. Errors `malformed`: "supplied bytes do not match
/// op.payload_hash", "supplied message does not match op.message_hash".
base::Status check_raw(const base::JsonValue& op, base::ByteView bytes);
base::Status check_message(const base::JsonValue& op, std::string_view message);

/// `auth:<seed>:<ts>[:<vault>]`, `register:…` or `api-key:…`, by purpose (bearer, register, api-key; jwt signs as
/// bearer does). Error `malformed` for another purpose or a seed with ':'.
base::Result<std::string> auth_message(std::string_view purpose, std::string_view seed, std::uint64_t timestamp,
                                       std::string_view vault);

// -- strings that contracts check (Ed25519 over their SHA-256)

/// Errors `malformed`: a ':' in a field that has no length in front. `public_key` "ed25519:…".
base::Result<std::string> wallet_policy_string(std::string_view public_key, std::string_view blob_base64,
                                               std::string_view caller);
base::Result<std::string> store_secret_string(std::string_view public_key, std::string_view binding,
                                              std::string_view profile, std::string_view blob_base64,
                                              std::string_view payer, std::string_view vault,
                                              std::string_view access_json);
base::Result<std::string> delete_secret_string(std::string_view public_key, std::string_view binding,
                                               std::string_view profile, std::string_view payer);
/// SHA-256 of such a string. Error `denied` when its first four bytes could be the length of a NEAR account: a wallet
/// never signs what parses as a transaction.
base::Result<base::Digest32> signed_string_hash(std::string_view text);

// -- approvals

inline constexpr std::size_t kMaxVotes = 16;
/// `approve:{id}:{wallet_pubkey}:{request_hash}` or `reject:…`: NEP-413 with the contract as the recipient.
std::string vote_message(bool approve, std::string_view id, std::string_view wallet_public_key,
                         std::string_view request_hash);

// -- Solana

/// Whether the bytes are a message of a transaction, legacy or version 0: what sign-message refuses.
bool is_solana_message(base::ByteView bytes) noexcept;
/// The keys that must sign it, in order. Error `malformed` when it is none.
base::Result<std::vector<base::FixedBytes<32>>> solana_signers(base::ByteView bytes);

}  // namespace attestry::secrets::keystore
