// A keystore's masters as bytes, for a backup and for the way to a standby. Everything in it is secret.
#pragma once
#include "base/result.h"
#include "crypto/secret.h"
#include "secrets/keystore_masters.h"

namespace attestry::secrets {

/// u8 version ‖ u32 current ‖ u32 oldest ‖ in version 2 (u32 wallets' epoch ‖ master 32) ‖ LP(source) ‖ LP(v0 seed or
/// nothing) ‖ u32 count of masters ‖ (LP(vault) ‖ u32
/// epoch ‖ u64 since ‖ master 32)… ‖ u32 count of bans ‖ (LP(vault) ‖ LP(reason) ‖ u64 since)….
/// Version 2 where the wallets' master is of a retired epoch, else 1: others that do not know of it must not lose it.
crypto::Secret encode_bundle(const KeystoreBundle& bundle);
/// Takes exactly what encode_bundle() gives. `malformed`. Whether the epochs fit is for KeystoreMasters::import().
base::Result<KeystoreBundle> decode_bundle(base::ByteView bytes);

}  // namespace attestry::secrets
