#include "collateral/cached_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <latch>
#include <thread>

#include "collateral/internal/stored_set.h"
#include "collateral/testing/stand_in.h"
#include "state/keys.h"
#include "state/testing/support.h"

namespace attestry::collateral {
namespace {

using attestation::Collateral;
using base::Code;
using state::testing::ManualClock;
using state::testing::patient;
using ::testing::Each;
using testing::evidence_of;
using ::testing::HasSubstr;
using testing::kStandInHost;
using testing::PcsStandIn;
using Given = base::Result<std::shared_ptr<const Collateral>>;

constexpr std::int64_t kDay = 86400;
const base::UtcTime kNoon = base::from_civil(2026, 6, 15, 12, 0, 0);       // the documents are a day and a half old
const base::UtcTime kNextUpdate = base::from_civil(2026, 7, 14, 0, 0, 0);  // of all but the root CRL
constexpr std::size_t kCallsPerFetch = 4;
/// Later than every time that the clock of these tests reaches.
constexpr base::Deadline kSomeDay{std::chrono::hours(24) * 36500};

class Cached : public ::testing::Test {
 protected:
  /// As after a restart when there was one already.
  void start(CacheOptions options = {}) {
    options.clock = &clock_;
    source_.reset();
    source_ = std::make_unique<CachedSource>(client_, verifier_, store_.get(), options);
  }
  void open_store() {
    store_.reset();
    auto store = state::Store::open({.path = folder_.file("store"), .clock = &clock_});
    ASSERT_TRUE(store.ok()) << store.error().text();
    store_ = *std::move(store);
  }
  Given get(base::Deadline deadline = kSomeDay) { return source_->collateral_for(evidence_, clock_.now(), deadline); }
  Code failure(base::Deadline deadline = kSomeDay) {
    const auto given = get(deadline);
    return given.ok() ? Code::internal : given.error().code;
  }
  void outage(Code code = Code::unavailable) {
    const std::lock_guard<std::mutex> lock(service_.mutex);
    service_.error = base::Error{code, "the service is away"};
  }
  void outage_ends() {
    const std::lock_guard<std::mutex> lock(service_.mutex);
    service_.error.reset();
  }
  std::string failure_text() {
    const auto given = get();
    return given.ok() ? "none" : given.error().text();
  }
  net::Response& reply(const std::string& path) { return service_.replies.at(std::string{kStandInHost} + path); }
  /// What the store would keep of a set.
  void put_into_store(const Bundle& bundle) {
    const base::FixedBytes<6> fmspc{0x50, 0x90, 0x60, 0x20, 0, 0};
    const base::Bytes key = state::Key(state::Space::collateral).u8(1).u8(1).raw(fmspc).u8(1).bytes();
    const base::Bytes value = internal::encode_set(bundle, clock_.now());
    const auto put = [&](state::WriteTxn& txn) { return txn.put(key, value); };
    ASSERT_TRUE(store_->write_and_wait(put, patient()).ok());
  }
  /// Queued writes are on the disk afterwards.
  void settle() {
    ASSERT_TRUE(store_->write_and_wait([](state::WriteTxn&) { return base::done(); }, patient()).ok());
  }

