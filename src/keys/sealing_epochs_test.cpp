#include "keys/sealing_epochs.h"

#include <gtest/gtest.h>

#include "state/testing/support.h"

namespace attestry::keys {
namespace {

using base::Code;

base::Deadline soon() { return std::chrono::steady_clock::now() + std::chrono::seconds(30); }
crypto::Secret wrapping(std::uint8_t byte) { return crypto::Secret::copy_of(base::Bytes(32, byte)); }

class SealingEpochsTest : public testing::Test {
 protected:
  state::testing::TempFolder folder_;
  std::unique_ptr<state::Store> store_ = *state::Store::open({.path = folder_.file("store.db")});
  SealingEpochs epochs_{*store_, wrapping(7), crypto::system_random()};
  const base::Tenant tenant_ = base::Tenant::standard();
  const base::Tenant other_ = *base::Tenant::parse("other");

  base::Status begin() {
    return store_->write_and_wait(
        [&](state::WriteTxn& txn) -> base::Status {
          TRY([[maybe_unused]] const auto state, epochs_.begin(txn, tenant_, {1000}));
          return base::done();
        },
        soon());
  }
  base::Status retire() {
    return store_->write_and_wait(
        [&](state::WriteTxn& txn) -> base::Status {
          TRY([[maybe_unused]] const auto state, epochs_.retire(txn, tenant_));
          return base::done();
        },
        soon());
  }
  base::Status settle() {
    return store_->write_and_wait(
        [&](state::WriteTxn& txn) -> base::Status {
          TRY(auto state, epochs_.state(txn, tenant_));
          state.phase = SealingPhase::settled;
          return epochs_.keep(txn, tenant_, state);
        },
        soon());
  }
  std::string key(std::uint32_t epoch, std::string_view purpose = "secrets") const {
    const auto found = epochs_.key(tenant_, epoch, purpose);
    return found ? std::string{base::as_text(found->reveal())} : std::string{base::slug(found.error().code)};
  }
};

TEST_F(SealingEpochsTest, EveryEpochAndPurposeHasItsOwnRandomKey) {
  EXPECT_EQ(epochs_.state(tenant_)->current, 0U);
  EXPECT_EQ(key(1), "corrupt") << "an epoch that was never begun has no key";
  ASSERT_TRUE(begin().ok());
  EXPECT_EQ(begin().error().code, Code::conflict) << "not before the last one is done";
  ASSERT_TRUE(settle().ok());
  ASSERT_TRUE(begin().ok());
  EXPECT_EQ(key(1).size(), 32U);
  EXPECT_EQ(key(1), key(1));
  EXPECT_NE(key(1), key(2));
  EXPECT_NE(key(1), key(1, "blobs"));
  EXPECT_EQ(epochs_.state(other_)->current, 0U) << "a tenant's epochs are its own";
}

TEST_F(SealingEpochsTest, RetiredKeysAreGone) {
  ASSERT_TRUE(begin().ok());
  EXPECT_EQ(retire().error().code, Code::conflict);
  ASSERT_TRUE(settle().ok());
  ASSERT_TRUE(begin().ok());
  ASSERT_TRUE(settle().ok());
  ASSERT_TRUE(retire().ok());
  EXPECT_EQ(key(1), "denied");
  EXPECT_EQ(key(2).size(), 32U);
  const auto view = *store_->read();
  EXPECT_EQ(epochs_.readable(*view, tenant_, 0).error().code, Code::denied);
  EXPECT_TRUE(epochs_.readable(*view, tenant_, 2).ok());
  EXPECT_EQ(epochs_.state(tenant_)->phase, SealingPhase::erasing);
}

TEST_F(SealingEpochsTest, SaysWhatIsNotDoneOverARestart) {
  EXPECT_TRUE(epochs_.unsettled()->empty());
  ASSERT_TRUE(begin().ok());
  store_.reset();
  store_ = *state::Store::open({.path = folder_.file("store.db")});
  const SealingEpochs again{*store_, wrapping(7), crypto::system_random()};
  EXPECT_EQ(*again.unsettled(), std::vector{tenant_});
  EXPECT_EQ(again.state(tenant_)->since.seconds, 1000);
  EXPECT_EQ(again.key(tenant_, 1, "secrets")->size(), 32U);
  const SealingEpochs stranger{*store_, wrapping(8), crypto::system_random()};
  EXPECT_EQ(stranger.key(tenant_, 1, "secrets").error().code, Code::corrupt);
}

}  // namespace
}  // namespace attestry::keys
