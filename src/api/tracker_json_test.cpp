#include "api/tracker_json.h"

#include <gtest/gtest.h>

namespace attestry::api {
namespace {

using base::Code;
using base::Error;

TEST(TrackerJson, MembersAreInOrderAndNothingIsStored) {
  const auto answer = tracker_json(200, {{"b", 2}, {"a", true}});
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, "{\"a\":true,\"b\":2}\n");
  EXPECT_EQ(answer.headers.find("Cache-Control"), "no-store");
}

TEST(TrackerJson, ARefusalSaysWhatWasExpectedAndWhatToDo) {
  const auto answer =
      tracker_refused(Error{Code::malformed, "username", "at most 128 bytes", "200", "Take a shorter one."});
  EXPECT_EQ(answer.status, 400);
  for (const char* part : {"\"error\":\"username\"", "at most 128 bytes", "Take a shorter one.", "\"success\":false"})
    EXPECT_NE(answer.body.find(part), std::string::npos) << answer.body;
}

TEST(TrackerJson, AnOutageSaysNothingOfTheInside) {
  const auto answer = tracker_refused(Error{Code::unavailable, "the chain is away", "2 endpoints", "10.0.0.7 refused"});
  EXPECT_EQ(answer.status, 503);
  EXPECT_NE(answer.body.find("the chain is away"), std::string::npos);
  EXPECT_EQ(answer.body.find("10.0.0.7"), std::string::npos) << answer.body;
}

}  // namespace
}  // namespace attestry::api
