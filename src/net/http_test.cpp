#include "net/http.h"

#include <gtest/gtest.h>

#include "net/problem.h"

namespace attestry::net {
namespace {

TEST(Headers, CompareNamesWithoutCaseAndKeepOrder) {
  Headers headers{{"Content-Type", "application/json"}, {"X-Twice", "1"}, {"x-twice", "2"}};
  EXPECT_EQ(headers.get("content-TYPE"), "application/json");
  EXPECT_EQ(headers.count("X-TWICE"), 2u);
  EXPECT_EQ(headers.get("x-twice"), "1");
  EXPECT_FALSE(headers.find("absent"));
  headers.set("X-Twice", headers.get("content-type"));
  EXPECT_EQ(headers.count("x-twice"), 1u);
  EXPECT_EQ(headers.get("x-twice"), "application/json");
}

TEST(Headers, RefuseWhatWouldSplitAMessage) {
  EXPECT_TRUE(valid_header("Retry-After", "1"));
  EXPECT_FALSE(valid_header("Retry-After", "1\r\nSet-Cookie: a"));
  EXPECT_FALSE(valid_header("Retry After", "1"));
  EXPECT_FALSE(valid_header("", "1"));
}

TEST(Target, TakesPathAndQueryApart) {
  const auto target = parse_target("/v1/apps/a%2Fb?limit=10&q=a+b%2Bc&empty");
  ASSERT_TRUE(target.ok());
  EXPECT_EQ(target->path, "/v1/apps/a%2Fb");
  EXPECT_EQ(target->segments, (std::vector<std::string>{"v1", "apps", "a/b"}));
  EXPECT_EQ(target->query, (Pairs{{"limit", "10"}, {"q", "a b+c"}, {"empty", ""}}));
}

TEST(Target, AcceptsAbsoluteForm) {
  const auto target = parse_target("http://example.org/v1?x=1");
  ASSERT_TRUE(target.ok());
  EXPECT_EQ(target->path, "/v1");
  EXPECT_EQ(parse_target("https://example.org")->path, "/");
}

TEST(Target, KeepsEmptySegmentsApart) {
  EXPECT_TRUE(parse_target("/")->segments.empty());
  EXPECT_EQ(parse_target("/v1/")->segments, (std::vector<std::string>{"v1", ""}));
  EXPECT_EQ(parse_target("//v1")->segments, (std::vector<std::string>{"", "v1"}));
}

TEST(Target, RefusesWhatIsNotAPlainPath) {
  for (const char* bad : {"", "*", "v1", "example.org:443", "/a%", "/a%2", "/a%zz", "/a/../b", "/a/%2e%2E", "/a%00b",
                          "/a%0d%0a", "/a#b", "/%ff", "/%c0%80", "/%ed%a0%80", "/?q=%ff", "/a\x7f", "http://"}) {
    EXPECT_FALSE(parse_target(bad).ok()) << bad;
  }
  std::string deep;
  for (int i = 0; i < 65; ++i) deep += "/a";
  EXPECT_FALSE(parse_target(deep).ok());
}

TEST(Target, EncodingIsUndoneByDecoding) {
  const std::string text = "a/b c%+&=\xC3\xA9~";
  const auto target = parse_target("/" + percent_encode(text) + "?k=" + percent_encode(text));
  ASSERT_TRUE(target.ok());
  EXPECT_EQ(target->segments.at(0), text);
  EXPECT_EQ(target->query.at(0).second, text);
}

TEST(TraceParent, IsReadStrictly) {
  const auto context = parse_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
  ASSERT_TRUE(context.ok());
  EXPECT_EQ(context->trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_EQ(context->parent_id, "00f067aa0ba902b7");
  EXPECT_EQ(context->flags, 1);
  EXPECT_TRUE(parse_traceparent("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more").ok());
  for (const char* bad : {"", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
                          "00-4BF92F3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                          "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                          "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
                          "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
                          "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
                          "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x"}) {
    EXPECT_FALSE(parse_traceparent(bad).ok()) << bad;
  }
}

TEST(TraceParent, NewOnesAreValidAndDiffer) {
  crypto::SeededRandom random{base::as_bytes("trace")};
  const auto first = new_trace(random);
  const auto second = new_trace(random);
  EXPECT_NE(first.trace_id, second.trace_id);
  const auto again = parse_traceparent(to_traceparent(first, random));
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->trace_id, first.trace_id);
}

TEST(Request, MediaTypeHasNoParametersAndNoCase) {
  Request request;
  request.headers.add("Content-Type", "Application/JSON ; charset=utf-8");
  EXPECT_EQ(request.media_type(), "application/json");
  EXPECT_EQ(Request{}.media_type(), "");
}

TEST(Problem, SaysWhatHappenedAndWhatToDo) {
  ProblemExtras extras;
  extras.checks_json = R"([{"id":"tdx.quote.signature","status":"fail"}])";
  const auto response =
      problem({base::Code::evidence_false, "a \"quoted\" reason", "e", "f"}, {std::string(32, 'a'), {}, 0}, extras);
  EXPECT_EQ(response.status, 422);
  EXPECT_EQ(response.content_type, "application/problem+json");
  const auto document = base::JsonDocument::parse(response.body);
  ASSERT_TRUE(document.ok());
  const auto root = (*document)->root();
  EXPECT_EQ(*root.get("type")->string("type"), "urn:attestry:error:evidence-false");
  EXPECT_EQ(*root.get("title")->string("title"), "Evidence false");
  EXPECT_EQ(*root.get("status")->integer("status", 0, 999), 422);
  EXPECT_EQ(*root.get("detail")->string("detail"), "a \"quoted\" reason");
  EXPECT_EQ(*root.get("trace_id")->string("trace_id"), std::string(32, 'a'));
  EXPECT_EQ(root.get("checks")->source(), extras.checks_json);
  EXPECT_FALSE(root.get("remedy")->string("remedy")->empty());
}

TEST(Response, ABodyWithASecretIsOverwritten) {
  Response response = text_response(200, "a secret that is long enough to be on the heap");
  const Response before = response;
  wipe_body(response);
  EXPECT_EQ(response.body, before.body) << "nobody said that it holds one";
  response.wipe = true;
  wipe_body(response);
  EXPECT_EQ(response.body, std::string(before.body.size(), '\0'));
}

TEST(Problem, AnOutageSaysWhenToComeBack) {
  EXPECT_EQ(problem({base::Code::unavailable, "away"}, {}).headers.get("Retry-After"), "1");
  EXPECT_EQ(problem({base::Code::rate_limited, "slow down"}, {}, {{}, {}, 7u, {}, {}}).headers.get("Retry-After"), "7");
  EXPECT_FALSE(problem({base::Code::denied, "no"}, {}).headers.find("Retry-After"));
}

TEST(Problem, ComesBackAsTheSameError) {
  const base::Error error{base::Code::replayed, "nonce used", "an unused nonce", "a used one", "Ask again."};
  const auto back = error_from_problem(problem(error, {}));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->code, error.code);
  EXPECT_EQ(back->text(), error.text());
  EXPECT_FALSE(error_from_problem(json_response(500, "{}")));
}

}  // namespace
}  // namespace attestry::net
