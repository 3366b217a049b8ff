#include "base/cbor.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/encoding.h"

namespace attestry::base {
namespace {

Bytes unhex(std::string_view hex) { return hex_decode(hex).value(); }

std::string problem(std::string_view hex, const CborLimits& limits = {}) {
  const Bytes bytes = unhex(hex);
  const auto document = CborDocument::parse(bytes, limits);
  return document.ok() ? "accepted" : document.error().what;
}

TEST(Cbor, ReadsEveryKind) {
  const Bytes bytes = CborWriter{}
                          .map(7)
                          .text("u")
                          .unsigned_integer(1'000'000'000'000)
                          .text("n")
                          .integer(-35)
                          .text("b")
                          .bytes(unhex("0102"))
                          .text("a")
                          .array(2)
                          .boolean(true)
                          .null()
                          .text("m")
                          .map(1)
                          .integer(-1)
                          .text("minus one")
                          .text("t")
                          .tag(18)
                          .text("\xc3\xa9")
                          .text("e")
                          .array(0)
                          .encoded();
  const auto document = CborDocument::parse(bytes);
  ASSERT_TRUE(document.ok()) << document.error().text();
  const CborValue root = document->root();
  EXPECT_EQ(root.kind(), CborKind::map);
  EXPECT_EQ(root.size(), 7u);
  EXPECT_EQ(root.find("u")->unsigned_integer("u").value(), 1'000'000'000'000u);
  EXPECT_EQ(root.find("n")->integer("n").value(), -35);
  EXPECT_TRUE(equal(root.find("b")->bytes("b").value(), unhex("0102")));
  EXPECT_EQ(root.find("a")->size(), 2u);
  EXPECT_EQ(root.find("a")->first()->kind(), CborKind::boolean);
  EXPECT_TRUE(root.find("a")->first()->next()->is_null());
  EXPECT_FALSE(root.find("a")->first()->next()->next().has_value());
  EXPECT_EQ(root.find("m")->find(-1)->text("m").value(), "minus one");
  EXPECT_EQ(root.find("t")->tag_number(), 18u);
  EXPECT_EQ(root.find("t")->first()->text("t").value(), "\xc3\xa9");
  EXPECT_FALSE(root.find("e")->first().has_value());
  EXPECT_FALSE(root.find("x").has_value());
  EXPECT_FALSE(root.find("a")->find("x").has_value());
  EXPECT_TRUE(equal(root.find("n")->source(), unhex("3822")));
  EXPECT_EQ(root.source().size(), bytes.size());
}

TEST(Cbor, AWrongKindIsAnErrorThatNamesWhatAndBoth) {
  const Bytes bytes = unhex("6161");
  const auto document = CborDocument::parse(bytes);
  const auto wrong = document->root().bytes("nonce");
  ASSERT_FALSE(wrong.ok());
  EXPECT_EQ(wrong.error().what, "nonce");
  EXPECT_EQ(wrong.error().expected, "byte string");
  EXPECT_EQ(wrong.error().found, "text");
}

TEST(Cbor, IntegersAreBounded) {
  EXPECT_EQ(CborDocument::parse(unhex("1b7fffffffffffffff"))->root().kind(), CborKind::unsigned_integer);
  const Bytes least = unhex("3b7fffffffffffffff");
  const auto document = CborDocument::parse(least);
  EXPECT_EQ(document->root().integer("x").value(), std::numeric_limits<std::int64_t>::min());
  for (const char* beyond : {"1b8000000000000000", "3b8000000000000000"}) {
    const Bytes bytes = unhex(beyond);
    const auto large = CborDocument::parse(bytes);
    EXPECT_FALSE(large->root().integer("x").ok()) << beyond;
  }
}

TEST(Cbor, TakesExactlyOneItem) {
  EXPECT_NE(problem(""), "accepted");
  EXPECT_NE(problem("0000"), "accepted");
  EXPECT_NE(problem("8100ff"), "accepted");
  EXPECT_EQ(problem("8100"), "accepted");
  for (const char* cut : {"18", "19ff", "1a000000", "41", "81"}) EXPECT_NE(problem(cut), "accepted") << cut;
  EXPECT_NE(problem("8200"), "accepted");
  EXPECT_NE(problem("a100"), "accepted");
  EXPECT_NE(problem("c0"), "accepted");
}

TEST(Cbor, DuplicateKeysAreRefusedHoweverTheyAreEncoded) {
  EXPECT_NE(problem("a2616100616101"), "accepted");    // {"a": 0, "a": 1}
  EXPECT_NE(problem("a200001800f6"), "accepted");      // {0: 0, 0 in two bytes: null}
  EXPECT_NE(problem("a3000001000101"), "accepted");    // not neighbours only
  EXPECT_NE(problem("a2780161006161f6"), "accepted");  // length of the text in two bytes
  EXPECT_EQ(problem("a3000020004100f6"), "accepted");  // 0, -1, h'00'
  EXPECT_EQ(problem("a2416100616101"), "accepted");    // h'61' and "a"
  EXPECT_NE(problem("81a2000000f6"), "accepted");      // within
  EXPECT_NE(problem("bf616100616101ff", {.indefinite = true}), "accepted");
}

TEST(Cbor, KeysAreIntegersOrStrings) {
  for (const char* bad : {"a1f600", "a18000", "a1a000", "a1f500", "a1c00000", "a1f9000000"}) {
    EXPECT_NE(problem(bad), "accepted") << bad;
  }
}

TEST(Cbor, IndefiniteLengthsOnlyWhereAllowedAndNeverForStrings) {
  const CborLimits loose{.indefinite = true};
  EXPECT_NE(problem("bf616100ff"), "accepted");
  EXPECT_EQ(problem("bf616100ff", loose), "accepted");
  EXPECT_EQ(problem("9f009f01ffff", loose), "accepted");
  EXPECT_EQ(problem("bfff", loose), "accepted");
  EXPECT_NE(problem("bf6161ff", loose), "accepted");  // a key without a value
  EXPECT_NE(problem("9f00", loose), "accepted");      // without its end
  EXPECT_NE(problem("8200ff", loose), "accepted");    // end inside a definite one
  EXPECT_NE(problem("ff", loose), "accepted");
  EXPECT_NE(problem("5f4100ff", loose), "accepted");  // chunks
  EXPECT_NE(problem("7f6161ff", loose), "accepted");
  EXPECT_NE(problem("df", loose), "accepted");
  EXPECT_NE(problem("1f", loose), "accepted");
  const Bytes bytes = unhex("bf6161008100ff");
  EXPECT_FALSE(CborDocument::parse(bytes, loose).ok());
}

TEST(Cbor, ReservedEncodingsAndWrongTextAreRefused) {
  for (const char* bad : {"1c", "1d", "1e", "5c", "dc", "fc", "f800", "f820", "e0", "f3", "62c328", "61ff"}) {
    EXPECT_NE(problem(bad), "accepted") << bad;
  }
  for (const char* good : {"f4", "f5", "f6", "f7", "f93c00", "fa3f800000", "fb3ff0000000000000"}) {
    EXPECT_EQ(problem(good), "accepted") << good;
  }
}

TEST(Cbor, LongerLengthsThanNeededSayTheSame) {
  const Bytes bytes = unhex("9b00000000000000015900020102");
  const auto document = CborDocument::parse(bytes);
  ASSERT_TRUE(document.ok());
  EXPECT_TRUE(equal(document->root().first()->bytes("x").value(), unhex("0102")));
}

TEST(Cbor, ClaimedCountsAndLengthsAreComparedWithTheBytesThatAreThere) {
  EXPECT_NE(problem("9affffffff00"), "accepted");
  EXPECT_NE(problem("9bffffffffffffffff00"), "accepted");
  EXPECT_NE(problem("bb8000000000000001000000"), "accepted");  // twice this count is 2
  EXPECT_NE(problem("5bffffffffffffffff00"), "accepted");
  EXPECT_NE(problem("7affffffff00"), "accepted");
}

TEST(Cbor, DepthItemsAndBytesAreBounded) {
  const Bytes deep(5000, 0x81);
  EXPECT_EQ(CborDocument::parse(deep).error().code, Code::too_large);
  Bytes tags(5000, 0xc1);
  EXPECT_EQ(CborDocument::parse(tags).error().code, Code::too_large);
  EXPECT_EQ(problem("818100", {.max_depth = 2}), "accepted");
  EXPECT_NE(problem("81818100", {.max_depth = 2}), "accepted");
  EXPECT_EQ(problem("820000", {.max_items = 3}), "accepted");
  EXPECT_NE(problem("83000000", {.max_items = 3}), "accepted");
  EXPECT_EQ(problem("420000", {.max_bytes = 3}), "accepted");
  EXPECT_NE(problem("43000000", {.max_bytes = 3}), "accepted");
}

TEST(Cbor, WriterUsesTheShortestHeads) {
  const auto text = [](const CborWriter& w) { return hex(w.encoded()); };
  EXPECT_EQ(text(CborWriter{}.unsigned_integer(23)), "17");
  EXPECT_EQ(text(CborWriter{}.unsigned_integer(24)), "1818");
  EXPECT_EQ(text(CborWriter{}.unsigned_integer(256)), "190100");
  EXPECT_EQ(text(CborWriter{}.unsigned_integer(65536)), "1a00010000");
  EXPECT_EQ(text(CborWriter{}.unsigned_integer(std::uint64_t{1} << 32)), "1b0000000100000000");
  EXPECT_EQ(text(CborWriter{}.integer(-35)), "3822");
  EXPECT_EQ(text(CborWriter{}.begin_map().text("a").begin_array().end().end()), "bf61619fffff");
}

}  // namespace
}  // namespace attestry::base
