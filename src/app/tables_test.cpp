#include "app/tables.h"

#include <gtest/gtest.h>

#include <sstream>

namespace attestry::app {
namespace {

TEST(Tables, PrintableIsWhatNoTerminalObeys) {
  EXPECT_EQ(printable(""), "");
  EXPECT_EQ(printable("alice, 3 > 2 ~"), "alice, 3 > 2 ~");
  EXPECT_EQ(printable("\x1b[2J\r\n\t\x7f"), "?[2J????");
  EXPECT_EQ(printable(std::string_view{"a\0b", 3}), "a?b");
  // U+0080, CSI as U+009B, U+009F; and what stands before and behind them.
  EXPECT_EQ(printable("a\xc2\x80z\xc2\x9b"
                      "2J\xc2\x9f"),
            "a?z?2J?");
  EXPECT_EQ(printable("\xe2\x80\xae"
                      "a\xe2\x81\xa6"
                      "b\xe2\x80\x8f"),
            "?a?b?")
      << "U+202E, U+2066 and U+200F turn a line around";
  EXPECT_EQ(printable("\xe2\x80\x94\xe2\x81\xaa\xe2\x82\xac"), "\xe2\x80\x94\xe2\x81\xaa\xe2\x82\xac");
  EXPECT_EQ(printable("\xc2\xa0\xc3\xbc"), "\xc2\xa0\xc3\xbc") << "U+00A0 and ü are none";
}

TEST(Tables, PrintableKeepsCharactersOfEveryLength) {
  const std::string text = "é \u20ac \U0001f511 \U0010ffff";
  EXPECT_EQ(printable(text), text);
}

TEST(Tables, PrintableHasAQuestionMarkForEachByteThatIsNoText) {
  EXPECT_EQ(printable("\x9b"
                      "2J"),
            "?2J")
      << "CSI to a terminal of one byte for each character";
  EXPECT_EQ(printable("\xc2"), "?") << "cut off";
  EXPECT_EQ(printable("\xc2z"), "?z") << "the next character is not swallowed";
  EXPECT_EQ(printable("\xe2\x82z\xf0\x9f\x94"), "??z???");
  EXPECT_EQ(printable("\xc0\x9b\xe0\x82\x9b"), "?????") << "overlong forms of ESC's kind";
  EXPECT_EQ(printable("\xed\xa0\x80\xf4\x90\x80\x80\xff"), "????????") << "a surrogate, and beyond U+10FFFF";
}

TEST(Tables, ATablePrintsNothingElse) {
  std::ostringstream out;
  Table{.columns = {"name", "size"}, .rows = {{"a\xc2\x9b", "1"}, {"long\x1bname", "2\n"}}}.print(out, "members");
  EXPECT_EQ(out.str(),
            "name       size\n"
            "a?         1\n"
            "long?name  2?\n");
}

TEST(Tables, WhatIsNoStringOfAListIsPrintableToo) {
  const auto list =
      base::JsonDocument::parse("[{\"name\":\"a\x7f\",\"all\":[\"b\xc2\x9b\",\"\\u001b\"]},{\"name\":null}]");
  ASSERT_TRUE(list.ok()) << list.error().text();
  const auto table = table_of((*list)->root(), {"name", "all"});
  ASSERT_TRUE(table.ok()) << table.error().text();
  const std::vector<std::vector<std::string>> wanted{{"a?", "[\"b?\",\"\\u001b\"]"}, {"-", "-"}};
  EXPECT_EQ(table->rows, wanted);
}

}  // namespace
}  // namespace attestry::app
