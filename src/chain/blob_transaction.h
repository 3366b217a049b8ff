// Transactions that carry a blob (type 3, EIP-4844), and the blob back from where nodes keep it. Thread-safe.
#pragma once
#include <string>
#include <vector>

#include "chain/kzg.h"
#include "chain/transaction.h"
#include "net/client.h"

namespace attestry::chain {

/// What proves a blob to the nodes that take it in: one proof of the blob (EIP-4844), or one of each of its cells
/// (EIP-7594; chains since Fusaka take no other).
enum class SidecarForm : std::uint8_t { blob_proof, cell_proofs };

struct BlobSidecar {
  SidecarForm form{};
  base::Bytes blob{};  ///< kBlobBytes
  KzgCommitment commitment{};
  std::vector<KzgProof> proofs{};
  base::Digest32 versioned_hash{};
};
/// For data of at most kBlobDataBytes (blob_data.h). Error `too_large`.
base::Result<BlobSidecar> make_sidecar(base::ByteView data, SidecarForm form);

struct BlobTransaction {
  Transaction call{};                  ///< `to` must be there: blobs create no contracts
  std::uint64_t max_fee_per_blob = 0;  ///< wei per gas of blobs
  BlobSidecar sidecar{};
};
/// What is signed: Keccak-256(0x03 ‖ RLP), with the blob's versioned hash and without the blob.
base::Digest32 signing_hash(const BlobTransaction& transaction);
/// `raw` has the sidecar, as nodes take it from who sends it; `hash` does not cover it. `usage` without a recipient.
base::Result<SignedTransaction> sign(const BlobTransaction& transaction, const curves::Secp256k1PrivateKey& key);

/// Where blobs are kept for a while: a consensus node's REST (GET /eth/v1/beacon/blobs/{slot}), for about 18 days, and
/// the development node anvil (anvil_getBlobByHash).
struct BlobSources {
  std::vector<std::string> beacons{};  ///< URLs without a path
  std::vector<Endpoint*> endpoints{};  ///< asked as anvil
  net::HttpTransport* http = nullptr;
};
/// The blob of a block's transaction, whose commitment has that versioned hash: what a source says otherwise is passed
/// over. `not_found` when sources answer and none has it: they may have thrown it away; `unavailable` when none
/// answers.
base::Result<base::Bytes> fetch_blob(const BlobSources& sources, const BlockRef& block,
                                     const base::Digest32& versioned_hash, base::Deadline deadline);

}  // namespace attestry::chain
