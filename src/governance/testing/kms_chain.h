// A chain on which one contract of a key service stands, as tests set it: for this room and those above.
#pragma once
#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "chain/registry_abi.h"
#include "crypto/hash.h"
#include "governance/kms_contract.h"

namespace attestry::governance::testing {

inline ContractAddress address_of(std::uint8_t byte) {
  ContractAddress out;
  out.fill(byte);
  return out;
}
inline const ContractAddress kKms = address_of(0xa5);

class KmsChain final : public chain::ChainReader {
 public:
  base::Result<chain::BlockRef> head(base::Deadline) override { return known_head(); }
  base::Result<chain::BlockRef> known_head() const override {
    if (away) return base::Error{base::Code::unavailable, "no quorum"};
    return chain::BlockRef{.number = height, .hash = crypto::sha256(base::as_bytes("block")), .time = {}};
  }
  base::Result<std::vector<chain::CallOutcome>> call(const chain::BlockRef&, std::span<const chain::Call> calls,
                                                     base::Deadline) override {
    std::vector<chain::CallOutcome> out;
    for (const auto& one : calls) out.push_back(one.to == kKms ? answer(one) : Outcome{});
    ++batches;
    if (after_batch) after_batch(batches);
    return out;
  }

  std::size_t batches = 0;
  std::function<void(std::size_t)> after_batch;  ///< changes the chain behind the batch of that number, from 1
  bool away = false;
  std::uint64_t height = 100;
  bool frozen = false;
  bool another_kind = false;  ///< a contract that knows none of the functions
  std::set<ContractAddress> applications, operators;
  std::set<base::Digest32> identities;
  std::map<base::Digest32, OnboardRequest> requests;
  chain::registry::AppPki pki;
  chain::Word policy{}, application_policy{};

 private:
  using Outcome = chain::CallOutcome;
  static Outcome revert(std::string reason) {
    return {.reverted = true, .data = base::Bytes(4, 1), .reason = std::move(reason)};
  }
  /// Whether `one` is this function with these arguments.
  static bool is(const chain::Call& one, const auto& function, const auto&... arguments) {
    return one.data == function.at(one.to, arguments...).data;
  }
  static base::Digest32 word_of(const chain::Call& one, std::size_t index) {
    base::Digest32 out{};
    std::ranges::copy(base::ByteView{one.data}.subspan(4 + 32 * index, 32), out.begin());
    return out;
  }
  static ContractAddress address_in(const chain::Call& one, std::size_t index) {
    ContractAddress out{};
    const auto word = word_of(one, index);
    std::copy(word.begin() + 12, word.end(), out.begin());
    return out;
  }

  Outcome answer(const chain::Call& one) const {
    namespace abi = chain::registry;
    if (another_kind) return {.reverted = true};
    if (is(one, abi::kPolicy)) return {.data = abi::kPolicy.encode_result(policy)};
    if (is(one, abi::kPki)) return {.data = abi::kPki.encode_result(pki)};
    if (one.data.size() == 36) {
      const auto word = word_of(one, 0);
      const auto account = address_in(one, 0);
      if (frozen) return revert("Contract is frozen");
      if (is(one, abi::kApplicationAllowed, account))
        return {.data = abi::kApplicationAllowed.encode_result(applications.contains(account))};
      if (is(one, abi::kApplicationPolicy, account))
        return {.data = abi::kApplicationPolicy.encode_result(application_policy)};
      if (is(one, abi::kFetchOnboardRequest, word)) {
        const auto found = requests.find(word);
        return {.data = abi::kFetchOnboardRequest.encode_result(found == requests.end() ? OnboardRequest{}
                                                                                        : found->second)};
      }
    }
    if (one.data.size() == 68) {
      const auto word = word_of(one, 0);
      const auto account = address_in(one, 1);
      if (is(one, abi::kHasRole, abi::role("ROLE_OPERATOR"), account))
        return {.data = abi::kHasRole.encode_result(operators.contains(account))};
      if (is(one, abi::kIdentityAllowed, word, account)) {
        if (!operators.contains(account)) return revert("Operator not authorized");
        return {.data = abi::kIdentityAllowed.encode_result(identities.contains(word))};
      }
    }
    return {.reverted = true};
  }
};

}  // namespace attestry::governance::testing
