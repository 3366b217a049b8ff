// For tests: execution nodes behind the transport's interface, each with its own view of one chain and its own vices.
// They are strict: what a real node refuses, these refuse.
#pragma once
#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/encoding.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "chain/json_rpc.h"
#include "chain/quorum.h"
#include "crypto/hash.h"
#include "net/client.h"

namespace attestry::chain::testing {

inline constexpr std::uint64_t kChainId = 31337;
inline constexpr std::int64_t kGenesis = 1'800'000'000;
inline constexpr std::int64_t kSpacing = 12;
inline const Address kContract{0xc0, 0xff, 0xee};
inline const Address kOther{0x0d, 0x0d};

/// A chain: block n's hash is made of its parent's and a salt, so that a branch is another salt from a height on.
class Branch {
 public:
  explicit Branch(std::uint64_t height) { grow(height + 1); }
  void grow(std::uint64_t count, std::string_view salt = "main") {
    for (std::uint64_t i = 0; i < count; ++i) {
      const base::Digest32 parent = hashes_.empty() ? base::Digest32{} : hashes_.back();
      hashes_.push_back(crypto::sha256({base::ByteView{parent}, base::as_bytes(salt)}));
    }
  }
  /// Replaces the last blocks by as many others.
  void reorganise(std::uint64_t depth, std::string_view salt) {
    hashes_.resize(hashes_.size() - depth);
    grow(depth, salt);
  }
  std::uint64_t height() const { return hashes_.size() - 1; }
  const base::Digest32& hash(std::uint64_t number) const { return hashes_.at(number); }
  BlockRef ref(std::uint64_t number) const { return {number, hash(number), time(number)}; }
  static base::UtcTime time(std::uint64_t number) { return {kGenesis + kSpacing * static_cast<std::int64_t>(number)}; }
  std::optional<std::uint64_t> find(const base::Digest32& hash) const {
    for (std::uint64_t i = 0; i < hashes_.size(); ++i) {
      if (hashes_[i] == hash) return i;
    }
    return std::nullopt;
  }
  base::JsonOut block(std::uint64_t number) const {
    if (number > height()) return nullptr;
    const base::Digest32 parent = number == 0 ? base::Digest32{} : hash(number - 1);
    return base::JsonOutObject{{"number", quantity(number)},
                               {"hash", hex_data(hash(number))},
                               {"parentHash", hex_data(parent)},
                               {"timestamp", quantity(static_cast<std::uint64_t>(time(number).seconds))}};
  }

 private:
  std::vector<base::Digest32> hashes_;
};

struct StandInLog {
  Address address;
  std::uint64_t block;
  std::vector<base::Digest32> topics{};
  base::Bytes data{};
};

/// One node. Members are set up before the first call or under the transport's mutex.
struct Node {
  explicit Node(Branch its) : branch(std::move(its)) {}
  Branch branch;
  std::uint64_t chain_id = kChainId;
  std::uint64_t safe_lag = 4, final_lag = 8;
  bool dead = false;
  bool hangs = false;                    ///< holds every request until the transport lets it go
  std::optional<Address> hangs_about{};  ///< the same for requests that name this contract
  bool knows_block_hashes = true;
  bool hides_logs = false;
  bool offers_logs = true;
  std::uint64_t most_log_blocks = 1'000'000;  ///< in one question
  int status = 200;
  std::optional<std::string> body{};  ///< answers this to everything
  std::vector<StandInLog> logs{};
  std::map<Address, base::Bytes> codes{};
  /// What contracts say at a block; empty: echo() of the question.
  std::function<CallOutcome(const Call&, std::uint64_t)> contract{};
  std::size_t rounds = 0;
  std::map<std::string, std::size_t> asked{};  ///< by method
};

/// The answer of a contract that nobody has programmed: its question and the block.
inline CallOutcome echo(const Call& call, std::uint64_t number) {
  base::Bytes data = call.data;
  data.push_back(static_cast<std::uint8_t>(number & 0xff));
  return {.reverted = false, .data = data, .reason = {}};
}

/// Thread-safe.
class Nodes final : public net::HttpTransport {
 public:
  explicit Nodes(std::size_t count, std::uint64_t height = 100) {
    for (std::size_t i = 0; i < count; ++i) nodes.emplace_back(Branch{height});
  }
  ~Nodes() override { release(); }

