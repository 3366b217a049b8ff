#include "attestation/event_logs.h"

#include <gtest/gtest.h>

#include <string>

#include "attestation/eventlog/log.h"
#include "base/encoding.h"

namespace attestry::attestation {
namespace {

using base::Code;

base::Status read(const std::string& json, std::vector<Supplement>& logs) {
  const auto doc = base::JsonDocument::parse(json, {.max_bytes = 16u << 20});
  EXPECT_TRUE(doc.ok()) << json.substr(0, 80);
  return read_event_logs((*doc)->root(), logs);
}

std::string array_of(std::initializer_list<base::Bytes> logs) {
  std::string out = "[";
  for (const auto& log : logs) out += (out.size() > 1 ? ",\"" : "\"") + base::base64url(log) + "\"";
  return out + "]";
}

TEST(EventLogs, TheFirstBytesSayTheKind) {
  std::vector<Supplement> logs;
  const base::Bytes tcg{0, 0, 0, 0, 3, 0, 0, 0};
  const auto status = read(array_of({base::to_bytes("\n [{}]"), tcg}), logs);
  ASSERT_TRUE(status.ok()) << status.error().text();
  ASSERT_EQ(logs.size(), 2u);
  EXPECT_EQ(logs[0].kind, SupplementKind::dstack_event_log);
  EXPECT_EQ(base::as_text(logs[0].bytes), "\n [{}]");
  EXPECT_EQ(logs[1].kind, SupplementKind::tcg_event_log);
  EXPECT_EQ(logs[1].bytes, tcg);
}

TEST(EventLogs, AreOneOfAKindAndNothingElse) {
  for (const char* json : {"{}", "null", "\"\"", "7", "[7]", "[null]", "[[]]", R"(["*"])", R"(["AA=="])", R"(["A"])",
                           R"(["AA","AA"])", R"(["W10","e30"])", R"(["W10","AA","AA"])"}) {
    std::vector<Supplement> logs;
    const auto status = read(json, logs);
    ASSERT_FALSE(status.ok()) << json;
    EXPECT_EQ(status.error().code, Code::malformed) << json;
    EXPECT_NE(status.error().text().find("event_logs"), std::string::npos) << status.error().text();
  }
  std::vector<Supplement> none;
  EXPECT_TRUE(read("[]", none).ok());
  EXPECT_TRUE(none.empty());
}

TEST(EventLogs, HaveABound) {
  std::vector<Supplement> logs;
  EXPECT_TRUE(read(array_of({base::Bytes(eventlog::kMaxLogBytes, 0xff)}), logs).ok());
  logs.clear();
  const auto status = read(array_of({base::Bytes(eventlog::kMaxLogBytes + 1, 0xff)}), logs);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, Code::too_large);
  EXPECT_TRUE(logs.empty());
}

}  // namespace
}  // namespace attestry::attestation
