#include "attestation/dcap/pck_extension.h"

#include <gtest/gtest.h>

#include "crypto/x509.h"

namespace attestry::attestation::dcap {
namespace {

using base::Bytes;
namespace der = crypto::der;

const std::string kArc{kPckExtensionOid};

Bytes member(const std::string& arcs, const Bytes& value) {
  return der::sequence({der::oid(kArc + "." + arcs), value});
}
Bytes join(const std::vector<Bytes>& parts) {
  Bytes out;
  for (const Bytes& part : parts) base::append(out, part);
  return der::tlv(0x30, out);
}
Bytes octets(std::size_t size, std::uint8_t fill) { return der::octet_string(Bytes(size, fill)); }

std::vector<Bytes> tcb_members() {
  std::vector<Bytes> out;
  for (unsigned i = 1; i <= 16; ++i) out.push_back(member("2." + std::to_string(i), der::integer(i * 10)));
  out.push_back(member("2.17", der::integer(0x0102)));
  out.push_back(member("2.18", octets(16, 0xc5)));
  return out;
}
std::vector<Bytes> top_members(const std::vector<Bytes>& tcb = tcb_members()) {
  const Bytes yes = der::tlv(0x01, Bytes{0xff});
  const Bytes no = der::tlv(0x01, Bytes{0x00});
  return {member("1", octets(16, 0xaa)),
          member("2", join(tcb)),
          member("3", octets(2, 0x00)),
          member("4", octets(6, 0xb0)),
          member("5", der::tlv(0x0a, Bytes{0x01})),
          member("6", octets(16, 0xdd)),
          member("7", join({member("7.1", yes), member("7.2", no), member("7.3", yes)}))};
}

TEST(PckExtension, ReadsEveryMember) {
  const auto out = parse_pck_extension(join(top_members()));
  ASSERT_TRUE(out.has_value()) << out.error().text();
  EXPECT_EQ(out->ppid[0], 0xaa);
  for (unsigned i = 0; i < 16; ++i) EXPECT_EQ(out->components[i], (i + 1) * 10);
  EXPECT_EQ(out->pcesvn, 0x0102);
  EXPECT_EQ(out->cpusvn[15], 0xc5);
  EXPECT_EQ(out->fmspc[5], 0xb0);
  EXPECT_EQ(out->sgx_type, SgxType::scalable);
  EXPECT_EQ(out->platform_instance_id->at(0), 0xdd);
  EXPECT_EQ(out->dynamic_platform, true);
  EXPECT_EQ(out->cached_keys, false);
  EXPECT_EQ(out->smt_enabled, true);
}

TEST(PckExtension, ProcessorCertificatesHaveNoInstanceAndConfiguration) {
  auto members = top_members();
  members.resize(5);
  const auto out = parse_pck_extension(join(members));
  ASSERT_TRUE(out.has_value());
  EXPECT_FALSE(out->platform_instance_id || out->dynamic_platform || out->smt_enabled);
}

TEST(PckExtension, RefusesWhatIsMissingOrDouble) {
  for (std::size_t i = 0; i < 5; ++i) {
    auto members = top_members();
    members.erase(members.begin() + static_cast<std::ptrdiff_t>(i));
    EXPECT_FALSE(parse_pck_extension(join(members)).has_value()) << "without member " << i + 1;
  }
  for (std::size_t i = 0; i < 7; ++i) {
    auto members = top_members();
    members.push_back(members[i]);
    EXPECT_FALSE(parse_pck_extension(join(members)).has_value()) << "member " << i + 1 << " twice";
  }
}

// A component that is absent, double or beyond the sixteen must never compare as anything.
TEST(PckExtension, WantsExactlySixteenComponents) {
  for (std::size_t i = 0; i < 18; ++i) {
    auto tcb = tcb_members();
    tcb.erase(tcb.begin() + static_cast<std::ptrdiff_t>(i));
    EXPECT_FALSE(parse_pck_extension(join(top_members(tcb))).has_value()) << i;
    tcb = tcb_members();
    tcb.push_back(tcb[i]);
    EXPECT_FALSE(parse_pck_extension(join(top_members(tcb))).has_value()) << i;
  }
  auto tcb = tcb_members();
  tcb.push_back(member("2.19", der::integer(1)));
  EXPECT_FALSE(parse_pck_extension(join(top_members(tcb))).has_value());
}

TEST(PckExtension, RefusesWrongTypesSizesAndRanges) {
  const auto with = [](std::size_t index, const Bytes& replacement) {
    auto members = top_members();
    members[index] = replacement;
    return parse_pck_extension(join(members)).has_value();
  };
  EXPECT_FALSE(with(0, member("1", octets(15, 0))));
  EXPECT_FALSE(with(2, member("3", der::integer(0))));
  EXPECT_FALSE(with(3, member("4", octets(7, 0))));
  EXPECT_FALSE(with(4, member("5", der::tlv(0x0a, Bytes{0x03}))));
  EXPECT_FALSE(with(4, member("5", der::tlv(0x02, Bytes{0x01}))));
  EXPECT_FALSE(with(6, member("7", join({member("7.1", der::tlv(0x01, Bytes{0x01}))}))));
  EXPECT_FALSE(with(6, member("6.1", octets(16, 0))));
  auto tcb = tcb_members();
  tcb[0] = member("2.1", der::integer(256));
  EXPECT_FALSE(parse_pck_extension(join(top_members(tcb))).has_value());
  tcb[0] = member("2.1", der::tlv(0x02, Bytes{0x80}));
  EXPECT_FALSE(parse_pck_extension(join(top_members(tcb))).has_value()) << "negative";
  tcb[0] = member("2.1", der::tlv(0x02, Bytes{0x00, 0x01}));
  EXPECT_FALSE(parse_pck_extension(join(top_members(tcb))).has_value()) << "not the shortest form";
}

TEST(PckExtension, IgnoresLaterMembersAndRefusesOtherArcs) {
  auto members = top_members();
  members.push_back(member("8", octets(3, 1)));
  EXPECT_TRUE(parse_pck_extension(join(members)).has_value());
  members.back() = der::sequence({der::oid("1.2.840.113741.1.13.2.1"), octets(3, 1)});
  EXPECT_FALSE(parse_pck_extension(join(members)).has_value());
}

TEST(PckExtension, EveryTruncationAndTrailingByteIsRefused) {
  const Bytes good = join(top_members());
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(parse_pck_extension(base::ByteView{good}.first(size)).has_value()) << size;
  }
  Bytes more = good;
  more.push_back(0);
  EXPECT_FALSE(parse_pck_extension(more).has_value());
}

TEST(PckExtension, WantsLengthsInTheirShortestForm) {
  EXPECT_FALSE(parse_pck_extension(Bytes{0x30, 0x81, 0x00}).has_value());
  EXPECT_FALSE(parse_pck_extension(Bytes{0x30, 0x80, 0x00, 0x00}).has_value()) << "indefinite";
}

}  // namespace
}  // namespace attestry::attestation::dcap
