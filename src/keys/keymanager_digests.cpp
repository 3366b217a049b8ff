#include "keys/keymanager_digests.h"

#include <algorithm>

#include "curves/eip712.h"

namespace attestry::keys {

using base::Digest32;
using curves::Eip712Struct;

namespace {

Digest32 digest(const KeyManagerContract& contract, const Eip712Struct& message) {
  return curves::eip712_digest(keymanager_domain_separator(contract), message.hash());
}

/// bytes16 as EIP-712 encodes it: zero-padded at the end.
Digest32 word(const base::FixedBytes<16>& bytes) {
  Digest32 out{};
  std::ranges::copy(bytes, out.begin());
  return out;
}

void add(Eip712Struct& message, const KeyManagerOnboarding& said) {
  message.bytes32(word(said.fmspc)).bytes32(said.measurement).bytes(said.response).uint64(said.epoch);
}

}  // namespace

Digest32 keymanager_domain_separator(const KeyManagerContract& contract) {
  return curves::eip712_domain_separator({.name = "attestry key manager",
                                          .version = "1",
                                          .chain_id = contract.chain_id,
                                          .verifying_contract = contract.address});
}

Digest32 keymanager_attestation_digest(const KeyManagerContract& contract, const KeyManagerAttestation& said) {
  Eip712Struct message("Attestation(string workload,string purpose,bytes32 appData,uint32 epoch,uint64 expires)");
  message.string(said.workload).string(said.purpose).bytes32(said.app_data).uint64(said.epoch).uint64(said.expires);
  return digest(contract, message);
}

Digest32 keymanager_rotation_digest(const KeyManagerContract& contract, const curves::Address& key,
                                    std::uint32_t epoch) {
  Eip712Struct message("Rotation(address xPub,uint32 epoch)");
  message.address(key).uint64(epoch);
  return digest(contract, message);
}

Digest32 keymanager_join_digest(const KeyManagerContract& contract, const KeyManagerJoin& join) {
  Eip712Struct message("Join(address member,bytes32 boxKey,address payer,bytes32 evidence,uint32 epoch)");
  message.address(join.member).bytes32(join.box_key).address(join.payer).bytes32(join.evidence).uint64(join.epoch);
  return digest(contract, message);
}

Digest32 keymanager_onboard_digest(const KeyManagerContract& contract, const curves::Address& member,
                                   const KeyManagerOnboarding& said) {
  Eip712Struct message("Onboard(address member,bytes16 fmspc,bytes32 measurement,bytes response,uint32 epoch)");
  message.address(member);
  add(message, said);
  return digest(contract, message);
}

Digest32 keymanager_onboard_key_digest(const KeyManagerContract& contract, const curves::BoxPublicKey& box_key,
                                       const KeyManagerOnboarding& said) {
  Eip712Struct message("OnboardKey(bytes32 boxKey,bytes16 fmspc,bytes32 measurement,bytes response,uint32 epoch)");
  message.bytes32(box_key);
  add(message, said);
  return digest(contract, message);
}

Digest32 keymanager_bootstrap_head(const KeyManagerContract& contract, const curves::Address& key,
                                   std::uint32_t epoch) {
  Eip712Struct message("Bootstrap(address xPub,uint32 epoch)");
  message.address(key).uint64(epoch);
  return digest(contract, message);
}

Digest32 keymanager_newcomer_head(const KeyManagerContract& contract, const curves::Address& member,
                                  const curves::BoxPublicKey& box_key, std::uint32_t epoch) {
  Eip712Struct message("Newcomer(address member,bytes32 boxKey,uint32 epoch)");
  message.address(member).bytes32(box_key).uint64(epoch);
  return digest(contract, message);
}

Digest32 keymanager_resign_digest(const KeyManagerContract& contract, const curves::Address& member,
                                  std::uint32_t epoch) {
  Eip712Struct message("Resign(address member,uint32 epoch)");
  message.address(member).uint64(epoch);
  return digest(contract, message);
}

}  // namespace attestry::keys
