// Registry contracts' artifacts behind a ChainReader: keyed by their hash, at most 20 KiB, reverting as the contract
// does.
#pragma once
#include "blobs/testing/support.h"
#include "chain/registry_abi.h"
#include "chain/rpc.h"

namespace attestry::blobs::testing {

class ChainStandIn final : public chain::ChainReader {
 public:
  std::map<chain::Address, std::map<base::Digest32, base::Bytes>>
      artifacts{};  ///< a contract is there once it has an entry
  std::atomic<bool> down{false};
  std::atomic<int> batches{0};
  std::atomic<int> transactions{0};

  base::Result<chain::BlockRef> head(base::Deadline) override {
    if (down) return base::Error{base::Code::unavailable, "no quorum of the chain's endpoints agrees"};
    return chain::BlockRef{.number = 7, .hash = {}, .time = kTime};
  }

  base::Result<chain::BlockRef> known_head() const override {
    return chain::BlockRef{.number = 7, .hash = {}, .time = kTime};
  }

  base::Result<std::vector<chain::CallOutcome>> call(const chain::BlockRef&, std::span<const chain::Call> calls,
                                                     base::Deadline) override {
    ++batches;
    std::vector<chain::CallOutcome> out;
    for (const auto& one : calls) out.push_back(answer(one));
    return out;
  }

  base::Status send(const chain::Address& contract, const base::Bytes& data) {
    ++transactions;
    const auto arguments = chain::registry::kAddArtifact.arguments(data);
    if (!arguments) return base::Error{base::Code::denied, "execution reverted"};
    const auto& bytes = std::get<0>(*arguments);
    if (bytes.size() > chain::registry::kMaxArtifactBytes) {
      return base::Error{base::Code::denied, "execution reverted: Artifact too large"};
    }
    artifacts[contract][crypto::sha256(bytes)] = bytes;
    return base::done();
  }

 private:
  chain::CallOutcome answer(const chain::Call& one) const {
    const auto contract = artifacts.find(one.to);
    if (contract == artifacts.end()) return {};  // no code there: success and no bytes
    if (base::equal(one.data, chain::registry::kStorageBackends())) {
      return {.reverted = false, .data = chain::registry::kStorageBackends.encode_result({}), .reason = {}};
    }
    const auto arguments = chain::registry::kGetArtifact.arguments(one.data);
    if (!arguments) return {.reverted = true, .data = {}, .reason = "unknown selector"};
    const auto found = contract->second.find(std::get<0>(*arguments));
    if (found == contract->second.end()) return {.reverted = true, .data = {}, .reason = "Artifact does not exist"};
    return {.reverted = false, .data = chain::registry::kGetArtifact.encode_result(found->second), .reason = {}};
  }
};

}  // namespace attestry::blobs::testing
