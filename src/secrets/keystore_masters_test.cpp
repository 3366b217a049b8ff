#include "secrets/keystore_masters.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "audit/testing/support.h"
#include "base/encoding.h"
#include "crypto/hash.h"
#include "secrets/testing/keystore_device.h"

namespace attestry::secrets {
namespace {

using base::Code;
using state::testing::patient;
using ::testing::HasSubstr;
using testing::StandInDevice;

class KeystoreMastersTest : public ::testing::Test {
 protected:
  state::testing::TempFolder folder_;
  std::unique_ptr<state::Store> store_ =
      *state::Store::open({.path = folder_.file("store.db"), .realm = base::Realm::simulated});
  std::unique_ptr<audit::Log> log_ =
      *audit::Log::open(*store_, audit::testing::log_key(),
                        {.origin = audit::testing::kOrigin, .checkpoint_path = folder_.file("checkpoint")});
  keys::SealingEpochs epochs_{*store_, crypto::Secret::copy_of(base::Bytes(32, 7)), crypto::system_random()};
  std::shared_ptr<StandInDevice> device_ = std::make_shared<StandInDevice>("tpm2", 1);

  static crypto::Secret secret(std::uint8_t byte) { return crypto::Secret::copy_of(base::Bytes(32, byte)); }
  KeystoreMastersOptions options(std::uint8_t master = 1) {
    return {.first = secret(9), .source = imported_source(secret(master), crypto::system_random()), .device = device_};
  }
  std::unique_ptr<KeystoreMasters> open(KeystoreMastersOptions with) {
    auto out = KeystoreMasters::open({*store_, *log_, epochs_, crypto::system_random()}, std::move(with));
    EXPECT_TRUE(out.ok()) << out.error().text();
    return std::move(*out);
  }
  std::unique_ptr<KeystoreMasters> open() { return open(options()); }
  static std::string hex(const base::Result<MasterPtr>& master) {
    return master ? base::hex((*master)->reveal()) : std::string{base::slug(master.error().code)};
  }
  static base::Status wait(const std::function<void(KeystoreMasters::Completion)>& start) {
    std::promise<base::Status> said;
    start([&](base::Status done) { said.set_value(std::move(done)); });
    return said.get_future().get();
  }
  std::string last_leaf() const { return *log_->leaf(log_->head().size - 1); }
};

TEST_F(KeystoreMastersTest, AnImportedMasterSurvivesARestartAndIsTheDefaultOfEpochOne) {
  EXPECT_EQ(hex(open()->master()), base::hex(base::Bytes(32, 1)));
  EXPECT_THAT(last_leaf(), HasSubstr("keystore.master"));
  const auto again = open();
  EXPECT_TRUE(again->ready().ok());
  EXPECT_EQ(hex(again->master({}, 1)), base::hex(base::Bytes(32, 1)));
  EXPECT_EQ(again->current_epoch(), 1U);
  EXPECT_EQ(hex(again->master({}, 2)), "not-found");
}

TEST_F(KeystoreMastersTest, NoMasterLiesInTheStoreInClear) {
  {
    const auto masters = open();
  }
  const auto view = *store_->read();
  const base::Bytes clear(32, 1);
  std::size_t seen = 0;
  ASSERT_TRUE(view->scan({}, {}, 1000,
                         [&](base::ByteView, base::ByteView value) {
                           ++seen;
                           EXPECT_EQ(std::search(value.begin(), value.end(), clear.begin(), clear.end()), value.end());
                           return true;
                         })
                  .ok());
  EXPECT_GT(seen, 3U);
}

TEST_F(KeystoreMastersTest, AnotherImportedMasterIsRefusedAndNothingIsLost) {
  {
    const auto masters = open();
  }
  const auto other = open(options(2));
  EXPECT_EQ(other->ready().error().code, Code::configuration);
  EXPECT_EQ(hex(other->master()), "configuration");
  EXPECT_EQ(hex(open()->master()), base::hex(base::Bytes(32, 1)));
}

TEST_F(KeystoreMastersTest, AnotherDeviceDoesNotOpenItAndTheServerStaysUp) {
  {
    const auto masters = open();
  }
  device_ = std::make_shared<StandInDevice>("tpm2", 2);
  const auto other = open();
  EXPECT_EQ(other->ready().error().code, Code::wrong_key) << other->ready().error().text();
  EXPECT_THAT(other->ready().error().text(), HasSubstr("tpm2"));
}

TEST_F(KeystoreMastersTest, ASettingThatNamesAnotherDeviceOrNoneIsRefused) {
  {
    const auto masters = open();
  }
  device_ = std::make_shared<StandInDevice>("key-file", 1);
  EXPECT_EQ(open()->ready().error().code, Code::wrong_key);
  device_ = nullptr;
  EXPECT_EQ(open()->ready().error().code, Code::wrong_key);
}

TEST_F(KeystoreMastersTest, ADeviceThatComesBackIsEnough) {
  {
    const auto masters = open();
  }
  device_->away = true;
  const auto masters = open();
  EXPECT_EQ(masters->ready().error().code, Code::unavailable);
  device_->away = false;
  EXPECT_TRUE(masters->prepare(patient()).ok());
  EXPECT_EQ(hex(masters->master()), base::hex(base::Bytes(32, 1)));
}

TEST_F(KeystoreMastersTest, ANewDeviceTakesOverFromTheOneBefore) {
  {
    const auto masters = open();
  }
  auto both = options();
  both.previous = device_;
  both.device = std::make_shared<StandInDevice>("key-file", 3);
  const auto next = both.device;
  EXPECT_EQ(hex(open(std::move(both))->master()), base::hex(base::Bytes(32, 1)));
  EXPECT_THAT(last_leaf(), HasSubstr("keystore.reseal"));
  auto alone = options();
  alone.device = next;
  EXPECT_EQ(hex(open(std::move(alone))->master()), base::hex(base::Bytes(32, 1)));
  EXPECT_EQ(open()->ready().error().code, Code::wrong_key) << "the device before opens it no more";
}

TEST_F(KeystoreMastersTest, AKeystoreWithoutADeviceGetsOneLater) {
  auto plain = options();
  plain.device = nullptr;
  {
    const auto masters = open(std::move(plain));
  }
  EXPECT_EQ(hex(open()->master()), base::hex(base::Bytes(32, 1)));
  device_ = nullptr;
  EXPECT_EQ(open()->ready().error().code, Code::wrong_key);
}

TEST_F(KeystoreMastersTest, AVaultsMasterHangsOnTheDefaultAndTheVaultsName) {
  const auto masters = open();
  const auto acme = hex(masters->master("acme.near"));
  EXPECT_EQ(acme, base::hex(local_vault_master(secret(1), "acme.near").reveal()));
  EXPECT_NE(acme, hex(masters->master("other.near")));
  EXPECT_THAT(masters->loaded_vaults(), ::testing::ElementsAre("acme.near", "other.near"));
  ASSERT_TRUE(masters->begin_epoch(patient()).ok());
  EXPECT_NE(acme, hex(masters->master("acme.near")));
  EXPECT_EQ(acme, hex(masters->master("acme.near", 1)));
}

TEST_F(KeystoreMastersTest, ThePathOfAVaultIsThatOfTheSpecification) {
  // keystore_ckd.md 4.6, last vector.
  const auto fixture = crypto::Secret::copy_of(base::as_bytes("M-1 regression fixture ........."));
  EXPECT_EQ(vault_master_path(fixture, "acme.near"),
            "1af4a64e1daecdc51a21e084171fccb1aa45be06f01ecb61f2549372cc8badc3");
}

TEST_F(KeystoreMastersTest, BansAreDurableAndEvictionIsNot) {
  const auto masters = open();
  const auto before = hex(masters->master("acme.near"));
  ASSERT_TRUE(wait([&](auto done) { masters->evict("acme.near", std::move(done)); }).ok());
  EXPECT_TRUE(masters->loaded_vaults().empty());
  EXPECT_EQ(hex(masters->master("acme.near")), before);
  ASSERT_TRUE(wait([&](auto done) { masters->ban("acme.near", "stolen", std::move(done)); }).ok());
  EXPECT_EQ(hex(masters->master("acme.near")), "denied");
  EXPECT_EQ(hex(open()->master("acme.near")), "denied");
  EXPECT_THAT(open()->master("acme.near").error().text(), HasSubstr("stolen"));
  ASSERT_TRUE(wait([&](auto done) { masters->unban("acme.near", std::move(done)); }).ok());
  EXPECT_EQ(hex(masters->master("acme.near")), before);
  EXPECT_EQ(wait([&](auto done) { masters->ban("", "x", std::move(done)); }).error().code, Code::usage);
}

TEST_F(KeystoreMastersTest, EvictingNoVaultKeepsTheDefaultMaster) {
  const auto masters = open();
  ASSERT_TRUE(wait([&](auto done) { masters->evict("", std::move(done)); }).ok());
  EXPECT_TRUE(open()->ready().ok());
}

TEST_F(KeystoreMastersTest, ARotationKeepsOldEpochsUntilTheyAreRetired) {
  const auto masters = open();
  EXPECT_EQ(*masters->begin_epoch(patient()), 2U);
  EXPECT_THAT(last_leaf(), HasSubstr("keystore.rotate"));
  const auto second = hex(masters->master());
  EXPECT_NE(second, base::hex(base::Bytes(32, 1)));
  EXPECT_EQ(hex(masters->master({}, 1)), base::hex(base::Bytes(32, 1)));
  EXPECT_EQ(hex(open()->master()), second);
  const auto refused = masters->retire_before(
      2, [](const state::ReadView&) -> base::Status { return base::Error{Code::conflict, "still needed"}; }, patient());
  EXPECT_EQ(refused.error().code, Code::conflict);
  EXPECT_EQ(hex(masters->master({}, 1)), base::hex(base::Bytes(32, 1)));
  EXPECT_EQ(masters->retire_before(3, {}, patient()).error().code, Code::usage);
  ASSERT_TRUE(masters->retire_before(2, {}, patient()).ok());
  EXPECT_EQ(masters->retire_before(2, {}, patient()).error().code, Code::conflict);
  EXPECT_EQ(hex(masters->master({}, 1)), "denied");
  EXPECT_EQ(hex(open()->master()), second) << "the imported master is that of a retired epoch, and no contradiction";
}

TEST_F(KeystoreMastersTest, TheSealingEpochsOfTheStoreTurnWithoutTheDevice) {
  const auto masters = open();
  ASSERT_TRUE(store_
                  ->write_and_wait(
                      [&](state::WriteTxn& txn) -> base::Status {
                        TRY_OK(epochs_.begin(txn, KeystoreRecords::tenant(), {1000}));
                        return base::done();
                      },
                      patient())
                  .ok());
  EXPECT_EQ(*masters->records()->older_than(**store_->read(), KeystoreRecords::tenant(), 1), 1U);
  device_->away = true;
  std::uint64_t done = 0;
  ASSERT_TRUE(store_
                  ->write_and_wait(
                      [&](state::WriteTxn& txn) -> base::Status {
                        TRY(done, masters->records()->reseal(txn, KeystoreRecords::tenant()));
                        return base::done();
                      },
                      patient())
                  .ok());
  EXPECT_EQ(done, 1U);
  EXPECT_EQ(*masters->records()->older_than(**store_->read(), KeystoreRecords::tenant(), 1), 0U);
  device_->away = false;
  EXPECT_EQ(hex(open()->master()), base::hex(base::Bytes(32, 1)));
}

TEST_F(KeystoreMastersTest, WhatIsHeldBackServesNothing) {
  const auto masters = open();
  masters->hold(base::Error{Code::unavailable, "this server stands by"});
  EXPECT_EQ(hex(masters->master()), "unavailable");
  EXPECT_EQ(masters->begin_epoch(patient()).error().code, Code::unavailable);
  masters->hold(std::nullopt);
  EXPECT_TRUE(masters->ready().ok());
}

TEST_F(KeystoreMastersTest, ABundleGivesTheSameKeysOnAnotherDevice) {
  auto with = options();
  with.v0_seed = secret(5);
  const auto masters = open(std::move(with));
  ASSERT_TRUE(masters->begin_epoch(patient()).ok());
  ASSERT_TRUE(wait([&](auto done) { masters->ban("bad.near", "stolen", std::move(done)); }).ok());
  const auto bundle = *masters->bundle();
  state::testing::TempFolder other;
  const auto store = *state::Store::open({.path = other.file("store.db"), .realm = base::Realm::simulated});
  const auto log = *audit::Log::open(*store, audit::testing::log_key(),
                                     {.origin = audit::testing::kOrigin, .checkpoint_path = other.file("checkpoint")});
  const keys::SealingEpochs epochs{*store, secret(8), crypto::system_random()};
  const KeystoreMastersParts parts{*store, *log, epochs, crypto::system_random()};
  const auto second_device = std::make_shared<StandInDevice>("tpm2", 7);
  const auto second = [&] {
    KeystoreMastersOptions in;
    in.first = secret(3);
    in.source = derived_source(secret(4), crypto::system_random());
    in.device = second_device;
    in.wait_for_import = true;
    return std::move(*KeystoreMasters::open(parts, std::move(in)));
  };
  {
    const auto fresh = second();
    EXPECT_EQ(fresh->ready().error().code, Code::unavailable);
    ASSERT_TRUE(fresh->import(bundle, false, patient()).ok());
    EXPECT_TRUE(fresh->import(bundle, false, patient()).ok()) << "the same again";
  }
  const auto there = second();
  for (const auto epoch : {1U, 2U}) {
    EXPECT_EQ(hex(there->master({}, epoch)), hex(masters->master({}, epoch)));
    EXPECT_EQ(hex(there->master("acme.near", epoch)), hex(masters->master("acme.near", epoch)));
  }
  EXPECT_EQ(hex(there->master("bad.near")), "denied");
  EXPECT_TRUE(base::equal(there->v0_seed()->reveal(), secret(5).reveal()));
  KeystoreBundle foreign = *masters->bundle();
  foreign.masters[0].master = secret(77);
  EXPECT_EQ(there->import(foreign, false, patient()).error().code, Code::conflict);
  foreign.masters.erase(foreign.masters.begin());
  EXPECT_EQ(there->import(foreign, true, patient()).error().code, Code::malformed);
}

TEST_F(KeystoreMastersTest, AMasterOfAThresholdRootComesWhenTheNodesDoAndIsKept) {
  bool away = true;
  int asked = 0;
  auto with = options();
  with.source = threshold_source(
      [&]() -> base::Result<crypto::Secret> {
        ++asked;
        if (away) return base::Error{Code::unavailable, "3 of 7 nodes"};
        return secret(6);
      },
      crypto::system_random());
  const auto source = with.source;
  {
    const auto masters = open(std::move(with));
    EXPECT_EQ(masters->ready().error().code, Code::unavailable) << "it comes up, and serves nothing";
    EXPECT_THAT(masters->ready().error().text(), HasSubstr("3 of 7 nodes"));
    EXPECT_EQ(hex(masters->master()), "unavailable");
    away = false;
    ASSERT_TRUE(masters->prepare(patient()).ok());
    EXPECT_EQ(hex(masters->master()), base::hex(base::Bytes(32, 6)));
    EXPECT_EQ(masters->source_name(), "threshold");
  }
  away = true;
  auto again = options();
  again.source = source;
  EXPECT_EQ(hex(open(std::move(again))->master()), base::hex(base::Bytes(32, 6))) << "of the store";
  EXPECT_EQ(asked, 2);
}

TEST_F(KeystoreMastersTest, OneLookGivesEpochMasterAndItsName) {
  auto with = options();
  with.source = derived_source(secret(1), crypto::system_random());
  const auto masters = open(std::move(with));
  const auto first = *masters->current("acme.near");
  EXPECT_EQ(first.epoch, 1U);
  EXPECT_EQ(first.id, master_key_id(*first.master));
  EXPECT_EQ(first.id, masters->at("acme.near", 1)->id);
  EXPECT_NE(first.id, masters->current()->id);
  // A backup of another server comes in the place of what is here: the same vault and epoch, and another master.
  auto bundle = *masters->bundle();
  bundle.masters[0].master = secret(77);
  ASSERT_TRUE(masters->import(bundle, true, patient()).ok());
  const auto second = *masters->current("acme.near");
  EXPECT_EQ(second.epoch, 1U);
  EXPECT_NE(second.id, first.id);
}

TEST_F(KeystoreMastersTest, WhoRemembersKeysIsToldWhenTheirMastersChangeOrGo) {
  const auto masters = open();
  int told = 0;
  masters->on_change([&] { ++told; });
  ASSERT_TRUE(masters->begin_epoch(patient()).ok());
  EXPECT_EQ(told, 1);
  ASSERT_TRUE(masters->retire_before(2, {}, patient()).ok());
  EXPECT_EQ(told, 2);
  ASSERT_TRUE(masters->import(*masters->bundle(), true, patient()).ok());
  EXPECT_EQ(told, 3);
  ASSERT_TRUE(wait([&](auto done) { masters->evict("acme.near", std::move(done)); }).ok());
  EXPECT_EQ(told, 4);
  ASSERT_TRUE(wait([&](auto done) { masters->ban("acme.near", "stolen", std::move(done)); }).ok());
  EXPECT_EQ(told, 5);
  masters->on_change({});
  ASSERT_TRUE(masters->begin_epoch(patient()).ok());
  EXPECT_EQ(told, 5);
}

TEST_F(KeystoreMastersTest, RetiringEpochOneKeepsTheFirstGenerationsKey) {
  const auto masters = open();
  const auto before = *masters->v0_seed();
  ASSERT_TRUE(masters->begin_epoch(patient()).ok());
  ASSERT_TRUE(masters->retire_before(2, {}, patient()).ok());
  const auto after = masters->v0_seed();
  ASSERT_TRUE(after.ok()) << after.error().text();
  EXPECT_TRUE(base::equal(after->reveal(), before.reveal()));
  EXPECT_TRUE(base::equal(open()->v0_seed()->reveal(), before.reveal()));
}

TEST_F(KeystoreMastersTest, RetiringKeepsTheMasterOfWalletsForWalletsAlone) {
  std::string of_default;
  std::string of_vault;
  const auto look = [&](const KeystoreMasters& masters) {
    const auto one = masters.wallets();
    ASSERT_TRUE(one.ok()) << one.error().text();
    EXPECT_EQ(one->epoch, 1U);
    EXPECT_EQ(masters.wallets_epoch(), 1U);
    EXPECT_EQ(base::hex(one->master->reveal()), of_default);
    EXPECT_EQ(hex(masters.wallets("acme.near")->master), of_vault);
  };
  auto masters = open();
  of_default = hex(masters->master());
  of_vault = hex(masters->master("acme.near"));
  look(*masters);
  for (const std::uint32_t next : {2U, 3U}) {
    ASSERT_TRUE(masters->begin_epoch(patient()).ok());
    look(*masters);
    ASSERT_TRUE(masters->retire_before(next, {}, patient()).ok());
    look(*masters);
    EXPECT_EQ(hex(masters->master({}, 1)), "denied") << "what owners have encrypted is not opened any more";
    EXPECT_EQ(hex(masters->master("acme.near", 1)), "denied");
    EXPECT_EQ(masters->epochs().size(), 1U);
  }
  EXPECT_EQ(hex(masters->master({}, 2)), "denied");
  masters = open();
  look(*masters);
  EXPECT_EQ(open(options(2))->ready().error().code, Code::configuration) << "it is the imported one still";
  ASSERT_TRUE(wait([&](auto done) { masters->ban("acme.near", "", std::move(done)); }).ok());
  EXPECT_EQ(masters->wallets("acme.near").error().code, Code::denied);
  masters->hold(base::Error{Code::unavailable, "not compared yet"});
  EXPECT_EQ(masters->wallets().error().code, Code::unavailable);
}

TEST_F(KeystoreMastersTest, CopiesHaveTheMasterOfWallets) {
  const auto masters = open();
  const auto wallets = hex(masters->master());
  ASSERT_TRUE(masters->begin_epoch(patient()).ok());
  ASSERT_TRUE(masters->retire_before(2, {}, patient()).ok());
  auto bundle = *masters->bundle();
  EXPECT_EQ(bundle.wallets_epoch, 1U);
  EXPECT_EQ((*masters->bundle(**store_->read())).wallets_epoch, 1U);
  EXPECT_TRUE(masters->import(bundle, false, patient()).ok()) << "the same again";
  EXPECT_EQ(hex(masters->wallets()->master), wallets);
  bundle.wallets = secret(77);
  EXPECT_EQ(masters->import(bundle, false, patient()).error().code, Code::conflict) << "of other wallets";
  bundle.wallets_epoch = 2;
  EXPECT_EQ(masters->import(bundle, true, patient()).error().code, Code::malformed) << "an epoch that is there";
  bundle.wallets_epoch = 0;
  EXPECT_EQ(masters->import(bundle, true, patient()).error().code, Code::malformed) << "of no epoch";
  bundle.wallets = {};
  EXPECT_EQ(masters->import(bundle, false, patient()).error().code, Code::conflict) << "without";
  EXPECT_EQ(hex(masters->wallets()->master), wallets);
}

TEST_F(KeystoreMastersTest, ADeviceIsLeftByNamingItAsTheOneBefore) {
  {
    const auto masters = open();
  }
  const auto leaving = [&] {
    auto out = options();
    out.previous = std::exchange(out.device, nullptr);
    return out;
  };
  EXPECT_EQ(hex(open(leaving())->master()), base::hex(base::Bytes(32, 1)));
  EXPECT_THAT(last_leaf(), HasSubstr("keystore.reseal"));
  const auto leaves = log_->head().size;
  EXPECT_EQ(hex(open(leaving())->master()), base::hex(base::Bytes(32, 1)));
  EXPECT_EQ(log_->head().size, leaves) << "nothing is sealed anew a second time";
  device_ = nullptr;
  EXPECT_EQ(hex(open()->master()), base::hex(base::Bytes(32, 1))) << "the device may be taken away now";
}

TEST_F(KeystoreMastersTest, ARestorationThatWouldLoseTheFirstGenerationsKeyIsRefused) {
  auto with = options();
  with.v0_seed = secret(5);
  const auto masters = open(std::move(with));
  auto bundle = *masters->bundle();
  EXPECT_TRUE(masters->import(bundle, false, patient()).ok());
  bundle.v0_seed = secret(6);
  EXPECT_EQ(masters->import(bundle, false, patient()).error().code, Code::conflict);
  bundle.v0_seed = {};
  EXPECT_EQ(masters->import(bundle, false, patient()).error().code, Code::conflict);
  EXPECT_TRUE(base::equal(masters->v0_seed()->reveal(), secret(5).reveal()));
}

TEST_F(KeystoreMastersTest, MastersAndBansOfABackupComeTogetherOrNotAtAll) {
  const auto with = [&] {
    auto out = options();
    out.source = derived_source(secret(1), crypto::system_random());
    return out;
  };
  const auto masters = open(with());
  auto bundle = *masters->bundle();
  bundle.masters[0].master = secret(77);
  bundle.bans = {{"bad.near", "stolen", {1000}}};
  EXPECT_EQ(masters->import(bundle, false, patient()).error().code, Code::conflict);
  device_->away = true;
  EXPECT_EQ(masters->import(bundle, true, patient()).error().code, Code::unavailable);
  EXPECT_FALSE(masters->banned("bad.near")) << "in memory";
  device_->away = false;
  EXPECT_FALSE(open(with())->banned("bad.near")) << "in the store";
  ASSERT_TRUE(masters->import(bundle, true, patient()).ok());
  EXPECT_TRUE(masters->banned("bad.near"));
  EXPECT_EQ(hex(masters->master()), base::hex(base::Bytes(32, 77)));
}

TEST_F(KeystoreMastersTest, ABundleOfAViewIsWhatIsStoredAndNeedsNoDevice) {
  const auto masters = open();
  const auto before = *store_->read();
  ASSERT_TRUE(masters->begin_epoch(patient()).ok());
  const auto after = *store_->read();
  EXPECT_EQ(masters->bundle(*before)->current, 1U);
  device_->away = true;
  const auto now = masters->bundle(*after);
  ASSERT_TRUE(now.ok()) << now.error().text();
  EXPECT_EQ(now->current, 2U);
  EXPECT_EQ(base::hex(now->masters.at(1).master.reveal()), hex(masters->master()));
}

TEST_F(KeystoreMastersTest, WhoComparesSeesTheKeyThatIsHeldBack) {
  const auto masters = open();
  masters->hold(base::Error{Code::unavailable, "not compared yet"});
  EXPECT_EQ(masters->v0_seed().error().code, Code::unavailable);
  ASSERT_TRUE(masters->v0_seed_though_held().ok());
  masters->hold(std::nullopt);
  EXPECT_TRUE(base::equal(masters->v0_seed()->reveal(), masters->v0_seed_though_held()->reveal()));
}

/// A source that asks others, as a threshold network does.
class RemoteSource final : public MasterSource {
 public:
  int asked = 0;
  std::string_view name() const noexcept override { return "threshold"; }
  base::Result<crypto::Secret> default_master(std::uint32_t epoch) override {
    return crypto::Secret::copy_of(base::Bytes(32, static_cast<std::uint8_t>(epoch)));
  }
  base::Result<crypto::Secret> vault_master(const crypto::Secret&, std::string_view vault,
                                            base::Deadline /*deadline*/) override {
    ++asked;
    return crypto::Secret::copy_of(crypto::sha256(base::as_bytes(vault)));
  }
  bool local() const noexcept override { return false; }
};

TEST_F(KeystoreMastersTest, MastersThatOthersGiveAreAskedForOnceAndKept) {
  const auto source = std::make_shared<RemoteSource>();
  const auto with = [&] {
    auto out = options();
    out.source = source;
    return out;
  };
  {
    const auto masters = open(with());
    EXPECT_EQ(hex(masters->master("acme.near")), "not-found");
    ASSERT_TRUE(masters->load_vault("acme.near", patient()).ok());
    EXPECT_EQ(hex(masters->master("acme.near")), base::hex(crypto::sha256(base::as_bytes("acme.near"))));
  }
  const auto masters = open(with());
  EXPECT_EQ(hex(masters->master("acme.near")), base::hex(crypto::sha256(base::as_bytes("acme.near"))));
  EXPECT_EQ(source->asked, 1);
  ASSERT_TRUE(wait([&](auto done) { masters->evict("acme.near", std::move(done)); }).ok());
  EXPECT_EQ(hex(open(with())->master("acme.near")), "not-found");
  ASSERT_TRUE(wait([&](auto done) { masters->ban("acme.near", "", std::move(done)); }).ok());
  EXPECT_EQ(masters->load_vault("acme.near", patient()).error().code, Code::denied);
}

TEST_F(KeystoreMastersTest, WalletsOfAVaultWhoseMasterOthersGiveStay) {
  const auto with = [&] {
    auto out = options();
    out.source = std::make_shared<RemoteSource>();
    return out;
  };
  auto masters = open(with());
  ASSERT_TRUE(masters->load_vault("acme.near", patient()).ok());
  const auto before = hex(masters->wallets("acme.near")->master);
  ASSERT_TRUE(masters->begin_epoch(patient()).ok());
  ASSERT_TRUE(masters->retire_before(2, {}, patient()).ok());
  masters = open(with());
  EXPECT_EQ(hex(masters->wallets("acme.near")->master), before);
  EXPECT_EQ(masters->wallets("later.near").error().code, Code::not_found);
  ASSERT_TRUE(masters->load_vault("later.near", patient()).ok());
  EXPECT_EQ(masters->wallets("later.near")->epoch, 1U);
}

/// As one that a DAO has to approve first: no master before that, and one for ever.
class ApprovedSource final : public MasterSource {
 public:
  bool approved = false;
  int asked = 0;
  std::string_view name() const noexcept override { return "ckd"; }
  base::Result<crypto::Secret> default_master(std::uint32_t epoch) override {
    ++asked;
    if (epoch != 1) return base::Error{Code::usage, "one epoch"};
    if (!approved) return base::Error{Code::unavailable, "members have not voted"};
    return crypto::Secret::copy_of(base::Bytes(32, 6));
  }
  base::Result<crypto::Secret> vault_master(const crypto::Secret&, std::string_view, base::Deadline) override {
    return base::Error{Code::unavailable, "no network"};
  }
  bool local() const noexcept override { return false; }
  bool binding() const noexcept override { return true; }
  bool rotates() const noexcept override { return false; }
  bool given() const noexcept override { return true; }
  bool waits() const noexcept override { return true; }
};

class ImportTest : public KeystoreMastersTest {
 protected:
  std::shared_ptr<ApprovedSource> source_ = std::make_shared<ApprovedSource>();
  KeystoreMastersOptions ckd() {
    auto out = options();
    out.source = source_;
    return out;
  }
  static KeystoreBundle bundle(std::uint8_t master, std::uint32_t epoch = 1) {
    KeystoreBundle out;
    out.current = out.oldest = epoch;
    out.source = "ckd";
    out.masters.push_back({.vault = {}, .epoch = epoch, .since = {}, .master = secret(master)});
    return out;
  }
};

TEST_F(ImportTest, WhatADaoGivesGoesIntoNoBackup) {
  source_->approved = true;
  const auto masters = open(ckd());
  ASSERT_TRUE(masters->prepare(patient()).ok());
  EXPECT_EQ(masters->bundle().error().code, Code::denied);
  EXPECT_TRUE(masters->bundle(**store_->read()).ok()) << "a standby's, which is voted in by itself";
}

TEST_F(ImportTest, NoCopyGoesAroundTheVotesOfADao) {
  const auto masters = open(ckd());
  EXPECT_EQ(masters->import(bundle(6), true, patient()).error().code, Code::unavailable) << "nobody has voted yet";
  EXPECT_EQ(masters->ready().error().code, Code::unavailable);
  source_->approved = true;
  EXPECT_EQ(masters->import(bundle(7), true, patient()).error().code, Code::conflict) << "another master";
  EXPECT_EQ(masters->ready().error().code, Code::unavailable);
  ASSERT_TRUE(masters->import(bundle(6), false, patient()).ok());
  EXPECT_TRUE(masters->ready().ok());
  EXPECT_EQ(masters->import(bundle(7), true, patient()).error().code, Code::conflict);
  EXPECT_EQ(hex(masters->master()), base::hex(base::Bytes(32, 6)));
}

TEST_F(ImportTest, AMasterOfOneEpochHasNoOther) {
  source_->approved = true;
  const auto masters = open(ckd());
  EXPECT_EQ(masters->import(bundle(6, 2), true, patient()).error().code, Code::conflict) << "of epoch 2";
  auto two = bundle(6);
  two.current = 2;
  two.masters.push_back({.vault = {}, .epoch = 2, .since = {}, .master = secret(7)});
  EXPECT_EQ(masters->import(two, true, patient()).error().code, Code::conflict) << "and a second one";
  auto retired = bundle(7, 2);
  retired.wallets_epoch = 1;
  retired.wallets = secret(6);
  EXPECT_EQ(masters->import(retired, true, patient()).error().code, Code::conflict) << "the first one retired";
  EXPECT_FALSE(masters->ready().ok());
}

TEST_F(ImportTest, AStoreWithLaterEpochsDoesNotStartWithASourceOfOne) {
  auto with = options();
  with.source = derived_source(secret(6), crypto::system_random());
  {
    const auto masters = open(std::move(with));
    ASSERT_TRUE(masters->begin_epoch(patient()).ok());
  }
  source_->approved = true;
  EXPECT_EQ(open(ckd())->prepare(patient()).error().code, Code::configuration);
}

TEST_F(ImportTest, AStandbyIsApprovedBeforeItHasMasters) {
  auto with = ckd();
  with.wait_for_import = true;
  const auto masters = open(std::move(with));
  EXPECT_THAT(masters->prepare(patient()).error().text(), HasSubstr("have not voted"));
  EXPECT_EQ(source_->asked, 1) << "its own registration goes on while it waits";
  source_->approved = true;
  EXPECT_THAT(masters->prepare(patient()).error().text(), HasSubstr("waits for its masters"));
  ASSERT_TRUE(masters->import(bundle(6), false, patient()).ok());
  EXPECT_TRUE(masters->ready().ok());
}

TEST_F(ImportTest, ACopyIsMeasuredByTheSettingsOfAStart) {
  const auto masters = open(options(1));
  EXPECT_EQ(masters->import(bundle(2), true, patient()).error().code, Code::conflict) << "another imported master";
  EXPECT_EQ(hex(masters->master()), base::hex(base::Bytes(32, 1)));
  auto with = options(1);
  with.v0_seed = secret(5);
  const auto first = open(std::move(with));
  auto other = bundle(1);
  other.v0_seed = secret(4);
  EXPECT_EQ(first->import(other, true, patient()).error().code, Code::conflict) << "KEYSTORE_PRIVATE_KEY";
  ASSERT_TRUE(first->import(bundle(1), true, patient()).ok());
  EXPECT_TRUE(base::equal(first->v0_seed()->reveal(), secret(5).reveal())) << "what is set is kept";
}

TEST_F(KeystoreMastersTest, AGeneratedMasterIsAnnouncedOnceAndOnlyIfThatWorks) {
  std::string said;
  bool fail = true;
  const auto with = [&] {
    auto out = options();
    out.source = generated_source(crypto::system_random(), [&](const crypto::Secret& master) -> base::Status {
      if (fail) return base::Error{Code::io, "cannot write"};
      said += base::hex(master.reveal());
      return base::done();
    });
    return out;
  };
  EXPECT_EQ(open(with())->ready().error().code, Code::io);
  fail = false;
  EXPECT_EQ(hex(open(with())->master()), said);
  EXPECT_EQ(hex(open(with())->master()), said);
}

}  // namespace
}  // namespace attestry::secrets
