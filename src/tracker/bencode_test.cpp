#include "tracker/bencode.h"

#include <gtest/gtest.h>

namespace attestry::tracker {
namespace {

base::Result<Bencode> parse(std::string_view text, const BencodeLimits& limits = {}) {
  return parse_bencode(base::as_bytes(text), limits);
}

TEST(Bencode, ReadsWhatBep3Shows) {
  EXPECT_EQ(parse("4:spam")->string, "spam");
  EXPECT_EQ(parse("0:")->string, "");
  EXPECT_EQ(parse("i3e")->integer, 3);
  EXPECT_EQ(parse("i-3e")->integer, -3);
  EXPECT_EQ(parse("i0e")->integer, 0);
  EXPECT_EQ(parse("i-9223372036854775808e")->integer, INT64_MIN);
  const auto list = parse("l4:spam4:eggse");
  ASSERT_TRUE(list.ok());
  ASSERT_EQ(list->list.size(), 2u);
  EXPECT_EQ(list->list[1].string, "eggs");
  const auto dictionary = parse("d3:cow3:moo4:spaml1:a1:bee");
  ASSERT_TRUE(dictionary.ok());
  EXPECT_EQ(*dictionary->get_string("cow"), "moo");
  EXPECT_EQ(base::as_text(dictionary->find("spam")->source), "l1:a1:be");
  EXPECT_EQ(dictionary->find("pig"), nullptr);
  EXPECT_FALSE(dictionary->get_integer("cow", 0, 9).ok());
  EXPECT_EQ(*parse("d1:xi9ee")->get_integer("x", 0, 9), 9);
  EXPECT_FALSE(parse("d1:xi10ee")->get_integer("x", 0, 9).ok());
}

TEST(Bencode, RefusesWhatHasAnotherFormOrIsNoWholeValue) {
  for (const auto* bad : {"",
                          "i",
                          "ie",
                          "i-e",
                          "i-0e",
                          "i03e",
                          "i+3e",
                          "i 3e",
                          "i3",
                          "i3ex",
                          "i9223372036854775808e",
                          "i1x2e",
                          "4:spa",
                          "04:spam",
                          "-1:x",
                          "4",
                          ":",
                          "4spam",
                          "l",
                          "l4:spam",
                          "d",
                          "d3:cow",
                          "d3:cowe",
                          "d3:cow3:moo",
                          "di1e3:mooe",
                          "d1:b1:x1:a1:ye",
                          "d1:a1:x1:a1:ye",
                          "e",
                          "x",
                          "99999999999999999999:",
                          "18446744073709551615:x"}) {
    EXPECT_FALSE(parse(bad).ok()) << bad;
  }
}

TEST(Bencode, KeepsToItsLimits) {
  EXPECT_TRUE(parse("llee", {.max_depth = 2}).ok());
  EXPECT_FALSE(parse("llleee", {.max_depth = 2}).ok());
  EXPECT_TRUE(parse("li1ei1ee", {.max_nodes = 3}).ok());
  EXPECT_FALSE(parse("li1ei1ei1ee", {.max_nodes = 3}).ok());
  EXPECT_EQ(parse("4:spam", {.max_bytes = 5}).error().code, base::Code::too_large);
}

TEST(Bencode, WritesItsOneForm) {
  std::string out;
  append_bencoded(out, std::string_view{"a\0b", 3});
  append_bencoded(out, -42);
  EXPECT_EQ(out, std::string("3:a\0bi-42e", 10));
}

}  // namespace
}  // namespace attestry::tracker
