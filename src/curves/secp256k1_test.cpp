#include "curves/secp256k1.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/encoding.h"
#include "crypto/hash.h"
#include "crypto/random.h"

namespace attestry::curves {
namespace {

using base::as_bytes;
using base::hex;

base::Bytes unhex(std::string_view text) { return base::hex_decode(text).value(); }

const char* const kOrder = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";

base::Bytes number(std::uint8_t value) {
  base::Bytes out(32, 0);
  out.back() = value;
  return out;
}

class Secp256k1 : public testing::Test {
 protected:
  Secp256k1PrivateKey key_ = Secp256k1PrivateKey::from_scalar(number(1)).value();
  crypto::Sha256Digest digest_ = crypto::sha256(as_bytes("Satoshi Nakamoto"));
};

TEST_F(Secp256k1, PublicKeyOfOneIsTheGenerator) {
  const std::string x = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
  const std::string y = "483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8";
  EXPECT_EQ(hex(key_.public_key_compressed()), "02" + x);
  EXPECT_EQ(hex(key_.public_key_raw()), x + y);
}

TEST_F(Secp256k1, DeterministicSignature) {
  const auto signature = key_.sign_digest(digest_);
  ASSERT_TRUE(signature.ok());
  EXPECT_EQ(hex(*signature),
            "934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d8"
            "2442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5");
  EXPECT_EQ(*key_.sign_digest(digest_), *signature);
}

TEST_F(Secp256k1, VerifiesUnderBothFormsOfTheKey) {
  const auto signature = key_.sign_digest(digest_).value();
  base::Bytes uncompressed{0x04};
  base::append(uncompressed, key_.public_key_raw());
  EXPECT_TRUE(secp256k1_verify_digest(key_.public_key_compressed(), digest_, signature));
  EXPECT_TRUE(secp256k1_verify_digest(uncompressed, digest_, signature));
  EXPECT_FALSE(secp256k1_verify_digest(key_.public_key_raw(), digest_, signature));
  EXPECT_FALSE(secp256k1_verify_digest({}, digest_, signature));
  const auto other = Secp256k1PrivateKey::from_scalar(number(2)).value();
  EXPECT_FALSE(secp256k1_verify_digest(other.public_key_compressed(), digest_, signature));
}

TEST_F(Secp256k1, AnythingAlteredIsRefused) {
  const auto signature = key_.sign_digest(digest_).value();
  for (std::size_t i = 0; i < signature.size(); ++i) {
    auto wrong = signature;
    wrong[i] ^= 0x01;
    EXPECT_FALSE(secp256k1_verify_digest(key_.public_key_compressed(), digest_, wrong)) << i;
  }
  for (std::size_t i = 0; i < digest_.size(); ++i) {
    auto wrong = digest_;
    wrong[i] ^= 0x01;
    EXPECT_FALSE(secp256k1_verify_digest(key_.public_key_compressed(), wrong, signature)) << i;
  }
  EXPECT_FALSE(secp256k1_verify_digest(key_.public_key_compressed(), digest_, base::ByteView(signature).first(63)));
  EXPECT_FALSE(secp256k1_verify_digest(key_.public_key_compressed(), base::ByteView(digest_).first(31), signature));
}

TEST_F(Secp256k1, ScalarsOutOfRangeInASignatureAreRefused) {
  const auto signature = key_.sign_digest(digest_).value();
  for (const base::Bytes& bad : {base::Bytes(32, 0), unhex(kOrder), base::Bytes(32, 0xff)}) {
    for (const std::ptrdiff_t at : {0, 32}) {
      auto wrong = signature;
      std::ranges::copy(bad, wrong.begin() + at);
      EXPECT_FALSE(secp256k1_verify_digest(key_.public_key_compressed(), digest_, wrong));
    }
  }
}

TEST_F(Secp256k1, TheOtherHalfOfSIsAccepted) {
  auto signature = key_.sign_digest(digest_).value();
  const base::Bytes n = unhex(kOrder);
  int borrow = 0;
  for (std::size_t i = 32; i-- > 0;) {
    const int difference = n[i] - signature[32 + i] - borrow;
    borrow = difference < 0 ? 1 : 0;
    signature[32 + i] = static_cast<std::uint8_t>(difference & 0xff);
  }
  EXPECT_TRUE(secp256k1_verify_digest(key_.public_key_compressed(), digest_, signature));
}

TEST_F(Secp256k1, PrivateScalarsOutOfRangeAreRefused) {
  EXPECT_FALSE(Secp256k1PrivateKey::from_scalar(base::Bytes(32, 0)).ok());
  EXPECT_FALSE(Secp256k1PrivateKey::from_scalar(unhex(kOrder)).ok());
  EXPECT_FALSE(Secp256k1PrivateKey::from_scalar(base::Bytes(31, 1)).ok());
  EXPECT_FALSE(Secp256k1PrivateKey::from_scalar({}).ok());
  EXPECT_FALSE(key_.sign_digest(base::Bytes(31, 1)).ok());
}

TEST_F(Secp256k1, WideBytesAreReducedModuloOrderMinusOnePlusOne) {
  EXPECT_EQ(hex(Secp256k1PrivateKey::from_wide(base::Bytes(48, 0))->scalar().reveal()), hex(number(1)));
  base::Bytes wide(16, 0);
  base::append(wide, unhex(kOrder));
  wide.back() -= 1;  // n - 1
  EXPECT_EQ(hex(Secp256k1PrivateKey::from_wide(wide)->scalar().reveal()), hex(number(1)));
  wide.back() -= 1;  // n - 2
  EXPECT_EQ(hex(Secp256k1PrivateKey::from_wide(wide)->scalar().reveal()),
            "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140");
  // 2^384 - 1, reduced with arbitrary-precision arithmetic elsewhere.
  EXPECT_EQ(hex(Secp256k1PrivateKey::from_wide(base::Bytes(48, 0xff))->scalar().reveal()),
            "4551231950b75fc4402da1732fc9bec14551231950b75fc4402da1732fc9bec0");
  EXPECT_FALSE(Secp256k1PrivateKey::from_wide(base::Bytes(47, 1)).ok());
  EXPECT_FALSE(Secp256k1PrivateKey::from_wide(base::Bytes(49, 1)).ok());
}

TEST_F(Secp256k1, RandomKeysSignAndVerify) {
  crypto::SeededRandom random(as_bytes("secp256k1"));
  for (int i = 0; i < 20; ++i) {
    const auto key = Secp256k1PrivateKey::from_wide(random.bytes<48>()).value();
    const auto digest = random.bytes<32>();
    EXPECT_TRUE(secp256k1_verify_digest(key.public_key_compressed(), digest, key.sign_digest(digest).value()));
  }
}

TEST_F(Secp256k1, ARecoverableSignatureGivesItsKey) {
  crypto::SeededRandom random(as_bytes("recover"));
  for (int i = 0; i < 50; ++i) {
    const auto digest = random.bytes<32>();
    const auto key = Secp256k1PrivateKey::from_wide(random.bytes<48>()).value();
    const auto signature = key.sign_recoverable(digest).value();
    EXPECT_LE(signature[64], 1);
    EXPECT_TRUE(std::equal(signature.begin(), signature.end() - 1, key.sign_digest(digest)->begin()));
    EXPECT_EQ(secp256k1_recover(digest, signature).value(), key.public_key_raw());
    auto other = signature;
    other[64] ^= 1;
    const auto recovered = secp256k1_recover(digest, other);
    EXPECT_TRUE(!recovered.ok() || *recovered != key.public_key_raw());
  }
}

TEST_F(Secp256k1, OtherFormsOfRecoverableSignaturesAreRefused) {
  const auto signature = key_.sign_recoverable(digest_).value();
  for (const std::uint8_t v :
       {std::uint8_t{2}, std::uint8_t{3}, std::uint8_t{27}, std::uint8_t{28}, std::uint8_t{255}}) {
    auto wrong = signature;
    wrong[64] = v;
    EXPECT_FALSE(secp256k1_recover(digest_, wrong).ok()) << int{v};
  }
  EXPECT_FALSE(secp256k1_recover(digest_, base::ByteView(signature).first(64)).ok());
  EXPECT_FALSE(secp256k1_recover(digest_, {}).ok());
  EXPECT_FALSE(secp256k1_recover({}, signature).ok());
  EXPECT_FALSE(secp256k1_recover(digest_, base::Bytes(65, 0)).ok());
  base::Bytes garbage(65, 0xff);
  garbage[64] = 0;
  EXPECT_FALSE(secp256k1_recover(digest_, garbage).ok());
  EXPECT_FALSE(key_.sign_recoverable(base::Bytes(31, 0)).ok());
}

TEST_F(Secp256k1, AddressOfTheGenerator) {
  EXPECT_EQ(address_checksum_text(ethereum_address(key_.public_key_raw())),
            "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf");
}

}  // namespace
}  // namespace attestry::curves
