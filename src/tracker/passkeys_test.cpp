#include "tracker/passkeys.h"

#include <gtest/gtest.h>

#include <future>

#include "tracker/testing/tracker.h"

namespace attestry::tracker {
namespace {

using base::Code;
using testing::kNow;

class PasskeysTest : public ::testing::Test {
 protected:
  PasskeysTest() { open(); }
  void open(std::uint8_t key = 7) {
    const base::Bytes bytes(32, key);
    auto opened = Passkeys::open(tracker_.store(), tracker_.log(), random_, crypto::Secret::copy_of(bytes));
    ASSERT_TRUE(opened.ok()) << opened.error().text();
    passkeys_ = *std::move(opened);
  }
  base::Result<std::string> rotate(const std::string& user_id, std::optional<std::uint64_t> time) {
    std::promise<base::Result<std::string>> promise;
    passkeys_->rotate(user_id, time, [&](base::Result<std::string> done) { promise.set_value(std::move(done)); });
    return promise.get_future().get();
  }
  std::string owner(const std::string& passkey) const {
    const auto found = passkeys_->find(passkey);
    return found ? found->user_id : "nobody";
  }

  state::testing::ManualClock clock_{kNow};
  testing::Tracker tracker_{clock_};
  crypto::SeededRandom random_{base::as_bytes("passkeys")};
  std::unique_ptr<Passkeys> passkeys_;
};

TEST_F(PasskeysTest, APasskeyIsTheMembersAndTheInstances) {
  const auto alice = passkeys_->add("alice"), bob = passkeys_->add("bob");
  EXPECT_EQ(alice.size(), 40U);
  EXPECT_NE(alice, bob);
  EXPECT_EQ(passkeys_->add("alice"), alice);
  EXPECT_EQ(owner(alice), "alice");
  EXPECT_EQ(owner(bob), "bob");
  EXPECT_NE(passkeys_->find(alice)->number, passkeys_->find(bob)->number);
  EXPECT_NE(passkeys_->find(alice)->number, 0U) << "that is nobody's";
  for (const auto& none : {std::string{}, std::string(40, '0'), alice.substr(1), alice + "0", std::string(40, 'x')})
    EXPECT_EQ(owner(none), "nobody") << none;
  open(8);
  EXPECT_NE(passkeys_->add("alice"), alice);
  EXPECT_EQ(owner(alice), "nobody");
}

TEST_F(PasskeysTest, AChangedOneIsNoneAnyMore) {
  const auto first = passkeys_->add("alice"), bob = passkeys_->add("bob");
  const auto number = passkeys_->find(first)->number;
  const auto second = rotate("alice", kNow.seconds).value();
  EXPECT_NE(second, first);
  EXPECT_EQ(owner(first), "nobody");
  EXPECT_EQ(owner(second), "alice");
  EXPECT_EQ(owner(bob), "bob");
  EXPECT_EQ(passkeys_->find(second)->number, number) << "its peers are counted on";
  EXPECT_EQ(rotate("alice", kNow.seconds).error().code, Code::conflict) << "repeated";
  EXPECT_EQ(rotate("alice", kNow.seconds - 1).error().code, Code::conflict);
  EXPECT_EQ(owner(second), "alice");
  const auto third = rotate("alice", std::nullopt).value();
  EXPECT_EQ(owner(second), "nobody");
  EXPECT_EQ(rotate("alice", kNow.seconds).error().code, Code::conflict);
  open();
  EXPECT_EQ(passkeys_->add("alice"), third) << "after a restart";
  EXPECT_EQ(owner(first), "nobody");
}

TEST_F(PasskeysTest, AChangeIsALeafWithoutThePasskey) {
  passkeys_->add("alice");
  const auto before = tracker_.log().head().size;
  const auto second = rotate("alice", std::nullopt).value();
  const auto bytes = tracker_.log().leaf(before).value();
  EXPECT_EQ(audit::Leaf::parse(bytes).value().type, "tracker.passkey");
  EXPECT_EQ(bytes.find(second), std::string::npos);
}

TEST(PasskeyMessage, SaysAllThatCounts) {
  InstanceId one{}, other{};
  other.fill(1);
  const auto message = passkey_message(one, true, 5, "alice");
  EXPECT_EQ(message.size(), 45U);
  EXPECT_NE(message, passkey_message(other, true, 5, "alice"));
  EXPECT_NE(message, passkey_message(one, false, 5, "alice"));
  EXPECT_NE(message, passkey_message(one, true, 6, "alice"));
  EXPECT_NE(message, passkey_message(one, true, 5, "alicf"));
}

}  // namespace
}  // namespace attestry::tracker
