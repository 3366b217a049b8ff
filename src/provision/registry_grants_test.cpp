#include "provision/registry_grants.h"

#include <gmock/gmock.h>

#include "provision/testing/grants.h"

namespace attestry::provision {
namespace {

using testing::digest;
using testing::grant_of;
using ::testing::SizeIs;

using GrantsTest = testing::GrantsFixture;

TEST_F(GrantsTest, WhatWasReleasedIsRememberedOncePerIdentityAndOperator) {
  remember(grant_of(1), digest("a"));
  remember(grant_of(1, "identity", 12), digest("b"));
  remember(grant_of(1, "other"));
  remember(grant_of(2));
  EXPECT_THAT(grants(), SizeIs(3));
  EXPECT_THAT(grants(1), SizeIs(3));
  for (const auto& grant : grants()) {
    if (grant.contract != grant_of(1).contract || grant.identity != digest("identity")) continue;
    EXPECT_EQ(grant.block, 12u);
    EXPECT_THAT(grant.appraisals, ::testing::ElementsAre(digest("a"), digest("b")));
  }
}

TEST_F(GrantsTest, OnlyTheNewestAppraisalsAreKept) {
  for (int i = 0; i < 40; ++i) remember(grant_of(1), digest(std::to_string(i)));
  ASSERT_THAT(grants(), SizeIs(1));
  EXPECT_THAT(grants()[0].appraisals, SizeIs(ContractGrant::kMostAppraisals));
  EXPECT_EQ(grants()[0].appraisals.back(), digest("39"));
}

}  // namespace
}  // namespace attestry::provision
