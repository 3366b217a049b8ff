#include "attestation/catalogue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

namespace attestry::attestation {
namespace {

TEST(Catalogue, EveryCheckSaysWhatItIsWhatItMeansAndWhatToDo) {
  ASSERT_FALSE(catalogue().empty());
  for (const CheckInfo& check : catalogue()) {
    EXPECT_FALSE(check.title.empty()) << check.id;
    EXPECT_FALSE(check.spec.empty()) << check.id;
    EXPECT_TRUE(check.meaning.ends_with('.')) << check.id;
    EXPECT_TRUE(check.remedy.ends_with('.')) << check.id;
  }
}

TEST(Catalogue, IdsAreUniqueLowerCaseAndDotted) {
  std::set<std::string_view> seen;
  for (const CheckInfo& check : catalogue()) {
    EXPECT_TRUE(seen.insert(check.id).second) << check.id;
    EXPECT_NE(check.id.find('.'), std::string_view::npos) << check.id;
    EXPECT_TRUE(std::ranges::all_of(check.id, [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_';
    })) << check.id;
  }
}

TEST(Catalogue, FindsByIdWhatItLists) {
  for (const CheckInfo& check : catalogue()) {
    const auto found = find_check(check.id);
    ASSERT_TRUE(found.has_value()) << check.id;
    EXPECT_EQ(*found, check.check);
    EXPECT_EQ(info(*found).id, check.id);
  }
  EXPECT_FALSE(find_check("dcap.tcb").has_value());
  EXPECT_FALSE(find_check("").has_value());
}

TEST(Catalogue, StructureStandsBeforeBindingAndBindingBeforePolicy) {
  EXPECT_EQ(catalogue().front().id, "evidence.size");
  const auto position = [](std::string_view id) { return static_cast<int>(*find_check(id)); };
  EXPECT_LT(position("dcap.quote.structure"), position("dcap.quote.signature"));
  EXPECT_LT(position("dcap.quote.signature"), position("binding.report_data"));
  for (const CheckInfo& check : catalogue()) {
    EXPECT_EQ(check.id.starts_with("policy."), check.check >= CheckId::policy_platform) << check.id;
    if (check.id.starts_with("policy.")) {
      EXPECT_LT(position("binding.report_data"), position(check.id));
      EXPECT_TRUE(check.needs.empty()) << check.id << " must be judged on every platform";
    }
  }
}

}  // namespace
}  // namespace attestry::attestation
