#include "governance/chain_answer.h"

#include "base/encoding.h"
#include "base/log.h"

namespace attestry::governance {

std::string block_snapshot(std::uint64_t chain_id, const chain::BlockRef& block) {
  return "evm:" + std::to_string(chain_id) + "@" + std::to_string(block.number) + ":0x" + base::hex(block.hash);
}

base::Status answer_counts(const AskedAt& asked, const chain::ChainReader& reader, base::Deadline now) {
  TRY(const chain::BlockRef newest, reader.known_head());
  if (newest.number <= asked.block + kMaxBlocksBehind || now - asked.when <= kMaxAnswerAge) return base::done();
  return base::Error{base::Code::conflict, "the chain moved on while this was decided",
                     "at most " + std::to_string(kMaxBlocksBehind) + " blocks since " + std::to_string(asked.block),
                     "block " + std::to_string(newest.number), "Try again."};
}

base::Error disproved(const base::FixedBytes<20>& contract, const chain::BlockRef& block, std::string proved) {
  base::log(base::LogLevel::error, "chain.answers_disproved",
            {{"contract", "0x" + base::hex(contract)}, {"block", std::to_string(block.number)}, {"proved", proved}});
  return {base::Code::unavailable, "chain: the endpoints' answers are not what the block proves", std::move(proved),
          "another answer at block " + std::to_string(block.number),
          "As many endpoints as the quorum answer falsely: do not use them (registry.rpc)."};
}

}  // namespace attestry::governance
