#include "attestation/snp/report.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "attestation/snp/claims.h"
#include "attestation/snp/product.h"

namespace attestry::attestation::snp {
namespace {

/// Every byte tells where it stands.
base::Bytes numbered() {
  base::Bytes out(kReportSize);
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::uint8_t>(i * 7 + i / 256);
  return out;
}

base::Bytes with_version(std::uint8_t version) {
  base::Bytes out(kReportSize, 0);
  out[0] = version;
  out[0x188] = 0x19;
  out[0x1f8] = 3;
  out[kSignedSize] = 1;
  out[kSignedSize + kNumberSize] = 2;
  return out;
}

TEST(SnpReport, HasExactlyItsSize) {
  EXPECT_TRUE(parse_report(base::Bytes(kReportSize)));
  EXPECT_FALSE(parse_report({}));
  EXPECT_FALSE(parse_report(base::Bytes(kReportSize - 1)));
  EXPECT_FALSE(parse_report(base::Bytes(kReportSize + 1)));
}

TEST(SnpReport, FieldsStandAtTheirOffsets) {
  const base::Bytes bytes = numbered();
  const auto report = parse_report(bytes);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->report_data.data(), bytes.data() + 0x50);
  EXPECT_EQ(report->measurement.data(), bytes.data() + 0x90);
  EXPECT_EQ(report->host_data.data(), bytes.data() + 0xc0);
  EXPECT_EQ(report->report_id.data(), bytes.data() + 0x140);
  EXPECT_EQ(report->chip_id.data(), bytes.data() + 0x1a0);
  EXPECT_EQ(report->reported_tcb[7], bytes[0x187]);
  EXPECT_EQ(report->committed_tcb[0], bytes[0x1e0]);
  EXPECT_EQ(report->current.build, bytes[0x1e8]);
  EXPECT_EQ(report->committed.major, bytes[0x1ee]);
  EXPECT_EQ(report->launch_tcb[0], bytes[0x1f0]);
  EXPECT_EQ(report->r.data(), bytes.data() + kSignedSize);
}

/// SNP ABI, GUEST_POLICY: bits 7:0 are the minor, 15:8 the major version.
TEST(SnpReport, TheAbiThatTheGuestAsksForIsAClaim) {
  base::Bytes bytes = with_version(3);
  bytes[0x08] = 55;
  bytes[0x09] = 1;
  bytes[0x0a] = 3;
  std::vector<Claim> claims;
  add_report_claims(*parse_report(bytes), claims);
  const auto value_of = [&](std::string_view name) {
    const auto found = std::ranges::find(claims, name, &Claim::name);
    return found == claims.end() || !found->is_number ? "no number" : found->value;
  };
  EXPECT_EQ(value_of("abi_major"), "1");
  EXPECT_EQ(value_of("abi_minor"), "55");
}

TEST(SnpReport, ReservedBytesOfOlderVersionsMeanNothing) {
  const base::Bytes two = with_version(2);
  EXPECT_FALSE(parse_report(two)->cpuid);
  const base::Bytes three = with_version(3);
  EXPECT_EQ(parse_report(three)->cpuid->family, 0x19);
  EXPECT_FALSE(parse_report(three)->mitigations);
  const base::Bytes five = with_version(5);
  EXPECT_EQ(parse_report(five)->mitigations->launch, 3u);
}

TEST(SnpReport, SignatureNumbersAreInRange) {
  const base::Bytes good = with_version(3);
  const auto signature = signature_of(*parse_report(good));
  ASSERT_TRUE(signature);
  EXPECT_EQ((*signature)[47], 1);
  EXPECT_EQ((*signature)[95], 2);
  const auto refused = [&](std::size_t at, std::uint8_t value, std::size_t count = 1) {
    base::Bytes changed = good;
    std::fill_n(changed.begin() + static_cast<std::ptrdiff_t>(at), count, value);
    return !signature_of(*parse_report(changed)).ok();
  };
  EXPECT_TRUE(refused(kSignedSize, 0));
  EXPECT_TRUE(refused(kSignedSize + kNumberSize, 0));
  EXPECT_TRUE(refused(kSignedSize, 0xff, 48));
  EXPECT_TRUE(refused(kSignedSize + 48, 1));
  EXPECT_TRUE(refused(kSignedSize + kNumberSize + 48, 1));
  EXPECT_TRUE(refused(kReportSize - 1, 1));
}

TEST(SnpTcb, LayoutsAreTheProducts) {
  const TcbBytes raw{1, 2, 3, 4, 0, 0, 7, 8};
  EXPECT_EQ(unpack_tcb(Product::milan, raw), (Tcb{.boot_loader = 1, .tee = 2, .snp = 7, .microcode = 8}));
  EXPECT_EQ(unpack_tcb(Product::turin, raw), (Tcb{.fmc = 1, .boot_loader = 2, .tee = 3, .snp = 4, .microcode = 8}));
}

TEST(SnpProduct, UnknownProcessorsAndNamesAreNone) {
  EXPECT_EQ(product_of_cpuid(0x19, 0x01), Product::milan);
  EXPECT_EQ(product_of_cpuid(0x19, 0xa0), Product::genoa);
  EXPECT_EQ(product_of_cpuid(0x1a, 0x11), Product::turin);
  EXPECT_FALSE(product_of_cpuid(0x17, 0x31));
  EXPECT_FALSE(product_of_cpuid(0x19, 0x20));
  EXPECT_FALSE(product_of_cpuid(0x1a, 0x12));
  EXPECT_EQ(product_of_name("Milan-B0"), Product::milan);
  EXPECT_FALSE(product_of_name("Milanese"));
  EXPECT_FALSE(product_of_name("Milan-"));
  EXPECT_FALSE(product_of_name(""));
}

}  // namespace
}  // namespace attestry::attestation::snp
