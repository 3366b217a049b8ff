#include "crypto/internal/p384_order.h"

#include <gtest/gtest.h>

#include "base/encoding.h"
#include "crypto/internal/awslc.h"
#include "crypto/random.h"

namespace attestry::crypto::internal {
namespace {

using Number = bssl::UniquePtr<BIGNUM>;

Number number(const Words384& words) {
  const auto bytes = words_to_bytes(words);
  return Number(BN_bin2bn(bytes.data(), bytes.size(), nullptr));
}

Words384 words(const BIGNUM* value) {
  base::FixedBytes<48> bytes{};
  EXPECT_EQ(BN_bn2bin_padded(bytes.data(), bytes.size(), value), 1);
  return words_from_bytes(bytes);
}

Words384 less_one(Words384 value) {
  for (auto& word : value) {
    if (word-- != 0) break;
  }
  return value;
}

/// Below n: the ends of the range, powers of two and their neighbours, single words, and `random` ones of chance.
std::vector<Words384> numbers(std::size_t random) {
  std::vector<Words384> out{{1}, {2}, {3}, less_one(kP384Order), less_one(less_one(kP384Order))};
  for (std::size_t bit = 1; bit < 384; ++bit) {
    Words384 power{};
    power[bit / 64] = std::uint64_t{1} << (bit % 64);
    out.push_back(power);
    out.push_back(less_one(power));
    out.push_back(add_words(power, {1}));
    // n less a power of two: long runs of ones.
    Number difference(BN_new());
    EXPECT_EQ(BN_sub(difference.get(), number(kP384Order).get(), number(power).get()), 1);
    out.push_back(words(difference.get()));
  }
  SeededRandom source(base::as_bytes("numbers"));
  for (std::size_t i = 0; i < random; ++i) {
    base::FixedBytes<48> bytes{};
    source.fill(bytes);
    out.push_back(order_reduce(words_from_bytes(bytes)));
  }
  return out;
}

TEST(P384Order, IsTheLibrarysOrder) { EXPECT_EQ(words(EC_GROUP_get0_order(EC_group_p384())), kP384Order); }

TEST(P384Order, BytesAndWords) {
  base::FixedBytes<48> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i + 1);
  EXPECT_EQ(words_from_bytes(bytes)[0], 0x292a2b2c2d2e2f30U);
  EXPECT_EQ(words_from_bytes(bytes)[5], 0x0102030405060708U);
  EXPECT_EQ(words_to_bytes(words_from_bytes(bytes)), bytes);
}

TEST(P384Order, ComparesAndReduces) {
  const Words384 largest = {~0ULL, ~0ULL, ~0ULL, ~0ULL, ~0ULL, ~0ULL};
  EXPECT_TRUE(less(less_one(kP384Order), kP384Order));
  EXPECT_FALSE(less(kP384Order, kP384Order));
  EXPECT_TRUE(less(kP384Order, largest));
  EXPECT_TRUE(less({~0ULL}, {0, 1}));
  EXPECT_TRUE(is_zero(order_reduce(kP384Order)));
  EXPECT_EQ(order_reduce(less_one(kP384Order)), less_one(kP384Order));
  EXPECT_EQ(add_words(order_reduce(largest), kP384Order), largest);
}

TEST(P384Order, MultipliesAsTheLibraryDoes) {
  const bssl::UniquePtr<BN_CTX> context(BN_CTX_new());
  const auto all = numbers(200);
  Words384 other = all.back();
  for (const Words384& a : all) {
    Number product(BN_new());
    ASSERT_EQ(BN_mod_mul(product.get(), number(a).get(), number(other).get(), number(kP384Order).get(), context.get()),
              1);
    EXPECT_EQ(order_multiply(a, other), words(product.get()));
    other = a;
  }
  EXPECT_TRUE(is_zero(order_multiply({}, other)));
}

TEST(P384Order, InvertsAsTheLibraryDoes) {
  const bssl::UniquePtr<BN_CTX> context(BN_CTX_new());
  for (const Words384& a : numbers(2000)) {
    const Number inverse(BN_mod_inverse(nullptr, number(a).get(), number(kP384Order).get(), context.get()));
    ASSERT_NE(inverse, nullptr);
    ASSERT_EQ(order_inverse(a), words(inverse.get())) << base::hex(words_to_bytes(a));
  }
}

TEST(P384Order, SignedDigitsAreWorthTheNumber) {
  auto all = numbers(200);
  all.push_back({});
  all.push_back({~0ULL, ~0ULL, ~0ULL, ~0ULL, ~0ULL, ~0ULL});
  for (unsigned width = 2; width <= 8; ++width) {
    for (const Words384& a : all) {
      const Digits384 digits = signed_digits(a, width);
      Number sum(BN_new());
      std::size_t last = digits.size() + width;
      for (std::size_t i = digits.size(); i-- > 0;) {
        const int digit = digits[i];
        ASSERT_EQ(BN_lshift1(sum.get(), sum.get()), 1);
        if (digit == 0) continue;
        const auto magnitude = static_cast<BN_ULONG>(digit < 0 ? -digit : digit);
        ASSERT_TRUE((magnitude & 1) == 1 && magnitude < BN_ULONG{1} << (width - 1));
        ASSERT_GE(last - i, width);
        last = i;
        ASSERT_EQ(digit < 0 ? BN_sub_word(sum.get(), magnitude) : BN_add_word(sum.get(), magnitude), 1);
      }
      ASSERT_EQ(BN_cmp(sum.get(), number(a).get()), 0) << base::hex(words_to_bytes(a)) << " width " << width;
    }
  }
}

}  // namespace
}  // namespace attestry::crypto::internal
