#include "chain/internal/ballots.h"

#include <algorithm>
#include <map>

#include "base/encoding.h"
#include "curves/keccak.h"

namespace attestry::chain::internal {
namespace {

using base::Code;
using base::Error;
using base::JsonValue;
using base::Result;

constexpr std::size_t kMaxCandidates = 4;
constexpr std::size_t kMaxShown = 200;

Error away(std::string what) { return {Code::unavailable, std::move(what)}; }

Result<JsonValue> value_of(const RpcAnswer& answer) {
  if (answer.error) return away("the node says: " + answer.error->message.substr(0, kMaxShown));
  return *answer.result;
}

std::string tag(const Finality& finality) { return finality.kind == Finality::Kind::safe ? "safe" : "finalized"; }

bool by_tag(const Finality& finality) { return finality.kind != Finality::Kind::depth; }

}  // namespace

// -- blocks

Result<SeenBlock> read_block(const RpcAnswer& answer) {
  TRY(const JsonValue block, value_of(answer));
  if (block.is_null()) return away("the node does not have the block");
  SeenBlock out;
  TRY(const JsonValue number, block.get("number"));
  TRY(out.ref.number, parse_quantity(number, "number"));
  TRY(const JsonValue hash, block.get("hash"));
  TRY(out.ref.hash, parse_hash(hash, "hash"));
  TRY(const JsonValue parent, block.get("parentHash"));
  TRY(out.parent, parse_hash(parent, "parentHash"));
  TRY(const JsonValue time, block.get("timestamp"));
  TRY(const std::uint64_t seconds, parse_quantity(time, "timestamp"));
  constexpr std::uint64_t kMostSeconds = 1ULL << 40;
  if (seconds > kMostSeconds) return away("the node's block has an impossible time");
  out.ref.time.seconds = static_cast<std::int64_t>(seconds);
  return out;
}

std::vector<RpcRequest> head_requests(const Finality& finality) {
  std::vector<RpcRequest> requests{{"eth_chainId", {}}, {"eth_getBlockByNumber", {"latest", false}}};
  if (by_tag(finality)) requests.push_back({"eth_getBlockByNumber", {tag(finality), false}});
  return requests;
}

Result<HeadBallot> read_head(const RpcAnswers& answers, const Finality& finality, std::uint64_t chain_id) {
  TRY(const JsonValue id, value_of(answers.answers[0]));
  TRY(const std::uint64_t found, parse_quantity(id, "chain id"));
  if (found != chain_id) {
    return Error{.code = Code::configuration,
                 .what = "the endpoint serves another chain",
                 .expected = std::to_string(chain_id),
                 .found = std::to_string(found)};
  }
  HeadBallot out;
  TRY(out.newest, read_block(answers.answers[1]), "latest");
  out.final_block = out.newest;
  if (by_tag(finality)) {
    TRY(out.final_block, read_block(answers.answers[2]), tag(finality));
  }
  return out;
}

std::uint64_t final_number(const HeadBallot& ballot, const Finality& finality) {
  if (by_tag(finality)) return ballot.final_block.ref.number;
  const std::uint64_t newest = ballot.newest.ref.number;
  return newest - std::min(newest, finality.depth);
}

std::optional<std::uint64_t> reached(std::vector<std::uint64_t> numbers, std::size_t quorum) {
  if (quorum == 0 || numbers.size() < quorum) return std::nullopt;
  std::ranges::sort(numbers, std::greater{});
  return numbers[quorum - 1];
}

std::vector<std::uint64_t> candidates(const HeadBallots& ballots, std::size_t quorum, const Finality& finality,
                                      std::uint64_t floor) {
  std::vector<std::uint64_t> numbers;
  for (const auto& ballot : ballots) {
    if (ballot && ballot->ok()) numbers.push_back(final_number(**ballot, finality));
  }
  std::ranges::sort(numbers, std::greater{});
  std::vector<std::uint64_t> out;
  for (std::size_t i = quorum - 1; i < numbers.size() && out.size() < kMaxCandidates; ++i) {
    if (numbers[i] < floor || (!out.empty() && out.back() == numbers[i])) continue;
    out.push_back(numbers[i]);
  }
  return out;
}

std::optional<BlockRef> newest_of(const HeadBallots& ballots, std::size_t quorum) {
  std::vector<std::uint64_t> numbers;
  std::vector<std::uint64_t> times;
  std::map<base::Digest32, std::size_t> votes;
  for (const auto& ballot : ballots) {
    if (!ballot || !ballot->ok()) continue;
    const BlockRef& newest = (*ballot)->newest.ref;
    numbers.push_back(newest.number);
    times.push_back(static_cast<std::uint64_t>(newest.time.seconds));
    ++votes[newest.hash];
  }
  const auto number = reached(std::move(numbers), quorum);
  const auto time = reached(std::move(times), quorum);
  if (!number || !time) return std::nullopt;
  BlockRef out{.number = *number, .hash = {}, .time = {static_cast<std::int64_t>(*time)}};
  for (const auto& [hash, count] : votes) {
    if (count >= quorum) out.hash = hash;
  }
  return out;
}

std::vector<RpcRequest> block_requests(std::span<const std::uint64_t> numbers) {
  std::vector<RpcRequest> requests;
  for (const std::uint64_t number : numbers) {
    requests.push_back({"eth_getBlockByNumber", {quantity(number), false}});
  }
  return requests;
}

Result<BlocksBallot> read_blocks(const RpcAnswers& answers, std::span<const std::uint64_t> numbers) {
  BlocksBallot out;
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const RpcAnswer& answer = answers.answers[i];
    if (answer.error || answer.result->is_null()) {
      out.emplace_back();  // it does not have the block
      continue;
    }
    TRY(const SeenBlock block, read_block(answer));
    if (block.ref.number != numbers[i]) return away("the node answers with another block than was asked for");
    out.emplace_back(block);
  }
  return out;
}

