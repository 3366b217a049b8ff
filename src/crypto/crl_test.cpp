#include <gtest/gtest.h>

#include "crypto/hash.h"
#include "crypto/internal/testing.h"
#include "crypto/x509.h"

namespace attestry::crypto {
namespace {

using internal::crl_spec;
using internal::kFrom;
using internal::sign_by_hand;
using internal::test_key;

class CrlTest : public testing::Test {
 protected:
  EcPrivateKey key_ = test_key(Curve::p256, "crl");
  base::Bytes der_ = issue_crl(crl_spec(), key_, true).value();
};

TEST_F(CrlTest, RoundTripsEveryField) {
  const auto crl = Crl::parse(der_);
  ASSERT_TRUE(crl.ok()) << crl.error().text();
  EXPECT_EQ(crl->sha256(), sha256(der_));
  EXPECT_TRUE(base::equal(crl->issuer_der(), crl_spec().issuer_der));
  EXPECT_EQ(crl->this_update(), kFrom);
  EXPECT_EQ(crl->next_update(), kFrom + 86400 * 30);
  EXPECT_EQ(crl->size(), 3U);
  EXPECT_FALSE(crl->has_unknown_critical_extension());
  EXPECT_TRUE(crl->signed_by(key_.public_key()));
  EXPECT_FALSE(crl->signed_by(test_key(Curve::p256, "other").public_key()));
  EXPECT_FALSE(crl->signed_by(test_key(Curve::p384, "crl").public_key()));
}

TEST_F(CrlTest, RevokesExactlyItsSerials) {
  const auto crl = Crl::parse(der_);
  ASSERT_TRUE(crl.ok());
  EXPECT_TRUE(crl->revokes(base::Bytes{0x05}));
  EXPECT_TRUE(crl->revokes(base::Bytes{0x00, 0x80, 0x02}));  // as a certificate encodes it
  EXPECT_TRUE(crl->revokes(base::Bytes{0x80, 0x02}));
  EXPECT_TRUE(crl->revokes(base::Bytes{0x01, 0x02, 0x03}));
  EXPECT_FALSE(crl->revokes(base::Bytes{0x06}));
  EXPECT_FALSE(crl->revokes(base::Bytes{0x05, 0x00}));
  EXPECT_FALSE(crl->revokes(base::Bytes{0x01, 0x02}));
  EXPECT_FALSE(crl->revokes(base::Bytes{0x00}));
  EXPECT_FALSE(crl->revokes({}));
}

TEST_F(CrlTest, FindsEveryOneOfMany) {
  CrlSpec spec = crl_spec();
  spec.entries.clear();
  for (unsigned i = 0; i < 500; ++i) {
    const unsigned mixed = (i * 7919U) % 65536U;
    spec.entries.push_back(
        {{1, static_cast<std::uint8_t>(mixed >> 8), static_cast<std::uint8_t>(mixed), static_cast<std::uint8_t>(i)},
         kFrom});
  }
  const auto crl = Crl::parse(issue_crl(spec, key_).value());
  ASSERT_TRUE(crl.ok());
  EXPECT_EQ(crl->size(), 500U);
  for (const CrlEntry& entry : spec.entries) {
    EXPECT_TRUE(crl->revokes(entry.serial));
    base::Bytes other = entry.serial;
    other[0] = 2;
    EXPECT_FALSE(crl->revokes(other));
  }
}

TEST_F(CrlTest, AnEmptyListRevokesNothing) {
  CrlSpec spec = crl_spec();
  spec.entries.clear();
  spec.extensions.clear();
  const auto crl = Crl::parse(issue_crl(spec, key_).value());
  ASSERT_TRUE(crl.ok());
  EXPECT_EQ(crl->size(), 0U);
  EXPECT_FALSE(crl->revokes(base::Bytes{0x05}));
}

TEST_F(CrlTest, DeterministicMeansTheSameBytes) { EXPECT_EQ(issue_crl(crl_spec(), key_, true).value(), der_); }

TEST_F(CrlTest, EveryTruncationIsRefused) {
  for (std::size_t size = 0; size < der_.size(); ++size) {
    const base::Bytes cut(der_.begin(), der_.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_FALSE(Crl::parse(cut).ok()) << size;
  }
  base::Bytes longer = der_;
  longer.push_back(0);
  EXPECT_FALSE(Crl::parse(longer).ok());
}

TEST_F(CrlTest, FlippedBytesNeverVerify) {
  const EcPublicKey key = key_.public_key();
  for (std::size_t i = 0; i < der_.size(); ++i) {
    for (const std::uint8_t flip : base::Bytes{0x01, 0x20, 0x80}) {
      base::Bytes wrong = der_;
      wrong[i] ^= flip;
      const auto parsed = Crl::parse(wrong);
      EXPECT_FALSE(parsed.ok() && parsed->signed_by(key)) << i;
    }
  }
}

TEST_F(CrlTest, UnknownCriticalExtensionsAreReported) {
  CrlSpec spec = crl_spec();
  spec.extensions.push_back({"2.5.29.27", true, der::integer(1)});  // a delta CRL
  const auto crl = Crl::parse(issue_crl(spec, key_).value());
  ASSERT_TRUE(crl.ok());
  EXPECT_TRUE(crl->has_unknown_critical_extension());
  spec.extensions.back().critical = false;
  EXPECT_FALSE(Crl::parse(issue_crl(spec, key_).value())->has_unknown_critical_extension());
}

TEST_F(CrlTest, DuplicateExtensionsAreRefused) {
  CrlSpec spec = crl_spec();
  spec.extensions.push_back(spec.extensions[0]);
  EXPECT_FALSE(Crl::parse(issue_crl(spec, key_).value()).ok());
}

class CrlByHand : public CrlTest {
 protected:
  base::Result<Crl> with_entry(const base::Bytes& entry, std::uint64_t version = 1,
                               std::string_view inner = "1.2.840.10045.4.3.2") {
    const base::Bytes time = der::tlv(0x17, base::as_bytes("250101000000Z"));
    const base::Bytes entries = der::tlv(0x30, entry);
    const base::Bytes content = der::sequence(
        {der::integer(version), der::sequence({der::oid(inner)}), der::name({{"2.5.4.3", "I"}}), time, entries});
    return Crl::parse(sign_by_hand(content, key_));
  }
  base::Bytes entry(const base::Bytes& extensions) const {
    const base::Bytes time = der::tlv(0x17, base::as_bytes("250101000000Z"));
    return der::sequence({der::integer(9), time, extensions});
  }
  static base::Bytes list(std::string_view oid, bool critical) {
    const base::Bytes truth = critical ? base::Bytes{0x01, 0x01, 0xff} : base::Bytes{};
    return der::sequence({der::sequence({der::oid(oid), truth, der::octet_string(der::tlv(0x0a, base::Bytes{1}))})});
  }
};

TEST_F(CrlByHand, NextUpdateMayBeAbsent) {
  const auto crl = with_entry(entry({}));
  ASSERT_TRUE(crl.ok()) << crl.error().text();
  EXPECT_EQ(crl->next_update(), std::nullopt);
  EXPECT_TRUE(crl->revokes(base::Bytes{9}));
}

TEST_F(CrlByHand, EntryExtensions) {
  EXPECT_FALSE(with_entry(entry(list("2.5.29.21", false)))->has_unknown_critical_extension());
  EXPECT_FALSE(with_entry(entry(list("2.5.29.21", true)))->has_unknown_critical_extension());
  EXPECT_FALSE(with_entry(entry(list("2.5.29.29", false)))->has_unknown_critical_extension());
  EXPECT_TRUE(with_entry(entry(list("2.5.29.29", true)))->has_unknown_critical_extension());  // certificateIssuer
  EXPECT_FALSE(with_entry(entry(der::sequence({}))).ok());
  EXPECT_FALSE(with_entry(entry(der::integer(1))).ok());
}

TEST_F(CrlByHand, MalformedEntriesAreRefused) {
  EXPECT_FALSE(with_entry(der::integer(1)).ok());
  EXPECT_FALSE(with_entry(der::sequence({der::integer(1)})).ok());
  const base::Bytes time = der::tlv(0x17, base::as_bytes("250101000000Z"));
  const base::Bytes negative = der::tlv(0x02, base::Bytes{0x80});
  EXPECT_FALSE(with_entry(der::sequence({negative, time})).ok());
}

TEST_F(CrlByHand, OnlyVersion2WithOneAlgorithm) {
  EXPECT_FALSE(with_entry(entry({}), 0).ok());
  EXPECT_FALSE(with_entry(entry({}), 2).ok());
  EXPECT_FALSE(with_entry(entry({}), 1, "1.2.840.10045.4.3.3").ok());
}

}  // namespace
}  // namespace attestry::crypto
