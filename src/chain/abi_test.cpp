#include "chain/abi.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/encoding.h"
#include "chain/registry_abi.h"

namespace attestry::chain {
namespace {

using base::Bytes;
using base::Code;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string word(std::uint64_t value) { return base::hex(to_word(value)); }
Bytes bytes_of(const std::string& hex) { return base::hex_decode(hex).value_or(Bytes{}); }

TEST(AbiTest, SelectorsAndTopicsAreKeccak) {
  EXPECT_EQ(base::hex(selector("transfer(address,uint256)")), "a9059cbb");
  EXPECT_EQ(base::hex(event_topic("Transfer(address,address,uint256)")),
            "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef");
}

TEST(AbiTest, NumbersAndAddressesStandOnTheRight) {
  EXPECT_EQ(base::hex(to_word(0x1234)), std::string(60, '0') + "1234");
  EXPECT_EQ(base::hex(to_word_signed(-2)), std::string(63, 'f') + "e");
  const Address address{0xaa, 0xbb};
  EXPECT_EQ(*to_address(to_word(address)), address);
  Word long_one = to_word(address);
  long_one[11] = 1;
  EXPECT_FALSE(to_address(long_one).ok());
  EXPECT_EQ(*to_u64(to_word(std::uint64_t{1} << 63)), std::uint64_t{1} << 63);
  EXPECT_FALSE(to_u64(long_one).ok());
}

TEST(AbiTest, DynamicValuesStandAfterTheHeads) {
  AbiWriter w;
  w.u64(7).string("hi").boolean(true).bytes(Bytes(33, 0xee));
  EXPECT_EQ(base::hex(w.encode()), word(7) + word(0x80) + word(1) + word(0xc0) +  //
                                       word(2) + "6869" + std::string(60, '0') +  //
                                       word(33) + std::string(66, 'e') + std::string(62, '0'));
}

TEST(AbiTest, WhatIsWrittenIsRead) {
  AbiWriter inner;
  inner.string("in").u64(5);
  AbiWriter elements;
  elements.string("one").string("").string("three");
  AbiWriter w;
  w.tuple(inner).array(3, elements).address({1, 2, 3}).boolean(false);
  const Bytes encoded = w.encode();
  AbiReader r{encoded};
  auto tuple = r.tuple("t");
  ASSERT_TRUE(tuple.ok());
  EXPECT_EQ(*tuple->string("s"), "in");
  EXPECT_EQ(*tuple->u64("n"), 5u);
  auto array = r.array("a");
  ASSERT_TRUE(array.ok());
  ASSERT_EQ(array->count, 3u);
  EXPECT_EQ(*array->elements.string("0"), "one");
  EXPECT_EQ(*array->elements.string("1"), "");
  EXPECT_EQ(*array->elements.string("2"), "three");
  EXPECT_EQ(*r.address("x"), (Address{1, 2, 3}));
  EXPECT_EQ(*r.boolean("b"), false);
}

TEST(AbiTest, StaticTuplesStandInPlace) {
  AbiWriter inner;
  inner.u64(1).u64(2);
  AbiWriter w;
  w.tuple(inner).u64(3);
  EXPECT_EQ(base::hex(w.encode()), word(1) + word(2) + word(3));
}

TEST(AbiTest, DefectsAreRefused) {
  const auto string_of = [](const std::string& hex) {
    const Bytes data = bytes_of(hex);
    return AbiReader{data}.string("x");
  };
  const std::string text = "6869" + std::string(60, '0');
  EXPECT_EQ(*string_of(word(32) + word(2) + text), "hi");
  EXPECT_FALSE(string_of("").ok());
  EXPECT_FALSE(string_of(word(32)).ok());                                                   // nothing at the offset
  EXPECT_FALSE(string_of(word(33) + word(2) + text + "00").ok());                           // between two words
  EXPECT_FALSE(string_of(word(96) + word(2) + text).ok());                                  // at the end
  EXPECT_FALSE(string_of(word(1u << 30) + word(2) + text).ok());                            // past the end
  EXPECT_FALSE(string_of(std::string(64, 'f') + word(2) + text).ok());                      // no number
  EXPECT_FALSE(string_of(word(32) + word(33) + text).ok());                                 // longer than there is
  EXPECT_FALSE(string_of(word(32) + std::string(64, 'f') + text).ok());                     // much longer
  EXPECT_FALSE(string_of(word(32) + word(2) + "6869" + std::string(58, '0') + "01").ok());  // padding
  EXPECT_FALSE(string_of(word(32) + word(2) + "c080" + std::string(60, '0')).ok());         // not UTF-8
  const Bytes two = bytes_of(word(2));
  EXPECT_FALSE(AbiReader{two}.boolean("b").ok());
}

TEST(AbiTest, PartsOverOneAnotherDoNotGrow) {
  // Many strings that all are the same megabyte: what is read in the end is no more than what was sent.
  std::string hex = word(32) + word(100);
  for (int i = 0; i < 100; ++i) hex += word(100 * 32);
  hex += word(3200) + std::string(6400, '4');
  const Bytes data = bytes_of(hex);
  const auto all = registry::kInstanceDomainNames.decode(data);
  ASSERT_FALSE(all.ok());
  EXPECT_THAT(all.error().found, HasSubstr("over one another"));
}

TEST(AbiTest, CountsThatAreNotThereAreRefused) {
  const Bytes data = bytes_of(word(32) + word(1u << 20));
  EXPECT_FALSE(AbiReader{data}.array("a").ok());
}

TEST(AbiTest, ReasonsOfReverts) {
  EXPECT_EQ(revert_reason({}), "");
  EXPECT_EQ(revert_reason(encode_error_string("Operator not authorized")), "Operator not authorized");
  EXPECT_EQ(revert_reason(bytes_of("4e487b71" + word(0x11))), "panic 0x11");
  EXPECT_EQ(revert_reason(bytes_of("118cdaa7" + word(1))), "OwnableUnauthorizedAccount");
  EXPECT_EQ(revert_reason(bytes_of("e2517d3f" + word(1) + word(2))), "AccessControlUnauthorizedAccount");
  EXPECT_EQ(revert_reason(bytes_of("12345678")), "custom error 0x12345678");
  EXPECT_EQ(revert_reason(bytes_of("08c379a0" + word(64))), "custom error 0x08c379a0");
  EXPECT_EQ(revert_reason(bytes_of("08")), "data 0x08");
}

}  // namespace
}  // namespace attestry::chain