  ManualClock clock_{kNoon};
  state::testing::TempFolder folder_;
  PcsStandIn service_;
  PcsClient client_{service_, {.base_url = std::string{kStandInHost}}};
  attestation::Verifier verifier_{testing::forged_anchors()};
  std::unique_ptr<state::Store> store_;
  std::unique_ptr<CachedSource> source_;
  attestation::Evidence evidence_ = evidence_of("tdx/forged-v4");
};

TEST_F(Cached, FetchesOnceAndGivesTheSameObjectAgain) {
  start();
  const auto first = get();
  ASSERT_TRUE(first.ok()) << first.error().text();
  EXPECT_EQ((*first)->items().size(), 9u);
  EXPECT_EQ((*first)->stale_seconds(), std::nullopt);
  const auto second = get();
  EXPECT_EQ(*second, *first);
  EXPECT_EQ(service_.calls(), kCallsPerFetch);
  EXPECT_EQ(source_->stats().hits, 1u);
  EXPECT_EQ(source_->stats().fetches, 1u);
}

TEST_F(Cached, ManyWaitersShareOneFetch) {
  start();
  constexpr int kCallers = 8;
  // The service answers only when all others are known to wait.
  service_.before = [&] {
    while (source_->stats().waits < kCallers - 1) std::this_thread::yield();
  };
  std::vector<Given> given(kCallers, Given(base::Error{}));
  {
    std::latch ready(kCallers);
    std::vector<std::jthread> callers;
    for (Given& mine : given) {
      callers.emplace_back([&] {
        ready.arrive_and_wait();
        mine = get();
      });
    }
  }
  for (const Given& one : given) {
    ASSERT_TRUE(one.ok()) << one.error().text();
    EXPECT_EQ(*one, *given.front());
  }
  EXPECT_EQ(service_.calls(), kCallsPerFetch);
  EXPECT_EQ(source_->stats().fetches, 1u);
}

TEST_F(Cached, AWaiterLeavesAtItsOwnDeadlineAndTheFetchGoesOn) {
  start();
  std::latch asked(1);
  std::latch answer(1);
  service_.before = [&, first = true]() mutable {
    if (std::exchange(first, false)) asked.count_down(), answer.wait();
  };
  Given fetched{base::Error{}};
  {
    std::jthread fetcher([&] { fetched = get(); });
    asked.wait();
    EXPECT_EQ(failure(std::chrono::steady_clock::now()), Code::deadline_exceeded);
    service_.mutex.lock();
    service_.before = nullptr;
    service_.mutex.unlock();
    answer.count_down();
  }
  EXPECT_TRUE(fetched.ok());
}

TEST_F(Cached, TheServiceIsAskedWithinTheCallersDeadlineAndItsOwnBound) {
  start({.fetch_seconds = 15});
  ASSERT_TRUE(get(clock_.steady() + std::chrono::seconds(4)).ok());
  EXPECT_THAT(service_.deadlines, Each(clock_.steady() + std::chrono::seconds(4)));
  service_.deadlines.clear();
  start({.fetch_seconds = 15});
  ASSERT_TRUE(get().ok());
  EXPECT_THAT(service_.deadlines, Each(clock_.steady() + std::chrono::seconds(15)));
  start();
  EXPECT_EQ(failure(clock_.steady()), Code::deadline_exceeded);
}

TEST_F(Cached, ACallerInAHurryDoesNotSpeakForTheOthers) {
  start();
  outage(Code::deadline_exceeded);
  EXPECT_EQ(failure(clock_.steady() + std::chrono::seconds(1)), Code::deadline_exceeded);
  outage_ends();
  EXPECT_TRUE(get().ok()) << "no failure is remembered";
}

TEST_F(Cached, AServiceThatHangsIsUnavailableToEverybody) {
  start();
  outage(Code::deadline_exceeded);
  EXPECT_EQ(failure(), Code::unavailable) << "its own bound was reached, not the caller's";
  EXPECT_EQ(failure(), Code::unavailable);
  EXPECT_EQ(service_.calls(), 1u);
}

TEST_F(Cached, WithoutACopyAnOutageIsUnavailableAndNotHammered) {
  start({.failure_seconds = 5});
  outage();
  for (int i = 0; i < 10; ++i) EXPECT_EQ(failure(), Code::unavailable);
  EXPECT_EQ(service_.calls(), 1u);
  outage_ends();
  clock_.pass(4);
  EXPECT_EQ(failure(), Code::unavailable);
  clock_.pass(1);
  EXPECT_TRUE(get().ok());
  EXPECT_EQ(source_->stats().failures, 1u);
}

TEST_F(Cached, AnUnknownPlatformIsMissingCollateral) {
  start();
  service_.replies.clear();
  EXPECT_EQ(failure(), Code::collateral_missing);
}

TEST_F(Cached, RefreshesAfterHalfOfTheValidity) {
  start();
  const auto first = get();
  ASSERT_TRUE(first.ok());
  clock_.pass((kNextUpdate.seconds - kNoon.seconds) / 2 - 1);
  ASSERT_TRUE(get().ok());
  EXPECT_EQ(service_.calls(), kCallsPerFetch);
  clock_.pass(1);
  const auto second = get();
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(service_.calls(), 2 * kCallsPerFetch);
  EXPECT_EQ(*second, *first) << "the same documents stay the same object";
  EXPECT_EQ((*second)->stale_seconds(), std::nullopt);
}

TEST_F(Cached, AnOlderCopyServesAnOutageAndSaysItsAgeUntilItsNextUpdate) {
  start({.failure_seconds = 5});
  const auto first = get();
  ASSERT_TRUE(first.ok());
  const std::int64_t half = (kNextUpdate.seconds - kNoon.seconds) / 2;
  clock_.pass(half + kDay);
  outage();
  const auto stale = get();
  ASSERT_TRUE(stale.ok()) << stale.error().text();
  EXPECT_EQ((*stale)->stale_seconds(), kDay);
  EXPECT_EQ((*stale)->digest(), (*first)->digest()) << "caches by digest still hit";
  EXPECT_EQ(*get(), *stale);
  EXPECT_EQ(service_.calls(), kCallsPerFetch + 1) << "one try in five seconds";
  clock_.pass(5);
  EXPECT_EQ((*get())->stale_seconds(), kDay + 5);

  clock_.pass(kNextUpdate.seconds - clock_.now().seconds);
  EXPECT_TRUE(get().ok()) << "nextUpdate itself is still valid";
  clock_.pass(1);
  EXPECT_EQ(failure(), Code::unavailable) << "past nextUpdate";
}

TEST_F(Cached, AfterTheOutageTheCopyIsFreshAgain) {
  start();
  ASSERT_TRUE(get().ok());
  clock_.pass(20 * kDay);
  outage();
  ASSERT_NE((*get())->stale_seconds(), std::nullopt);
  outage_ends();
  clock_.pass(5);
  EXPECT_EQ((*get())->stale_seconds(), std::nullopt);
}

TEST_F(Cached, ARefreshLeavesTheCallerHalfOfItsTimeAndHoldsNobodyElse) {
  start({.refresh_seconds = 3});
  ASSERT_TRUE(get().ok());
  clock_.pass(20 * kDay);
  service_.deadlines.clear();
  std::vector<bool> others;
  service_.before = [&] { others.push_back(get(base::Deadline{}).ok()); };
  ASSERT_TRUE(get(clock_.steady() + std::chrono::seconds(2)).ok());
  EXPECT_THAT(others, ::testing::AllOf(::testing::SizeIs(kCallsPerFetch), Each(true)));
  EXPECT_THAT(service_.deadlines, Each(clock_.steady() + std::chrono::seconds(1)));
}

TEST_F(Cached, DocumentsThatHaveRunOutAreNoCollateral) {
  clock_.pass(40 * kDay);
  start();
  const auto given = get();
  ASSERT_FALSE(given.ok());
  EXPECT_EQ(given.error().code, Code::unavailable);
  EXPECT_THAT(given.error().text(), HasSubstr("2026-07-14"));
}

constexpr const char* kTcbPath = "/tdx/certification/v4/tcb?fmspc=509060200000";
constexpr const char* kQePath = "/tdx/certification/v4/qe/identity";
constexpr const char* kPckCrlPath = "/sgx/certification/v4/pckcrl?ca=platform&encoding=der";
constexpr const char* kRootCrlPath = "/sgx/certification/v4/rootcacrl";

/// The last byte of a signature in hex before the end of a reply.
void damage_signature(net::Response& reply) {
  char& digit = reply.body.at(reply.body.size() - 3);
  digit = digit == '0' ? '1' : '0';
}

/// A way for a service to lie, and what the error names: document and check.
struct Lie {
  const char* name;
  void (*tell)(std::map<std::string, net::Response>& replies);
  const char* document;
  const char* check;
};
net::Response& at(std::map<std::string, net::Response>& replies, const std::string& path) {
  return replies.at(std::string{kStandInHost} + path);
}
/// Replies with the documents of another forged case, all signed by the same root.
net::Response& other_reply(PcsStandIn& other, const std::string& path) { return at(other.replies, path); }

const Lie kLies[] = {
    {"TcbInfoSignature", [](auto& replies) { damage_signature(at(replies, kTcbPath)); }, "tcb_info",
     "dcap.tcb_info.signature"},
    {"TcbInfoText",
     [](auto& replies) {
       std::string& body = at(replies, kTcbPath).body;
       body.replace(body.find("UpToDate"), 8, "upToDate");
     },
     "tcb_info", "dcap.tcb_info.signature"},
    {"TcbInfoOfAnotherPlatform",
     [](auto& replies) {
       std::string& body = at(replies, kTcbPath).body;
       body.replace(body.find("509060200000"), 12, "509060200001");
     },
     "tcb_info", "dcap.tcb_info.signature"},
    {"TcbInfoChain",
     [](auto& replies) {
       const std::string ca{at(replies, kPckCrlPath).headers.find("SGX-PCK-CRL-Issuer-Chain").value_or("")};
       at(replies, kTcbPath).headers.set("TCB-Info-Issuer-Chain", ca);
     },
     "tcb_info", "dcap.tcb_info"},
    {"QeIdentitySignature", [](auto& replies) { damage_signature(at(replies, kQePath)); }, "qe_identity",
     "dcap.qe_identity.signature"},
    {"PckCrlSignature", [](auto& replies) { at(replies, kPckCrlPath).body.back() ^= 1; }, "pck_crl",
     "dcap.crl.pck.signature"},
    {"PckCrlOfTheOtherCa",
     [](auto& replies) {
       PcsStandIn other{"tdx/forged-v4-processor-ca", "processor"};
       at(replies, kPckCrlPath) = other_reply(other, "/sgx/certification/v4/pckcrl?ca=processor&encoding=der");
     },
     "pck_crl_chain", "dcap.crl.pck.signature"},
    {"PckCrlUnderAnotherChain",
     [](auto& replies) {
       PcsStandIn other{"tdx/forged-v4-processor-ca", "processor"};
       at(replies, kPckCrlPath).body =
           other_reply(other, "/sgx/certification/v4/pckcrl?ca=processor&encoding=der").body;
     },
     "pck_crl", "dcap.crl.pck.issuer"},
    {"RootCrlSignature",
     [](auto& replies) {
       char& digit = at(replies, kRootCrlPath).body.back();
       digit = digit == '0' ? '1' : '0';
     },
     "root_ca_crl", "dcap.crl.root.signature"},
    {"RootCrlIsAnotherCrl",
     [](auto& replies) { at(replies, kRootCrlPath).body = base::hex(base::as_bytes(at(replies, kPckCrlPath).body)); },
     "root_ca_crl", "dcap.crl.root.signature"},
};

class CachedLies : public Cached, public ::testing::WithParamInterface<Lie> {};

TEST_P(CachedLies, AreUnavailableAndNameServiceDocumentAndCheck) {
  open_store();
  GetParam().tell(service_.replies);
  start();
  const auto given = get();
  ASSERT_FALSE(given.ok());
  EXPECT_EQ(given.error().code, Code::unavailable);
  EXPECT_THAT(given.error().text(), HasSubstr("http://pccs.test:8081: " + std::string{GetParam().document} + ": "));
  EXPECT_THAT(given.error().text(), HasSubstr(GetParam().check));
  EXPECT_EQ(source_->stats().refused, 1u);
  EXPECT_EQ(verifier_.stats().collateral.entries, 0u);
  // Nor did it get into the store.
  settle();
  outage();
  start();
  EXPECT_EQ(failure(), Code::unavailable);
  EXPECT_EQ(source_->stats().store_hits + source_->stats().store_refused, 0u);
}

TEST_P(CachedLies, LeaveTheGoodCopyInUse) {
  start();
  const auto good = get();
  ASSERT_TRUE(good.ok()) << good.error().text();
  clock_.pass(20 * kDay);
  GetParam().tell(service_.replies);
  const auto after = get();
  ASSERT_TRUE(after.ok()) << after.error().text();
  EXPECT_EQ((*after)->digest(), (*good)->digest());
  EXPECT_NE((*after)->stale_seconds(), std::nullopt);
  const CacheStats stats = source_->stats();
  EXPECT_EQ(stats.refused, 1u);
  EXPECT_EQ(stats.stale_sets, 1u);
  EXPECT_EQ(stats.oldest_stale_seconds, *(*after)->stale_seconds());
}

INSTANTIATE_TEST_SUITE_P(Each, CachedLies, ::testing::ValuesIn(kLies),
                         [](const auto& suite) { return std::string{suite.param.name}; });

TEST_F(Cached, AuthenticDocumentsOfAnotherKindOfTeeAreNoCollateral) {
  start();
  const PcsStandIn sgx{"sgx/forged-v4"};  // serves what it has under the paths of TDX
  service_.replies = sgx.replies;
  EXPECT_THAT(failure_text(), HasSubstr("dcap.tcb_info.id"));
  PcsStandIn tdx;
  at(service_.replies, kTcbPath) = at(tdx.replies, kTcbPath);
  clock_.pass(5);
  EXPECT_THAT(failure_text(), HasSubstr("dcap.qe_identity.id"));
}

TEST_F(Cached, DocumentsOfTheFutureAreNoCollateral) {
  clock_.set_wall(kNoon + -3 * kDay);
  start();
  const auto given = get();
  ASSERT_FALSE(given.ok());
  EXPECT_EQ(given.error().code, Code::unavailable);
  EXPECT_THAT(given.error().text(), HasSubstr("issued in the future"));
}

TEST_F(Cached, CollateralOfAnotherRootIsNoCollateral) {
  const attestation::Verifier intel{attestation::TrustAnchors::production()};
  CachedSource source{client_, intel, nullptr, {.clock = &clock_}};
  const auto given = source.collateral_for(evidence_, clock_.now(), kSomeDay);
  ASSERT_FALSE(given.ok());
  EXPECT_THAT(given.error().text(), HasSubstr("a trusted root"));
}

TEST_F(Cached, AcceptingASetWarmsTheVerifier) {
  start();
  const auto given = get();
  ASSERT_TRUE(given.ok());
  EXPECT_EQ(verifier_.stats().collateral.entries, 1u);
  const std::uint64_t hits = verifier_.stats().collateral.hits;
  const auto warm = verifier_.verify(evidence_, **given, clock_.now());
  EXPECT_EQ(verifier_.stats().collateral.hits, hits + 1);
  const attestation::Verifier cold{testing::forged_anchors()};
  const auto expected = cold.verify(evidence_, **given, clock_.now());
  ASSERT_TRUE(warm.ok() && expected.ok());
  EXPECT_EQ(attestation::to_json(*warm), attestation::to_json(*expected));
}

// To go on with the CRL from before the revocation would be to accept what Intel has just taken back.
TEST_F(Cached, AnAuthenticRevocationIsNewsAndNoLie) {
  start();
  ASSERT_TRUE(get().ok());
  clock_.pass(20 * kDay);
  PcsStandIn revoking{"tdx/forged-v4-tcb-signing-revoked"};
  service_.replies = revoking.replies;
  const auto given = get();
  ASSERT_TRUE(given.ok()) << given.error().text();
  EXPECT_EQ((*given)->stale_seconds(), std::nullopt);
  const auto verdict = verifier_.verify(evidence_, **given, clock_.now());
  ASSERT_TRUE(verdict.ok());
  ASSERT_NE(verdict->root_cause(), nullptr);
  EXPECT_EQ(verdict->root_cause()->check, attestation::CheckId::dcap_crl_tcb_signing_revoked);
}

TEST_F(Cached, ASetOfTheStoreIsAcceptedLikeOneOfTheService) {
  open_store();
  Bundle bundle = read_bundle_path(testing::test_data_path("tdx/forged-v4"));
  for (auto& item : bundle.items) {
    if (item.kind == attestation::CollateralKind::tcb_info_signature) item.bytes.back() ^= 1;
  }
  put_into_store(bundle);
  start();
  const auto given = get();
  ASSERT_TRUE(given.ok()) << given.error().text();
  EXPECT_NE((*given)->digest(), bundle.collateral()->digest());
  EXPECT_EQ(service_.calls(), kCallsPerFetch);
  EXPECT_EQ(source_->stats().store_refused, 1u);
  EXPECT_EQ(source_->stats().store_hits, 0u);
}

TEST_F(Cached, AStoreOfOtherRootsPoisonsNothing) {
  open_store();
  start();
  ASSERT_TRUE(get().ok());
  settle();
  outage();
  const attestation::Verifier intel{attestation::TrustAnchors::production()};
  CachedSource source{client_, intel, store_.get(), {.clock = &clock_}};
  const auto given = source.collateral_for(evidence_, clock_.now(), kSomeDay);
  ASSERT_FALSE(given.ok());
  EXPECT_EQ(given.error().code, Code::unavailable);
  EXPECT_EQ(source.stats().store_refused, 1u);
}

TEST_F(Cached, ARestartReadsFromTheStoreWithoutTheNetwork) {
  open_store();
  start();
  const auto before = get();
  ASSERT_TRUE(before.ok());
  settle();
  open_store();
  outage();
  clock_.pass(kDay);
  start();
  const auto after = get();
  ASSERT_TRUE(after.ok()) << after.error().text();
  EXPECT_EQ((*after)->digest(), (*before)->digest());
  EXPECT_EQ((*after)->stale_seconds(), std::nullopt);
  EXPECT_EQ(service_.calls(), kCallsPerFetch);
  EXPECT_EQ(source_->stats().store_hits, 1u);
}

TEST_F(Cached, ARestartRemembersWhenTheRefreshWasDue) {
  open_store();
  start();
  ASSERT_TRUE(get().ok());
  settle();
  clock_.pass((kNextUpdate.seconds - kNoon.seconds) / 2 + 100);
  outage();
  start();
  const auto after = get();
  ASSERT_TRUE(after.ok());
  EXPECT_EQ((*after)->stale_seconds(), 100);
  EXPECT_EQ(service_.calls(), kCallsPerFetch + 1);
}

TEST_F(Cached, WhatHasRunOutInTheStoreIsFetchedAnew) {
  open_store();
  start();
  ASSERT_TRUE(get().ok());
  settle();
  clock_.pass(40 * kDay);
  outage();
  start();
  EXPECT_EQ(failure(), Code::unavailable);
}

TEST_F(Cached, AStoreThatHoldsNonsenseIsCountedAndFetchedOver) {
  open_store();
  const base::FixedBytes<6> fmspc{0x50, 0x90, 0x60, 0x20, 0, 0};
  const base::Bytes key = state::Key(state::Space::collateral).u8(1).u8(1).raw(fmspc).u8(1).bytes();
  const auto put = [&](state::WriteTxn& txn) { return txn.put(key, base::as_bytes("\x01nonsense")); };
  ASSERT_TRUE(store_->write_and_wait(put, patient()).ok());
  start();
  EXPECT_TRUE(get().ok());
  EXPECT_EQ(source_->stats().store_errors, 1u);
  settle();
  start();
  EXPECT_TRUE(get().ok());
  EXPECT_EQ(source_->stats().store_hits, 1u);
}

TEST_F(Cached, EvidenceThatCannotSayWhatItNeedsGetsNone) {
  start();
  evidence_.bytes.resize(100);
  EXPECT_EQ(*get(), Collateral::none());
  evidence_ = evidence_of("tdx/forged-v4");
  evidence_.format = attestation::EvidenceFormat::unknown;
  EXPECT_EQ(*get(), Collateral::none());
  EXPECT_EQ(service_.calls(), 0u);
}

TEST_F(Cached, PlatformsThatDoNotExistPushOutNoRealOne) {
  start({.max_sets = 2, .failure_seconds = 0});
  ASSERT_TRUE(get().ok());
  for (const char* other : {"tdx/forged-v4-processor-ca", "sgx/forged-v3", "sgx/forged-v4", "sgx/forged-v5"}) {
    const auto given = source_->collateral_for(evidence_of(other), clock_.now(), kSomeDay);
    EXPECT_EQ(given.ok() ? Code::internal : given.error().code, Code::collateral_missing) << other;
  }
  service_.asked.clear();
  EXPECT_TRUE(get().ok());
  EXPECT_EQ(service_.calls(), 0u);
  EXPECT_EQ(source_->stats().sets, 2u);
  EXPECT_GT(source_->stats().evicted, 0u);
}

TEST_F(Cached, FetchesOfManyPlatformsAtOnceAreBounded) {
  start({.max_parallel = 1});
  Code other = Code::internal;
  service_.before = [&, first = true]() mutable {
    if (!std::exchange(first, false)) return;
    const auto given = source_->collateral_for(evidence_of("sgx/forged-v3"), clock_.now(), kSomeDay);
    if (!given.ok()) other = given.error().code;
  };
  ASSERT_TRUE(get().ok());
  EXPECT_EQ(other, Code::unavailable);
}

TEST_F(Cached, ASetOfTheStoreWaitsForNoFetchOfAnother) {
  open_store();
  start();
  ASSERT_TRUE(get().ok());
  settle();
  start({.max_parallel = 1});
  bool stored = false;
  service_.before = [&, first = true]() mutable {
    if (!std::exchange(first, false)) return;
    stored = get().ok();
  };
  EXPECT_FALSE(source_->collateral_for(evidence_of("sgx/forged-v3"), clock_.now(), kSomeDay).ok());
  EXPECT_TRUE(stored);
  EXPECT_EQ(source_->stats().store_hits, 1u);
}

}  // namespace
}  // namespace attestry::collateral
