#include "base/json_writer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "base/json.h"

namespace attestry::base {
namespace {

JsonOut sample() {
  return JsonOutObject{
      {"b", JsonOutArray{1, "two", nullptr}}, {"a", JsonOutObject{{"t", true}}}, {"e", JsonOutArray{}}};
}

TEST(JsonWriter, WritesCompactInInsertionOrder) {
  EXPECT_EQ(sample().compact(), R"({"b":[1,"two",null],"a":{"t":true},"e":[]})");
  EXPECT_EQ(JsonOut{}.compact(), "null");
  EXPECT_EQ(JsonOut{JsonOutObject{}}.compact(), "{}");
}

TEST(JsonWriter, WritesPretty) {
  EXPECT_EQ(sample().pretty(),
            "{\n  \"b\": [\n    1,\n    \"two\",\n    null\n  ],\n  \"a\": {\n    \"t\": true\n  },\n  \"e\": []\n}");
}

TEST(JsonWriter, EscapesStrings) {
  EXPECT_EQ(JsonOut{"\"\\/\b\f\n\r\t\x01\x1f\x7fé€😀"}.compact(), "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\x7fé€😀\"");
  EXPECT_EQ(JsonOut{std::string(1, '\0')}.compact(), "\"\\u0000\"");
}

TEST(JsonWriter, InvalidUtf8BecomesTheReplacementCharacter) {
  EXPECT_EQ(JsonOut{"a\xff\xc3(\xed\xa0\x80z"}.compact(), "\"a\uFFFD\uFFFD(\uFFFD\uFFFD\uFFFDz\"");
  EXPECT_EQ(JsonOut{"\xc3"}.compact(), "\"\uFFFD\"");
  EXPECT_EQ(JsonOut{"\xef\xbf\xbf"}.compact(), "\"\uFFFD\"");
}

TEST(JsonWriter, WritesIntegersExactly) {
  EXPECT_EQ(JsonOut{std::numeric_limits<std::int64_t>::min()}.compact(), "-9223372036854775808");
  EXPECT_EQ(JsonOut{std::numeric_limits<std::uint64_t>::max()}.compact(), "18446744073709551615");
  EXPECT_EQ(JsonOut{std::uint64_t{7}}.compact(), "7");
  EXPECT_EQ(JsonOut{4'000'000'000u}.compact(), "4000000000");
}

// The samples of RFC 8785 appendix B that are numbers, and the edges of its forms.
TEST(JsonWriter, WritesDoublesAsEcmaScriptDoes) {
  const std::pair<double, const char*> samples[] = {{0.0, "0"},
                                                    {-0.0, "0"},
                                                    {5e-324, "5e-324"},
                                                    {-5e-324, "-5e-324"},
                                                    {1.7976931348623157e308, "1.7976931348623157e+308"},
                                                    {9007199254740992.0, "9007199254740992"},
                                                    {295147905179352830000.0, "295147905179352830000"},
                                                    {9.999999999999997e22, "9.999999999999997e+22"},
                                                    {1e23, "1e+23"},
                                                    {999999999999999700000.0, "999999999999999700000"},
                                                    {1e21, "1e+21"},
                                                    {9.999999999999997e-7, "9.999999999999997e-7"},
                                                    {0.000001, "0.000001"},
                                                    {333333333.3333332, "333333333.3333332"},
                                                    {-0.0000033333333333333333, "-0.0000033333333333333333"},
                                                    {1424953923781206.2, "1424953923781206.2"},
                                                    {4.5, "4.5"},
                                                    {0.002, "0.002"},
                                                    {1e30, "1e+30"},
                                                    {1e-27, "1e-27"}};
  for (const auto& [value, text] : samples) EXPECT_EQ(JsonOut{value}.canonical(), text);
  EXPECT_EQ(JsonOut{std::nan("")}.compact(), "null");
  EXPECT_EQ(JsonOut{std::numeric_limits<double>::infinity()}.compact(), "null");
}

// RFC 8785 section 3.2.3: by UTF-16 code units, which puts U+1F600 before U+FB33.
TEST(JsonWriter, CanonicalSortsByUtf16CodeUnits) {
  const JsonOut out = JsonOutObject{{"\u20ac", "Euro Sign"},
                                    {"\r", "Carriage Return"},
                                    {"\ufb33", "Hebrew Letter Dalet With Dagesh"},
                                    {"1", "One"},
                                    {"\U0001f600", "Emoji"},
                                    {"\u0080", "Control"},
                                    {"\u00f6", "O Umlaut"},
                                    {"", "Empty"},
                                    {"11", "Prefix"}};
  EXPECT_EQ(out.canonical(),
            "{\"\":\"Empty\",\"\\r\":\"Carriage Return\",\"1\":\"One\",\"11\":\"Prefix\",\"\u0080\":\"Control\","
            "\"\u00f6\":\"O Umlaut\",\"\u20ac\":\"Euro Sign\",\"\U0001f600\":\"Emoji\","
            "\"\ufb33\":\"Hebrew Letter Dalet With Dagesh\"}");
}

TEST(JsonWriter, CanonicalSortsEveryLevelAndRawText) {
  const JsonOut out = JsonOutObject{{"z", JsonOutArray{JsonOutObject{{"b", 1}, {"a", 2}}}},
                                    {"y", JsonOut::Raw{R"({ "b" : 1.50, "a" : [ "\u0041\/" , 1E3, -0 ] })"}}};
  EXPECT_EQ(out.canonical(), R"({"y":{"a":["A/",1000,0],"b":1.5},"z":[{"a":2,"b":1}]})");
  EXPECT_EQ(out.compact(), R"({"z":[{"b":1,"a":2}],"y":{ "b" : 1.50, "a" : [ "\u0041\/" , 1E3, -0 ] }})");
}

class RandomJson {
 public:
  explicit RandomJson(std::uint64_t seed) : random_(seed) {}

  JsonOut value(int depth) {
    switch (random_() % (depth > 0 ? 8 : 6)) {
      case 0:
        return nullptr;
      case 1:
        return random_() % 2 == 0;
      case 2:
        return static_cast<std::int64_t>(random_() >> 11) - (std::int64_t{1} << 52);
      case 3:
        return std::ldexp(static_cast<double>(random_() >> 11), static_cast<int>(random_() % 200) - 100);
      case 4:
      case 5:
        return string();
      case 6: {
        JsonOutArray array;
        for (auto n = random_() % 5; n > 0; --n) array.push_back(value(depth - 1));
        return array;
      }
      default: {
        JsonOutObject object;
        for (auto n = random_() % 20; n > 0; --n) object.emplace_back(std::to_string(n) + string(), value(depth - 1));
        return object;
      }
    }
  }

 private:
  std::string string() {
    constexpr const char* kPieces[] = {"a", "\"", "\\", "\n", "é", "€", "😀", "\x01", "long plain text", "\x7f", " "};
    std::string out;
    for (auto n = random_() % 6; n > 0; --n) out += kPieces[random_() % std::size(kPieces)];
    return out;
  }
  std::mt19937_64 random_;
};

TEST(JsonWriter, EveryValueReadsBackTheSame) {
  RandomJson random{3};
  for (int i = 0; i < 500; ++i) {
    const JsonOut out = random.value(4);
    const std::string canonical = out.canonical();
    for (const std::string& text : {out.compact(), out.pretty(), canonical}) {
      const auto read = JsonDocument::parse(text);
      ASSERT_TRUE(read.ok()) << text << read.error().text();
      EXPECT_EQ(JsonOut{JsonOut::Raw{text}}.canonical(), canonical);
    }
  }
}

}  // namespace
}  // namespace attestry::base
