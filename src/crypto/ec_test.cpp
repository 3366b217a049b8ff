#include "crypto/ec.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/encoding.h"
#include "crypto/hash.h"
#include "crypto/scalar.h"

namespace attestry::crypto {
namespace {

using base::as_bytes;
using base::hex;

base::Bytes unhex(std::string_view text) { return base::hex_decode(text).value(); }

const char* const kP256Order = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
const char* const kP384Order =
    "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973";
const char* const kP521Order =
    "01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa"
    "51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409";

// RFC 6979 A.2.5 to A.2.7.
const char* const kP256Scalar = "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721";
const char* const kP256Public =
    "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
    "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299";
const char* const kP384Scalar =
    "6b9d3dad2e1b8c1c05b19875b6659f4de23c3b667bf297ba9aa47740787137d896d5724e4c70a825f872c9ea60d2edf5";
const char* const kP521Scalar =
    "00fad06daa62ba3b25d2fb40133da757205de67f5bb0018fee8c86e1b68c7e75caa896eb32f1f47c70855836a6d16fcc1466f6d8fbec67db89"
    "ec0c08b0e996b83538";
const char* const kP521Public =
    "01894550d0785932e00eaa23b694f213f8c3121f86dc97a04e5a7167db4e5bcd371123d46e45db6b5d5370a7f20fb633155d38ffa16d2bd761"
    "dcac474b9a2f5023a4"
    "00493101c962cd4d2fddf782285e64584139c2f91b47f87ff82354d6630f746a28a0db25741b5b34a828008b22acc23f924faafbd4d33f81ea"
    "66956dfeaa2bfdfcf5";

base::Bytes order(Curve curve) {
  switch (curve) {
    case Curve::p256:
      return unhex(kP256Order);
    case Curve::p384:
      return unhex(kP384Order);
    case Curve::p521:
      return unhex(kP521Order);
  }
  return {};
}

TEST(Ecdsa, Rfc6979DeterministicP256) {
  const auto key = EcPrivateKey::from_scalar(Curve::p256, unhex(kP256Scalar));
  ASSERT_TRUE(key.ok());
  EXPECT_EQ(hex(key->public_key().raw()), kP256Public);
  EXPECT_EQ(hex(key->sign_raw(as_bytes("sample"), true)),
            "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
            "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8");
  EXPECT_EQ(hex(key->sign_raw(as_bytes("test"), true)),
            "f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367"
            "019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083");
}

TEST(Ecdsa, Rfc6979DeterministicP384) {
  const auto key = EcPrivateKey::from_scalar(Curve::p384, unhex(kP384Scalar));
  ASSERT_TRUE(key.ok());
  EXPECT_EQ(hex(key->sign_raw(as_bytes("sample"), true)),
            "94edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa73d64c4ea95ad133c81a648152e44acf96e36dd1e80fabe46"
            "99ef4aeb15f178cea1fe40db2603138f130e740a19624526203b6351d0a3a94fa329c145786e679e7b82c71a38628ac8");
}

TEST(Ecdsa, Rfc6979DeterministicP521) {
  const auto key = EcPrivateKey::from_scalar(Curve::p521, unhex(kP521Scalar));
  ASSERT_TRUE(key.ok());
  EXPECT_EQ(hex(key->public_key().raw()), kP521Public);
  EXPECT_EQ(hex(key->sign_raw(as_bytes("sample"), true)),
            "00c328fafcbd79dd77850370c46325d987cb525569fb63c5d3bc53950e6d4c5f174e25a1ee9017b5d450606add152b534931d7d4e8"
            "455cc91f9b15bf05ec36e377fa"
            "00617cce7cf5064806c467f678d3b4080d6f1cc50af26ca209417308281b68af282623eaa63e5b5c0723d8b8c37ff0777b1a20f8cc"
            "b1dccc43997f1ee0e44da4a67a");
  EXPECT_EQ(hex(key->sign_raw(as_bytes("test"), true)),
            "013e99020abf5cee7525d16b69b229652ab6bdf2affcaef38773b4b7d08725f10cdb93482fdcc54edcee91eca4166b2a7c6265ef0c"
            "e2bd7051b7cef945babd47ee6d"
            "01fbd0013c674aa79cb39849527916ce301c66ea7ce8b80682786ad60f98f7e78a19ca69eff5c57400e3b3a0ad66ce0978214d13ba"
            "f4e9ac60752f7b155e2de4dce3");
}

// The same section with SHA-256, which administrators of the registry's first version sign.
TEST(Ecdsa, Rfc6979P521OverAShorterDigest) {
  const auto key = EcPublicKey::from_raw(Curve::p521, unhex(kP521Public));
  ASSERT_TRUE(key.ok());
  base::Bytes signature = unhex(
      "308187024201511bb4d675114fe266fc4372b87682baecc01d3cc62cf2303c92b3526012659d16876e25c7c1e57648f23b73564d67f61c6f"
      "14d527d54972810421e7d87589e1a702414a171143a83163d6df460aaf61522695f207a58b95c0644d87e52aa1a347916e4f7a72930b1bc0"
      "6dbe22ce3f58264afd23704cbb63b29b931f7de6c9d949a7ecfc");
  const Sha256Digest digest = sha256(as_bytes("sample"));
  EXPECT_TRUE(key->verify_digest_der(digest, signature));
  EXPECT_FALSE(key->verify_digest_der(sha256(as_bytes("test")), signature));
  EXPECT_FALSE(key->verify_digest_der(base::ByteView(digest).first(31), signature));
  EXPECT_FALSE(key->verify_der(as_bytes("sample"), signature)) << "the curve's own hash is SHA-512";
  signature.back() ^= 1;
  EXPECT_FALSE(key->verify_digest_der(digest, signature));
}

// RFC 5903 8.3.
TEST(KeyAgreement, Rfc5903P521) {
  const auto i = EcPrivateKey::from_scalar(
      Curve::p521, unhex("0037ade9319a89f4dabdb3ef411aaccca5123c61acab57b5393dce47608172a095aa85a30fe1c2952c6771d937ba"
                         "9777f5957b2639bab072462f68c27a57382d4a52"));
  const auto r = EcPrivateKey::from_scalar(
      Curve::p521, unhex("0145ba99a847af43793fdd0e872e7cdfa16be30fdc780f97bccc3f078380201e9c677d600b343757a3bdbf2a3163"
                         "e4c2f869cca7458aa4a4effc311f5cb151685eb9"));
  ASSERT_TRUE(i.ok() && r.ok());
  EXPECT_EQ(hex(r->public_key().raw()),
            "00d0b3975ac4b799f5bea16d5e13e9af971d5e9b984c9f39728b5e5739735a219b97c356436adc6e95bb0352f6be64a6c2912d4ef2"
            "d0433ced2b6171640012d9460f"
            "015c68226383956e3bd066e797b623c27ce0eac2f551a10c2c724d9852077b87220b6536c5c408a1d2aebb8e86d678ae49cb57091f"
            "4732296579ab44fcd17f0fc56a");
  for (const auto& x : {i->agree(r->public_key()), r->agree(i->public_key())}) {
    ASSERT_TRUE(x.ok());
    EXPECT_EQ(hex(x->reveal()),
              "01144c7d79ae6956bc8edb8e7c787c4521cb086fa64407f97894e5e6b2d79b04d1427e73ca4baa240a34786859810c06b3c715a3"
              "a8cc3151f2bee417996d19f3ddea");
  }
}

class EcCurve : public testing::TestWithParam<Curve> {
 protected:
  std::size_t size() const { return field_size(GetParam()); }
  EcPrivateKey key_ = EcPrivateKey::generate(GetParam(), system_random());
};
INSTANTIATE_TEST_SUITE_P(All, EcCurve, testing::Values(Curve::p256, Curve::p384, Curve::p521));

TEST_P(EcCurve, SignaturesVerifyInBothForms) {
  const EcPublicKey key = key_.public_key();
  for (const bool deterministic : {false, true}) {
    EXPECT_TRUE(key.verify_raw(as_bytes("m"), key_.sign_raw(as_bytes("m"), deterministic)));
    EXPECT_TRUE(key.verify_der(as_bytes("m"), key_.sign_der(as_bytes("m"), deterministic)));
    EXPECT_FALSE(key.verify_raw(as_bytes("n"), key_.sign_raw(as_bytes("m"), deterministic)));
    EXPECT_FALSE(key.verify_der(as_bytes("n"), key_.sign_der(as_bytes("m"), deterministic)));
  }
  EXPECT_EQ(key_.sign_der(as_bytes("m"), true), key_.sign_der(as_bytes("m"), true));
  EXPECT_NE(key_.sign_raw(as_bytes("m")), key_.sign_raw(as_bytes("m")));
}

TEST_P(EcCurve, OtherKeysDoNotVerify) {
  const EcPublicKey other = EcPrivateKey::generate(GetParam(), system_random()).public_key();
  EXPECT_FALSE(other.verify_raw(as_bytes("m"), key_.sign_raw(as_bytes("m"))));
}

TEST_P(EcCurve, EveryFlippedBitIsRefused) {
  const EcPublicKey key = key_.public_key();
  const base::Bytes raw = key_.sign_raw(as_bytes("m"), true);
  const base::Bytes der = key_.sign_der(as_bytes("m"), true);
  for (std::size_t i = 0; i < raw.size(); ++i) {
    base::Bytes wrong = raw;
    wrong[i] ^= static_cast<std::uint8_t>(1U << (i % 8));
    EXPECT_FALSE(key.verify_raw(as_bytes("m"), wrong)) << i;
  }
  for (std::size_t i = 0; i < der.size(); ++i) {
    base::Bytes wrong = der;
    wrong[i] ^= static_cast<std::uint8_t>(1U << (i % 8));
    EXPECT_FALSE(key.verify_der(as_bytes("m"), wrong)) << i;
  }
}

TEST_P(EcCurve, WrongSizesAreRefused) {
  const EcPublicKey key = key_.public_key();
  base::Bytes raw = key_.sign_raw(as_bytes("m"));
  EXPECT_FALSE(key.verify_raw(as_bytes("m"), {}));
  EXPECT_FALSE(key.verify_raw(as_bytes("m"), base::ByteView(raw).first(raw.size() - 1)));
  raw.push_back(0);
  EXPECT_FALSE(key.verify_raw(as_bytes("m"), raw));
  base::Bytes der = key_.sign_der(as_bytes("m"));
  EXPECT_FALSE(key.verify_der(as_bytes("m"), {}));
  EXPECT_FALSE(key.verify_der(as_bytes("m"), base::ByteView(der).first(der.size() - 1)));
  der.push_back(0);
  EXPECT_FALSE(key.verify_der(as_bytes("m"), der));
}

// FIPS 186-5 6.4.2: r and s lie in [1, n-1]; a value that is right modulo n must not pass.
TEST_P(EcCurve, ScalarsOutOfRangeAreRefused) {
  const EcPublicKey key = key_.public_key();
  const base::Bytes good = key_.sign_raw(as_bytes("m"));
  const base::Bytes zero(size(), 0);
  const base::Bytes n = order(GetParam());
  const base::Bytes ones(size(), 0xff);
  for (const base::Bytes& bad : {zero, n, ones}) {
    for (const std::size_t at : {std::size_t{0}, size()}) {
      base::Bytes wrong = good;
      std::ranges::copy(bad, wrong.begin() + static_cast<std::ptrdiff_t>(at));
      EXPECT_FALSE(key.verify_raw(as_bytes("m"), wrong));
    }
  }
  EXPECT_FALSE(key.verify_raw(as_bytes("m"), base::Bytes(2 * size(), 0)));
}

TEST_P(EcCurve, TheOtherHalfOfSIsAcceptedBecauseEcdsaSaysSo) {
  const base::Bytes good = key_.sign_raw(as_bytes("m"));
  const base::Bytes n = order(GetParam());
  base::Bytes mirrored = good;
  int borrow = 0;
  for (std::size_t i = size(); i-- > 0;) {
    const int difference = n[i] - good[size() + i] - borrow;
    borrow = difference < 0 ? 1 : 0;
    mirrored[size() + i] = static_cast<std::uint8_t>(difference & 0xff);
  }
  ASSERT_NE(mirrored, good);
  EXPECT_TRUE(key_.public_key().verify_raw(as_bytes("m"), mirrored));
}

TEST_P(EcCurve, PublicKeysRoundTrip) {
  const EcPublicKey key = key_.public_key();
  const auto raw = EcPublicKey::from_raw(GetParam(), key.raw());
  const auto spki = EcPublicKey::from_spki(key.spki());
  ASSERT_TRUE(raw.ok());
  ASSERT_TRUE(spki.ok());
  EXPECT_EQ(raw->raw(), key.raw());
  EXPECT_EQ(spki->raw(), key.raw());
  EXPECT_EQ(spki->curve(), GetParam());
  EXPECT_EQ(key.spki().size(), GetParam() == Curve::p256 ? 91U : GetParam() == Curve::p384 ? 120U : 158U);
}

TEST_P(EcCurve, PointsOffTheCurveAreRefused) {
  base::Bytes raw = key_.public_key().raw();
  raw.back() ^= 1;
  EXPECT_FALSE(EcPublicKey::from_raw(GetParam(), raw).ok());
  EXPECT_FALSE(EcPublicKey::from_raw(GetParam(), base::Bytes(2 * size(), 0)).ok());
  EXPECT_FALSE(EcPublicKey::from_raw(GetParam(), base::Bytes(2 * size(), 0xff)).ok());
  EXPECT_FALSE(EcPublicKey::from_raw(GetParam(), base::ByteView(raw).first(size())).ok());
  EXPECT_FALSE(EcPublicKey::from_raw(GetParam(), {}).ok());
  for (const Curve other : {Curve::p256, Curve::p384, Curve::p521}) {
    EXPECT_EQ(EcPublicKey::from_raw(other, key_.public_key().raw()).ok(), other == GetParam());
    EXPECT_EQ(EcPublicKey::from_point(other, key_.public_key().point()).ok(), other == GetParam());
  }
}

TEST_P(EcCurve, EveryDamagedSpkiIsRefused) {
  const base::Bytes good = key_.public_key().spki();
  for (std::size_t i = 0; i < good.size(); ++i) {
    base::Bytes wrong = good;
    wrong[i] ^= 0x10;
    EXPECT_FALSE(EcPublicKey::from_spki(wrong).ok()) << i;
    EXPECT_FALSE(EcPublicKey::from_spki(base::ByteView(good).first(i)).ok()) << i;
  }
  base::Bytes longer = good;
  longer.push_back(0);
  EXPECT_FALSE(EcPublicKey::from_spki(longer).ok());
}

TEST_P(EcCurve, PrivateKeysRoundTrip) {
  const auto scalar = EcPrivateKey::from_scalar(GetParam(), key_.scalar().reveal());
  const auto pkcs8 = EcPrivateKey::from_pkcs8(key_.pkcs8().reveal());
  ASSERT_TRUE(scalar.ok());
  ASSERT_TRUE(pkcs8.ok());
  EXPECT_EQ(scalar->public_key().raw(), key_.public_key().raw());
  EXPECT_EQ(pkcs8->public_key().raw(), key_.public_key().raw());
  EXPECT_EQ(pkcs8->curve(), GetParam());
  EXPECT_EQ(key_.scalar().size(), size());
}

TEST_P(EcCurve, ScalarsOutsideTheGroupAreRefused) {
  EXPECT_FALSE(EcPrivateKey::from_scalar(GetParam(), base::Bytes(size(), 0)).ok());
  EXPECT_FALSE(EcPrivateKey::from_scalar(GetParam(), order(GetParam())).ok());
  EXPECT_FALSE(EcPrivateKey::from_scalar(GetParam(), base::Bytes(size(), 0xff)).ok());
  EXPECT_FALSE(EcPrivateKey::from_scalar(GetParam(), base::Bytes(size() - 1, 1)).ok());
  base::Bytes last = order(GetParam());
  last.back() -= 1;
  EXPECT_TRUE(EcPrivateKey::from_scalar(GetParam(), last).ok());
}

TEST_P(EcCurve, DamagedPkcs8IsRefused) {
  const Secret good = key_.pkcs8();
  for (std::size_t i = 0; i < good.size(); ++i) EXPECT_FALSE(EcPrivateKey::from_pkcs8(good.reveal().first(i)).ok());
  base::Bytes longer = base::to_bytes(good.reveal());
  longer.push_back(0);
  EXPECT_FALSE(EcPrivateKey::from_pkcs8(longer).ok());
  EXPECT_FALSE(EcPrivateKey::from_pkcs8(as_bytes("not a key")).ok());
}

TEST_P(EcCurve, FromWideIsModuloOrderMinusOnePlusOne) {
  const std::size_t wide_size = GetParam() == Curve::p256 ? 48 : GetParam() == Curve::p384 ? 56 : 74;
  base::Bytes one(size(), 0);
  one.back() = 1;
  EXPECT_EQ(hex(EcPrivateKey::from_wide(GetParam(), base::Bytes(wide_size, 0))->scalar().reveal()), hex(one));
  base::Bytes wide(wide_size - size(), 0);
  base::append(wide, order(GetParam()));
  wide.back() -= 1;  // n - 1, which is 0 modulo n - 1
  EXPECT_EQ(hex(EcPrivateKey::from_wide(GetParam(), wide)->scalar().reveal()), hex(one));
  wide.back() -= 1;  // n - 2, the largest remainder
  base::Bytes largest = order(GetParam());
  largest.back() -= 1;
  EXPECT_EQ(hex(EcPrivateKey::from_wide(GetParam(), wide)->scalar().reveal()), hex(largest));
  EXPECT_FALSE(EcPrivateKey::from_wide(GetParam(), base::Bytes(wide_size - 1, 1)).ok());
  EXPECT_FALSE(EcPrivateKey::from_wide(GetParam(), base::Bytes(wide_size + 1, 1)).ok());
}

TEST(Scalar, ReductionMatchesArithmetic) {
  // 2^384 - 1 (2^448 - 1, 2^592 - 1) modulo n - 1 plus 1, computed with arbitrary-precision arithmetic elsewhere.
  EXPECT_EQ(hex(scalar_from_wide(base::Bytes(48, 0xff), unhex(kP256Order)).reveal()),
            "431905529c0166ce652e96b7ccca0a9a679b73e29ad16947f01cf012fc632550");
  EXPECT_EQ(hex(scalar_from_wide(base::Bytes(56, 0xff), unhex(kP384Order)).reveal()),
            "00000000000000000000000000000000389cb27e0bc8d220a7e5f24db74f58851313e695333ad68e0000000000000000");
  EXPECT_EQ(hex(scalar_from_wide(base::Bytes(74, 0xff), unhex(kP521Order)).reveal()),
            "00000000000000000000000000000000000000000000000002d73cbc3e206834ca4019ff5b847b2d17e2251b23bb31dc28a2482470"
            "b763cdfc000000000000000000");
}

TEST(Ed25519, Rfc8032) {
  const auto key =
      Ed25519PrivateKey::from_seed(unhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"));
  ASSERT_TRUE(key.ok());
  EXPECT_EQ(hex(key->public_key()), "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
  EXPECT_EQ(hex(key->sign({})),
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
            "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b");
  const auto second =
      Ed25519PrivateKey::from_seed(unhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"));
  EXPECT_EQ(hex(second->sign(unhex("72"))),
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
}

TEST(Ed25519, OnlyTheRightSignatureVerifies) {
  const Ed25519PrivateKey key = Ed25519PrivateKey::generate(system_random());
  const auto signature = key.sign(as_bytes("m"));
  EXPECT_TRUE(ed25519_verify(key.public_key(), as_bytes("m"), signature));
  EXPECT_FALSE(ed25519_verify(key.public_key(), as_bytes("n"), signature));
  EXPECT_FALSE(ed25519_verify(base::ByteView(key.public_key()).first(31), as_bytes("m"), signature));
  EXPECT_FALSE(ed25519_verify(key.public_key(), as_bytes("m"), base::ByteView(signature).first(63)));
  EXPECT_FALSE(ed25519_verify(Ed25519PrivateKey::generate(system_random()).public_key(), as_bytes("m"), signature));
  for (std::size_t i = 0; i < signature.size(); ++i) {
    auto wrong = signature;
    wrong[i] ^= 0x04;
    EXPECT_FALSE(ed25519_verify(key.public_key(), as_bytes("m"), wrong));
  }
  EXPECT_FALSE(Ed25519PrivateKey::from_seed(base::Bytes(31, 1)).ok());
  EXPECT_EQ(key.seed().size(), 32U);
}

TEST(X25519, Rfc7748PublicKey) {
  EXPECT_EQ(hex(x25519_public(unhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"))),
            "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
}

TEST(X25519DeathTest, WrongSizeEndsTheProcess) { EXPECT_DEATH((void)x25519_public(base::Bytes(31)), "X25519"); }

}  // namespace
}  // namespace attestry::crypto
