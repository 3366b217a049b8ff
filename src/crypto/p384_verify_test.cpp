#include "crypto/internal/p384_verify.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "base/encoding.h"
#include "crypto/internal/awslc.h"
#include "crypto/x509.h"

namespace attestry::crypto::internal {
namespace {

using Number = bssl::UniquePtr<BIGNUM>;
using Bytes48 = base::FixedBytes<48>;

const Words384 kPrime = {0x00000000ffffffff, 0xffffffff00000000, 0xfffffffffffffffe, ~0ULL, ~0ULL, ~0ULL};

/// a - b modulo 2^384.
Words384 minus(const Words384& a, Words384 b) {
  for (auto& word : b) word = ~word;
  return add_words(add_words(a, b), {1});
}
/// -a modulo n, for an `a` of 1 or more.
Words384 opposite(const Words384& a) { return minus(kP384Order, a); }
Words384 sum(const Words384& a, const Words384& b) {
  const Words384 added = add_words(a, b);
  return less(added, a) || !less(added, kP384Order) ? minus(added, kP384Order) : added;
}

EcPrivateKey key_of(const Words384& scalar) {
  return EcPrivateKey::from_scalar(Curve::p384, words_to_bytes(scalar)).value();
}

struct Signature {
  Bytes48 digest{}, r{}, s{};
};

/// Both answers, which have to be one.
bool verify(const EcPublicKey& key, const Signature& signature) {
  const bool library = p384_verify_by_library(key, signature.digest, signature.r, signature.s);
  const auto own = P384Verifier::make(key.raw());
  if (own) {
    EXPECT_EQ(own->verify(signature.digest, signature.r, signature.s), library)
        << "key " << base::hex(key.raw()) << "\ndigest " << base::hex(signature.digest) << "\nr "
        << base::hex(signature.r) << "\ns " << base::hex(signature.s);
  }
  return library;
}

/// The signature with which a verifier computes u1 * G + u2 * Q, and expects r of it.
Signature with_multipliers(const Words384& u1, const Words384& u2, const Words384& r) {
  const Words384 s = order_multiply(r, order_inverse(u2));
  return {words_to_bytes(order_multiply(u1, s)), words_to_bytes(r), words_to_bytes(s)};
}

/// x of scalar * G, modulo n.
Words384 x_of(const Words384& scalar) {
  return order_reduce(words_from_bytes(base::ByteView(key_of(scalar).public_key().raw()).first(48)));
}

TEST(P384Verify, IsThereWhereTheProcessorHasWhatItNeeds) {
#if defined(__x86_64__)
  const bool able = __builtin_cpu_supports("bmi2") != 0 && __builtin_cpu_supports("adx") != 0;
#else
  const bool able = false;
#endif
  EXPECT_EQ(P384Verifier::make(key_of({5}).public_key().raw()).has_value(), able);
}

TEST(P384Verify, AgreesOnSignaturesOfChance) {
  SeededRandom random(base::as_bytes("signatures"));
  for (int i = 0; i < 200; ++i) {
    const EcPrivateKey key = EcPrivateKey::generate(Curve::p384, random);
    const EcPublicKey other = EcPrivateKey::generate(Curve::p384, random).public_key();
    base::FixedBytes<8> message{};
    random.fill(message);
    const base::Bytes raw = key.sign_raw(message);
    Signature signature{.digest = sha384(message)};
    std::copy_n(raw.begin(), 48, signature.r.begin());
    std::copy_n(raw.begin() + 48, 48, signature.s.begin());
    ASSERT_TRUE(verify(key.public_key(), signature));
    ASSERT_TRUE(key.public_key().verify_raw(message, raw));
    EXPECT_FALSE(verify(other, signature));
    Signature high = signature;  // n - s is as good as s
    high.s = words_to_bytes(opposite(words_from_bytes(signature.s)));
    EXPECT_TRUE(verify(key.public_key(), high));
    for (Bytes48 Signature::* part : {&Signature::digest, &Signature::r, &Signature::s}) {
      Signature changed = signature;
      const auto bit = static_cast<std::size_t>(i) % 384;
      (changed.*part)[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
      EXPECT_FALSE(verify(key.public_key(), changed));
    }
  }
}

TEST(P384Verify, AgreesAtTheEndsOfTheRanges) {
  const Words384 largest = {~0ULL, ~0ULL, ~0ULL, ~0ULL, ~0ULL, ~0ULL};
  const std::vector<Words384> ends{
      {}, {1}, minus(kP384Order, {1}), kP384Order, add_words(kP384Order, {1}), minus(kPrime, {1}), kPrime, largest};
  const EcPublicKey key = key_of({12345}).public_key();
  for (const Words384& digest : ends) {
    for (const Words384& r : ends) {
      for (const Words384& s : ends) {
        const Signature signature{words_to_bytes(digest), words_to_bytes(r), words_to_bytes(s)};
        const bool outside = is_zero(r) || is_zero(s) || !less(r, kP384Order) || !less(s, kP384Order);
        EXPECT_FALSE(verify(key, signature) && outside);
      }
    }
  }
}

TEST(P384Verify, TheDigestCountsModuloTheOrder) {
  const EcPublicKey key = key_of({77}).public_key();
  for (const Words384& e : std::vector<Words384>{{}, {1}, {0, 0, 0, 7}}) {
    const Words384 u1 = e;  // with s = 1, u1 is the digest and u2 is r
    // r = x(u1 * G + r * Q) has no solution that can be found; u2 = 1 and s = r has.
    const Words384 r = x_of(sum(u1, {77}));
    Signature signature = with_multipliers(u1, {1}, r);
    EXPECT_TRUE(verify(key, signature));
    const Words384 digest = words_from_bytes(signature.digest);
    if (less(digest, minus({}, kP384Order))) {  // there is room for digest + n
      signature.digest = words_to_bytes(add_words(digest, kP384Order));
      EXPECT_TRUE(verify(key, signature));
    }
  }
}

/// Scalars for which the multiples of G and of the key meet on the way: equal, opposite, at infinity.
std::vector<Words384> small_scalars(std::uint64_t largest) {
  std::vector<Words384> out;
  for (std::uint64_t i = 1; i <= largest; ++i) {
    out.push_back({i});
    out.push_back(opposite({i}));
  }
  return out;
}

TEST(P384Verify, AgreesWherePointsCollide) {
  std::vector<Words384> keys = small_scalars(4);
  for (const std::uint64_t more : {15ULL, 17ULL, 32ULL, 127ULL, 256ULL}) {
    keys.push_back({more});
    keys.push_back(opposite({more}));
  }
  keys.push_back(order_inverse({2}));
  keys.push_back(order_inverse({3}));
  keys.push_back({0, 0, 0, 1});
  std::vector<Words384> multipliers = small_scalars(3);
  for (const std::uint64_t more : {16ULL, 17ULL, 127ULL, 4097ULL}) multipliers.push_back({more});
  std::size_t infinite = 0;
  for (const Words384& d : keys) {
    const EcPublicKey key = key_of(d).public_key();
    for (const Words384& u2 : multipliers) {
      std::vector<Words384> firsts = multipliers;
      firsts.push_back({});
      firsts.push_back(order_multiply(u2, d));                      // both halves the same point
      firsts.push_back(opposite(order_multiply(u2, d)));            // opposite points: infinity
      firsts.push_back(sum(opposite(order_multiply(u2, d)), {1}));  // G is left
      for (const Words384& u1 : firsts) {
        const Words384 result = sum(u1, order_multiply(u2, d));
        if (is_zero(result)) {
          ++infinite;
          for (const Words384& r : {Words384{1}, Words384{0, 1}, opposite({1})}) {
            EXPECT_FALSE(verify(key, with_multipliers(u1, u2, r)));
          }
          continue;
        }
        const Words384 r = x_of(result);
        EXPECT_TRUE(verify(key, with_multipliers(u1, u2, r)));
        EXPECT_FALSE(verify(key, with_multipliers(u1, u2, sum(r, {1}))));
      }
    }
  }
  EXPECT_GT(infinite, keys.size());
}

class Group {
 public:
  using Point = bssl::UniquePtr<EC_POINT>;

  /// A point with that x, if there is one.
  Point with_x(const Words384& x) const {
    Point out(EC_POINT_new(group_));
    const bool good = EC_POINT_set_compressed_coordinates_GFp(group_, out.get(), number(x).get(), 0, nullptr) == 1;
    ERR_clear_error();
    return good ? std::move(out) : nullptr;
  }

  /// The key Q with u1 * G + u2 * Q = sum.
  EcPublicKey key_for(const Words384& u1, const Words384& u2, const EC_POINT* sum) const {
    const Words384 inverse = order_inverse(u2);
    const Point q(EC_POINT_new(group_));
    EXPECT_EQ(EC_POINT_mul(group_, q.get(), number(opposite(order_multiply(u1, inverse))).get(), sum,
                           number(inverse).get(), nullptr),
              1);
    base::FixedBytes<97> bytes{};
    EXPECT_EQ(EC_POINT_point2oct(group_, q.get(), POINT_CONVERSION_UNCOMPRESSED, bytes.data(), bytes.size(), nullptr),
              bytes.size());
    return EcPublicKey::from_raw(Curve::p384, base::ByteView(bytes).subspan(1)).value();
  }

 private:
  static Number number(const Words384& words) {
    const auto bytes = words_to_bytes(words);
    return Number(BN_bin2bn(bytes.data(), bytes.size(), nullptr));
  }
  const EC_GROUP* group_ = EC_group_p384();
};

// x of the sum may be n or more, and then r is x - n: by chance once in 2^194 signatures, here by choice of the key.
TEST(P384Verify, AnXBeyondTheOrderCountsModuloTheOrder) {
  const Group group;
  const Words384 u1{111}, u2{222};
  int found = 0;
  for (std::uint64_t i = 0; i < 40; ++i) {
    for (const Words384& x : {add_words(kP384Order, {i}), minus(kPrime, {i + 1})}) {
      const auto point = group.with_x(x);
      const Words384 r = minus(x, kP384Order);
      if (point == nullptr || is_zero(r)) continue;
      ++found;
      const EcPublicKey key = group.key_for(u1, u2, point.get());
      EXPECT_TRUE(verify(key, with_multipliers(u1, u2, r)));
      EXPECT_FALSE(verify(key, with_multipliers(u1, u2, add_words(r, {1}))));
    }
  }
  EXPECT_GT(found, 20);
}

// r + n is compared only where it is below p: x = r + n - p is another number modulo n.
TEST(P384Verify, AnXIsNotReducedTwice) {
  const Group group;
  const Words384 u1{111}, u2{222};
  int found = 0;
  for (std::uint64_t x = 0; x < 40; ++x) {
    const auto point = group.with_x({x});
    if (point == nullptr) continue;
    ++found;
    const EcPublicKey key = group.key_for(u1, u2, point.get());
    if (x != 0) {
      EXPECT_TRUE(verify(key, with_multipliers(u1, u2, {x})));
    }
    EXPECT_FALSE(verify(key, with_multipliers(u1, u2, add_words({x}, minus(kPrime, kP384Order)))));
  }
  EXPECT_GT(found, 10);
}

TEST(P384Verify, IntegersOfADerSignatureMustFit) {
  const EcPrivateKey key = key_of({99});
  const base::ByteView message = base::as_bytes("m");
  const base::Bytes raw = key.sign_raw(message, true);
  const auto integer = [](base::Bytes content) { return der::tlv(0x02, content); };
  const auto positive = [&](base::ByteView value) {  // DER: no leading zero but before a high bit
    const auto first = std::ranges::find_if(value, [](std::uint8_t byte) { return byte != 0; });
    base::Bytes content{first, value.end()};
    if (content.empty() || content[0] >= 0x80) content.insert(content.begin(), 0);
    return integer(content);
  };
  const base::Bytes r = positive(base::ByteView(raw).first(48));
  const base::Bytes s = positive(base::ByteView(raw).last(48));
  EXPECT_TRUE(key.public_key().verify_der(message, der::sequence({r, s})));
  const base::Bytes r_beyond = base::Bytes(49, 0x7f);
  EXPECT_FALSE(key.public_key().verify_der(message, der::sequence({integer(r_beyond), s})));
  EXPECT_FALSE(key.public_key().verify_der(message, der::sequence({r, integer(base::Bytes(200, 0x11))})));
  EXPECT_FALSE(key.public_key().verify_der(message, der::sequence({integer({0}), s})));
  EXPECT_FALSE(key.public_key().verify_der(message, der::sequence({r, integer({0})})));
  EXPECT_FALSE(key.public_key().verify_der(message, der::sequence({integer({0x81}), s})));
  const Words384 r_and_n = add_words(words_from_bytes(base::ByteView(raw).first(48)), kP384Order);
  EXPECT_FALSE(key.public_key().verify_der(message, der::sequence({positive(words_to_bytes(r_and_n)), s})));
}

}  // namespace
}  // namespace attestry::crypto::internal
