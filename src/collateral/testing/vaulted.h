// For tests: a vault over a store, a clock and a stand-in of Intel's service that a test can hold up.
#pragma once
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

#include "collateral/testing/stand_in.h"
#include "collateral/vault.h"
#include "collateral/vendors.h"
#include "state/testing/support.h"

namespace attestry::collateral {

using attestation::Artefact;
using attestation::Collateral;
using base::Code;
using state::testing::ManualClock;
using state::testing::patient;
using testing::evidence_of;
using ::testing::HasSubstr;
using testing::kStandInHost;
using testing::PcsStandIn;
using Given = base::Result<std::shared_ptr<const Collateral>>;

constexpr std::int64_t kDay = 86400;
constexpr std::int64_t kWeek = 7 * kDay;
const base::UtcTime kNoon = base::from_civil(2026, 6, 15, 12, 0, 0);       // the documents are a day and a half old
const base::UtcTime kNextUpdate = base::from_civil(2026, 7, 14, 0, 0, 0);  // of all but the root CRL
constexpr std::size_t kCallsPerFetch = 4;
/// Later than every time that the clock of these tests reaches.
constexpr base::Deadline kSomeDay{std::chrono::hours(24) * 36500};

const Artefact kTcbInfo = attestation::TcbInfoOf{true, {0x50, 0x90, 0x60, 0x20, 0, 0}};

/// Waits for what another thread does, not for time.
template <class Condition>
bool eventually(Condition condition) {
  const auto until = patient();
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::yield();
  }
  return true;
}

class Vaulted : public ::testing::Test {
 public:
  ~Vaulted() override { release(); }

 protected:
  /// As after a restart when there was one already.
  void start(VaultOptions options = {}) {
    options.clock = &clock_;
    options.random = &random_;
    options.slice = std::chrono::milliseconds(1);
    vault_.reset();
    vault_ = std::make_unique<Vault>(&vendors_, verifier_, store_.get(), options);
  }
  /// Nothing happens unless it is asked for.
  static VaultOptions quiet() { return {.background = false}; }
  void open_store() {
    vault_.reset();
    store_.reset();
    auto store = state::Store::open({.path = folder_.file("store"), .clock = &clock_});
    ASSERT_TRUE(store.ok()) << store.error().text();
    store_ = *std::move(store);
  }
  Given get(base::Deadline deadline = kSomeDay) { return vault_->collateral_for(evidence_, clock_.now(), deadline); }
  Code failure(base::Deadline deadline = kSomeDay) {
    const auto given = get(deadline);
    return given.ok() ? Code::internal : given.error().code;
  }
  std::string failure_text() {
    const auto given = get();
    return given.ok() ? "none" : given.error().text();
  }
  void outage(Code code = Code::unavailable) {
    const std::lock_guard<std::mutex> lock(service_.mutex);
    service_.error = base::Error{code, "the service is away"};
  }
  /// Between two tries: one that began before would count as a failure after.
  void outage_ends() {
    EXPECT_TRUE(eventually([&] { return idle(); }));
    const std::lock_guard<std::mutex> lock(service_.mutex);
    service_.error.reset();
  }
  void answer_all(int status, std::string_view retry_after = {}) {
    const std::lock_guard<std::mutex> lock(service_.mutex);
    for (auto& [url, reply] : service_.replies) {
      reply.status = status;
      reply.headers.remove("Retry-After");
      if (!retry_after.empty()) reply.headers.add("Retry-After", retry_after);
    }
  }
  /// The service keeps every call until release().
  void hold() {
    const std::lock_guard<std::mutex> lock(service_.mutex);
    service_.before = [this] {
      std::unique_lock<std::mutex> waiting(gate_mutex_);
      gate_.wait(waiting, [this] { return open_; });
    };
  }
  void release() {
    const std::lock_guard<std::mutex> lock(gate_mutex_);
    open_ = true;
    gate_.notify_all();
  }
  bool idle() const {
    const auto stats = vault_->stats();
    return stats.queued == 0 && stats.in_flight == 0;
  }
  /// Queued writes are on the disk afterwards.
  void settle() {
    ASSERT_TRUE(store_->write_and_wait([](state::WriteTxn&) { return base::done(); }, patient()).ok());
  }

  ManualClock clock_{kNoon};
  crypto::SeededRandom random_{base::as_bytes("vault")};
  state::testing::TempFolder folder_;
  std::mutex gate_mutex_;
  std::condition_variable gate_;
  bool open_ = false;
  PcsStandIn service_;
  PcsClient client_{service_, {.base_url = std::string{kStandInHost}}};
  Vendors vendors_{&client_, nullptr, nullptr};
  attestation::Verifier verifier_{testing::forged_anchors()};
  std::unique_ptr<state::Store> store_;
  std::unique_ptr<Vault> vault_;
  attestation::Evidence evidence_ = evidence_of("tdx/forged-v4");
};

}  // namespace attestry::collateral
