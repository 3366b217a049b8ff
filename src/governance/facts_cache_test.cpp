#include "governance/facts_cache.h"

#include <gmock/gmock.h>

#include "state/testing/support.h"

namespace attestry::governance {
namespace {

using base::Code;

constexpr ContractAddress kOne{1};
constexpr ContractAddress kTwo{2};

class Counting final : public ContractAuthority {
 public:
  Counting() : ContractAuthority(1) {}
  base::Result<ContractFacts> facts(const base::Tenant&, const ContractAddress&, base::Deadline deadline) override {
    ++asked;
    last_deadline = deadline;
    if (error) return *error;
    ContractFacts out;
    out.domain_names = names;
    return out;
  }
  base::Status still_holds(state::WriteTxn&, const ContractApproval&) const override { return base::done(); }

  int asked = 0;
  base::Deadline last_deadline{};
  std::optional<base::Error> error{};
  std::vector<std::string> names{"one.example"};

 protected:
  base::Result<ContractAnswer> ask(const ContractQuestion&, base::Deadline) override { return ContractAnswer{}; }
};

class FactsCacheTest : public ::testing::Test {
 protected:
  FactsCache::Facts get(const ContractAddress& contract) { return cache.get(contract, clock.steady() + patience); }

  state::testing::ManualClock clock{{1'800'000'000}};
  Counting authority;
  std::chrono::seconds patience{30};
  FactsCache cache{authority, base::Tenant::standard(), clock, {.max_bytes = 1000}};
};

TEST_F(FactsCacheTest, WhatIsKnownIsNotAskedForAgain) {
  EXPECT_EQ(cache.known(kOne), nullptr);
  EXPECT_EQ((*get(kOne))->domain_names, authority.names);
  EXPECT_EQ((*get(kOne))->domain_names, authority.names);
  EXPECT_NE(cache.known(kOne), nullptr);
  EXPECT_EQ(authority.asked, 1);
  EXPECT_TRUE(get(kTwo)->ok());
  EXPECT_EQ(authority.asked, 2);
}

TEST_F(FactsCacheTest, RefusalsAndOutagesAreKeptToo) {
  for (const Code code : {Code::not_found, Code::unavailable, Code::deadline_exceeded}) {
    authority.error = base::Error{code, "no"};
    clock.pass(6);
    authority.asked = 0;
    EXPECT_EQ(get(kOne)->error().code, code);
    EXPECT_EQ(get(kOne)->error().code, code);
    EXPECT_EQ(authority.asked, 1);
  }
}

TEST_F(FactsCacheTest, AfterSomeSecondsItIsAskedAnew) {
  (void)get(kOne);
  authority.names = {"two.example"};
  clock.pass(5);
  EXPECT_EQ((*get(kOne))->domain_names, authority.names);
}

TEST_F(FactsCacheTest, WhatIsLargeIsNotKept) {
  authority.names.assign(100, "a name that is long enough.example");
  (void)get(kOne);
  EXPECT_EQ(cache.known(kOne), nullptr);
}

TEST_F(FactsCacheTest, AStrangersQuestionEndsSoon) {
  (void)get(kOne);
  EXPECT_EQ(authority.last_deadline, clock.steady() + std::chrono::seconds(2));
  patience = std::chrono::seconds(1);
  (void)get(kTwo);
  EXPECT_EQ(authority.last_deadline, clock.steady() + patience);
}

}  // namespace
}  // namespace attestry::governance
