#include "chain/kzg.h"

#include <ckzg.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "base/encoding.h"
#include "chain/blob_data.h"

/// Out of tools/deps/kzg.sh: 4096 points of G1 in Lagrange form, 65 of G2, 4096 of G1 in monomial form.
extern "C" const std::uint8_t attestry_kzg_setup[];

namespace attestry::chain {
namespace {

using base::ByteView;
using base::Code;
using base::Error;
using base::Result;

static_assert(sizeof(Blob) == kBlobBytes);
static_assert(sizeof(KZGCommitment) == sizeof(KzgCommitment) && sizeof(KZGProof) == sizeof(KzgProof));
static_assert(CELLS_PER_EXT_BLOB == kCellsPerBlob);

/// For as long as the process runs.
class Setup {
 public:
  static Result<const KZGSettings*> get() {
    static const Setup kSetup;
    if (kSetup.outcome_ != C_KZG_OK) return Error{Code::internal, "the points of the KZG ceremony cannot be read"};
    return &kSetup.settings_;
  }
  Setup(const Setup&) = delete;
  Setup& operator=(const Setup&) = delete;

 private:
  Setup() {
    constexpr std::size_t kG1 = 4096 * 48, kG2 = 65 * 96;
    constexpr std::uint64_t kNoTables = 0;
    const std::uint8_t* const lagrange = attestry_kzg_setup;
    outcome_ = load_trusted_setup(&settings_, lagrange + kG1 + kG2, kG1, lagrange, kG1, lagrange + kG1, kG2, kNoTables);
  }
  ~Setup() {
    if (outcome_ == C_KZG_OK) free_trusted_setup(&settings_);
  }
  KZGSettings settings_{};
  C_KZG_RET outcome_;
};

base::Status outcome(C_KZG_RET code, const char* what) {
  if (code == C_KZG_OK) return base::done();
  if (code == C_KZG_BADARGS) return Error{Code::malformed, std::string{what} + ": not the bytes of a blob or a point"};
  return Error{Code::internal, std::string{what} + " failed"};
}

Result<std::unique_ptr<Blob>> to_blob(ByteView bytes) {
  if (bytes.size() != kBlobBytes) {
    return Error{Code::malformed, "blob", std::to_string(kBlobBytes) + " bytes",
                 std::to_string(bytes.size()) + " bytes"};
  }
  auto out = std::make_unique<Blob>();
  std::memcpy(out->bytes, bytes.data(), bytes.size());
  return out;
}

template <class T>
T copied(const auto& bytes) {
  T out;
  std::memcpy(&out, &bytes, sizeof out);
  return out;
}

}  // namespace

Result<KzgCommitment> kzg_commitment(ByteView blob) {
  TRY(const auto copy, to_blob(blob));
  TRY(const auto* settings, Setup::get());
  KZGCommitment out;
  TRY_OK(outcome(blob_to_kzg_commitment(&out, copy.get(), settings), "KZG commitment"));
  return copied<KzgCommitment>(out);
}

Result<KzgProof> kzg_blob_proof(ByteView blob, const KzgCommitment& commitment) {
  TRY(const auto copy, to_blob(blob));
  TRY(const auto* settings, Setup::get());
  const auto point = copied<Bytes48>(commitment);
  KZGProof out;
  TRY_OK(outcome(compute_blob_kzg_proof(&out, copy.get(), &point, settings), "KZG proof"));
  return copied<KzgProof>(out);
}

Result<std::vector<KzgProof>> kzg_cell_proofs(ByteView blob) {
  TRY(const auto copy, to_blob(blob));
  TRY(const auto* settings, Setup::get());
  std::vector<KZGProof> proofs(kCellsPerBlob);
  TRY_OK(outcome(compute_cells_and_kzg_proofs(nullptr, proofs.data(), copy.get(), settings), "KZG proofs of cells"));
  std::vector<KzgProof> out;
  out.reserve(proofs.size());
  for (const KZGProof& proof : proofs) out.push_back(copied<KzgProof>(proof));
  return out;
}

Result<bool> kzg_verify_blob(ByteView blob, const KzgCommitment& commitment, const KzgProof& proof) {
  TRY(const auto copy, to_blob(blob));
  TRY(const auto* settings, Setup::get());
  const auto point = copied<Bytes48>(commitment);
  const auto proof_point = copied<Bytes48>(proof);
  bool ok = false;
  TRY_OK(outcome(verify_blob_kzg_proof(&ok, copy.get(), &point, &proof_point, settings), "KZG proof"));
  return ok;
}

base::Status check_blob(ByteView blob, const base::Digest32& versioned_hash) {
  TRY(const auto commitment, kzg_commitment(blob));
  const auto found = blob_versioned_hash(commitment);
  if (found == versioned_hash) return base::done();
  return Error{Code::denied, "the blob is not the one that was named", "0x" + base::hex(versioned_hash),
               "0x" + base::hex(found)};
}

}  // namespace attestry::chain
