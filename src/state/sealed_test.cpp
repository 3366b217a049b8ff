#include "state/sealed.h"

#include <gtest/gtest.h>

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

TEST(SealedValues, AKeyOfAnotherSizeIsRefused) {
  EXPECT_FALSE(SealedValues::create(crypto::Secret(16), crypto::system_random()).ok());
}

}  // namespace
}  // namespace attestry::state
