#include "crypto/hash.h"

#include <gtest/gtest.h>

#include "base/encoding.h"

namespace attestry::crypto {
namespace {

using base::as_bytes;
using base::hex;

base::Bytes unhex(std::string_view text) { return base::hex_decode(text).value(); }

TEST(Hash, APrefixAndAllInOnePass) {
  const base::Bytes data(300, 0x5a);
  for (const std::size_t size : {0u, 1u, 63u, 64u, 65u, 200u, 300u}) {
    for (std::size_t prefix = 0; prefix <= size; prefix += 1 + size / 9) {
      const base::ByteView all = base::ByteView(data).first(size);
      const Sha256Pair pair = sha256_with_prefix(all, prefix);
      EXPECT_EQ(pair.whole, sha256(all));
      EXPECT_EQ(pair.prefix, sha256(all.first(prefix)));
    }
  }
}

TEST(Hash, KnownAnswersOfFips180) {
  EXPECT_EQ(hex(sha256(as_bytes("abc"))), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex(sha256(base::ByteView{})), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hex(sha384(as_bytes("abc"))),
            "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7");
  EXPECT_EQ(hex(sha512(as_bytes("abc"))),
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
            "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
}

TEST(Hash, PartsHashLikeTheirConcatenation) {
  EXPECT_EQ(sha256({as_bytes("a"), as_bytes(""), as_bytes("bc")}), sha256(as_bytes("abc")));
  EXPECT_EQ(sha384({as_bytes("ab"), as_bytes("c")}), sha384(as_bytes("abc")));
  EXPECT_EQ(sha256(std::initializer_list<base::ByteView>{}), sha256(base::ByteView{}));
}

TEST(Hmac, Rfc4231) {
  EXPECT_EQ(hex(hmac_sha256(base::Bytes(20, 0x0b), as_bytes("Hi There"))),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(hex(hmac_sha256(as_bytes("Jefe"), as_bytes("what do ya want for nothing?"))),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(
      hex(hmac_sha256(base::Bytes(131, 0xaa), as_bytes("Test Using Larger Than Block-Size Key - Hash Key First"))),
      "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(Hkdf, Rfc5869Case1) {
  const base::Bytes ikm(22, 0x0b);
  const base::Bytes salt = unhex("000102030405060708090a0b0c");
  const base::Bytes info = unhex("f0f1f2f3f4f5f6f7f8f9");
  const std::string okm = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865";
  EXPECT_EQ(hex(hkdf_sha256(salt, ikm, info, 42).reveal()), okm);
  const base::Bytes prk = unhex("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5");
  EXPECT_EQ(hex(hkdf_expand_sha256(prk, info, 42).reveal()), okm);
}

TEST(Hkdf, Rfc5869Case3WithoutSaltAndInfo) {
  EXPECT_EQ(hex(hkdf_sha256({}, base::Bytes(22, 0x0b), {}, 42).reveal()),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

TEST(HkdfDeathTest, RefusesMoreThanTheStandardAllows) {
  EXPECT_DEATH((void)hkdf_sha256({}, as_bytes("key"), {}, 255 * 32 + 1), "HKDF");
}

TEST(Scrypt, Rfc7914) {
  EXPECT_EQ(hex(scrypt(as_bytes(""), as_bytes(""), 16, 1, 1, 64)->reveal()),
            "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442"
            "fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906");
  EXPECT_EQ(hex(scrypt(as_bytes("password"), as_bytes("NaCl"), 1024, 8, 16, 64)->reveal()),
            "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"
            "2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640");
}

TEST(Scrypt, UsesMoreThanTheLibrarysOwnMemoryLimit) {
  EXPECT_TRUE(scrypt(as_bytes("pleaseletmein"), as_bytes("SodiumChloride"), 1 << 16, 8, 1, 32).ok());
}

TEST(Scrypt, RefusesParametersOutOfRange) {
  for (const auto& [n, r, p] :
       std::initializer_list<std::tuple<std::uint64_t, std::uint32_t, std::uint32_t>>{{0, 8, 1},
                                                                                      {1, 8, 1},
                                                                                      {1000, 8, 1},
                                                                                      {1024, 0, 1},
                                                                                      {1024, 8, 0},
                                                                                      {1024, 8, 2000},
                                                                                      {1ULL << 40, 8, 1},
                                                                                      {1ULL << 63, 1024, 1}}) {
    const auto out = scrypt(as_bytes("x"), as_bytes("y"), n, r, p, 32);
    ASSERT_FALSE(out.ok());
    EXPECT_EQ(out.error().code, base::Code::malformed);
  }
}

}  // namespace
}  // namespace attestry::crypto
