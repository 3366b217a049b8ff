// ChainReader over several endpoints: an answer counts only when k of them agree byte for byte on the same block.
//
// Up to k-1 endpoints may lie, lag, censor, hang or be dead, together or one by one: they change no answer and delay
// none, and they are named in the status and the log. With fewer than k that agree every call is `unavailable`.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "chain/json_rpc.h"
#include "chain/logs.h"
#include "chain/prover.h"
#include "chain/rpc.h"

namespace attestry::chain {

/// Which block is believed to stay.
struct Finality {
  enum class Kind : std::uint8_t { depth, safe, finalized };
  Kind kind = Kind::finalized;
  std::uint64_t depth = 0;  ///< of Kind::depth: blocks below the newest

  /// "finalized", "safe" or "depth:12"; error `configuration`.
  static base::Result<Finality> parse(std::string_view text);
  std::string text() const;
};

struct QuorumOptions {
  std::uint64_t chain_id = 0;  ///< every endpoint is asked for it with every head; another one does not vote
  std::vector<EndpointOptions> endpoints{};
  /// k. One of two is a choice of availability over safety, so 0 stands for more than half.
  std::size_t quorum = 0;
  Finality finality{};

  /// Seconds. The newest block's time may be so far behind the clock, and the newest block so long the same, before
  /// every answer is `unavailable`. 0 switches both off: for development chains that make blocks on demand.
  std::int64_t max_head_age = 120;
  /// Seconds that the block at the finality may be behind the clock; 0: no such limit.
  std::int64_t max_final_age = 3600;
  /// Seconds that a block may be ahead of the clock.
  std::int64_t max_clock_skew = 60;

  /// For one round with the endpoints, whoever waits for it.
  std::chrono::milliseconds round_timeout{3000};
  /// head() answers from memory for so long.
  std::chrono::milliseconds head_ttl{1000};
  /// Keeps the head fresh in the background in this rhythm, so that head() costs nothing; 0: only when asked.
  std::chrono::milliseconds poll{0};

  std::size_t lanes = 4;  ///< threads per endpoint, besides two for heads and one for strangers
  /// Questions of strangers: so many wait for an endpoint, and so long for its answer. They hold nobody else up.
  std::size_t stranger_waiting = 16;
  std::chrono::milliseconds stranger_timeout{1000};
  std::size_t cache_bytes = 16u << 20;
  /// Blocks over which results are carried by events before they are asked anew.
  std::uint64_t max_carry_blocks = 256;
  /// Keccak-256 of the deployed code of contracts that emit an event with every change (trust_events()): whichever
  /// contract has such code, by the word of a quorum, is trusted so from its second block on. Its code is looked at
  /// anew after `max_carry_blocks`.
  std::vector<base::Digest32> event_codes{};
  /// Never below this block: what a previous run has seen.
  std::optional<BlockRef> floor{};
  /// Told of every block that becomes the head, on a thread of the reader's: short, and never asking the reader.
  std::function<void(const BlockRef&)> on_head{};
  const base::Clock* clock = &base::system_clock();
};

/// Every contradiction in them, as `configuration`; empty: a reader can be made.
std::vector<base::Error> mistakes_in(const QuorumOptions& options);

struct EndpointStatus {
  std::string name{};
  std::uint64_t asked = 0;                ///< HTTP rounds
  std::uint64_t failed = 0;               ///< without a usable answer
  std::uint64_t timed_out = 0;            ///< part of failed
  std::uint64_t disagreed = 0;            ///< answers that another quorum contradicts
  bool wrong_chain = false;               ///< at the last round
  bool by_number = false;                 ///< does not know block hashes in eth_call (EIP-1898)
  bool without_logs = false;              ///< gives no logs: asked for them seldom, and no vote on what is carried
  std::optional<std::uint64_t> newest{};  ///< block it named last
  std::uint64_t lag = 0;                  ///< blocks behind the newest that a quorum has
  std::string trouble{};                  ///< of the last round; empty: none
};

/// A snapshot: counters since the start.
struct ChainStatus {
  std::vector<EndpointStatus> endpoints{};
  std::size_t quorum = 0;
  std::optional<BlockRef> head{};    ///< at the finality
  std::optional<BlockRef> newest{};  ///< newest that a quorum has reached; its hash only when k agree on it
  std::size_t agreeing = 0;          ///< endpoints that voted for the head
  bool stalled = false;              ///< the watchdog holds answers back
  std::string alarm{};               ///< a reorg below finality; not empty: nothing is answered any more
  std::uint64_t rounds = 0;          ///< questions to all endpoints
  std::uint64_t without_quorum = 0;
  std::uint64_t cache_hits = 0, cache_misses = 0, shared = 0;  ///< shared: waited for somebody else's question
  std::uint64_t carried = 0;  ///< results that moved to a new block because no event touched them
  std::size_t cached_bytes = 0;
};

/// Thread-safe. The transport must outlive it. The destructor waits for what was sent, at most `round_timeout`.
class QuorumReader final : public ChainReader, public StorageProver, public LogReader {
 public:
  /// `configuration` for options that contradict each other.
  static base::Result<std::unique_ptr<QuorumReader>> make(net::HttpTransport& transport, QuorumOptions options);
  ~QuorumReader() override;

  base::Result<BlockRef> head(base::Deadline deadline) override;
  base::Result<BlockRef> known_head() const override;
  std::optional<std::uint64_t> newest_number() const override;
  base::Result<std::vector<CallOutcome>> call(const BlockRef& at, std::span<const Call> calls,
                                              base::Deadline deadline) override;
  /// Proofs of the newest block that was asked about are kept.
  base::Result<ProvedStorage> storage(const BlockRef& at, const Address& contract, std::span<const Word> slots,
                                      base::Deadline deadline) override;

  base::Result<std::vector<LogRecord>> logs(const LogFilter& filter, base::Deadline deadline) override;

  /// The same chain for questions that anybody may cause, about any contract: with a thread, a queue and a deadline of
  /// their own, whatever that contract does to a node. What they learn does not enter the cache, and what an endpoint
  /// does to them is not held against it. As long as this reader.
  ChainReader& for_strangers();

  /// The contract at `address` emits an event with every change of what its calls answer, so what it answered stays
  /// true until a block has a log of it. Off for every address until switched on, or until its code is known to be one
  /// of QuorumOptions::event_codes; true of attestry's own contracts, not of the seed's (some of their removals emit
  /// nothing).
  void trust_events(const Address& address, bool trusted);

  /// Asks for the head now, whatever is in memory: for the start of the program and for `attestry chain head`.
  base::Result<BlockRef> refresh(base::Deadline deadline);
  ChainStatus status() const;

 private:
  struct Impl;
  explicit QuorumReader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace attestry::chain
