#include "tracker/ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <map>
#include <thread>

#include "tracker/testing/tracker.h"

namespace attestry::tracker {
namespace {

using base::Code;
using curves::bls::SigningKey;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::key_named;
using testing::kNow;
using testing::receipt;
using testing::resigned;
using testing::Tracker;

using Totals = std::pair<std::uint64_t, std::uint64_t>;
constexpr std::uint64_t kPiece = kDefaultPieceSize;

class LedgerTest : public ::testing::Test {
 protected:
  LedgerTest() {
    for (const char* name : {"alice", "bob", "carol"}) EXPECT_TRUE(tracker_.enrol(name, key_named(name)).ok());
  }
  /// Of piece `index`, which alice has given to bob.
  Receipt given(std::uint32_t index) const { return receipt(alice_, bob_, index); }

  /// What was said of the one receipt of a report by alice.
  std::optional<Refusal> refused(const Receipt& one) {
    const auto out = tracker_.report("alice", {one});
    EXPECT_TRUE(out.ok());
    EXPECT_EQ(out->accepted + out->refused.size(), 1U);
    if (out->refused.empty()) return std::nullopt;
    EXPECT_EQ(out->credited, 0U);
    return out->refused.front().reason;
  }
  static std::map<std::size_t, Refusal> reasons(const ReportOutcome& outcome) {
    std::map<std::size_t, Refusal> out;
    for (const auto& one : outcome.refused) out.emplace(one.index, one.reason);
    return out;
  }

  state::testing::ManualClock clock_{kNow};
  SigningKey alice_ = key_named("alice"), bob_ = key_named("bob"), carol_ = key_named("carol");
  Tracker tracker_{clock_};
};

// Members

TEST_F(LedgerTest, AMemberIsThereAfterARestart) {
  const auto before = tracker_.ledger().member("alice");
  tracker_.reopen();
  const auto found = tracker_.ledger().member("alice");
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->key, alice_.public_key().encoded());
  EXPECT_EQ(found->registered, kNow);
  EXPECT_EQ(found->proof, KeyProof::signature);
  EXPECT_EQ(before->key, found->key);
  EXPECT_EQ(tracker_.ledger().stats()->members, 3U);
  EXPECT_FALSE(tracker_.ledger().member("dave").has_value());
}

TEST_F(LedgerTest, ARegistrationIsALeaf) {
  const auto done = tracker_.enrol("dave", key_named("dave"));
  ASSERT_TRUE(done.ok());
  const auto leaf = audit::Leaf::parse(tracker_.log().leaf(done->leaf.index).value()).value();
  EXPECT_EQ(leaf.type, "tracker.member");
  EXPECT_EQ(leaf.outputs.at("user"),
            audit::commitment(crypto::Secret::copy_of(done->leaf.key), "user", base::as_bytes("dave")));
}

TEST_F(LedgerTest, AUserIdAndAKeyAreTakenOnce) {
  const auto again = tracker_.enrol("alice", key_named("other"));
  EXPECT_EQ(again.error().code, Code::conflict);
  EXPECT_EQ(again.error().what, "User already exists");
  const auto twice = tracker_.enrol("alice2", alice_);
  EXPECT_EQ(twice.error().code, Code::conflict);
  EXPECT_EQ(twice.error().what, "Public key already registered");
  tracker_.reopen();
  EXPECT_EQ(tracker_.enrol("alice2", alice_).error().code, Code::conflict);
  EXPECT_FALSE(tracker_.ledger().member("alice2").has_value());
}

TEST_F(LedgerTest, RegistrationDemandsAProof) {
  const SigningKey key = key_named("dave");
  Registration dave{.user_id = "dave", .public_key = base::to_bytes(key.public_key().encoded())};
  EXPECT_EQ(tracker_.enrol(dave).error().code, Code::unauthenticated);
  dave.proof_of_possession = base::to_bytes(alice_.prove_possession());
  EXPECT_EQ(tracker_.enrol(dave).error().code, Code::unauthenticated);
  dave.proof_of_possession = base::Bytes(3, 1);
  EXPECT_EQ(tracker_.enrol(dave).error().code, Code::unauthenticated);
  dave.proof_of_possession.reset();
  const auto sign_for = [&](const InstanceId& instance, std::string_view name) {
    dave.signature = base::to_bytes(key.sign(registration_message(instance, name)));
  };
  sign_for(tracker_.ledger().instance_id(), "erin");
  EXPECT_EQ(tracker_.enrol(dave).error().what, "Invalid signature");
  sign_for({}, "dave");
  EXPECT_EQ(tracker_.enrol(dave).error().code, Code::unauthenticated) << "of another instance";
  sign_for(tracker_.ledger().instance_id(), "dave");
  dave.proof_of_possession = base::to_bytes(alice_.prove_possession());
  EXPECT_EQ(tracker_.enrol(dave).error().what, "Invalid proof of possession") << "both are looked at";
  dave.proof_of_possession = base::to_bytes(key.prove_possession());
  const auto done = tracker_.enrol(dave);
  ASSERT_TRUE(done.ok()) << done.error().text();
  EXPECT_EQ(done->member.proof, KeyProof::signature);
}

// Whoever runs another tracker has seen its members' proofs, and their receipts of version 1.
TEST_F(LedgerTest, AProofOfPossessionDoesNotRegisterAKeyUnderAnotherName) {
  const SigningKey key = key_named("dave");
  const Registration stolen{.user_id = "mallory",
                            .public_key = base::to_bytes(key.public_key().encoded()),
                            .proof_of_possession = base::to_bytes(key.prove_possession())};
  const auto refused = tracker_.enrol(stolen);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Code::unauthenticated);
  Registration with_signature = stolen;
  with_signature.signature = base::to_bytes(key.sign(registration_message(tracker_.ledger().instance_id(), "dave")));
  EXPECT_EQ(tracker_.enrol(with_signature).error().what, "Invalid signature");
  // Evidence names user, tracker and key.
  Registration attested = stolen;
  attested.evidence.emplace();
  EXPECT_TRUE(tracker_.enrol(attested).ok());
  tracker_.open({.unbound_proofs = true});
  const SigningKey erin = key_named("erin");
  const auto done = tracker_.enrol({.user_id = "erin",
                                    .public_key = base::to_bytes(erin.public_key().encoded()),
                                    .proof_of_possession = base::to_bytes(erin.prove_possession())});
  ASSERT_TRUE(done.ok());
  EXPECT_EQ(done->member.proof, KeyProof::possession);
}

