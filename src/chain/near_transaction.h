// Transactions of NEAR: actions, their borsh form, signatures (nomicon, "Transactions" and "Actions"; NEP-645).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "chain/near_types.h"

namespace attestry::chain::near {

struct CreateAccount {
  friend bool operator==(const CreateAccount&, const CreateAccount&) = default;
};
struct DeployContract {
  base::Bytes code{};  ///< WebAssembly
  friend bool operator==(const DeployContract&, const DeployContract&) = default;
};
struct FunctionCall {
  std::string method{};
  base::Bytes args{};     ///< most contracts take JSON
  std::uint64_t gas = 0;  ///< units of gas; one TGas is 10^12
  U128 deposit{};         ///< yoctoNEAR
  friend bool operator==(const FunctionCall&, const FunctionCall&) = default;
};
struct Transfer {
  U128 deposit{};  ///< yoctoNEAR
  friend bool operator==(const Transfer&, const Transfer&) = default;
};
struct Stake {
  U128 stake{};
  PublicKey key;
  friend bool operator==(const Stake&, const Stake&) = default;
};

/// What a key may do that can only call functions, and never attach a deposit.
struct FunctionCallPermission {
  std::optional<U128> allowance{};  ///< yoctoNEAR for fees; nothing: no limit
  AccountId receiver;
  std::vector<std::string> methods{};  ///< none: every method
  friend bool operator==(const FunctionCallPermission&, const FunctionCallPermission&) = default;
};
/// A type of its own, so that nobody grants it by leaving a field out.
struct FullAccess {
  friend bool operator==(const FullAccess&, const FullAccess&) = default;
};
struct AddKey {
  PublicKey key;
  std::uint64_t nonce = 0;  ///< of the new key; the chain sets it anew
  std::variant<FunctionCallPermission, FullAccess> permission;
  friend bool operator==(const AddKey&, const AddKey&) = default;
};
struct DeleteKey {
  PublicKey key;
  friend bool operator==(const DeleteKey&, const DeleteKey&) = default;
};
struct DeleteAccount {
  AccountId beneficiary;
  friend bool operator==(const DeleteAccount&, const DeleteAccount&) = default;
};

/// In the order of their numbers on the wire, 0 to 7. Later kinds (delegated actions, global contracts) are refused.
using Action =
    std::variant<CreateAccount, DeployContract, FunctionCall, Transfer, Stake, AddKey, DeleteKey, DeleteAccount>;

struct Transaction {
  AccountId signer;
  PublicKey key;            ///< an access key of the signer
  std::uint64_t nonce = 0;  ///< above that of the access key
  AccountId receiver;
  base::Digest32 block_hash{};  ///< of a block of the last day
  std::vector<Action> actions{};
  friend bool operator==(const Transaction&, const Transaction&) = default;
};

struct SignedTransaction {
  base::Bytes raw{};      ///< borsh; RPC takes its base64
  base::Digest32 hash{};  ///< SHA-256 of the borsh without the signature; RPC takes and shows its base58
};

/// The borsh that is hashed and signed. Error: `usage` for more than 100 actions.
base::Result<base::Bytes> encode(const Transaction& transaction);
/// Also `usage` when the transaction names another key.
base::Result<SignedTransaction> sign(const Transaction& transaction, const SecretKey& key);

/// Strict; at most 4 MiB. Errors: `malformed`.
base::Result<Transaction> decode_transaction(base::ByteView raw);
/// Who signed is not looked at: verify(transaction.key, hash, signature) says that.
struct DecodedTransaction {
  Transaction transaction;
  base::Digest32 hash{};
  Signature signature;
};
base::Result<DecodedTransaction> decode_signed_transaction(base::ByteView raw);

}  // namespace attestry::chain::near
