#include "curves/ethereum_signature.h"

#include <gtest/gtest.h>

#include "base/encoding.h"
#include "curves/keccak.h"

namespace attestry::curves {
namespace {

using base::as_bytes;

base::Bytes unhex(std::string_view text) { return base::hex_decode(text).value(); }

base::Digest32 digest(std::string_view text) {
  base::Digest32 out{};
  std::ranges::copy(unhex(text), out.begin());
  return out;
}

// docs/formats/keymanager.md: the master key 46 x 32 on the digest of the second generation's attestation.
constexpr std::string_view kDigest = "ad703ea2ae917ba810534508858d66a2562b4da2cc5938a06714c398a1f42ca4";
constexpr std::string_view kVrs =
    "1cb01492701a3a36a4997c02772cf57e10ed5d3e1bf61351493b8793859dc5135e7adcad5993ae4d05cde18d421863cd9cf8f1b186a8db32aa"
    "0bcfa940ac26d9b3";

class EthereumSignature : public ::testing::Test {
 protected:
  Secp256k1PrivateKey key_ = Secp256k1PrivateKey::from_scalar(base::Bytes(32, 0x46)).value();
  Address address_ = ethereum_address(key_.public_key_raw());
  base::Error refused(base::ByteView signature) {
    const auto signer = ethereum_signer(digest(kDigest), signature, SignatureLayout::vrs);
    EXPECT_FALSE(signer.ok());
    return signer.ok() ? base::Error{} : signer.error();
  }
};

TEST_F(EthereumSignature, KnownAnswerInBothLayouts) {
  EXPECT_EQ(address_checksum_text(address_), "0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F");
  const auto vrs = ethereum_sign(key_, digest(kDigest), SignatureLayout::vrs).value();
  EXPECT_EQ(base::hex(vrs), kVrs);
  const auto rsv = ethereum_sign(key_, digest(kDigest), SignatureLayout::rsv).value();
  EXPECT_EQ(base::hex(rsv), std::string{kVrs.substr(2)} + "1c");
  EXPECT_EQ(ethereum_signer(digest(kDigest), vrs, SignatureLayout::vrs).value(), address_);
  EXPECT_EQ(ethereum_signer(digest(kDigest), rsv, SignatureLayout::rsv).value(), address_);
}

TEST_F(EthereumSignature, TheOrderOfFieldsCounts) {
  const auto rsv = ethereum_sign(key_, digest(kDigest), SignatureLayout::rsv).value();
  EXPECT_EQ(refused(rsv).expected, "v of 27 or 28");
}

TEST_F(EthereumSignature, OtherSizesAreRefused) {
  const base::Bytes good = unhex(kVrs);
  for (std::size_t size = 0; size < 70; ++size) {
    if (size == good.size()) continue;
    base::Bytes other = good;
    other.resize(size);
    EXPECT_EQ(refused(other).expected, "65 bytes");
  }
}

TEST_F(EthereumSignature, OtherValuesOfVAreRefused) {
  base::Bytes signature = unhex(kVrs);
  for (unsigned v = 0; v < 256; ++v) {
    if (v == 27 || v == 28) continue;
    signature[0] = static_cast<std::uint8_t>(v);
    EXPECT_EQ(refused(signature).expected, "v of 27 or 28");
  }
  signature[0] = 27;  // the other of the two points: somebody else's signature, or nobody's
  const auto other = ethereum_signer(digest(kDigest), signature, SignatureLayout::vrs);
  EXPECT_TRUE(!other.ok() || *other != address_);
}

// s and n - s are both signatures to the curve; only the low one is taken.
TEST_F(EthereumSignature, AHighSIsRefused) {
  const std::string high =
      "1b" + std::string{kVrs.substr(2, 64)} + "852352a66c51b2fa321e72bde79c3261c1bd2b60066d6d91b402b54c240f678e";
  EXPECT_EQ(refused(unhex(high)).expected, "s of at most half the order of the curve");
}

TEST_F(EthereumSignature, ZerosAreNobodysSignature) {
  base::Bytes zeros(65, 0);
  zeros[0] = 27;
  EXPECT_EQ(refused(zeros).code, base::Code::malformed);
  EXPECT_EQ(refused(zeros).expected, "r and s of a signature that some key made");
}

TEST_F(EthereumSignature, MessagesAreHashedWithTheirSizeInDecimal) {
  const std::string wallet =
      "\x19"
      "Ethereum Signed Message:\n5hello";
  EXPECT_EQ(ethereum_message_digest(as_bytes("hello")), keccak256(as_bytes(wallet)));
  // The known answer of web3's documentation for personal messages: "Some data".
  EXPECT_EQ(base::hex(ethereum_message_digest(as_bytes("Some data"))),
            "1da44b586eb0729ff70a73c326926f6ed5a25f5b056e7f47fbc6e58d86871655");
}

}  // namespace
}  // namespace attestry::curves
