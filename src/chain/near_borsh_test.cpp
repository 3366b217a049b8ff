#include "chain/near_borsh.h"

#include <gtest/gtest.h>

#include "base/encoding.h"

namespace attestry::chain::near {
namespace {

using base::Bytes;
using base::Code;

TEST(BorshTest, KnownEncodings) {  // borsh.io, "Specification"
  BorshWriter out;
  out.u8(1)
      .u32(0x01020304)
      .u64(0x0102030405060708)
      .u128({.high = 1, .low = 2})
      .string("ab")
      .bytes(Bytes{9})
      .option(true);
  EXPECT_EQ(base::hex(std::move(out).take()),
            "01"
            "04030201"
            "0807060504030201"
            "02000000000000000100000000000000"
            "020000006162"
            "0100000009"
            "01");
}

TEST(BorshTest, WhatIsWrittenIsRead) {
  BorshWriter out;
  out.u128(*U128::parse("340282366920938463463374607431768211455")).string("grüße").option(false).u8(2).raw(Bytes{7});
  const Bytes bytes = std::move(out).take();
  BorshReader in{bytes};
  EXPECT_EQ(in.u128("n")->text(), "340282366920938463463374607431768211455");
  EXPECT_EQ(*in.string("s", 10), "grüße");
  EXPECT_FALSE(*in.option("o"));
  EXPECT_EQ(*in.variant("v", 3), 2);
  EXPECT_EQ(in.remaining(), 1u);
  EXPECT_FALSE(in.finish("all").ok());
  EXPECT_TRUE(in.raw(1, "r").ok());
  EXPECT_TRUE(in.finish("all").ok());
}

TEST(BorshTest, WhatHasNoOneSpellingIsRefused) {
  const auto refused = [](std::string_view hex, const auto& read) {
    const Bytes bytes = *base::hex_decode(hex);
    BorshReader in{bytes};
    const auto result = read(in);
    return !result.ok() && result.error().code == Code::malformed;
  };
  EXPECT_TRUE(refused("02", [](BorshReader& in) { return in.option("o"); }));
  EXPECT_TRUE(refused("03", [](BorshReader& in) { return in.variant("v", 3); }));
  EXPECT_TRUE(refused("0300000061", [](BorshReader& in) { return in.string("s", 10); })) << "too short";
  EXPECT_TRUE(refused("0200000061ff", [](BorshReader& in) { return in.string("s", 10); })) << "not UTF-8";
  EXPECT_TRUE(refused("020000006161", [](BorshReader& in) { return in.string("s", 1); })) << "above the limit";
  EXPECT_TRUE(refused("ffffffff", [](BorshReader& in) { return in.bytes("b", 0xffffffff); }));
  EXPECT_TRUE(refused("05000000", [](BorshReader& in) { return in.length("n", 4); }));
  EXPECT_TRUE(refused("010203", [](BorshReader& in) { return in.u128("n"); }));
}

}  // namespace
}  // namespace attestry::chain::near
