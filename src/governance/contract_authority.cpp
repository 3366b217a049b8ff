#include "governance/contract_authority.h"

#include <algorithm>

#include "base/encoding.h"

namespace attestry::governance {

using base::Code;
using base::Error;
using base::Result;

base::AppRef contract_app(std::uint64_t chain_id, const ContractAddress& contract) {
  base::Bytes bytes{static_cast<std::uint8_t>(base::AppRef::Kind::evm)};
  for (int shift = 56; shift >= 0; shift -= 8) bytes.push_back(static_cast<std::uint8_t>(chain_id >> shift));
  bytes.insert(bytes.end(), contract.begin(), contract.end());
  return *base::AppRef::from_bytes(bytes);
}

Result<ContractApproval> ContractAuthority::decide(const ContractQuestion& question, base::Deadline deadline) {
  TRY(auto answer, ask(question, deadline));
  if (!answer.allowed) {
    std::string found = base::hex(question.identity);
    if (question.extended) found += ", extended " + base::hex(*question.extended);
    return Error{Code::denied, answer.reason.empty() ? "identity not allowed" : answer.reason,
                 "an identity that is allowed", std::move(found),
                 "Let the app's owner allow this identity, and give its operator the operator role."};
  }
  return ContractApproval(question.tenant, contract_app(chain_id_, question.contract), question.contract,
                          std::move(answer));
}

namespace {

/// What is made ready for an answer is what the other would have made of it. Where it came from may change: it is known
/// by its hash.
bool releases_the_same(const ContractAnswer& before, const ContractAnswer& now) {
  const bool names = std::ranges::all_of(before.domain_names, [&](const std::string& name) {
    return std::ranges::find(now.domain_names, name) != now.domain_names.end();
  });
  return names && before.identity == now.identity && before.configuration == now.configuration &&
         before.policy == now.policy && before.service_policy == now.service_policy;
}

}  // namespace

Result<ContractApproval> ContractAuthority::renew(const ContractQuestion& question, ContractApproval approval,
                                                  base::Deadline deadline) {
  if (is_newest(approval.answer(), deadline)) return approval;
  TRY(auto now, decide(question, deadline));
  if (releases_the_same(approval.answer(), now.answer())) return now;
  return Error{Code::conflict, "the app was changed while this was decided", approval.answer().snapshot,
               now.answer().snapshot, "Try again."};
}

}  // namespace attestry::governance
