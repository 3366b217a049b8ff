#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
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

class ForgeCommand : public ::testing::Test {
 protected:
  ForgeCommand()
      : folder_(fs::path(::testing::TempDir()) /
                ("forge-" + std::string{::testing::UnitTest::GetInstance()->current_test_info()->name()})) {
    fs::remove_all(folder_);
  }
  ~ForgeCommand() override { fs::remove_all(folder_); }

  int run_command(std::vector<std::string> arguments) {
    std::istringstream in;
    std::ostringstream out;
    std::ostringstream err;
    Context context{.clock = clock_, .in = in, .out = out, .err = err};
    const int code = run(arguments, context);
    out_ = out.str();
    err_ = err.str();
    return code;
  }
  int forge(std::vector<std::string> flags, const std::string& into = "") {
    flags.insert(flags.begin(), "forge");
    flags.insert(flags.end(), {"--out", at(into)});
    return run_command(std::move(flags));
  }
  int verify(const std::string& name = "", std::vector<std::string> flags = {}) {
    std::vector<std::string> all{"verify", at(name), "--trust", at(name) + "/root.pem"};
    all.insert(all.end(), flags.begin(), flags.end());
    return run_command(std::move(all));
  }
  std::string at(const std::string& name) const { return name.empty() ? folder_.string() : (folder_ / name).string(); }
  std::string read(const std::string& name) const {
    std::ifstream file(folder_ / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  FixedClock clock_;
  fs::path folder_;
  std::string out_;
  std::string err_;
};

TEST_F(ForgeCommand, WritesACaseThatVerifyAccepts) {
  ASSERT_EQ(forge({}), kExitOk) << err_;
  EXPECT_NE(out_.find("attestry verify"), std::string::npos);
  EXPECT_EQ(verify(), kExitOk) << out_;
  EXPECT_EQ(run_command({"verify", at("")}), kExitRefused);
}

TEST_F(ForgeCommand, PutsMeasurementsAndReportDataIntoTheQuote) {
  const std::string mrtd(96, 'a');
  ASSERT_EQ(forge({"--mrtd", mrtd, "--report-data", "0102", "--rtmr", "bb", "cc"}), kExitOk) << err_;
  EXPECT_EQ(verify("", {"--report-data", "0102"}), kExitOk) << out_;
  EXPECT_NE(out_.find(mrtd), std::string::npos);
  EXPECT_NE(read("case.json").find("\"rtmr1\": \"cc00"), std::string::npos);
  EXPECT_EQ(verify("", {"--report-data", "0103"}), kExitRefused);
}

TEST_F(ForgeCommand, TheSameSeedGivesTheSameFiles) {
  ASSERT_EQ(forge({"--seed", "s"}, "a"), kExitOk);
  ASSERT_EQ(forge({"--seed", "s"}, "b"), kExitOk);
  ASSERT_EQ(forge({"--seed", "t"}, "c"), kExitOk);
  for (const std::string file : {"quote.bin", "collateral.json", "root.pem"}) {
    EXPECT_FALSE(read("a/" + file).empty());
    EXPECT_EQ(read("a/" + file), read("b/" + file));
    EXPECT_NE(read("a/" + file), read("c/" + file));
  }
}

TEST_F(ForgeCommand, CountMakesMachinesThatShareARoot) {
  ASSERT_EQ(forge({"--count", "3"}), kExitOk);
  EXPECT_EQ(read("00000/root.pem"), read("00002/root.pem"));
  EXPECT_NE(read("00000/quote.bin"), read("00002/quote.bin"));
  EXPECT_EQ(verify("00002"), kExitOk) << out_;
  EXPECT_FALSE(fs::exists(folder_ / "00003"));
}

TEST_F(ForgeCommand, AllFaultsAreOneFolderEach) {
  ASSERT_EQ(forge({"--kind", "sgx-v3", "--fault", "all"}), kExitOk) << err_;
  EXPECT_EQ(verify("none"), kExitOk) << out_;
  EXPECT_EQ(verify("pck-revoked"), kExitRefused);
  EXPECT_NE(out_.find("dcap.crl.pck.revoked"), std::string::npos);
  EXPECT_FALSE(fs::exists(folder_ / "relaunch-advised"));
}

TEST_F(ForgeCommand, WrongUseIsExplained) {
  EXPECT_EQ(forge({"--fault", "pck-revokd"}), kExitUsage);
  EXPECT_NE(err_.find("pck-revoked"), std::string::npos);
  EXPECT_EQ(forge({"--kind", "tdx-v6"}), kExitUsage);
  EXPECT_EQ(forge({"--report-data", std::string(130, '0')}), kExitUsage);
  EXPECT_EQ(forge({"--mrtd", "xyz"}), kExitUsage);
  EXPECT_EQ(forge({"--at", "yesterday"}), kExitUsage);
  EXPECT_EQ(forge({"--kind", "sgx-v3", "--fault", "relaunch-advised"}), kExitUsage);
  EXPECT_EQ(run_command({"forge"}), kExitUsage);
  EXPECT_FALSE(fs::exists(folder_));
}

TEST_F(ForgeCommand, ListsItsFaults) {
  ASSERT_EQ(run_command({"forge", "--list-faults"}), kExitOk);
  EXPECT_NE(out_.find("other-attestation-key"), std::string::npos);
}

}  // namespace
}  // namespace attestry::app
