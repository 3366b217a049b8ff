#include "net/internal/request_parser.h"

#include <gtest/gtest.h>

namespace attestry::net {
namespace {

// As a connection feeds it: one more byte whenever the parser wants more.
TEST(RequestParser, ReadsAnEmptyChunkedBodyThatArrivesByteByByte) {
  const std::string_view text = "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
  RequestParser parser{1024, 16};
  std::size_t begin = 0;
  std::size_t end = 0;
  while (parser.state() != RequestParser::State::complete && parser.state() != RequestParser::State::failed) {
    if (parser.state() == RequestParser::State::body) parser.set_body_limit(16);
    const auto used = begin == end ? 0 : parser.put(text.substr(begin, end - begin));
    begin += used;
    if (used != 0) continue;
    ASSERT_LT(end, text.size());
    ++end;
  }
  EXPECT_EQ(parser.state(), RequestParser::State::complete);
  EXPECT_TRUE(parser.request().body.empty());
}

TEST(RequestParser, TakesListAsGetWithAParameter) {
  const auto target_of = [](std::string_view target) {
    RequestParser parser{1024, 16};
    const std::string text = "LIST " + std::string{target} + " HTTP/1.1\r\nHost: a\r\n\r\n";
    for (std::size_t begin = 0; begin < text.size() && parser.state() == RequestParser::State::header;) {
      const auto used = parser.put(std::string_view{text}.substr(begin));
      if (used == 0) break;
      begin += used;
    }
    EXPECT_EQ(parser.request().method, Method::get);
    return parser.request().target;
  };
  EXPECT_EQ(target_of("/v1/secret/metadata/"), "/v1/secret/metadata/?list=true");
  EXPECT_EQ(target_of("/v1/secret/metadata?after=a"), "/v1/secret/metadata?after=a&list=true");
}

}  // namespace
}  // namespace attestry::net
