#include "provision/registry_watch.h"

#include <gmock/gmock.h>

#include <thread>

#include "base/encoding.h"
#include "provision/testing/grants.h"

namespace attestry::provision {
namespace {

using base::Code;
using testing::digest;
using testing::grant_of;
using testing::kChain;
using testing::kTenant;
using ::testing::SizeIs;

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

class WatchTest : public testing::GrantsFixture {
 protected:
  std::unique_ptr<RegistryWatch> watch() {
    auto made = std::make_unique<RegistryWatch>(
        RegistryWatchDeps{*house.store, *house.log, authority, crypto::system_random(), kTenant});
    made->head_moved();
    return made;
  }

  OneWord authority;
};

TEST_F(WatchTest, WhatIsAllowedStays) {
  remember(grant_of(1));
  const auto running = watch();
  while (running->looked_at() == 0) std::this_thread::yield();
  EXPECT_THAT(grants(), SizeIs(1));
  EXPECT_EQ(house.log->head().size, 0u);
}

TEST_F(WatchTest, ARevocationIsOneLeafForEveryAppraisalOfItsGrant) {
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

TEST_F(WatchTest, AnOutageRevokesNothingAndIsMadeUpFor) {
  remember(grant_of(1), digest("a"));
  authority.says(false, 11, true);
  const auto running = watch();
  while (running->looked_at() == 0) std::this_thread::yield();
  EXPECT_THAT(grants(), SizeIs(1));
  authority.says(false, 11);
  running->head_moved();
  while (!grants().empty()) std::this_thread::yield();
}

TEST_F(WatchTest, AnOlderBlockThanTheReleasesSaysNothingOfIt) {
  remember(grant_of(1));
  authority.says(false, 9);
  const auto running = watch();
  while (running->looked_at() == 0) std::this_thread::yield();
  EXPECT_THAT(grants(), SizeIs(1));
}

TEST_F(WatchTest, AReleaseAfterwardsIsAGrantAnew) {
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

TEST_F(WatchTest, ManyEndOverManyPages) {
  for (std::uint8_t i = 1; i <= 200; ++i) remember(grant_of(i));
  authority.says(false, 11);
  auto running = watch();
  while (!grants().empty()) std::this_thread::yield();
  running.reset();  // the log's head is told after the commit that readers see
  EXPECT_EQ(house.log->head().size, 200u);
}

}  // namespace
}  // namespace attestry::provision
