// What NEAR says, by a quorum of RPC endpoints: the state at one block, read so that an answer counts only when k of
// them agree on it, and transactions, followed until k of them agree on what became of them.
//
// Up to k-1 endpoints may lie, lag, hang or be dead, together or one by one: they change no answer. With fewer than k
// that agree every call is `unavailable`, never a denial.
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "chain/near_reply.h"
#include "chain/near_transaction.h"
#include "net/client.h"

namespace attestry::chain::near {

// -- one endpoint

struct EndpointOptions {
  std::string name{};  ///< for logs and metrics; empty: the URL's host and port
  std::string url{};
  net::Headers headers{};            ///< of every request: a token of a hosted node
  std::size_t max_bytes = 1u << 20;  ///< of an answer; the bytes that a call returns take up to four times their size
};

/// Thread-safe. The transport must outlive it.
class Endpoint {
 public:
  Endpoint(net::HttpTransport& transport, EndpointOptions options);
  const std::string& name() const noexcept { return options_.name; }
  /// Errors: `unavailable` (no connection, another status without an error of RPC in the body, not JSON-RPC),
  /// `deadline_exceeded`, `usage` (URL), `too_large` (beyond max_bytes). A failure inside the reply is not one of
  /// these.
  base::Result<Reply> ask(std::string_view method, base::JsonOut params, base::Deadline deadline);

 private:
  net::HttpTransport& transport_;
  EndpointOptions options_;
};

/// What readers and senders have in common: every contradiction, as `configuration`; empty: none.
std::vector<base::Error> mistakes_in(const std::string& chain_id, const std::vector<EndpointOptions>& endpoints,
                                     std::size_t quorum);

// -- the state at a block

/// Thread-safe. Errors of all: `unavailable` when no quorum agrees, `deadline_exceeded` when `deadline` came first,
/// `too_large` when a quorum has more to say than EndpointOptions::max_bytes. None is ever a denial. `not_found` and
/// `denied` are the chain's own words.
class ChainReader {
 public:
  virtual ~ChainReader() = default;
  /// The newest block at the configured finality. Never one below a block that was returned before.
  virtual base::Result<Block> head(base::Deadline deadline) = 0;
  /// What the chain says at that block, a no included.
  virtual base::Result<Answer> ask(const Block& at, const Question& question, base::Deadline deadline) = 0;

  /// `not_found`: no such account.
  base::Result<Account> account(const Block& at, const AccountId& account, base::Deadline deadline);
  /// The bytes that a method returns, without changing anything. `not_found`: no such account, contract or method;
  /// `denied`: the contract refuses, in its words (`found`).
  base::Result<base::Bytes> call(const Block& at, const AccountId& contract, std::string method, base::Bytes args,
                                 base::Deadline deadline);
  /// `not_found`: the key is not one of the account's, or there is no such account.
  base::Result<AccessKey> access_key(const Block& at, const AccountId& account, const PublicKey& key,
                                     base::Deadline deadline);
  /// All keys of the account, in the order of their text.
  base::Result<std::vector<AccountKey>> access_keys(const Block& at, const AccountId& account, base::Deadline deadline);
};

/// Which block is believed to stay. `optimistic` is a second or two ahead, and may be taken back.
enum class Finality : std::uint8_t { optimistic, final };

struct ReaderOptions {
  std::string chain_id{};  ///< "mainnet", "testnet"; an endpoint of another network does not vote
  std::vector<EndpointOptions> endpoints{};
  /// k. One of two is a choice of availability over safety, so 0 stands for more than half.
  std::size_t quorum = 0;
  Finality finality = Finality::final;
  /// Seconds. The head's time may be so far behind the clock before every head is `unavailable`; 0: no such limit, for
  /// development chains.
  std::int64_t max_head_age = 120;
  /// Seconds that a block may be ahead of the clock.
  std::int64_t max_clock_skew = 60;
  /// For one round with the endpoints, whoever waits for it.
  std::chrono::milliseconds round_timeout{3000};
  /// head() answers from memory for so long.
  std::chrono::milliseconds head_ttl{1000};
  std::size_t lanes = 4;                 ///< threads per endpoint, besides one for heads
  std::size_t cache_bytes = 4u << 20;    ///< of answers at the newest block that was asked about
  std::optional<std::uint64_t> floor{};  ///< height that a previous run has seen: never below it
  const base::Clock* clock = &base::system_clock();
};
/// Every contradiction in them, as `configuration`; empty: a reader can be made.
std::vector<base::Error> mistakes_in(const ReaderOptions& options);

struct EndpointStatus {
  std::string name{};
  std::uint64_t asked = 0;      ///< requests of rounds
  std::uint64_t failed = 0;     ///< without a usable answer
  std::uint64_t disagreed = 0;  ///< answers that a quorum contradicts
  bool wrong_chain = false;
  std::optional<std::uint64_t> newest{};  ///< height that it named last
  std::uint64_t lag = 0;                  ///< blocks behind the head
  std::string trouble{};                  ///< of the last round; empty: none
};
/// A snapshot: counters since the start.
struct ReaderStatus {
  std::vector<EndpointStatus> endpoints{};
  std::size_t quorum = 0;
  std::optional<Block> head{};
  /// A final block was replaced by another one of its height; not empty: nothing is answered any more. A chain that
  /// goes on differently above is not noticed.
  std::string alarm{};
  std::uint64_t without_quorum = 0;
  std::uint64_t cache_hits = 0, cache_misses = 0, shared = 0;  ///< shared: waited for somebody else's question
};

/// Thread-safe. The transport must outlive it. The destructor waits for what was sent, at most `round_timeout`.
class QuorumReader final : public ChainReader {
 public:
  /// `configuration` for options that contradict each other.
  static base::Result<std::unique_ptr<QuorumReader>> make(net::HttpTransport& transport, ReaderOptions options);
  ~QuorumReader() override;
  base::Result<Block> head(base::Deadline deadline) override;
  base::Result<Answer> ask(const Block& at, const Question& question, base::Deadline deadline) override;
  ReaderStatus status() const;