TEST(Registration, MessageOfTheVectors) {
  InstanceId instance{};
  instance.fill(0xab);
  EXPECT_EQ(
      base::hex(testing::vector_key(2).sign(registration_message(instance, "alice"))),
      "803c347dd1fe34eae7712c4b3b5bdd74a3e08ced3eb1f307a5ac85fbc525c185de20c99852a84c2222bb03fce28af3e105f74f4196c1930"
      "e6131dc4de4948719040cec48b76ff0ee4b2c4a177acdc19532b31a00f343964e209371ff659315a3");
}

TEST_F(LedgerTest, ARogueKeyCannotRegister) {
  const auto rogue = (carol_.public_key().point() - bob_.public_key().point()).encode();
  const auto with_another = tracker_.enrol({.user_id = "mallory",
                                            .public_key = base::to_bytes(rogue),
                                            .proof_of_possession = base::to_bytes(carol_.prove_possession())});
  ASSERT_FALSE(with_another.ok());
  EXPECT_EQ(with_another.error().code, Code::unauthenticated);
  EXPECT_EQ(tracker_.enrol({.user_id = "mallory", .public_key = base::to_bytes(rogue)}).error().code,
            Code::unauthenticated);
}

TEST_F(LedgerTest, KeysAndNamesAreLookedAt) {
  const auto code = [&](std::string user_id, base::Bytes key) {
    return tracker_.enrol({.user_id = std::move(user_id), .public_key = std::move(key)}).error().code;
  };
  const base::Bytes good = base::to_bytes(key_named("dave").public_key().encoded());
  EXPECT_EQ(code("dave", base::to_bytes(curves::bls::G1{}.encode())), Code::malformed);
  EXPECT_EQ(code("dave", base::Bytes(48, 0)), Code::malformed);
  EXPECT_EQ(code("dave", {}), Code::malformed);
  EXPECT_EQ(code("", good), Code::malformed);
  EXPECT_EQ(code(std::string(129, 'a'), good), Code::malformed);
  EXPECT_EQ(code("da\nve", good), Code::malformed);
  EXPECT_EQ(code("da\xffve", good), Code::malformed);
}

