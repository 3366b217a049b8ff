// For tests: RPC nodes of NEAR behind the transport's interface, each with its own view of one chain and its own vices.
// They are strict: what nearcore refuses, these refuse; transactions are decoded, checked and executed once.
#pragma once
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/base58.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "chain/near_rpc.h"
#include "chain/near_transaction.h"
#include "crypto/hash.h"
#include "net/client.h"

namespace attestry::chain::near::testing {

using base::JsonOut;
using base::JsonOutArray;
using base::JsonOutObject;
using base::JsonValue;

inline constexpr std::int64_t kGenesis = 1'800'000'000;
inline constexpr std::string_view kChainId = "testnet";
inline constexpr std::uint64_t kFinalLag = 2;

inline Block block_at(std::uint64_t height, std::string_view salt = "main") {
  const std::string text = std::string{salt} + std::to_string(height);
  return {height, crypto::sha256(base::as_bytes(text)), {kGenesis + static_cast<std::int64_t>(height)}};
}

struct StandInAccount {
  std::string amount = "5000000000000000000000000";
  bool has_contract = false;
  std::map<std::string, JsonOut> keys{};  ///< permission by the key's text
  std::map<std::string, std::uint64_t> nonces{};
};
/// What a contract says: bytes, or the virtual machine's complaint.
struct StandInCall {
  base::Bytes value{};
  std::string vm_error{};
};
/// The chain that honest nodes agree on.
struct World {
  std::uint64_t height = 100;
  std::set<std::uint64_t> skipped{};  ///< heights without a block
  std::map<std::string, StandInAccount> accounts{};
  /// (contract, method, args, height); for views and for transactions.
  std::function<StandInCall(const std::string&, const std::string&, const base::Bytes&, std::uint64_t)> contract{};
  std::map<std::string, JsonOut> executed{};           ///< status by the transaction's hash
  std::map<std::string, std::uint64_t> executed_at{};  ///< height by the transaction's hash
  std::size_t executions = 0;
};

struct Node {
  std::uint64_t lag = 0;  ///< blocks behind the world
  std::string chain_id{kChainId};
  std::string salt = "main";  ///< another one: a chain of its own
  bool dead = false;
  bool hangs = false;        ///< holds every request until the transport lets it go
  bool old_errors = false;   ///< speaks as nearcore did before its errors had names
  bool times_out = false;    ///< does not wait for transactions, but sends them on
  bool drops = false;        ///< does not know of transactions
  bool only_nonces = false;  ///< says of a transaction that is done only that it cannot be done again
  std::size_t loses = 0;     ///< so many transactions that it took, and timed out
  std::size_t cuts = 0;      ///< takes so many transactions and then fails to answer
  std::size_t busy = 0;      ///< answers 429 to so many questions about transactions
  /// Answers so many questions about transactions, and then has no lag any more.
  std::optional<std::size_t> catches_up{};
  int status = 200;
  std::optional<std::string> body{};                     ///< answers this to everything
  std::function<void(std::string&)> lies{};              ///< changes every honest answer of `query`
  std::function<void(std::string&)> lies_of_outcomes{};  ///< and of broadcast_tx_commit and tx
  std::map<std::string, std::size_t> asked{};            ///< by method
};

/// Thread-safe.
class Nodes final : public net::HttpTransport {
 public:
  explicit Nodes(std::size_t count) : nodes(count) {}
  ~Nodes() override { release(); }

  static std::string url(std::size_t index) { return "http://near" + std::to_string(index) + ".test/customers-key"; }
  std::vector<EndpointOptions> endpoints() const {
    std::vector<EndpointOptions> out;
    out.reserve(nodes.size());
    for (std::size_t i = 0; i < nodes.size(); ++i) out.push_back({.url = url(i)});
    return out;
  }
  void change(std::size_t index, const std::function<void(Node&)>& how) {
    const std::lock_guard<std::mutex> lock(mutex);
    how(nodes[index]);
  }
  void each(const std::function<void(Node&)>& how) {
    const std::lock_guard<std::mutex> lock(mutex);
    for (Node& node : nodes) how(node);
  }
  void change(const std::function<void(World&)>& how) {
    const std::lock_guard<std::mutex> lock(mutex);
    how(world);
  }
  std::size_t asked(const std::string& method) {
    const std::lock_guard<std::mutex> lock(mutex);
    std::size_t out = 0;
    for (Node& node : nodes) out += node.asked[method];
    return out;
  }
  void release() {
    {
      const std::lock_guard<std::mutex> lock(mutex);
      for (Node& node : nodes) node.hangs = false;
    }
    let_go.notify_all();
  }

