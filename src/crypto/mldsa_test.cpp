#include "crypto/mldsa.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string_view>
#include <utility>

#include "base/encoding.h"
#include "crypto/hash.h"
#include "crypto/internal/awslc.h"

// That signatures of other libraries verify is shown by tests/functional/test_keystore_mldsa.py.

namespace attestry::crypto {
namespace {

struct Signed {
  base::Bytes key = base::Bytes(kMldsa65PublicKey);
  base::Bytes signature = base::Bytes(kMldsa65Signature);
};

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

Key new_key() {
  const std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> context{
      EVP_PKEY_CTX_new_id(EVP_PKEY_PQDSA, nullptr), &EVP_PKEY_CTX_free};
  EVP_PKEY* made = nullptr;
  EXPECT_EQ(EVP_PKEY_CTX_pqdsa_set_params(context.get(), NID_MLDSA65), 1);
  EXPECT_EQ(EVP_PKEY_keygen_init(context.get()), 1);
  EXPECT_EQ(EVP_PKEY_keygen(context.get(), &made), 1);
  return {made, &EVP_PKEY_free};
}

Key key_of(base::ByteView seed) {
  return {EVP_PKEY_pqdsa_new_raw_private_key(NID_MLDSA65, seed.data(), seed.size()), &EVP_PKEY_free};
}

Signed sign_with(const Key& key, base::ByteView message) {
  Signed out;
  std::size_t size = out.key.size();
  EXPECT_EQ(EVP_PKEY_get_raw_public_key(key.get(), out.key.data(), &size), 1);
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> digest{EVP_MD_CTX_new(), &EVP_MD_CTX_free};
  size = out.signature.size();
  EXPECT_EQ(EVP_DigestSignInit(digest.get(), nullptr, nullptr, nullptr, key.get()), 1);
  EXPECT_EQ(EVP_DigestSign(digest.get(), out.signature.data(), &size, message.data(), message.size()), 1);
  EXPECT_EQ(size, kMldsa65Signature);
  return out;
}

Signed sign_with_a_new_key(base::ByteView message) { return sign_with(new_key(), message); }

TEST(Mldsa, AKeyOfASeedSigns) {
  const base::Bytes seed(kMldsa65Seed, 7);
  const auto key = Mldsa65PrivateKey::from_seed(seed);
  ASSERT_TRUE(key.ok());
  EXPECT_EQ(key->public_key(), sign_with(key_of(seed), {}).key);
  const auto message = base::as_bytes("text");
  const auto one = key->sign(message), other = key->sign(message);
  EXPECT_NE(one, other) << "hedged";
  for (const auto& signature : {one, other}) EXPECT_TRUE(mldsa65_verify(key->public_key(), message, signature));
  // An expanded key, a seed and its public key, and none.
  for (const std::size_t size : {4032U, 64U, 31U, 0U})
    EXPECT_EQ(Mldsa65PrivateKey::from_seed(base::Bytes(size, 7)).error().code, base::Code::malformed) << size;
}

TEST(Mldsa, ASignatureIsOfItsKeyOverItsMessageAlone) {
  const auto message = base::as_bytes("32 bytes of a challenge, or more");
  auto made = sign_with_a_new_key(message);
  EXPECT_TRUE(mldsa65_verify(made.key, message, made.signature));
  EXPECT_FALSE(mldsa65_verify(made.key, base::as_bytes("another"), made.signature));
  EXPECT_FALSE(mldsa65_verify(sign_with_a_new_key(message).key, message, made.signature));
  for (const std::size_t at : {std::size_t{0}, std::size_t{1000}, made.signature.size() - 1}) {
    made.signature[at] ^= 1;
    EXPECT_FALSE(mldsa65_verify(made.key, message, made.signature)) << at;
    made.signature[at] ^= 1;
  }
}

// Known answers of NIST's ACVP server, ML-DSA-keyGen-FIPS204, tests 26 to 28.
TEST(Mldsa, KeysOfSeedsAreTheKnownOnes) {
  const struct {
    std::string_view seed, sha256_of_key;
  } known[] = {{"70cefb9aed5b68e018b079da8284b9d5cad5499ed9c265ff73588005d85c225c",
                "646b26b8d09dbc9e865b6a006c693a3127b065e62fab5fbe8b159c416462feb6"},
               {"4b4b71c5a1bc1074f2167a1d68729cdb9e16aba3651ff02a0a0f4c883caac827",
                "5fef74046438638b54fb828d4ae59fea8eb26de94905664c2c7d76da82672057"},
               {"fb27dbbb4ed8f4f7d2700283c2b092866694246932eeacee72db730efd172576",
                "a3c9bcc0bed93fe0b8d651b1844dc708ebafecbb30d221c5a608d5579479c39d"}};
  const auto message = base::as_bytes("text");
  for (const auto& one : known) {
    const auto made = sign_with(key_of(*base::hex_decode(one.seed)), message);
    EXPECT_EQ(base::hex(sha256(made.key)), one.sha256_of_key);
    EXPECT_TRUE(mldsa65_verify(made.key, message, made.signature));
  }
}

// FIPS 204, algorithm 21: of the 61 bytes at the end 55 are places of hints, rising within each of six polynomials and
// zero behind the last; then come the six counts. Anything else would be another form of the same signature.
TEST(Mldsa, ASignatureHasOneForm) {
  constexpr std::size_t kHints = 55, kCounts = 6, kAt = kMldsa65Signature - kHints - kCounts;
  const auto message = base::as_bytes("text");
  Signed made = sign_with_a_new_key(message);
  // One with a place to spare and a polynomial with two hints: nearly every one.
  const auto count = [&](std::size_t of) { return made.signature[kAt + kHints + of]; };
  while (count(kCounts - 1) == kHints || count(0) < 2) made = sign_with_a_new_key(message);
  ASSERT_TRUE(mldsa65_verify(made.key, message, made.signature));
  const auto refused = [&](auto change) {
    base::Bytes other = made.signature;
    change(other);
    EXPECT_NE(other, made.signature);
    return !mldsa65_verify(made.key, message, other);
  };
  EXPECT_TRUE(refused([&](base::Bytes& s) { s[kAt + kHints - 1] = 1; })) << "behind the last";
  EXPECT_TRUE(refused([&](base::Bytes& s) { std::swap(s[kAt], s[kAt + 1]); })) << "not rising";
  EXPECT_TRUE(refused([&](base::Bytes& s) { s[kAt + 1] = s[kAt]; })) << "twice";
  EXPECT_TRUE(refused([&](base::Bytes& s) { s[kAt + kHints + kCounts - 1] = kHints + 1; })) << "too many";
  EXPECT_TRUE(refused([&](base::Bytes& s) { s[kAt + kHints] = 0; })) << "one less in a polynomial";
  EXPECT_TRUE(refused([&](base::Bytes& s) { std::fill_n(s.begin() + 48, 3, std::uint8_t{0}); })) << "z too large";
}

TEST(Mldsa, OtherSizesAreNone) {
  const auto message = base::as_bytes("text");
  auto made = sign_with_a_new_key(message);
  made.signature.push_back(0);
  EXPECT_FALSE(mldsa65_verify(made.key, message, made.signature));
  made.signature.resize(kMldsa65Signature - 1);
  EXPECT_FALSE(mldsa65_verify(made.key, message, made.signature));
  EXPECT_FALSE(mldsa65_verify({}, message, {}));
  EXPECT_FALSE(mldsa65_verify(base::Bytes(kMldsa65PublicKey), message, base::Bytes(kMldsa65Signature)));
}

}  // namespace
}  // namespace attestry::crypto
