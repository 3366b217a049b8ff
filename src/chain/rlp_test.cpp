#include "chain/rlp.h"

#include <gtest/gtest.h>

#include "base/encoding.h"

namespace attestry::chain {
namespace {

using base::Bytes;

Bytes bytes_of(std::string_view hex) { return base::hex_decode(hex).value_or(Bytes{}); }

TEST(RlpTest, KnownEncodings) {  // Yellow Paper, appendix B
  EXPECT_EQ(base::hex(rlp_bytes(base::as_bytes("dog"))), "83646f67");
  EXPECT_EQ(base::hex(rlp_bytes({})), "80");
  EXPECT_EQ(base::hex(rlp_bytes(Bytes{0x7f})), "7f");
  EXPECT_EQ(base::hex(rlp_bytes(Bytes{0x80})), "8180");
  EXPECT_EQ(base::hex(rlp_integer(std::uint64_t{0})), "80");
  EXPECT_EQ(base::hex(rlp_integer(std::uint64_t{1024})), "820400");
  EXPECT_EQ(base::hex(rlp_list({})), "c0");
  EXPECT_EQ(base::hex(rlp_list(std::vector<Bytes>{rlp_bytes(base::as_bytes("cat")), rlp_bytes(base::as_bytes("dog"))})),
            "c88363617483646f67");
  EXPECT_EQ(base::hex(rlp_bytes(Bytes(56, 'x'))).substr(0, 6), "b83878");
  EXPECT_EQ(base::hex(rlp_bytes(Bytes(1024, 'x'))).substr(0, 8), "b9040078");
}

TEST(RlpTest, WhatIsWrittenIsRead) {
  const std::vector<Bytes> items{rlp_bytes(Bytes(60, 1)), rlp_list(std::vector<Bytes>{rlp_integer(std::uint64_t{5})}),
                                 rlp_integer(std::uint64_t{1} << 63)};
  const Bytes list = rlp_list(items);
  const auto decoded = rlp_items(*rlp_decode(list));
  ASSERT_TRUE(decoded.ok());
  ASSERT_EQ(decoded->size(), 3u);
  EXPECT_EQ((*decoded)[0].payload.size(), 60u);
  EXPECT_TRUE((*decoded)[1].is_list);
  EXPECT_EQ(*rlp_u64((*decoded)[2], "n"), std::uint64_t{1} << 63);
}

TEST(RlpTest, OnlyOneSpelling) {
  for (const auto* hex : {"", "8100", "817f", "b801aa", "b90001aa", "b8", "b837", "83646f", "c883636174", "80ff",
                          "bfffffffffffffffff", "ffffffffffffffffff", "f800", "c1"}) {
    EXPECT_FALSE(rlp_decode(bytes_of(hex)).ok()) << hex;
  }
  EXPECT_FALSE(rlp_u64(*rlp_decode(bytes_of("8200ff")), "n").ok()) << "leading zero";
  EXPECT_FALSE(rlp_u64(*rlp_decode(bytes_of("89010000000000000000")), "n").ok()) << "too large";
  EXPECT_FALSE(rlp_u64(*rlp_decode(bytes_of("c0")), "n").ok()) << "list";
  EXPECT_FALSE(rlp_items(*rlp_decode(bytes_of("80"))).ok()) << "string";
  EXPECT_FALSE(rlp_items(*rlp_decode(bytes_of("c3010203")), 2).ok()) << "too many";
  EXPECT_FALSE(rlp_fixed(*rlp_decode(bytes_of("83646f67")), 4, "x").ok()) << "size";
}

}  // namespace
}  // namespace attestry::chain
