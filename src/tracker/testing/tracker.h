// A tracker's ledger on a store of its own, for tests.
#pragma once
#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "audit/testing/support.h"
#include "state/testing/support.h"
#include "tracker/ledger.h"
#include "tracker/testing/support.h"

namespace attestry::tracker::testing {

/// Opened, closed and opened again over one folder.
class Tracker {
 public:
  explicit Tracker(const base::Clock& clock, std::string_view name = "tracker")
      : clock_(clock), random_(base::as_bytes(name)) {
    open();
  }

  void open(LedgerOptions options = {}) {
    options_ = std::move(options);
    close();
    state::StoreOptions store_options;
    store_options.path = folder_.file("store.db");
    store_options.realm = base::Realm::simulated;
    store_options.clock = &clock_;
    store_ = state::Store::open(store_options).value();
    audit::LogOptions log_options;
    log_options.origin = audit::testing::kOrigin;
    log_options.checkpoint_path = folder_.file("checkpoint");
    log_ = audit::Log::open(*store_, audit::testing::log_key(), std::move(log_options)).value();
    auto opened = Ledger::open(*store_, *log_, random_, options_);
    ASSERT_TRUE(opened.ok()) << opened.error().text();
    ledger_ = *std::move(opened);
  }
  void reopen() { open(options_); }
  ~Tracker() { close(); }
  Tracker(const Tracker&) = delete;
  Tracker& operator=(const Tracker&) = delete;

  Ledger& ledger() { return *ledger_; }
  state::Store& store() { return *store_; }
  audit::Log& log() { return *log_; }

  base::Result<Enrolment> enrol(Registration registration) {
    std::promise<base::Result<Enrolment>> promise;
    ledger_->enrol(std::move(registration), [&](base::Result<Enrolment> done) { promise.set_value(std::move(done)); });
    return promise.get_future().get();
  }
  /// With a signature.
  base::Result<Enrolment> enrol(const std::string& user_id, const curves::bls::SigningKey& key) {
    const auto signature = key.sign(registration_message(ledger_->instance_id(), user_id));
    return enrol({.user_id = user_id,
                  .public_key = base::to_bytes(key.public_key().encoded()),
                  .signature = base::to_bytes(signature)});
  }
  base::Result<ReportOutcome> report(Report report) {
    std::promise<base::Result<ReportOutcome>> promise;
    ledger_->report(std::move(report), [&](base::Result<ReportOutcome> done) { promise.set_value(std::move(done)); });
    return promise.get_future().get();
  }
  base::Result<ReportOutcome> report(const std::string& user_id, const std::vector<Receipt>& receipts) {
    Report out;
    out.user_id = user_id;
    out.receipts.assign(receipts.begin(), receipts.end());
    return report(std::move(out));
  }
  base::Result<LedgerLeaf> configure(LedgerConfig config) {
    std::promise<base::Result<LedgerLeaf>> promise;
    ledger_->configure(config, [&](base::Result<LedgerLeaf> done) { promise.set_value(std::move(done)); });
    return promise.get_future().get();
  }
  /// uploaded, downloaded.
  std::pair<std::uint64_t, std::uint64_t> totals(std::string_view user_id) const {
    const auto found = ledger_->member(user_id);
    return found ? std::pair{found->uploaded, found->downloaded} : std::pair<std::uint64_t, std::uint64_t>{};
  }

 private:
  /// The ledger and the log look at the store while they go, so they go first; nothing is on its way in tests.
  void close() {
    ledger_.reset();
    log_.reset();
    store_.reset();
  }

  state::testing::TempFolder folder_;
  const base::Clock& clock_;
  crypto::SeededRandom random_;
  LedgerOptions options_;
  std::unique_ptr<state::Store> store_;
  std::unique_ptr<audit::Log> log_;
  std::unique_ptr<Ledger> ledger_;
};

}  // namespace attestry::tracker::testing
