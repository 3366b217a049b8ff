#include "appraisal/challenge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <type_traits>

#include "base/encoding.h"
#include "crypto/hash.h"
#include "state/testing/support.h"

namespace attestry::appraisal {
namespace {

using base::Code;
using base::Purpose;
using state::testing::patient;
using ::testing::HasSubstr;

// A proof of freshness comes only from the check, and a copy could be spent by somebody else (FORMATS 4).
static_assert(!std::is_default_constructible_v<Fresh>);
static_assert(!std::is_constructible_v<Fresh, base::Bytes, Purpose, base::UtcTime, base::Digest32>);
static_assert(!std::is_copy_constructible_v<Fresh> && !std::is_copy_assignable_v<Fresh>);
static_assert(std::is_nothrow_move_constructible_v<Fresh>);

constexpr base::UtcTime kNow{1'800'000'000};

crypto::Secret key_of(std::uint8_t byte) { return crypto::Secret::copy_of(base::Bytes(32, byte)); }

template <class T>
void refused(const base::Result<T>& result, Code code, std::string_view reason) {
  ASSERT_FALSE(result.ok()) << "expected: " << reason;
  EXPECT_EQ(result.error().code, code) << result.error().text();
  EXPECT_THAT(result.error().text(), HasSubstr(std::string{reason}));
}

class ChallengeTest : public ::testing::Test {
 protected:
  base::Result<Fresh> check(base::ByteView nonce, base::UtcTime now = kNow, std::string_view body = "{}",
                            Purpose purpose = Purpose::instance_release) const {
    return challenges.check(nonce, purpose, base::as_bytes(body), now);
  }

  crypto::SeededRandom random{base::as_bytes("challenges")};
  Challenges challenges{key_of(1), random};
};

// Known answer by Python's hmac over FORMATS 3: 0x01 ‖ expiry ‖ random ‖ purpose, and HMAC-SHA-256(K, those)[0..16).
TEST_F(ChallengeTest, ANonceThatFormats3DescribesIsOurs) {
  const auto nonce =
      base::hex_decode("01000000006b49d32c000102030405060708090a0b0c0d0e0f056331d6cf73bc12efa42c04e53ab31af8");
  const auto fresh = challenges.check(*nonce, Purpose::token, base::as_bytes("body"), kNow);
  ASSERT_TRUE(fresh.ok()) << fresh.error().text();
  EXPECT_EQ(fresh->expires(), kNow + 300);
  EXPECT_EQ(fresh->purpose(), Purpose::token);
  EXPECT_EQ(fresh->nonce(), *nonce);
  EXPECT_EQ(base::hex(fresh->body_sha256()), "230d8358dc8e8890b4c58deeb62912ee2f20357ae92a5cc861b98e68fe31acb5");
}

TEST_F(ChallengeTest, IssuedNoncesHaveTheFormAndDiffer) {
  const auto one = challenges.issue(Purpose::instance_release, kNow);
  const auto two = challenges.issue(Purpose::instance_release, kNow);
  EXPECT_NE(one.nonce, two.nonce);
  EXPECT_EQ(one.expires, kNow + 300);
  EXPECT_EQ(one.nonce[0], 1);
  EXPECT_EQ(one.nonce[25], 1);
  EXPECT_TRUE(check(one.nonce).ok());
}

TEST_F(ChallengeTest, EveryAlteredByteIsRefused) {
  const auto issued = challenges.issue(Purpose::instance_release, kNow);
  for (std::size_t i = 0; i < issued.nonce.size(); ++i) {
    for (const int flip : {0x01, 0x80}) {
      auto altered = issued.nonce;
      altered[i] = static_cast<std::uint8_t>(altered[i] ^ flip);
      // The version is looked at first; all else is under the MAC, which is checked before anything is read.
      refused(check(altered), i == 0 ? Code::malformed : Code::denied, i == 0 ? "nonce" : "not one of this server's");
    }
  }
  refused(check(base::ByteView{issued.nonce}.first(41)), Code::malformed, "42 bytes");
  auto longer = base::to_bytes(base::ByteView{issued.nonce});
  longer.push_back(0);
  refused(check(longer), Code::malformed, "42 bytes");
  refused(check({}), Code::malformed, "42 bytes");
}

TEST_F(ChallengeTest, ANonceOfAnotherServerIsRefused) {
  const Challenges other{key_of(2), random};
  refused(check(other.issue(Purpose::instance_release, kNow).nonce), Code::denied, "not one of this server's");
}

TEST_F(ChallengeTest, LastsThreeHundredSeconds) {
  const auto issued = challenges.issue(Purpose::instance_release, kNow);
  EXPECT_TRUE(check(issued.nonce, kNow + 300).ok());
  refused(check(issued.nonce, kNow + 301), Code::challenge_expired, "has expired");
}

TEST_F(ChallengeTest, IsForOnePurpose) {
  const auto issued = challenges.issue(Purpose::secret_read, kNow);
  refused(check(issued.nonce), Code::denied, "another purpose");
  EXPECT_TRUE(check(issued.nonce, kNow, "{}", Purpose::secret_read).ok());
}

TEST_F(ChallengeTest, ThePreviousKeyCountsForThreeHundredSeconds) {
  const auto old = challenges.issue(Purpose::instance_release, kNow + 290);
  const auto changed_at = kNow;
  const Challenges changed{key_of(2), random, key_of(1), changed_at};
  const auto check_changed = [&](base::ByteView nonce, base::UtcTime now) {
    return changed.check(nonce, Purpose::instance_release, {}, now);
  };
  EXPECT_TRUE(check_changed(old.nonce, changed_at + 300).ok());
  refused(check_changed(old.nonce, changed_at + 301), Code::denied, "not one of this server's");
  EXPECT_TRUE(check_changed(changed.issue(Purpose::instance_release, kNow).nonce, kNow).ok());
  // New nonces are under the new key alone.
  refused(check(changed.issue(Purpose::instance_release, kNow).nonce), Code::denied, "not one of this server's");
}

base::FixedBytes<kNonceBytes> filled(std::uint8_t byte) {
  base::FixedBytes<kNonceBytes> out;
  out.fill(byte);
  return out;
}

// Known answer by Python's hashlib over FORMATS 10.
TEST(CombinedNonce, IsOfAllNodesInTheirOrder) {
  const std::vector<NodeNonce> nonces{{0, filled(1)}, {2, filled(3)}, {6, filled(7)}};
  const auto combined = combined_nonce(nonces);
  ASSERT_TRUE(combined.ok()) << combined.error().text();
  EXPECT_EQ(base::hex(*combined), "4ddaff2edbdd21add7a73e913794c31d89870aff31ea970e82a1333a815c054b");
  refused(combined_nonce({}), Code::malformed, "nonces");
  const std::vector<NodeNonce> twice{{2, filled(1)}, {2, filled(3)}};
  refused(combined_nonce(twice), Code::malformed, "each node once");
  const std::vector<NodeNonce> descending{{2, filled(1)}, {0, filled(3)}};
  refused(combined_nonce(descending), Code::malformed, "ids ascending");
  refused(combined_nonce(std::vector<NodeNonce>(256)), Code::malformed, "1 to 255");
}

TEST_F(ChallengeTest, AmongOthersANodeLooksAtItsOwnNonceAndWantsEvidenceForAll) {
  const std::vector<NodeNonce> nonces{{1, filled(1)}, {4, challenges.issue(Purpose::token, kNow).nonce}};
  const auto among = [&](std::span<const NodeNonce> all, std::uint32_t own, base::UtcTime now = kNow) {
    return challenges.check_among(all, own, Purpose::token, base::as_bytes("body"), now);
  };
  const auto fresh = among(nonces, 4);
  ASSERT_TRUE(fresh.ok()) << fresh.error().text();
  EXPECT_EQ(fresh->nonce(), base::to_bytes(*combined_nonce(nonces)));
  EXPECT_EQ(fresh->expires(), kNow + 300);
  refused(among(nonces, 1), Code::denied, "not one of this server's");
  refused(among(nonces, 2), Code::denied, "without a challenge of this node");
  refused(among(nonces, 4, kNow + 301), Code::challenge_expired, "has expired");
  auto moved = nonces;
  std::swap(moved[0].nonce, moved[1].nonce);
  refused(among(moved, 4), Code::denied, "not one of this server's");
}

class SpendTest : public ChallengeTest {
 protected:
  void SetUp() override {
    auto opened =
        state::Store::open({.path = folder.file("store.db"), .realm = base::Realm::simulated, .clock = &clock});
    ASSERT_TRUE(opened.ok()) << opened.error().text();
    store = std::move(*opened);
  }
  base::Status spend(const Fresh& fresh, std::string_view reply, base::UtcTime now = kNow) {
    return store->write_and_wait(
        [&](state::WriteTxn& txn) { return fresh.spend(txn, now, true, 7, base::as_bytes(reply)); }, patient());
  }
  std::size_t collect(base::UtcTime now, std::size_t limit) {
    std::size_t collected = 0;
    const auto done = store->write_and_wait(
        [&](state::WriteTxn& txn) -> base::Status {
          TRY(collected, Challenges::collect_expired(txn, now, limit));
          return base::done();
        },
        patient());
    EXPECT_TRUE(done.ok()) << done.error().text();
    return collected;
  }

  state::testing::TempFolder folder;
  state::testing::ManualClock clock{kNow};
  std::unique_ptr<state::Store> store;
};

TEST_F(SpendTest, ANonceIsSpentOnce) {
  const auto issued = challenges.issue(Purpose::instance_release, kNow);
  const auto first = check(issued.nonce);
  const auto second = check(issued.nonce);
  EXPECT_FALSE(Challenges::answered(*store, *first)->has_value());
  EXPECT_TRUE(spend(*first, "one").ok());
  refused(spend(*second, "two"), Code::replayed, "used before");
  refused(spend(*first, "two"), Code::replayed, "used before");
  EXPECT_TRUE(spend(*check(challenges.issue(Purpose::instance_release, kNow).nonce), "other").ok());
}

TEST_F(SpendTest, TheSameBodyGetsTheStoredAnswerAndAnotherAConflict) {
  const auto issued = challenges.issue(Purpose::instance_release, kNow);
  const auto fresh = check(issued.nonce, kNow, "body");
  ASSERT_TRUE(spend(*fresh, "answer").ok());
  const auto same = Challenges::answered(*store, *check(issued.nonce, kNow + 300, "body"));
  ASSERT_TRUE(same.ok() && same->has_value());
  EXPECT_EQ((*same)->reply, base::to_bytes("answer"));
  EXPECT_TRUE((*same)->released);
  EXPECT_EQ((*same)->leaf_index, 7u);
  refused(Challenges::answered(*store, *check(issued.nonce, kNow, "body ")), Code::replayed, "another request body");
}

TEST_F(SpendTest, ANonceAmongOthersIsSpentAsTheOneThatItIs) {
  const auto own = challenges.issue(Purpose::instance_release, kNow).nonce;
  const std::vector<NodeNonce> first{{1, own}, {2, filled(2)}};
  const std::vector<NodeNonce> second{{1, own}, {2, filled(3)}};
  const auto among = [&](std::span<const NodeNonce> all) {
    return challenges.check_among(all, 1, Purpose::instance_release, base::as_bytes("{}"), kNow);
  };
  ASSERT_TRUE(spend(*among(first), "one").ok());
  refused(spend(*among(second), "two"), Code::replayed, "used before");
  refused(spend(*check(own), "two"), Code::replayed, "used before");
  EXPECT_TRUE(Challenges::answered(*store, *among(first))->has_value());
}

TEST_F(SpendTest, ANonceThatExpiredMeanwhileIsNotSpent) {
  const auto fresh = check(challenges.issue(Purpose::instance_release, kNow).nonce);
  ASSERT_TRUE(spend(*fresh, "one", kNow + 300).ok());
  ASSERT_EQ(collect(kNow + 301, 10), 1u);
  // The row is gone, the proof is still in somebody's hands.
  refused(spend(*fresh, "two", kNow + 301), Code::challenge_expired, "has expired");
}

TEST_F(SpendTest, AReplyThatCouldNotBeReadAgainIsNotStored) {
  const auto fresh = check(challenges.issue(Purpose::instance_release, kNow).nonce);
  refused(spend(*fresh, std::string((8u << 20) + 1, 'x')), Code::too_large, "reply");
  EXPECT_FALSE(Challenges::answered(*store, *fresh)->has_value());
}

TEST_F(SpendTest, CollectionTakesTheOldestExpiredOnes) {
  std::vector<Fresh> spent;
  for (const std::int64_t age : {20, 10, 0}) {
    const auto at = kNow - age;
    spent.push_back(std::move(*check(challenges.issue(Purpose::instance_release, at).nonce, at)));
    ASSERT_TRUE(spend(spent.back(), "x", at).ok());
  }
  const auto left = [&](std::size_t i) { return Challenges::answered(*store, spent[i])->has_value(); };
  EXPECT_EQ(collect(kNow + 280, 10), 0u);  // the oldest expires now and may still be asked for
  EXPECT_EQ(collect(kNow + 300, 1), 1u);
  EXPECT_FALSE(left(0));
  EXPECT_TRUE(left(1));
  EXPECT_EQ(collect(kNow + 300, 10), 1u);
  EXPECT_FALSE(left(1));
  EXPECT_TRUE(left(2));
}

}  // namespace
}  // namespace attestry::appraisal
