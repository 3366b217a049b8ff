#include "provision/registry_grants.h"

#include <gmock/gmock.h>

#include <thread>

#include "crypto/hash.h"
#include "governance/testing/support.h"
#include "provision/registry_watch.h"

namespace attestry::provision {
namespace {

using base::Code;
using governance::testing::House;
using governance::testing::patient;
using ::testing::SizeIs;

const base::Tenant kTenant = base::Tenant::standard();
constexpr std::uint64_t kChain = 31337;

base::Digest32 digest(std::string_view text) { return crypto::sha256(base::as_bytes(text)); }

ContractGrant grant_of(std::uint8_t contract, std::string_view identity = "identity", std::uint64_t block = 10) {
  return {.contract = {contract}, .identity = digest(identity), .operator_address = {0x0a}, .block = block};
}

/// A chain's word, one for all identities.
class OneWord final : public governance::ContractAuthority {
 public:
  OneWord() : ContractAuthority(kChain) {}
  base::Result<governance::ContractFacts> facts(const base::Tenant&, const governance::ContractAddress&,
                                                base::Deadline) override {
    return governance::ContractFacts{};
  }
  base::Status still_holds(state::WriteTxn&, const governance::ContractApproval&) const override {
    return base::done();
  }
  void says(bool allowed, std::uint64_t block, bool away = false) {
    const base::MutexLock lock(mutex_);
    allowed_ = allowed;
    block_ = block;
    away_ = away;
  }

 protected:
  base::Result<governance::ContractAnswer> ask(const governance::ContractQuestion& question, base::Deadline) override {
    const base::MutexLock lock(mutex_);
    if (away_) return base::Error{Code::unavailable, "no quorum"};
    governance::ContractAnswer out;
    out.allowed = allowed_;
    out.reason = allowed_ ? "" : "Contract is frozen";
    out.identity = question.identity;
    out.snapshot = "evm:31337@" + std::to_string(block_);
    out.version = block_;
    return out;
  }

 private:
  mutable base::Mutex mutex_;
  bool allowed_ ATTESTRY_GUARDED_BY(mutex_) = true;
  bool away_ ATTESTRY_GUARDED_BY(mutex_) = false;
  std::uint64_t block_ ATTESTRY_GUARDED_BY(mutex_) = 10;
};

class GrantsTest : public ::testing::Test {
 protected:
  void remember(const ContractGrant& grant, std::optional<base::Digest32> appraisal = {}) {
    const auto done = house.store->write_and_wait(
        [&](state::WriteTxn& txn) { return remember_grant(txn, kTenant, grant, appraisal); }, patient());
    ASSERT_TRUE(done.ok()) << done.error().text();
  }
  std::vector<ContractGrant> grants(std::size_t limit = 100) {
    std::vector<ContractGrant> out;
    base::Bytes after;
    for (;;) {
      const auto view = *house.store->read();
      auto page = *grants_after(*view, kTenant, after, limit);
      out.insert(out.end(), page.grants.begin(), page.grants.end());
      if (page.grants.size() < limit) return out;
      after = page.last;
    }
  }
  std::optional<ContractRevocation> ended(const base::Digest32& appraisal) {
    const auto view = *house.store->read();
    return *revocation_of(*view, kTenant, appraisal);
  }
  std::unique_ptr<RegistryWatch> watch() {
    auto made = std::make_unique<RegistryWatch>(
        RegistryWatchDeps{*house.store, *house.log, authority, crypto::system_random(), kTenant});
    made->head_moved();
    return made;
  }

  House house;
  OneWord authority;
};

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

TEST_F(GrantsTest, WhatIsAllowedStays) {
  remember(grant_of(1));
  const auto running = watch();
  while (running->looked_at() == 0) std::this_thread::yield();
  EXPECT_THAT(grants(), SizeIs(1));
  EXPECT_EQ(house.log->head().size, 0u);
}

TEST_F(GrantsTest, ARevocationIsOneLeafForEveryAppraisalOfItsGrant) {
  remember(grant_of(1), digest("a"));
  remember(grant_of(1), digest("b"));
  authority.says(false, 11);
  auto running = watch();
  while (!grants().empty()) std::this_thread::yield();
  running->head_moved();
  running.reset();
  ASSERT_EQ(house.log->head().size, 1u);
  const auto leaf = *audit::Leaf::parse(*house.log->leaf(0));
  EXPECT_EQ(leaf.type, "revocation.registry");
  EXPECT_EQ(leaf.app, "evm:31337:0x0100000000000000000000000000000000000000");
  EXPECT_EQ(leaf.appraisal, base::hex(digest("b")));
  const auto a = ended(digest("a"));
  ASSERT_TRUE(a && ended(digest("b")));
  EXPECT_EQ(a->leaf_index, 0u);
  EXPECT_EQ(a->block, 11u);
  EXPECT_EQ(a->reason, "Contract is frozen");
  EXPECT_EQ(leaf.outputs.at("identity"), audit::commitment(a->leaf_key, "identity", digest("identity")));
  EXPECT_EQ(leaf.outputs.at("reason"), audit::commitment(a->leaf_key, "reason", base::as_bytes(a->reason)));
  EXPECT_FALSE(ended(digest("c")));
}

TEST_F(GrantsTest, AnOutageRevokesNothingAndIsMadeUpFor) {
  remember(grant_of(1), digest("a"));
  authority.says(false, 11, true);
  const auto running = watch();
  while (running->looked_at() == 0) std::this_thread::yield();
  EXPECT_THAT(grants(), SizeIs(1));
  authority.says(false, 11);
  running->head_moved();
  while (!grants().empty()) std::this_thread::yield();
}

TEST_F(GrantsTest, AnOlderBlockThanTheReleasesSaysNothingOfIt) {
  remember(grant_of(1));
  authority.says(false, 9);
  const auto running = watch();
  while (running->looked_at() == 0) std::this_thread::yield();
  EXPECT_THAT(grants(), SizeIs(1));
}

TEST_F(GrantsTest, AReleaseAfterwardsIsAGrantAnew) {
  remember(grant_of(1), digest("a"));
  authority.says(false, 11);
  const auto running = watch();
  while (!grants().empty()) std::this_thread::yield();
  remember(grant_of(1, "identity", 12), digest("b"));
  EXPECT_THAT(grants(), SizeIs(1));
  authority.says(false, 13);
  running->head_moved();
  while (!grants().empty()) std::this_thread::yield();
  EXPECT_EQ(ended(digest("b"))->leaf_index, 1u);
  EXPECT_EQ(ended(digest("a"))->leaf_index, 0u);
}

TEST_F(GrantsTest, ManyEndOverManyPages) {
  for (std::uint8_t i = 1; i <= 200; ++i) remember(grant_of(i));
  authority.says(false, 11);
  const auto running = watch();
  while (!grants().empty()) std::this_thread::yield();
  EXPECT_EQ(house.log->head().size, 200u);
}

}  // namespace
}  // namespace attestry::provision
