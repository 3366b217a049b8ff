#include "collateral/internal/needs_memo.h"

#include <gtest/gtest.h>

#include "collateral/testing/stand_in.h"

namespace attestry::collateral::internal {
namespace {

bool same(const attestation::DcapNeeds& a, const attestation::DcapNeeds& b) {
  return a.tdx == b.tdx && a.fmspc == b.fmspc && a.platform_ca == b.platform_ca;
}

/// The same platform attests SGX and TDX under one PCK certificate, and two certificates may share a place.
TEST(NeedsMemo, SaysWhatTheCertificateSays) {
  for (const std::size_t places : {std::size_t{1}, std::size_t{64}}) {
    NeedsMemo memo{places};
    for (const char* name : {"tdx/forged-v4", "sgx/forged-v3", "tdx/forged-v4", "tdx/forged-v5-td10", "tdx/forged-v4",
                             "sgx/forged-v3", "sgx/forged-v3"}) {
      const auto evidence = testing::evidence_of(name);
      const auto expected = attestation::dcap_needs(evidence.bytes);
      const auto found = memo.of(evidence.bytes);
      ASSERT_TRUE(expected.ok() && found.ok()) << name;
      EXPECT_TRUE(same(*expected, *found)) << name << " with " << places << " places";
    }
  }
}

TEST(NeedsMemo, TheKindOfTeeIsTheQuotes) {
  NeedsMemo memo{1};
  const auto tdx = testing::evidence_of("tdx/forged-v4").bytes;
  auto needs = memo.of(tdx);
  ASSERT_TRUE(needs.ok());
  EXPECT_TRUE(needs->tdx);
  // The same certification data below an SGX header: quote version 4, TEE type 0, and a report body of 384 bytes.
  base::Bytes sgx(tdx.begin(), tdx.begin() + 4);
  sgx.insert(sgx.end(), 4, 0);
  sgx.insert(sgx.end(), tdx.begin() + 8, tdx.begin() + 48);
  sgx.insert(sgx.end(), 384, 0);
  sgx.insert(sgx.end(), tdx.begin() + 48 + 584, tdx.end());
  needs = memo.of(sgx);
  ASSERT_TRUE(needs.ok()) << needs.error().text();
  EXPECT_FALSE(needs->tdx);
}

TEST(NeedsMemo, WhatCannotBeReadIsNotRemembered) {
  NeedsMemo memo{1};
  EXPECT_FALSE(memo.of(base::Bytes{1, 2, 3}).ok());
  auto broken = testing::evidence_of("tdx/forged-v4").bytes;
  broken[broken.size() / 2] ^= 1;
  const auto expected = attestation::dcap_needs(broken);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(memo.of(broken).ok(), expected.ok());
}

}  // namespace
}  // namespace attestry::collateral::internal
