// Bytes in a blob of EIP-4844: 4096 field elements of 32 bytes, each below the order of BLS12-381, so that the first
// byte of each is zero here and 31 are usable. Ours: u32be length ‖ data ‖ zeros (docs/formats/keymanager.md). Pure,
// thread-safe.
#pragma once
#include "base/bytes.h"
#include "base/result.h"

namespace attestry::chain {

inline constexpr std::size_t kBlobElements = 4096;
inline constexpr std::size_t kBlobElementBytes = 32;
inline constexpr std::size_t kBlobBytes = kBlobElements * kBlobElementBytes;  ///< 131,072
/// The usable 126,976 without the length.
inline constexpr std::size_t kBlobDataBytes = kBlobElements * (kBlobElementBytes - 1) - 4;

/// kBlobBytes bytes. Error `too_large` for more than kBlobDataBytes.
base::Result<base::Bytes> blob_pack(base::ByteView data);

/// What blob_pack put in. Strict: error `malformed` for another size, an element that does not begin with zero, a
/// length that does not fit, and anything but zeros behind the data, so that one blob holds given data and no other
/// does.
base::Result<base::Bytes> blob_unpack(base::ByteView blob);

/// What transactions and contracts (BLOBHASH) name a blob by: 01 ‖ SHA-256(KZG commitment) without its first byte.
base::Digest32 blob_versioned_hash(const base::FixedBytes<48>& commitment);

}  // namespace attestry::chain
