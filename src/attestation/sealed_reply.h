// The sealed reply on the wire (FORMATS 4), shared by the server that seals and the workload that opens:
// suite ids 3 × u16 ‖ LP(enc) ‖ ciphertext; HPKE base mode; info = LP("attestry/release/1") ‖ B; aad empty.
#pragma once
#include "base/bytes.h"
#include "base/result.h"
#include "crypto/secret.h"

namespace attestry::attestation {

/// `recipient` = KEM id u16 ‖ public key, `binding` = B. Error `malformed` for a KEM that is not DHKEM(X25519).
/// Only provision::seal may call this for a release: it holds the Grant.
base::Result<base::Bytes> seal_reply(base::ByteView recipient, const base::FixedBytes<64>& binding,
                                     base::ByteView plaintext);
/// The workload's side.
base::Result<crypto::Secret> open_reply(base::ByteView sealed, const crypto::Secret& recipient_private,
                                        const base::FixedBytes<64>& binding);

}  // namespace attestry::attestation
