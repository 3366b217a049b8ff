#include "app/registry_refusals.h"

#include <algorithm>

#include "chain/registry_abi.h"

namespace attestry::app {

using base::Code;
using base::Error;
namespace abi = chain::registry;

namespace {

std::string named(std::string_view who, const std::optional<curves::Address>& account) {
  return std::string{who} + (account ? ", " + curves::address_checksum_text(*account) : std::string{});
}

/// Who may call it; the owner, as far as nobody else is named here (contracts/Governed.sol, Discovery.sol).
std::string who_may(const RefusedCall& call) {
  if (call.function == abi::kFreeze.signature)
    return named("the owner", call.owner) + ", or an account with the role guardian";
  if (call.function == abi::kAcceptOwnership.signature) {
    const bool offered = call.pending_owner && *call.pending_owner != curves::Address{};
    return offered ? named("the account that the contract was offered to", call.pending_owner)
                   : "an offer first (attestry registry owner transfer)";
  }
  if (call.function == abi::kAddArtifact.signature) return "an account with the role metadata";
  if (call.function == abi::kRegisterInstanceDomainName.signature) return "an account with the role operator";
  if (call.function == abi::kRemoveInstanceDomainName.signature) {
    return named("the owner", call.owner) + ", or the operator who registered the name";
  }
  return named("the owner", call.owner);
}

std::string remedy_of(const std::string& reason, const RefusedCall& call) {
  constexpr std::string_view kUnauthorized[] = {"OwnableUnauthorizedAccount", "AccessControlUnauthorizedAccount"};
  if (std::ranges::find(kUnauthorized, reason) != std::end(kUnauthorized)) {
    return "This needs " + who_may(call) + "; the key is that of " + curves::address_checksum_text(call.sender) +
           ". `attestry registry show --account ADDRESS` says who may what.";
  }
  if (reason == "Contract is frozen") {
    return "Nothing but the owner's own changes until " + named("the owner", call.owner) +
           " lifts the freeze: attestry registry unfreeze.";
  }
  if (reason == "AdminFollowsOwnership") return "The admin is the owner: attestry registry owner transfer.";
  if (reason == "Domain name of another operator") {
    return "Only who registered the name removes it, or " + named("the owner", call.owner) + ".";
  }
  if (reason == "Too many entries") return "Remove some that are not in use: attestry registry show lists them.";
  return "That is the contract's own word for it; nothing changed. `attestry registry show` tells its state.";
}

bool cannot_pay(const Error& error) {
  std::string text = error.what + " " + error.found;
  std::ranges::transform(text, text.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return text.find("insufficient funds") != std::string::npos;
}

}  // namespace

Error explain_refusal(Error error, const RefusedCall& call) {
  if (cannot_pay(error)) {
    const std::string account = curves::address_checksum_text(call.sender);
    return {Code::denied, "the account cannot pay for the transaction",
            "enough for its gas on chain " + std::to_string(call.chain_id), error.found,
            "Send some to " + account + "; nothing was changed."};
  }
  if (error.code == Code::denied && error.remedy.empty()) error.remedy = remedy_of(error.found, call);
  return error;
}

Error no_contract_at(const curves::Address& contract, std::uint64_t chain_id, const chain::BlockRef& at,
                     std::string_view finality, std::optional<std::uint64_t> newest) {
  std::string found = "no code at block " + std::to_string(at.number) + " (" + std::string{finality} + ")";
  if (newest) found += "; the newest is " + std::to_string(*newest);
  return {Code::not_found, "no contract at " + curves::address_checksum_text(contract),
          "a contract on chain " + std::to_string(chain_id), std::move(found),
          "Check --contract and --chain-id. One that was deployed a moment ago is there when its block is final."};
}

}  // namespace attestry::app
