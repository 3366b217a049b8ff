#include "provision/template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace attestry::provision {
namespace {

using base::Code;
using base::Error;
using base::Result;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Result<std::string> resolve(std::string_view reference) {
  if (reference == "app") return std::string{"name:web"};
  if (reference == "empty") return std::string{};
  if (reference == "nested") return std::string{"${app}"};
  if (reference == "large") return std::string(1u << 19, 'x');
  return Error{Code::malformed, "unknown reference"};
}

std::string expand(std::string_view text) {
  const auto out = expand_template(text, resolve);
  return out ? std::string{base::as_text(out->reveal())} : "error: " + out.error().text();
}

TEST(Template, ReferencesAreReplacedAndAllElseStays) {
  EXPECT_EQ(expand(""), "");
  EXPECT_EQ(expand("no reference, $1 and $ and }"), "no reference, $1 and $ and }");
  EXPECT_EQ(expand("${app}"), "name:web");
  EXPECT_EQ(expand("a=${app};b=${empty};c=${app}"), "a=name:web;b=;c=name:web");
  EXPECT_EQ(expand(std::string_view{"\0${app}\xff", 8}), std::string("\0name:web\xff", 10));
}

TEST(Template, ALiteralIsWrittenWithTwoDollars) {
  EXPECT_EQ(expand("$${app}"), "${app}");
  EXPECT_EQ(expand("$${app} ${app}"), "${app} name:web");
  EXPECT_EQ(expand("$$ $$$"), "$$ $$$");
}

TEST(Template, WhatWasInsertedIsNotExpandedAgain) { EXPECT_EQ(expand("${nested}"), "${app}"); }

TEST(Template, NothingIsExpandedByHalf) {
  const auto unknown = expand_template("a=${app} b=${hostname}", resolve);
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.error().code, Code::malformed);
  EXPECT_THAT(unknown.error().text(), HasSubstr("${hostname}: unknown reference"));
  EXPECT_THAT(expand("${"), HasSubstr("is not closed"));
  EXPECT_THAT(expand("ok ${app"), HasSubstr("is not closed"));
  EXPECT_THAT(expand("${" + std::string(1025, 'a') + "}"), HasSubstr("is not closed"));
  EXPECT_THAT(expand("${}"), HasSubstr("unknown reference"));
}

TEST(Template, OutputIsBounded) {
  EXPECT_EQ(expand("${large}${large}").size(), 1u << 20);
  const auto over = expand_template("${large}${large}x", resolve);
  ASSERT_FALSE(over.ok());
  EXPECT_EQ(over.error().code, Code::too_large);
  EXPECT_THAT(expand(std::string((1u << 20) + 1, 'x')), HasSubstr("too large"));
}

TEST(Template, ReferencesCanBeListed) {
  EXPECT_THAT(template_references("${b} $${no} ${a} ${b}").value(), ElementsAre("b", "a", "b"));
  EXPECT_TRUE(template_references("nothing")->empty());
  EXPECT_FALSE(template_references("${open").ok());
}

}  // namespace
}  // namespace attestry::provision
