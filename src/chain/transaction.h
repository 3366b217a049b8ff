// Transactions: EIP-1559 signing, and sending one until its receipt is there.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/mutex.h"
#include "base/result.h"
#include "base/time.h"
#include "chain/json_rpc.h"
#include "chain/rpc.h"
#include "curves/secp256k1.h"

namespace attestry::chain {

/// Of type 2 (EIP-1559), with an empty access list. Fees are in wei per gas.
struct Transaction {
  std::uint64_t chain_id = 0;
  std::uint64_t nonce = 0;
  std::uint64_t max_priority_fee = 0;
  std::uint64_t max_fee = 0;
  std::uint64_t gas_limit = 0;
  std::optional<Address> to{};  ///< nothing: creates a contract
  Word value{};                 ///< wei
  base::Bytes data{};
};

struct SignedTransaction {
  base::Bytes raw{};  ///< 0x02 ‖ RLP, for eth_sendRawTransaction
  base::Digest32 hash{};
};

/// What is signed: Keccak-256(0x02 ‖ RLP without the signature).
base::Digest32 signing_hash(const Transaction& transaction);
/// Low s, y parity 0 or 1 (EIP-2).
base::Result<SignedTransaction> sign(const Transaction& transaction, const curves::Secp256k1PrivateKey& key);
/// Who signed it. Strict: canonical RLP, low s.
base::Result<std::pair<Transaction, Address>> decode_transaction(base::ByteView raw);

struct Receipt {
  base::Digest32 transaction{};
  bool succeeded = false;
  BlockRef block{};  ///< its time is not in a receipt and stays zero
  std::uint64_t gas_used = 0;
  std::optional<Address> contract{};  ///< that was created
};

/// "0.021" of 21000000000000000 wei.
std::string ether_text(std::uint64_t wei);

/// Of a contract that an account creates with this nonce.
Address created_address(const Address& sender, std::uint64_t nonce);

struct SenderOptions {
  std::uint64_t chain_id = 0;       ///< refused when an endpoint has another
  std::uint64_t confirmations = 0;  ///< blocks on top of the receipt's before send() returns
  std::uint64_t max_fee_limit = 0;  ///< wei per gas; more is refused (`conflict`), 0: no limit
  /// Wei that one transaction may cost at most, with all its gas and its blob; more is refused (`conflict`). 0.1 ether.
  std::uint64_t max_cost = 100'000'000'000'000'000;
  std::uint32_t gas_percent = 120;  ///< of the estimate
  std::chrono::milliseconds poll{250};
  const base::Clock* clock = &base::system_clock();
  /// Before anything is signed: the greatest cost in wei.
  std::function<void(const Transaction& transaction, std::uint64_t cost)> on_plan{};
  /// With what is about to be sent, when nothing more is in its way: a place to write it down first. An error ends it,
  /// and nothing was sent.
  std::function<base::Status(const SignedTransaction& made)> before_sending{};
};

struct BlobSidecar;

/// Sends transactions of one key, one at a time. Thread-safe. A transaction goes to every endpoint. One endpoint is
/// believed nothing where there are more: nonce, gas and fees are medians of what all say, and a receipt counts when
/// more than half of them have the same one.
class Sender {
 public:
  /// The endpoints and the key must outlive it.
  Sender(std::vector<Endpoint*> endpoints, const curves::Secp256k1PrivateKey& key, SenderOptions options);
  const Address& address() const noexcept { return address_; }

  /// Errors: `denied` when the contract reverts (in the estimate, nothing was sent then), with its reason in `found`;
  /// `conflict` when fees or the whole cost are above the limit; `unavailable` when no endpoint answers or takes it;
  /// `deadline_exceeded` with the transaction's hash when it was sent and no receipt came.
  base::Result<Receipt> send(const std::optional<Address>& to, base::ByteView data, const Word& value,
                             base::Deadline deadline);
  /// The same with a blob beside it (blob_transaction.h); the limit of fees holds for the gas of blobs too.
  base::Result<Receipt> send_blob(const Address& to, base::ByteView data, const BlobSidecar& sidecar,
                                  base::Deadline deadline);

 private:
  base::Result<RpcAnswers> ask_first(std::span<const RpcRequest> requests, base::Deadline deadline);
  std::vector<RpcAnswers> ask_all(std::span<const RpcRequest> requests, base::Deadline deadline, base::Error& last);
  base::Result<std::uint64_t> blob_fee(base::Deadline deadline);
  base::Status check_cost(const Transaction& transaction, std::uint64_t blob_fee) const;
  base::Result<Transaction> plan(const std::optional<Address>& to, base::ByteView data, const Word& value,
                                 const base::Digest32* blob, base::Deadline deadline);
  base::Result<Receipt> deliver(const Transaction& transaction, const SignedTransaction& made, base::Deadline deadline);
  base::Status broadcast(const SignedTransaction& transaction, base::Deadline deadline);
  std::optional<Receipt> find_receipt(const base::Digest32& hash, base::Deadline deadline);
  base::Result<Receipt> wait(const SignedTransaction& transaction, base::Deadline deadline);
  std::string reason_of(const Transaction& transaction, const Receipt& receipt, base::Deadline deadline);

  std::vector<Endpoint*> endpoints_;
  const curves::Secp256k1PrivateKey& key_;
  const SenderOptions options_;
  Address address_{};
  base::Mutex sending_;
};

}  // namespace attestry::chain