 private:
  struct Impl;
  explicit QuorumReader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// -- transactions

/// A signed transaction with the next nonce of the key and the head's hash. Errors as of access_key(): `not_found` when
/// the key is not one of the signer's. Two that are prepared at once get the same nonce, and one is refused. So does
/// one that is prepared directly after send(): the head, which is final or remembered, may be older than that outcome.
base::Result<SignedTransaction> prepare(ChainReader& reader, const AccountId& signer, const SecretKey& key,
                                        const AccountId& receiver, std::vector<Action> actions,
                                        base::Deadline deadline);

struct SenderOptions {
  std::string chain_id{};  ///< as of ReaderOptions
  std::vector<EndpointOptions> endpoints{};
  std::size_t quorum = 0;  ///< as of ReaderOptions
  /// For one request: nodes answer broadcast_tx_commit after ten seconds at the latest.
  std::chrono::milliseconds request_timeout{20000};
  std::chrono::milliseconds poll{1000};  ///< between two questions to the same endpoint
  /// In a row, before an endpoint is given up, at least 1; one that has taken it is asked until the deadline, less and
  /// less often. So often an endpoint that refuses it must also say that it does not know it.
  std::size_t max_failures = 3;
  const base::Clock* clock = &base::system_clock();
};

/// Every contradiction in them, as `configuration`; empty: a sender can be made.
std::vector<base::Error> mistakes_in(const SenderOptions& options);

/// Thread-safe. The transport must outlive it. The destructor waits for what was sent, at most `request_timeout`.
///
/// An outcome is what nodes know once the transaction was executed (EXECUTED_OPTIMISTIC): until its blocks are FINAL,
/// which nothing here waits for, the chain may take it back. Who needs it final reads the state at a final head.
class Sender {
 public:
  /// `configuration` for options that contradict each other.
  static base::Result<std::unique_ptr<Sender>> make(net::HttpTransport& transport, SenderOptions options);
  ~Sender();
  /// Sends it to every endpoint and asks these until a quorum agrees on the outcome: succeeded, failed or refused; the
  /// same transaction is executed at most once, however often it is sent. An endpoint's refusal counts when the bytes
  /// alone are the reason, or when it does not know the transaction either, asked for it after the refusal. Errors:
  /// `unavailable` when no quorum agrees, `deadline_exceeded`; both name the hash, and the transaction may have been
  /// executed all the same.
  base::Result<Outcome> send(const SignedTransaction& transaction, const AccountId& signer, base::Deadline deadline);

 private:
  struct Impl;
  explicit Sender(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace attestry::chain::near
