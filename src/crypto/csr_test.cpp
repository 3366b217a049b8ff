#include <gtest/gtest.h>

#include "base/encoding.h"
#include "crypto/internal/testing.h"
#include "crypto/x509.h"

namespace attestry::crypto {
namespace {

using internal::test_key;

class CsrOf : public testing::TestWithParam<Curve> {
 protected:
  EcPrivateKey key_ = test_key(GetParam(), "csr");
  base::Bytes der_ = make_csr(key_, "instance-1").value();
};
INSTANTIATE_TEST_SUITE_P(All, CsrOf, testing::Values(Curve::p256, Curve::p384, Curve::p521));

TEST_P(CsrOf, GivesItsKey) {
  const auto csr = parse_csr(der_);
  ASSERT_TRUE(csr.ok()) << csr.error().text();
  EXPECT_EQ(csr->spki, key_.public_key().spki());
  EXPECT_EQ(csr->key.raw(), key_.public_key().raw());
}

TEST_P(CsrOf, PemIsTheSame) {
  for (const char* label : {"CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"}) {
    const auto csr = parse_csr(base::as_bytes(base::pem_encode(label, der_)));
    ASSERT_TRUE(csr.ok()) << csr.error().text();
    EXPECT_EQ(csr->spki, key_.public_key().spki());
  }
  const std::string one = base::pem_encode("CERTIFICATE REQUEST", der_);
  EXPECT_FALSE(parse_csr(base::as_bytes(base::pem_encode("CERTIFICATE", der_))).ok());
  EXPECT_FALSE(parse_csr(base::as_bytes(one + one)).ok());
  EXPECT_FALSE(parse_csr(base::as_bytes("garbage")).ok());
  EXPECT_FALSE(parse_csr({}).ok());
}

TEST_P(CsrOf, EveryTruncationIsRefused) {
  for (std::size_t size = 0; size < der_.size(); ++size) {
    const base::Bytes cut(der_.begin(), der_.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_FALSE(parse_csr(cut).ok()) << size;
  }
  base::Bytes longer = der_;
  longer.push_back(0);
  EXPECT_FALSE(parse_csr(longer).ok());
}

TEST_P(CsrOf, EveryFlippedByteIsRefused) {
  for (std::size_t i = 0; i < der_.size(); ++i) {
    base::Bytes wrong = der_;
    wrong[i] ^= 0x01;
    EXPECT_FALSE(parse_csr(wrong).ok()) << i;
  }
}

TEST_P(CsrOf, AKeyThatDidNotSignIsRefused) {
  const EcPrivateKey other = test_key(GetParam(), "somebody else");
  const base::Bytes empty = der::tlv(0xa0, {});
  const base::Bytes content = der::sequence({der::integer(0), der::name({}), other.public_key().spki(), empty});
  EXPECT_FALSE(parse_csr(internal::sign_by_hand(content, key_)).ok());
}

TEST_P(CsrOf, ACommonNameIsOptional) { EXPECT_TRUE(parse_csr(make_csr(key_, "").value()).ok()); }

TEST(Csr, AttributesMayBeAnythingOrAbsentButTheVersionMayNot) {
  const EcPrivateKey key = test_key(Curve::p256, "csr");
  const base::Bytes spki = key.public_key().spki();
  const auto accepts = [&](std::uint64_t version, const base::Bytes& attributes) {
    const base::Bytes content = der::sequence({der::integer(version), der::name({}), spki, attributes});
    return parse_csr(internal::sign_by_hand(content, key)).ok();
  };
  EXPECT_TRUE(accepts(0, {}));
  EXPECT_TRUE(accepts(0, der::tlv(0xa0, der::sequence({der::oid("1.2.840.113549.1.9.14")}))));
  EXPECT_FALSE(accepts(0, der::tlv(0xa1, {})));
  EXPECT_FALSE(accepts(1, {}));
}

}  // namespace
}  // namespace attestry::crypto
