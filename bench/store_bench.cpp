// What group commit saves: releases per second with leaf, nonce, receipt and checkpoint, by one client and by 64, on a
// disk where every sync takes 5 ms more. The ratio is printed at the end (at least 20).
#include <benchmark/benchmark.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <thread>
#include <vector>

#include "crash_disk.h"
#include "ledger.h"

namespace {

using attestry::crash::Ledger;

/// Releases by `clients` in closed loop for `seconds`; per second.
double rate(Ledger& ledger, int clients, double seconds, const std::string& run) {
  std::atomic<std::uint64_t> done{0};
  const auto begin = std::chrono::steady_clock::now();
  const auto end =
      begin + std::chrono::duration_cast<std::chrono::steady_clock::duration>(std::chrono::duration<double>(seconds));
  {
    std::vector<std::jthread> threads;
    for (int c = 0; c < clients; ++c) {
      threads.emplace_back([&, c] {
        for (int i = 0; std::chrono::steady_clock::now() < end; ++i) {
          const auto released = ledger.release(run + "-" + std::to_string(c) + "-" + std::to_string(i));
          if (released) ++done;
        }
      });
    }
  }
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - begin;
  return static_cast<double>(done) / spent.count();
}

std::unique_ptr<Ledger> open_ledger(const std::string& folder, std::chrono::milliseconds delay) {
  attestry::crash::Options options;
  options.sync_delay = delay;
  std::filesystem::create_directories(folder + "/outside");
  auto ledger = Ledger::open(folder, attestry::crash::install(options));
  if (!ledger) {
    std::fprintf(stderr, "%s\n", ledger.error().text().c_str());
    std::exit(1);
  }
  return std::move(*ledger);
}

std::string temporary_folder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "attestry-bench-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) std::exit(1);
  return pattern;
}

void group_commit(benchmark::State& state) {
  const std::string folder = temporary_folder();
  {
    const auto ledger = open_ledger(folder, std::chrono::milliseconds(5));
    int run = 0;
    for (auto _ : state) {
      const std::string name = std::to_string(run++);
      const double one = rate(*ledger, 1, 1.0, "one" + name);
      const double many = rate(*ledger, 64, 2.0, "many" + name);
      state.counters["one_per_s"] = one;
      state.counters["clients64_per_s"] = many;
      state.counters["ratio"] = many / one;
    }
  }
  std::filesystem::remove_all(folder);
}
BENCHMARK(group_commit)->Iterations(1)->Unit(benchmark::kSecond);

/// CPU of one durable release without waiting for a disk: transaction, leaf, checkpoint, receipt.
void release_cpu(benchmark::State& state) {
  const std::string folder = temporary_folder();
  {
    const auto ledger = open_ledger(folder, std::chrono::milliseconds(0));
    std::uint64_t i = 0;
    for (auto _ : state) benchmark::DoNotOptimize(ledger->release(std::to_string(i++)).ok());
  }
  std::filesystem::remove_all(folder);
}
BENCHMARK(release_cpu)->MeasureProcessCPUTime()->Unit(benchmark::kMicrosecond);

}  // namespace
