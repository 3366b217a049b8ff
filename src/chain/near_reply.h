// What NEAR's JSON-RPC asks and answers, as values: requests out, replies in, strictly read. Pure.
//
// An answer is what the chain says, also when it says no: there is no such account, the contract refuses. Everything
// else that a node may reply (it is syncing, does not have the block, is overloaded, speaks another dialect) is no
// answer and becomes an error.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/json.h"
#include "base/json_writer.h"
#include "base/result.h"
#include "base/time.h"
#include "chain/near_types.h"

namespace attestry::chain::near {

// -- requests and replies

/// The body of one request; NEAR's nodes take no batches.
std::string rpc_request(std::string_view method, base::JsonOut params);

/// The `error` member: NEAR names an error's type and cause, and adds older members with the same meaning.
struct Failure {
  std::string name{};   ///< HANDLER_ERROR, REQUEST_VALIDATION_ERROR, INTERNAL_ERROR; empty: none was given
  std::string cause{};  ///< UNKNOWN_ACCOUNT, …; empty: none was given
  std::string text{};   ///< for people
  std::optional<base::JsonValue> info{}, data{};
};
/// Either a result or a failure. The values are handles into `document`.
struct Reply {
  std::shared_ptr<const base::JsonDocument> document{};
  std::optional<base::JsonValue> result{};
  std::optional<Failure> failure{};
};
/// Errors: `unavailable`, whatever is wrong with the body: nothing was learned.
base::Result<Reply> parse_reply(std::string body, std::size_t max_bytes);
/// What a failure means where no answer can be made of it: `not_found` (UNKNOWN_ACCOUNT, UNKNOWN_ACCESS_KEY,
/// NO_CONTRACT_CODE, NO_GLOBAL_CONTRACT_CODE, UNKNOWN_TRANSACTION), `denied` or `not_found` by what the contract said
/// (CONTRACT_EXECUTION_ERROR), `deadline_exceeded` (TIMEOUT_ERROR), and `unavailable` for all others, known or not.
base::Error error_of(const Failure& failure);

// -- blocks

/// Two with the same hash are the same.
struct Block {
  std::uint64_t height = 0;
  base::Digest32 hash{};
  base::UtcTime time{};
  friend bool operator==(const Block&, const Block&) = default;
};
base::Result<Block> read_block(const Reply& reply);
/// chain_id of a `status` reply: "mainnet", "testnet", or a private chain's.
base::Result<std::string> read_chain_id(const Reply& reply);

// -- questions about the state at one block

struct ViewAccount {
  AccountId account;
};
/// A call that changes nothing.
struct ViewCall {
  AccountId contract;
  std::string method{};
  base::Bytes args{};
};
struct ViewAccessKey {
  AccountId account;
  PublicKey key;
};
struct ViewAccessKeys {
  AccountId account;
};
using Question = std::variant<ViewAccount, ViewCall, ViewAccessKey, ViewAccessKeys>;
/// The parameters of `query`, pinned to the block's hash.
base::JsonOut query_params(const Question& question, const Block& at);

struct Account {
  U128 amount{};                                         ///< yoctoNEAR, without what is locked
  U128 locked{};                                         ///< as a validator's stake
  base::Digest32 code_hash{};                            ///< SHA-256 of its own contract; zeros: none
  std::uint64_t storage_usage = 0;                       ///< bytes
  std::optional<base::Digest32> global_contract_hash{};  ///< it uses a shared contract, by the code's hash
  std::optional<std::string> global_contract_account{};  ///< or by the account that publishes it
  friend bool operator==(const Account&, const Account&) = default;
};
struct AccessKey {
  /// `other`: a kind that was made after this program; never to be taken for a limited one.
  enum class Permission : std::uint8_t { full_access, function_call, other };
  std::uint64_t nonce = 0;
  Permission permission = Permission::other;
  std::optional<U128> allowance{};     ///< of function_call; nothing: no limit
  std::string receiver{};              ///< of function_call
  std::vector<std::string> methods{};  ///< of function_call; none: every method
  friend bool operator==(const AccessKey&, const AccessKey&) = default;
};
struct AccountKey {
  std::string key;  ///< its text: of any kind, also one that this program does not know
  AccessKey access{};
  friend bool operator==(const AccountKey&, const AccountKey&) = default;
};
/// The chain's no: `not_found` or `denied`. Nodes of different versions word it differently, so the words do not count.
struct Refusal {
  base::Code code = base::Code::denied;
  std::string what{};
  std::string found{};
  friend bool operator==(const Refusal& a, const Refusal& b) { return a.code == b.code; }
};
/// In the order of the questions: a call's bytes, keys in the order of their text.
using Answer = std::variant<Account, base::Bytes, AccessKey, std::vector<AccountKey>, Refusal>;
/// Errors: `unavailable` when the reply is no answer to the question at that block.
base::Result<Answer> read_answer(const Question& question, const Reply& reply, const Block& at);

// -- transactions

/// Why a transaction was not taken, as far as callers do different things about it.
enum class Problem : std::uint8_t {
  none,
  nonce,       ///< not above the key's (another one was faster, or this one is done already), or too far above it
  expired,     ///< its block is too old, of another chain, or one that the node does not have yet
  balance,     ///< the signer cannot pay for it
  access_key,  ///< the key is not the signer's, or not for this
  invalid      ///< by its bytes alone: signature, actions, size, cost, account ids
};
/// What became of a transaction.
struct Outcome {
  /// `failed`: it was executed, and an action failed. `refused`: one node does not take it. That it was not executed
  /// follows from Problem::invalid only; every other problem may come from its own execution, or from the node's lag.
  enum class Kind : std::uint8_t { pending, succeeded, failed, refused };
  Kind kind = Kind::pending;
  base::Bytes value{};              ///< of succeeded: what the last call returned
  Problem problem = Problem::none;  ///< of refused
  std::string text{};               ///< of failed and refused, for people
  /// The words do not count.
  friend bool operator==(const Outcome& a, const Outcome& b) {
    return a.kind == b.kind && a.value == b.value && a.problem == b.problem;
  }
};
/// Reads the reply to broadcast_tx_commit or tx about the transaction with that hash. Errors: `not_found` when the node
/// does not know it, `unavailable` for everything else that is no outcome, reasons of a refusal included that this
/// program does not know. A node's time-out is `pending`.
base::Result<Outcome> read_outcome(const Reply& reply, const base::Digest32& hash);
/// As an error, of an outcome that is failed or refused: `conflict` (nonce, expired), `denied` (all others).
base::Error error_of(const Outcome& outcome);

}  // namespace attestry::chain::near
