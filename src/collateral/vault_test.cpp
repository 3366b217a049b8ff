#include "collateral/vault.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <latch>
#include <thread>

#include "collateral/internal/host_gates.h"
#include "collateral/internal/records.h"
#include "collateral/testing/stand_in.h"
#include "collateral/testing/vaulted.h"
#include "collateral/vendors.h"

namespace attestry::collateral {
namespace {

TEST_F(Vaulted, FetchesOnceAndGivesTheSameObjectAgain) {
  start();
  const auto first = get();
  ASSERT_TRUE(first.ok()) << first.error().text();
  EXPECT_EQ((*first)->items().size(), 9u);
  EXPECT_EQ((*first)->stale_seconds(), std::nullopt);
  const auto second = get();
  EXPECT_EQ(*second, *first);
  EXPECT_EQ(service_.calls(), kCallsPerFetch);
  EXPECT_EQ(vault_->stats().hits, 1u);
  EXPECT_EQ(vault_->stats().fetches, kCallsPerFetch);
}

TEST_F(Vaulted, ManyWaitersShareOneFetch) {
  start();
  hold();
  constexpr std::size_t kCallers = 50;
  std::mutex mutex;
  std::vector<Given> given;
  for (std::size_t i = 0; i < kCallers; ++i) {
    vault_->when_ready(evidence_, clock_.now(), kSomeDay, [&](Given one) {
      const std::lock_guard<std::mutex> lock(mutex);
      given.push_back(std::move(one));
    });
  }
  EXPECT_EQ(vault_->stats().waits, kCallers);
  release();
  ASSERT_TRUE(eventually([&] {
    const std::lock_guard<std::mutex> lock(mutex);
    return given.size() == kCallers;
  }));
  for (const Given& one : given) {
    ASSERT_TRUE(one.ok()) << one.error().text();
    EXPECT_EQ(*one, *given.front());
  }
  EXPECT_EQ(service_.calls(), kCallsPerFetch);
}

TEST_F(Vaulted, AWaiterLeavesAtItsOwnDeadlineAndWhatComesIsKeptForTheNext) {
  start();
  hold();
  std::optional<Given> hurried;
  vault_->when_ready(evidence_, clock_.now(), clock_.steady() + std::chrono::seconds(3),
                     [&](Given one) { hurried = std::move(one); });
  ASSERT_TRUE(eventually([&] { return vault_->stats().in_flight > 0; }));
  clock_.pass(3);
  ASSERT_TRUE(eventually([&] { return vault_->stats().timeouts == 1 && vault_->stats().waiting == 0; }));
  release();
  ASSERT_TRUE(eventually([&] { return idle(); }));
  ASSERT_TRUE(eventually([&] { return hurried.has_value(); }));
  EXPECT_EQ(hurried->error().code, Code::deadline_exceeded);
  EXPECT_TRUE(get(clock_.steady()).ok()) << "nothing was lost, and what is held takes no time";
  EXPECT_EQ(service_.calls(), kCallsPerFetch);
}

TEST_F(Vaulted, TheServiceIsAskedWithinItsOwnBound) {
  start({.fetch_seconds = 15});
  ASSERT_TRUE(get(clock_.steady() + std::chrono::seconds(4)).ok());
  EXPECT_THAT(service_.deadlines, ::testing::Each(clock_.steady() + std::chrono::seconds(15)));
  evidence_ = evidence_of("sgx/forged-v3");
  EXPECT_EQ(failure(clock_.steady()), Code::deadline_exceeded) << "no time was left to wait";
}

TEST_F(Vaulted, AServiceThatHangsIsUnavailableToEverybody) {
  start();
  outage(Code::deadline_exceeded);
  EXPECT_EQ(failure(), Code::unavailable);
  ASSERT_TRUE(eventually([&] { return idle(); }));
  const auto calls = service_.calls();
  EXPECT_EQ(failure(), Code::unavailable);
  EXPECT_EQ(service_.calls(), calls) << "and is not asked again at once";
}

TEST_F(Vaulted, ADeadHostIsAskedByOneAtATimeAndLessAndLessOften) {
  start({.failure_seconds = 4, .max_failure_seconds = 64});
  outage();
  EXPECT_EQ(failure(), Code::unavailable);
  ASSERT_TRUE(eventually([&] { return idle(); }));
  std::size_t tries = service_.calls();
  EXPECT_LE(tries, VaultOptions{}.lanes_per_host);
  tries = 0;
  for (int second = 0; second < 600; ++second) {
    clock_.pass(1);
    const auto before = service_.calls();
    EXPECT_EQ(failure(), Code::unavailable);
    ASSERT_TRUE(eventually([&] { return idle(); }));
    tries += service_.calls() - before;
  }
  // 2 to 4, 4 to 8, … 32 to 64 seconds apart.
  EXPECT_GE(tries, 600u / 64);
  EXPECT_LE(tries, 5u + 600 / 32);
  outage_ends();
  clock_.pass(64);
  EXPECT_TRUE(get().ok());
}

TEST_F(Vaulted, AnUnknownPlatformIsMissingCollateralAndNotAskedForAgain) {
  start({.missing_seconds = 600});
  service_.replies.clear();
  EXPECT_EQ(failure(), Code::collateral_missing);
  ASSERT_TRUE(eventually([&] { return idle(); }));
  const auto calls = service_.calls();
  for (int i = 0; i < 10; ++i) EXPECT_EQ(failure(), Code::collateral_missing);
  EXPECT_EQ(service_.calls(), calls);
  EXPECT_EQ(vault_->stats().negative_hits, 10u);
  clock_.pass(601);
  service_.replies = PcsStandIn{}.replies;
  EXPECT_TRUE(get().ok());
}

TEST_F(Vaulted, WaitsAsLongAsAThrottlingServiceAsks) {
  for (const std::string retry_after : {"30", "Mon, 15 Jun 2026 12:00:30 GMT"}) {
    clock_.set_wall(kNoon);
    start(quiet());
    answer_all(429, retry_after);
    std::promise<Given> answer;
    auto answered = answer.get_future();
    vault_->when_ready(evidence_, clock_.now(), kSomeDay,
                       [answer = std::move(answer)](Given one) mutable { answer.set_value(std::move(one)); });
    ASSERT_TRUE(eventually([&] { return vault_->stats().throttled > 0 && vault_->stats().in_flight == 0; }));
    const auto calls = service_.calls();
    answer_all(200);
    clock_.pass(29);
    ASSERT_TRUE(eventually([&] { return vault_->stats().queued == kCallsPerFetch; }));
    EXPECT_EQ(service_.calls(), calls) << retry_after;
    clock_.pass(1);
    ASSERT_TRUE(eventually([&] { return idle(); }));
    ASSERT_EQ(answered.wait_until(patient()), std::future_status::ready);
    const Given given = answered.get();
    EXPECT_TRUE(given.ok()) << given.error().text();
    EXPECT_EQ(vault_->stats().failures, 0u) << "nothing was lost";
  }
}

TEST_F(Vaulted, WhoCannotBeServedInTimeHearsItAtOnce) {
  start(quiet());
  answer_all(503, "3600");
  EXPECT_EQ(failure(clock_.steady() + std::chrono::seconds(10)), Code::unavailable);
  ASSERT_TRUE(eventually([&] { return vault_->stats().in_flight == 0; }));
  const auto given = get(clock_.steady() + std::chrono::seconds(10));
  ASSERT_FALSE(given.ok());
  EXPECT_EQ(given.error().code, Code::unavailable);
  EXPECT_THAT(given.error().text(), HasSubstr("pccs.test:8081 gives out no more for now"));
}

TEST_F(Vaulted, RefreshesInTheBackgroundAtARandomTimeBeforeHalfOfTheValidityHasPassed) {
  start();
  const auto first = get();
  ASSERT_TRUE(first.ok());
  std::set<std::int64_t> times;
  for (const Holding& held : vault_->in_memory()) {
    const std::int64_t delay = held.refresh_at.seconds - held.fetched_at.seconds;
    EXPECT_GE(delay, kDay / 2) << to_text(held.artefact);
    EXPECT_LE(delay, kDay) << to_text(held.artefact);
    times.insert(delay);
  }
  EXPECT_EQ(times.size(), kCallsPerFetch) << "not in the same second";
  clock_.pass(kDay / 2 - 1);
  EXPECT_EQ(service_.calls(), kCallsPerFetch);
  clock_.pass(kDay / 2 + 1);
  ASSERT_TRUE(eventually([&] { return vault_->stats().refreshes == kCallsPerFetch && idle(); }));
  const auto second = get();
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(*second, *first) << "the same documents stay the same object";
  EXPECT_EQ((*second)->stale_seconds(), std::nullopt);
}

// near/mpc#4517: the same nextUpdate everywhere, and everybody there at once.
TEST_F(Vaulted, AFleetDoesNotRefreshInTheSameMinute) {
  std::map<std::int64_t, int> minutes;
  constexpr int kServers = 1000;
  for (int i = 0; i < kServers; ++i) {
    crypto::SeededRandom random{base::as_bytes("server " + std::to_string(i))};
    ++minutes[internal::jittered_ms(kDay, random) / 60'000];
  }
  EXPECT_GT(minutes.size(), 400u);
  for (const auto& [minute, servers] : minutes) EXPECT_LE(servers, 12) << minute;
}

TEST_F(Vaulted, AnOlderCopyServesAnOutageAndSaysItsAgeUntilItsBound) {
  start({.max_stale_seconds = kWeek});
  const auto first = get();
  ASSERT_TRUE(first.ok());
  outage();
  clock_.pass(2 * kDay);
  ASSERT_TRUE(eventually([&] { return vault_->stats().stale_artefacts == kCallsPerFetch; }));
  const auto stale = get();
  ASSERT_TRUE(stale.ok()) << stale.error().text();
  EXPECT_GE((*stale)->stale_seconds().value_or(0), kDay);
  EXPECT_LE((*stale)->stale_seconds().value_or(0), kDay + kDay / 2);
  EXPECT_EQ((*stale)->digest(), (*first)->digest()) << "caches by digest still hit";
  EXPECT_GE(vault_->stats().oldest_stale_seconds, kDay);
  clock_.pass(5 * kDay);
  EXPECT_TRUE(get().ok());
  clock_.pass(kDay + kDay / 2);
  EXPECT_EQ(failure(), Code::unavailable) << "past the bound, although it has not run out";
  outage_ends();
  clock_.pass(300);
  EXPECT_TRUE(get().ok());
  EXPECT_EQ((*get())->stale_seconds(), std::nullopt);
}

TEST_F(Vaulted, NothingIsUsedPastItsEnd) {
  start({.max_stale_seconds = 365 * kDay});
  ASSERT_TRUE(get().ok());
  outage();
  clock_.pass(kNextUpdate.seconds - clock_.now().seconds);
  EXPECT_TRUE(get().ok()) << "nextUpdate itself is still valid";
  clock_.pass(1);
  EXPECT_EQ(failure(), Code::unavailable) << "past nextUpdate";
}

TEST_F(Vaulted, WarnsBeforeSomethingRunsOutAndTakesItBack) {
  start({.max_stale_seconds = kWeek, .alarm_seconds = 2 * kDay});
  struct Heard {
    std::mutex mutex{};
    std::vector<std::size_t> counts{};
  };
  const auto heard = std::make_shared<Heard>();  // the vault lives longer than this function
  vault_->on_alarms([heard](const std::vector<Alarm>& alarms) {
    const std::lock_guard<std::mutex> lock(heard->mutex);
    heard->counts.push_back(alarms.size());
  });
  ASSERT_TRUE(get().ok());
  outage();
  clock_.pass(4 * kDay);
  ASSERT_TRUE(eventually([&] { return vault_->stats().stale_artefacts == kCallsPerFetch; }));
  EXPECT_EQ(vault_->stats().alarms, 0u) << "too early";
  clock_.pass(2 * kDay);
  ASSERT_TRUE(eventually([&] { return vault_->stats().alarms == kCallsPerFetch; }));
  const auto alarms = vault_->alarms();
  EXPECT_GT(alarms.front().usable_until, clock_.now()) << "before the bound";
  EXPECT_TRUE(eventually([&] {
    const auto now = vault_->alarms();
    return !now.empty() && now.front().problem.find("the service is away") != std::string::npos;
  })) << "as soon as a try has failed";
  EXPECT_TRUE(get().ok()) << "it is still used";
  outage_ends();
  clock_.pass(300);
  ASSERT_TRUE(eventually([&] { return vault_->stats().alarms == 0; }));
  ASSERT_TRUE(eventually([&] {
    const std::lock_guard<std::mutex> lock(heard->mutex);
    return heard->counts.size() > 1 && heard->counts.back() == 0;
  }));
  const std::lock_guard<std::mutex> lock(heard->mutex);
  EXPECT_GT(heard->counts.front(), 0u);
}

TEST_F(Vaulted, DocumentsThatHaveRunOutAreNoCollateral) {
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

class VaultedLies : public Vaulted, public ::testing::WithParamInterface<Lie> {};

TEST_P(VaultedLies, AreUnavailableAndNameServiceDocumentAndCheck) {
  open_store();
  GetParam().tell(service_.replies);
  start();
  const auto given = get();
  ASSERT_FALSE(given.ok());
  EXPECT_EQ(given.error().code, Code::unavailable);
  EXPECT_THAT(given.error().text(), HasSubstr("http://pccs.test:8081"));
  EXPECT_THAT(given.error().text(), HasSubstr(std::string{GetParam().document} + ": "));
  EXPECT_THAT(given.error().text(), HasSubstr(GetParam().check));
  ASSERT_TRUE(eventually([&] { return idle(); }));
  EXPECT_EQ(vault_->stats().refused, 1u);
  EXPECT_EQ(verifier_.stats().collateral.entries, 0u);
  // Nor did it get into the store; the other three did.
  settle();
  start();
  const auto held = vault_->list();
  ASSERT_TRUE(held.ok());
  EXPECT_EQ(held->size(), kCallsPerFetch - 1);
  EXPECT_EQ(vault_->stats().store_refused, 0u);
}

TEST_P(VaultedLies, LeaveTheGoodCopyInUse) {
  start();
  const auto good = get();
  ASSERT_TRUE(good.ok()) << good.error().text();
  {
    const std::lock_guard<std::mutex> lock(service_.mutex);
    GetParam().tell(service_.replies);
  }
  clock_.pass(kDay);
  ASSERT_TRUE(eventually([&] { return vault_->stats().refreshes == kCallsPerFetch && idle(); }));
  const auto after = get();
  ASSERT_TRUE(after.ok()) << after.error().text();
  EXPECT_EQ((*after)->digest(), (*good)->digest());
  EXPECT_NE((*after)->stale_seconds(), std::nullopt);
  const VaultStats stats = vault_->stats();
  EXPECT_EQ(stats.refused, 1u);
  EXPECT_EQ(stats.stale_artefacts, 1u);
  EXPECT_EQ(stats.oldest_stale_seconds, *(*after)->stale_seconds());
}

INSTANTIATE_TEST_SUITE_P(Each, VaultedLies, ::testing::ValuesIn(kLies),
                         [](const auto& suite) { return std::string{suite.param.name}; });

TEST_F(Vaulted, AuthenticDocumentsOfAnotherKindOfTeeAreNoCollateral) {
  const PcsStandIn sgx{"sgx/forged-v4"};  // serves what it has under the paths of TDX
  at(service_.replies, kTcbPath) = sgx.replies.at(std::string{kStandInHost} + kTcbPath);
  start();
  EXPECT_THAT(failure_text(), HasSubstr("dcap.tcb_info.id"));
  service_.replies = PcsStandIn{}.replies;
  at(service_.replies, kQePath) = sgx.replies.at(std::string{kStandInHost} + kQePath);
  start();
  EXPECT_THAT(failure_text(), HasSubstr("dcap.qe_identity.id"));
}

TEST_F(Vaulted, DocumentsOfTheFutureAreNoCollateral) {
  clock_.set_wall(kNoon + -3 * kDay);
  start();
  const auto given = get();
  ASSERT_FALSE(given.ok());
  EXPECT_EQ(given.error().code, Code::unavailable);
  EXPECT_THAT(given.error().text(), HasSubstr("issued in the future"));
}

TEST_F(Vaulted, CollateralOfAnotherRootIsNoCollateral) {
  const attestation::Verifier intel{attestation::TrustAnchors::production()};
  Vault vault{&vendors_, intel, nullptr, {.clock = &clock_}};
  const auto given = vault.get(kTcbInfo, clock_.now(), kSomeDay);
  ASSERT_FALSE(given.ok());
  EXPECT_THAT(given.error().text(), HasSubstr("a trusted root"));
}

TEST_F(Vaulted, AcceptingASetWarmsTheVerifier) {
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
TEST_F(Vaulted, AnAuthenticRevocationIsNewsAndNoLie) {
  start();
  ASSERT_TRUE(get().ok());
  PcsStandIn revoking{"tdx/forged-v4-tcb-signing-revoked"};
  {
    const std::lock_guard<std::mutex> lock(service_.mutex);
    service_.replies = revoking.replies;
  }
  clock_.pass(kDay);
  ASSERT_TRUE(eventually([&] { return vault_->stats().refreshes == kCallsPerFetch && idle(); }));
  const auto given = get();
  ASSERT_TRUE(given.ok()) << given.error().text();
  EXPECT_EQ((*given)->stale_seconds(), std::nullopt);
  const auto verdict = verifier_.verify(evidence_, **given, clock_.now());
  ASSERT_TRUE(verdict.ok());
  ASSERT_NE(verdict->root_cause(), nullptr);
  EXPECT_EQ(verdict->root_cause()->check, attestation::CheckId::dcap_crl_tcb_signing_revoked);
}

TEST_F(Vaulted, ACopyOfTheStoreIsAcceptedLikeOneOfTheService) {
  open_store();
  Bundle bundle = read_bundle_path(testing::test_data_path("tdx/forged-v4"));
  start();
  ASSERT_TRUE(get().ok());
  settle();
  // Somebody writes another signature into the store.
  const auto before = vault_->get(kTcbInfo, clock_.now(), kSomeDay, false);
  ASSERT_TRUE(before.ok());
  const auto* signature = before->documents->find(attestation::CollateralKind::tcb_info_signature);
  attestation::CollateralItem forged = *signature;
  forged.bytes.back() ^= 1;
  const auto put = [&](state::WriteTxn& txn) {
    return txn.put(internal::content_key(signature->sha256), internal::encode_content(forged, clock_.now()));
  };
  ASSERT_TRUE(store_->write_and_wait(put, patient()).ok());
  service_.asked.clear();
  start();
  const auto given = get();
  ASSERT_TRUE(given.ok()) << given.error().text();
  EXPECT_EQ(service_.calls(), 1u) << "this one is fetched anew";
  EXPECT_GE(vault_->stats().store_errors, 1u);
}

TEST_F(Vaulted, AStoreOfOtherRootsPoisonsNothing) {
  open_store();
  start();
  ASSERT_TRUE(get().ok());
  settle();
  outage();
  const attestation::Verifier intel{attestation::TrustAnchors::production()};
  vault_.reset();
  Vault vault{&vendors_, intel, store_.get(), {.clock = &clock_}};
  const auto given = vault.collateral_for(evidence_, clock_.now(), kSomeDay);
  ASSERT_TRUE(given.ok());
  EXPECT_TRUE((*given)->items().empty());
  EXPECT_EQ(vault.get(kTcbInfo, clock_.now(), kSomeDay).error().code, Code::unavailable);
  EXPECT_GE(vault.stats().store_refused, kCallsPerFetch);
}

TEST_F(Vaulted, ARestartReadsFromTheStoreWithoutTheNetwork) {
  open_store();
  start();
  const auto before = get();
  ASSERT_TRUE(before.ok());
  const auto held = vault_->in_memory();
  settle();
  open_store();
  outage();
  start(quiet());
  const auto after = get();
  ASSERT_TRUE(after.ok()) << after.error().text();
  EXPECT_EQ((*after)->digest(), (*before)->digest());
  EXPECT_EQ((*after)->stale_seconds(), std::nullopt);
  EXPECT_EQ(service_.calls(), kCallsPerFetch);
  const auto again = vault_->in_memory();
  ASSERT_EQ(again.size(), held.size());
  for (std::size_t i = 0; i < held.size(); ++i) EXPECT_EQ(again[i].refresh_at, held[i].refresh_at);
}

TEST_F(Vaulted, ARestartRefreshesWithoutBeingAsked) {
  open_store();
  start();
  ASSERT_TRUE(get().ok());
  settle();
  vault_.reset();
  clock_.pass(2 * kDay);
  start();
  EXPECT_TRUE(eventually([&] { return vault_->stats().refreshes == kCallsPerFetch; }));
}

TEST_F(Vaulted, WhatHasRunOutInTheStoreIsFetchedAnew) {
  open_store();
  start();
  ASSERT_TRUE(get().ok());
  settle();
  vault_.reset();
  clock_.pass(40 * kDay);
  outage();
  start();
  EXPECT_EQ(failure(), Code::unavailable);
}

TEST_F(Vaulted, AStoreThatHoldsNonsenseIsCountedAndFetchedOver) {
  open_store();
  const auto key = internal::record_key(to_text(kTcbInfo));
  const auto put = [&](state::WriteTxn& txn) { return txn.put(key, base::as_bytes("\x01nonsense")); };
  ASSERT_TRUE(store_->write_and_wait(put, patient()).ok());
  start();
  EXPECT_TRUE(get().ok());
  EXPECT_GE(vault_->stats().store_errors, 1u);
  settle();
  service_.asked.clear();
  start();
  EXPECT_TRUE(get().ok());
  EXPECT_EQ(service_.calls(), 0u);
}

TEST_F(Vaulted, EvidenceThatCannotSayWhatItNeedsGetsNone) {
  start();
  evidence_.bytes.resize(100);
  EXPECT_EQ(*get(), Collateral::none());
  evidence_ = evidence_of("tdx/forged-v4");
  evidence_.format = attestation::EvidenceFormat::unknown;
  EXPECT_EQ(*get(), Collateral::none());
  EXPECT_EQ(service_.calls(), 0u);
}

TEST_F(Vaulted, PlatformsThatDoNotExistPushOutNoRealOne) {
  start({.max_artefacts = 6, .background = false});
  ASSERT_TRUE(get().ok());
  for (const char* other : {"tdx/forged-v4-processor-ca", "sgx/forged-v3", "sgx/forged-v4", "sgx/forged-v5"}) {
    const auto given = vault_->collateral_for(evidence_of(other), clock_.now(), kSomeDay);
    EXPECT_FALSE(given.ok()) << other;
    ASSERT_TRUE(eventually([&] { return idle(); }));
  }
  service_.asked.clear();
  EXPECT_TRUE(get().ok());
  EXPECT_EQ(service_.calls(), 0u);
  EXPECT_GT(vault_->stats().evicted, 0u);
}

TEST_F(Vaulted, TheQueueIsBounded) {
  start({.lanes = 1, .max_queue = kCallsPerFetch});
  hold();
  std::atomic<int> failures = 0;
  for (const char* name : {"tdx/forged-v4", "sgx/forged-v3", "tdx/forged-v4-processor-ca"}) {
    vault_->when_ready(evidence_of(name), clock_.now(), kSomeDay, [&](Given given) {
      if (!given.ok() && given.error().code == Code::unavailable) ++failures;
    });
  }
  EXPECT_GE(failures, 1) << "told at once";
  EXPECT_LE(vault_->stats().queued, kCallsPerFetch);
  release();
  vault_.reset();  // which answers the others, while there is somebody to count
}

TEST_F(Vaulted, ACopyOfTheStoreWaitsForNoFetchOfAnother) {
  open_store();
  start();
  ASSERT_TRUE(get().ok());
  settle();
  start({.lanes = 1});
  hold();
  vault_->when_ready(evidence_of("sgx/forged-v3"), clock_.now(), kSomeDay, [](const Given&) {});
  EXPECT_TRUE(get().ok());
  release();
}

TEST_F(Vaulted, WhatIsOlderDoesNotReplaceWhatIsNewer) {
  start();
  ASSERT_TRUE(get().ok());
  const auto held = vault_->get(kTcbInfo, clock_.now(), kSomeDay, false);
  ASSERT_TRUE(held.ok());
  attestation::Accepted older{.issued = held->about.issued - 1, .expires = held->about.expires};
  attestation::Accepted now{.issued = held->about.issued, .expires = held->about.expires};
  older.number = now.number = held->about.number;
  EXPECT_TRUE(attestation::older(older, now));
  EXPECT_FALSE(attestation::older(now, older));
  EXPECT_FALSE(attestation::older(now, now));
  // A lower evaluation number is older however late it was issued.
  older = now;
  older.issued = now.issued + kDay;
  older.number = now.number - 1;
  EXPECT_TRUE(attestation::older(older, now));
  // Of two revocation lists of one second the number says.
  attestation::Accepted list = now;
  list.crl_number = {2, 0};
  now.crl_number = {0xff};
  EXPECT_TRUE(attestation::older(now, list));
  EXPECT_FALSE(attestation::older(list, now));
}

TEST_F(Vaulted, ListsWhatItHoldsAndGivesItOutByNameAndByContent) {
  open_store();
  start();
  ASSERT_TRUE(get().ok());
  settle();
  start(quiet());
  const auto list = vault_->list();
  ASSERT_TRUE(list.ok()) << list.error().text();
  std::vector<std::string> names;
  for (const Holding& held : *list) names.push_back(to_text(held.artefact));
  EXPECT_THAT(names, ::testing::ElementsAre("tcb_info/tdx/509060200000", "qe_identity/tdx", "pck_crl/platform",
                                            "root_ca_crl/intel"));
  EXPECT_EQ(list->front().source, std::string{kStandInHost} + "/tdx/certification/v4/tcb");
  EXPECT_EQ(list->front().documents.size(), 3u);
  const auto held = vault_->get(kTcbInfo, clock_.now(), kSomeDay, false);
  ASSERT_TRUE(held.ok()) << held.error().text();
  for (const auto& item : held->documents->items()) {
    const auto content = vault_->content(item.sha256);
    ASSERT_TRUE(content.ok()) << content.error().text();
    EXPECT_EQ(*content, item.bytes);
  }
  EXPECT_EQ(vault_->content(base::Digest32{}).error().code, Code::not_found);
  const Artefact other = attestation::QeIdentityOf{false};
  EXPECT_EQ(vault_->get(other, clock_.now(), kSomeDay, false).error().code, Code::not_found);
  EXPECT_EQ(vault_->get(other, clock_.now(), kSomeDay).error().code, Code::collateral_missing);
}

TEST_F(Vaulted, TheRootCrlAloneIsFetchedWithAChainToJudgeItBy) {
  service_.replies = PcsStandIn{"sgx/forged-v4"}.replies;
  service_.replies[std::string{kStandInHost} + "/sgx/certification/v4/qe/identity"] = at(service_.replies, kQePath);
  start();
  const auto held = vault_->get(attestation::RootCrlOf{}, clock_.now(), kSomeDay);
  ASSERT_TRUE(held.ok()) << held.error().text();
  EXPECT_EQ(held->documents->items().size(), 1u);
}

TEST_F(Vaulted, AnOperatorAsksForItAgain) {
  start(quiet());
  ASSERT_TRUE(get().ok());
  ASSERT_TRUE(vault_->refresh(kTcbInfo, kSomeDay).ok());
  EXPECT_EQ(service_.calls(), kCallsPerFetch + 1);
  outage();
  const auto failed = vault_->refresh(kTcbInfo, kSomeDay);
  ASSERT_FALSE(failed.ok());
  EXPECT_THAT(failed.error().text(), HasSubstr("the service is away"));
  EXPECT_TRUE(get().ok());
}

TEST_F(Vaulted, ImportsWhatIsAuthenticAndServesItOffline) {
  const Bundle bundle = read_bundle_path(testing::test_data_path("tdx/forged-v4"));
  open_store();
  VaultOptions options{.clock = &clock_};
  {
    Vault offline{nullptr, verifier_, store_.get(), options};
    const auto before = offline.collateral_for(evidence_, clock_.now(), kSomeDay);
    ASSERT_TRUE(before.ok());
    EXPECT_TRUE((*before)->items().empty());
    EXPECT_THAT((*before)->problems().front().what, HasSubstr("not held"));
    EXPECT_TRUE((*before)->problems().front().missing);

    const auto imported = offline.import(bundle.items, {.source = "import test"}, clock_.now(), kSomeDay);
    ASSERT_TRUE(imported.ok()) << imported.error().text();
    ASSERT_EQ(imported->size(), kCallsPerFetch);
    for (const Imported& one : *imported) EXPECT_EQ(one.outcome, Imported::Outcome::added) << one.name << one.reason;
    const auto again = offline.import(bundle.items, {.source = "again"}, clock_.now(), kSomeDay);
    ASSERT_TRUE(again.ok()) << again.error().text();
    for (const Imported& one : *again) {
      EXPECT_EQ(one.outcome, Imported::Outcome::same) << one.name;
    }
  }
  Vault offline{nullptr, verifier_, store_.get(), options};
  clock_.pass(20 * kDay);
  const auto given = offline.collateral_for(evidence_, clock_.now(), kSomeDay);
  ASSERT_TRUE(given.ok());
  EXPECT_TRUE((*given)->problems().empty());
  EXPECT_EQ((*given)->digest(), bundle.collateral()->digest());
  EXPECT_EQ((*given)->stale_seconds(), std::nullopt) << "what nobody refreshes is not late";
}

TEST_F(Vaulted, ImportsNothingForged) {
  Bundle bundle = read_bundle_path(testing::test_data_path("tdx/forged-v4"));
  for (auto& item : bundle.items) {
    if (item.kind == attestation::CollateralKind::tcb_info_signature) item.bytes.back() ^= 1;
  }
  start(quiet());
  const auto imported = vault_->import(bundle.items, {.source = "import test"}, clock_.now(), kSomeDay);
  ASSERT_TRUE(imported.ok()) << imported.error().text();
  ASSERT_EQ(imported->size(), kCallsPerFetch);
  EXPECT_EQ(imported->front().outcome, Imported::Outcome::refused);
  EXPECT_THAT(imported->front().reason, HasSubstr("dcap.tcb_info.signature"));
  const auto keys = vault_->import({{attestation::CollateralKind::jwks, base::to_bytes("{\"keys\":[]}")}},
                                   {.source = "x"}, clock_.now(), kSomeDay);
  ASSERT_TRUE(keys.ok() && keys->size() == 1u);
  EXPECT_THAT(keys->front().reason, HasSubstr("whose"));
}

TEST_F(Vaulted, WhoWaitsWhenItEndsIsAnswered) {
  start();
  hold();
  std::optional<Given> given;
  vault_->when_ready(evidence_, clock_.now(), kSomeDay, [&](Given one) { given = std::move(one); });
  std::jthread ending([&] { vault_.reset(); });
  release();
  ending.join();
  ASSERT_TRUE(given.has_value());
}

}  // namespace
}  // namespace attestry::collateral
