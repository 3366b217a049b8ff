// JSON-RPC 2.0 over HTTP as execution clients speak it: one endpoint, batches, strict answers, errors told apart.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/json_writer.h"
#include "base/result.h"
#include "base/time.h"
#include "chain/rpc.h"
#include "net/client.h"

namespace attestry::chain {

// -- the hex of JSON-RPC

/// "0x1b4"; zero is "0x0".
std::string quantity(std::uint64_t value);
/// "0x" and two digits per byte.
std::string hex_data(base::ByteView bytes);
/// Strict: 0x, no leading zeros, at most 64 bits.
base::Result<std::uint64_t> parse_quantity(const base::JsonValue& value, std::string_view field);
/// The same with up to 256 bits, as a word.
base::Result<Word> parse_quantity_word(const base::JsonValue& value, std::string_view field);
base::Result<base::Bytes> parse_data(const base::JsonValue& value, std::string_view field);
base::Result<base::Digest32> parse_hash(const base::JsonValue& value, std::string_view field);
base::Result<Address> parse_address(const base::JsonValue& value, std::string_view field);

// -- requests and answers

struct RpcRequest {
  std::string method;
  base::JsonOutArray params{};
};

/// The `error` member of an answer.
struct RpcError {
  std::int64_t code = 0;
  std::string message{};
  std::optional<base::Bytes> data{};  ///< where the node sent hex
};

/// One answer of a batch. `result` is a handle into a document that RpcAnswers keeps.
struct RpcAnswer {
  std::optional<base::JsonValue> result{};
  std::optional<RpcError> error{};
};
struct RpcAnswers {
  std::vector<std::shared_ptr<const base::JsonDocument>> documents{};
  std::vector<RpcAnswer> answers{};  ///< in the order of the requests
};

/// The body of a batch; its ids are 1 to n.
std::string rpc_batch(std::span<const RpcRequest> requests);
/// Reads the answer to such a batch: n objects in any order, each id once, jsonrpc "2.0", either result or error. One
/// error object in place of the array is the error of the whole batch.
base::Result<RpcAnswers> parse_rpc_batch(std::string body, std::size_t expected, std::size_t max_bytes);

/// The outcome of eth_call out of a node's error, when it is a revert in the words of geth, anvil, Nethermind, Besu,
/// Erigon, Hardhat or Ganache; nothing when the node failed for another reason.
std::optional<CallOutcome> revert_of(const RpcError& error);

// -- one endpoint

/// What an endpoint is called where it has no name: the URL's host and port.
std::string endpoint_name(std::string_view url);
/// A node's own words as they may reach a terminal or a log: at most 300 bytes, no control characters.
std::string shown(std::string_view text);

struct EndpointOptions {
  std::string name{};  ///< for logs and metrics; empty: the URL's host and port
  std::string url{};
  net::Headers headers{};            ///< of every request: a token of a hosted node
  std::size_t max_bytes = 4u << 20;  ///< of an answer
  std::size_t max_batch = 50;        ///< calls per HTTP request; a longer batch is sent in parts
};

/// Thread-safe; one endpoint never waits for another. The transport must outlive it.
class Endpoint {
 public:
  Endpoint(net::HttpTransport& transport, EndpointOptions options);
  const std::string& name() const noexcept { return options_.name; }

  /// Errors: `unavailable` (no connection, a status other than 200, not JSON-RPC, one error for the whole batch),
  /// `deadline_exceeded`, `usage` (URL). An error inside an answer is not one of these.
  base::Result<RpcAnswers> batch(std::span<const RpcRequest> requests, base::Deadline deadline);
  /// One request; an error inside the answer is `unavailable` with the node's message.
  base::Result<RpcAnswers> ask(RpcRequest request, base::Deadline deadline);

 private:
  net::HttpTransport& transport_;
  EndpointOptions options_;
};

}  // namespace attestry::chain
