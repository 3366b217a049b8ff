#include "chain/logs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "chain/keymanager_abi.h"
#include "chain/testing/stand_in.h"

namespace attestry::chain {
namespace {

using base::Code;
using ::testing::HasSubstr;
using testing::kContract;
using testing::kOther;
using testing::Node;
using testing::Nodes;
using testing::TestClock;

class LogsTest : public ::testing::Test {
 protected:
  LogsTest() {
    auto options = nodes.options();
    options.clock = &clock;
    reader = *QuorumReader::make(nodes, std::move(options));
  }
  void emit(std::uint64_t block, const keymanager::Event& event, const Address& by = kContract) {
    const LogRecord log = keymanager::write(event);
    nodes.each([&](Node& node) { node.logs.push_back({by, block, log.topics, log.data}); });
  }
  base::Result<std::vector<LogRecord>> logs(std::uint64_t from, std::uint64_t to,
                                            std::vector<base::Digest32> events = {}) {
    return reader->logs({kContract, from, to, std::move(events)}, clock.steady() + std::chrono::seconds(60));
  }

  Nodes nodes{3, 5000};
  TestClock clock{testing::Branch::time(5000) + 5};
  std::unique_ptr<QuorumReader> reader;
  const keymanager::Event first = keymanager::BootstrapComplete{Address{1}};
  const keymanager::Event second = keymanager::Requested{Address{2}};
};

TEST_F(LogsTest, TheyComeInTheOrderOfTheChain) {
  emit(4500, second);
  emit(10, first);
  emit(11, first, kOther);
  const auto found = logs(0, 5000);
  ASSERT_TRUE(found.ok()) << found.error().text();
  ASSERT_EQ(found->size(), 2u);
  EXPECT_EQ((*found)[0].block, 10u);
  EXPECT_EQ((*found)[0].block_hash, nodes.nodes[0].branch.hash(10));
  EXPECT_EQ(**keymanager::read((*found)[0]), first);
  EXPECT_EQ(**keymanager::read((*found)[1]), second);
}

TEST_F(LogsTest, OnlyTheBlocksAndEventsThatWereAskedFor) {
  emit(10, first);
  emit(20, second);
  emit(30, first);
  EXPECT_EQ(logs(11, 30)->size(), 2u);
  EXPECT_EQ(logs(30, 30)->size(), 1u);
  EXPECT_EQ(logs(0, 5000, {keymanager::topic<keymanager::Requested>()})->size(), 1u);
}

TEST_F(LogsTest, WhereEndpointsGiveFewBlocksTheyAreAskedForFewer) {
  emit(10, first);
  emit(300, second);
  nodes.each([](Node& node) { node.most_log_blocks = 100; });
  const auto found = logs(0, 400);
  ASSERT_TRUE(found.ok()) << found.error().text();
  EXPECT_EQ(found->size(), 2u);
}

TEST_F(LogsTest, OneEndpointThatHidesOrInventsLogsChangesNothing) {
  emit(10, first);
  nodes.change(1, [](Node& node) { node.hides_logs = true; });
  EXPECT_EQ(logs(0, 100)->size(), 1u);
  const LogRecord invented = keymanager::write(second);
  nodes.change(1, [&](Node& node) {
    node.hides_logs = false;
    node.logs.push_back({kContract, 20, invented.topics, invented.data});
  });
  EXPECT_EQ(logs(0, 100)->size(), 1u);
}

TEST_F(LogsTest, WithoutAQuorumThereIsNoHistory) {
  emit(10, first);
  nodes.change(1, [](Node& node) { node.hides_logs = true; });
  nodes.change(2, [](Node& node) { node.offers_logs = false; });
  const auto found = logs(0, 0x10);
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.error().code, Code::unavailable) << found.error().text();
  nodes.each([](Node& node) { node.dead = true; });
  EXPECT_EQ(logs(0, 100).error().code, Code::unavailable);
}

TEST_F(LogsTest, ABlockThatAnEndpointDoesNotHaveIsNotAnEmptyOne) {
  EXPECT_EQ(logs(0, 6000).error().code, Code::unavailable);
}

TEST_F(LogsTest, ALogThatWasTakenBackIsNone) {
  const std::string hash(64, '1');
  const auto text = [&](std::string_view removed) {
    return R"({"address":"0x)" + std::string(40, '2') + R"(","topics":["0x)" + hash + R"("],"data":"0x",)" +
           R"("blockNumber":"0x1","blockHash":"0x)" + hash + R"(","transactionHash":"0x)" + hash +
           R"(","logIndex":"0x0","removed":)" + std::string{removed} + "}";
  };
  const auto read = [](const std::string& json) {
    const auto document = base::JsonDocument::parse(json);
    return read_log((*document)->root());
  };
  EXPECT_TRUE(read(text("false")).ok());
  EXPECT_EQ(read(text("true")).error().code, Code::malformed);
}

}  // namespace
}  // namespace attestry::chain
