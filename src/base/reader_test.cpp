#include "base/reader.h"

#include <gtest/gtest.h>

namespace attestry::base {
namespace {

const Bytes kBytes = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};

TEST(Reader, ReadsIntegersOfBothEndians) {
  EXPECT_EQ(Reader{kBytes}.u8("x").value(), 1);
  EXPECT_EQ(Reader{kBytes}.u16le("x").value(), 0x0201);
  EXPECT_EQ(Reader{kBytes}.u32le("x").value(), 0x04030201u);
  EXPECT_EQ(Reader{kBytes}.u64le("x").value(), 0x0807060504030201u);
  EXPECT_EQ(Reader{kBytes}.u16be("x").value(), 0x0102);
  EXPECT_EQ(Reader{kBytes}.u32be("x").value(), 0x01020304u);
  EXPECT_EQ(Reader{kBytes}.u64be("x").value(), 0x0102030405060708u);
}

TEST(Reader, KeepsItsPlace) {
  Reader reader{kBytes};
  EXPECT_EQ(reader.take_array<3>("x").value(), (FixedBytes<3>{1, 2, 3}));
  EXPECT_EQ(reader.offset(), 3u);
  EXPECT_EQ(reader.remaining(), 7u);
  EXPECT_EQ(reader.rest().front(), 4);
  EXPECT_EQ(reader.take(7, "x").value().back(), 10);
  EXPECT_TRUE(reader.finish("x").ok());
}

TEST(Reader, RefusesToReadBeyondTheEndAndStaysThere) {
  Reader reader{ByteView{kBytes}.first(3)};
  const auto failed = reader.u32le("header");
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().code, Code::malformed);
  EXPECT_EQ(failed.error().what, "header: too short");
  EXPECT_EQ(failed.error().expected, "4 bytes at offset 0");
  EXPECT_EQ(failed.error().found, "3 bytes");
  EXPECT_EQ(reader.offset(), 0u);
  EXPECT_FALSE(reader.take(std::size_t(-1), "huge").ok());
  EXPECT_TRUE(reader.take(3, "rest").ok());
  EXPECT_FALSE(reader.u8("end").ok());
  EXPECT_TRUE(reader.take(0, "nothing").ok());
}

TEST(Reader, RefusesTrailingBytes) {
  Reader reader{kBytes};
  ASSERT_TRUE(reader.u8("x").ok());
  const auto failed = reader.finish("quote");
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().what, "quote: trailing bytes");
  EXPECT_EQ(failed.error().found, "9 bytes more");
}

TEST(Reader, ReadsLengthPrefixedPartsUpToALimit) {
  const Bytes bytes = LpWriter{}.lp("abc").lp("").bytes();
  Reader reader{bytes};
  EXPECT_EQ(as_text(reader.lp("first", 3).value()), "abc");
  EXPECT_EQ(reader.lp("second", 0).value().size(), 0u);
  EXPECT_TRUE(reader.finish("x").ok());
  EXPECT_FALSE(Reader{bytes}.lp("first", 2).ok());
  const Bytes lies = LpWriter{}.u32(0xffffffff).u8(1).bytes();
  EXPECT_FALSE(Reader{lies}.lp("lies", 0xffffffff).ok());
  EXPECT_FALSE((Reader{ByteView{bytes}.first(6)}.lp("cut", 100).ok()));
}

}  // namespace
}  // namespace attestry::base
