#include "governance/contract_authority.h"

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
    return Error{Code::denied, answer.reason.empty() ? "identity not allowed" : answer.reason,
                 "an identity that is allowed", base::hex(question.extended.value_or(question.identity)),
                 "Let the app's owner allow this identity, and give its operator the operator role."};
  }
  return ContractApproval(question.tenant, contract_app(chain_id_, question.contract), question.contract,
                          std::move(answer));
}

}  // namespace attestry::governance