TEST_F(LedgerTest, ANameSaysNothingToATerminal) {
  const base::Bytes key = base::to_bytes(key_named("dave").public_key().encoded());
  const auto expected = [&](std::string user_id) {
    return tracker_.enrol({.user_id = std::move(user_id), .public_key = key}).error().expected;
  };
  for (const char* name : {"da\x1bve", "da\x7fve", "da\u0080ve", "da\u009b31mve", "dave\u009f"}) {
    EXPECT_THAT(expected(name), ::testing::HasSubstr("control characters")) << name;
  }
  EXPECT_THAT(expected("da\u00a0v\u00e9\u065b"), ::testing::Not(::testing::HasSubstr("control characters")));
}

TEST_F(LedgerTest, UnprovenKeysAreASwitch) {
  tracker_.open({.unproven_keys = true});
  const SigningKey dave = key_named("dave");
  const auto done = tracker_.enrol({.user_id = "dave", .public_key = base::to_bytes(dave.public_key().encoded())});
  ASSERT_TRUE(done.ok());
  EXPECT_EQ(done->member.proof, KeyProof::none);
  EXPECT_EQ(refused(receipt(alice_, dave, 1)), std::nullopt);
  EXPECT_EQ(refused(resigned(receipt(alice_, dave, 2), carol_)), Refusal::bad_signature);
}

TEST_F(LedgerTest, MembersAreBounded) {
  tracker_.open({.max_members = 4});
  EXPECT_TRUE(tracker_.enrol("dave", key_named("dave")).ok());
  EXPECT_EQ(tracker_.enrol("erin", key_named("erin")).error().code, Code::too_large);
}

TEST_F(LedgerTest, MembersAreBoundedThoughManyComeAtOnce) {
  tracker_.open({.max_members = 5});
  constexpr std::size_t kMany = 12;
  std::latch answered{kMany};
  std::atomic<std::size_t> enrolled = 0;
  std::latch asked{1};
  tracker_.store().write(
      [&](state::WriteTxn&) -> base::Status {
        asked.wait();
        return base::done();
      },
      [](const base::Status&) {});
  for (std::size_t i = 0; i < kMany; ++i) {
    const std::string name = i == 0 ? "alice" : "member " + std::to_string(i);
    const SigningKey key = key_named("key " + std::to_string(i));
    const auto signature = key.sign(registration_message(tracker_.ledger().instance_id(), name));
    tracker_.ledger().enrol({.user_id = name,
                             .public_key = base::to_bytes(key.public_key().encoded()),
                             .signature = base::to_bytes(signature)},
                            [&](const base::Result<Enrolment>& done) {
                              if (done) ++enrolled;
                              answered.count_down();
                            });
  }
  asked.count_down();
  answered.wait();
  EXPECT_EQ(enrolled, 1U) << "one of the two places that were left went to a name that is taken";
  EXPECT_TRUE(tracker_.enrol("dave", key_named("dave")).ok()) << "it is free again";
  EXPECT_EQ(tracker_.enrol("one too many", key_named("one too many")).error().code, Code::too_large);
}

TEST_F(LedgerTest, TheInstanceIdIsTheSameForEver) {
  const InstanceId first = tracker_.ledger().instance_id();
  EXPECT_NE(first, InstanceId{});
  tracker_.reopen();
  EXPECT_EQ(tracker_.ledger().instance_id(), first);
  InstanceId other{};
  other.fill(7);
  tracker_.open({.instance_id = other});
  EXPECT_EQ(tracker_.ledger().instance_id(), first);
}

// Reports

