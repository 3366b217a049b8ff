#include "cluster/proposal.h"

#include <gtest/gtest.h>

namespace attestry::cluster {
namespace {

Proposal proposal() {
  Proposal out;
  out.plan.cluster.fill(9);
  out.plan.realm = base::Realm::simulated;
  out.plan.epoch = 2;
  out.plan.previous.fill(0xab);
  out.plan.threshold = 2;
  for (const std::uint32_t id : {0U, 1U, 4U}) {
    base::FixedBytes<32> key{};
    key.fill(static_cast<std::uint8_t>(id + 1));
    out.plan.members.push_back({id, key, {}, {}, "10.0.0." + std::to_string(id + 1) + ":9447"});
  }
  out.approval.signatures.push_back({{}, {}});
  return out;
}

std::string changed(std::string text, std::string_view what, std::string_view to) {
  const auto at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return text.replace(at, what.size(), to);
}

TEST(Proposals, AreReadAsTheyWereWritten) {
  const Proposal made = proposal();
  const auto read = Proposal::parse(made.json());
  ASSERT_TRUE(read.ok()) << read.error().text();
  EXPECT_EQ(read->plan.intent(), made.plan.intent());
  EXPECT_EQ(read->approval.signatures, made.approval.signatures);
  EXPECT_EQ(read->json(), made.json());
}

TEST(Proposals, ThatAreNoneAreRefused) {
  const std::string good = proposal().json();
  ASSERT_TRUE(Proposal::parse(good).ok());
  const std::pair<std::string_view, std::string_view> mistakes[] = {
      {R"("v":1)", R"("v":2)"},
      {R"("v":1)", R"("v":1,"more":1)"},
      {R"("threshold":2)", R"("threshold":1)"},
      {R"("threshold":2)", R"("threshold":4)"},
      {R"("epoch":2)", R"("epoch":0)"},
      {R"("epoch":2)", R"("epoch":4294967296)"},
      {R"("simulated")", R"("imagined")"},
      {R"("id":1)", R"("id":0)"},
      {R"("id":1)", R"("id":4)"},
      {R"("id":4)", R"("id":255)"},
      {R"("10.0.0.1:9447")", R"("")"},
      {R"("cluster":"09)", R"("cluster":"0)"},
      {R"("approvals":[)", R"("approvals":[{},)"},
  };
  for (const auto& [what, to] : mistakes) EXPECT_FALSE(Proposal::parse(changed(good, what, to)).ok()) << to;
}

}  // namespace
}  // namespace attestry::cluster
