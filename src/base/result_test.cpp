#include "base/result.h"

#include <gtest/gtest.h>

#include "base/reason.h"

#include <memory>
#include <set>

namespace attestry::base {
namespace {

constexpr Code kAllCodes[] = {
#define ATTESTRY_CODE(name, slug, http, exit_code, remedy) Code::name,
#include "base/codes.def"
#undef ATTESTRY_CODE
};

Result<int> positive(int n) {
  if (n > 0) return n;
  return Error{Code::denied, "not positive", "above 0", std::to_string(n)};
}
Status check(int n) {
  TRY_OK(positive(n), "check");
  return done();
}
Result<int> sum(int a, int b) {
  TRY(const int x, positive(a), "first");
  TRY(const int y, positive(b));
  return x + y;
}
Result<std::unique_ptr<int>> boxed(int n) {
  TRY(const int x, positive(n));
  return std::make_unique<int>(x);
}
Result<int> unboxed(int n) {
  TRY(const std::unique_ptr<int> box, boxed(n), "box");
  return *box;
}

TEST(Result, TryGoesOnWithTheValue) {
  EXPECT_EQ(sum(1, 2).value(), 3);
  EXPECT_TRUE(sum(1, 2).ok());
  EXPECT_TRUE(check(1).ok());
  EXPECT_EQ(unboxed(7).value(), 7);
}

TEST(Result, TryReturnsTheErrorWithItsStep) {
  EXPECT_EQ(sum(0, 2).error().what, "first: not positive");
  EXPECT_EQ(sum(1, -2).error().what, "not positive");
  EXPECT_EQ(sum(1, -2).error().found, "-2");
  EXPECT_EQ(check(0).error().what, "check: not positive");
  EXPECT_EQ(unboxed(0).error().what, "box: not positive");
  EXPECT_EQ(unboxed(0).error().code, Code::denied);
}

TEST(Result, TryOkWorksInsideABranchWithoutBraces) {
  const auto run = [](bool yes) -> Status {
    if (yes)
      TRY_OK(positive(0));
    else
      TRY_OK(positive(1));
    return done();
  };
  EXPECT_FALSE(run(true).ok());
  EXPECT_TRUE(run(false).ok());
}

TEST(Result, TryEvaluatesItsExpressionOnce) {
  int calls = 0;
  const auto count = [&]() -> Result<int> { return ++calls; };
  const auto run = [&]() -> Result<int> {
    TRY(const int a, count());
    TRY_OK(count());
    return a;
  };
  EXPECT_EQ(run().value(), 1);
  EXPECT_EQ(calls, 2);
}

TEST(Error, StepsStandOutermostFirst) {
  Error error{Code::malformed, "unknown key"};
  error.at("line 3").at("").at("policy");
  EXPECT_EQ(error.what, "policy: line 3: unknown key");
}

TEST(Error, TextHasEveryPartThatIsKnown) {
  EXPECT_EQ((Error{Code::denied, "no", "a", "b", "Do c."}.text()), "denied: no; expected a; found b. Do c.");
  const Error bare{Code::not_found, "no such policy"};
  EXPECT_EQ(bare.text(), "not-found: no such policy. " + std::string{default_remedy(Code::not_found)});
}

TEST(Code, EveryCodeHasItsOwnSlugAndUsableNumbers) {
  std::set<std::string_view> slugs;
  for (const Code code : kAllCodes) {
    EXPECT_TRUE(slugs.insert(slug(code)).second) << slug(code);
    EXPECT_GE(http_status(code), 400);
    EXPECT_LT(http_status(code), 600);
    EXPECT_GE(exit_code(code), 1);
    EXPECT_LE(exit_code(code), 4);
    EXPECT_FALSE(default_remedy(code).empty());
    EXPECT_EQ(code_from_slug(slug(code)), code);
    EXPECT_EQ(slug(code).find_first_not_of("abcdefghijklmnopqrstuvwxyz-"), std::string_view::npos) << slug(code);
  }
}

TEST(Code, IsNoneOfAnUnknownSlug) { EXPECT_EQ(code_from_slug("no-such-slug"), std::nullopt); }

// ARCHITECTURE 3.14: an outage never looks like a denial.
TEST(Code, AnOutageIsNoRefusal) {
  for (const Code code : {Code::unavailable, Code::deadline_exceeded, Code::collateral_missing}) {
    EXPECT_EQ(http_status(code), 503);
    EXPECT_EQ(exit_code(code), 3);
  }
  EXPECT_EQ(http_status(Code::denied), 403);
  EXPECT_EQ(exit_code(Code::denied), 1);
}

}  // namespace
}  // namespace attestry::base