TEST_F(LedgerTest, TheSenderIsCreditedAndTheReceiverDebited) {
  const auto out = tracker_.report("alice", {given(0), given(1), receipt(alice_, carol_, 0)});
  ASSERT_TRUE(out.ok()) << out.error().text();
  EXPECT_THAT(out->refused, IsEmpty());
  EXPECT_EQ(out->submitted, 3U);
  EXPECT_EQ(out->accepted, 3U);
  EXPECT_EQ(out->verified, 3U);
  EXPECT_EQ(out->credited, 3 * kPiece);
  EXPECT_EQ(out->member.uploaded, 3 * kPiece);
  EXPECT_EQ(tracker_.totals("alice"), (Totals{3 * kPiece, 0}));
  EXPECT_EQ(tracker_.totals("bob"), (Totals{0, 2 * kPiece}));
  EXPECT_EQ(tracker_.totals("carol"), (Totals{0, kPiece}));
  tracker_.reopen();
  EXPECT_EQ(tracker_.totals("alice"), (Totals{3 * kPiece, 0}));
  EXPECT_EQ(tracker_.totals("bob"), (Totals{0, 2 * kPiece}));
  const auto more = tracker_.report("alice", {given(2)});
  EXPECT_EQ(more->member.uploaded, 4 * kPiece) << "on top of what is in the store";
}

TEST_F(LedgerTest, EveryReportIsALeaf) {
  const auto before = tracker_.log().head().size;
  const auto out = tracker_.report("alice", {given(0)});
  ASSERT_TRUE(out.ok() && out->leaf.has_value());
  EXPECT_EQ(tracker_.log().head().size, before + 1);
  const auto leaf = audit::Leaf::parse(tracker_.log().leaf(out->leaf->index).value()).value();
  EXPECT_EQ(leaf.type, "tracker.report");
  EXPECT_EQ(leaf.outputs.at("receipts"),
            audit::commitment(crypto::Secret::copy_of(out->leaf->key), "receipts", receipt_id(given(0))));
  const auto nothing = tracker_.report("alice", {given(0)});
  EXPECT_FALSE(nothing->leaf.has_value());
  EXPECT_EQ(tracker_.log().head().size, before + 1);
}

TEST_F(LedgerTest, AReceiptIsSpentOnce) {
  EXPECT_EQ(refused(given(0)), std::nullopt);
  EXPECT_EQ(refused(given(0)), Refusal::spent);
  Receipt later = given(0);
  later.time += 1;
  EXPECT_EQ(refused(resigned(later, bob_)), Refusal::spent) << "signed anew";
  Receipt hourly = given(0);
  hourly.form = ReceiptForm::epoch;
  hourly.time /= 3600;
  EXPECT_EQ(refused(resigned(hourly, bob_)), Refusal::spent) << "in another form";
  tracker_.reopen();
  EXPECT_EQ(refused(given(0)), Refusal::spent) << "after a restart";
  EXPECT_EQ(tracker_.totals("alice"), (Totals{kPiece, 0}));
  EXPECT_EQ(tracker_.ledger().stats()->spent, 1U);
}

// Whoever hands in a receipt first, and be it as one byte, takes nothing from its owner.
TEST_F(LedgerTest, AGreaterSizeBringsTheDifference) {
  const auto of_size = [&](std::uint32_t size) {
    Receipt out = given(0);
    out.piece_size = size;
    return out;
  };
  EXPECT_EQ(refused(of_size(1)), std::nullopt);
  EXPECT_EQ(tracker_.totals("alice"), (Totals{1, 0}));
  tracker_.reopen();
  EXPECT_EQ(refused(of_size(kPiece)), std::nullopt);
  EXPECT_EQ(tracker_.totals("alice"), (Totals{kPiece, 0}));
  EXPECT_EQ(tracker_.totals("bob"), (Totals{0, kPiece}));
  EXPECT_EQ(refused(of_size(kPiece)), Refusal::spent);
  EXPECT_EQ(refused(of_size(2)), Refusal::spent);
  const auto twice = tracker_.report("alice", {of_size(kPiece + 1), of_size(kPiece + 3)});
  ASSERT_TRUE(twice.ok());
  EXPECT_EQ(twice->credited, 3U);
  EXPECT_EQ(tracker_.ledger().stats()->spent, 1U);
}

TEST_F(LedgerTest, TwiceInOneReportIsOnce) {
  const auto out = tracker_.report("alice", {given(0), given(1), given(0)});
  EXPECT_EQ(reasons(*out), (std::map<std::size_t, Refusal>{{2, Refusal::spent}}));
  EXPECT_EQ(out->credited, 2 * kPiece);
}

