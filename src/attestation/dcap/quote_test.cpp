#include "attestation/dcap/quote.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "attestation/dcap/test_quotes.h"

namespace attestry::attestation::dcap {
namespace {

using testing::counted;
using testing::make_quote;
using testing::QuoteSpec;

// All layouts that exist: version, TEE, body type of version 5.
const QuoteSpec kLayouts[] = {
    {.version = 3, .tdx = false},
    {.version = 4, .tdx = false},
    {.version = 4, .tdx = true},
    {.version = 5, .tdx = false, .body_type = 1},
    {.version = 5, .tdx = true, .body_type = 2},
    {.version = 5, .tdx = true, .body_type = 3},
    {.version = 5, .tdx = true, .body_type = 4},
};

TEST(ParseQuote, FindsEveryPartOfEveryLayout) {
  for (const QuoteSpec& spec : kLayouts) {
    const base::Bytes bytes = make_quote(spec);
    const auto quote = parse_quote(bytes);
    ASSERT_TRUE(quote.has_value()) << spec.version << "/" << spec.body_type << ": " << quote.error().detail;
    EXPECT_EQ(quote->version, spec.version);
    EXPECT_EQ(quote->tee, spec.tdx ? Tee::tdx : Tee::sgx);
    const std::size_t head = spec.version == 5 ? 54 : 48;
    // Version 5 signs its body descriptor, too.
    EXPECT_EQ(quote->signed_bytes.size(), head + spec.real_body_size());
    EXPECT_EQ(quote->signed_bytes.data(), bytes.data());
    EXPECT_TRUE(base::equal(quote->signature, counted(64, 50)));
    EXPECT_TRUE(base::equal(quote->attestation_key, counted(64, 60)));
    EXPECT_TRUE(base::equal(quote->qe_report.bytes(), counted(384, 30)));
    EXPECT_TRUE(base::equal(quote->qe_report_signature, counted(64, 40)));
    EXPECT_TRUE(base::equal(quote->auth_data, spec.auth_data));
    EXPECT_EQ(base::as_text(quote->cert_data), "PEM");
    EXPECT_EQ(quote->cert_data_type, 5);
    const std::size_t report_data = head + (spec.tdx ? 520 : 320);
    EXPECT_EQ(quote->report_data().data(), bytes.data() + report_data);
    EXPECT_EQ(quote->report_data().size(), 64u);
  }
}

TEST(ParseQuote, ReadsTheReportsAtTheirOffsets) {
  const base::Bytes td_bytes = make_quote({.version = 5, .tdx = true, .body_type = 4});
  const auto td = parse_quote(td_bytes);
  ASSERT_TRUE(td.has_value());
  const auto at = [&](base::ByteView field) { return field.data() - (td_bytes.data() + 54); };
  EXPECT_EQ(at(td->td.mrtd()), 136);
  EXPECT_EQ(at(td->td.rtmr(3)), 472);
  EXPECT_EQ(at(td->td.tee_tcb_svn2()), 584);
  EXPECT_EQ(at(td->td.mrservicetd()), 600);
  EXPECT_EQ(at(td->td.td_id()), 649);
  EXPECT_EQ(at(td->td.cur_servtd_attributes()), 877);
  EXPECT_EQ(td->td.cur_servtd_attributes().size(), 8u);

  const base::Bytes sgx_bytes = make_quote({.version = 3, .tdx = false});
  const auto sgx = parse_quote(sgx_bytes);
  ASSERT_TRUE(sgx.has_value());
  EXPECT_EQ(sgx->sgx.mrenclave().data() - (sgx_bytes.data() + 48), 64);
  EXPECT_EQ(sgx->sgx.mrsigner().data() - (sgx_bytes.data() + 48), 128);
  // Little-endian numbers of the counted body: bytes 256, 257 are 7, 8.
  EXPECT_EQ(sgx->sgx.isvprodid(), 0x0807);
  EXPECT_EQ(sgx->sgx.isvsvn(), 0x0a09);
}

TEST(ParseQuote, EveryTruncationIsRefused) {
  for (const QuoteSpec& spec : kLayouts) {
    const base::Bytes bytes = make_quote(spec);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      const base::Bytes cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
      EXPECT_FALSE(parse_quote(cut).has_value()) << size;
    }
  }
}

TEST(ParseQuote, NothingMayFollow) {
  QuoteSpec spec;
  spec.padding = {0};
  EXPECT_FALSE(parse_quote(make_quote(spec)).has_value()) << "zero padding is the caller's to cut";
}

TEST(ParseQuote, EveryLengthMustConsumeExactly) {
  QuoteSpec spec;
  const base::Bytes good = make_quote(spec);
  const std::size_t signature_size_at = 48 + kTd10Size;
  const std::size_t outer_size_at = signature_size_at + 4 + 128 + 2;
  const std::size_t auth_size_at = outer_size_at + 4 + 384 + 64;
  const std::size_t cert_size_at = auth_size_at + 2 + 32 + 2;
  for (const std::size_t at : {signature_size_at, outer_size_at, auth_size_at, cert_size_at}) {
    for (const int delta : {-1, 1}) {
      base::Bytes bad = good;
      bad[at] = static_cast<std::uint8_t>(bad[at] + delta);
      EXPECT_FALSE(parse_quote(bad).has_value()) << at << " " << delta;
    }
    base::Bytes huge = good;
    huge[at] = huge[at + 1] = 0xff;
    EXPECT_FALSE(parse_quote(huge).has_value()) << at;
  }
}

TEST(ParseQuote, RefusesOtherVersionsKeysTypesAndBodies) {
  const auto parsed = [](base::Bytes bytes) { return parse_quote(bytes).has_value(); };
  const auto with = [](const QuoteSpec& spec, std::size_t at, std::uint8_t value) {
    base::Bytes bytes = make_quote(spec);
    bytes[at] = value;
    return bytes;
  };
  for (const int version : {0, 1, 2, 6, 255}) EXPECT_FALSE(parsed(with({}, 0, static_cast<std::uint8_t>(version))));
  EXPECT_FALSE(parsed(with({}, 2, 3))) << "P-384 keys have other sizes";
  EXPECT_FALSE(parsed(with({}, 4, 0x82)));
  EXPECT_FALSE(parsed(with({.version = 3, .tdx = false}, 4, 0x81))) << "version 3 knows no TDX";
  EXPECT_FALSE(parsed(make_quote({.outer_type = 5})));
  EXPECT_FALSE(parsed(make_quote({.version = 4, .tdx = true, .body_size = kTd15Size})));
  const QuoteSpec v5{.version = 5, .tdx = true, .body_type = 2};
  EXPECT_FALSE(parsed(with(v5, 48, 0)));
  EXPECT_FALSE(parsed(with(v5, 48, 1))) << "an SGX body in a TDX quote";
  EXPECT_FALSE(parsed(with(v5, 48, 3))) << "type 3 with the size of type 2";
  EXPECT_FALSE(parsed(with(v5, 48, 5)));
  EXPECT_FALSE(parsed(make_quote({.version = 5, .tdx = false, .body_type = 2, .body_size = kTd10Size})));
}

TEST(ParseQuote, AuthenticationAndCertificationDataMayBeEmptyOrLong) {
  QuoteSpec spec;
  spec.auth_data.clear();
  spec.cert_data = "";
  EXPECT_TRUE(parse_quote(make_quote(spec)).has_value());
  spec.auth_data = counted(65535, 0);
  const base::Bytes bytes = make_quote(spec);
  const auto quote = parse_quote(bytes);
  ASSERT_TRUE(quote.has_value());
  EXPECT_EQ(quote->auth_data.size(), 65535u);
}

TEST(ReadHeader, ReadsFieldsWithoutJudgingThem) {
  base::Bytes bytes = make_quote({});
  bytes[0] = 9;
  bytes[2] = 7;
  const auto header = read_header(bytes);
  ASSERT_TRUE(header.has_value());
  EXPECT_EQ(header->version, 9);
  EXPECT_EQ(header->key_type, 7);
  EXPECT_EQ(header->tee_type, kTeeTypeTdx);
  bytes.resize(47);
  EXPECT_FALSE(read_header(bytes).has_value());
}

}  // namespace
}  // namespace attestry::attestation::dcap
