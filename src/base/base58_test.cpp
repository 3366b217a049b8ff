#include "base/base58.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/encoding.h"

namespace attestry::base {
namespace {

using ::testing::HasSubstr;

const std::vector<std::pair<std::string, std::string>> kKnown{
    {"", ""},
    {"00", "1"},
    {"000000", "111"},
    {"68656c6c6f20776f726c64", "StV1DL6CwTryKyV"},
    {"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
     "JEKNVnkbo3jma5nREBBJCDoXFVeKkD56V3xKrvRmWxFG"},
    {"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
     "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f",
     "1GMkH3brNXiNNs1tiFZHu4yZSRrzJwxi5wB9bHFtMinfCXNnR1adh8Vo8NTheK4evneedH4qmvjeqcBBNAefgS"},
};

TEST(Base58Test, KnownTexts) {
  for (const auto& [hex, text] : kKnown) {
    const Bytes bytes = *base::hex_decode(hex);
    EXPECT_EQ(base58(bytes), text);
    EXPECT_EQ(*base58_decode(text, 64), bytes) << text;
    Bytes exact(bytes.size());
    EXPECT_TRUE(base58_decode_into(text, exact).ok()) << text;
    EXPECT_EQ(exact, bytes);
  }
}

TEST(Base58Test, EverySizeComesBack) {
  for (std::size_t size = 0; size < 100; ++size) {
    for (const unsigned byte : {0x00u, 0x01u, 0x7fu, 0xffu}) {
      Bytes bytes(size, static_cast<std::uint8_t>(byte));
      if (size > 3) bytes[0] = bytes[1] = 0;
      EXPECT_EQ(*base58_decode(base58(bytes), size), bytes);
    }
  }
}

TEST(Base58Test, WhatIsWrittenInPlaceIsTheSameText) {
  for (std::size_t size = 0; size <= 70; ++size) {
    for (const std::uint8_t fill : {std::uint8_t{0}, std::uint8_t{1}, std::uint8_t{0xff}}) {
      const Bytes bytes(size, fill);
      std::string out(base58_room(size) + 3, '#');
      const auto used = base58_into(bytes, out);
      ASSERT_TRUE(used.ok());
      EXPECT_EQ(out.substr(0, *used), base58(bytes));
      EXPECT_EQ(out.substr(out.size() - 3), "###");
      EXPECT_EQ(*base58_decode(std::string_view{out}.substr(0, *used), size), bytes);
      std::string short_one(base58_room(size) - 1, '#');
      EXPECT_EQ(base58_into(bytes, short_one).error().code, Code::usage);
    }
  }
}

TEST(Base58Test, OtherCharactersAreRefused) {
  for (const auto* text : {"0", "O", "I", "l", "a b", " a", "a\n", "a-", "\xc3\xa9"}) {
    EXPECT_EQ(base58_decode(text, 64).error().code, Code::malformed) << text;
    EXPECT_FALSE(is_base58(text)) << text;
  }
  EXPECT_TRUE(is_base58("StV1DL6CwTryKyV"));
}

TEST(Base58Test, TheSizeIsALimit) {
  EXPECT_TRUE(base58_decode("JEKNVnkbo3jma5nREBBJCDoXFVeKkD56V3xKrvRmWxFG", 32).ok());
  EXPECT_THAT(base58_decode("JEKNVnkbo3jma5nREBBJCDoXFVeKkD56V3xKrvRmWxFG", 31).error().text(), HasSubstr("too long"));
  EXPECT_FALSE(base58_decode("111", 2).ok());
  EXPECT_FALSE(base58_decode(std::string(100'000, 'z'), 32).ok());
  // The largest number of 32 bytes, and one more: as many digits.
  EXPECT_FALSE(base58_decode("JEKNVnkbo3jma5nREBBJCDoXFVeKkD56V3xKrvRmWxFH", 32).ok());
}

TEST(Base58Test, AnExactSizeIsNeitherLessNorMore) {
  Bytes out(3);
  EXPECT_TRUE(base58_decode_into("111", out).ok());
  EXPECT_EQ(base58_decode_into("11", out).error().found, "2");
  EXPECT_EQ(base58_decode_into("1111", out).error().found, "more");
  EXPECT_EQ(base58_decode_into("zzzzzzzz", out).error().found, "more");
  EXPECT_THAT(base58_decode_into("1O1", out).error().what, HasSubstr("outside of its alphabet"));
}

}  // namespace
}  // namespace attestry::base
