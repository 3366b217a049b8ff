#include "base/json.h"

#include <gtest/gtest.h>

#include <limits>

namespace attestry::base {
namespace {

std::shared_ptr<const JsonDocument> parsed(std::string text) {
  auto document = JsonDocument::parse(std::move(text));
  EXPECT_TRUE(document.ok()) << document.error().text();
  return document.ok() ? *document : JsonDocument::parse("null").value();
}

bool accepts(std::string text, const JsonLimits& limits = {}) {
  return JsonDocument::parse(std::move(text), limits).ok();
}

std::string problem(std::string text, const JsonLimits& limits = {}) {
  const auto document = JsonDocument::parse(std::move(text), limits);
  return document.ok() ? "accepted" : document.error().what;
}

TEST(Json, ReadsEveryKind) {
  const auto doc = parsed(R"( {"n":null,"t":true,"f":false,"i":-12,"d":1.5e2,"s":"x","a":[1,2,3],"o":{}} )");
  const JsonValue root = doc->root();
  EXPECT_EQ(root.kind(), JsonKind::object);
  EXPECT_EQ(root.size(), 8u);
  EXPECT_TRUE(root.get("n")->is_null());
  EXPECT_TRUE(root.get("t")->boolean("t").value());
  EXPECT_FALSE(root.get("f")->boolean("f").value());
  EXPECT_EQ(root.get("i")->integer("i", -100, 100).value(), -12);
  EXPECT_EQ(root.get("d")->number("d").value(), 150.0);
  EXPECT_EQ(root.get("s")->string("s").value(), "x");
  EXPECT_EQ(root.get("a")->size(), 3u);
  EXPECT_TRUE(root.get("o")->is_object());
  EXPECT_EQ(root.get("o")->size(), 0u);
  EXPECT_FALSE(root.get("o")->first().has_value());
}

TEST(Json, GivesTheExactBytesOfAMember) {
  const auto doc = parsed("{ \"tcbInfo\" : {\"a\": [1 , 2] } , \"signature\":\"00\" }");
  EXPECT_EQ(doc->root().get("tcbInfo")->source(), "{\"a\": [1 , 2] }");
  EXPECT_EQ(doc->root().get("signature")->source(), "\"00\"");
  EXPECT_EQ(doc->root().get("tcbInfo")->get("a")->first()->next()->source(), "2");
  EXPECT_EQ(parsed(" [ ] ")->root().source(), "[ ]");
}

TEST(Json, WalksInSourceOrder) {
  const auto doc = parsed(R"({"b":[[1],[2,[3]]],"a":{"x":{}},"c":0})");
  std::string keys;
  for (auto v = doc->root().first(); v; v = v->next()) keys += v->key();
  EXPECT_EQ(keys, "bac");
  std::string sources;
  for (auto v = doc->root().get("b")->first(); v; v = v->next()) sources += std::string{v->source()} + ";";
  EXPECT_EQ(sources, "[1];[2,[3]];");
  EXPECT_EQ(doc->root().get("b")->first()->key(), "");
  EXPECT_FALSE(doc->root().next().has_value());
}

TEST(Json, UnescapesStringsAndKeys) {
  const auto doc = parsed(R"({"k\u00e9\ud83d\ude00":"\"\\\/\b\f\n\r\t\u0000\u007F\u20ac","plain é":"é"})");
  const auto first = doc->root().first();
  EXPECT_EQ(first->key(), "ké😀");
  EXPECT_EQ(first->string("x").value(), std::string("\"\\/\b\f\n\r\t\0\x7f€", 13));
  EXPECT_FALSE(first->plain_string().has_value());
  EXPECT_TRUE(doc->root().find("ké😀").has_value());
  EXPECT_EQ(doc->root().find("plain é")->plain_string().value(), "é");
  EXPECT_FALSE(doc->root().find("k").has_value());
}

TEST(Json, AcceptsWhatTheRfcAllows) {
  for (const char* text : {"0",
                           "-0",
                           "0.5",
                           "-1e5",
                           "1E+2",
                           "1e-2",
                           "\"\"",
                           "\" \"",
                           "[]",
                           "{}",
                           "[[[]]]",
                           "\t\r\n null \n",
                           "{\"\":1}",
                           "\"\x7f\"",
                           "\"\xf4\x8f\xbf\xbd\"",
                           "\"\xee\x80\x80\"",
                           "1e308",
                           "-1e-400",
                           "0e999999999999",
                           "0.0e-1",
                           "\"\\u0000\"",
                           "\"\\uD834\\uDD1E\"",
                           "[1,\n2]"}) {
    EXPECT_TRUE(accepts(text)) << text << ": " << problem(text);
  }
}

TEST(Json, RefusesWhatTheRfcForbids) {
  for (const char* text : {"",
                           " ",
                           "nul",
                           "nulll",
                           "True",
                           "NaN",
                           "Infinity",
                           "-Infinity",
                           "+1",
                           "01",
                           "-01",
                           "00",
                           "-",
                           "1.",
                           ".5",
                           "1.e1",
                           "1e",
                           "1e+",
                           "0x1",
                           "1_0",
                           "--1",
                           "1 2",
                           "[1,]",
                           "[,1]",
                           "[1 2]",
                           "[1,,2]",
                           "[",
                           "]",
                           "[1",
                           "[1,",
                           "{",
                           "}",
                           "{\"a\"",
                           "{\"a\":",
                           "{\"a\":1",
                           "{\"a\":1,",
                           "{,}",
                           "{\"a\":1,}",
                           "{\"a\" 1}",
                           "{a:1}",
                           "{'a':1}",
                           "{\"a\":1 \"b\":2}",
                           "{1:1}",
                           "{null:1}",
                           "[1}",
                           "{\"a\":1]",
                           "\"",
                           "\"a",
                           "'a'",
                           "\"\\\"",
                           "\"\\x\"",
                           "\"\\u12\"",
                           "\"\\u12g4\"",
                           "\"\\U0041\"",
                           "\"\\",
                           "\"\\u",
                           "// x\n1",
                           "/* */1",
                           "1 // x",
                           "true false",
                           "[] []",
                           "\"a\" x",
                           "[1]\v",
                           "\f[1]",
                           "\xef\xbb\xbf[]",
                           "\xc2\xa0[]",
                           "\"a\nb\"",
                           "\"\t\"",
                           "\"\x01\"",
                           "\"\x1f\""}) {
    EXPECT_FALSE(accepts(text)) << text;
  }
  EXPECT_FALSE(accepts(std::string("\"a\0b\"", 5)));
  EXPECT_FALSE(accepts(std::string("[1]\0", 4)));
  EXPECT_FALSE(accepts(std::string("\0", 1)));
}

TEST(Json, RefusesInvalidUtf8) {
  for (const char* bytes : {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2\x20", "\xe0\x80\x80", "\xe0\x9f\xbf",
                            "\xe2\x82", "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf",
                            "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xf0\x9f\x98"}) {
    EXPECT_EQ(problem("\"" + std::string{bytes} + "\""), "json: line 1, column 2: invalid UTF-8") << bytes;
    EXPECT_FALSE(accepts("{\"" + std::string{bytes} + "\":1}"));
  }
  EXPECT_FALSE(accepts("\"\xf0\x9f"));
  EXPECT_FALSE(accepts("\xc3\xa9"));
}

// RFC 7493 section 2.1.
TEST(Json, RefusesSurrogatesAndNoncharacters) {
  for (const char* text : {R"("\ud800")", R"("\udfff")", R"("\ud800x")", R"("\ud800\n")", R"("\ud800\u0041")",
                           R"("\ud800\ud800")", R"("\udc00\ud800")", R"("\ud83d\ude0")", R"({"\ud800":1})"}) {
    EXPECT_FALSE(accepts(text)) << text;
  }
  for (const char* text :
       {R"("\uffff")", R"("\ufdd0")", R"("\ud83f\udfff")", "\"\xef\xbf\xbf\"", "\"\xf0\x9f\xbf\xbe\""}) {
    EXPECT_FALSE(accepts(text)) << text;
  }
  EXPECT_TRUE(accepts(R"("\ufffd\ufdcf\ufdf0")"));
}

TEST(Json, RefusesNumbersThatAreNotFinite) {
  for (const std::string& text :
       {std::string{"1e309"}, std::string{"-1e309"}, std::string{"1e99999999999999999999"}, std::string(309, '9'),
        "-" + std::string(400, '1'), "1" + std::string(320, '0') + ".5",
        "0.001e" + std::to_string(std::numeric_limits<std::int64_t>::max())}) {
    EXPECT_FALSE(accepts(text)) << text;
  }
  for (const std::string& text :
       {std::string(308, '1'), "0." + std::string(500, '0') + "1", std::string{"1e-99999999999999999999"},
        "0." + std::string(400, '0') + "1e401", std::string(400, '1') + "e-200"}) {
    EXPECT_TRUE(accepts(text)) << text;
  }
  EXPECT_EQ(parsed("1e-400")->root().number("x").value(), 0.0);
}

TEST(Json, RefusesDuplicateKeys) {
  for (const char* text :
       {R"({"a":1,"a":1})", R"({"a":1,"b":2,"a":3})", R"({"a":1,"\u0061":2})", R"({"\u0061":1,"a":2})",
        R"({"":1,"":2})", R"({"\u00e9":1,"é":2})", R"({"a/":1,"a\/":2})", R"([{"x":{"a":1,"a":2}}])"}) {
    EXPECT_NE(problem(text).find("duplicate member"), std::string::npos) << text;
  }
  EXPECT_TRUE(accepts(R"({"a":{"a":{"a":1}},"A":[{"a":1},{"a":1}]})"));
  EXPECT_TRUE(accepts(R"({"a":1,"\u0062":2,"aa":3})"));
  EXPECT_EQ(problem("{\"a\":1,\n \"a\":2}"), "json: line 2, column 3: duplicate member \"a\"");
}

// The few-keys and the many-keys check must agree, whichever pair is equal.
TEST(Json, FindsADuplicateAmongAnyNumberOfKeys) {
  for (const std::size_t count : {2u, 5u, 12u, 13u, 14u, 100u}) {
    for (std::size_t first = 0; first + 1 < count; first += 1 + count / 7) {
      std::string good = "{", bad = "{";
      for (std::size_t i = 0; i < count; ++i) {
        const std::string separator = i == 0 ? "" : ",";
        good += separator + "\"key" + std::to_string(i) + "\":{\"x\":" + std::to_string(i) + "}";
        bad +=
            separator + "\"key" + std::to_string(i + 1 == count ? first : i) + "\":{\"x\":" + std::to_string(i) + "}";
      }
      EXPECT_TRUE(accepts(good + "}"));
      EXPECT_NE(problem(bad + "}").find("duplicate member \"key" + std::to_string(first)), std::string::npos) << count;
    }
  }
}

// Quadratic work on 50,000 keys would be over a thousand million comparisons.
TEST(Json, ManyKeysWithALongCommonBeginningAreNoBurden) {
  std::string text = "{";
  for (int i = 0; i < 50'000; ++i)
    text += (i == 0 ? "\"" : ",\"") + std::string("common-beginning-") + std::to_string(i) + "\":0";
  const JsonLimits limits{.max_bytes = 1u << 21};
  EXPECT_TRUE(accepts(text + "}", limits));
  EXPECT_FALSE(accepts(text + ",\"common-beginning-77\":0}", limits));
}

// Keys that differ only in the middle are alike to the table of keys, which then has to give way to sorting.
TEST(Json, ManyKeysThatWereChosenToMeetAreFoundAndRefused) {
  const auto key = [](int i) {
    std::string number = std::to_string(i);
    return std::string(6 - number.size(), '0') + number + "-the-same-long-end";
  };
  for (const int count : {13, 20, 40, 20'000}) {
    std::string text = "{";
    for (int i = 0; i < count; ++i)
      text.append(i == 0 ? "\"" : ",\"").append(key(i)).append("\":").append(std::to_string(i));
    const auto document = parsed(text + "}");
    for (const int i : {0, 1, 12, count - 1}) {
      const auto member = document->root().find(key(i));
      ASSERT_TRUE(member) << count;
      EXPECT_EQ(member->source(), std::to_string(i));
    }
    EXPECT_FALSE(document->root().find(key(count)));
    EXPECT_FALSE(document->root().find("another"));
    EXPECT_FALSE(document->root().find(""));
    for (const int i : {0, count - 1}) {
      EXPECT_NE(problem(text + ",\"" + key(i) + "\":0}").find("duplicate member"), std::string::npos) << count;
    }
  }
}

TEST(Json, FindsEachOfManyMembers) {
  std::string text = "{\"\":-1";
  for (int i = 0; i < 300; ++i) text += ",\"" + std::to_string(i * 7) + "\":{\"n\":" + std::to_string(i) + "}";
  for (const bool escaped : {false, true}) {  // with one escaped key among them every look-up goes another way
    const auto document = parsed(text + (escaped ? ",\"\\u0078\":0}" : ",\"x\":0}"));
    const JsonValue root = document->root();
    EXPECT_EQ(root.find("")->source(), "-1");
    EXPECT_EQ(root.find("x")->source(), "0");
    for (int i = 0; i < 300; ++i) {
      const auto member = root.find(std::to_string(i * 7));
      ASSERT_TRUE(member && member->find("n"));
      EXPECT_EQ(member->find("n")->source(), std::to_string(i));
      EXPECT_FALSE(root.find(std::to_string(i * 7 + 1)));
    }
  }
}

TEST(Json, HasLimits) {
  EXPECT_TRUE(accepts(std::string(32, '[') + std::string(32, ']')));
  EXPECT_FALSE(accepts(std::string(33, '[') + std::string(33, ']')));
  EXPECT_NE(problem(std::string(100'000, '[')).find("nested too deeply"), std::string::npos);
  EXPECT_FALSE(accepts(R"({"a":[]})", {.max_depth = 1}));
  EXPECT_TRUE(accepts(R"({"a":[]})", {.max_depth = 2}));
  EXPECT_TRUE(accepts("1", {.max_depth = 0}));
  EXPECT_FALSE(accepts("[]", {.max_depth = 0}));
  EXPECT_TRUE(accepts("[1,2]", {.max_nodes = 3}));
  EXPECT_FALSE(accepts("[1,2]", {.max_nodes = 2}));
  EXPECT_TRUE(accepts("[1]", {.max_bytes = 3}));
  EXPECT_EQ(JsonDocument::parse("[1] ", {.max_bytes = 3}).error().code, Code::too_large);
  EXPECT_EQ(JsonDocument::parse("[1,2]", {.max_nodes = 2}).error().code, Code::too_large);
}

TEST(Json, NamesThePlaceOfAnError) {
  EXPECT_EQ(problem("{\n  \"a\": tru\n}"), "json: line 2, column 8: no value");
  EXPECT_EQ(problem("[1,\n2\n3]"), "json: line 3, column 1: no comma between values");
  EXPECT_EQ(JsonDocument::parse("[1] x").error().what, "json: line 1, column 5: text after the value");
  EXPECT_EQ(JsonDocument::parse("[1] x").error().code, Code::malformed);
}

// Each string crosses the eight-byte steps of the scanner at another place.
TEST(Json, FindsTheEndOfAStringAtEveryOffset) {
  for (std::size_t before = 0; before < 20; ++before) {
    for (std::size_t length = 0; length < 40; ++length) {
      const std::string space(before, ' '), body(length, 'x');
      EXPECT_EQ(parsed(space + "[\"" + body + "\",1]")->root().first()->string("x").value(), body);
      EXPECT_EQ(parsed(space + "\"" + body + "\\n\"")->root().string("x").value(), body + "\n");
      EXPECT_EQ(parsed(space + "\"" + body + "é\"")->root().string("x").value(), body + "é");
      EXPECT_FALSE(accepts(space + "\"" + body + "\x1f yyyyyyyyyyyyyyyy\""));
      EXPECT_FALSE(accepts(space + "\"" + body + "\x80 yyyyyyyyyyyyyyyy\""));
      EXPECT_FALSE(accepts(space + "\"" + body));
    }
  }
}

TEST(Json, IntegersAreExactAndInRange) {
  constexpr auto kMin = std::numeric_limits<std::int64_t>::min(), kMax = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(parsed("9223372036854775807")->root().integer("x", kMin, kMax).value(), kMax);
  EXPECT_EQ(parsed("-9223372036854775808")->root().integer("x", kMin, kMax).value(), kMin);
  EXPECT_EQ(parsed("-0")->root().integer("x", 0, 1).value(), 0);
  for (const char* text : {"9223372036854775808", "1.0", "1e2", "256", "-1"}) {
    EXPECT_FALSE(parsed(text)->root().integer("svn", 0, 255).ok()) << text;
  }
  const auto failed = parsed("256")->root().integer("svn", 0, 255);
  EXPECT_EQ(failed.error().expected, "an integer from 0 to 255");
  EXPECT_EQ(failed.error().found, "256");
}

TEST(Json, WrongKindsNameWhatWasAsked) {
  const auto doc = parsed(R"({"a":1})");
  const JsonValue root = doc->root();
  EXPECT_EQ(root.string("policy").error().what, "policy: wrong kind of JSON value");
  EXPECT_EQ(root.get("a")->string("a").error().expected, "a string");
  EXPECT_EQ(root.get("a")->string("a").error().found, "a number");
  EXPECT_FALSE(root.boolean("x").ok());
  EXPECT_FALSE(root.integer("x", 0, 1).ok());
  EXPECT_FALSE(root.number("x").ok());
  EXPECT_FALSE(root.get("a")->get("b").ok());
  EXPECT_FALSE(root.get("a")->find("b").has_value());
  EXPECT_FALSE(root.get("a")->plain_string().has_value());
  EXPECT_EQ(root.get("b").error().what, "member \"b\" is missing");
}

TEST(Json, OnlyNamesAnUnknownMemberAndTheNearestKnown) {
  const auto doc = parsed(R"({"version":1,"messurements":2})");
  EXPECT_TRUE(doc->root().only({"version", "messurements"}).ok());
  const auto failed = doc->root().only({"version", "measurements"});
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().what, "unknown member \"messurements\"");
  EXPECT_EQ(failed.error().remedy, "Did you mean \"measurements\"?");
  EXPECT_EQ(parsed(R"({"zzzzzz":1})")->root().only({"version"}).error().remedy, "Remove it.");
  EXPECT_FALSE(parsed("[]")->root().only({"version"}).ok());
  EXPECT_TRUE(parsed("{}")->root().only({}).ok());
}

TEST(Json, ValuesStayValidWhenTheHandleMoves) {
  auto doc = parsed(R"({"a":"b"})");
  const JsonValue value = *doc->root().find("a");
  const std::shared_ptr<const JsonDocument> moved = std::move(doc);
  EXPECT_EQ(value.string("a").value(), "b");
  EXPECT_EQ(moved->text(), R"({"a":"b"})");
}

}  // namespace
}  // namespace attestry::base
