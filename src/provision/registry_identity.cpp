#include "provision/registry_identity.h"

#include "curves/keccak.h"

namespace attestry::provision {
namespace {

/// Tags of the extended identity: each field is named, so that none can stand for another.
enum class Field : std::uint8_t {
  chain_id = 1,
  contract,
  mrtd,
  rtmr0,
  rtmr1,
  rtmr2,
  rtmr3,
  mrconfigid,
  mrowner,
  mrownerconfig,
  td_attributes,
  debug,
  tcb_status
};

base::LpWriter& put(base::LpWriter& out, Field field, base::ByteView value) {
  return out.u8(static_cast<std::uint8_t>(field)).lp(value);
}

}  // namespace

base::Digest32 dcap_identity(const curves::Address& contract, const TdxRegister& rtmr0, const TdxRegister& rtmr1,
                             const TdxRegister& rtmr2) {
  base::LpWriter packed;
  packed.raw(contract).raw(rtmr0).raw(rtmr1).raw(rtmr2);
  return curves::keccak256(packed.bytes());
}

base::Digest32 maa_identity(const curves::Address& contract, const base::Digest32& pcr4, const base::Digest32& pcr9,
                            const base::Digest32& pcr11) {
  base::LpWriter packed;
  packed.raw(contract).raw(pcr4).raw(pcr9).raw(pcr11);
  return curves::keccak256(packed.bytes());
}

base::Digest32 extended_identity(const TdxFacts& facts) {
  base::LpWriter chain;
  chain.u64(facts.chain_id);
  const std::uint8_t debug[1] = {facts.debug ? std::uint8_t{1} : std::uint8_t{0}};
  base::LpWriter out;
  out.lp("attestry/identity/2");
  put(out, Field::chain_id, chain.bytes());
  put(out, Field::contract, facts.contract);
  put(out, Field::mrtd, facts.mrtd);
  put(out, Field::rtmr0, facts.rtmr[0]);
  put(out, Field::rtmr1, facts.rtmr[1]);
  put(out, Field::rtmr2, facts.rtmr[2]);
  put(out, Field::rtmr3, facts.rtmr[3]);
  put(out, Field::mrconfigid, facts.mrconfigid);
  put(out, Field::mrowner, facts.mrowner);
  put(out, Field::mrownerconfig, facts.mrownerconfig);
  put(out, Field::td_attributes, facts.td_attributes);
  put(out, Field::debug, debug);
  put(out, Field::tcb_status, base::as_bytes(facts.tcb_status));
  return curves::keccak256(out.bytes());
}

base::Status firmware_is_covered(const attestation::Policy& policy, bool extended) {
  if (extended || policy.rules().require_identity) return base::done();
  return base::Error{base::Code::configuration, "this server cannot tell by whose firmware another one runs",
                     "registry.identity = extended, or identities in registry.policy", "neither",
                     "Set one of them on this server, then ask again."};
}

}  // namespace attestry::provision
