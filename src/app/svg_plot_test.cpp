#include "app/svg_plot.h"

#include <gtest/gtest.h>

#include <cmath>

namespace attestry::app {
namespace {

TEST(SvgPlot, NumbersHaveThreeDigitsAndNoExponent) {
  EXPECT_EQ(short_number(0), "0");
  EXPECT_EQ(short_number(0.012345), "0.0123");
  EXPECT_EQ(short_number(1.5), "1.5");
  EXPECT_EQ(short_number(12.0), "12");
  EXPECT_EQ(short_number(123.4), "123");
  EXPECT_EQ(short_number(2'857'394), "2,857,394");
  EXPECT_EQ(short_number(-1000), "-1,000");
  EXPECT_EQ(short_number(100), "100");
  EXPECT_EQ(short_number(NAN), "-");
}

TEST(SvgPlot, TextIsEscapedAndUnknownValuesAreLeftOut) {
  const std::string svg =
      to_svg({.title = "a < b & \"c\"\x01",
              .places = {"one", "two"},
              .series = {{.name = "with", .values = {1, NAN}}, {.name = "without", .values = {3}}}});
  EXPECT_TRUE(svg.contains("<title>a &lt; b &amp; &quot;c&quot; </title>"));
  EXPECT_TRUE(svg.contains("<title>with, one: 1</title>"));
  EXPECT_FALSE(svg.contains("with, two"));
  EXPECT_TRUE(svg.contains("prefers-color-scheme:dark"));
  EXPECT_TRUE(svg.ends_with("</svg>\n"));
}

TEST(SvgPlot, DecadesHoldEveryValueAndTheClaim) {
  const std::string svg = to_svg({.kind = Plot::Kind::lines,
                                  .title = "t",
                                  .log_y = true,
                                  .places = {"1", "2", "3"},
                                  .series = {{.name = "s", .values = {0.02, 30, 0}}},
                                  .claim = std::pair{410.0, std::string{"claimed"}}});
  for (const char* tick : {">0.01<", ">0.1<", ">1<", ">10<", ">100<", ">1000<", ">claimed<"}) {
    EXPECT_TRUE(svg.contains(tick)) << tick;
  }
  EXPECT_FALSE(svg.contains("nan"));
  EXPECT_FALSE(svg.contains("inf"));
}

TEST(SvgPlot, LargeValuesAreShortWhereThereIsNoRoom) {
  const std::string svg = to_svg({.title = "t", .places = {"one"}, .series = {{.name = "gas", .values = {2'857'394}}}});
  EXPECT_TRUE(svg.contains(">2.9 M<"));
  EXPECT_TRUE(svg.contains("<title>gas, one: 2,857,394</title>"));
}

TEST(SvgPlot, NothingToShowIsAnEmptyFrame) {
  const std::string svg = to_svg({.title = "nothing", .places = {}, .series = {}});
  EXPECT_FALSE(svg.contains("nan"));
  EXPECT_TRUE(svg.ends_with("</svg>\n"));
}

}  // namespace
}  // namespace attestry::app
