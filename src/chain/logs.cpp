#include "chain/logs.h"

#include <algorithm>

#include "chain/internal/quorum_impl.h"
#include "chain/json_rpc.h"

namespace attestry::chain {

using base::Code;
using base::Error;
using base::JsonValue;
using base::Result;

namespace {

constexpr std::uint64_t kMaxRange = 2000;    // blocks in one question: hosted nodes take 2,000 to 10,000
constexpr std::size_t kMaxLogs = 1'000'000;  // of one answer of ours
constexpr std::size_t kMaxTopics = 4;

/// What one endpoint says of one range: its logs, or that it gives none for so many blocks.
struct LogsBallot {
  std::vector<LogRecord> logs{};
  std::string refusal{};
};
using LogsBallots = internal::Round<LogsBallot>::Ballots;

std::vector<RpcRequest> requests_for(const LogFilter& filter, std::uint64_t from, std::uint64_t to) {
  base::JsonOutObject asked{
      {"fromBlock", quantity(from)}, {"toBlock", quantity(to)}, {"address", hex_data(filter.address)}};
  if (!filter.events.empty()) {
    base::JsonOutArray events;
    for (const auto& event : filter.events) events.emplace_back(hex_data(event));
    asked.emplace_back("topics", base::JsonOutArray{base::JsonOut{std::move(events)}});
  }
  // The block first: a node that has it only from the second answer on would say that nothing happened in it.
  return {{"eth_getBlockByNumber", {quantity(to), false}}, {"eth_getLogs", {base::JsonOut{std::move(asked)}}}};
}

base::Status check_asked(const LogRecord& log, const LogFilter& filter, std::uint64_t from, std::uint64_t to) {
  const bool of_event =
      filter.events.empty() ||
      (!log.topics.empty() && std::ranges::find(filter.events, log.topics.front()) != filter.events.end());
  if (log.address == filter.address && log.block >= from && log.block <= to && of_event) return base::done();
  return Error{Code::unavailable, "the node gives logs that nobody asked for"};
}

Result<LogsBallot> read_ballot(const RpcAnswers& answers, const LogFilter& filter, std::uint64_t from,
                               std::uint64_t to) {
  const auto& block = answers.answers[0].result;
  if (!block || block->is_null()) {
    return Error{Code::unavailable, "the node does not have block " + std::to_string(to)};
  }
  LogsBallot out;
  if (const auto& refusal = answers.answers[1].error) {
    out.refusal = shown(refusal->message);
    return out;
  }
  const JsonValue logs = *answers.answers[1].result;
  if (!logs.is_array()) return Error{Code::unavailable, "the node's logs are no array"};
  for (auto item = logs.first(); item; item = item->next()) {
    TRY(LogRecord log, read_log(*item));
    TRY_OK(check_asked(log, filter, from, to));
    out.logs.push_back(std::move(log));
  }
  const auto place = [](const LogRecord& log) { return std::pair{log.block, log.index}; };
  std::ranges::sort(out.logs, {}, place);
  if (std::ranges::adjacent_find(out.logs, {}, place) != out.logs.end()) {
    return Error{Code::unavailable, "the node gives a log twice"};
  }
  return out;
}

std::optional<std::vector<LogRecord>> elected(const LogsBallots& ballots, std::size_t quorum) {
  for (const auto& mine : ballots) {
    if (!mine || !mine->ok() || !(**mine).refusal.empty()) continue;
    const auto same = std::ranges::count_if(ballots, [&mine](const auto& other) {
      return other && other->ok() && (**other).refusal.empty() && (**other).logs == (**mine).logs;
    });
    if (static_cast<std::size_t>(same) >= quorum) return (**mine).logs;
  }
  return std::nullopt;
}

}  // namespace

Result<LogRecord> read_log(const JsonValue& value) {
  LogRecord out;
  TRY(const JsonValue address, value.get("address"));
  TRY(out.address, parse_address(address, "address"));
  TRY(const JsonValue topics, value.get("topics"));
  for (auto topic = topics.first(); topic; topic = topic->next()) {
    if (out.topics.size() == kMaxTopics) return Error{Code::malformed, "JSON-RPC: a log with more than four topics"};
    TRY(const auto hash, parse_hash(*topic, "topic"));
    out.topics.push_back(hash);
  }
  TRY(const JsonValue data, value.get("data"));
  TRY(out.data, parse_data(data, "data"));
  TRY(const JsonValue number, value.get("blockNumber"));
  TRY(out.block, parse_quantity(number, "blockNumber"));
  TRY(const JsonValue block, value.get("blockHash"));
  TRY(out.block_hash, parse_hash(block, "blockHash"));
  TRY(const JsonValue transaction, value.get("transactionHash"));
  TRY(out.transaction, parse_hash(transaction, "transactionHash"));
  TRY(const JsonValue index, value.get("logIndex"));
  TRY(out.index, parse_quantity(index, "logIndex"));
  const auto removed = value.find("removed");
  if (removed && removed->boolean("removed").value_or(true)) {
    return Error{Code::malformed, "JSON-RPC: a log that was taken back"};
  }
  return out;
}

/// One range. A refusal of all that answer, where no quorum has logs, is `too_large`: the caller asks for less.
Result<std::vector<LogRecord>> QuorumReader::Impl::logs_between(const LogFilter& filter, std::uint64_t from,
                                                                std::uint64_t to, base::Deadline deadline) {
  const auto round = std::make_shared<internal::Round<LogsBallot>>(endpoints_.size(), round_deadline(Asker::release));
  start<LogsBallot>(Asker::release, round,
                    [filter, from, to](std::size_t, Endpoint& endpoint, base::Deadline until) -> Result<LogsBallot> {
                      TRY(const RpcAnswers answers, endpoint.batch(requests_for(filter, from, to), until));
                      return read_ballot(answers, filter, from, to);
                    });
  auto decided =
      round->wait(deadline, [quorum = quorum_](const LogsBallots& ballots, bool) { return elected(ballots, quorum); });
  if (decided) return *std::move(decided);
  const auto ballots = round->look([](const LogsBallots& b) { return b; });
  const auto refused =
      std::ranges::find_if(ballots, [](const auto& b) { return b && b->ok() && !(**b).refusal.empty(); });
  if (refused != ballots.end()) return Error{.code = Code::too_large, .what = "logs", .found = (***refused).refusal};
  return no_quorum("no quorum agrees on the logs of the blocks " + std::to_string(from) + " to " + std::to_string(to),
                   troubles<LogsBallot>(ballots));
}

Result<std::vector<LogRecord>> QuorumReader::Impl::logs(const LogFilter& filter, base::Deadline deadline) {
  if (auto error = alarm()) return *std::move(error);
  std::vector<LogRecord> out;
  std::uint64_t range = kMaxRange;
  for (std::uint64_t from = filter.from; from <= filter.to;) {
    if (options_.clock->steady() >= deadline) return Error{Code::deadline_exceeded, "chain: logs took too long"};
    const std::uint64_t to = std::min(filter.to, from + range - 1);
    auto part = logs_between(filter, from, to, deadline);
    if (!part.ok() && part.error().code == Code::too_large) {
      if (range > 1) {
        range /= 4;
        range = std::max<std::uint64_t>(range, 1);
        continue;
      }
      return no_quorum("endpoints refuse the logs of a single block", part.error().found);
    }
    TRY_OK(part);
    if (out.size() + part->size() > kMaxLogs) return Error{Code::too_large, "chain: more than a million logs"};
    std::ranges::move(*part, std::back_inserter(out));
    from = to + 1;
  }
  return out;
}

Result<std::vector<LogRecord>> QuorumReader::logs(const LogFilter& filter, base::Deadline deadline) {
  return impl_->logs(filter, deadline);
}

}  // namespace attestry::chain