  base::Result<net::Response> send(const net::HttpRequest& request) override {
    std::unique_lock<std::mutex> lock(mutex);
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      if (request.url == url(i)) return serve(nodes[i], request, lock);
    }
    return base::Error{base::Code::unavailable, "no such host"};
  }

  std::mutex mutex{};
  std::condition_variable let_go{};
  std::vector<Node> nodes;
  World world{};

 private:
  /// A result or an error, as one member of the reply.
  using Said = std::pair<std::string, JsonOut>;
  static Said result(JsonOut value) { return {"result", std::move(value)}; }
  static Said failure(std::string_view name, std::string_view cause, JsonOutObject info, JsonOut data = nullptr) {
    return {"error", JsonOutObject{{"name", name},
                                   {"cause", JsonOutObject{{"info", std::move(info)}, {"name", cause}}},
                                   {"code", -32000},
                                   {"message", "Server error"},
                                   {"data", std::move(data)}}};
  }
  static Said handler(std::string_view cause, JsonOutObject info, JsonOut data = nullptr) {
    return failure("HANDLER_ERROR", cause, std::move(info), std::move(data));
  }
  static Said parse_error(std::string_view why) {
    return failure("REQUEST_VALIDATION_ERROR", "PARSE_ERROR", {{"error_message", why}});
  }
  static net::Response reply(int status, std::string body) {
    return {.status = status, .content_type = "application/json", .body = std::move(body), .headers = {}};
  }

  base::Result<net::Response> serve(Node& node, const net::HttpRequest& request, std::unique_lock<std::mutex>& lock) {
    while (node.hangs) {
      if (let_go.wait_until(lock, request.deadline) == std::cv_status::timeout && node.hangs) {
        return base::Error{base::Code::deadline_exceeded, "no whole answer in time"};
      }
    }
    if (node.dead) return base::Error{base::Code::unavailable, "POST " + request.shown_as + ": connection refused"};
    if (node.body) return reply(node.status, *node.body);
    const bool json = request.method == net::Method::post && request.headers.get("content-type") == "application/json";
    const auto document = base::JsonDocument::parse(request.body);
    // No batches: nearcore reads one request.
    if (!json || !document.ok() || !(*document)->root().is_object()) return reply(400, "not a request");
    const JsonValue root = (*document)->root();
    const auto method = root.find("method");
    const auto params = root.find("params");
    const auto id = root.find("id");
    if (!method || !params || !id || root.find("jsonrpc")->plain_string() != "2.0") return reply(400, "not a request");
    const std::string name = method->string("method").value_or("");
    ++node.asked[name];
    if (name == "tx" && node.busy > 0) {
      --node.busy;
      return reply(429, "slow down");
    }
    const Said said = answer(node, name, *params);
    if (name == "broadcast_tx_commit" && node.cuts > 0) {
      --node.cuts;
      return reply(502, "bad gateway");
    }
    const JsonOutObject out{{"jsonrpc", "2.0"}, said, {"id", JsonOut::Raw{std::string{id->source()}}}};
    std::string body = JsonOut{out}.compact();
    if (node.lies && name == "query") node.lies(body);
    if (node.lies_of_outcomes && (name == "tx" || name == "broadcast_tx_commit")) node.lies_of_outcomes(body);
    return reply(node.status, std::move(body));
  }

  Said answer(Node& node, const std::string& method, const JsonValue& params) {
    if (method == "status") {
      return result(JsonOutObject{{"chain_id", node.chain_id}, {"sync_info", JsonOutObject{{"syncing", false}}}});
    }
    if (method == "block") return block(node, params);
    if (method == "query") return query(node, params);
    if (method == "broadcast_tx_commit") return broadcast(node, params);
    if (method == "tx") return transaction(node, params);
    return failure("REQUEST_VALIDATION_ERROR", "METHOD_NOT_FOUND", {{"method_name", method}});
  }

  // -- blocks

