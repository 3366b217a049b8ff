#include "curves/bls12_381.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/encoding.h"
#include "crypto/random.h"

namespace attestry::curves::bls {
namespace {

using base::hex;
using ::testing::HasSubstr;

base::Bytes unhex(std::string_view text) { return base::hex_decode(text).value(); }
std::string number(const Scalar& scalar) { return hex(scalar.big_endian().reveal()); }

const char* const kOrder = "73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001";
const char* const kOrderLess1 = "73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000000";

class Bls12381 : public testing::Test {
 protected:
  crypto::SeededRandom random_{base::as_bytes("BLS12-381")};
  Scalar a_ = Scalar::random(random_), b_ = Scalar::random(random_);
};

TEST_F(Bls12381, ScalarsAreLessThanTheOrder) {
  EXPECT_EQ(number(*Scalar::from_big_endian(unhex(kOrderLess1))), kOrderLess1);
  EXPECT_FALSE(Scalar::from_big_endian(unhex(kOrder)).ok());
  EXPECT_FALSE(Scalar::from_big_endian(base::Bytes(32, 0xff)).ok());
  EXPECT_FALSE(Scalar::from_big_endian(base::Bytes(31, 0)).ok());
  EXPECT_FALSE(Scalar::from_big_endian(base::Bytes(33, 0)).ok());
  EXPECT_TRUE(Scalar::from_big_endian(base::Bytes(32, 0))->is_zero());
}

TEST_F(Bls12381, LittleEndianIsTheReverse) {
  base::Bytes bytes = unhex(kOrderLess1);
  std::ranges::reverse(bytes);
  EXPECT_EQ(number(*Scalar::from_little_endian(bytes)), kOrderLess1);
  bytes[0] = 1;
  EXPECT_FALSE(Scalar::from_little_endian(bytes).ok());
}

TEST_F(Bls12381, WideBytesAreReduced) {
  base::Bytes wide(16, 0);
  base::append(wide, unhex(kOrder));
  EXPECT_TRUE(Scalar::from_wide(wide).is_zero());
  wide.back() = 3;
  EXPECT_TRUE(Scalar::from_wide(wide) == Scalar::from_u32(2));
  // 2^256 modulo q.
  base::Bytes power(48, 0);
  power[15] = 1;
  EXPECT_EQ(number(Scalar::from_wide(power)), "1824b159acc5056f998c4fefecbc4ff55884b7fa0003480200000001fffffffe");
}

TEST_F(Bls12381, FieldArithmetic) {
  const Scalar zero = Scalar::from_u32(0), one = Scalar::from_u32(1);
  EXPECT_TRUE(a_ * a_.inverse() == one);
  EXPECT_TRUE((a_ - a_).is_zero());
  EXPECT_TRUE(zero - one == *Scalar::from_big_endian(unhex(kOrderLess1)));
  EXPECT_TRUE((a_ + b_) * a_ == a_ * a_ + b_ * a_);
  EXPECT_TRUE(zero.inverse().is_zero());
  EXPECT_TRUE((a_ * zero).is_zero());
  EXPECT_TRUE(a_.clone() == a_);
  EXPECT_FALSE(a_ == b_);
}

// RFC 9380, J.9.1
TEST_F(Bls12381, HashToG1OfTheStandard) {
  constexpr std::string_view tag = "QUUX-V01-CS02-with-BLS12381G1_XMD:SHA-256_SSWU_RO_";
  // x, with the sign of y in the third bit.
  const struct {
    std::string message;
    const char* encoded;
  } known[] = {
      {"", "852926add2207b76ca4fa57a8734416c8dc95e24501772c814278700eed6d1e4e8cf62d9c09db0fac349612b759e79a1"},
      {"abc", "83567bc5ef9c690c2ab2ecdf6a96ef1c139cc0b2f284dca0a9a7943388a49a3aee664ba5379a7655d3c68900be2f6903"},
      {"abcdef0123456789",
       "91e0b079dea29a68f0383ee94fed1b940995272407e3bb916bbf268c263ddd57a6a27200a784cbc248e84f357ce82d98"},
      {"q128_" + std::string(128, 'q'),
       "b5f68eaa693b95ccb85215dc65fa81038d69629f70aeee0d0f677cf22285e7bf58d7cb86eefe8f2e9bc3f8cb84fac488"},
      {"a512_" + std::string(512, 'a'),
       "882aabae8b7dedb0e78aeb619ad3bfd9277a2f77ba7fad20ef6aabdc6c31d19ba5a6d12283553294c1825c4b3ca2dcfe"},
  };
  for (const auto& [message, encoded] : known) {
    EXPECT_EQ(hex(G1::hash(base::as_bytes(message), tag).encode()), encoded) << message;
  }
}

// RFC 9380, J.10.1: x = x0 + I x1, which an encoding gives as x1 ‖ x0.
TEST_F(Bls12381, HashToG2OfTheStandard) {
  constexpr std::string_view tag = "QUUX-V01-CS02-with-BLS12381G2_XMD:SHA-256_SSWU_RO_";
  G2::Encoded encoded = G2::hash(base::as_bytes("abc"), tag).encode();
  encoded[0] &= 0x1f;
  EXPECT_EQ(hex(encoded),
            "139cddbccdc5e91b9623efd38c49f81a6f83f175e80b06fc374de9eb4b41dfe4ca3a230ed250fbe3a2acf73a41177fd8"
            "02c2d18e033b960562aae3cab37a27ce00d80ccd5ba4b7fe0e7a210245129dbec7780ccc7954725f4168aff2787776e6");
}

TEST_F(Bls12381, ProductsOfPairings) {
  const G1 p = G1::times_generator(a_);
  const G2 q = G2::times_generator(b_);
  const std::array pairs{Pair{p, G2::generator()}, Pair{G1::generator(), q}};
  const G2 sum = G2::times_generator(a_ + b_);
  EXPECT_TRUE(PairingProduct::of(pairs).equals({G1::generator(), sum}));
  EXPECT_FALSE(PairingProduct::of(pairs).equals({G1::generator(), q}));
  PairingProduct parts = PairingProduct::of(std::span{pairs}.first(1));
  parts *= PairingProduct::of(std::span{pairs}.last(1));
  EXPECT_TRUE(parts.equals({G1::generator(), sum}));
  EXPECT_TRUE(PairingProduct{}.equals({G1{}, q}));
  EXPECT_TRUE(PairingProduct::of({}).equals({p, G2{}}));
  EXPECT_FALSE(PairingProduct{}.equals({p, q}));
}

TEST_F(Bls12381, TheTableGivesWhatMultiplicationGives) {
  const Scalar edges[] = {Scalar::from_u32(0),  Scalar::from_u32(1),    Scalar::from_u32(15),
                          Scalar::from_u32(16), Scalar::from_u32(0x10), *Scalar::from_big_endian(unhex(kOrderLess1))};
  for (const Scalar& edge : edges) EXPECT_TRUE(G1::times_generator(edge) == G1::generator() * edge) << number(edge);
  for (int i = 0; i < 200; ++i) {
    const Scalar scalar = Scalar::random(random_);
    ASSERT_TRUE(G1::times_generator(scalar) == G1::generator() * scalar) << number(scalar);
  }
  EXPECT_TRUE(G1::times_generator(Scalar::from_u32(0)).is_identity());
}

TEST_F(Bls12381, ASumOfProductsIsTheSumOfTheProducts) {
  const Scalar edges[] = {Scalar::from_u32(0), Scalar::from_u32(1), Scalar::from_u32(8), Scalar::from_u32(16),
                          *Scalar::from_big_endian(unhex(kOrderLess1)),
                          // z² - 1, z², z² + 1 and 2^127: where the halves of a scalar change.
                          *Scalar::from_big_endian(unhex(std::string(32, '0') + "ac45a4010001a40200000000ffffffff")),
                          *Scalar::from_big_endian(unhex(std::string(32, '0') + "ac45a4010001a4020000000100000000")),
                          *Scalar::from_big_endian(unhex(std::string(32, '0') + "ac45a4010001a4020000000100000001")),
                          *Scalar::from_big_endian(unhex(std::string(32, '0') + "80000000000000000000000000000000"))};
  const G1 p = G1::times_generator(a_), q = G1::times_generator(b_);
  for (const Scalar& a : edges) {
    for (const Scalar& b : edges) {
      ASSERT_TRUE(G1::sum_of_products(p, a, q, b) == p * a + q * b) << number(a) << " " << number(b);
    }
    ASSERT_TRUE(G1::sum_of_products(p, a, p, a) == p * (a + a)) << number(a);
    ASSERT_TRUE(G1::sum_of_products(p, a, G1{} - p, a).is_identity()) << number(a);
    ASSERT_TRUE(G1::sum_of_products(G1{}, a, q, a) == q * a) << number(a);
  }
  for (int i = 0; i < 200; ++i) {
    const Scalar a = Scalar::random(random_), b = Scalar::random(random_);
    ASSERT_TRUE(G1::sum_of_products(p, a, q, b) == p * a + q * b) << number(a) << " " << number(b);
  }
}

TEST_F(Bls12381, GroupLaws) {
  const G1 p = G1::times_generator(a_), q = G1::times_generator(b_);
  EXPECT_TRUE(p + q == G1::times_generator(a_ + b_));
  EXPECT_TRUE(p + p == p * Scalar::from_u32(2));
  EXPECT_TRUE((p - p).is_identity());
  EXPECT_TRUE(p + G1{} == p);
  EXPECT_TRUE(G1{} * a_ == G1{});
  const G2 r = G2::times_generator(a_), s = G2::times_generator(b_);
  EXPECT_TRUE(r + s == G2::times_generator(a_ + b_));
  EXPECT_TRUE((r - r).is_identity());
  for (const std::uint32_t small : {0U, 1U, 2U, 255U, 0x80000000U, 0xffffffffU}) {
    EXPECT_TRUE(r.times(small) == r * Scalar::from_u32(small)) << small;
  }
}

TEST_F(Bls12381, EncodingsComeBack) {
  const G1 p = G1::times_generator(a_);
  const G2 r = G2::times_generator(a_);
  EXPECT_TRUE(*G1::decode(p.encode()) == p);
  EXPECT_TRUE(*G2::decode(r.encode()) == r);
  const auto [first, second] = G1::encode(p, G1::generator());
  EXPECT_EQ(first, p.encode());
  EXPECT_EQ(second, G1::generator().encode());
  const auto [nothing, same] = G1::encode(G1{}, p);
  EXPECT_EQ(nothing, G1{}.encode());
  EXPECT_EQ(same, p.encode());
  EXPECT_EQ(hex(G1{}.encode()), "c0" + std::string(94, '0'));
}

TEST_F(Bls12381, OtherEncodingsAreRefused) {
  const G1::Encoded good = G1::generator().encode();
  const auto said = [](base::ByteView bytes) { return G1::decode(bytes).error().text(); };
  const auto changed = [&](auto change) {
    G1::Encoded bytes = good;
    change(bytes);
    return said(bytes);
  };
  EXPECT_THAT(said(base::ByteView{good}.first(47)), HasSubstr("47 bytes"));
  EXPECT_THAT(said({}), HasSubstr("0 bytes"));
  EXPECT_THAT(changed([](auto& b) { b[0] &= 0x7f; }), HasSubstr("not canonical"));
  EXPECT_THAT(changed([](auto& b) { b[47] ^= 7; }), HasSubstr("not on the curve"));
  EXPECT_THAT(
      said(unhex("9a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab")),
      HasSubstr("not canonical"))
      << "x is the field's modulus";
  EXPECT_THAT(said(G1{}.encode()), HasSubstr("the identity"));
  EXPECT_TRUE(G1::decode(G1{}.encode(), G1::Identity::allowed)->is_identity());
  G1::Encoded dirty = G1{}.encode();
  dirty[47] = 1;
  EXPECT_THAT(said(dirty), HasSubstr("not canonical"));
  const auto outside =
      unhex("800000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000004");
  EXPECT_THAT(said(outside), HasSubstr("outside the subgroup"));
  const auto unchecked = G1::decode_unchecked(outside);
  ASSERT_TRUE(unchecked.ok());
  EXPECT_FALSE(unchecked->in_subgroup());
}

TEST_F(Bls12381, OtherEncodingsOfG2AreRefused) {
  G2::Encoded bytes = G2::generator().encode();
  EXPECT_FALSE(G2::decode(base::ByteView{bytes}.first(95)).ok());
  EXPECT_THAT(G2::decode(G2{}.encode()).error().text(), HasSubstr("the identity"));
  EXPECT_TRUE(G2::decode(G2{}.encode(), G1::Identity::allowed).ok());
  // Points of the curve, nearly all of them of another order: among the first x there is one for sure.
  int outside = 0;
  for (std::uint8_t x = 1; x < 40; ++x) {
    base::Bytes guess(96, 0);
    guess[0] = 0x80;
    guess[95] = x;
    const auto decoded = G2::decode(guess);
    ASSERT_FALSE(decoded.ok());
    if (decoded.error().text().find("outside the subgroup") != std::string::npos) ++outside;
  }
  EXPECT_GT(outside, 5);
}

TEST_F(Bls12381, PairingIsBilinear) {
  const G1 p = G1::times_generator(a_);
  const G2 q = G2::times_generator(b_);
  EXPECT_TRUE(pairings_equal({p, q}, {{G1::times_generator(a_ * b_), G2::generator()}}));
  EXPECT_TRUE(pairings_equal({p, q}, {{p, G2::times_generator(b_ - Scalar::from_u32(1))}, {p, G2::generator()}}));
  EXPECT_FALSE(pairings_equal({p, q}, {{p, G2::generator()}}));
  EXPECT_FALSE(pairings_equal({p, q}, {}));
}

TEST_F(Bls12381, PreparedPointsPairAsOthers) {
  const G1 p = G1::times_generator(a_);
  const PreparedG2 q{G2::times_generator(b_)};
  const G1 product = G1::times_generator(a_ * b_);
  EXPECT_TRUE(pairings_equal(product, PreparedG2::generator(), p, q));
  EXPECT_TRUE(pairings_equal(p, q, product, PreparedG2::generator()));
  EXPECT_FALSE(pairings_equal(G1{} - product, PreparedG2::generator(), p, q));
  EXPECT_FALSE(pairings_equal(p, PreparedG2::generator(), p, q));
  EXPECT_FALSE(pairings_equal(G1{}, PreparedG2::generator(), p, q));
  EXPECT_TRUE(pairings_equal(G1{}, PreparedG2::generator(), G1{}, q));
  EXPECT_TRUE(pairings_equal(G1{}, PreparedG2::generator(), p, PreparedG2{G2{}}));
}

TEST_F(Bls12381, TheIdentityPairsToOne) {
  const G1 p = G1::times_generator(a_);
  EXPECT_TRUE(pairings_equal({G1{}, G2::generator()}, {}));
  EXPECT_TRUE(pairings_equal({G1{}, G2::generator()}, {{p, G2{}}}));
  EXPECT_TRUE(pairings_equal({p, G2::generator()}, {{p, G2::generator()}, {G1{}, G2::generator()}}));
  EXPECT_FALSE(pairings_equal({G1{}, G2::generator()}, {{p, G2::generator()}}));
}

TEST_F(Bls12381, AWipedPointIsTheIdentity) {
  G1 p = G1::times_generator(a_);
  p.wipe();
  EXPECT_TRUE(p.is_identity());
}

}  // namespace
}  // namespace attestry::curves::bls
