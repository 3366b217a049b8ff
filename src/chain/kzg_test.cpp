#include "chain/kzg.h"

#include <gtest/gtest.h>

#include "base/encoding.h"
#include "chain/blob_data.h"

namespace attestry::chain {
namespace {

using base::Bytes;
using base::Code;

/// 4096 elements of 1: the polynomial is the constant 1, so its commitment is the generator of G1 and its proof the
/// point at infinity.
Bytes constant_one() {
  Bytes out(kBlobBytes, 0);
  for (std::size_t i = 31; i < out.size(); i += 32) out[i] = 1;
  return out;
}
constexpr const char* kGenerator =
    "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb";

TEST(KzgTest, AConstantIsThatManyTimesTheGenerator) {
  const Bytes blob = constant_one();
  const auto commitment = kzg_commitment(blob);
  ASSERT_TRUE(commitment.ok()) << commitment.error().text();
  EXPECT_EQ(base::hex(*commitment), kGenerator);
  const auto proof = kzg_blob_proof(blob, *commitment);
  ASSERT_TRUE(proof.ok());
  EXPECT_EQ(base::hex(*proof), "c0" + std::string(94, '0'));
  EXPECT_TRUE(*kzg_verify_blob(blob, *commitment, *proof));
}

TEST(KzgTest, AProofHoldsForItsBlobAlone) {
  const Bytes blob = *blob_pack(base::to_bytes("a quote"));
  const auto commitment = *kzg_commitment(blob);
  const auto proof = *kzg_blob_proof(blob, commitment);
  EXPECT_TRUE(*kzg_verify_blob(blob, commitment, proof));
  EXPECT_FALSE(*kzg_verify_blob(*blob_pack(base::to_bytes("a quota")), commitment, proof));
  EXPECT_FALSE(*kzg_verify_blob(constant_one(), commitment, proof));
}

TEST(KzgTest, EachCellHasAProof) {
  const auto proofs = kzg_cell_proofs(constant_one());
  ASSERT_TRUE(proofs.ok()) << proofs.error().text();
  ASSERT_EQ(proofs->size(), kCellsPerBlob);
  for (const auto& proof : *proofs) EXPECT_EQ(proof[0], 0xc0);  // a constant's are all the point at infinity
  EXPECT_NE((*kzg_cell_proofs(*blob_pack(base::to_bytes("a quote"))))[127][0], 0xc0);
}

TEST(KzgTest, ABlobIsNamedByItsVersionedHash) {
  const Bytes blob = *blob_pack(base::to_bytes("a quote"));
  const auto named = blob_versioned_hash(*kzg_commitment(blob));
  EXPECT_TRUE(check_blob(blob, named).ok());
  EXPECT_EQ(check_blob(constant_one(), named).error().code, Code::denied);
}

TEST(KzgTest, OnlyBlobsAndPointsAreTaken) {
  EXPECT_EQ(kzg_commitment(Bytes(kBlobBytes - 1)).error().code, Code::malformed);
  Bytes beyond(kBlobBytes, 0);
  beyond[0] = 0xff;  // not below the order of the field
  EXPECT_EQ(kzg_commitment(beyond).error().code, Code::malformed);
  EXPECT_EQ(kzg_cell_proofs(beyond).error().code, Code::malformed);
  EXPECT_EQ(kzg_blob_proof(constant_one(), {}).error().code, Code::malformed);
  EXPECT_EQ(kzg_verify_blob(constant_one(), {}, {}).error().code, Code::malformed);
}

}  // namespace
}  // namespace attestry::chain
