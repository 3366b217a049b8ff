// kill -9 at any moment loses no acknowledged release, leaves no reply without its leaf and lets no nonce be spent
// twice; and the same test notices when one of the syncs is missing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <random>

#include "child.h"
#include "ledger.h"
#include "state/testing/support.h"

namespace attestry::crash {
namespace {

using ::testing::HasSubstr;

/// One run of the worker, killed after it has acknowledged `most` releases; what it acknowledged until it was dead.
std::vector<Acknowledged> run_and_kill(const std::string& folder, int run, std::size_t most,
                                       const std::vector<std::string>& settings) {
  Child worker({ATTESTRY_CRASH_WORKER, folder, "run" + std::to_string(run)}, settings);
  std::vector<Acknowledged> out;
  // Lines that were already in the pipe at the kill have been sent: they count.
  while (const auto line = worker.line()) {
    auto ack = Acknowledged::parse(*line);
    if (ack) out.push_back(std::move(*ack));
    if (out.size() == most) worker.kill();
  }
  return out;
}

/// Kills the worker again and again on the same folder; the first violation, or nothing.
std::string kill_repeatedly(int rounds, std::uint64_t seed, const std::vector<std::string>& settings) {
  const state::testing::TempFolder folder;
  EXPECT_EQ(::mkdir(folder.file("outside").c_str(), 0700), 0);
  std::mt19937_64 generator(seed);
  std::vector<Acknowledged> all;
  for (int round = 0; round < rounds; ++round) {
    const auto more = run_and_kill(folder.path(), round, 1 + generator() % 40, settings);
    all.insert(all.end(), more.begin(), more.end());
    if (more.empty()) return "the service did not start again";
    if (auto wrong = first_violation(folder.path(), all); !wrong.empty()) return wrong;
  }
  return {};
}

TEST(Kill, LosesNothingThatWasAcknowledged) { EXPECT_EQ(kill_repeatedly(25, 1, {}), ""); }

TEST(Kill, LosesNothingWhenUnsyncedWritesReachTheDiskOutOfOrder) {
  for (const char* percent : {"10", "50", "90"}) {
    EXPECT_EQ(kill_repeatedly(8, 2, {std::string("ATTESTRY_CRASH_LEAK_PERCENT=") + percent}), "") << percent;
  }
}

TEST(Kill, TheMissingSyncOfTheDatabaseIsNoticed) {
  EXPECT_THAT(kill_repeatedly(5, 3, {"ATTESTRY_CRASH_OMIT=database"}), HasSubstr("found 0 leaves"));
}

TEST(Kill, TheMissingSyncOfTheCheckpointIsNoticed) {
  EXPECT_THAT(kill_repeatedly(5, 4, {"ATTESTRY_CRASH_OMIT=file"}), HasSubstr("malformed: outside"));
  EXPECT_THAT(kill_repeatedly(5, 5, {"ATTESTRY_CRASH_OMIT=folder"}), HasSubstr("no checkpoint outside"));
}

}  // namespace
}  // namespace attestry::crash
