// The experiments of PBTS's first generation (PBTS section 12), run on this program: `attestry tracker bench`. Each
// gives JSON in the shape of the original where that is known, tables for people and plots.
// docs/how-to/measure-a-tracker.md
//
// Not thread-safe: one run on one thread, which has threads of its own where an experiment wants clients at once.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "app/cli.h"
#include "app/svg_plot.h"
#include "app/tables.h"
#include "app/tracker_bench_server.h"
#include "base/json_writer.h"
#include "base/result.h"
#include "chain/quorum.h"
#include "net/client.h"

namespace attestry::app {

struct TrackerBenchOptions {
  struct Receipts {
    unsigned iterations = 10;
    std::vector<unsigned> batch_sizes{10, 25, 50};
  } receipts;
  struct Tee {
    unsigned iterations = 10;
    unsigned verifications = 5;
  } tee;
  struct Download {
    unsigned warmup = 10;
    unsigned iterations = 10;
    std::vector<unsigned> speeds{1, 5, 10, 20};                     ///< MB (10^6 bytes) a second
    std::vector<unsigned> piece_sizes{256, 512, 1024, 2048, 4096};  ///< KiB
    unsigned file_mb = 1000;
    unsigned batch_size = 10;  ///< receipts that are handed over together
    unsigned sample_mb = 32;   ///< of the file that really moves
    double paced_seconds = 1;  ///< of a transfer at one of the speeds
  } download;
  struct Overhead {
    unsigned iterations = 10;
    unsigned warmup = 10;
    unsigned clients = 10;
    std::vector<unsigned> reports{1, 10, 50};  ///< receipts in one
  } overhead;
  struct Scalability {
    std::vector<unsigned> peers{10, 50, 100, 200, 500};
    std::vector<unsigned> swarms{100, 1000, 5000, 10000};
    unsigned receipts_per_report = 10;
    unsigned announces = 100;
  } scalability;
  struct Gas {
    unsigned users = 100;
    chain::QuorumOptions chain{};  ///< no endpoints: the figures of the documents
    std::string key_file{};        ///< of an account with coins
  } gas;
  std::string tracker_url{};      ///< measured instead of one of our own, without TEE
  std::string tee_tracker_url{};  ///< likewise with TEE
  std::string dstack{};           ///< socket of a guest agent; empty: the forge stands in
  std::string pcs{};              ///< collateral of real quotes; empty: Intel's
  bool text = true;
};

/// Milliseconds of one thing done again and again.
struct BenchTimes {
  double mean = 0, median = 0, stdev = 0, min = 0, max = 0, p95 = 0;
  static BenchTimes of(std::vector<double> ms);
  /// mean_ms, median_ms, stdev_ms, min_ms, max_ms, as the original names them, and p95_ms.
  base::JsonOutObject json() const;
};

class BenchWatch {
 public:
  double ms() const {
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin_).count();
  }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

/// What the original or its paper says of something, and what we found.
struct BenchClaim {
  std::string what, claimed, ours;
};

/// What an experiment gives.
struct BenchOutcome {
  base::JsonOutObject json{};
  std::vector<std::pair<std::string, Plot>> plots{};  ///< by the name of a file without its end
  std::vector<std::pair<std::string, Table>> tables{};
  std::vector<BenchClaim> claims{};
  std::vector<std::string> notes{};  ///< what the figures are not
};

/// What experiments share: trackers are started when the first of them needs one.
class BenchRun {
 public:
  static base::Result<std::unique_ptr<BenchRun>> open(Context& context, const TrackerBenchOptions& options);

  const TrackerBenchOptions& options() const noexcept { return options_; }
  Context& context() noexcept { return context_; }
  net::HttpClient& http() noexcept { return *http_; }
  /// One line on the error stream.
  void progress(std::string_view what);
  /// The tracker with or without a TEE; `unavailable` when it does not start.
  base::Result<BenchTracker*> tracker(bool tee);
  /// The forge, or the guest agent that --dstack names.
  base::Result<BenchTee*> tee();
  base::Deadline soon() const { return std::chrono::steady_clock::now() + std::chrono::seconds(60); }
  /// JSON to a tracker; `unavailable` for another status than 200, with what it said.
  base::Result<std::shared_ptr<const base::JsonDocument>> post(const std::string& url, const base::JsonOut& body);
  base::Result<net::Response> get(const std::string& url);
  /// Which members name when they register.
  base::Result<tracker::InstanceId> instance(const BenchTracker& at);
  /// The same for an announce, whose refusals have status 200, too.
  base::Result<net::Response> announce(const std::string& url);

 private:
  BenchRun(Context& context, const TrackerBenchOptions& options) : context_(context), options_(options) {}

  Context& context_;
  const TrackerBenchOptions& options_;
  std::unique_ptr<net::HttpClient> http_;
  std::unique_ptr<BenchTee> tee_;
  std::unique_ptr<BenchTracker> plain_, attested_;
};

using Experiment = base::Result<BenchOutcome> (*)(BenchRun& run);
base::Result<BenchOutcome> bench_receipts(BenchRun& run);
base::Result<BenchOutcome> bench_tee(BenchRun& run);
base::Result<BenchOutcome> bench_client_download(BenchRun& run);
base::Result<BenchOutcome> bench_tracker_overhead(BenchRun& run);
base::Result<BenchOutcome> bench_scalability(BenchRun& run);
base::Result<BenchOutcome> bench_gas(BenchRun& run);

}  // namespace attestry::app
