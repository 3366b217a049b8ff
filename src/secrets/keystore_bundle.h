// A keystore's masters as bytes, for a backup and for the way to a standby. Everything in it is secret.
#pragma once
#include "base/result.h"
#include "crypto/secret.h"
#include "secrets/keystore_masters.h"

namespace attestry::secrets {

/// u8 1 ‖ u32 current ‖ u32 oldest ‖ LP(source) ‖ LP(v0 seed or nothing) ‖ u32 count of masters ‖ (LP(vault) ‖ u32
/// epoch ‖ u64 since ‖ master 32)… ‖ u32 count of bans ‖ (LP(vault) ‖ LP(reason) ‖ u64 since)….
crypto::Secret encode_bundle(const KeystoreBundle& bundle);
/// Takes exactly what encode_bundle() gives. `malformed`. Whether the epochs fit is for KeystoreMasters::import().
base::Result<KeystoreBundle> decode_bundle(base::ByteView bytes);

}  // namespace attestry::secrets