TEST_F(LedgerTest, ManyAtOnceAreCreditedOnce) {
  std::vector<Receipt> same;
  same.reserve(6);
  for (std::uint32_t i = 0; i < 6; ++i) same.push_back(given(i));
  std::atomic<std::uint64_t> credited = 0;
  std::vector<std::jthread> members;
  members.reserve(4);
  for (std::uint32_t thread = 0; thread < 4; ++thread) {
    members.emplace_back([&, thread] {
      std::vector<Receipt> receipts = same;
      receipts.push_back(given(100 + thread));
      const auto out = tracker_.report("alice", receipts);
      credited += out.ok() ? out->credited : 0;
    });
  }
  members.clear();
  EXPECT_EQ(credited, 10 * kPiece);
  EXPECT_EQ(tracker_.totals("alice"), (Totals{10 * kPiece, 0}));
  EXPECT_EQ(tracker_.totals("bob"), (Totals{0, 10 * kPiece}));
  tracker_.reopen();
  EXPECT_EQ(tracker_.totals("alice"), (Totals{10 * kPiece, 0}));
}

TEST_F(LedgerTest, AForgedCopyDoesNotUseUpTheGenuineOne) {
  Receipt forged = given(0);
  forged.signature = carol_.sign(signed_message(forged, {}));
  const auto out = tracker_.report("alice", {forged, given(0)});
  EXPECT_EQ(reasons(*out), (std::map<std::size_t, Refusal>{{0, Refusal::bad_signature}}));
  EXPECT_EQ(out->credited, kPiece);
}

TEST_F(LedgerTest, OneBadReceiptAmongManyCostsOnlyItself) {
  std::vector<Receipt> many;
  many.reserve(20);
  for (std::uint32_t i = 0; i < 20; ++i) many.push_back(receipt(alice_, i % 2 == 0 ? bob_ : carol_, i));
  many[13].piece_index += 100;
  const auto out = tracker_.report("alice", many);
  EXPECT_EQ(reasons(*out), (std::map<std::size_t, Refusal>{{13, Refusal::bad_signature}}));
  EXPECT_EQ(out->verified, 19U);
  EXPECT_EQ(tracker_.totals("alice"), (Totals{19 * kPiece, 0}));
}

TEST_F(LedgerTest, EveryReasonToRefuse) {
  EXPECT_EQ(refused(resigned(given(0), carol_)), Refusal::bad_signature);
  EXPECT_EQ(refused(receipt(bob_, carol_, 0)), Refusal::foreign_sender) << "somebody else's receipt";
  EXPECT_EQ(refused(receipt(alice_, alice_, 0)), Refusal::own_receipt);
  EXPECT_EQ(refused(receipt(alice_, key_named("nobody"), 0)), Refusal::unknown_receiver);
  Receipt old = given(0);
  old.time -= 3601;
  EXPECT_EQ(refused(resigned(old, bob_)), Refusal::stale);
  Receipt early = given(0);
  early.time += 61;
  EXPECT_EQ(refused(resigned(early, bob_)), Refusal::future);
  Receipt large = given(0);
  large.piece_size = (16U << 20U) + 1;
  EXPECT_EQ(refused(large), Refusal::piece_too_large);
  large.piece_size = 0;
  EXPECT_EQ(refused(large), Refusal::piece_too_large);
  EXPECT_EQ(tracker_.totals("alice"), (Totals{0, 0}));
  EXPECT_EQ(tracker_.ledger().stats()->spent, 0U);
}

TEST_F(LedgerTest, ThatOnlyBoundReceiptsCountIsASwitch) {
  tracker_.open({.bound_receipts_only = true});
  EXPECT_EQ(refused(given(0)), Refusal::unbound);
  Receipt hour = given(0);
  hour.form = ReceiptForm::epoch;
  hour.time /= kEpochSeconds;
  EXPECT_EQ(refused(resigned(hour, bob_)), Refusal::unbound);
  Receipt bound = given(0);
  bound.form = ReceiptForm::bound;
  EXPECT_EQ(refused(resigned(bound, bob_, tracker_.ledger().instance_id())), std::nullopt);
}

TEST_F(LedgerTest, UnreadableReceiptsAreNamed) {
  Report report;
  report.user_id = "alice";
  report.receipts.emplace_back(base::Error{Code::malformed, "piece_hash is missing"});
  report.receipts.emplace_back(given(0));
  const auto out = tracker_.report(std::move(report));
  ASSERT_EQ(out->refused.size(), 1U);
  EXPECT_EQ(out->refused[0].index, 0U);
  EXPECT_EQ(out->refused[0].reason, Refusal::malformed);
  EXPECT_THAT(out->refused[0].detail, HasSubstr("piece_hash"));
  EXPECT_EQ(out->credited, kPiece);
}

