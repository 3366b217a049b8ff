// The history as a file: what an audit without a network reads.
#include <algorithm>

#include "base/encoding.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "chain/json_rpc.h"
#include "provision/keymanager_history.h"

namespace attestry::provision {

using base::Code;
using base::Error;
using base::JsonValue;
using base::Result;

namespace {

constexpr std::int64_t kFirstVersion = 1;  ///< without the hash of the code
constexpr std::int64_t kVersion = 2;
constexpr std::size_t kMaxBytes = 256u << 20;
constexpr std::size_t kMaxNodes = 20'000'000;
constexpr std::int64_t kMost = 1LL << 53;

Result<std::uint64_t> number(const JsonValue& object, std::string_view name) {
  TRY(const JsonValue value, object.get(name));
  TRY(const std::int64_t found, value.integer(name, 0, kMost));
  return static_cast<std::uint64_t>(found);
}

template <std::size_t N>
Result<base::FixedBytes<N>> fixed(const JsonValue& object, std::string_view name) {
  TRY(const JsonValue value, object.get(name));
  TRY(const base::Bytes bytes, chain::parse_data(value, name));
  base::FixedBytes<N> out{};
  if (bytes.size() != N) return Error{Code::malformed, std::string{name} + ": another length"};
  std::ranges::copy(bytes, out.begin());
  return out;
}

Result<base::UtcTime> time(const JsonValue& object, std::string_view name) {
  TRY(const JsonValue value, object.get(name));
  TRY(const std::string text, value.string(name));
  return base::parse_rfc3339(text);
}

base::JsonOut log_json(const chain::LogRecord& log) {
  base::JsonOutArray topics;
  for (const auto& topic : log.topics) topics.emplace_back(chain::hex_data(topic));
  return base::JsonOutObject{{"address", chain::hex_data(log.address)},
                             {"topics", std::move(topics)},
                             {"data", chain::hex_data(log.data)},
                             {"blockNumber", chain::quantity(log.block)},
                             {"blockHash", chain::hex_data(log.block_hash)},
                             {"transactionHash", chain::hex_data(log.transaction)},
                             {"logIndex", chain::quantity(log.index)}};
}

base::Status read_logs(const JsonValue& root, KeyManagerHistory& out) {
  TRY(const JsonValue logs, root.get("logs"));
  for (auto item = logs.first(); item; item = item->next()) {
    TRY(chain::LogRecord log, chain::read_log(*item));
    const bool follows =
        out.logs.empty() || std::pair{out.logs.back().block, out.logs.back().index} < std::pair{log.block, log.index};
    if (!follows || log.address != out.contract.address) {
      return Error{Code::malformed, "logs: not those of the contract in the order of the chain"};
    }
    out.logs.push_back(std::move(log));
  }
  return base::done();
}

base::Status read_blocks(const JsonValue& root, KeyManagerHistory& out) {
  TRY(const JsonValue blocks, root.get("blocks"));
  for (auto item = blocks.first(); item; item = item->next()) {
    TRY_OK(item->only({"number", "time"}));
    TRY(const std::uint64_t at, number(*item, "number"));
    TRY(out.times[at], time(*item, "time"));
  }
  TRY(const JsonValue transactions, root.get("transactions"));
  for (auto item = transactions.first(); item; item = item->next()) {
    TRY_OK(item->only({"hash", "input"}));
    TRY(const auto hash, fixed<32>(*item, "hash"));
    TRY(const JsonValue input, item->get("input"));
    TRY(out.inputs[hash], chain::parse_data(input, "input"));
  }
  return base::done();
}

}  // namespace

std::string KeyManagerHistory::to_json() const {
  base::JsonOutArray log_list, block_list, transaction_list;
  for (const auto& log : logs) log_list.push_back(log_json(log));
  for (const auto& [block, when] : times) {
    block_list.emplace_back(base::JsonOutObject{{"number", block}, {"time", base::to_rfc3339(when)}});
  }
  for (const auto& [hash, input] : inputs) {
    transaction_list.emplace_back(
        base::JsonOutObject{{"hash", chain::hex_data(hash)}, {"input", chain::hex_data(input)}});
  }
  base::JsonOutObject out{{"version", kVersion},
                          {"chain_id", contract.chain_id},
                          {"contract", chain::hex_data(contract.address)},
                          {"head", base::JsonOutObject{{"number", head.number},
                                                       {"hash", chain::hex_data(head.hash)},
                                                       {"time", base::to_rfc3339(head.time)}}},
                          {"at", base::to_rfc3339(at)},
                          {"code_sha256", code ? base::JsonOut{base::hex(*code)} : base::JsonOut{}},
                          {"xPub", chain::hex_data(key)},
                          {"epoch", std::uint64_t{epoch}},
                          {"logs", std::move(log_list)},
                          {"blocks", std::move(block_list)},
                          {"transactions", std::move(transaction_list)}};
  return base::JsonOut{std::move(out)}.pretty() + "\n";
}

Result<KeyManagerHistory> KeyManagerHistory::parse(std::string text) {
  base::JsonLimits limits;
  limits.max_bytes = kMaxBytes;
  limits.max_nodes = kMaxNodes;
  TRY(const auto document, base::JsonDocument::parse(std::move(text), limits));
  const JsonValue root = document->root();
  TRY_OK(root.only({"version", "chain_id", "contract", "head", "at", "code_sha256", "xPub", "epoch", "logs", "blocks",
                    "transactions"}));
  TRY(const JsonValue version, root.get("version"));
  TRY_OK(version.integer("version", kFirstVersion, kVersion));
  KeyManagerHistory out;
  if (const auto code = root.find("code_sha256"); code && !code->is_null()) {
    TRY(const std::string digits, code->string("code_sha256"));
    out.code.emplace();
    TRY_OK(base::hex_decode_into(digits, *out.code), "code_sha256");
  }
  TRY(out.contract.chain_id, number(root, "chain_id"));
  TRY(out.contract.address, fixed<20>(root, "contract"));
  TRY(const JsonValue head, root.get("head"));
  TRY(out.head.number, number(head, "number"));
  TRY(out.head.hash, fixed<32>(head, "hash"));
  TRY(out.head.time, time(head, "time"));
  TRY(out.at, time(root, "at"));
  TRY(out.key, fixed<20>(root, "xPub"));
  TRY(const std::uint64_t epoch, number(root, "epoch"));
  out.epoch = static_cast<chain::keymanager::Epoch>(epoch);
  TRY_OK(read_logs(root, out));
  TRY_OK(read_blocks(root, out));
  return out;
}

}  // namespace attestry::provision
