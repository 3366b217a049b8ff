#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "crypto/hash.h"
#include "crypto/internal/testing.h"
#include "crypto/x509.h"

namespace attestry::crypto {
namespace {

using internal::ca_certificate;
using internal::ca_spec;
using internal::kFrom;
using internal::kUntil;
using internal::sign_by_hand;
using internal::test_key;

class CertificateOf : public testing::TestWithParam<Curve> {
 protected:
  EcPrivateKey key_ = test_key(GetParam(), "root");
  base::Bytes der_ = ca_certificate(key_);
};
INSTANTIATE_TEST_SUITE_P(All, CertificateOf, testing::Values(Curve::p256, Curve::p384, Curve::p521));

TEST_P(CertificateOf, RoundTripsEveryField) {
  const auto parsed = Certificate::parse(der_);
  ASSERT_TRUE(parsed.ok()) << parsed.error().text();
  EXPECT_TRUE(base::equal(parsed->der(), der_));
  EXPECT_EQ(parsed->sha256(), sha256(der_));
  EXPECT_EQ(parsed->subject_cn(), "Test Root");
  EXPECT_EQ(parsed->issuer_cn(), "Test Root");
  EXPECT_TRUE(base::equal(parsed->subject_der(), der::name(ca_spec(key_).subject)));
  EXPECT_TRUE(base::equal(parsed->issuer_der(), parsed->subject_der()));
  EXPECT_THAT(parsed->serial(), testing::ElementsAre(0x00, 0x80, 0x01));
  EXPECT_EQ(parsed->not_before(), kFrom);
  EXPECT_EQ(parsed->not_after(), kUntil);
  EXPECT_TRUE(base::equal(parsed->spki(), key_.public_key().spki()));
  ASSERT_TRUE(parsed->ec_key().has_value());
  EXPECT_EQ(parsed->ec_key()->raw(), key_.public_key().raw());
  EXPECT_TRUE(parsed->has_basic_constraints());
  EXPECT_TRUE(parsed->is_ca());
  EXPECT_EQ(parsed->path_length(), 1U);
  EXPECT_TRUE(parsed->has_key_usage());
  EXPECT_TRUE(parsed->key_usage_cert_sign());
  EXPECT_TRUE(parsed->key_usage_crl_sign());
  EXPECT_FALSE(parsed->key_usage_digital_signature());
  EXPECT_THAT(parsed->unknown_critical_extensions(), testing::IsEmpty());
  ASSERT_TRUE(parsed->extension("1.2.840.113741.1.13.1").has_value());
  EXPECT_TRUE(base::equal(*parsed->extension("1.2.840.113741.1.13.1"), der::sequence({der::integer(7)})));
  EXPECT_FALSE(parsed->extension("1.2.840.113741.1.13.2").has_value());
  EXPECT_FALSE(parsed->extension("not an oid").has_value());
  EXPECT_FALSE(parsed->extension("").has_value());
}

TEST_P(CertificateOf, VerifiesOnlyUnderItsIssuer) {
  const auto parsed = Certificate::parse(der_);
  ASSERT_TRUE(parsed.ok());
  EXPECT_TRUE(parsed->signed_by(key_.public_key()));
  EXPECT_FALSE(parsed->signed_by(test_key(GetParam(), "other").public_key()));
  EXPECT_FALSE(parsed->signed_by(test_key(GetParam() == Curve::p256 ? Curve::p384 : Curve::p256, "root").public_key()));
}

TEST_P(CertificateOf, DeterministicMeansTheSameBytes) {
  EXPECT_EQ(ca_certificate(key_), der_);
  EXPECT_NE(issue_certificate(ca_spec(key_), key_).value(), issue_certificate(ca_spec(key_), key_).value());
}

TEST_P(CertificateOf, EveryTruncationIsRefused) {
  for (std::size_t size = 0; size < der_.size(); ++size) {
    const base::Bytes cut(der_.begin(), der_.begin() + static_cast<std::ptrdiff_t>(size));
    const auto parsed = Certificate::parse(cut);
    ASSERT_FALSE(parsed.ok()) << size;
    EXPECT_EQ(parsed.error().code, base::Code::malformed);
  }
}

TEST_P(CertificateOf, TrailingBytesAreRefused) {
  base::Bytes longer = der_;
  longer.push_back(0);
  EXPECT_FALSE(Certificate::parse(longer).ok());
}

TEST_P(CertificateOf, FlippedBytesNeverVerify) {
  const EcPublicKey key = key_.public_key();
  for (std::size_t i = 0; i < der_.size(); ++i) {
    for (const std::uint8_t flip : base::Bytes{0x01, 0x20, 0x80}) {
      base::Bytes wrong = der_;
      wrong[i] ^= flip;
      const auto parsed = Certificate::parse(wrong);
      EXPECT_FALSE(parsed.ok() && parsed->signed_by(key)) << i;
    }
  }
}

/// The parts of a small certificate, each of which a test may replace by something wrong.
class CertificateParts : public testing::Test {
 protected:
  enum Part { version, serial, algorithm, issuer, validity, subject, spki, extensions };

