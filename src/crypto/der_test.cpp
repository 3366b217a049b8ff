#include <gtest/gtest.h>

#include "base/encoding.h"
#include "crypto/internal/testing.h"
#include "crypto/x509.h"

namespace attestry::crypto {
namespace {

using base::as_bytes;
using base::hex;

TEST(Der, LengthsAreMinimal) {
  EXPECT_EQ(hex(der::octet_string({})), "0400");
  EXPECT_EQ(hex(base::ByteView(der::octet_string(base::Bytes(127))).first(2)), "047f");
  EXPECT_EQ(hex(base::ByteView(der::octet_string(base::Bytes(128))).first(3)), "048180");
  EXPECT_EQ(hex(base::ByteView(der::octet_string(base::Bytes(255))).first(3)), "0481ff");
  EXPECT_EQ(hex(base::ByteView(der::octet_string(base::Bytes(256))).first(4)), "04820100");
  EXPECT_EQ(hex(base::ByteView(der::octet_string(base::Bytes(65536))).first(5)), "0483010000");
}

TEST(Der, Integers) {
  EXPECT_EQ(hex(der::integer(0)), "020100");
  EXPECT_EQ(hex(der::integer(127)), "02017f");
  EXPECT_EQ(hex(der::integer(128)), "02020080");
  EXPECT_EQ(hex(der::integer(256)), "02020100");
  EXPECT_EQ(hex(der::integer(UINT64_MAX)), "020900ffffffffffffffff");
}

TEST(Der, ObjectIdentifiers) {
  EXPECT_EQ(hex(der::oid("2.5.29.15")), "0603551d0f");
  EXPECT_EQ(hex(der::oid("1.2.840.113741.1.13.1")), "06092a864886f84d010d01");
  EXPECT_EQ(hex(der::oid("2.999")), "06028837");
  EXPECT_EQ(hex(der::oid("0.0")), "060100");
  for (const char* bad : {"", "1", "1.", ".1", "1..2", "1.2.", "3.1", "0.40", "1.40.1", "1.2.x", "1.2 .3", "-1.2",
                          "1.2.99999999999999999999"}) {
    EXPECT_TRUE(der::oid(bad).empty()) << bad;
  }
}

TEST(Der, Names) {
  EXPECT_EQ(hex(der::name({{"2.5.4.3", "Ab", true}, {"2.5.4.6", "DE", false}})),
            "301a310b300906035504031302"
            "4162310b300906035504060c024445");
}

TEST(Der, BasicConstraints) {
  EXPECT_EQ(hex(der::basic_constraints(false, std::nullopt)), "3000");
  EXPECT_EQ(hex(der::basic_constraints(false, 1)), "3000");
  EXPECT_EQ(hex(der::basic_constraints(true, std::nullopt)), "30030101ff");
  EXPECT_EQ(hex(der::basic_constraints(true, 0)), "30060101ff020100");
}

TEST(Der, KeyUsage) {
  EXPECT_EQ(hex(der::key_usage(der::key_cert_sign | der::crl_sign)), "03020106");
  EXPECT_EQ(hex(der::key_usage(der::digital_signature)), "03020780");
  EXPECT_EQ(hex(der::key_usage(der::digital_signature | der::non_repudiation)), "030206c0");
  EXPECT_EQ(hex(der::key_usage(0)), "030100");
}

TEST(Der, KeyIdentifiersAreTheHashOfTheKeyBits) {
  const base::Bytes spki = internal::test_key(Curve::p256, "k").public_key().spki();
  const base::Bytes subject = der::subject_key_id(spki);
  const base::Bytes authority = der::authority_key_id(spki);
  ASSERT_EQ(subject.size(), 22U);
  ASSERT_EQ(authority.size(), 24U);
  EXPECT_EQ(hex(base::ByteView(authority).first(4)), "30168014");
  EXPECT_TRUE(base::equal(base::ByteView(subject).subspan(2), base::ByteView(authority).subspan(4)));
  EXPECT_NE(subject, der::subject_key_id(internal::test_key(Curve::p256, "other").public_key().spki()));
}

TEST(Der, AlternativeNamesAndUsagesAndPoints) {
  EXPECT_EQ(hex(der::subject_alt_name({"a.b"}, {"u:x"}, {{127, 0, 0, 1}})), "30108203612e628603753a7887047f000001");
  EXPECT_EQ(hex(der::extended_key_usage({"1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"})),
            "301406082b0601050507030106082b06010505070302");
  EXPECT_EQ(hex(der::crl_distribution_point("u:x")), "300b3009a007a0058603753a78");
  EXPECT_EQ(hex(der::crl_number(300)), "0202012c");
}

}  // namespace
}  // namespace attestry::crypto
