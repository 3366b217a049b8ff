// KZG commitments and proofs of blobs (EIP-4844, EIP-7594), by c-kzg-4844 with the points of Ethereum's ceremony, which
// are in this program. The first call reads them, once for the process: about a second. Thread-safe.
#pragma once
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace attestry::chain {

/// A point of G1 of BLS12-381, compressed.
using KzgCommitment = base::FixedBytes<48>;
using KzgProof = base::FixedBytes<48>;

inline constexpr std::size_t kCellsPerBlob = 128;

// Each takes a blob of kBlobBytes (blob_data.h); error `malformed` for another size and for elements that are not below
// the order of the field.

base::Result<KzgCommitment> kzg_commitment(base::ByteView blob);
/// That the blob belongs to the commitment (EIP-4844's sidecar).
base::Result<KzgProof> kzg_blob_proof(base::ByteView blob, const KzgCommitment& commitment);
/// One for each of the kCellsPerBlob cells of the extended blob (EIP-7594's sidecar).
base::Result<std::vector<KzgProof>> kzg_cell_proofs(base::ByteView blob);
/// False when they do not belong together; `malformed` too for 48 bytes that are no point.
base::Result<bool> kzg_verify_blob(base::ByteView blob, const KzgCommitment& commitment, const KzgProof& proof);

/// Fails with `denied` unless the blob is the one that the versioned hash names: its commitment is computed anew.
base::Status check_blob(base::ByteView blob, const base::Digest32& versioned_hash);

}  // namespace attestry::chain
