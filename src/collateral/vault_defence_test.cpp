// What strangers can do to a vault that others rely on: nothing to what is held, little to its vendors.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "collateral/testing/stand_in.h"
#include "collateral/testing/vaulted.h"
#include "collateral/vendors.h"

namespace attestry::collateral {
namespace {

/// Intel's stand-in, and a KDS that keeps every call until release(): reports of any chip can be queued.
class SlowKds final : public Fetcher {
 public:
  explicit SlowKds(const Vendors& vendors) : vendors_(vendors) {}
  ~SlowKds() override { release(); }

  base::Result<Origin> origin(const Artefact& artefact) const override {
    if (std::holds_alternative<attestation::VcekOf>(artefact)) return Origin{"kds.test", true};
    if (std::holds_alternative<attestation::AmdChainOf>(artefact)) return Origin{"kds.test", false};
    return vendors_.origin(artefact);
  }
  base::Result<Fetched> fetch(const Artefact& artefact, base::Deadline deadline, Trouble& trouble) const override {
    if (!std::holds_alternative<attestation::AmdChainOf>(artefact)) return vendors_.fetch(artefact, deadline, trouble);
    std::unique_lock<std::mutex> lock(mutex_);
    opened_.wait(lock, [this] { return open_; });
    return base::Error{Code::collateral_missing, "no such chain"};
  }
  void release() {
    const std::lock_guard<std::mutex> lock(mutex_);
    open_ = true;
    opened_.notify_all();
  }

 private:
  const Vendors& vendors_;
  mutable std::mutex mutex_;
  mutable std::condition_variable opened_;
  bool open_ = false;
};

Artefact chip(unsigned number) {
  attestation::VcekOf out{attestation::snp::Product::milan, base::Bytes(64, 0), {}};
  out.hwid[0] = static_cast<std::uint8_t>(number);
  out.hwid[1] = static_cast<std::uint8_t>(number >> 8);
  out.hwid[63] = 1;
  return out;
}

class Besieged : public Vaulted {
 public:
  ~Besieged() override { end(); }

 protected:
  static constexpr std::size_t kQueue = 16;

  void start_besieged(VaultOptions options = {}) {
    options.clock = &clock_;
    options.random = &random_;
    options.slice = std::chrono::milliseconds(1);
    options.max_queue = kQueue;
    vault_ = std::make_unique<Vault>(&fetcher_, verifier_, nullptr, options);
  }
  void end() {
    fetcher_.release();
    release();
    vault_.reset();
  }
  /// Nobody waits for any of them any more.
  void flood(unsigned from, unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
      vault_->when_ready(report(from + i), clock_.now(), clock_.steady() + std::chrono::seconds(2),
                         [](const Given&) {});
    }
    clock_.pass(3);
    ASSERT_TRUE(eventually([&] { return vault_->stats().waiting == 0; }));
  }
  bool asked_of_intel_again() const { return service_.calls() >= 2 * kCallsPerFetch; }
  /// A report of version 3 of a Milan chip that nobody made.
  static attestation::Evidence report(unsigned number) {
    base::Bytes bytes(1184, 0);
    bytes[0] = 3;
    bytes[0x188] = 0x19;  // family and model: Milan
    bytes[0x189] = 0x01;
    bytes[0x1a0] = static_cast<std::uint8_t>(number);
    bytes[0x1a1] = static_cast<std::uint8_t>(number >> 8);
    bytes[0x1a0 + 63] = 1;
    return {attestation::EvidenceFormat::snp_report, std::move(bytes)};
  }

