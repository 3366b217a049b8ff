#include "attestation/sealed_reply.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/encoding.h"
#include "crypto/hpke.h"

namespace attestry::attestation {
namespace {

using ::testing::HasSubstr;

class SealedReplyTest : public ::testing::Test {
 protected:
  static base::Bytes recipient_of(const crypto::HpkeKeyPair& pair) {
    base::LpWriter out;
    out.u16(crypto::kHpkeKemX25519).raw(pair.public_key);
    return std::move(out).take();
  }

  crypto::SeededRandom random{base::as_bytes("sealed replies")};
  crypto::HpkeKeyPair pair = crypto::hpke_generate(random);
  base::FixedBytes<64> binding = random.bytes<64>();
};

TEST_F(SealedReplyTest, OpensForTheRecipientAndBindingAlone) {
  const auto sealed = seal_reply(recipient_of(pair), binding, base::as_bytes("hello"));
  ASSERT_TRUE(sealed.ok()) << sealed.error().text();
  EXPECT_EQ(base::as_text(open_reply(*sealed, pair.private_key, binding)->reveal()), "hello");
  auto other = binding;
  other[63] ^= 1;
  EXPECT_FALSE(open_reply(*sealed, pair.private_key, other).ok());
  EXPECT_FALSE(open_reply(*sealed, crypto::hpke_generate(random).private_key, binding).ok());
}

TEST_F(SealedReplyTest, EveryAlteredByteIsRefused) {
  const auto sealed = seal_reply(recipient_of(pair), binding, base::as_bytes("hello"));
  for (std::size_t i = 0; i < sealed->size(); ++i) {
    auto altered = *sealed;
    altered[i] ^= 1;
    EXPECT_FALSE(open_reply(altered, pair.private_key, binding).ok()) << i;
    EXPECT_FALSE(open_reply(base::ByteView{*sealed}.first(i), pair.private_key, binding).ok()) << i;
  }
}

// HPKE by Python (RFC 9180 written out with cryptography's X25519, HKDF and AESGCM) with info as FORMATS 4 has it.
TEST_F(SealedReplyTest, OpensWhatAnotherProgramSealed) {
  const auto sealed = base::hex_decode(
      "002000010002000000200faa684ed28867b97f4a6a2dee5df8ce974e76b7018e3f22a1c4cf2678570f20a43e5da11c29391a62bf1a2bd5b1"
      "87237f7aebfa3b743b30");
  base::FixedBytes<64> b{};
  for (std::size_t i = 0; i < b.size(); ++i) b[i] = static_cast<std::uint8_t>(i);
  const auto opened = open_reply(*sealed, crypto::Secret::copy_of(base::Bytes(32, 0x11)), b);
  ASSERT_TRUE(opened.ok()) << opened.error().text();
  EXPECT_EQ(base::as_text(opened->reveal()), "released");
}

TEST_F(SealedReplyTest, UnknownSuitesAndKeysAreRefused) {
  auto recipient = recipient_of(pair);
  recipient[1] = 0x10;  // P-256
  const auto other_kem = seal_reply(recipient, binding, {});
  ASSERT_FALSE(other_kem.ok());
  EXPECT_EQ(other_kem.error().code, base::Code::malformed);
  EXPECT_THAT(other_kem.error().text(), HasSubstr("recipient KEM"));
  EXPECT_FALSE(seal_reply({}, binding, {}).ok());
  EXPECT_FALSE(seal_reply(base::ByteView{recipient_of(pair)}.first(33), binding, {}).ok());
  // All zeros is a point of small order: the shared secret would be known to everybody (RFC 9180 section 7.1.4).
  base::Bytes small{0x00, 0x20};
  small.resize(34);
  EXPECT_FALSE(seal_reply(small, binding, base::as_bytes("hello")).ok());
}

}  // namespace
}  // namespace attestry::attestation
