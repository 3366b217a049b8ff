#include "appraisal/appraisal_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "appraisal/replay.h"
#include "attestation/verifier.h"
#include "base/encoding.h"
#include "crypto/hash.h"
#include "state/keys.h"
#include "state/testing/support.h"

namespace attestry::appraisal {
namespace {

using base::Code;
using base::Tenant;
using state::testing::patient;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr base::UtcTime kStart{1'800'000'000};
constexpr std::int64_t kDay = 24 * 3600;

StoredAppraisal made(std::uint8_t evidence, std::shared_ptr<const attestation::Collateral> collateral) {
  AppraisalInputs in{.evidence = {.format = attestation::EvidenceFormat::dcap_quote, .bytes = {4, evidence}},
                     .collateral = std::move(collateral),
                     .at = kStart,
                     .anchors = attestation::TrustAnchors::production(),
                     .policy = attestation::Policy::genuine()};
  const attestation::Verifier verifier(in.anchors);
  auto judged = judge(verifier.verify(in.evidence, *in.collateral, in.at).value(), in);
  return StoredAppraisal::make(std::move(in), attestation::to_json(judged.verdict));
}

class AppraisalStoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto opened = state::Store::open({.path = folder.file("store.db"), .clock = &clock});
    ASSERT_TRUE(opened.ok()) << opened.error().text();
    store = std::move(*opened);
  }

  base::Digest32 put(const StoredAppraisal& one, Origin origin, const Tenant& tenant = Tenant::standard(),
                     Retention retention = {}) {
    const AppraisalStore appraisals{*store, retention};
    Entry entry{
        .origin = origin, .stored = clock.now(), .app = "name:web", .summary = summary_of(one.verdict_json()).value()};
    if (origin == Origin::release || origin == Origin::refusal) entry.leaf_index = 5;
    const auto done =
        store->write_and_wait([&](state::WriteTxn& txn) { return appraisals.put(txn, tenant, one, entry); }, patient());
    EXPECT_TRUE(done.ok()) << done.error().text();
    return one.id();
  }
  base::Digest32 put(std::uint8_t evidence, Origin origin, Retention retention = {}) {
    return put(made(evidence, collateral), origin, Tenant::standard(), retention);
  }

