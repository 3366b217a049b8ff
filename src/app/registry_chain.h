// What the commands that read and change contracts share: endpoints, the key that signs, and a transaction that is
// shown before it is sent.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "app/cli.h"
#include "app/registry_contracts.h"
#include "base/json_writer.h"
#include "chain/blob_transaction.h"
#include "chain/logs.h"
#include "chain/quorum.h"
#include "chain/registry_abi.h"
#include "chain/transaction.h"
#include "curves/secp256k1.h"
#include "net/client.h"

namespace attestry::app {

struct ChainOptions {
  std::vector<std::string> rpc{"http://127.0.0.1:8545"};
  std::string ca;
  std::uint64_t chain_id = 0;
  std::string finality = "depth:0";
  std::string contract;
  std::string key_file;
  std::string key_env;
  std::string format = "text";
  std::int64_t timeout = 120;
  bool dry_run = false;
  std::string max_cost = "0.1";  ///< ether
};
/// --rpc, --rpc-ca, --chain-id, --timeout, --format.
void add_chain_options(CLI::App& command, ChainOptions& options);
/// --contract.
void add_contract_option(CLI::App& command, ChainOptions& options, bool required = true);
/// An old flag whose value was a key: refused with what to do instead.
void refuse_key_argument(CLI::App& command, const char* flag);
/// --key, --key-env.
void add_key_options(CLI::App& command, ChainOptions& options);
/// Those of a command that sends: the key's, --dry-run and --max-cost.
void add_sending_options(CLI::App& command, ChainOptions& options);

/// A secp256k1 key as 64 hex digits, 0x in front or not, out of a file of mode 0600 or a variable of the environment;
/// never out of an argument, which every process of the machine may read. Exactly one of the two names is given.
base::Result<curves::Secp256k1PrivateKey> read_chain_key(const std::string& file, const std::string& env);

/// Name and value, for people, of what a transaction says.
using Facts = std::vector<std::pair<std::string, std::string>>;

struct Sent {
  std::optional<chain::Receipt> receipt{};  ///< none of a dry run
  std::uint64_t gas = 0;                    ///< used, or estimated by a dry run
};

/// What a transaction must have done: asked of the contract at the transaction's block, of more than half of the
/// endpoints. A receipt says that a call succeeded, and not what it did, or to which contract.
struct Effect {
  /// One function of the contract that shows it.
  struct View {
    std::function<chain::Call(const curves::Address& contract)> question;
    /// Nothing when the contract has no such function.
    std::function<std::optional<bool>(const chain::CallOutcome&)> holds;
  };
  /// What the transaction writes into the log, where nothing else is kept.
  struct Event {
    base::Digest32 topic{};
    std::function<bool(const chain::LogRecord&)> is;
  };
  std::string says;  ///< once it is seen, and for the error: "requested(0x…) is Rejected"
  /// The first that the contract answers counts: older contracts have other names for the same.
  std::vector<View> views{};
  std::optional<Event> event{};  ///< with views: both

  template <class R, class... A>
  static Effect of(const chain::registry::Function<R, A...>& view, const std::type_identity_t<R>& expected,
                   const std::string& says, const std::type_identity_t<A>&... arguments) {
    return that(view, [expected](const R& value) { return value == expected; }, says, arguments...);
  }
  /// `holds`: bool(const R&).
  template <class R, class... A, class Holds>
  static Effect that(const chain::registry::Function<R, A...>& view, Holds holds, const std::string& says,
                     const std::type_identity_t<A>&... arguments) {
    return {
        .says = says,
        .views = {{.question = [view, arguments...](const curves::Address& at) { return view.at(at, arguments...); },
                   .holds =
                       [view, holds = std::move(holds)](const chain::CallOutcome& outcome) {
                         const auto value = view.result(outcome);
                         return value.ok() ? std::optional<bool>{holds(*value)} : std::optional<bool>{};
                       }}}};
  }
  /// The same seen through functions of another contract's generation.
  Effect or_else(Effect other) && {
    for (auto& view : other.views) views.push_back(std::move(view));
    return std::move(*this);
  }
};

/// Connections of one command. Not thread-safe.
class ChainSession {
 public:
  /// `usage` for addresses that are none, `configuration` when an endpoint serves another chain.
  static base::Result<std::unique_ptr<ChainSession>> open(const ChainOptions& options, Context& context);

