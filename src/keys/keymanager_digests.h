// What our key managers and their members sign for the contract KeyManager: EIP-712 messages that name the chain, the
// contract and the epoch (docs/formats/keymanager.md, contracts/KeyManager.sol). Pure, thread-safe.
#pragma once
#include <string_view>

#include "base/bytes.h"
#include "curves/address.h"
#include "curves/nacl_box.h"

namespace attestry::keys {

/// The domain: name "attestry key manager", version "1", this chain and contract.
struct KeyManagerContract {
  std::uint64_t chain_id = 0;
  curves::Address address{};
};
base::Digest32 keymanager_domain_separator(const KeyManagerContract& contract);

/// Attestation(string workload,string purpose,bytes32 appData,uint32 epoch,uint64 expires): for verifyBound, by the
/// attest key. `expires` in seconds of Unix time; the last one in which it holds.
struct KeyManagerAttestation {
  std::string_view workload;
  std::string_view purpose;
  base::Digest32 app_data{};
  std::uint32_t epoch = 0;
  std::uint64_t expires = 0;
};
base::Digest32 keymanager_attestation_digest(const KeyManagerContract& contract, const KeyManagerAttestation& said);

/// Rotation(address xPub,uint32 epoch), by the new key; `epoch` is the one that it begins.
base::Digest32 keymanager_rotation_digest(const KeyManagerContract& contract, const curves::Address& key,
                                          std::uint32_t epoch);

/// Join(address member,bytes32 boxKey,address payer,bytes32 evidence,uint32 epoch), by the newcomer; `evidence` is the
/// SHA-256 of its quote.
struct KeyManagerJoin {
  curves::Address member{};
  curves::BoxPublicKey box_key{};
  curves::Address payer{};
  base::Digest32 evidence{};
  std::uint32_t epoch = 0;
};
base::Digest32 keymanager_join_digest(const KeyManagerContract& contract, const KeyManagerJoin& join);

/// What a member says of a newcomer whose evidence it has verified.
struct KeyManagerOnboarding {
  base::FixedBytes<16> fmspc{};  ///< keymanager_v2::fmspc_word
  base::Digest32 measurement{};
  base::ByteView response{};  ///< the sealed box
  std::uint32_t epoch = 0;
};
/// Onboard(address member,bytes16 fmspc,bytes32 measurement,bytes response,uint32 epoch), by the attest key.
base::Digest32 keymanager_onboard_digest(const KeyManagerContract& contract, const curves::Address& member,
                                         const KeyManagerOnboarding& said);
/// OnboardKey(bytes32 boxKey,…): the same for a newcomer of the first generation.
base::Digest32 keymanager_onboard_key_digest(const KeyManagerContract& contract, const curves::BoxPublicKey& box_key,
                                             const KeyManagerOnboarding& said);

/// Bootstrap(address xPub,uint32 epoch): head of the report data of the evidence for a new master's attest key.
base::Digest32 keymanager_bootstrap_head(const KeyManagerContract& contract, const curves::Address& key,
                                         std::uint32_t epoch);

/// Newcomer(address member,bytes32 boxKey,uint32 epoch): head of the report data of a newcomer's evidence. Nobody
/// signs it.
base::Digest32 keymanager_newcomer_head(const KeyManagerContract& contract, const curves::Address& member,
                                        const curves::BoxPublicKey& box_key, std::uint32_t epoch);

/// Resign(address member,uint32 epoch), by the member.
base::Digest32 keymanager_resign_digest(const KeyManagerContract& contract, const curves::Address& member,
                                        std::uint32_t epoch);

}  // namespace attestry::keys
