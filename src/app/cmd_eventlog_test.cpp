// Event logs on the command line: forged beside a quote, judged with it, read alone.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "app/cli.h"

namespace attestry::app {
namespace {

namespace fs = std::filesystem;

class FixedClock final : public base::Clock {
 public:
  base::UtcTime now() const override { return {1'795'261'432}; }  // 2026-11-21T11:43:52Z
  std::chrono::steady_clock::time_point steady() const override { return {}; }
};

class EventLogCommand : public ::testing::Test {
 protected:
  EventLogCommand()
      : folder_(fs::path(::testing::TempDir()) /
                ("eventlog-" + std::string{::testing::UnitTest::GetInstance()->current_test_info()->name()})) {
    fs::remove_all(folder_);
  }
  ~EventLogCommand() override { fs::remove_all(folder_); }

  int run_command(const std::vector<std::string>& arguments) {
    std::istringstream in;
    std::ostringstream out;
    std::ostringstream err;
    Context context{.clock = clock_, .in = in, .out = out, .err = err};
    const int code = run(arguments, context);
    out_ = out.str();
    err_ = err.str();
    return code;
  }
  int verify(const std::vector<std::string>& flags = {}) {
    std::vector<std::string> all{"verify", folder_.string(), "--trust", file("root.pem"), "--format", "json"};
    all.insert(all.end(), flags.begin(), flags.end());
    return run_command(all);
  }
  std::string file(const std::string& name) const { return (folder_ / name).string(); }
  bool says(std::string_view text) const { return out_.find(text) != std::string::npos; }

  FixedClock clock_;
  fs::path folder_;
  std::string out_;
  std::string err_;
};

TEST_F(EventLogCommand, LogsInAFolderAreJudgedWithItsQuote) {
  ASSERT_EQ(run_command({"forge", "--out", folder_.string(), "--event-log"}), kExitOk) << err_;
  EXPECT_EQ(verify(), kExitOk) << out_;
  EXPECT_TRUE(says("eventlog.replay") && says("eventlog.compose_hash") && says("eventlog.secure_boot")) << out_;
  // One by one, by name.
  fs::rename(file("ccel.bin"), file("other"));
  fs::rename(file("eventlog.json"), file("text"));
  EXPECT_EQ(verify(), kExitOk);
  EXPECT_FALSE(says("eventlog."));
  EXPECT_EQ(verify({"--event-log", file("other")}), kExitOk);
  EXPECT_TRUE(says("eventlog.kernel") && !says("eventlog.compose_hash"));
  EXPECT_EQ(verify({"--event-log", file("text"), "--event-log", file("other")}), kExitOk);
  EXPECT_TRUE(says("eventlog.kernel") && says("eventlog.compose_hash"));
  EXPECT_EQ(verify({"--event-log", file("nothing")}), kExitUsage);
}

TEST_F(EventLogCommand, ALogWithAFaultIsRefused) {
  for (const char* fault : {"other-boot", "changed-text", "changed-payload", "second-separator", "missing-event", "cut",
                            "relabelled-boot", "split-name"}) {
    fs::remove_all(folder_);
    ASSERT_EQ(run_command({"forge", "--out", folder_.string(), "--event-log-fault", fault}), kExitOk) << err_;
    EXPECT_EQ(verify(), kExitRefused) << fault;
    EXPECT_TRUE(says("\"id\":\"eventlog.")) << fault;
  }
  EXPECT_EQ(run_command({"forge", "--out", folder_.string(), "--event-log-fault", "all"}), kExitUsage);
  EXPECT_EQ(run_command({"forge", "--out", folder_.string(), "--event-log", "--kind", "sgx-v3"}), kExitUsage);
}

TEST_F(EventLogCommand, WhatAnUntrueGuestMakesUpIsNoClaimOrOnlyTheLogsWord) {
  const auto forged = [&](const char* fault) {
    fs::remove_all(folder_);
    return run_command({"forge", "--out", folder_.string(), "--event-log-fault", fault});
  };
  ASSERT_EQ(forged("relabelled-loader"), kExitOk) << err_;
  EXPECT_EQ(verify(), kExitOk);
  EXPECT_FALSE(says("\"eventlog.boot_loader\"")) << out_;
  ASSERT_EQ(forged("relabelled-kernel"), kExitOk) << err_;
  EXPECT_EQ(verify(), kExitOk);
  EXPECT_TRUE(says("only the log's word: eventlog.command_line")) << out_;
  EXPECT_EQ(run_command({"eventlog", "show", file("ccel.bin")}), kExitOk);
  EXPECT_TRUE(says("only the log's word")) << out_;
  std::ofstream(file("policy.json"))
      << R"({"format":1,"conditions":[{"claim":"eventlog.command_line","prefix":"/vmlinuz"}]})";
  EXPECT_EQ(verify({"--policy", file("policy.json")}), kExitRefused);
  EXPECT_TRUE(says("constrain rtmr2")) << out_;
  ASSERT_EQ(forged("two-stories"), kExitOk) << err_;
  EXPECT_EQ(verify(), kExitOk);
  EXPECT_TRUE(says("the logs contradict each other: eventlog.kernel")) << out_;
  EXPECT_FALSE(says("\"eventlog.kernel\":")) << out_;
  ASSERT_EQ(forged("late-identity"), kExitOk) << err_;
  EXPECT_EQ(verify(), kExitOk);
  EXPECT_TRUE(says("\"eventlog.compose_hash\"") && !says("\"eventlog.key_provider\"")) << out_;
  ASSERT_EQ(forged("stripped"), kExitOk) << err_;
  std::ofstream(file("policy.json")) << R"({"format":1,"require":{"event_log":true}})";
  EXPECT_EQ(verify({"--policy", file("policy.json")}), kExitOk) << out_;
  fs::remove(file("ccel.bin"));
  EXPECT_EQ(verify({"--policy", file("policy.json")}), kExitUndecided) << out_;
}

TEST_F(EventLogCommand, ShowsALog) {
  ASSERT_EQ(run_command({"forge", "--out", folder_.string(), "--event-log"}), kExitOk) << err_;
  for (const char* name : {"ccel.bin", "eventlog.json"}) {
    EXPECT_EQ(run_command({"eventlog", "show", file(name)}), kExitOk) << err_;
    EXPECT_TRUE(says("EV_EFI_VARIABLE_DRIVER_CONFIG") && says("SecureBoot = 01") && says("rtmr2")) << out_;
    EXPECT_EQ(run_command({"eventlog", "show", file(name), "--format", "json"}), kExitOk) << err_;
    EXPECT_TRUE(says("eventlog.command_line") && says("digest_of_data")) << out_;
  }
  EXPECT_EQ(run_command({"eventlog", "show", file("root.pem")}), kExitUsage);
  fs::remove_all(folder_);
  ASSERT_EQ(run_command({"forge", "--out", folder_.string(), "--event-log-fault", "changed-text"}), kExitOk) << err_;
  EXPECT_EQ(run_command({"eventlog", "show", file("ccel.bin")}), kExitRefused);
  EXPECT_TRUE(says("WRONG DIGESTS") && says("BAD")) << out_;
}

}  // namespace
}  // namespace attestry::app