  CertificateParts() {
    parts_[version] = der::tlv(0xa0, der::integer(2));
    parts_[serial] = der::integer(1);
    parts_[algorithm] = der::sequence({der::oid("1.2.840.10045.4.3.2")});
    parts_[issuer] = der::name({{"2.5.4.3", "I"}});
    parts_[validity] = times("250101000000Z", "260101000000Z");
    parts_[subject] = der::name({{"2.5.4.3", "S"}});
    parts_[spki] = key_.public_key().spki();
    parts_[extensions] = list({extension("2.5.29.19", {0x30, 0x00})});
  }

  static base::Bytes times(std::string_view from, std::string_view until, std::uint8_t tag = 0x17) {
    return der::sequence({der::tlv(tag, base::as_bytes(from)), der::tlv(tag, base::as_bytes(until))});
  }
  static base::Bytes extension(std::string_view oid, const base::Bytes& value, const base::Bytes& critical = {}) {
    return der::sequence({der::oid(oid), critical, der::octet_string(value)});
  }
  static base::Bytes list(std::initializer_list<base::ByteView> items) { return der::tlv(0xa3, der::sequence(items)); }

  base::Bytes build() const {
    base::Bytes content;
    for (const auto& [part, bytes] : parts_) base::append(content, bytes);
    return sign_by_hand(der::tlv(0x30, content), key_);
  }
  base::Result<Certificate> with(Part part, const base::Bytes& bytes) {
    const base::Bytes before = std::exchange(parts_[part], bytes);
    auto out = Certificate::parse(build());
    parts_[part] = before;
    return out;
  }
  bool accepts(Part part, const base::Bytes& bytes) { return with(part, bytes).ok(); }

