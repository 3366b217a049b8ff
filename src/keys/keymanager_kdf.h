// Our derivation from a key manager's master key: workload, purpose and epoch are bound, and each use has its own key
// (docs/formats/keymanager.md, after FORMATS 5). Pure, thread-safe.
#pragma once
#include <string_view>

#include "base/result.h"
#include "crypto/secret.h"
#include "curves/secp256k1.h"

namespace attestry::keys {

/// HKDF-SHA-256 of the 32-byte master with salt SHA-256("attestry/keymanager/1") and info LP(workload) ‖ LP(purpose) ‖
/// u32(epoch) ‖ u32(length); the length, so that a short key is not the beginning of a long one. `workload` 1 to 253
/// bytes, whatever identity the caller has verified; `purpose` 1 to 64 printable ASCII characters without space;
/// `epoch` from 1, as the contract counts; `length` 16 to 64. Error `malformed` otherwise, `internal` for a master of
/// another size.
base::Result<crypto::Secret> keymanager_workload_key(const crypto::Secret& master, std::string_view workload,
                                                     std::string_view purpose, std::uint32_t epoch,
                                                     std::size_t length = 32);

/// The key that signs attestations, so that the master itself signs nothing: HKDF-SHA-256 with salt
/// SHA-256("attestry/keymanager/attest/1") and info u32(epoch), 48 bytes, reduced as FIPS 186-5 A.2.1. Its address is
/// the contract's xPub. Whoever held the master of an epoch can compute these for every epoch: a member that was sent
/// away is shut out by another master, not by a greater number.
base::Result<curves::Secp256k1PrivateKey> keymanager_attest_key(const crypto::Secret& master, std::uint32_t epoch);

}  // namespace attestry::keys