  const curves::Address& contract() const noexcept { return contract_; }
  chain::QuorumReader& reader() noexcept { return *reader_; }
  net::HttpTransport& http() noexcept { return *http_; }
  base::Deadline deadline() const;

  /// The code at an address at this block, when more than half of the endpoints say the same.
  base::Result<base::Bytes> code(const curves::Address& address, const chain::BlockRef& at);
  /// The endpoints, one by one: for questions whose answers prove themselves.
  std::vector<chain::Endpoint*> endpoints() const;
  /// Shows `facts` on the error stream, then sends with the key of the options, or with --dry-run only asks what it
  /// would cost; `blob`: beside the call. `denied` with the contract's reason when it would revert: nothing is sent
  /// then.
  base::Result<Sent> send(const std::optional<curves::Address>& to, base::ByteView data, const Facts& facts,
                          std::string_view function = {}, const chain::BlobSidecar* blob = nullptr);
  /// send() to the contract, and its outcome in the format that was asked for, once its effect was seen. `conflict`
  /// when the contract says something else at that block, `unavailable` when nobody knows.
  base::Result<int> send_and_print(base::ByteView data, std::string_view function, Facts facts, const Effect& effect,
                                   base::JsonOutObject extra = {}, const chain::BlobSidecar* blob = nullptr);
  void print_sent(const Sent& sent, base::JsonOutObject extra);
  /// Says that things are so already; nothing is sent.
  int print_unchanged(std::string_view how);
  /// The newest block, where the contract stands; `not_found` when it does not.
  base::Result<chain::BlockRef> find_contract();
  /// What the contract answers there; nothing when it has no such function.
  template <class R, class... A>
  base::Result<std::optional<R>> ask(const chain::registry::Function<R, A...>& function,
                                     const std::type_identity_t<A>&... arguments) {
    TRY(const auto at, find_contract());
    const chain::Call question = function.at(contract_, arguments...);
    TRY(const auto outcomes, reader_->call(at, {&question, 1}, deadline()));
    auto value = function.result(outcomes[0]);
    return value.ok() ? std::optional<R>{*std::move(value)} : std::optional<R>{};
  }

 private:
  ChainSession(const ChainOptions& options, Context& context) : options_(options), context_(context) {}
  base::Result<std::uint64_t> estimate(const curves::Address& from, const std::optional<curves::Address>& to,
                                       base::ByteView data, const chain::BlobSidecar* blob);
  base::Status check_chain_id();
  base::Status check_effect(const chain::Receipt& receipt, const Effect& effect);
  /// Nothing when the contract has no function that shows it.
  base::Result<std::optional<bool>> shows(const chain::Receipt& receipt, const Effect& effect);
  base::Error explain(base::Error error, const std::optional<curves::Address>& to, const curves::Address& sender,
                      std::string_view function);
  base::Result<Sent> estimate_only(const curves::Address& from, const std::optional<curves::Address>& to,
                                   base::ByteView data, const chain::BlobSidecar* blob);

  const ChainOptions& options_;
  Context& context_;
  curves::Address contract_{};
  std::unique_ptr<net::HttpClient> http_;
  std::vector<std::unique_ptr<chain::Endpoint>> endpoints_;
  std::unique_ptr<chain::QuorumReader> reader_;
};

/// 64 hex digits, 0x in front or not.
base::Result<chain::Word> parse_word(std::string_view text, std::string_view what);

}  // namespace attestry::app
