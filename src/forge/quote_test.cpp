#include "forge/quote.h"

#include <gtest/gtest.h>

#include <map>

#include "base/encoding.h"
#include "base/reader.h"
#include "crypto/hash.h"
#include "forge/attester.h"
#include "forge/scenario.h"

namespace attestry::forge {
namespace {

using base::Bytes;
using base::ByteView;

const ForgePki& pki() {
  static const ForgePki one = ForgePki::make(base::as_bytes("quote test")).value();
  return one;
}

const Platform& machine() {
  static const Platform one = pki().platform({}).value();
  return one;
}

Bytes quote_of(const QuoteSpec& spec) { return make_quote(pki(), machine(), spec).value(); }

/// The parts of a quote, cut out by the layouts alone, without the verifier's parser.
struct Parts {
  Bytes signed_part, signature, key, qe_report, qe_signature, auth;
  std::uint16_t certification_type = 0;
  std::string pem;
};

Parts cut(ByteView quote, std::size_t signed_size, unsigned version) {
  Parts out;
  base::Reader reader(quote);
  const auto take = [&reader](std::size_t size) { return base::to_bytes(reader.take(size, "part").value()); };
  out.signed_part = take(signed_size);
  const auto size = reader.u32le("signature data size").value();
  EXPECT_EQ(size, reader.remaining());
  out.signature = take(64);
  out.key = take(64);
  if (version > 3) {
    EXPECT_EQ(reader.u16le("outer type").value(), 6);
    const auto inner = reader.u32le("outer size").value();
    EXPECT_EQ(inner, reader.remaining());
  }
  out.qe_report = take(384);
  out.qe_signature = take(64);
  out.auth = take(reader.u16le("auth size").value());
  out.certification_type = reader.u16le("type").value();
  out.pem = base::as_text(take(reader.u32le("size").value()));
  EXPECT_EQ(reader.remaining(), 0u);
  return out;
}

struct Layout {
  QuoteKind kind;
  unsigned version;
  std::size_t signed_size;
  std::size_t report_data_at;
};
constexpr std::array kLayouts{
    Layout{QuoteKind::sgx_v3, 3, 432, 48 + 320},        Layout{QuoteKind::sgx_v4, 4, 432, 48 + 320},
    Layout{QuoteKind::sgx_v5, 5, 438, 54 + 320},        Layout{QuoteKind::tdx_v4, 4, 632, 48 + 520},
    Layout{QuoteKind::tdx_v5_td10, 5, 638, 54 + 520},   Layout{QuoteKind::tdx_v5, 5, 702, 54 + 520},
    Layout{QuoteKind::tdx_v5_td15ex, 5, 939, 54 + 520},
};

TEST(ForgeQuote, EveryKindHasItsLayoutAndThreeValidLinks) {
  for (const auto& layout : kLayouts) {
    SCOPED_TRACE(to_text(layout.kind));
    const auto spec = default_quote(pki(), layout.kind);
    const auto parts = cut(quote_of(spec), layout.signed_size, layout.version);
    EXPECT_EQ(parts.signed_part[0], layout.version);
    EXPECT_EQ(parts.signed_part[4], is_tdx(layout.kind) ? 0x81 : 0);
    const ByteView report_data = ByteView{parts.signed_part}.subspan(layout.report_data_at, 64);
    EXPECT_TRUE(base::equal(report_data, spec.td.report_data));
    const auto key = crypto::EcPublicKey::from_raw(crypto::Curve::p256, parts.key).value();
    EXPECT_TRUE(key.verify_raw(parts.signed_part, parts.signature));
    EXPECT_TRUE(machine().pck.key.public_key().verify_raw(parts.qe_report, parts.qe_signature));
    EXPECT_TRUE(base::equal(ByteView{parts.qe_report}.subspan(320, 32), crypto::sha256({parts.key, parts.auth})));
    EXPECT_EQ(parts.certification_type, 5);
    EXPECT_EQ(parts.pem, pki().pck_chain_pem(machine()) + std::string(1, '\0'));
  }
}

TEST(ForgeQuote, SameInputGivesTheSameBytes) {
  const auto again = ForgePki::make(base::as_bytes("quote test")).value();
  for (const QuoteKind kind : all_quote_kinds()) {
    const auto spec = default_quote(again, kind);
    EXPECT_EQ(quote_of(default_quote(pki(), kind)), make_quote(again, again.platform({}).value(), spec).value());
  }
}

TEST(ForgeQuote, NamesOfKindsRoundTrip) {
  for (const QuoteKind kind : all_quote_kinds()) EXPECT_EQ(parse_quote_kind(to_text(kind)), kind);
  EXPECT_FALSE(parse_quote_kind("tdx-v6").has_value());
}

TEST(ForgeQuote, TdFieldsAreWhereTheLayoutSays) {
  QuoteSpec spec;
  spec.kind = QuoteKind::tdx_v5;
  spec.td.mr_td[0] = 0xa1;
  spec.td.rtmr[3][47] = 0xa2;
  spec.td.mr_config_id[0] = 0xa3;
  spec.td.td_attributes[3] = 0xa4;
  spec.td.tee_tcb_svn2[0] = 0xa5;
  spec.td.mr_service_td[47] = 0xa6;
  const auto quote = quote_of(spec);
  const auto body = [&quote](std::size_t at) { return quote[54 + at]; };
  EXPECT_EQ(quote[48], 3);
  EXPECT_EQ(quote[50] | quote[51] << 8, 648);
  EXPECT_EQ(body(136), 0xa1);
  EXPECT_EQ(body(519), 0xa2);
  EXPECT_EQ(body(184), 0xa3);
  EXPECT_EQ(body(123), 0xa4);
  EXPECT_EQ(body(584), 0xa5);
  EXPECT_EQ(body(647), 0xa6);
}

TEST(ForgeQuote, SpoilersBreakExactlyOneLink) {
  const auto check = [](const QuoteSpec& spec, bool quote_ok, bool qe_ok, bool binding_ok) {
    const auto parts = cut(quote_of(spec), 632, 4);
    const auto key = crypto::EcPublicKey::from_raw(crypto::Curve::p256, parts.key).value();
    EXPECT_EQ(key.verify_raw(parts.signed_part, parts.signature), quote_ok);
    EXPECT_EQ(machine().pck.key.public_key().verify_raw(parts.qe_report, parts.qe_signature), qe_ok);
    Bytes expected = base::to_bytes(crypto::sha256({parts.key, parts.auth}));
    expected.resize(64);
    EXPECT_EQ(base::equal(ByteView{parts.qe_report}.subspan(320, 64), expected), binding_ok);
  };
  QuoteSpec spec;
  spec.break_quote_signature = true;
  check(spec, false, true, true);
  spec = {};
  spec.break_qe_signature = true;
  check(spec, true, false, true);
  spec = {};
  spec.other_attestation_key = true;
  check(spec, true, true, false);
  spec = {};
  spec.qe_report_data_tail = true;
  check(spec, true, true, false);
}

TEST(ForgeQuote, AuthDataThatDoesNotFitIsRefused) {
  QuoteSpec spec;
  spec.auth_data.resize(65536);
  EXPECT_FALSE(make_quote(pki(), machine(), spec).has_value());
}

TEST(ForgeAttester, PutsTheReportDataIntoTheQuote) {
  auto attester = ForgeAttester::make(pki(), default_quote(pki(), QuoteKind::tdx_v4)).value();
  base::FixedBytes<64> data{};
  data[0] = 7;
  data[63] = 9;
  const auto evidence = attester.attest(data).value();
  EXPECT_EQ(evidence.format, attestation::EvidenceFormat::dcap_quote);
  EXPECT_TRUE(base::equal(ByteView{evidence.bytes}.subspan(48 + 520, 64), data));
  EXPECT_EQ(attester.attest(data).value().bytes, evidence.bytes);
}

}  // namespace
}  // namespace attestry::forge