TEST_F(LedgerTest, WhatIsKnownOfATorrentCounts) {
  tracker_.open({.torrents = [](Receipt& one) -> base::Result<std::optional<Refusal>> {
    if (one.piece_index == 9) return base::Error{Code::io, "the disk"};
    return one.piece_index < 2 ? std::nullopt : std::optional{Refusal::unknown_piece};
  }});
  EXPECT_EQ(refused(given(1)), std::nullopt);
  EXPECT_EQ(refused(given(2)), Refusal::unknown_piece);
  const auto away = tracker_.report("alice", {given(0), given(9)});
  ASSERT_FALSE(away.ok());
  EXPECT_EQ(away.error().code, Code::io) << "no verdict on a receipt";
  EXPECT_EQ(tracker_.totals("alice").first, kPiece);
}

TEST_F(LedgerTest, BoundReceiptsAreOfThisInstance) {
  Receipt bound = given(0);
  bound.form = ReceiptForm::bound;
  EXPECT_EQ(refused(resigned(bound, bob_, {})), Refusal::bad_signature);
  EXPECT_EQ(refused(resigned(bound, bob_, tracker_.ledger().instance_id())), std::nullopt);
}

TEST_F(LedgerTest, WhoIsNotThereCannotReport) {
  EXPECT_EQ(tracker_.report("dave", {given(0)}).error().what, "User not registered");
  Report report;
  report.user_id = "alice";
  report.public_key = bob_.public_key().encoded();
  EXPECT_EQ(tracker_.report(std::move(report)).error().code, Code::denied);
  EXPECT_EQ(tracker_.report("alice", {})->submitted, 0U);
}

TEST_F(LedgerTest, ReportsAreBounded) {
  tracker_.open({.max_receipts = 1});
  EXPECT_EQ(tracker_.report("alice", {given(0), given(1)}).error().code, Code::too_large);
}

// What may be switched off

TEST_F(LedgerTest, ClaimedAmountsCountForNothingByDefault) {
  Report report;
  report.user_id = "alice";
  report.claimed_upload = report.claimed_download = 1'000'000;
  const auto out = tracker_.report(std::move(report));
  ASSERT_TRUE(out.ok());
  EXPECT_EQ(tracker_.totals("alice"), (Totals{0, 0}));
  Report forged;
  forged.user_id = "alice";
  forged.claimed_upload = 1'000'000;
  forged.receipts.emplace_back(resigned(given(0), carol_));
  EXPECT_EQ(tracker_.report(std::move(forged))->verified, 0U);
  EXPECT_EQ(tracker_.totals("alice"), (Totals{0, 0}));
}

TEST_F(LedgerTest, WithoutVerificationTheyDo) {
  const auto leaf = tracker_.configure({.verify_signatures = false});
  ASSERT_TRUE(leaf.ok());
  EXPECT_EQ(audit::Leaf::parse(tracker_.log().leaf(leaf->index).value())->type, "tracker.config");
  const auto claimed = [] {
    Report report;
    report.user_id = "alice";
    report.claimed_upload = 1000;
    report.claimed_download = 500;
    return report;
  };
  EXPECT_EQ(tracker_.report(claimed())->verified, 0U);
  EXPECT_EQ(tracker_.totals("alice"), (Totals{1000, 500}));
  Report with_receipt = claimed();
  with_receipt.receipts.emplace_back(resigned(given(0), carol_));
  const auto out = tracker_.report(std::move(with_receipt));
  EXPECT_EQ(out->accepted, 1U);
  EXPECT_EQ(out->verified, 0U) << "what was not verified is not called so";
  EXPECT_EQ(tracker_.totals("alice"), (Totals{1000 + kPiece, 500}));
  EXPECT_EQ(refused(given(0)), Refusal::spent);
}