  static std::string url(std::size_t index) { return "http://node" + std::to_string(index) + ".test/v3/customers-key"; }
  QuorumOptions options(Finality finality = {.kind = Finality::Kind::depth, .depth = 2}) const {
    QuorumOptions out;
    out.chain_id = kChainId;
    for (std::size_t i = 0; i < nodes.size(); ++i) out.endpoints.push_back({.url = url(i)});
    out.finality = finality;
    out.round_timeout = std::chrono::seconds(20);
    return out;
  }
  /// For every node.
  void each(const std::function<void(Node&)>& change) {
    const std::lock_guard<std::mutex> lock(mutex);
    for (Node& node : nodes) change(node);
  }
  void change(std::size_t index, const std::function<void(Node&)>& change) {
    const std::lock_guard<std::mutex> lock(mutex);
    change(nodes[index]);
  }
  std::size_t asked(const std::string& method) {
    const std::lock_guard<std::mutex> lock(mutex);
    std::size_t out = 0;
    for (Node& node : nodes) out += node.asked[method];
    return out;
  }
  std::size_t rounds() {
    const std::lock_guard<std::mutex> lock(mutex);
    std::size_t out = 0;
    for (const Node& node : nodes) out += node.rounds;
    return out;
  }
  /// Lets go of what hangs.
  void release() {
    {
      const std::lock_guard<std::mutex> lock(mutex);
      for (Node& node : nodes) {
        node.hangs = false;
        node.hangs_about.reset();
      }
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
  std::vector<Node> nodes{};

 private:
  base::Result<net::Response> serve(Node& node, const net::HttpRequest& request, std::unique_lock<std::mutex>& lock) {
    ++node.rounds;
    const auto held = [&] {
      const bool about = node.hangs_about && request.body.find(hex_data(*node.hangs_about)) != std::string::npos;
      return node.hangs || about;
    };
    while (held()) {
      if (let_go.wait_until(lock, request.deadline) == std::cv_status::timeout && held()) {
        return base::Error{base::Code::deadline_exceeded, "no whole answer in time"};
      }
    }
    if (node.dead) {  // in the words of the real client
      const auto where = request.shown_as.empty() ? request.url : request.shown_as;
      return base::Error{base::Code::unavailable, "POST " + where + ": connection refused"};
    }
    if (node.status != 200)
      return net::Response{.status = node.status, .content_type = {}, .body = "no", .headers = {}};
    const bool json = request.method == net::Method::post && request.headers.get("content-type") == "application/json";
    const auto batch = base::JsonDocument::parse(request.body);
    if (!json || !batch.ok() || !(*batch)->root().is_array()) {
      return net::Response{.status = 400, .content_type = {}, .body = "not a batch", .headers = {}};
    }
    base::JsonOutArray answers;
    for (auto one = (*batch)->root().first(); one; one = one->next()) answers.push_back(answer(node, *one));
    const std::string body = node.body ? *node.body : base::JsonOut{std::move(answers)}.compact();
    return net::Response{.status = 200, .content_type = "application/json", .body = body, .headers = {}};
  }

  static base::JsonOut failure(std::int64_t code, std::string message, base::JsonOut data = nullptr) {
    base::JsonOutObject error{{"code", code}, {"message", std::move(message)}};
    if (data.compact() != "null") error.emplace_back("data", std::move(data));
    return base::JsonOutObject{{"error", std::move(error)}};
  }
  static base::JsonOut result(base::JsonOut value) { return base::JsonOutObject{{"result", std::move(value)}}; }

  static std::optional<std::uint64_t> number_of(const Node& node, const base::JsonValue& value) {
    const auto text = value.plain_string().value_or("");
    if (text == "latest") return node.branch.height();
    if (text == "safe") return node.branch.height() - node.safe_lag;
    if (text == "finalized") return node.branch.height() - node.final_lag;
    const auto number = parse_quantity(value, "number");
    return number.ok() ? std::optional{*number} : std::nullopt;
  }

  static base::JsonOut eth_call(Node& node, const base::JsonValue& params) {
    const auto call = *params.first();
    const auto block = *call.next();
    const auto to = parse_address(*call.find("to"), "to");
    const auto data = parse_data(*call.find("data"), "data");
    if (!to.ok() || !data.ok()) return failure(-32602, "invalid argument 0");
    std::optional<std::uint64_t> number;
    if (block.is_object()) {
      if (!node.knows_block_hashes) return failure(-32602, "invalid argument 1: json: cannot unmarshal object");
      const auto hash = parse_hash(*block.find("blockHash"), "hash");
      const auto canonical = block.find("requireCanonical");
      if (!hash.ok() || !canonical || !canonical->boolean("canonical").value_or(false)) {
        return failure(-32602, "not the block parameter of EIP-1898");
      }
      number = node.branch.find(*hash);
    } else {
      number = number_of(node, block);
    }
    if (!number || *number > node.branch.height()) return failure(-32000, "header not found");
    const Call asked{*to, *data};
    const CallOutcome outcome = node.contract ? node.contract(asked, *number) : echo(asked, *number);
    if (outcome.reverted) return failure(3, "execution reverted", hex_data(outcome.data));
    return result(hex_data(outcome.data));
  }

  static bool of_event(const StandInLog& log, const base::JsonValue& filter) {
    const auto topics = filter.find("topics");
    if (!topics) return true;
    const auto any = *topics->first();
    for (auto item = any.first(); item; item = item->next()) {
      if (!log.topics.empty() && parse_hash(*item, "topic").value_or(base::Digest32{}) == log.topics.front())
        return true;
    }
    return false;
  }

  static base::JsonOut eth_get_logs(const Node& node, const base::JsonValue& params) {
    const auto filter = *params.first();
    const auto from = parse_quantity(*filter.find("fromBlock"), "from");
    const auto to = parse_quantity(*filter.find("toBlock"), "to");
    if (!from.ok() || !to.ok() || *from > *to) return failure(-32602, "invalid block range");
    if (*to - *from >= node.most_log_blocks) return failure(-32005, "query exceeds max block range");
    base::JsonOutArray out;
    for (std::size_t i = 0; i < node.logs.size(); ++i) {
      const StandInLog& log = node.logs[i];
      const auto addresses = *filter.find("address");
      bool wanted = parse_address(addresses, "address").value_or(Address{}) == log.address;
      for (auto item = addresses.first(); item; item = item->next()) {
        wanted = wanted || parse_address(*item, "address").value_or(Address{}) == log.address;
      }
      if (!wanted || log.block < *from || log.block > *to || node.hides_logs) continue;
      if (log.block > node.branch.height() || !of_event(log, filter)) continue;
      base::JsonOutArray topics;
      for (const auto& topic : log.topics) topics.emplace_back(hex_data(topic));
      out.emplace_back(base::JsonOutObject{{"address", hex_data(log.address)},
                                           {"topics", std::move(topics)},
                                           {"data", hex_data(log.data)},
                                           {"blockNumber", quantity(log.block)},
                                           {"blockHash", hex_data(node.branch.hash(log.block))},
                                           {"transactionHash", hex_data(crypto::sha256(log.data))},
                                           {"logIndex", quantity(i)},
                                           {"removed", false}});
    }
    return result(std::move(out));
  }

  static base::JsonOut answer(Node& node, const base::JsonValue& request) {
    const auto method = request.find("method")->string("method").value_or("");
    const auto params = *request.find("params");
    ++node.asked[method];
    base::JsonOut out = failure(-32601, "the method does not exist");
    if (method == "eth_chainId") out = result(quantity(node.chain_id));
    if (method == "eth_getBlockByNumber") {
      const auto number = number_of(node, *params.first());
      out = number ? result(node.branch.block(*number)) : failure(-32602, "invalid argument 0");
    }
    if (method == "eth_call") out = eth_call(node, params);
    if (method == "eth_getLogs" && node.offers_logs) out = eth_get_logs(node, params);
    if (method == "eth_getCode") {
      out = result(hex_data(node.codes[parse_address(*params.first(), "address").value_or(Address{})]));
    }
    std::string text = out.compact();
    text.insert(1, R"("jsonrpc":"2.0","id":)" + std::string{request.find("id")->source()} + ",");
    return base::JsonOut::Raw{text};
  }
};

/// The wall clock stands where the test puts it; the steady clock runs, and may be put forward.
class TestClock final : public base::Clock {
 public:
  explicit TestClock(base::UtcTime now) : now_(now.seconds) {}
  base::UtcTime now() const override { return {now_}; }
  std::chrono::steady_clock::time_point steady() const override {
    return std::chrono::steady_clock::now() + std::chrono::seconds(ahead_);
  }
  void pass(std::int64_t seconds) {
    now_ += seconds;
    ahead_ += seconds;
  }
  void set(base::UtcTime now) { now_ = now.seconds; }

 private:
  std::atomic<std::int64_t> now_;
  std::atomic<std::int64_t> ahead_{0};
};

}  // namespace attestry::chain::testing
