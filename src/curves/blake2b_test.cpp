#include "curves/blake2b.h"

#include <gtest/gtest.h>

#include "base/encoding.h"

namespace attestry::curves {
namespace {

using base::as_bytes;

crypto::Secret key(std::size_t size, std::uint8_t byte) { return crypto::Secret::copy_of(base::Bytes(size, byte)); }

TEST(Blake2b, IsOverThePartsInARow) {
  const auto whole = blake2b_192({as_bytes("hello there")}).value();
  EXPECT_EQ(blake2b_192({as_bytes("hello "), {}, as_bytes("there")}).value(), whole);
  EXPECT_NE(blake2b_192({as_bytes("there"), as_bytes("hello ")}).value(), whole);
}

// Python's hashlib.blake2b(digest_size=24) of the empty string, and (key=46 x 32, digest_size=32) of "mytag".
TEST(Blake2b, KnownAnswers) {
  EXPECT_EQ(base::hex(blake2b_192({}).value()), "ab3b5331a7135ed50d0f182d026e60abdb3646fd51bcf8a3");
  EXPECT_EQ(base::hex(blake2b_256_keyed(key(32, 0x46), as_bytes("mytag")).value().reveal()),
            "60996e61e34c73cdcbe63f10d9fbbe0cb7277c8e090dd3a174358a8ea850bd86");
}

TEST(Blake2b, KeysOfTheRangeOfTheRfc) {
  for (const std::size_t size : {1u, 16u, 32u, 64u}) {
    EXPECT_TRUE(blake2b_256_keyed(key(size, 7), as_bytes("x")).ok()) << size;
  }
  for (const std::size_t size : {0u, 65u}) {
    const auto refused = blake2b_256_keyed(key(size, 7), as_bytes("x"));
    ASSERT_FALSE(refused.ok()) << size;
    EXPECT_EQ(refused.error().code, base::Code::malformed);
    EXPECT_EQ(refused.error().expected, "1 to 64 bytes");
  }
}

TEST(Blake2b, KeyAndDataAreNotOneString) {
  const auto one = blake2b_256_keyed(key(2, 'a'), as_bytes("b")).value();
  const auto other = blake2b_256_keyed(key(1, 'a'), as_bytes("ab")).value();
  EXPECT_FALSE(crypto::equal_constant_time(one.reveal(), other.reveal()));
}

}  // namespace
}  // namespace attestry::curves
