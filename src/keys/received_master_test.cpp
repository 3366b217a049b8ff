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
  }
  base::Result<std::unique_ptr<ReceivedMaster>> open(std::uint8_t sealing = 1) {
    return ReceivedMaster::open(*store, secret_of(sealing), random);
  }
  state::testing::TempFolder folder;
  std::unique_ptr<state::Store> store;
  crypto::SeededRandom random{base::as_bytes("received")};
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

TEST_F(ReceivedMasterTest, TakesExactlyThirtyTwoBytes) {
  const auto master = open();
  EXPECT_EQ((*master)->set(secret_of(7, 31), soon()).error().code, Code::malformed);
  EXPECT_EQ((*master)->set(secret_of(7, 33), soon()).error().code, Code::malformed);
  EXPECT_FALSE((*master)->has());
}

TEST_F(ReceivedMasterTest, DoesNotOpenUnderAnotherKey) {
  ASSERT_TRUE((*open())->set(secret_of(7), soon()).ok());
  EXPECT_FALSE(open(2).ok());
}

TEST_F(ReceivedMasterTest, TheStoreDoesNotShowIt) {
  const auto canary = base::to_bytes(base::as_bytes("canary canary canary canary 1234"));
  ASSERT_EQ(canary.size(), 32U);
  ASSERT_TRUE((*open())->set(crypto::Secret::copy_of(canary), soon()).ok());
  store.reset();
  std::ifstream file(folder.file("store.db"), std::ios::binary);
  const std::string all{std::istreambuf_iterator<char>(file), {}};
  EXPECT_EQ(all.find(base::as_text(canary)), std::string::npos);
}

}  // namespace
}  // namespace attestry::keys
