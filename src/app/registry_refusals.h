// Why a contract refuses a transaction, in words that say who would be needed.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "chain/rpc.h"
#include "curves/address.h"

namespace attestry::app {

/// What is known of a transaction that was refused.
struct RefusedCall {
  std::string_view function;  ///< its signature
  curves::Address sender{};
  std::uint64_t chain_id = 0;
  std::optional<curves::Address> owner{}, pending_owner{};  ///< of the contract
};
/// The error with a remedy for its reason (`found`); the account to fund where it cannot pay; others as they are.
base::Error explain_refusal(base::Error error, const RefusedCall& call);

/// Nothing stands at this address at this block.
base::Error no_contract_at(const curves::Address& contract, std::uint64_t chain_id, const chain::BlockRef& at,
                           std::string_view finality, std::optional<std::uint64_t> newest);

}  // namespace attestry::app