Elected elect(const BlocksBallots& ballots, std::size_t place, std::size_t quorum, const std::vector<bool>& may_vote) {
  std::vector<std::pair<SeenBlock, std::size_t>> votes;
  for (std::size_t i = 0; i < ballots.size(); ++i) {
    const bool counts = may_vote.empty() || may_vote[i];
    if (!counts || !ballots[i] || !ballots[i]->ok()) continue;
    const auto& block = (**ballots[i])[place];
    if (!block) continue;
    const auto known = std::ranges::find_if(votes, [&](const auto& vote) { return vote.first == *block; });
    if (known == votes.end()) {
      votes.emplace_back(*block, 1);
    } else {
      ++known->second;
    }
  }
  Elected out;
  for (const auto& [block, count] : votes) {
    if (count >= quorum) {
      out.split = out.split || out.block;
      out.block = block;
    }
    out.votes = std::max(out.votes, count);
  }
  if (out.split) out.block.reset();
  return out;
}

// -- calls

base::JsonOut block_parameter(const BlockRef& at, bool by_number) {
  if (by_number) return quantity(at.number);
  return base::JsonOutObject{{"blockHash", hex_data(at.hash)}, {"requireCanonical", true}};
}

std::vector<RpcRequest> call_requests(const BlockRef& at, std::span<const Call> calls, bool by_number) {
  std::vector<RpcRequest> requests;
  for (const Call& call : calls) {
    requests.push_back({"eth_call",
                        {base::JsonOutObject{{"to", hex_data(call.to)}, {"data", hex_data(call.data)}},
                         block_parameter(at, by_number)}});
  }
  // Without the hash in the question, the block is compared in the same batch.
  if (by_number) requests.push_back({"eth_getBlockByNumber", {quantity(at.number), false}});
  return requests;
}

Result<CallsBallot> read_calls(const RpcAnswers& answers, const BlockRef& at, bool by_number) {
  std::span<const RpcAnswer> calls{answers.answers};
  if (by_number) {
    TRY(const SeenBlock block, read_block(calls.back()));
    if (block.ref.hash != at.hash) return away("the node has another block at this number");
    calls = calls.first(calls.size() - 1);
  }
  CallsBallot out;
  std::optional<Error> first;
  std::size_t present = 0;
  for (const RpcAnswer& answer : calls) {
    std::optional<CallOutcome> outcome;
    if (answer.error) {
      outcome = revert_of(*answer.error);
      if (!outcome && !first) first = away("the node says: " + answer.error->message.substr(0, kMaxShown));
    } else {
      auto data = parse_data(*answer.result, "result");
      if (!data.ok()) return away(data.error().what);
      outcome = CallOutcome{.reverted = false, .data = *std::move(data), .reason = {}};
    }
    if (outcome) ++present;
    out.push_back(std::move(outcome));
  }
  if (present == 0 && first) return *first;
  return out;
}

