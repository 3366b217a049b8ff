// What an EVM chain says, as governance asks it: calls of contracts, pinned to one block that a quorum agrees on.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "curves/address.h"

namespace attestry::chain {

using curves::Address;
/// A word of the EVM, big-endian: uint256, bytes32, a storage slot.
using Word = base::FixedBytes<32>;

/// One block. Two with the same hash are the same.
struct BlockRef {
  std::uint64_t number = 0;
  base::Digest32 hash{};
  base::UtcTime time{};
  friend bool operator==(const BlockRef&, const BlockRef&) = default;
};

/// A call that changes nothing (eth_call).
struct Call {
  Address to{};
  base::Bytes data{};
  friend bool operator==(const Call&, const Call&) = default;
};

/// What the contract answered. A revert is an answer: the contract said no.
struct CallOutcome {
  bool reverted = false;
  base::Bytes data{};    ///< the returned bytes, or the revert's data
  std::string reason{};  ///< of a revert, for people: Error(string) decoded, a known custom error, or the selector
  friend bool operator==(const CallOutcome&, const CallOutcome&) = default;
};

/// Thread-safe. k-of-n quorum, finality, the stale-head watchdog and the cache per block stand behind it (quorum.h).
/// Errors: `unavailable` when no quorum agrees, the head is stale, or a reorg went below finality; `deadline_exceeded`
/// when `deadline` came first. Neither is ever a denial.
class ChainReader {
 public:
  virtual ~ChainReader() = default;
  /// The newest block at the configured finality. Never one below a block that was returned before.
  virtual base::Result<BlockRef> head(base::Deadline deadline) = 0;
  /// The newest of such blocks that is known already, without asking anybody: `unavailable` while none is known, the
  /// watchdog holds answers back or there is an alarm.
  virtual base::Result<BlockRef> known_head() const = 0;
  /// Number of the newest block of all, final or not, as far as it is known: for messages.
  virtual std::optional<std::uint64_t> newest_number() const { return std::nullopt; }
  /// All calls in one batch, pinned to the same block, outcomes in the order of the calls.
  virtual base::Result<std::vector<CallOutcome>> call(const BlockRef& at, std::span<const Call> calls,
                                                      base::Deadline deadline) = 0;
};

}  // namespace attestry::chain
