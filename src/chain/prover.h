// What stands in a contract's storage, proved: for who does not want to believe what endpoints say that it does.
#pragma once
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "chain/rpc.h"

namespace attestry::chain {

/// One account at one block.
struct ProvedStorage {
  base::Digest32 code_hash{};  ///< Keccak-256; all zero when there is no such account
  std::vector<Word> words{};   ///< in the order of the slots; zeros without an account
};

/// Thread-safe.
class StorageProver {
 public:
  virtual ~StorageProver() = default;
  /// Storage slots, each proved with eth_getProof against the block's hash (proof.h): one honest endpoint is enough.
  /// `unavailable` when none gives proofs that hold.
  virtual base::Result<ProvedStorage> storage(const BlockRef& at, const Address& contract, std::span<const Word> slots,
                                              base::Deadline deadline) = 0;
};

}  // namespace attestry::chain