bool refuses_block_hash(const RpcAnswers& answers) {
  constexpr std::int64_t kInvalidParams = -32602;
  return std::ranges::all_of(answers.answers,
                             [](const RpcAnswer& a) { return a.error && a.error->code == kInvalidParams; });
}

std::optional<CallOutcome> count(const CallsBallots& ballots, std::size_t place, std::size_t quorum, bool ended) {
  std::vector<std::pair<const CallOutcome*, std::size_t>> votes;
  std::size_t reverts = 0;
  for (const auto& ballot : ballots) {
    if (!ballot || !ballot->ok() || !(**ballot)[place]) continue;
    const CallOutcome& outcome = *(**ballot)[place];
    if (outcome.reverted) ++reverts;
    auto known = std::ranges::find_if(votes, [&](const auto& vote) {
      return vote.first->reverted == outcome.reverted && vote.first->data == outcome.data;
    });
    if (known == votes.end()) known = votes.insert(votes.end(), {&outcome, 0});
    if (++known->second == quorum) return *known->first;
  }
  if (ended && reverts >= quorum) {
    return CallOutcome{.reverted = true, .data = {}, .reason = "the endpoints name different reasons"};
  }
  return std::nullopt;
}

// -- logs

std::vector<RpcRequest> touched_requests(const BlockRef& from, const BlockRef& to, std::span<const Address> addresses,
                                         std::span<const Address> strangers) {
  base::JsonOutArray asked;
  for (const Address& address : addresses) asked.emplace_back(hex_data(address));
  // The block first: a node that has it only from the second answer on would say that nothing happened in it.
  std::vector<RpcRequest> requests{{"eth_getBlockByNumber", {quantity(to.number), false}},
                                   {"eth_getLogs",
                                    {base::JsonOutObject{{"fromBlock", quantity(from.number + 1)},
                                                         {"toBlock", quantity(to.number)},
                                                         {"address", std::move(asked)}}}}};
  for (const Address& address : strangers) {
    requests.push_back({"eth_getCode", {hex_data(address), quantity(to.number)}});
  }
  return requests;
}

namespace {

base::Status read_logs(const JsonValue& logs, const BlockRef& from, const BlockRef& to,
                       std::span<const Address> addresses, std::set<Address>& touched) {
  if (!logs.is_array()) return away("the node's logs are no array");
  for (auto log = logs.first(); log; log = log->next()) {
    TRY(const JsonValue where, log->get("address"));
    TRY(const Address address, parse_address(where, "address"));
    TRY(const JsonValue when, log->get("blockNumber"));
    TRY(const std::uint64_t number, parse_quantity(when, "blockNumber"));
    const bool asked = std::ranges::find(addresses, address) != addresses.end();
    if (!asked || number <= from.number || number > to.number) return away("the node gives logs that nobody asked for");
    touched.insert(address);
  }
  return base::done();
}

}  // namespace

Result<TouchedBallot> read_touched(const RpcAnswers& answers, const BlockRef& from, const BlockRef& to,
                                   std::span<const Address> addresses, std::span<const Address> strangers) {
  constexpr std::size_t kCodes = 2;  // their first place
  TRY(const SeenBlock block, read_block(answers.answers[0]));
  if (block.ref != to) return away("the node has another block at this number");
  TouchedBallot out;
  if (const auto& refusal = answers.answers[1].error) {
    out.no_logs = "the node says: " + refusal->message.substr(0, kMaxShown);
  } else {
    TRY_OK(read_logs(*answers.answers[1].result, from, to, addresses, out.touched));
  }
  for (std::size_t i = 0; i < strangers.size(); ++i) {
    const RpcAnswer& answer = answers.answers[kCodes + i];
    if (answer.error) continue;  // it votes on the logs all the same
    TRY(const base::Bytes code, parse_data(*answer.result, "code"));
    if (!code.empty()) out.codes.emplace(strangers[i], curves::keccak256(code));
  }
  return out;
}

}  // namespace attestry::chain::internal
