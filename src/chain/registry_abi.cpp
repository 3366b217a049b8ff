#include "chain/registry_abi.h"

#include <limits>

namespace attestry::chain::registry {

using base::Code;
using base::Error;
using base::Result;

namespace {

constexpr std::uint64_t kMaxU32 = std::numeric_limits<std::uint32_t>::max();

Result<base::Bytes> bytes(AbiReader& r, std::string_view field) {
  TRY(const auto view, r.bytes(field));
  return base::to_bytes(view);
}

Result<std::uint64_t> uint32(AbiReader& r, std::string_view field) {
  TRY(const std::uint64_t value, r.u64(field));
  if (value > kMaxU32) return Error{Code::malformed, "ABI: " + std::string{field} + ": more than 32 bits"};
  return value;
}

}  // namespace

void Abi<AppPki>::put(AbiWriter& w, const AppPki& v) {
  AbiWriter members;
  members.bytes(v.ca).bytes(v.pubkey).bytes(v.attestation);
  w.tuple(members);
}

Result<AppPki> Abi<AppPki>::get(AbiReader& r) {
  TRY(AbiReader members, r.tuple("pki"));
  AppPki out;
  TRY(out.ca, bytes(members, "ca"));
  TRY(out.pubkey, bytes(members, "pubkey"));
  TRY(out.attestation, bytes(members, "attestation"));
  return out;
}

void Abi<DcapEvent>::put(AbiWriter& w, const DcapEvent& v) {
  AbiWriter members;
  members.u64(v.index).u64(v.event_type).bytes(v.payload).word(v.digest);
  w.tuple(members);
}

Result<DcapEvent> Abi<DcapEvent>::get(AbiReader& r) {
  TRY(AbiReader members, r.tuple("event"));
  DcapEvent out;
  TRY(out.index, uint32(members, "Index"));
  TRY(out.event_type, uint32(members, "EventType"));
  TRY(out.payload, bytes(members, "EventPayload"));
  TRY(out.digest, members.word("Digest"));
  return out;
}

void Abi<DcapReport>::put(AbiWriter& w, const DcapReport& v) {
  AbiWriter rtmrs;
  for (const auto& rtmr : v.rtmrs) rtmrs.bytes(rtmr);
  AbiWriter members;
  members.bytes(v.mr_td).tuple(rtmrs).bytes(v.mr_owner).bytes(v.mr_config_id).bytes(v.mr_config_owner);
  w.tuple(members);
}

Result<DcapReport> Abi<DcapReport>::get(AbiReader& r) {
  TRY(AbiReader members, r.tuple("report"));
  DcapReport out;
  TRY(out.mr_td, bytes(members, "mrTd"));
  TRY(AbiReader rtmrs, members.tuple("RTMRs"));
  for (auto& rtmr : out.rtmrs) {
    TRY(rtmr, bytes(rtmrs, "RTMR"));
  }
  TRY(out.mr_owner, bytes(members, "mrOwner"));
  TRY(out.mr_config_id, bytes(members, "mrConfigId"));
  TRY(out.mr_config_owner, bytes(members, "mrConfigOwner"));
  return out;
}

void Abi<MaaReport>::put(AbiWriter& w, const MaaReport& v) {
  AbiWriter members;
  for (const Word& pcr : v.pcrs) members.word(pcr);
  w.tuple(members);
}

Result<MaaReport> Abi<MaaReport>::get(AbiReader& r) {
  MaaReport out;
  for (Word& pcr : out.pcrs) {
    TRY(pcr, r.word("PCR"));
  }
  return out;
}

void Abi<OnboardRequest>::put(AbiWriter& w, const OnboardRequest& v) {
  AbiWriter members;
  members.bytes(v.pubkey).word(v.nonce).address(v.operator_address).bytes(v.attestation);
  w.tuple(members);
}

Result<OnboardRequest> Abi<OnboardRequest>::get(AbiReader& r) {
  TRY(AbiReader members, r.tuple("request"));
  OnboardRequest out;
  TRY(out.pubkey, bytes(members, "pubkey"));
  TRY(out.nonce, members.word("nonce"));
  TRY(out.operator_address, members.address("operator"));
  TRY(out.attestation, bytes(members, "attestation"));
  return out;
}

Error revert_error(std::string_view signature, const CallOutcome& outcome) {
  Error error{Code::denied, std::string{signature.substr(0, signature.find('('))} + ": the contract refuses"};
  error.found = outcome.reason.empty() ? "a revert without a reason" : outcome.reason;
  return error;
}

Error answer_error(std::string_view signature, base::ByteView data, const Error* why) {
  const std::string name{signature.substr(0, signature.find('('))};
  if (data.empty()) {
    return {.code = Code::not_found,
            .what = name + ": nothing was returned",
            .expected = "a contract with this function",
            .found = "no contract, or another one",
            .remedy = "Check the contract's address and the chain."};
  }
  Error error{Code::malformed, name + ": not the canonical bytes of its type"};
  if (why != nullptr) error.found = why->what;
  return error;
}

Word role(std::string_view name) { return event_topic(name); }

}  // namespace attestry::chain::registry
