#include "base/log.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "base/json.h"

namespace attestry::base {
namespace {

class Log : public testing::Test {
 protected:
  void TearDown() override { log_configure(LogLevel::info, LogFormat::text); }
  template <class F>
  static std::string written(F&& f) {
    testing::internal::CaptureStderr();
    f();
    return testing::internal::GetCapturedStderr();
  }
};

TEST_F(Log, WritesJsonLinesThatOurReaderAccepts) {
  log_configure(LogLevel::info, LogFormat::json);
  const std::string line = written(
      [] { log(LogLevel::warning, "took \"long\"", {{"path", "a\nb"}, {"raw", "\xff"}, {"percent", "%v {}"}}); });
  const auto doc = JsonDocument::parse(line);
  ASSERT_TRUE(doc.ok()) << line;
  const JsonValue root = (*doc)->root();
  EXPECT_EQ(root.get("level")->string("x").value(), "warning");
  EXPECT_EQ(root.get("event")->string("x").value(), "took \"long\"");
  EXPECT_EQ(root.get("path")->string("x").value(), "a\nb");
  EXPECT_EQ(root.get("raw")->string("x").value(), "\uFFFD");
  EXPECT_EQ(root.get("percent")->string("x").value(), "%v {}");
  const std::string time = root.get("time")->string("x").value();
  EXPECT_EQ(time.size(), 24u);
  EXPECT_EQ(time.back(), 'Z');
}

TEST_F(Log, TextCannotForgeALineOrAField) {
  log_configure(LogLevel::debug, LogFormat::text);
  const std::string text = written([] {
    log(LogLevel::info, "listening", {{"address", "127.0.0.1:8443"}, {"name", "x\nerror forged a=b"}, {"e", ""}});
  });
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
  EXPECT_NE(text.find("Z info listening address=127.0.0.1:8443 name=\"x\\nerror forged a=b\" e=\"\"\n"),
            std::string::npos)
      << text;
}

TEST_F(Log, LeavesLowerLevelsOut) {
  log_configure(LogLevel::warning, LogFormat::text);
  EXPECT_EQ(written([] { log(LogLevel::info, "quiet"); }), "");
  EXPECT_NE(written([] { log(LogLevel::error, "loud"); }).find(" error loud\n"), std::string::npos);
  log_configure(LogLevel::debug, LogFormat::text);
  EXPECT_NE(written([] { log(LogLevel::debug, "now"); }).find(" debug now\n"), std::string::npos);
}

TEST_F(Log, LinesOfManyThreadsStayWhole) {
  log_configure(LogLevel::info, LogFormat::json);
  const std::string text = written([] {
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([] {
        for (int i = 0; i < 50; ++i) log(LogLevel::info, "tick", {{"n", std::to_string(i)}});
      });
    }
    for (auto& thread : threads) thread.join();
  });
  std::size_t lines = 0;
  for (std::size_t begin = 0; begin < text.size(); ++lines) {
    const std::size_t end = text.find('\n', begin);
    ASSERT_NE(end, std::string::npos);
    EXPECT_TRUE(JsonDocument::parse(text.substr(begin, end - begin)).ok());
    begin = end + 1;
  }
  EXPECT_EQ(lines, 200u);
}

}  // namespace
}  // namespace attestry::base