  SlowKds fetcher_{vendors_};
};

TEST_F(Besieged, ReportsOfInventedChipsStopNoRefresh) {
  start_besieged();
  ASSERT_TRUE(get().ok());
  flood(0, 4 * kQueue);
  // Of one kind at one host; AMD's chain, which they are judged under, is of another and may still be on its way.
  EXPECT_TRUE(eventually([&] { return vault_->stats().queued == kQueue; }));
  clock_.pass(kDay);
  EXPECT_TRUE(eventually([&] { return asked_of_intel_again(); }));
  EXPECT_TRUE(eventually([&] { return vault_->stats().stale_artefacts == 0; }));
  EXPECT_EQ(vault_->stats().refreshes, kCallsPerFetch);
  EXPECT_EQ((*get())->stale_seconds(), std::nullopt);
  end();
}

TEST_F(Besieged, ReportsOfInventedChipsKeepNobodyFromIntel) {
  start_besieged();
  flood(0, 4 * kQueue);
  EXPECT_TRUE(get().ok());
  end();
}

TEST_F(Besieged, AChipThatWasAskedForTwiceOutlastsThoseAskedForOnce) {
  start_besieged();
  flood(1000, 1);
  flood(1000, 1);
  flood(0, 4 * kQueue);
  // Still there: a third request joins the fetch instead of pushing out another one.
  const auto before = vault_->stats().displaced;
  EXPECT_EQ(before, 3 * kQueue + 1);
  flood(1000, 1);
  EXPECT_EQ(vault_->stats().displaced, before);
  end();
}

TEST_F(Besieged, ARefreshThatIsStillQueuedIsLateInVerdictsMetricsAndAlarms) {
  start_besieged({.max_stale_seconds = kWeek, .alarm_seconds = 2 * kDay});
  ASSERT_TRUE(get().ok());
  hold();  // Intel answers no more
  clock_.pass(kDay);
  ASSERT_TRUE(eventually([&] { return vault_->stats().in_flight == kCallsPerFetch; }));
  clock_.pass(kDay);
  auto given = get();
  ASSERT_TRUE(given.ok());
  ASSERT_NE((*given)->stale_seconds(), std::nullopt);
  EXPECT_GE(*(*given)->stale_seconds(), kDay);
  EXPECT_EQ(vault_->stats().stale_artefacts, kCallsPerFetch);
  clock_.pass(4 * kDay + kDay / 2);
  EXPECT_TRUE(eventually([&] { return vault_->stats().alarms > 0; }));
  end();
}

TEST_F(Besieged, TheAgeIsThatOfTheAnswer) {
  start_besieged(quiet());
  ASSERT_TRUE(get().ok());
  outage();
  clock_.pass(2 * kDay);
  (void)get();
  ASSERT_TRUE(eventually([&] { return idle(); }));
  const auto first = *get();
  ASSERT_NE(first->stale_seconds(), std::nullopt);
  EXPECT_EQ(*first->stale_seconds() % 60, 0) << "whole minutes, so that the same set serves many";
  EXPECT_EQ(*get(), first);
  clock_.pass(3600);
  hold();  // no try ends meanwhile
  const auto later = *get();
  EXPECT_EQ(*later->stale_seconds(), *first->stale_seconds() + 3600);
  EXPECT_EQ(later->digest(), first->digest());
  end();
}

TEST_F(Besieged, AnOperatorsRefreshIsNotPushedOut) {
  start_besieged(quiet());
  std::optional<base::Result<Held>> outcome;
  std::jthread operating([&] { outcome = vault_->refresh(chip(5000), kSomeDay); });
  ASSERT_TRUE(eventually([&] { return vault_->stats().queued >= 1; }));
  flood(0, 4 * kQueue);
  fetcher_.release();
  operating.join();
  ASSERT_TRUE(outcome.has_value());
  ASSERT_FALSE(outcome->ok());
  EXPECT_THAT(outcome->error().text(), HasSubstr("no such chain")) << "the fetch's own outcome";
  end();
}

TEST_F(Vaulted, AQuoteOfNoTrustedRootIsFetchedNothingFor) {
  start();
  evidence_ = evidence_of("tdx/forged-v4-foreign-root");
  const auto given = get();
  ASSERT_TRUE(given.ok()) << given.error().text();
  EXPECT_EQ(service_.calls(), 0u);
  EXPECT_EQ(vault_->stats().strangers, 1u);
  ASSERT_FALSE((*given)->problems().empty());
  EXPECT_THAT((*given)->problems().front().what, HasSubstr("trusted root"));
  const auto verdict = verifier_.verify(evidence_, **given, clock_.now());
  ASSERT_TRUE(verdict.ok());
  ASSERT_NE(verdict->root_cause(), nullptr);
  EXPECT_EQ(verdict->root_cause()->check, attestation::CheckId::dcap_pck_root);
  // What others had fetched serves it like any other.
  evidence_ = evidence_of("tdx/forged-v4");
  ASSERT_TRUE(get().ok());
  evidence_ = evidence_of("tdx/forged-v4-foreign-root");
  EXPECT_EQ((*get())->items().size(), 9u);
  EXPECT_EQ(service_.calls(), kCallsPerFetch);
}

// The FMSPC of a certificate that somebody else wrote, with Intel's own chain behind it.
TEST_F(Vaulted, ALeafThatIntelNeverSignedIsFetchedNothingFor) {
  start();
  const std::string_view text = base::as_text(evidence_.bytes);
  const std::size_t end = text.find("-----END CERTIFICATE-----");
  ASSERT_NE(end, std::string_view::npos);
  std::uint8_t& digit = evidence_.bytes[end - 8];  // of its signature
  digit = digit == 'A' ? 'B' : 'A';
  const auto given = get();
  ASSERT_TRUE(given.ok()) << given.error().text();
  EXPECT_EQ(service_.calls(), 0u);
  EXPECT_EQ(vault_->stats().strangers, 1u);
}

TEST_F(Vaulted, AHostIsAskedForNewThingsOnlySoOftenAndForRefreshesMore) {
  start({.host_fetches_per_minute = 4, .background = false});
  std::optional<Given> given;
  vault_->when_ready(evidence_, clock_.now(), kSomeDay, [&](Given one) { given = std::move(one); });
  ASSERT_TRUE(eventually([&] { return service_.calls() == 3 && vault_->stats().in_flight == 0; }));
  EXPECT_EQ(vault_->stats().queued, 1u) << "one of four is kept for refreshes";
  EXPECT_TRUE(vault_->refresh(kTcbInfo, kSomeDay).ok());
  EXPECT_EQ(service_.calls(), 4u);
  EXPECT_FALSE(given.has_value());
  clock_.pass(60);
  ASSERT_TRUE(eventually([&] { return given.has_value(); }));
  EXPECT_TRUE(given->ok());
}

TEST_F(Vaulted, AStaleCopyIsNotReplacedByAnOlderOne) {
  open_store();
  start(quiet());
  clock_.set_wall(kNoon);
  ASSERT_TRUE(get().ok());
  PcsStandIn earlier{"tdx/forged-v4-earlier"};
  {
    const std::lock_guard<std::mutex> lock(service_.mutex);
    service_.replies = earlier.replies;
  }
  clock_.pass(9 * kDay);  // past the stale bound, and nothing has run out
  const auto given = get();
  ASSERT_FALSE(given.ok()) << "the older documents are in force, and taken back";
  EXPECT_THAT(given.error().text(), HasSubstr("older than what is held"));
  // Nor after a restart.
  settle();
  start(quiet());
  EXPECT_FALSE(get().ok());
  ASSERT_TRUE(eventually([&] { return idle(); }));
  {
    const std::lock_guard<std::mutex> lock(service_.mutex);
    service_.replies = PcsStandIn{}.replies;
  }
  clock_.pass(600);
  EXPECT_TRUE(get().ok());
}

TEST_F(Vaulted, ANameThatNobodyHoldsLeavesNothingBehind) {
  open_store();
  start(quiet());
  for (unsigned i = 0; i < 100; ++i) {
    EXPECT_EQ(vault_->get(chip(i), clock_.now(), clock_.steady(), false).error().code, Code::not_found);
  }
  EXPECT_EQ(vault_->stats().artefacts, 0u);
  ASSERT_TRUE(get().ok());
  settle();
  start(quiet());
  EXPECT_TRUE(vault_->get(kTcbInfo, clock_.now(), clock_.steady(), false).ok()) << "what the store has is found";
}

}  // namespace
}  // namespace attestry::collateral
