#include "secrets/keystore_sessions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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
  std::string found(const KeystoreSessions& sessions, const std::string& id,
                    const base::FixedBytes<32>* channel = nullptr) {
    const auto session = sessions.find(id, clock_.now(), channel);
    return session ? (*session)->public_key : session.error().what;
  }
};

TEST_F(KeystoreSessionsTest, AChallengeIsAnsweredOnceAndWithinItsTime) {
  const auto sessions = open();
  const auto first = sessions->challenge(clock_.steady());
  EXPECT_TRUE(sessions->answer(first, clock_.steady()).ok());
  EXPECT_EQ(sessions->answer(first, clock_.steady()).error().what, "Invalid or expired challenge");
  const auto late = sessions->challenge(clock_.steady());
  clock_.pass(60);
  EXPECT_EQ(sessions->answer(late, clock_.steady()).error().what, "Challenge expired");
  EXPECT_EQ(sessions->answer(late, clock_.steady()).error().what, "Invalid or expired challenge");
}

TEST_F(KeystoreSessionsTest, UnansweredChallengesAreBounded) {
  const auto sessions = open(1, {.most_challenges = 2});
  const auto first = sessions->challenge(clock_.steady());
  clock_.pass(1);
  const auto second = sessions->challenge(clock_.steady());
  const auto third = sessions->challenge(clock_.steady());
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
  EXPECT_EQ(*sessions->collect(clock_.now(), patient()), 1U);
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