TEST_F(LedgerTest, TheConfigurationIsKept) {
  const LedgerConfig config{.verify_signatures = false, .window = 7200};
  ASSERT_TRUE(tracker_.configure(config).ok());
  EXPECT_EQ(tracker_.ledger().config(), config);
  tracker_.reopen();
  EXPECT_EQ(tracker_.ledger().config(), config);
  EXPECT_EQ(tracker_.configure({.window = 59}).error().code, Code::malformed);
  EXPECT_EQ(tracker_.configure({.window = 604'801}).error().code, Code::malformed);
  EXPECT_EQ(tracker_.ledger().config(), config);
}

// What is forgotten

TEST_F(LedgerTest, SpentReceiptsAreForgottenAfterTwoWindows) {
  EXPECT_EQ(refused(given(0)), std::nullopt);
  const auto fresh = [&](std::uint32_t index) {
    Receipt out = given(index);
    out.time = static_cast<std::uint64_t>(clock_.now().seconds);
    return resigned(out, bob_);
  };
  clock_.pass(7200);
  EXPECT_EQ(refused(fresh(1)), std::nullopt);
  EXPECT_EQ(tracker_.ledger().stats()->spent, 2U);
  EXPECT_EQ(refused(fresh(0)), Refusal::spent) << "the piece is still remembered";
  clock_.pass(2);
  EXPECT_EQ(refused(fresh(2)), std::nullopt);
  EXPECT_EQ(tracker_.ledger().stats()->spent, 2U) << "the first is forgotten";
  EXPECT_EQ(refused(fresh(0)), std::nullopt) << "the piece was given anew";
}

TEST_F(LedgerTest, WhatWasForgottenIsNeverCreditedAgain) {
  const Receipt first = given(0);
  EXPECT_EQ(refused(first), std::nullopt);
  clock_.pass(7202);
  Receipt another = given(1);
  another.time += 7202;
  EXPECT_EQ(refused(resigned(another, bob_)), std::nullopt);
  EXPECT_EQ(tracker_.ledger().stats()->spent, 1U);
  // An operator makes the window so wide that the old receipt is fresh again.
  ASSERT_TRUE(tracker_.configure({.window = 86'400}).ok());
  EXPECT_EQ(refused(first), Refusal::spent);
  tracker_.reopen();
  EXPECT_EQ(refused(first), Refusal::spent);
}

// Several instances

/// Passes claims on, unless it is told to do otherwise.
class TestAuthority final : public SpentAuthority {
 public:
  enum class Mood : std::uint8_t { honest, away, dies_after_the_claim };
  explicit TestAuthority(state::Store& store) : inner_(store, [] { return ReceiptRules{}; }) {}
  void claim(const InstanceId& owner, std::vector<SpentClaim> claims, std::string_view customer,
             Answer answer) override {
    switch (mood) {
      case Mood::honest:
        return inner_.claim(owner, std::move(claims), customer, std::move(answer));
      case Mood::away:
        return answer(base::Error{Code::io, "no route to host"});
      case Mood::dies_after_the_claim:
        return inner_.claim(owner, std::move(claims), customer, [this](base::Result<std::vector<bool>> granted) {
          lost.set_value(granted.ok() && granted->front());
        });
    }
  }
  Mood mood = Mood::honest;
  std::promise<bool> lost;

 private:
  StoredSpent inner_;
};

class TwoLedgers : public LedgerTest {
 protected:
  TwoLedgers() {
    for (Tracker* one : {&tracker_, &other_}) one->open({.shared = &authority_});
    for (const char* name : {"alice", "bob"}) EXPECT_TRUE(other_.enrol(name, key_named(name)).ok());
  }
  static std::optional<Refusal> refused_at(Tracker& tracker, const Receipt& one) {
    const auto out = tracker.report("alice", {one});
    EXPECT_TRUE(out.ok());
    return out->refused.empty() ? std::nullopt : std::optional{out->refused.front().reason};
  }
  Tracker shared_{clock_, "authority"};
  Tracker other_{clock_, "other"};
  TestAuthority authority_{shared_.store()};
};

TEST_F(TwoLedgers, AReceiptIsSpentAtOneOfThem) {
  EXPECT_NE(tracker_.ledger().instance_id(), other_.ledger().instance_id());
  EXPECT_EQ(refused_at(tracker_, given(0)), std::nullopt);
  EXPECT_EQ(refused_at(other_, given(0)), Refusal::spent);
  EXPECT_EQ(refused_at(other_, given(1)), std::nullopt);
  EXPECT_EQ(refused_at(tracker_, given(1)), Refusal::spent);
  EXPECT_EQ(refused_at(tracker_, given(0)), Refusal::spent);
  EXPECT_EQ(tracker_.totals("alice"), (Totals{kPiece, 0}));
  EXPECT_EQ(other_.totals("alice"), (Totals{kPiece, 0}));
}

TEST_F(TwoLedgers, PartOfAReportMayBeSpentElsewhere) {
  EXPECT_EQ(refused_at(other_, given(1)), std::nullopt);
  const auto out = tracker_.report("alice", {given(0), given(1), given(2)});
  EXPECT_EQ(reasons(*out), (std::map<std::size_t, Refusal>{{1, Refusal::spent}}));
  EXPECT_EQ(out->credited, 2 * kPiece);
}

TEST_F(TwoLedgers, ATrackerThatDiesBetweenClaimAndCreditLosesNothing) {
  authority_.mood = TestAuthority::Mood::dies_after_the_claim;
  Report report;
  report.user_id = "alice";
  report.receipts.emplace_back(given(0));
  bool answered = false;
  tracker_.ledger().report(std::move(report), [&](base::Result<ReportOutcome>) { answered = true; });
  EXPECT_TRUE(authority_.lost.get_future().get()) << "the claim was granted";
  EXPECT_FALSE(answered);
  authority_.mood = TestAuthority::Mood::honest;
  tracker_.reopen();
  EXPECT_EQ(tracker_.totals("alice"), (Totals{0, 0}));
  EXPECT_EQ(refused_at(other_, given(0)), Refusal::spent) << "it is the first one's";
  EXPECT_EQ(refused_at(tracker_, given(0)), std::nullopt);
  EXPECT_EQ(refused_at(tracker_, given(0)), Refusal::spent);
  EXPECT_EQ(tracker_.totals("alice"), (Totals{kPiece, 0}));
}

TEST_F(TwoLedgers, AnAuthorityThatIsAwayIsNoDenial) {
  authority_.mood = TestAuthority::Mood::away;
  const auto out = tracker_.report("alice", {given(0)});
  ASSERT_FALSE(out.ok());
  EXPECT_EQ(out.error().code, Code::unavailable);
  EXPECT_THAT(out.error().text(), HasSubstr("no route to host"));
  EXPECT_EQ(tracker_.totals("alice"), (Totals{0, 0}));
  authority_.mood = TestAuthority::Mood::honest;
  EXPECT_EQ(refused_at(tracker_, given(0)), std::nullopt);
}

TEST_F(TwoLedgers, ForgedReceiptsAreNotClaimed) {
  EXPECT_EQ(refused_at(tracker_, resigned(given(0), carol_)), Refusal::bad_signature);
  EXPECT_EQ(refused_at(other_, given(0)), std::nullopt) << "nobody's so far";
}

TEST_F(LedgerTest, OneOfThemMayBeTheAuthority) {
  StoredSpent authority{tracker_.store(), [] { return ReceiptRules{}; }};
  Tracker other{clock_, "other"};
  other.open({.shared = &authority});
  for (const char* name : {"alice", "bob"}) ASSERT_TRUE(other.enrol(name, key_named(name)).ok());
  EXPECT_TRUE(other.report("alice", {given(0)})->refused.empty());
  EXPECT_EQ(refused(given(0)), Refusal::spent) << "claimed by the other";
  EXPECT_EQ(refused(given(1)), std::nullopt);
  EXPECT_EQ(other.report("alice", {given(1)})->refused.front().reason, Refusal::spent);
}

TEST_F(LedgerTest, AClockThatCannotBeTrustedStopsReports) {
  ASSERT_EQ(refused(given(0)), std::nullopt);
  clock_.set_wall(kNow - 1000);
  EXPECT_EQ(tracker_.report("alice", {given(1)}).error().code, Code::unavailable);
}

TEST(Ratios, OfGivenAndTaken) {
  EXPECT_EQ(ratio_of(0, 0).value, 1.0);
  EXPECT_TRUE(ratio_of(1, 0).infinite);
  EXPECT_EQ(ratio_of(1, 2).value, 0.5);
  EXPECT_FALSE(ratio_of(0, 2).infinite);
  EXPECT_EQ(ratio_of(0, 2).value, 0.0);
}

}  // namespace
}  // namespace attestry::tracker
