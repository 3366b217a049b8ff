#include "secrets/keystore_sessions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <set>

#include "state/testing/support.h"

namespace attestry::secrets {
namespace {

using base::Code;
using state::testing::patient;
using ::testing::HasSubstr;

constexpr base::FixedBytes<32> kChannel{1, 2, 3};
constexpr base::FixedBytes<32> kOther{4, 5, 6};

class KeystoreSessionsTest : public ::testing::Test {
 protected:
  state::testing::TempFolder folder_;
  state::testing::ManualClock clock_{{1'790'000'000}};
  std::unique_ptr<state::Store> store_ = open_store();

  std::unique_ptr<state::Store> open_store() {
    auto out =
        state::Store::open({.path = folder_.file("store.db"), .realm = base::Realm::simulated, .clock = &clock_});
    EXPECT_TRUE(out.ok()) << out.error().text();
    return *std::move(out);
  }
  std::unique_ptr<KeystoreSessions> open(std::uint8_t sealing = 1, KeystoreSessionRules rules = {}) {
    auto out = KeystoreSessions::open(*store_, crypto::Secret::copy_of(base::Bytes(32, sealing)),
                                      crypto::system_random(), rules);
    EXPECT_TRUE(out.ok()) << out.error().text();
    return *std::move(out);
  }
  /// Registers; its id.
  std::string add(KeystoreSessions& sessions, KeystoreSession session = {}) {
    const std::string id = sessions.new_id();
    session.digest = KeystoreSessions::digest_of(id);
    if (session.public_key.empty()) session.public_key = "ed25519:worker";
    session.made = clock_.now();
    session.expires = session.made + 100;
    const auto shared = std::make_shared<const KeystoreSession>(std::move(session));
    EXPECT_TRUE(
        store_->write_and_wait([&](state::WriteTxn& txn) { return sessions.put(txn, *shared); }, patient()).ok());
    sessions.admitted(shared);
    return id;
  }
  /// Whether it was ended for good, by a store that takes nothing meanwhile.
  bool end_while_the_store_is_busy(KeystoreSessions& sessions, const KeystoreSessions::Choice& which) {
    std::promise<void> begun, ended;
    const auto go_on = std::make_shared<std::promise<void>>();
    store_->write(
        [&begun, go_on](state::WriteTxn&) -> base::Status {
          begun.set_value();
          go_on->get_future().wait();
          return base::done();
        },
        [&ended](const base::Status&) { ended.set_value(); });
    begun.get_future().wait();
    const bool done = sessions.end(which, base::Deadline{}).ok();
    go_on->set_value();
    ended.get_future().wait();
    return done;
  }
  std::string found(const KeystoreSessions& sessions, const std::string& id,
                    const base::FixedBytes<32>* channel = nullptr) {
    const auto session = sessions.find(id, clock_.now(), channel);
    return session ? (*session)->public_key : session.error().what;
  }
};

TEST_F(KeystoreSessionsTest, AChallengeIsAnsweredOnceAndWithinItsTime) {
  const auto sessions = open();
  const auto first = sessions->challenge("a", clock_.steady());
  EXPECT_TRUE(sessions->answer(first, clock_.steady()).ok());
  EXPECT_EQ(sessions->answer(first, clock_.steady()).error().what, "Invalid or expired challenge");
  const auto late = sessions->challenge("a", clock_.steady());
  clock_.pass(60);
  EXPECT_EQ(sessions->answer(late, clock_.steady()).error().what, "Challenge expired");
  EXPECT_EQ(sessions->answer(late, clock_.steady()).error().what, "Invalid or expired challenge");
}

TEST_F(KeystoreSessionsTest, UnansweredChallengesAreBounded) {
  const auto sessions = open(1, {.most_challenges = 2});
  const auto first = sessions->challenge("a", clock_.steady());
  clock_.pass(1);
  const auto second = sessions->challenge("b", clock_.steady());
  const auto third = sessions->challenge("c", clock_.steady());
  EXPECT_FALSE(sessions->answer(first, clock_.steady()).ok());
  EXPECT_TRUE(sessions->answer(second, clock_.steady()).ok());
  EXPECT_TRUE(sessions->answer(third, clock_.steady()).ok());
}

TEST_F(KeystoreSessionsTest, IdsAreVersionFourUuids) {
  const auto sessions = open();
  std::set<std::string> seen;
  for (int i = 0; i < 64; ++i) {
    const std::string id = sessions->new_id();
    EXPECT_THAT(id, ::testing::MatchesRegex("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"));
    EXPECT_TRUE(seen.insert(id).second);
  }
}

TEST_F(KeystoreSessionsTest, ASessionWithItsKeySurvivesARestart) {
  std::string id;
  {
    const auto sessions = open();
    id = add(*sessions, {.channel = kChannel,
                         .policy = base::Digest32{7},
                         .key = std::make_shared<const crypto::Secret>(crypto::Secret::copy_of(base::Bytes(32, 9)))});
  }
  store_.reset();
  store_ = open_store();
  const auto sessions = open();
  const auto session = sessions->find(id, clock_.now(), &kChannel);
  ASSERT_TRUE(session.ok()) << session.error().text();
  EXPECT_EQ((*session)->key->reveal()[31], 9);
  EXPECT_EQ((*session)->policy, base::Digest32{7});
  EXPECT_EQ((*session)->evidence, std::nullopt);
}

TEST_F(KeystoreSessionsTest, KeysAtRestAreOfUseWithTheirSealingKeyAlone) {
  const auto sessions = open();
  add(*sessions, {.key = std::make_shared<const crypto::Secret>(crypto::Secret::copy_of(base::Bytes(32, 9)))});
  const auto other =
      KeystoreSessions::open(*store_, crypto::Secret::copy_of(base::Bytes(32, 2)), crypto::system_random(), {});
  ASSERT_FALSE(other.ok());
  EXPECT_EQ(other.error().code, Code::corrupt);
}

TEST_F(KeystoreSessionsTest, OverAnotherConnectionItIsAsIfThereWereNone) {
  const auto sessions = open();
  const auto id = add(*sessions, {.channel = kChannel});
  EXPECT_EQ(found(*sessions, id, &kChannel), "ed25519:worker");
  EXPECT_EQ(found(*sessions, id, &kOther), "TEE session not found or expired");
  EXPECT_EQ(found(*sessions, id), "TEE session not found or expired");
}

TEST_F(KeystoreSessionsTest, ItEndsByItselfAndIsThenForgotten) {
  const auto sessions = open();
  const auto id = add(*sessions);
  clock_.pass(99);
  EXPECT_EQ(found(*sessions, id), "ed25519:worker");
  clock_.pass(1);
  EXPECT_EQ(found(*sessions, id), "TEE session not found or expired");
  EXPECT_EQ(*sessions->collect(clock_.now(), {}, patient()), 1U);
  EXPECT_EQ(sessions->size(), 0U);
}

TEST_F(KeystoreSessionsTest, WhoeverEndsOneEndsItForGood) {
  auto sessions = open();
  const auto first = add(*sessions, {.public_key = "ed25519:a"});
  const auto second = add(*sessions, {.public_key = "ed25519:b"});
  EXPECT_THAT(sessions->public_keys(), ::testing::ElementsAre("ed25519:a", "ed25519:b"));
  EXPECT_EQ(*sessions->end([](const KeystoreSession& one) { return one.public_key == "ed25519:a"; }, patient()), 1U);
  sessions = open();
  EXPECT_EQ(found(*sessions, first), "TEE session not found or expired");
  EXPECT_EQ(found(*sessions, second), "ed25519:b");
}

TEST_F(KeystoreSessionsTest, WhoeverAsksForTooManyChallengesLosesHisOwn) {
  const auto sessions = open(1, {.most_challenges_of_one = 2});
  const auto other = sessions->challenge("b", clock_.steady());
  clock_.pass(1);
  const auto first = sessions->challenge("a", clock_.steady());
  for (int i = 0; i < 2; ++i) {
    clock_.pass(1);
    sessions->challenge("a", clock_.steady());
  }
  EXPECT_FALSE(sessions->answer(first, clock_.steady()).ok());
  EXPECT_TRUE(sessions->answer(other, clock_.steady()).ok());
}

/// What is ended stays ended when the store could not be told at once.
TEST_F(KeystoreSessionsTest, WhatTheStoreCouldNotForgetIsForgottenLater) {
  auto sessions = open();
  const auto id = add(*sessions);
  const auto mine = [](const KeystoreSession&) { return true; };
  EXPECT_FALSE(end_while_the_store_is_busy(*sessions, mine));
  EXPECT_EQ(found(*sessions, id), "TEE session not found or expired");
  ASSERT_TRUE(sessions->reload().ok());
  EXPECT_EQ(found(*sessions, id), "TEE session not found or expired");
  EXPECT_EQ(*sessions->end(mine, patient()), 1U);
  sessions = open();
  EXPECT_EQ(found(*sessions, id), "TEE session not found or expired");

  const auto second = add(*sessions);
  EXPECT_FALSE(end_while_the_store_is_busy(*sessions, mine));
  EXPECT_EQ(*sessions->collect(clock_.now(), {}, patient()), 1U);
  sessions = open();
  EXPECT_EQ(found(*sessions, second), "TEE session not found or expired");
}

TEST_F(KeystoreSessionsTest, ARegistrationThatIsBeingStoredIsEndedToo) {
  const auto sessions = open();
  auto session = std::make_shared<KeystoreSession>();
  const std::string id = sessions->new_id();
  session->digest = KeystoreSessions::digest_of(id);
  session->public_key = "ed25519:worker";
  session->made = clock_.now();
  session->expires = session->made + 100;
  std::promise<std::size_t> ended;
  store_->write([&](state::WriteTxn& txn) { return sessions->put(txn, *session); },
                [&](const base::Status&) { sessions->admitted(session); });
  sessions->end([](const KeystoreSession& one) { return one.public_key == "ed25519:worker"; }, {},
                [&](base::Result<std::size_t> many) { ended.set_value(many ? *many : 99); });
  EXPECT_EQ(ended.get_future().get(), 1U);
  EXPECT_EQ(found(*sessions, id), "TEE session not found or expired");
}

TEST_F(KeystoreSessionsTest, WhatExpiredWhileNobodyRanLeavesTheStore) {
  auto sessions = open();
  add(*sessions);
  clock_.pass(200);
  sessions = open();
  EXPECT_EQ(sessions->size(), 0U);
  EXPECT_EQ(*sessions->collect(clock_.now(), {}, patient()), 1U);
  EXPECT_EQ(*sessions->collect(clock_.now(), {}, patient()), 0U);
}

TEST_F(KeystoreSessionsTest, WhoMayNotBeAdmittedAnyMoreIsCollected) {
  auto sessions = open();
  add(*sessions, {.public_key = "ed25519:a"});
  const auto id = add(*sessions, {.public_key = "ed25519:b"});
  EXPECT_EQ(*sessions->collect(
                clock_.now(), [](const KeystoreSession& one) { return one.public_key == "ed25519:a"; }, patient()),
            1U);
  EXPECT_EQ(sessions->size(), 1U);
  EXPECT_EQ(found(*sessions, id), "ed25519:b");
}

TEST_F(KeystoreSessionsTest, OneKeyTakesNobodyElsesPlace) {
  const auto sessions = open(1, {.most_sessions = 4, .most_sessions_of_one = 2});
  const auto first = add(*sessions, {.public_key = "ed25519:a"});
  for (int i = 0; i < 5; ++i) {
    clock_.pass(1);
    add(*sessions, {.public_key = "ed25519:a"});
  }
  EXPECT_EQ(sessions->size(), 2U);
  EXPECT_EQ(found(*sessions, first), "TEE session not found or expired");
  EXPECT_NE(sessions->reserve(clock_.now()), nullptr);
  EXPECT_EQ(*sessions->collect(clock_.now(), {}, patient()), 4U);
}

TEST_F(KeystoreSessionsTest, PlacesAreHeldAndExpiredOnesAreFree) {
  const auto sessions = open(1, {.most_sessions = 2});
  add(*sessions, {.public_key = "ed25519:a"});
  {
    const auto held = sessions->reserve(clock_.now());
    EXPECT_NE(held, nullptr);
    EXPECT_EQ(sessions->reserve(clock_.now()), nullptr);
  }
  EXPECT_NE(sessions->reserve(clock_.now()), nullptr);
  add(*sessions, {.public_key = "ed25519:b"});
  EXPECT_EQ(sessions->reserve(clock_.now()), nullptr);
  clock_.pass(100);
  EXPECT_NE(sessions->reserve(clock_.now()), nullptr);
}

TEST_F(KeystoreSessionsTest, TheStoreDoesNotHoldTheId) {
  const auto sessions = open();
  const auto id = add(*sessions);
  const auto view = store_->read();
  ASSERT_TRUE(view.ok());
  bool seen = false;
  ASSERT_TRUE((*view)
                  ->scan({}, {}, 1000,
                         [&](base::ByteView key, base::ByteView value) {
                           seen = seen || base::as_text(key).find(id) != std::string_view::npos ||
                                  base::as_text(value).find(id) != std::string_view::npos;
                           return true;
                         })
                  .ok());
  EXPECT_FALSE(seen);
}

}  // namespace
}  // namespace attestry::secrets