  std::uint64_t newest(const Node& node) const {
    std::uint64_t height = world.height - node.lag;
    while (world.skipped.contains(height)) --height;
    return height;
  }
  /// The block that the parameters name: by finality, height or hash, and by one of them only.
  std::optional<Block> named(const Node& node, const JsonValue& params) const {
    const auto finality = params.find("finality");
    const auto id = params.find("block_id");
    if (finality.has_value() == id.has_value()) return std::nullopt;
    if (finality) {
      const auto word = finality->plain_string().value_or("");
      if (word != "final" && word != "optimistic") return std::nullopt;
      std::uint64_t height = newest(node) - (word == "final" ? kFinalLag : 0);
      while (world.skipped.contains(height)) --height;
      return block_at(height, node.salt);
    }
    for (std::uint64_t height = newest(node); height > 0; --height) {
      if (world.skipped.contains(height)) continue;
      const Block block = block_at(height, node.salt);
      const bool by_hash = id->plain_string() == base::base58(block.hash);
      const bool by_height = !id->is_string() && id->source() == std::to_string(height);
      if (by_hash || by_height) return block;
    }
    return std::nullopt;
  }
  Said block(const Node& node, const JsonValue& params) const {
    const auto block = named(node, params);
    if (!block) return handler("UNKNOWN_BLOCK", {}, "DB Not Found Error: BLOCK HEIGHT");
    const JsonOutObject header{{"height", block->height},
                               {"hash", base::base58(block->hash)},
                               {"timestamp", static_cast<std::uint64_t>(block->time.seconds) * 1'000'000'000 + 7}};
    return result(JsonOutObject{{"author", "node0"}, {"header", header}, {"chunks", JsonOutArray{}}});
  }

  // -- views

  static JsonOutObject at(const Block& block, JsonOutObject fields = {}) {
    fields.emplace_back("block_height", block.height);
    fields.emplace_back("block_hash", base::base58(block.hash));
    return fields;
  }
  Said query(const Node& node, const JsonValue& params) const {
    const auto block = named(node, params);
    if (!block) return handler("UNKNOWN_BLOCK", {}, "DB Not Found Error: BLOCK HEADER");
    const auto text = [&](std::string_view name) {
      const auto value = params.find(name);
      return value ? value->string(name).value_or("") : "";
    };
    const std::string type = text("request_type");
    const auto account = world.accounts.find(text("account_id"));
    if (account == world.accounts.end()) {
      return handler("UNKNOWN_ACCOUNT", at(*block, {{"requested_account_id", text("account_id")}}));
    }
    if (type == "view_account") return view_account(*block, account->second);
    if (type == "view_access_key") return view_key(node, *block, account->second, text("public_key"));
    if (type == "view_access_key_list") return view_keys(*block, account->second);
    if (type != "call_function") return parse_error("unknown variant");
    const auto args = base::base64_decode(text("args_base64"));
    if (!args.ok()) return parse_error("args_base64");
    if (!account->second.has_contract) return handler("NO_CONTRACT_CODE", at(*block));
    const StandInCall said = world.contract(account->first, text("method_name"), *args, block->height);
    if (!said.vm_error.empty()) return vm_error(node, *block, said.vm_error);
    JsonOutArray bytes;
    for (const std::uint8_t byte : said.value) bytes.emplace_back(static_cast<int>(byte));
    return result(at(*block, {{"result", std::move(bytes)}, {"logs", JsonOutArray{}}}));
  }
  static Said vm_error(const Node& node, const Block& block, const std::string& complaint) {
    const std::string text = "wasm execution failed with error: " + complaint;
    if (node.old_errors) return result(at(block, {{"error", text}, {"logs", JsonOutArray{}}}));
    return handler("CONTRACT_EXECUTION_ERROR", at(block, {{"vm_error", text}}));
  }
  static Said view_account(const Block& block, const StandInAccount& account) {
    const base::Digest32 code = account.has_contract ? crypto::sha256(base::as_bytes("code")) : base::Digest32{};
    return result(at(block, {{"amount", account.amount},
                             {"locked", "0"},
                             {"code_hash", base::base58(code)},
                             {"storage_usage", 182},
                             {"storage_paid_at", 0}}));
  }
  static JsonOutObject key_fields(const StandInAccount& account, const std::string& key) {
    const auto nonce = account.nonces.find(key);
    return {{"nonce", nonce == account.nonces.end() ? std::uint64_t{7} : nonce->second},
            {"permission", account.keys.at(key)}};
  }
  static Said view_key(const Node& node, const Block& block, const StandInAccount& account, const std::string& key) {
    if (account.keys.contains(key)) return result(at(block, key_fields(account, key)));
    if (!node.old_errors) return handler("UNKNOWN_ACCESS_KEY", at(block, {{"public_key", key}}));
    const std::string text = "access key " + key + " does not exist while viewing";
    return result(at(block, {{"error", text}, {"logs", JsonOutArray{}}}));
  }
  static Said view_keys(const Block& block, const StandInAccount& account) {
    JsonOutArray keys;
    for (const auto& [key, permission] : account.keys) {
      keys.emplace_back(JsonOutObject{{"public_key", key}, {"access_key", key_fields(account, key)}});
    }
    return result(at(block, {{"keys", std::move(keys)}}));
  }

  // -- transactions

  static Said invalid(JsonOut why) {
    const JsonOutObject inner{{"InvalidTxError", std::move(why)}};
    return handler("INVALID_TRANSACTION", {}, JsonOutObject{{"TxExecutionError", inner}});
  }
  Said outcome(const std::string& hash) const {
    const JsonOutObject transaction{{"hash", hash}};
    return result(JsonOutObject{
        {"final_execution_status", "FINAL"}, {"status", world.executed.at(hash)}, {"transaction", transaction}});
  }
  Said broadcast(Node& node, const JsonValue& params) {
    const auto text = params.is_array() && params.size() == 1 ? params.first()->plain_string() : std::nullopt;
    const auto raw = base::base64_decode(text.value_or("!"));
    if (!raw.ok()) return parse_error("not base64");
    const auto decoded = decode_signed_transaction(*raw);
    if (!decoded.ok()) return parse_error("not a transaction");
    if (node.drops) return failure("INTERNAL_ERROR", "INTERNAL_ERROR", {});
    if (node.loses > 0) {
      --node.loses;
      return handler("TIMEOUT_ERROR", {});
    }
    const std::string hash = base::base58(decoded->hash);
    if (!knows(node, hash) || node.only_nonces) {
      if (auto refusal = refuse(node, *decoded)) return *refusal;
      execute(decoded->transaction, hash);
    }
    if (node.times_out) return handler("TIMEOUT_ERROR", {});
    return outcome(hash);
  }
  /// Whether it has seen the block that executed it.
  bool knows(const Node& node, const std::string& hash) const {
    const auto height = world.executed_at.find(hash);
    return height != world.executed_at.end() && height->second <= newest(node);
  }
  std::optional<Said> refuse(const Node& node, const DecodedTransaction& decoded) const {
    const Transaction& transaction = decoded.transaction;
    if (!verify(transaction.key, decoded.hash, decoded.signature).ok()) return invalid("InvalidSignature");
    const auto account = world.accounts.find(transaction.signer.text());
    const std::string key = transaction.key.text();
    if (account == world.accounts.end() || !account->second.keys.contains(key)) {
      const JsonOutObject missing{{"account_id", transaction.signer.text()}, {"public_key", key}};
      return invalid(JsonOutObject{{"InvalidAccessKeyError", JsonOutObject{{"AccessKeyNotFound", missing}}}});
    }
    const auto nonce = account->second.nonces.find(key);
    const std::uint64_t used = nonce == account->second.nonces.end() ? 7 : nonce->second;
    if (transaction.nonce <= used) {
      const JsonOutObject nonces{{"tx_nonce", transaction.nonce}, {"ak_nonce", used}};
      return invalid(JsonOutObject{{"InvalidNonce", nonces}});
    }
    bool recent = false;
    for (std::uint64_t height = newest(node); height > 0 && !recent; --height) {
      recent = block_at(height, node.salt).hash == transaction.block_hash;
    }
    return recent ? std::nullopt : std::optional{invalid("Expired")};
  }
  void execute(const Transaction& transaction, const std::string& hash) {
    ++world.executions;
    world.executed_at[hash] = world.height;
    world.accounts[transaction.signer.text()].nonces[transaction.key.text()] = transaction.nonce;
    base::Bytes value;
    for (const Action& action : transaction.actions) {
      const auto* gone = std::get_if<DeleteKey>(&action);
      if (gone != nullptr) world.accounts[transaction.receiver.text()].keys.erase(gone->key.text());
      const auto* call = std::get_if<FunctionCall>(&action);
      if (call == nullptr) continue;
      const StandInCall said = world.contract(transaction.receiver.text(), call->method, call->args, world.height);
      if (!said.vm_error.empty()) {
        const JsonOutObject kind{{"FunctionCallError", JsonOutObject{{"ExecutionError", said.vm_error}}}};
        const JsonOutObject error{{"ActionError", JsonOutObject{{"index", 0}, {"kind", kind}}}};
        world.executed[hash] = JsonOutObject{{"Failure", error}};
        return;
      }
      value = said.value;
    }
    world.executed[hash] = JsonOutObject{{"SuccessValue", base::base64(value)}};
  }
  Said transaction(Node& node, const JsonValue& params) const {
    if (!params.is_array() || params.size() != 2) return parse_error("params");
    const std::string hash{params.first()->plain_string().value_or("")};
    const bool known = !node.drops && knows(node, hash);
    if (node.catches_up && --*node.catches_up == 0) {
      node.lag = 0;
      node.catches_up.reset();
    }
    if (!known) {
      return handler("UNKNOWN_TRANSACTION", {{"requested_transaction_hash", hash}});
    }
    return outcome(hash);
  }
};

}  // namespace attestry::chain::near::testing
