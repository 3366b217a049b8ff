#include "secrets/keystore_wallet_usage.h"

#include <gtest/gtest.h>

#include "base/time.h"
#include "state/testing/support.h"

namespace attestry::secrets {
namespace {

using base::Code;
using chain::near::U128;
using keystore::WalletOp;

class WalletUsageTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = state::Store::open({.path = folder_.file("store.db"), .realm = base::Realm::simulated});
    ASSERT_TRUE(made.ok()) << made.error().text();
    store = *std::move(made);
  }
  base::Deadline patience() const { return std::chrono::steady_clock::now() + std::chrono::seconds(20); }
  void add(const WalletOp& op, std::int64_t now, const WalletName& wallet = {"", "w"}) {
    const auto done = store->write_and_wait(
        [&](state::WriteTxn& txn) -> base::Status {
          TRY(const auto before, read_wallet_usage(txn, wallet, op, {now}));
          return add_wallet_usage(txn, wallet, op, before, {now});
        },
        patience());
    ASSERT_TRUE(done.ok()) << done.error().text();
  }
  keystore::WalletUsage read(const WalletOp& op, std::int64_t now, const WalletName& wallet = {"", "w"}) {
    return *read_wallet_usage(**store->read(), wallet, op, {now});
  }
  static WalletOp transfer(std::uint64_t amount) { return {.kind = "transfer", .amount = U128{0, amount}}; }

  state::testing::TempFolder folder_;
  std::unique_ptr<state::Store> store;
};

constexpr std::int64_t kNoon = 1'800'014'400;  // 2027-01-15T12:00:00Z

TEST_F(WalletUsageTest, HoursDaysAndMonthsEndByThemselves) {
  add(transfer(5), kNoon);
  add(transfer(2), kNoon + 3599);
  EXPECT_EQ(read(transfer(0), kNoon + 3599).hour, (U128{0, 7}));
  EXPECT_EQ(read(transfer(0), kNoon + 3599).transactions_this_hour, 2U);
  const auto next_hour = read(transfer(0), kNoon + 3600);
  EXPECT_EQ(next_hour.hour, U128{});
  EXPECT_EQ(next_hour.transactions_this_hour, 0U);
  EXPECT_EQ(next_hour.day, (U128{0, 7}));
  EXPECT_EQ(read(transfer(0), kNoon + 12 * 3600).day, U128{});
  EXPECT_EQ(read(transfer(0), kNoon + 12 * 3600).month, (U128{0, 7}));
  EXPECT_EQ(read(transfer(0), kNoon + 17 * 86'400).month, U128{});
  add(transfer(1), kNoon + 3600);
  EXPECT_EQ(read(transfer(0), kNoon + 3600).day, (U128{0, 8}));
}

TEST_F(WalletUsageTest, TokensAndWalletsAreCountedByThemselves) {
  auto other = transfer(9);
  other.token = "nep141:usdc.near";
  add(transfer(5), kNoon);
  add(other, kNoon);
  EXPECT_EQ(read(transfer(0), kNoon).day, (U128{0, 5}));
  EXPECT_EQ(read(other, kNoon).day, (U128{0, 9}));
  EXPECT_EQ(read(other, kNoon).requests_this_hour, 2U);
  EXPECT_EQ(read(transfer(0), kNoon, {"v", "w"}).requests_this_hour, 0U);
  EXPECT_EQ(read(transfer(0), kNoon, {"", "vw"}).day, U128{});
}

TEST_F(WalletUsageTest, AuthorisationsMoveNothing) {
  add({.kind = "auth", .op_class = keystore::OpClass::auth}, kNoon);
  EXPECT_EQ(read(transfer(0), kNoon).transactions_this_hour, 0U);
  EXPECT_EQ(read(transfer(0), kNoon).requests_this_hour, 1U);
}

TEST_F(WalletUsageTest, SumsStopAtTheGreatestNumber) {
  const U128 most{~std::uint64_t{0}, ~std::uint64_t{0}};
  add({.kind = "transfer", .amount = most}, kNoon);
  add(transfer(1), kNoon);
  EXPECT_EQ(read(transfer(0), kNoon).month, most);
}

TEST_F(WalletUsageTest, AnApprovalIsGoodOnce) {
  const auto use = [&](std::string id, std::string hash, WalletName wallet = {"", "w"}) {
    return store->write_and_wait(
        [&](state::WriteTxn& txn) { return use_wallet_approval(txn, wallet, id, hash, {kNoon}); }, patience());
  };
  EXPECT_TRUE(use("a", "h").ok());
  EXPECT_EQ(use("a", "h").error().code, Code::replayed);
  EXPECT_TRUE(use("a", "i").ok());
  EXPECT_TRUE(use("b", "h").ok());
  EXPECT_TRUE(use("a", "h", {"v", "w"}).ok());
}

}  // namespace
}  // namespace attestry::secrets
