// The process that is killed: releases as fast as it can on the forgetful disk and prints a line for every release that
// it has acknowledged. Never ends by itself.   attestry-crash-worker FOLDER RUN
#include <unistd.h>

#include <cstdio>
#include <thread>
#include <vector>

#include "crash_disk.h"
#include "ledger.h"

int main(int argc, char** argv) {
  using namespace attestry;
  if (argc != 3) return 2;
  auto ledger = crash::Ledger::open(argv[1], crash::install(crash::options_from_environment()));
  if (!ledger) {
    std::fprintf(stderr, "%s\n", ledger.error().text().c_str());
    return 3;
  }
  constexpr int kThreads = 4;
  std::vector<std::jthread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0;; ++i) {
        const std::string nonce = std::string(argv[2]) + "-" + std::to_string(t) + "-" + std::to_string(i);
        const auto released = (*ledger)->release(nonce);
        if (!released) continue;
        // One write per line: shorter than PIPE_BUF, so that lines of several threads never mix.
        const std::string line = released->line() + "\n";
        if (::write(STDOUT_FILENO, line.data(), line.size()) != static_cast<ssize_t>(line.size())) return;
      }
    });
  }
}
