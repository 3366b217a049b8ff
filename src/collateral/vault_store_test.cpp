// What the vault takes in, and what it keeps in the store.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>

#include "collateral/internal/records.h"
#include "collateral/testing/vaulted.h"
#include "collateral/vault.h"
#include "crypto/hash.h"

namespace attestry::collateral {
namespace {

using attestation::CollateralItem;
using attestation::CollateralKind;
using Outcome = Imported::Outcome;

const std::string kIssuer = "https://keys.test";
const Artefact kKeys = attestation::JwksOf{kIssuer};
const attestation::VcekOf kChip{.product = attestation::snp::Product::milan, .hwid = base::Bytes(64, 7), .tcb = {}};

/// A store whose disk fails when a test says so.
class FlakyStore final : public state::Store {
 public:
  explicit FlakyStore(state::Store& real) : real_(real) {}
  base::Realm realm() const noexcept override { return real_.realm(); }
  base::Result<std::unique_ptr<state::ReadView>> read() const override {
    if (no_reads) return away();
    return real_.read();
  }
  void write(Closure closure, Completion completion) override {
    if (no_writes) return completion(away());
    real_.write(std::move(closure), std::move(completion));
  }
  base::Status write_and_wait(Closure closure, base::Deadline deadline) override {
    if (no_writes) return away();
    return real_.write_and_wait(std::move(closure), deadline);
  }
  void set_after_commit(AfterCommit hook) override { real_.set_after_commit(std::move(hook)); }
  base::UtcTime now() const override { return real_.now(); }
  base::Status clock_usable() const override { return real_.clock_usable(); }
  void confirm_clock() override { real_.confirm_clock(); }
  state::StoreStats stats() const override { return real_.stats(); }

  std::atomic<bool> no_reads = false;
  std::atomic<bool> no_writes = false;

 private:
  static base::Error away() { return {Code::io, "the disk is away"}; }
  state::Store& real_;
};

class VaultedStore : public Vaulted {
 protected:
  VaultedStore() {
    open_store();
    flaky_ = std::make_unique<FlakyStore>(*store_);
  }
  ~VaultedStore() override { vault_.reset(); }

  void start_on(Fetcher* fetcher, VaultOptions options = quiet()) {
    options.clock = &clock_;
    options.random = &random_;
    options.slice = std::chrono::milliseconds(1);
    vault_.reset();
    vault_ = std::make_unique<Vault>(fetcher, verifier_, flaky_.get(), options);
  }
  std::map<std::string, Outcome> bring(const std::vector<CollateralItem>& documents, const TimesOfKinds& times = {}) {
    const auto done = vault_->import(documents, {.source = "import test", .issuer = kIssuer, .fetched_at = times},
                                     clock_.now(), kSomeDay);
    EXPECT_TRUE(done.ok()) << done.error().text();
    std::map<std::string, Outcome> out;
    if (!done.ok()) return out;
    for (const Imported& one : *done) out[one.name] = one.outcome;
    return out;
  }
  Outcome bring_keys(const std::string& kid, base::UtcTime fetched_at) {
    return bring({{CollateralKind::jwks, testing::key_set(kid)}}, {{CollateralKind::jwks, fetched_at}})
        .at(to_text(kKeys));
  }
  /// The bytes that are in use; empty: none are.
  std::string in_use(const Artefact& artefact) {
    const auto held = vault_->get(artefact, clock_.now(), kSomeDay, false);
    if (!held.ok()) return {};
    return std::string{base::as_text(held->documents->items().front().bytes)};
  }
  std::string key_text(const std::string& kid) { return std::string{base::as_text(testing::key_set(kid))}; }
  std::vector<CollateralItem> documents() const {
    return read_bundle_path(testing::test_data_path("tdx/forged-v4")).items;
  }
  std::size_t rows(const state::Key& prefix) {
    std::size_t count = 0;
    const auto view = store_->read();
    const auto visit = [&](base::ByteView, base::ByteView) { return ++count, true; };
    EXPECT_TRUE((*view)->scan(prefix, {}, SIZE_MAX, visit).ok());
    return count;
  }
  /// A chip's certificate as the store of a server has it. Nothing judges it before it is used.
  void store_chip(const attestation::VcekOf& chip, base::UtcTime fetched_at, std::size_t size = 1000) {
    CollateralItem item{.kind = CollateralKind::vek, .bytes = base::Bytes(size, chip.hwid.front())};
    item.sha256 = crypto::sha256(item.bytes);
    internal::Record record{.fetched_at = fetched_at,
                            .refresh_at = {},
                            .accepted = {},
                            .source = "kds",
                            .documents = {{item.kind, item.sha256, item.bytes.size()}},
                            .context = {}};
    record.accepted.expires = record.refresh_at = fetched_at + 2000 * kDay;
    const auto write = [&](state::WriteTxn& txn) -> base::Status {
      TRY_OK(txn.put(internal::content_key(item.sha256), internal::encode_content(item, fetched_at)));
      return txn.put(internal::record_key(to_text(Artefact{chip})), internal::encode_record(record));
    };
    ASSERT_TRUE(store_->write_and_wait(write, patient()).ok());
  }

