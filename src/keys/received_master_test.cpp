#include "keys/received_master.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <iterator>

#include "base/encoding.h"
#include "state/testing/support.h"

namespace attestry::keys {
namespace {

using base::Code;

base::Deadline soon() { return std::chrono::steady_clock::now() + std::chrono::seconds(30); }
crypto::Secret secret_of(std::uint8_t byte, std::size_t size = 32) {
  return crypto::Secret::copy_of(base::Bytes(size, byte));
}

class ReceivedMasterTest : public ::testing::Test {
 protected:
  ReceivedMasterTest() {
    auto opened = state::Store::open({.path = folder.file("store.db")});
    EXPECT_TRUE(opened.ok()) << opened.error().text();
    store = *std::move(opened);
    seal_under(1);
  }
  base::Result<std::unique_ptr<ReceivedMaster>> open() { return ReceivedMaster::open(*store, *sealed); }
  /// As a process with that sealing key would see it.
  void seal_under(std::uint8_t sealing) {
    epochs = std::make_unique<SealingEpochs>(*store, secret_of(sealing), random);
    sealed = std::make_unique<SealedMaster>(*epochs, secret_of(sealing), random);
  }
  template <class Change>
  void change(Change&& make) {
    const auto done = store->write_and_wait(
        [&](state::WriteTxn& txn) -> base::Status {
          TRY_OK(make(txn));
          return base::done();
        },
        soon());
    ASSERT_TRUE(done.ok()) << done.error().text();
  }
  void rotate() {
    change([&](state::WriteTxn& txn) { return epochs->begin(txn, SealedMaster::tenant(), {}); });
  }
  bool reseal() {
    bool out = false;
    change([&](state::WriteTxn& txn) -> base::Status {
      TRY(out, sealed->reseal(txn));
      return base::done();
    });
    return out;
  }
  void settle() {
    change([&](state::WriteTxn& txn) -> base::Status {
      TRY(auto state, epochs->state(txn, SealedMaster::tenant()));
      state.phase = SealingPhase::settled;
      return epochs->keep(txn, SealedMaster::tenant(), state);
    });
  }
  bool older_than(std::uint32_t epoch) { return *sealed->older_than(**store->read(), epoch); }
  bool is_kept() {
    const auto again = open();
    return again.ok() && (*again)->has() && base::equal((*again)->master()->reveal(), base::Bytes(32, 7));
  }
  state::testing::TempFolder folder;
  std::unique_ptr<state::Store> store;
  crypto::SeededRandom random{base::as_bytes("received")};
  std::unique_ptr<SealingEpochs> epochs;
  std::unique_ptr<SealedMaster> sealed;
};

TEST_F(ReceivedMasterTest, HasNoneUntilOneIsSet) {
  const auto master = open();
  ASSERT_TRUE(master.ok()) << master.error().text();
  EXPECT_FALSE((*master)->has());
  EXPECT_EQ((*master)->master().error().code, Code::unavailable);
  ASSERT_TRUE((*master)->set(secret_of(7), soon()).ok());
  EXPECT_TRUE((*master)->has());
  EXPECT_TRUE(base::equal((*master)->master()->reveal(), base::Bytes(32, 7)));
}

TEST_F(ReceivedMasterTest, KeepsItOverARestartAndNeverChangesIt) {
  {
    const auto master = open();
    ASSERT_TRUE((*master)->set(secret_of(7), soon()).ok());
  }
  const auto again = open();
  ASSERT_TRUE(again.ok()) << again.error().text();
  EXPECT_TRUE(base::equal((*again)->master()->reveal(), base::Bytes(32, 7)));
  EXPECT_EQ((*again)->set(secret_of(8), soon()).error().code, Code::conflict);
  EXPECT_TRUE(base::equal((*again)->master()->reveal(), base::Bytes(32, 7)));
}

TEST_F(ReceivedMasterTest, AWriteThatFailedAndIsThereCounts) {
  const auto master = open();
  store->set_after_commit([](const state::ReadView&) -> base::Status { return base::Error{Code::io, "disk away"}; });
  EXPECT_TRUE((*master)->set(secret_of(7), soon()).ok());
  EXPECT_TRUE((*master)->has());
  EXPECT_EQ((*master)->set(secret_of(8), soon()).error().code, Code::conflict);
  store->set_after_commit({});
  EXPECT_TRUE(base::equal((*open())->master()->reveal(), base::Bytes(32, 7)));
}

TEST_F(ReceivedMasterTest, AnotherMasterThatCameFirstIsKnownAfterTheConflict) {
  const auto first = open(), second = open();
  ASSERT_TRUE((*first)->set(secret_of(7), soon()).ok());
  EXPECT_EQ((*second)->set(secret_of(8), soon()).error().code, Code::conflict);
  EXPECT_TRUE(base::equal((*second)->master()->reveal(), base::Bytes(32, 7)));
}

TEST_F(ReceivedMasterTest, TakesExactlyThirtyTwoBytes) {
  const auto master = open();
  EXPECT_EQ((*master)->set(secret_of(7, 31), soon()).error().code, Code::malformed);
  EXPECT_EQ((*master)->set(secret_of(7, 33), soon()).error().code, Code::malformed);
  EXPECT_FALSE((*master)->has());
}

TEST_F(ReceivedMasterTest, DoesNotOpenUnderAnotherKey) {
  ASSERT_TRUE((*open())->set(secret_of(7), soon()).ok());
  seal_under(2);
  EXPECT_FALSE(open().ok());
}

TEST_F(ReceivedMasterTest, IsSealedAnewInEachEpochAndReadInEveryOneThatIsNotRetired) {
  ASSERT_TRUE((*open())->set(secret_of(7), soon()).ok());
  EXPECT_FALSE(reseal()) << "it is of the current epoch";
  for (std::uint32_t epoch = 1; epoch <= 2; ++epoch) {
    rotate();
    EXPECT_TRUE(older_than(epoch));
    EXPECT_TRUE(is_kept()) << "in the epoch before";
    EXPECT_TRUE(reseal());
    EXPECT_FALSE(reseal());
    EXPECT_FALSE(older_than(epoch));
    EXPECT_TRUE(is_kept());
    settle();
  }
  change([&](state::WriteTxn& txn) { return epochs->retire(txn, SealedMaster::tenant()); });
  EXPECT_TRUE(is_kept());
}

TEST_F(ReceivedMasterTest, WhatComesDuringARotationIsOfTheNewEpoch) {
  rotate();
  ASSERT_TRUE((*open())->set(secret_of(7), soon()).ok());
  EXPECT_FALSE(older_than(1));
  EXPECT_FALSE(reseal());
  EXPECT_TRUE(is_kept());
}

TEST_F(ReceivedMasterTest, OfARetiredEpochItIsNotRead) {
  ASSERT_TRUE((*open())->set(secret_of(7), soon()).ok());
  rotate();
  settle();
  change([&](state::WriteTxn& txn) { return epochs->retire(txn, SealedMaster::tenant()); });
  EXPECT_EQ(open().error().code, Code::denied);
  EXPECT_FALSE(reseal()) << "it stays as it is, and is counted";
  EXPECT_TRUE(older_than(1));
}

TEST_F(ReceivedMasterTest, TheStoreDoesNotShowIt) {
  const auto canary = base::to_bytes(base::as_bytes("canary canary canary canary 1234"));
  ASSERT_EQ(canary.size(), 32U);
  ASSERT_TRUE((*open())->set(crypto::Secret::copy_of(canary), soon()).ok());
  sealed.reset();
  epochs.reset();
  store.reset();
  std::ifstream file(folder.file("store.db"), std::ios::binary);
  const std::string all{std::istreambuf_iterator<char>(file), {}};
  EXPECT_EQ(all.find(base::as_text(canary)), std::string::npos);
}

}  // namespace
}  // namespace attestry::keys
