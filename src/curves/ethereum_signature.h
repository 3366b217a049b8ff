// Signatures as EVM contracts check them: 65 bytes with v 27 or 28, in either order of fields, and in one spelling.
#pragma once
#include "base/bytes.h"
#include "base/result.h"
#include "curves/address.h"
#include "curves/secp256k1.h"

namespace attestry::curves {

/// Where v stands: before r ‖ s (contracts of the dstack family) or behind it (wallets).
enum class SignatureLayout : std::uint8_t { vrs, rsv };

base::Result<base::FixedBytes<65>> ethereum_sign(const Secp256k1PrivateKey& key, const base::Digest32& digest,
                                                 SignatureLayout layout);

/// Whose signature it is. Error `malformed` for another size, v, a high s (EIP-2 and malleability: a signature has one
/// spelling), and when nobody's key fits.
base::Result<Address> ethereum_signer(const base::Digest32& digest, base::ByteView signature, SignatureLayout layout);

/// keccak256("\x19Ethereum Signed Message:\n" ‖ decimal size ‖ message): EIP-191, version 0x45.
base::Digest32 ethereum_message_digest(base::ByteView message);

}  // namespace attestry::curves
