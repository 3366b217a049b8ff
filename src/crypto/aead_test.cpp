#include "crypto/aead.h"

#include <gtest/gtest.h>

#include "base/encoding.h"

namespace attestry::crypto {
namespace {

base::Bytes unhex(std::string_view text) { return base::hex_decode(text).value(); }

// McGrew and Viega, "The Galois/Counter Mode of Operation", test case 16.
const char* const kKey = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308";
const char* const kNonce = "cafebabefacedbaddecaf888";
const char* const kAad = "feedfacedeadbeeffeedfacedeadbeefabaddad2";
const char* const kPlaintext =
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39";
const char* const kSealed =
    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
    "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
    "76fc6ece0f4e1768cddf8853bb2d551b";

TEST(Aes256Gcm, KnownAnswer) {
  const auto sealed = aes256gcm_seal(unhex(kKey), unhex(kNonce), unhex(kPlaintext), unhex(kAad));
  ASSERT_TRUE(sealed.ok());
  EXPECT_EQ(base::hex(*sealed), kSealed);
  const auto opened = aes256gcm_open(unhex(kKey), unhex(kNonce), unhex(kSealed), unhex(kAad));
  ASSERT_TRUE(opened.ok());
  EXPECT_EQ(base::hex(opened->reveal()), kPlaintext);
}

TEST(Aes256Gcm, EmptyPlaintextAndEmptyAad) {
  const base::Bytes key(32, 0);
  const base::Bytes nonce(12, 0);
  const auto sealed = aes256gcm_seal(key, nonce, {}, {});
  ASSERT_TRUE(sealed.ok());
  EXPECT_EQ(base::hex(*sealed), "530f8afbc74536b9a963b4f1c4cb738b");
  const auto opened = aes256gcm_open(key, nonce, *sealed, {});
  ASSERT_TRUE(opened.ok());
  EXPECT_TRUE(opened->empty());
}

TEST(Aes256Gcm, EveryFlippedBitIsRefused) {
  const base::Bytes sealed = unhex(kSealed);
  for (std::size_t bit = 0; bit < sealed.size() * 8; ++bit) {
    base::Bytes wrong = sealed;
    wrong[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    const auto opened = aes256gcm_open(unhex(kKey), unhex(kNonce), wrong, unhex(kAad));
    ASSERT_FALSE(opened.ok());
    EXPECT_EQ(opened.error().code, base::Code::crypto);
  }
}

TEST(Aes256Gcm, EveryTruncationIsRefused) {
  const base::Bytes sealed = unhex(kSealed);
  for (std::size_t size = 0; size < sealed.size(); ++size) {
    EXPECT_FALSE(aes256gcm_open(unhex(kKey), unhex(kNonce), base::ByteView(sealed).first(size), unhex(kAad)).ok());
  }
}

TEST(Aes256Gcm, OtherKeyNonceOrAadIsRefused) {
  base::Bytes key = unhex(kKey);
  key[31] ^= 1;
  EXPECT_FALSE(aes256gcm_open(key, unhex(kNonce), unhex(kSealed), unhex(kAad)).ok());
  base::Bytes nonce = unhex(kNonce);
  nonce[0] ^= 1;
  EXPECT_FALSE(aes256gcm_open(unhex(kKey), nonce, unhex(kSealed), unhex(kAad)).ok());
  EXPECT_FALSE(aes256gcm_open(unhex(kKey), unhex(kNonce), unhex(kSealed), {}).ok());
}

TEST(Aes256Gcm, WrongSizesAreRefused) {
  EXPECT_FALSE(aes256gcm_seal(base::Bytes(16), base::Bytes(12), {}, {}).ok());
  EXPECT_FALSE(aes256gcm_seal(base::Bytes(32), base::Bytes(16), {}, {}).ok());
  EXPECT_FALSE(aes256gcm_open(base::Bytes(33), base::Bytes(12), base::Bytes(16), {}).ok());
}

// RFC 8439 2.8.2.
/// 0, 1, 2, …
class Counting final : public Random {
 public:
  void fill(std::span<std::uint8_t> out) override {
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::uint8_t>(i);
  }
};

// By pyca/cryptography: HKDF and AESGCM.
TEST(Aes256GcmSalted, KnownAnswer) {
  Counting random;
  const auto sealed = *aes256gcm_seal_salted(unhex(kKey), "attestry/sealed-value/2", base::as_bytes("the secret"),
                                             base::as_bytes("record"), random);
  EXPECT_EQ(base::hex(sealed),
            "000102030405060708090a0b0c0d0e0f1011121314151617"
            "532bf05a87d57230ef095d95268b16fc22581f0ff9c30f2dd79b");
  const auto open = [&](base::ByteView bytes, std::string_view label, std::string_view aad) {
    const auto opened = aes256gcm_open_salted(unhex(kKey), label, bytes, base::as_bytes(aad));
    return opened ? std::string{base::as_text(opened->reveal())} : std::string{base::slug(opened.error().code)};
  };
  EXPECT_EQ(open(sealed, "attestry/sealed-value/2", "record"), "the secret");
  EXPECT_EQ(open(sealed, "another", "record"), "crypto");
  EXPECT_EQ(open(sealed, "attestry/sealed-value/2", "another"), "crypto");
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    EXPECT_EQ(open(base::ByteView{sealed}.first(i), "attestry/sealed-value/2", "record"), "crypto") << i;
  }
}

TEST(ChaCha20Poly1305, KnownAnswer) {
  const base::Bytes key = unhex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
  const base::Bytes nonce = unhex("070000004041424344454647");
  const base::Bytes aad = unhex("50515253c0c1c2c3c4c5c6c7");
  const std::string text =
      "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be "
      "it.";
  const auto sealed = chacha20poly1305_seal(key, nonce, base::as_bytes(text), aad);
  ASSERT_TRUE(sealed.ok());
  EXPECT_EQ(base::hex(base::ByteView{*sealed}.first(16)), "d31a8d34648e60db7b86afbc53ef7ec2");
  EXPECT_EQ(base::hex(base::ByteView{*sealed}.last(16)), "1ae10b594f09e26a7e902ecbd0600691");
  EXPECT_EQ(base::as_text(chacha20poly1305_open(key, nonce, *sealed, aad)->reveal()), text);
  EXPECT_FALSE(chacha20poly1305_open(key, nonce, *sealed, {}).ok());
  EXPECT_FALSE(aes256gcm_open(key, nonce, *sealed, aad).ok());
}

}  // namespace
}  // namespace attestry::crypto
