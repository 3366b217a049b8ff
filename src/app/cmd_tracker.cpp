// `attestry tracker`: the contracts with which a tracker's reputations outlive it (`bench`: cmd_tracker_bench.cpp).
#include <CLI/CLI.hpp>
#include <array>
#include <limits>
#include <memory>
#include <ostream>

#include "app/keymanager_commands.h"
#include "app/tracker_commands.h"
#include "app/typed_text.h"
#include "base/encoding.h"
#include "chain/abi.h"
#include "crypto/hash.h"
#include "tracker/reputation_contract.h"

namespace attestry::app {
namespace {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
namespace abi = tracker::reputation;

constexpr std::uint32_t kDay = 86'400;

struct Options : KeyManagerOptions {
  std::string governance;
  std::uint32_t delay = 7 * kDay;
};

std::string text_of(const curves::Address& address) { return curves::address_checksum_text(address); }

/// That the endpoints say what was sent: the factory's code with its two immutable values, and the code that all its
/// reputations run, which its constructor has made.
Status check_factory(ChainSession& session, const chain::Receipt& receipt, const curves::Address& governance,
                     std::uint32_t delay) {
  const curves::Address& factory = *receipt.contract;
  const std::array calls{abi::kGovernance.at(factory), abi::kRecoveryDelay.at(factory),
                         abi::kImplementation.at(factory)};
  TRY(const auto outcomes, session.reader().call(receipt.block, calls, session.deadline()));
  TRY(const auto said_governance, abi::kGovernance.result(outcomes[0]));
  TRY(const auto said_delay, abi::kRecoveryDelay.result(outcomes[1]));
  TRY(const auto implementation, abi::kImplementation.result(outcomes[2]));
  if (said_governance != governance || said_delay != delay) {
    return Error{Code::denied, "the factory has another governance or delay than was sent",
                 text_of(governance) + ", " + std::to_string(delay),
                 text_of(said_governance) + ", " + std::to_string(said_delay), "Do not use it; ask another endpoint."};
  }
  const auto compare = [&](ContractKind kind, const curves::Address& at,
                           std::span<const chain::Word> immutables) -> Status {
    TRY(const auto known, contract_code(kind));
    TRY(const auto found, session.code(at, receipt.block), "deployed code");
    if (is_code_with(known, found, immutables)) return base::done();
    return Error{Code::denied, "what stands on the chain is not what was sent: " + std::string{to_text(kind)},
                 "the code of this program", base::hex(crypto::sha256(found)) + " at " + text_of(at),
                 "Do not use this contract; ask another endpoint."};
  };
  TRY_OK(compare(ContractKind::reputation_factory, factory,
                 std::array<chain::Word, 2>{chain::to_word(implementation), chain::to_word(std::uint64_t{delay})}));
  return compare(ContractKind::reputation, implementation, std::array<chain::Word, 1>{chain::to_word(factory)});
}

Result<int> deploy(Context& context, const Options& options) {
  TRY(const auto governance, typed_address(options.governance), "--governance");
  TRY(const auto code, contract_code(ContractKind::reputation_factory));
  base::Bytes data = code.creation;
  base::append(data, chain::to_word(governance));
  base::append(data, chain::to_word(std::uint64_t{options.delay}));
  TRY(const auto session, ChainSession::open(options.chain, context));
  TRY(const Sent sent,
      session->send(std::nullopt, data,
                    {{"creates", "factory of reputations, and the code that they run"},
                     {"governance", text_of(governance) + ", which attests owners and recovers reputations"},
                     {"delay", std::to_string(options.delay) + " seconds of a recovery"},
                     {"code", std::to_string(code.creation.size()) + " bytes, SHA-256 " +
                                  base::hex(crypto::sha256(code.creation))}}));
  base::JsonOutObject extra{{"kind", "reputation factory"}};
  std::string address;
  if (sent.receipt) {
    if (!sent.receipt->contract) return Error{Code::unavailable, "the receipt names no contract"};
    TRY_OK(check_factory(*session, *sent.receipt, governance, options.delay));
    address = text_of(*sent.receipt->contract);
    extra.emplace_back("contract", address);
    extra.emplace_back("governance", text_of(governance));
    extra.emplace_back("recovery_delay", std::uint64_t{options.delay});
    extra.emplace_back("code_verified", true);
  }
  session->print_sent(sent, std::move(extra));
  if (!address.empty() && options.chain.format == "text") {
    context.out << "contract " << address << ", its code is this program's\n"
                << "next: set tracker.factory to it, then: attestry tracker reputation init\n";
  }
  return kExitOk;
}

constexpr const char* kFooter =
    "Examples:\n"
    "  attestry tracker deploy --governance ADDRESS --network sepolia --rpc URL --key owner.key\n"
    "  attestry tracker bench --quick";

}  // namespace

void add_tracker(CLI::App& app, Context& context) {
  auto* group = app.add_subcommand("tracker", "A BitTorrent tracker: its reputations on a chain, and what it costs");
  group->require_subcommand(1);
  group->footer(kFooter);
  add_tracker_bench(*group, context);
  auto options = std::make_shared<Options>();
  auto* command = group->add_subcommand("deploy", "Create a factory of reputations and compare its code on the chain");
  add_keymanager_chain(*command, *options);
  add_sending_options(*command, options->chain);
  command->add_option("--governance", options->governance, "address that attests owners and recovers reputations")
      ->required();
  command->add_option("--delay", options->delay, "seconds that a recovery takes, at least a day")
      ->check(CLI::Range(kDay, std::numeric_limits<std::uint32_t>::max()))
      ->capture_default_str();
  command->callback([options, &context] {
    finish(context, [&]() -> Result<int> {
      TRY_OK(resolve_network(*options));
      return deploy(context, *options);
    });
  });
  add_tracker_reputation(*group, context);
}

}  // namespace attestry::app