  /// Rows of a space: keys that hold bytes or counts.
  std::size_t rows(state::Space space) const {
    std::size_t count = 0;
    const auto view = store->read().value();
    EXPECT_TRUE(
        view->scan(state::Key(space, Tenant::standard()), {}, 100'000, [&](auto, auto) { return ++count, true; }).ok());
    return count;
  }

  state::testing::TempFolder folder;
  state::testing::ManualClock clock{kStart};
  std::unique_ptr<state::Store> store;
  std::shared_ptr<const attestation::Collateral> collateral =
      attestation::Collateral::make({{attestation::CollateralKind::tcb_info, base::to_bytes("tcb info"), {}},
                                     {attestation::CollateralKind::pck_crl, base::to_bytes("crl"), {}}});
};

TEST_F(AppraisalStoreTest, WhatIsPutIsFoundWholeAndByTheBeginningOfItsId) {
  const auto one = made(1, collateral);
  put(one, Origin::release);
  const AppraisalStore appraisals{*store};
  const auto found = appraisals.get(Tenant::standard(), one.id());
  ASSERT_TRUE(found.ok()) << found.error().text();
  EXPECT_EQ(found->document, one.document());
  EXPECT_EQ(found->verdict_json, one.verdict_json());
  EXPECT_EQ(found->entry.leaf_index, 5u);
  EXPECT_EQ(found->entry.app, "name:web");
  const auto loaded = appraisals.load(Tenant::standard(), one.id());
  ASSERT_TRUE(loaded.ok()) << loaded.error().text();
  EXPECT_EQ(write_export(*loaded), write_export(one));
  EXPECT_TRUE(replay(*loaded)->same);
  const std::string id = base::hex(one.id());
  EXPECT_EQ(appraisals.resolve(Tenant::standard(), id.substr(0, 8)).value(), one.id());
  EXPECT_EQ(appraisals.resolve(Tenant::standard(), id).value(), one.id());
  EXPECT_EQ(appraisals.resolve(Tenant::standard(), id.substr(0, 7)).error().code, Code::malformed);
  EXPECT_EQ(appraisals.resolve(Tenant::standard(), std::string(8, id[0] == '0' ? '1' : '0')).error().code,
            Code::not_found);
}

TEST_F(AppraisalStoreTest, ATenantSeesNothingOfAnother) {
  const auto one = made(1, collateral);
  put(one, Origin::release);
  const auto other = Tenant::parse("other").value();
  const AppraisalStore appraisals{*store};
  EXPECT_EQ(appraisals.get(other, one.id()).error().code, Code::not_found);
  EXPECT_EQ(appraisals.load(other, one.id()).error().code, Code::not_found);
  EXPECT_EQ(appraisals.resolve(other, base::hex(one.id())).error().code, Code::not_found);
  EXPECT_TRUE(appraisals.list(other, {}, {}, 10)->rows.empty());
}

TEST_F(AppraisalStoreTest, SharedBytesAreStoredOnceAndGoWithTheirLastUser) {
  const Retention one_only{.attempts = 1};
  put(1, Origin::attempt);
  // Evidence, policy, set and two items of collateral: a count and a content each.
  EXPECT_EQ(rows(state::Space::appraisal_blobs), 10u);
  put(2, Origin::attempt);
  EXPECT_EQ(rows(state::Space::appraisal_blobs), 12u) << "only its evidence is new";
  put(2, Origin::attempt);
  EXPECT_EQ(rows(state::Space::appraisals), 2u) << "the same one again";
  put(3, Origin::attempt, one_only);
  EXPECT_EQ(rows(state::Space::appraisals), 1u);
  EXPECT_EQ(rows(state::Space::appraisal_times), 1u);
  EXPECT_EQ(rows(state::Space::appraisal_order), 1u);
  EXPECT_EQ(rows(state::Space::appraisal_blobs), 10u);
  collateral = attestation::Collateral::none();
  put(4, Origin::attempt, one_only);
  EXPECT_EQ(rows(state::Space::appraisal_blobs), 6u) << "evidence, policy and the empty set";
}

TEST_F(AppraisalStoreTest, AttemptsAreBoundedInNumberBytesAndAge) {
  for (std::uint8_t i = 0; i < 20; ++i) {
    put(i, Origin::attempt, {.attempts = 5});
    clock.pass(1);
  }
  EXPECT_EQ(rows(state::Space::appraisals), 5u);
  put(30, Origin::attempt, {.attempt_bytes = 1});
  put(31, Origin::attempt, {.attempt_bytes = 1});
  EXPECT_EQ(rows(state::Space::appraisals), 1u) << "never the one that was just answered";
  clock.pass(31 * kDay);
  const auto fresh = put(32, Origin::attempt);
  EXPECT_EQ(rows(state::Space::appraisals), 1u);
  EXPECT_TRUE(AppraisalStore(*store).get(Tenant::standard(), fresh).ok());
}

TEST_F(AppraisalStoreTest, WhatALeafNamesLaterStaysAsLongAsLeavesDo) {
  for (const auto first : {Origin::import, Origin::attempt}) {
    const auto evidence = static_cast<std::uint8_t>(first);
    put(evidence, first);
    clock.pass(kDay);
    const auto id = put(evidence, Origin::release);
    clock.pass(1000 * kDay);
    put(100 + evidence, first);
    const auto found = AppraisalStore(*store).get(Tenant::standard(), id);
    ASSERT_TRUE(found.ok()) << found.error().text();
    EXPECT_EQ(found->entry.origin, Origin::release);
    EXPECT_EQ(found->entry.leaf_index, 5u);
    put(evidence, first);  // and is not lowered again
    EXPECT_EQ(AppraisalStore(*store).get(Tenant::standard(), id)->entry.origin, Origin::release);
  }
  EXPECT_EQ(AppraisalStore(*store).list(Tenant::standard(), {}, {}, 10)->rows.size(), rows(state::Space::appraisals));
  EXPECT_EQ(rows(state::Space::appraisal_order), rows(state::Space::appraisals));
}

TEST_F(AppraisalStoreTest, AnOldAttemptThatTheDiskSpoiledHoldsUpNoRelease) {
  const auto spoil = [&](state::Space space, const Tenant& tenant, base::ByteView part) {
    const auto done = store->write_and_wait(
        [&](state::WriteTxn& txn) -> base::Status {
          std::vector<base::Bytes> keys;
          TRY_OK(txn.scan(state::Key(space, tenant), {}, 100, [&](auto key, auto) {
            if (!std::ranges::search(key, part).empty()) keys.push_back(base::to_bytes(key));
            return true;
          }));
          EXPECT_FALSE(keys.empty());
          for (const auto& key : keys) TRY_OK(txn.put(key, base::as_bytes("spoiled")));
          return base::done();
        },
        patient());
    EXPECT_TRUE(done.ok());
  };
  const auto attempt = made(1, collateral);
  const auto one = Tenant::parse("one").value();
  const auto two = Tenant::parse("two").value();
  const auto old = base::hex(put(attempt, Origin::attempt, one));
  put(attempt, Origin::attempt, two);
  spoil(state::Space::appraisals, one, base::as_bytes(old));
  spoil(state::Space::appraisal_blobs, two, crypto::sha256(attempt.inputs().evidence.bytes));
  clock.pass(365 * kDay);
  for (const auto& tenant : {one, two}) {
    const auto id = put(made(2, collateral), Origin::release, tenant);
    EXPECT_TRUE(AppraisalStore(*store).get(tenant, id).ok());
    EXPECT_EQ(AppraisalStore(*store).list(tenant, {}, {}, 10)->rows.size(), 1u) << "the old one is gone";
  }
}

TEST_F(AppraisalStoreTest, WhatALeafNamesStaysUnlessAnOperatorSaysOtherwise) {
  const auto logged = put(1, Origin::release);
  const auto asked = put(2, Origin::verification);
  clock.pass(1000 * kDay);
  put(3, Origin::refusal);
  put(4, Origin::verification);
  const AppraisalStore appraisals{*store};
  EXPECT_TRUE(appraisals.get(Tenant::standard(), logged).ok());
  EXPECT_EQ(appraisals.get(Tenant::standard(), asked).error().code, Code::not_found);
  put(5, Origin::refusal, {.logged_days = 100});
  EXPECT_EQ(appraisals.get(Tenant::standard(), logged).error().code, Code::not_found);
}

TEST_F(AppraisalStoreTest, AListIsNewestFirstInPagesAndFiltered) {
  std::vector<base::Digest32> ids;
  for (std::uint8_t i = 0; i < 7; ++i) {
    ids.push_back(put(i, i % 2 == 0 ? Origin::attempt : Origin::release));
    clock.pass(10);
  }
  const AppraisalStore appraisals{*store};
  const auto first = appraisals.list(Tenant::standard(), {}, {}, 3).value();
  ASSERT_EQ(first.rows.size(), 3u);
  EXPECT_EQ(first.rows[0].id, ids[6]);
  EXPECT_EQ(first.rows[2].id, ids[4]);
  const auto second = appraisals.list(Tenant::standard(), {}, first.next.value(), 4).value();
  ASSERT_EQ(second.rows.size(), 4u);
  EXPECT_EQ(second.rows[0].id, ids[3]);
  EXPECT_EQ(second.rows[3].id, ids[0]);
  const auto releases = appraisals.list(Tenant::standard(), {.origin = Origin::release}, {}, 50).value();
  EXPECT_EQ(releases.rows.size(), 3u);
  EXPECT_FALSE(releases.next.has_value());
  const auto window = appraisals.list(Tenant::standard(), {.since = kStart + 20, .until = kStart + 30}, {}, 50).value();
  EXPECT_EQ(window.rows.size(), 2u);
  EXPECT_TRUE(appraisals.list(Tenant::standard(), {.app = "name:other"}, {}, 50)->rows.empty());
  EXPECT_EQ(appraisals.list(Tenant::standard(), {.verdict = "refused"}, {}, 50)->rows.size(), 7u);
  EXPECT_EQ(appraisals.list(Tenant::standard(), {}, "zz", 50).error().code, Code::malformed);
  EXPECT_EQ(appraisals.list(Tenant::standard(), {}, "00", 50).error().code, Code::malformed);
}

// Data of before: the verdict under its own digest, and nothing beside it.
TEST_F(AppraisalStoreTest, AVerdictOfBeforeIsShownAndCannotBeReplayed) {
  const std::string verdict = made(1, collateral).verdict_json();
  const auto id = crypto::sha256(base::as_bytes(verdict));
  auto value = state::value(1);
  value.raw(base::as_bytes(verdict));
  const auto done = store->write_and_wait(
      [&](state::WriteTxn& txn) {
        return txn.put(state::Key(state::Space::appraisals, Tenant::standard()).lp(base::hex(id)), value.bytes());
      },
      patient());
  ASSERT_TRUE(done.ok());
  const AppraisalStore appraisals{*store};
  EXPECT_EQ(appraisals.get(Tenant::standard(), id)->verdict_json, verdict);
  EXPECT_TRUE(appraisals.get(Tenant::standard(), id)->document.empty());
  const auto loaded = appraisals.load(Tenant::standard(), id);
  EXPECT_EQ(loaded.error().code, Code::not_found);
  EXPECT_THAT(loaded.error().text(), HasSubstr("without what it rests on"));
}

TEST(AppraisalOrigin, WordsAreReadBack) {
  for (const auto origin : {Origin::release, Origin::refusal, Origin::attempt, Origin::verification, Origin::import}) {
    EXPECT_EQ(origin_from(to_text(origin)), origin);
  }
  EXPECT_FALSE(origin_from("other").has_value());
}

}  // namespace
}  // namespace attestry::appraisal
