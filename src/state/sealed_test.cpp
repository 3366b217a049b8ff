#include "state/sealed.h"

#include <gtest/gtest.h>

#include "crypto/aead.h"
#include "crypto/hash.h"
#include "state/keys.h"

namespace attestry::state {
namespace {

using base::as_bytes;

SealedValues sealing(std::string_view seed) {
  crypto::SeededRandom random(as_bytes(seed));
  auto out = SealedValues::create(random.secret(32), crypto::system_random());
  EXPECT_TRUE(out.ok());
  return std::move(*out);
}

TEST(SealedValues, OpenOnlyInTheirOwnRecordAndUnderTheirOwnKey) {
  const auto sealed_values = sealing("tenant a");
  const Key here = Key(Space::secrets, base::Tenant::standard()).lp("here");
  const Key there = Key(Space::secrets, base::Tenant::standard()).lp("there");
  const auto sealed = sealed_values.seal(here, as_bytes("the secret"));
  ASSERT_TRUE(sealed.ok());
  const auto opened = sealed_values.open(here, *sealed);
  ASSERT_TRUE(opened.ok());
  EXPECT_EQ(base::as_text(opened->reveal()), "the secret");
  EXPECT_EQ(sealed_values.open(there, *sealed).error().code, base::Code::corrupt);
  EXPECT_EQ(sealing("tenant b").open(here, *sealed).error().code, base::Code::corrupt);
}

TEST(SealedValues, EveryAlteredByteIsNoticed) {
  const auto sealed_values = sealing("tenant a");
  const auto sealed = sealed_values.seal(as_bytes("k"), as_bytes("v"));
  ASSERT_TRUE(sealed.ok());
  for (std::size_t i = 0; i < sealed->size(); ++i) {
    base::Bytes altered = *sealed;
    altered[i] ^= 1;
    EXPECT_FALSE(sealed_values.open(as_bytes("k"), altered).ok()) << i;
    EXPECT_FALSE(sealed_values.open(as_bytes("k"), base::ByteView(*sealed).first(i)).ok()) << i;
  }
}

TEST(SealedValues, TheSameValueSealsDifferentlyEachTime) {
  const auto sealed_values = sealing("tenant a");
  EXPECT_NE(*sealed_values.seal(as_bytes("k"), as_bytes("v")), *sealed_values.seal(as_bytes("k"), as_bytes("v")));
}

/// Gives the same bytes again and again: the worst that 12 random bytes can do.
class Stuck final : public crypto::Random {
 public:
  void fill(std::span<std::uint8_t> out) override {
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = i < 12 ? 7 : next_;
    ++next_;
  }

 private:
  std::uint8_t next_ = 0;
};

TEST(SealedValues, TwelveEqualRandomBytesAreNoEqualNonce) {
  Stuck random;
  const auto values = *SealedValues::create(crypto::Secret::copy_of(base::Bytes(32, 1)), random);
  const base::Bytes zeros(64, 0);
  const auto one = *values.seal(as_bytes("k"), zeros);
  const auto other = *values.seal(as_bytes("k"), zeros);
  ASSERT_TRUE(base::equal(base::ByteView{one}.first(13), base::ByteView{other}.first(13)));
  // Under the same key and nonce the key stream would be the same, and the tags would give the hash key away.
  EXPECT_FALSE(base::equal(base::ByteView{one}.last(80), base::ByteView{other}.last(80)));
}

TEST(SealedValues, AreUnderAKeyOfTheirOwn) {
  const base::Bytes key(32, 1);
  const auto values = *SealedValues::create(crypto::Secret::copy_of(key), crypto::system_random());
  const auto sealed = *values.seal(as_bytes("k"), as_bytes("v"));
  ASSERT_EQ(sealed.size(), 1U + 24U + 1U + 16U);
  EXPECT_EQ(sealed[0], 2);
  base::LpWriter info;
  info.lp("attestry/sealed-value/2");
  const auto one = crypto::hkdf_sha256(base::ByteView{sealed}.subspan(1, 24), key, info.bytes(), 44);
  const auto opened = crypto::aes256gcm_open(one.reveal().first(32), one.reveal().subspan(32),
                                             base::ByteView{sealed}.subspan(25), as_bytes("k"));
  ASSERT_TRUE(opened.ok());
  EXPECT_EQ(base::as_text(opened->reveal()), "v");
}

TEST(SealedValues, OfTheFirstVersionOpen) {
  const base::Bytes key(32, 1);
  const base::Bytes nonce(12, 5);
  base::Bytes sealed{1};
  base::append(sealed, nonce);
  base::append(sealed, *crypto::aes256gcm_seal(key, nonce, as_bytes("old"), as_bytes("k")));
  const auto values = *SealedValues::create(crypto::Secret::copy_of(key), crypto::system_random());
  const auto opened = values.open(as_bytes("k"), sealed);
  ASSERT_TRUE(opened.ok()) << opened.error().text();
  EXPECT_EQ(base::as_text(opened->reveal()), "old");
  EXPECT_EQ(values.open(as_bytes("other"), sealed).error().code, base::Code::corrupt);
  sealed[0] = 2;
  EXPECT_EQ(values.open(as_bytes("k"), sealed).error().code, base::Code::corrupt);
}

TEST(SealedValues, AKeyOfAnotherSizeIsRefused) {
  EXPECT_FALSE(SealedValues::create(crypto::Secret(16), crypto::system_random()).ok());
}

}  // namespace
}  // namespace attestry::state
