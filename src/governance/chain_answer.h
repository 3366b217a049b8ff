// How old an answer of a chain may be when it lets something out, and what the log calls the block that it is of.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "chain/rpc.h"

namespace attestry::governance {

/// An answer counts while the head is at most so many blocks beyond the one that was asked (FORMATS 6), or the answer
/// is younger than kMaxAnswerAge: blocks may come several in a second, and become final many at a time.
inline constexpr std::uint64_t kMaxBlocksBehind = 2;
inline constexpr std::chrono::seconds kMaxAnswerAge{5};

/// When a contract was asked.
struct AskedAt {
  std::uint64_t block = 0;
  base::Deadline when{};
};

/// "evm:1@19000000:0x<hash>".
std::string block_snapshot(std::uint64_t chain_id, const chain::BlockRef& block);

/// Without asking anybody, for inside a transaction: `conflict` when the chain has moved on since, `unavailable` when
/// the head is not known. `now` is of the clock that `asked` was read from.
base::Status answer_counts(const AskedAt& asked, const chain::ChainReader& reader, base::Deadline now);

/// A quorum that answers something else than what the block's storage holds: an outage, and an entry in the log.
base::Error disproved(const base::FixedBytes<20>& contract, const chain::BlockRef& block, std::string proved);

}  // namespace attestry::governance
