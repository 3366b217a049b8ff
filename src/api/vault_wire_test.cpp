#include "api/vault_wire.h"

#include <gtest/gtest.h>

#include <memory>
#include <new>

namespace attestry::api {
namespace {

/// What is left at `place` of an object that was there.
std::string_view left_at(const void* place) { return {static_cast<const char*>(place), sizeof(SecretText)}; }

TEST(SecretTextTest, GrowsAndWritesJson) {
  SecretText text;
  EXPECT_TRUE(text.empty());
  text.append(R"({"a":)").append_json("x\"\n").append("}");
  EXPECT_EQ(text.view(), R"({"a":"x\"\n"})");
  const std::string long_one(1000, 'y');
  text.append(long_one).append(long_one);
  EXPECT_EQ(text.view().size(), 2013u);
  EXPECT_EQ(text.view().substr(1013), long_one);
}

/// A short text lies in the object itself, where it can be looked for afterwards.
TEST(SecretTextTest, LeavesNothingBehind) {
  alignas(SecretText) std::byte here[sizeof(SecretText)] = {};
  alignas(SecretText) std::byte there[sizeof(SecretText)] = {};
  auto* from = new (here) SecretText{"hvs.secret"};
  EXPECT_NE(left_at(here).find("hvs.secret"), std::string_view::npos);
  auto* to = new (there) SecretText{std::move(*from)};
  EXPECT_EQ(to->view(), "hvs.secret");
  EXPECT_EQ(left_at(here).find("vs.s"), std::string_view::npos);
  to->append(" that moves to a larger place");
  EXPECT_EQ(left_at(there).find("vs.s"), std::string_view::npos);
  *from = SecretText{"hvs.again"};
  std::destroy_at(from);
  std::destroy_at(to);
  EXPECT_EQ(left_at(here).find("vs.a"), std::string_view::npos);
}

}  // namespace
}  // namespace attestry::api
