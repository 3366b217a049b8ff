// dstack's guest agent at a socket of its own: what is asked of it, and which answers are taken.
#include "tee/dstack_agent.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <utility>
#include <vector>

#include "base/encoding.h"
#include "net/router.h"
#include "net/server.h"

namespace attestry::tee {
namespace {

using base::Code;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

/// Of the agent's simulator, version 0.5.3: GetKey("pbts/bls/" and 32 zeros, "signature").
constexpr std::string_view kKey = "3f8770fa96601672f73f74d30a4bd1d6d8a1a22bee1b39bac637352b92b995fe";
constexpr std::string_view kSignature =
    "a5ae6488c959526752ae01c20d1cc1c2cdb2de31e01aa6ac9c02ad4c8499fa96556df0006e7966494515f8be1c9b5f1e75dcd6d96a7308fa7d"
    "3c39e4012f343d00";

std::string key_answer(std::string_view key, std::string_view chain) {
  return R"({"key":")" + std::string{key} + R"(","signature_chain":)" + std::string{chain} + "}";
}

/// Answers every call with `status` and `body`; refuses what is not as the agent's documentation has it.
class StandIn {
 public:
  StandIn(int status, std::string body) : path_(std::filesystem::temp_directory_path() / "attestry-agent-XXXXXX") {
    std::string pattern = path_;
    if (::mkdtemp(pattern.data()) == nullptr) std::abort();
    path_ = pattern;
    auto router = std::make_shared<net::Router>();
    for (const auto& [name, id] : {std::pair{"GetKey", "get_key"}, {"GetQuote", "get_quote"}, {"Info", "info"}}) {
      net::Route route{.method = net::Method::post,
                       .path = std::string{"/"} + name,
                       .auth = net::Auth::none,
                       .operation_id = id,
                       .summary = name};
      route.handler = [this, status, body, method = name](const net::Request& request, net::Responder responder) {
        asked_.push_back(std::string{method} + " " + request.body);
        net::Response out;
        out.status = status;
        out.body = body;
        responder.send(std::move(out));
      };
      EXPECT_TRUE(router->add(std::move(route)).ok());
    }
    net::ServerOptions options;
    options.listeners.push_back({"unix:" + socket(), {net::Role::public_}, nullptr});
    auto server = net::Server::start(std::move(options), router);
    EXPECT_TRUE(server.ok()) << server.error().text();
    server_ = std::move(*server);
  }
  StandIn(const StandIn&) = delete;
  StandIn& operator=(const StandIn&) = delete;
  ~StandIn() {
    server_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string socket() const { return path_ + "/dstack.sock"; }
  const std::vector<std::string>& asked() const { return asked_; }

 private:
  std::string path_;
  std::vector<std::string> asked_;
  std::unique_ptr<net::Server> server_;
};

class DstackAgentTest : public ::testing::Test {
 protected:
  DstackAgent agent(const std::string& socket) {
    return {*http_, socket, std::chrono::seconds(20), base::system_clock()};
  }
  std::unique_ptr<net::HttpClient> http_ = std::move(*net::HttpClient::make());
};

TEST_F(DstackAgentTest, GivesTheKeyOfAPath) {
  const StandIn stand_in(200, key_answer(kKey, R"([")" + std::string{kSignature} + R"(",""])"));
  const auto made = agent(stand_in.socket()).key("pbts/bls/a\"b", "signature");
  ASSERT_TRUE(made.ok()) << made.error().text();
  EXPECT_EQ(base::hex(made->key.reveal()), kKey);
  ASSERT_EQ(made->signature_chain.size(), 1U);
  EXPECT_EQ(base::hex(made->signature_chain[0]), kSignature);
  EXPECT_THAT(stand_in.asked(), ElementsAre(R"(GetKey {"path":"pbts/bls/a\"b","purpose":"signature"})"));
}

TEST_F(DstackAgentTest, GivesAQuoteOverTheReportData) {
  base::FixedBytes<64> data{};
  data[0] = 0xab;
  const StandIn stand_in(200, R"({"quote":"0400","event_log":"[]","report_data":")" + base::hex(data) + R"("})");
  auto agent = this->agent(stand_in.socket());
  const auto made = agent.attest(data);
  ASSERT_TRUE(made.ok()) << made.error().text();
  EXPECT_EQ(base::hex(made->bytes), "0400");
  EXPECT_THAT(stand_in.asked(), ElementsAre(R"(GetQuote {"report_data":")" + base::hex(data) + R"("})"));
  // An agent that quotes something else.
  data[63] = 1;
  const auto other = agent.attest(data);
  ASSERT_FALSE(other.ok());
  EXPECT_EQ(other.error().code, Code::unavailable);
  EXPECT_THAT(other.error().text(), HasSubstr("report_data"));
}

TEST_F(DstackAgentTest, SaysWhoTheAppIs) {
  const StandIn stand_in(200, R"({"app_id":"ea549f02e1a25fabd1cb788380e033ec5461b2ff","instance_id":"","app_name":"x",)"
                              R"("tcb_info":"{}","cloud_vendor":"new"})");
  const auto info = agent(stand_in.socket()).info();
  ASSERT_TRUE(info.ok()) << info.error().text();
  EXPECT_EQ(base::hex(info->app_id), "ea549f02e1a25fabd1cb788380e033ec5461b2ff");
  EXPECT_THAT(stand_in.asked(), ElementsAre("Info {}"));
}

TEST_F(DstackAgentTest, ARefusalAndAnAbsenceAreOutages) {
  const StandIn stand_in(400, R"({"error":"no keys here"})");
  const auto refused = agent(stand_in.socket()).key("a", "b");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Code::unavailable);
  EXPECT_THAT(refused.error().text(), HasSubstr("400: {\"error\":\"no keys here\"}"));
  const auto away = agent("/nonexistent/dstack.sock").info();
  ASSERT_FALSE(away.ok());
  EXPECT_EQ(away.error().code, Code::unavailable);
  EXPECT_THAT(away.error().text(), HasSubstr("mounted"));
}

TEST(DstackAnswers, OfAnotherShapeAreRefusedWithoutShowingTheKey) {
  const std::string chain = R"([")" + std::string{kSignature} + R"("])";
  ASSERT_TRUE(parse_dstack_key(key_answer(kKey, chain)).ok());
  for (const std::string& bad :
       {std::string{}, std::string{"null"}, std::string{kKey}, R"({"key":")" + std::string{kKey} + R"("})",
        key_answer(kKey.substr(2), chain), key_answer(std::string{kKey} + "00", chain),
        key_answer("zz" + std::string{kKey.substr(2)}, chain), key_answer(kKey, "{}"), key_answer(kKey, R"(["00"])"),
        key_answer(kKey, R"([")" + std::string{kSignature.substr(0, 128)} + R"(1b"])"),
        key_answer(kKey, R"(["","","","",""])")}) {
    const auto read = parse_dstack_key(bad);
    ASSERT_FALSE(read.ok()) << bad;
    EXPECT_EQ(read.error().code, Code::unavailable);
    EXPECT_THAT(read.error().text(), Not(HasSubstr(kKey.substr(2, 16)))) << bad;
  }
  for (const char* bad : {"{}", R"({"quote":"","event_log":""})", R"({"quote":"0","event_log":""})",
                          R"({"quote":"00"})", R"({"quote":["00"],"event_log":""})", R"({"quote":"00","event_log":[]})",
                          R"({"quote":"00","event_log":"","report_data":"00"})"}) {
    EXPECT_FALSE(parse_dstack_quote(bad, {}).ok()) << bad;
  }
  for (const char* bad :
       {"[]", R"({"app_id":"00","instance_id":"","app_name":""})",
        R"({"app_id":"ea549f02e1a25fabd1cb788380e033ec5461b2ff","instance_id":"00","app_name":""})"}) {
    EXPECT_FALSE(parse_dstack_info(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace attestry::tee
