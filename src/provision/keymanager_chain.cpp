#include "provision/keymanager_chain.h"

#include <span>

#include "base/encoding.h"

namespace attestry::provision {

using base::Code;
using base::Error;
using base::Result;
using base::Status;
using chain::CallOutcome;
namespace abi = chain::keymanager;

namespace {

constexpr std::size_t kCommon = 3;  // xPub, epoch, paused
constexpr std::size_t kPeer = 2;    // membership, whether allowed

Result<KeyManagerSaid> said_in(std::span<const CallOutcome> outcomes, const chain::BlockRef& block) {
  KeyManagerSaid out{.block = block};
  TRY(out.xpub, abi::kXPub.result(outcomes[0]));
  TRY(out.epoch, abi::kEpoch.result(outcomes[1]));
  TRY(out.frozen, chain::registry::kPaused.result(outcomes[2]));
  return out;
}

/// Who is known by neither is known by the first.
Status add_membership(std::span<const CallOutcome> outcomes, KeyManagerSaid& out) {
  TRY(const auto membership, abi::kRequested.result(outcomes[0]));
  bool allowed = false;
  // A frozen contract reverts: that is a no as well.
  if (!outcomes[1].reverted) {
    TRY(allowed, abi::kMemberAllowed.result(outcomes[1]));
  }
  if (out.membership != abi::Membership::not_yet) return base::done();
  out.membership = membership;
  out.member_allowed = allowed;
  return base::done();
}

Result<bool> listed(std::span<const CallOutcome>& outcomes, bool asked) {
  if (!asked) return false;
  const CallOutcome& outcome = outcomes.front();
  outcomes = outcomes.subspan(1);
  return abi::kAllowedMrtds.result(outcome);
}

}  // namespace

void KeyManagerChain::ask(std::vector<chain::Call>& calls, const KeyManagerPeer& peer) const {
  if (peer.address == curves::Address{}) {
    calls.push_back(abi::kRequestedKey.at(contract_.address, peer.box_key));
    calls.push_back(abi::kKeyAllowed.at(contract_.address, peer.box_key));
  } else {
    calls.push_back(abi::kRequested.at(contract_.address, peer.address));
    calls.push_back(abi::kMemberAllowed.at(contract_.address, peer.address));
  }
}

Result<std::vector<CallOutcome>> KeyManagerChain::read(std::vector<chain::Call> calls, chain::BlockRef& block,
                                                       base::Deadline deadline) const {
  const std::vector<chain::Call> common{abi::kXPub.at(contract_.address), abi::kEpoch.at(contract_.address),
                                        chain::registry::kPaused.at(contract_.address)};
  calls.insert(calls.begin(), common.begin(), common.end());
  TRY(block, reader_.head(deadline));
  TRY(auto outcomes, reader_.call(block, calls, deadline));
  const CallOutcome& first = outcomes.front();
  if (!first.reverted && !first.data.empty()) return outcomes;
  return Error{Code::configuration, "no key manager's contract at 0x" + base::hex(contract_.address),
               "a KeyManager contract on chain " + std::to_string(contract_.chain_id),
               first.reverted ? "a contract of another kind" : "no code",
               "Look at keymanager.contract, and whether keymanager.rpc reads the right chain."};
}

Result<KeyManagerSaid> KeyManagerChain::present(const std::optional<KeyManagerPeer>& own,
                                                base::Deadline deadline) const {
  std::vector<chain::Call> calls;
  if (own) {
    ask(calls, {own->address, {}});
    ask(calls, {{}, own->box_key});
  }
  chain::BlockRef block;
  TRY(const auto outcomes, read(std::move(calls), block, deadline));
  TRY(auto out, said_in(outcomes, block));
  for (std::size_t at = kCommon; at < outcomes.size(); at += kPeer) {
    TRY_OK(add_membership(std::span{outcomes}.subspan(at, kPeer), out));
  }
  return out;
}

Result<KeyManagerLists> KeyManagerChain::lists(const KeyManagerPeer& newcomer, const KeyManagerMeasured& measured,
                                               base::Deadline deadline) const {
  std::vector<chain::Call> calls;
  ask(calls, newcomer);
  calls.push_back(abi::kAllowedTcbs.at(contract_.address, measured.fmspc));
  if (measured.mrtd) calls.push_back(abi::kAllowedMrtds.at(contract_.address, *measured.mrtd));
  if (measured.mrenclave) calls.push_back(abi::kAllowedMrenclaves.at(contract_.address, *measured.mrenclave));
  if (measured.machine) calls.push_back(abi::kRtmrs.at(contract_.address, *measured.machine));
  chain::BlockRef block;
  TRY(const auto outcomes, read(std::move(calls), block, deadline));
  KeyManagerLists out;
  std::span<const CallOutcome> rest{outcomes};
  TRY(out.said, said_in(rest, block));
  TRY_OK(add_membership(rest.subspan(kCommon, kPeer), out.said));
  rest = rest.subspan(kCommon + kPeer);
  TRY(const auto rule, abi::kAllowedTcbs.result(rest.front()));
  out.tcb = {.min_evaluation = std::get<0>(rule), .statuses = std::get<1>(rule)};
  rest = rest.subspan(1);
  TRY(out.mrtd, listed(rest, measured.mrtd.has_value()));
  TRY(out.mrenclave, listed(rest, measured.mrenclave.has_value()));
  TRY(out.machine, listed(rest, measured.machine.has_value()));
  return out;
}

}  // namespace attestry::provision