  std::unique_ptr<FlakyStore> flaky_;
};

/// Of chips and keys, and always away.
struct AwayVendor final : Fetcher {
  base::Result<Origin> origin(const Artefact& artefact) const override {
    if (std::holds_alternative<attestation::VcekOf>(artefact)) return Origin{"kds.test", true};
    if (std::holds_alternative<attestation::JwksOf>(artefact)) return Origin{"keys.test", false};
    return base::Error{Code::collateral_missing, "nobody has it"};
  }
  base::Result<Fetched> fetch(const Artefact&, base::Deadline, Trouble&) const override {
    return base::Error{Code::unavailable, "away"};
  }
};

// An operator's file of last month says less than what the issuer said an hour ago.
TEST_F(VaultedStore, AnOlderKeySetReplacesNoNewerOneAlsoNotAfterARestart) {
  start_on(nullptr);
  EXPECT_EQ(bring_keys("new", kNoon + -3600), Outcome::added);
  EXPECT_EQ(bring_keys("old", kNoon + -2 * kDay), Outcome::older);
  EXPECT_EQ(in_use(kKeys), key_text("new"));
  start_on(nullptr);
  EXPECT_EQ(bring_keys("old", kNoon + -2 * kDay), Outcome::older);
  EXPECT_EQ(in_use(kKeys), key_text("new"));
  EXPECT_EQ(bring_keys("newer", kNoon + kDay), Outcome::replaced);
  EXPECT_EQ(vault_->get(kKeys, kNoon, kSomeDay, false)->about.fetched_at, kNoon) << "nothing is from the future";
}

TEST_F(VaultedStore, AKeySetCountsFromWhenItWasFetched) {
  start_on(nullptr);
  EXPECT_EQ(bring_keys("old", kNoon + -6 * kDay), Outcome::added);
  EXPECT_EQ(in_use(kKeys), key_text("old"));
  clock_.pass(2 * kDay);
  EXPECT_EQ(in_use(kKeys), "") << "eight days after it was fetched";
  const auto refused =
      vault_->import({{CollateralKind::jwks, testing::key_set("other")}},
                     {.source = "x", .issuer = kIssuer, .fetched_at = {{CollateralKind::jwks, kNoon + -9 * kDay}}},
                     clock_.now(), kSomeDay);
  ASSERT_TRUE(refused.ok());
  EXPECT_EQ(refused->front().outcome, Outcome::refused);
  EXPECT_THAT(refused->front().reason, HasSubstr("11 days ago"));
}

// Whoever keeps the vendor away for long enough must not get an older set in after that.
TEST_F(VaultedStore, NothingOlderTakesThePlaceOfWhatIsPastItsStaleBound) {
  AwayVendor vendor;
  start_on(&vendor, {.refresh_seconds = kDay, .max_stale_seconds = 3600, .background = false});
  EXPECT_EQ(bring_keys("new", kNoon), Outcome::added);
  clock_.pass(2 * kDay);
  EXPECT_EQ(in_use(kKeys), "") << "it was to be refreshed a day ago";
  EXPECT_EQ(bring_keys("old", kNoon + -kDay), Outcome::older);
  EXPECT_EQ(bring_keys("new", clock_.now()), Outcome::same);
  EXPECT_EQ(in_use(kKeys), key_text("new"));
}

TEST_F(VaultedStore, ALapsedKeySetIsBroughtAgain) {
  start_on(nullptr);
  EXPECT_EQ(bring_keys("k", kNoon), Outcome::added);
  clock_.pass(8 * kDay);
  EXPECT_EQ(in_use(kKeys), "");
  EXPECT_EQ(bring_keys("k", clock_.now()), Outcome::same);
  EXPECT_EQ(in_use(kKeys), key_text("k"));
  EXPECT_EQ(bring_keys("k", clock_.now() + -kDay), Outcome::same);
  EXPECT_EQ(vault_->get(kKeys, clock_.now(), kSomeDay, false)->about.fetched_at, clock_.now()) << "and no older";
}

TEST_F(VaultedStore, TheSameDocumentsEndAnOutage) {
  start_on(&vendors_);
  ASSERT_TRUE(get().ok());
  outage();
  clock_.pass(9 * kDay);
  EXPECT_EQ(failure(), Code::unavailable);
  TimesOfKinds old;
  for (const CollateralItem& item : documents()) old[item.kind] = kNoon;
  for (const auto& [name, outcome] : bring(documents(), old)) EXPECT_EQ(outcome, Outcome::same) << name;
  EXPECT_EQ(failure(), Code::unavailable) << "what was fetched then is as stale as before";
  for (const auto& [name, outcome] : bring(documents())) EXPECT_EQ(outcome, Outcome::same) << name;
  const auto given = get();
  ASSERT_TRUE(given.ok()) << given.error().text();
  EXPECT_EQ((*given)->stale_seconds(), std::nullopt);
}

TEST_F(VaultedStore, WhatIsTakenInIsOnTheDiskBeforeItIsAnswered) {
  start_on(nullptr);
  flaky_->no_writes = true;
  const auto failed = vault_->import(documents(), {.source = "x"}, clock_.now(), kSomeDay);
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().code, Code::unavailable);
  EXPECT_THAT(failed.error().text(), HasSubstr("the disk is away"));
  flaky_->no_writes = false;
  for (const auto& [name, outcome] : bring(documents())) EXPECT_EQ(outcome, Outcome::same) << name;
  EXPECT_EQ(rows(internal::records_prefix()), kCallsPerFetch) << "without waiting for anything";
}

// A clock that is set right after the start.
TEST_F(VaultedStore, AWrongClockAtTheStartLosesNothing) {
  start_on(&vendors_);
  ASSERT_TRUE(get().ok());
  settle();
  vault_.reset();
  clock_.set_wall(kNoon + -60 * kDay);
  start_on(nullptr);
  ASSERT_TRUE(eventually([&] { return vault_->stats().store_refused >= kCallsPerFetch; }));
  clock_.set_wall(kNoon);
  const auto given = get();
  ASSERT_TRUE(given.ok());
  EXPECT_TRUE((*given)->problems().empty()) << (*given)->problems().front().what;
}

TEST_F(VaultedStore, AnErrorOfTheStoreAtTheStartLosesNothing) {
  start_on(&vendors_);
  ASSERT_TRUE(get().ok());
  settle();
  vault_.reset();
  flaky_->no_reads = true;
  start_on(nullptr);
  EXPECT_FALSE((*get())->problems().empty());
  ASSERT_TRUE(eventually([&] { return vault_->stats().store_errors > kCallsPerFetch; }));
  flaky_->no_reads = false;
  const auto refused = vault_->stats().store_errors;
  EXPECT_FALSE((*get())->problems().empty()) << "not asked at every request";
  EXPECT_EQ(vault_->stats().store_errors, refused);
  clock_.pass(60);
  const auto given = get();
  ASSERT_TRUE(given.ok());
  EXPECT_TRUE((*given)->problems().empty()) << (*given)->problems().front().what;
}

TEST_F(VaultedStore, WhatHasToBeRefreshedIsKnownAlsoWhenTheStoreFailedAtFirst) {
  start_on(&vendors_);
  ASSERT_TRUE(get().ok());
  settle();
  vault_.reset();
  flaky_->no_reads = true;
  start_on(nullptr);
  ASSERT_TRUE(eventually([&] { return vault_->stats().store_errors > 0; }));
  flaky_->no_reads = false;
  int seconds = 0;  // far from the end of the documents
  EXPECT_TRUE(eventually([&] {
    if (seconds++ < 100'000) clock_.pass(1);
    return vault_->in_memory().size() == kCallsPerFetch;
  }));
}

TEST_F(VaultedStore, ForgetsDocumentsThatNothingHoldsAnyMore) {
  start_on(nullptr);
  EXPECT_EQ(bring_keys("first", kNoon), Outcome::added);
  clock_.pass(kDay);
  EXPECT_EQ(bring_keys("second", clock_.now()), Outcome::replaced);
  EXPECT_EQ(rows(internal::contents_prefix()), 2u);
  const auto first = crypto::sha256(testing::key_set("first"));
  EXPECT_TRUE(vault_->content(first).ok()) << "for a while";
  clock_.pass(28 * kDay);
  start_on(nullptr);
  settle();
  EXPECT_TRUE(vault_->content(first).ok());
  clock_.pass(3 * kDay);
  ASSERT_TRUE(eventually([&] { return vault_->stats().collected == 1; })) << "once a day";
  settle();
  EXPECT_EQ(vault_->content(first).error().code, Code::not_found);
  EXPECT_TRUE(vault_->content(crypto::sha256(testing::key_set("second"))).ok()) << "a record names it";
  EXPECT_EQ(rows(internal::contents_prefix()), 1u);
}

TEST_F(VaultedStore, ForgetsChipsThatNobodyAsksForUnlessItCannotGetThemAgain) {
  store_chip(kChip, kNoon + -200 * kDay);
  attestation::VcekOf recent = kChip;
  recent.hwid.front() = 9;
  store_chip(recent, kNoon + -100 * kDay);
  start_on(nullptr);
  clock_.pass(kDay);
  EXPECT_EQ(vault_->list()->size(), 2u) << "without a network nothing comes again";
  AwayVendor vendor;
  start_on(&vendor, {.unused_vcek_seconds = 180 * kDay, .background = false});
  ASSERT_TRUE(eventually([&] { return vault_->stats().collected >= 1; }));
  settle();
  const auto left = vault_->list();
  ASSERT_EQ(left->size(), 1u);
  EXPECT_EQ(left->front().artefact, Artefact{recent});
  // Its document goes with the next look.
  clock_.pass(kDay);
  ASSERT_TRUE(eventually([&] { return vault_->stats().collected >= 2; }));
  settle();
  EXPECT_EQ(rows(internal::contents_prefix()), 1u);
  EXPECT_EQ(rows(internal::records_prefix()), 1u);
}

TEST_F(VaultedStore, AChipThatWasUsedLatelyIsKept) {
  store_chip(kChip, kNoon + -200 * kDay);
  const auto use = [&](state::WriteTxn& txn) {
    return txn.put(internal::use_key(to_text(Artefact{kChip})), internal::encode_use(kNoon + -10 * kDay));
  };
  ASSERT_TRUE(store_->write_and_wait(use, patient()).ok());
  attestation::VcekOf other = kChip;
  other.hwid.front() = 9;
  store_chip(other, kNoon + -200 * kDay);
  AwayVendor vendor;
  start_on(&vendor);
  ASSERT_TRUE(eventually([&] { return vault_->stats().collected >= 1; }));
  settle();
  ASSERT_EQ(vault_->list()->size(), 1u);
  EXPECT_EQ(vault_->list()->front().artefact, Artefact{kChip});
}

TEST_F(VaultedStore, GivesOutEverythingWithoutBringingItIntoMemory) {
  for (std::uint8_t i = 0; i < 20; ++i) {
    attestation::VcekOf chip = kChip;
    chip.hwid.front() = i;
    store_chip(chip, kNoon + -kDay);
  }
  start_on(nullptr, {.max_artefacts = 6, .background = false});
  bring(documents());
  const auto all = [](const Artefact&) { return true; };
  const auto held = vault_->held(all, clock_.now(), 1u << 20);
  ASSERT_TRUE(held.ok()) << held.error().text();
  EXPECT_EQ(held->size(), 20u + kCallsPerFetch);
  EXPECT_EQ(vault_->stats().evicted, 0u);
  const auto chips = vault_->held([](const Artefact& a) { return std::holds_alternative<attestation::VcekOf>(a); },
                                  clock_.now(), 20'000);
  ASSERT_TRUE(chips.ok());
  EXPECT_EQ(chips->size(), 20u);
  EXPECT_EQ(chips->front().documents->items().front().bytes.size(), 1000u);
  const auto much = vault_->held(all, clock_.now(), 20'000);
  ASSERT_FALSE(much.ok());
  EXPECT_EQ(much.error().code, Code::too_large);
  EXPECT_EQ(vault_->held(all, clock_.now() + 3000 * kDay, 1u << 20)->size(), 0u) << "all of it has ended";
}

}  // namespace
}  // namespace attestry::collateral