  EcPrivateKey key_ = test_key(Curve::p256, "parts");
  std::map<Part, base::Bytes> parts_;
};

TEST_F(CertificateParts, TheUnchangedOneIsGood) {
  const auto parsed = Certificate::parse(build());
  ASSERT_TRUE(parsed.ok()) << parsed.error().text();
  EXPECT_TRUE(parsed->signed_by(key_.public_key()));
  EXPECT_FALSE(parsed->is_ca());
  EXPECT_FALSE(parsed->has_key_usage());
  EXPECT_EQ(parsed->path_length(), std::nullopt);
}

TEST_F(CertificateParts, OnlyVersion3) {
  EXPECT_FALSE(accepts(version, {}));
  EXPECT_FALSE(accepts(version, der::tlv(0xa0, der::integer(0))));
  EXPECT_FALSE(accepts(version, der::tlv(0xa0, der::integer(1))));
  EXPECT_FALSE(accepts(version, der::tlv(0xa0, der::integer(3))));
}

TEST_F(CertificateParts, SerialNumbers) {
  EXPECT_TRUE(accepts(serial, der::integer(0)));  // AMD's VCEKs
  EXPECT_TRUE(accepts(serial, der::tlv(0x02, base::Bytes(20, 0x7f))));
  base::Bytes padded(21, 0x80);
  padded[0] = 0;
  EXPECT_TRUE(accepts(serial, der::tlv(0x02, padded)));
  EXPECT_FALSE(accepts(serial, der::tlv(0x02, base::Bytes(21, 0x7f))));
  EXPECT_FALSE(accepts(serial, der::tlv(0x02, {})));
  EXPECT_FALSE(accepts(serial, der::tlv(0x02, base::Bytes{0x80})));        // negative
  EXPECT_FALSE(accepts(serial, der::tlv(0x02, base::Bytes{0x00, 0x7f})));  // not minimal
}

TEST_F(CertificateParts, AlgorithmInsideMustBeTheOneOutside) {
  EXPECT_FALSE(accepts(algorithm, der::sequence({der::oid("1.2.840.10045.4.3.3")})));
  const base::Bytes null = der::tlv(0x05, {});
  EXPECT_FALSE(accepts(algorithm, der::sequence({der::oid("1.2.840.10045.4.3.2"), null})));
}

TEST_F(CertificateParts, Times) {
  const auto before_2000 = with(validity, times("991231235959Z", "491231235959Z"));
  ASSERT_TRUE(before_2000.ok());
  EXPECT_EQ(before_2000->not_before().seconds, 946684799);
  EXPECT_EQ(before_2000->not_after().seconds, 2524607999);
  const auto general = with(validity, times("20500101000000Z", "99991231235959Z", 0x18));
  ASSERT_TRUE(general.ok());
  EXPECT_EQ(general->not_after().seconds, 253402300799);
  EXPECT_TRUE(accepts(validity, times("240229000000Z", "260101000000Z")));
  for (const char* bad : {"250229000000Z", "251301000000Z", "250001000000Z", "250132000000Z", "250101240000Z",
                          "250101006000Z", "250101000060Z", "2501010000Z", "250101000000", "250101000000+0100",
                          "250101000000z", "20250101000000Z", "25010100000 Z", ""}) {
    EXPECT_FALSE(accepts(validity, times(bad, "260101000000Z"))) << bad;
  }
  for (const char* bad : {"20250101000000.5Z", "20250101000000", "202501010000Z", "250101000000Z"}) {
    EXPECT_FALSE(accepts(validity, times(bad, "20260101000000Z", 0x18))) << bad;
  }
  EXPECT_FALSE(accepts(validity, times("250101000000Z", "260101000000Z", 0x13)));
}

TEST_F(CertificateParts, CommonNames) {
  const auto cn = [&](const base::Bytes& name) {
    const auto parsed = with(subject, name);
    return parsed.ok() ? parsed->subject_cn() : std::string("refused");
  };
  const auto attribute = [](std::uint8_t tag, std::string_view text) {
    const base::Bytes value = der::tlv(tag, base::as_bytes(text));
    return der::sequence({der::oid("2.5.4.3"), value});
  };
  const auto single = [&](std::uint8_t tag, std::string_view text) {
    return der::tlv(0x30, der::tlv(0x31, attribute(tag, text)));
  };
  EXPECT_EQ(cn(der::name({{"2.5.4.10", "O"}})), "");
  EXPECT_EQ(cn(der::name({})), "");
  EXPECT_EQ(cn(der::name({{"2.5.4.3", "a"}, {"2.5.4.3", "b"}})), "");
  const base::Bytes a = attribute(0x0c, "a");
  const base::Bytes b = attribute(0x0c, "b");
  base::Bytes both = a;
  base::append(both, b);
  EXPECT_EQ(cn(der::tlv(0x30, der::tlv(0x31, both))), "");
  EXPECT_EQ(cn(single(0x0c, "Grüße")), "Grüße");
  EXPECT_EQ(cn(single(0x0c, "\xf0\x9f\x98\x80")), "\xf0\x9f\x98\x80");
  EXPECT_EQ(cn(single(0x16, "ia5")), "ia5");
  for (const std::string_view bad :
       {std::string_view("nul\0end", 7), std::string_view("line\nfeed"), std::string_view("\xc0\xaf"),
        std::string_view("\xc3"), std::string_view("\xed\xa0\x80"), std::string_view("\xf4\x90\x80\x80"),
        std::string_view("\x80"), std::string_view("\xe0\x80\x80"), std::string_view("\xc2\x85"),
        std::string_view("\xff")}) {
    EXPECT_EQ(cn(single(0x0c, bad)), "");
  }
  EXPECT_EQ(cn(single(0x13, "Gr\xc3\xbc")), "");
  EXPECT_EQ(cn(single(0x1e, "B")), "");  // BMPString
  EXPECT_EQ(cn(der::tlv(0x30, der::tlv(0x31, {}))), "refused");
  EXPECT_EQ(cn(der::tlv(0x30, der::tlv(0x31, der::sequence({der::oid("2.5.4.3")})))), "refused");
  EXPECT_EQ(cn(der::tlv(0x31, {})), "refused");
}

TEST_F(CertificateParts, OtherKeysAreReadButUnknownOnesRefused) {
  const base::Bytes null = der::tlv(0x05, {});
  const base::Bytes bits = der::tlv(0x03, base::Bytes{0, 1, 2, 3});
  const auto rsa = with(spki, der::sequence({der::sequence({der::oid("1.2.840.113549.1.1.1"), null}), bits}));
  ASSERT_TRUE(rsa.ok());
  EXPECT_FALSE(rsa->ec_key().has_value());
  EXPECT_TRUE(accepts(spki, der::sequence({der::sequence({der::oid("1.3.101.112")}), bits})));
  EXPECT_FALSE(accepts(spki, der::sequence({der::sequence({der::oid("1.2.3.4")}), bits})));
  base::Bytes off_curve = key_.public_key().spki();
  off_curve.back() ^= 1;
  EXPECT_FALSE(accepts(spki, off_curve));
}

TEST_F(CertificateParts, Extensions) {
  const base::Bytes one = extension("1.2.3.4", {0x05, 0x00});
  const base::Bytes other = extension("1.2.3.5", {0x05, 0x00}, {0x01, 0x01, 0xff});
  EXPECT_TRUE(accepts(extensions, {}));
  EXPECT_TRUE(accepts(extensions, list({one})));
  const auto critical = with(extensions, list({one, other}));
  ASSERT_TRUE(critical.ok());
  EXPECT_THAT(critical->unknown_critical_extensions(), testing::ElementsAre("1.2.3.5"));
  EXPECT_FALSE(accepts(extensions, list({one, one})));
  EXPECT_FALSE(accepts(extensions, list({})));
  EXPECT_FALSE(accepts(extensions, list({extension("1.2.3.4", {}, {0x01, 0x01, 0x00})})));  // the default, written
  EXPECT_FALSE(accepts(extensions, list({extension("1.2.3.4", {}, {0x01, 0x01, 0x01})})));  // TRUE is ff
  base::Bytes twice = list({one});
  base::append(twice, list({other}));
  EXPECT_FALSE(accepts(extensions, twice));
  base::Bytes many;
  for (int i = 0; i < 65; ++i) base::append(many, extension("1.2.3." + std::to_string(i), {}));
  EXPECT_FALSE(accepts(extensions, der::tlv(0xa3, der::tlv(0x30, many))));
  EXPECT_FALSE(accepts(extensions, der::tlv(0x81, base::Bytes{0, 1})));  // issuerUniqueID
}

TEST_F(CertificateParts, BasicConstraintsAndKeyUsage) {
  const auto constraints = [&](const base::Bytes& value) {
    return with(extensions, list({extension("2.5.29.19", value)}));
  };
  EXPECT_TRUE(constraints({0x30, 0x03, 0x01, 0x01, 0xff})->is_ca());
  EXPECT_EQ(constraints({0x30, 0x06, 0x01, 0x01, 0xff, 0x02, 0x01, 0x00})->path_length(), 0U);
  EXPECT_FALSE(constraints({0x30, 0x03, 0x01, 0x01, 0x01}).ok());
  EXPECT_FALSE(constraints({0x30, 0x03, 0x01, 0x01, 0x00}).ok());
  EXPECT_FALSE(constraints({0x30, 0x03, 0x02, 0x01, 0x00}).ok());  // a length without a CA
  EXPECT_FALSE(constraints({0x30, 0x06, 0x01, 0x01, 0xff, 0x02, 0x01, 0xff}).ok());
  EXPECT_FALSE(constraints({0x30, 0x00, 0x00}).ok());
  EXPECT_FALSE(constraints({}).ok());
  const auto usage = [&](const base::Bytes& value) { return with(extensions, list({extension("2.5.29.15", value)})); };
  EXPECT_TRUE(usage(der::key_usage(der::digital_signature))->key_usage_digital_signature());
  EXPECT_FALSE(usage(der::key_usage(der::digital_signature))->key_usage_cert_sign());
  EXPECT_TRUE(usage({0x03, 0x01, 0x00})->has_key_usage());
  EXPECT_FALSE(usage({0x03, 0x02, 0x01, 0x07}).ok());  // an unused bit that is set
  EXPECT_FALSE(usage({0x03, 0x02, 0x08, 0x00}).ok());
  EXPECT_FALSE(usage({0x04, 0x01, 0x00}).ok());
  EXPECT_FALSE(usage({}).ok());
}

TEST_F(CertificateParts, LongFormLengthsMustBeMinimal) {
  base::Bytes content = parts_[subject];
  base::Bytes padded{content[0], 0x81, content[1]};
  padded.insert(padded.end(), content.begin() + 2, content.end());
  EXPECT_FALSE(accepts(subject, padded));
}

TEST(IssueCertificate, RefusesWhatCannotBeWritten) {
  const EcPrivateKey key = test_key(Curve::p256, "root");
  const auto refused = [&](auto change) {
    CertificateSpec spec = ca_spec(key);
    change(spec);
    return !issue_certificate(spec, key).ok();
  };
  EXPECT_FALSE(refused([](CertificateSpec&) {}));
  EXPECT_TRUE(refused([](CertificateSpec& s) { s.serial.clear(); }));
  EXPECT_TRUE(refused([](CertificateSpec& s) { s.serial = base::Bytes(21, 1); }));
  EXPECT_TRUE(refused([](CertificateSpec& s) { s.spki.clear(); }));
  EXPECT_TRUE(refused([](CertificateSpec& s) { s.subject[0].value = "under_score"; }));
  EXPECT_TRUE(refused([](CertificateSpec& s) { s.subject[0].value = ""; }));
  EXPECT_TRUE(refused([](CertificateSpec& s) { s.subject[0].oid = "nonsense"; }));
  EXPECT_TRUE(refused([](CertificateSpec& s) { s.extensions[0].oid = "3.1"; }));
  EXPECT_TRUE(refused([](CertificateSpec& s) { s.not_after = {253402300800}; }));
  EXPECT_TRUE(refused([](CertificateSpec& s) { s.not_before = {-631152001}; }));
}

TEST(IssueCertificate, IssuerDerGoesInUnchanged) {
  const EcPrivateKey key = test_key(Curve::p256, "root");
  CertificateSpec spec = ca_spec(key);
  spec.issuer_der = der::name({{"2.5.4.3", "Other", false}});
  const auto parsed = Certificate::parse(issue_certificate(spec, key).value());
  ASSERT_TRUE(parsed.ok());
  EXPECT_TRUE(base::equal(parsed->issuer_der(), spec.issuer_der));
  EXPECT_EQ(parsed->issuer_cn(), "Other");
}

}  // namespace
}  // namespace attestry::crypto
