#include "base/bytes.h"

#include <gtest/gtest.h>

namespace attestry::base {
namespace {

TEST(Bytes, ViewsTextAndBack) {
  EXPECT_EQ(as_text(as_bytes("abc")), "abc");
  EXPECT_EQ(to_bytes("abc"), (Bytes{'a', 'b', 'c'}));
  EXPECT_TRUE(as_bytes("").empty());
}

TEST(Bytes, EqualComparesLengthAndContent) {
  EXPECT_TRUE(equal(as_bytes("abc"), as_bytes("abc")));
  EXPECT_TRUE(equal({}, {}));
  EXPECT_FALSE(equal(as_bytes("abc"), as_bytes("abd")));
  EXPECT_FALSE(equal(as_bytes("abc"), as_bytes("ab")));
}

TEST(LpWriter, WritesBigEndianIntegersAndLengthPrefixedParts) {
  const Bytes out =
      LpWriter{}.u8(1).u16(0x0203).u32(0x04050607).u64(0x08090a0b0c0d0e0f).lp("ab").raw(as_bytes("c")).bytes();
  EXPECT_EQ(out, (Bytes{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0, 0, 0, 2, 'a', 'b', 'c'}));
}

TEST(LpWriter, SplitsDifferentlyForDifferentParts) {
  EXPECT_NE(LpWriter{}.lp("ab").lp("c").bytes(), LpWriter{}.lp("a").lp("bc").bytes());
  EXPECT_EQ(LpWriter{}.lp("").bytes(), Bytes(4, 0));
}

}  // namespace
}  // namespace attestry::base
