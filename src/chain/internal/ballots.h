// What endpoints say, read out of JSON-RPC, and how votes are counted. Pure.
#pragma once
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "chain/internal/round.h"
#include "chain/json_rpc.h"
#include "chain/quorum.h"
#include "chain/rpc.h"

namespace attestry::chain::internal {

/// A block as an endpoint shows it.
struct SeenBlock {
  BlockRef ref{};
  base::Digest32 parent{};
  friend bool operator==(const SeenBlock&, const SeenBlock&) = default;
};
/// `unavailable` for null: the endpoint does not have it.
base::Result<SeenBlock> read_block(const RpcAnswer& answer);

// -- which block is newest

struct HeadBallot {
  SeenBlock newest{};
  SeenBlock final_block{};  ///< by the tag; the newest where finality is a depth
};
std::vector<RpcRequest> head_requests(const Finality& finality);
base::Result<HeadBallot> read_head(const RpcAnswers& answers, const Finality& finality, std::uint64_t chain_id);
using HeadBallots = Round<HeadBallot>::Ballots;

/// The highest number that at least `quorum` of them have reached: with fewer than `quorum` liars neither above what an
/// honest endpoint has nor, while `quorum` honest ones answer, below what all of these have.
std::optional<std::uint64_t> reached(std::vector<std::uint64_t> numbers, std::size_t quorum);
/// Numbers of blocks that may be the head, highest first, at most four, none below `floor`.
std::vector<std::uint64_t> candidates(const HeadBallots& ballots, std::size_t quorum, const Finality& finality,
                                      std::uint64_t floor);
/// The number at the finality of what this endpoint has.
std::uint64_t final_number(const HeadBallot& ballot, const Finality& finality);
/// Time and number of the newest block that `quorum` endpoints have reached; its hash where that many agree on it.
std::optional<BlockRef> newest_of(const HeadBallots& ballots, std::size_t quorum);

// -- which block stands at a number

using BlocksBallot = std::vector<std::optional<SeenBlock>>;  ///< in the order of the numbers that were asked
std::vector<RpcRequest> block_requests(std::span<const std::uint64_t> numbers);
base::Result<BlocksBallot> read_blocks(const RpcAnswers& answers, std::span<const std::uint64_t> numbers);
using BlocksBallots = Round<BlocksBallot>::Ballots;

struct Elected {
  std::optional<SeenBlock> block{};
  std::size_t votes = 0;  ///< of the block, or of the best that missed the quorum
  bool split = false;     ///< two blocks have a quorum each
};
/// `may_vote[i]`: whether endpoint i counts; empty: all.
Elected elect(const BlocksBallots& ballots, std::size_t place, std::size_t quorum, const std::vector<bool>& may_vote);

// -- calls

using CallsBallot = std::vector<std::optional<CallOutcome>>;
base::JsonOut block_parameter(const BlockRef& at, bool by_number);
std::vector<RpcRequest> call_requests(const BlockRef& at, std::span<const Call> calls, bool by_number);
/// `unavailable` when no call has an outcome, with the node's words.
base::Result<CallsBallot> read_calls(const RpcAnswers& answers, const BlockRef& at, bool by_number);
/// The node does not understand block hashes in place of numbers (EIP-1898).
bool refuses_block_hash(const RpcAnswers& answers);
using CallsBallots = Round<CallsBallot>::Ballots;
/// The outcome that `quorum` endpoints agree on byte for byte. When `ended`, that many that say "reverted" agree on
/// that although they give different reasons.
std::optional<CallOutcome> count(const CallsBallots& ballots, std::size_t place, std::size_t quorum, bool ended);

// -- logs

struct TouchedBallot {
  std::set<Address> touched{};                ///< addresses that have a log after `from` up to `to`
  std::map<Address, base::Digest32> codes{};  ///< Keccak-256 of the code at `to`, where it was asked for and is there
  std::string no_logs{};                      ///< the node's words when it gives none: it does not vote on them
};
/// `strangers`: some of the addresses, whose code is asked for in the same batch.
std::vector<RpcRequest> touched_requests(const BlockRef& from, const BlockRef& to, std::span<const Address> addresses,
                                         std::span<const Address> strangers);
/// `unavailable` when the endpoint has another block `to`.
base::Result<TouchedBallot> read_touched(const RpcAnswers& answers, const BlockRef& from, const BlockRef& to,
                                         std::span<const Address> addresses, std::span<const Address> strangers);

}  // namespace attestry::chain::internal
