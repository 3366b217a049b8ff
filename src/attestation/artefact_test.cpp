#include "attestation/artefact.h"

#include <gtest/gtest.h>

namespace attestry::attestation {
namespace {

using snp::Product;

const std::string kHwid(128, 'a');

TEST(ArtefactNames, AreReadBackAndNothingElseIs) {
  for (const std::string& name :
       {std::string{"tcb_info/tdx/50806f000000"}, std::string{"tcb_info/sgx/00a067110000"},
        std::string{"qe_identity/tdx"}, std::string{"pck_crl/platform"}, std::string{"pck_crl/processor"},
        std::string{"root_ca_crl/intel"}, "vcek/Milan/" + kHwid + "/bl3-tee0-snp8-ucode115",
        std::string{"vcek/Turin/aaaaaaaaaaaaaaaa/fmc1-bl1-tee1-snp1-ucode9"},
        std::string{"vlek/Genoa/bl255-tee0-snp8-ucode0"}, std::string{"amd_chain/Milan/vlek"},
        std::string{"amd_crl/Turin/vcek"}, std::string{"jwks/https://sharedeus.eus.attest.azure.net"}}) {
    const auto read = parse_artefact(name);
    ASSERT_TRUE(read.ok()) << name;
    EXPECT_EQ(to_text(*read), name);
  }
  for (const std::string& other : {std::string{},
                                   std::string{"tcb_info"},
                                   std::string{"tcb_info/tdx"},
                                   std::string{"tcb_info/tdx/50806F000000"},
                                   std::string{"tcb_info/tdx/50806f0000"},
                                   std::string{"tcb_info/snp/50806f000000"},
                                   std::string{"qe_identity/tdx/"},
                                   std::string{"qe_identity/tdx/x"},
                                   std::string{"pck_crl/Platform"},
                                   std::string{"root_ca_crl"},
                                   "vcek/Turin/" + kHwid + "/fmc1-bl1-tee1-snp1-ucode9",
                                   "vcek/Milan/" + kHwid + "/bl03-tee0-snp8-ucode115",
                                   "vcek/Milan/" + kHwid + "/bl256-tee0-snp8-ucode115",
                                   "vcek/Milan/" + kHwid + "/fmc0-bl3-tee0-snp8-ucode115",
                                   "vcek/Milan/" + kHwid + "/bl3-tee0-snp8-ucode115/",
                                   "vcek/Rome/" + kHwid + "/bl3-tee0-snp8-ucode115",
                                   std::string{"vlek/Milan"},
                                   std::string{"amd_chain/Milan"},
                                   std::string{"jwks/http://x.test"},
                                   std::string{"jwks/https://x.test/"},
                                   std::string{"other/x"}}) {
    EXPECT_FALSE(parse_artefact(other).ok()) << other;
  }
}

base::Bytes report(std::uint32_t version, std::uint8_t family, std::uint8_t model, unsigned key = 0) {
  base::Bytes out(1184, 0);
  out[0] = static_cast<std::uint8_t>(version);
  out[0x48] = static_cast<std::uint8_t>(key << 2);
  for (std::size_t i = 0; i < 8; ++i) out[0x180 + i] = static_cast<std::uint8_t>(i + 1);
  if (version >= 3) {
    out[0x188] = family;
    out[0x189] = model;
  }
  for (std::size_t i = 0; i < 64; ++i) out[0x1a0 + i] = static_cast<std::uint8_t>(i + 1);
  return out;
}
std::vector<std::vector<std::string>> names(const base::Bytes& report) {
  std::vector<std::vector<std::string>> out;
  for (const Needs& needs : needs_of({EvidenceFormat::snp_report, report}, {})) {
    out.emplace_back();
    for (const Artefact& artefact : needs.artefacts) out.back().push_back(to_text(artefact));
  }
  return out;
}

TEST(SnpNeeds, AreOfTheProductWithItsOwnLayout) {
  const auto milan = names(report(3, 0x19, 1));
  ASSERT_EQ(milan.size(), 1u);
  EXPECT_TRUE(milan[0][0].ends_with("/bl1-tee2-snp7-ucode8")) << milan[0][0];
  EXPECT_EQ(milan[0][1], "amd_chain/Milan/vcek");
  EXPECT_EQ(milan[0][2], "amd_crl/Milan/vcek");
  const auto turin = names(report(5, 0x1a, 2));
  ASSERT_EQ(turin.size(), 1u);
  EXPECT_EQ(turin[0][0], "vcek/Turin/0102030405060708/fmc1-bl2-tee3-snp4-ucode8");
  EXPECT_EQ(names(report(3, 0x19, 0xa0))[0][1], "amd_chain/Genoa/vcek");
}

TEST(SnpNeeds, OfAReportWithoutCpuidAreTriedAsMilanAndThenAsGenoa) {
  const auto both = names(report(2, 0, 0));
  ASSERT_EQ(both.size(), 2u);
  EXPECT_EQ(both[0][1], "amd_chain/Milan/vcek");
  EXPECT_EQ(both[1][1], "amd_chain/Genoa/vcek");
}

TEST(SnpNeeds, AreNoneForWhatNobodyKnows) {
  EXPECT_TRUE(names(report(4, 0x19, 1)).empty()) << "version";
  EXPECT_TRUE(names(report(3, 0x17, 1)).empty()) << "product";
  EXPECT_TRUE(names(report(3, 0x19, 1, 2)).empty()) << "signing key";
  EXPECT_TRUE(names(base::Bytes(1183)).empty());
}

TEST(SnpNeeds, OfAHiddenChipSayWhyThereIsNoKey) {
  base::Bytes hidden = report(3, 0x19, 1);
  std::fill(hidden.begin() + 0x1a0, hidden.begin() + 0x1e0, std::uint8_t{0});
  const auto needs = needs_of({EvidenceFormat::snp_report, hidden}, {});
  ASSERT_EQ(needs.size(), 1u);
  EXPECT_EQ(needs[0].artefacts.size(), 2u);
  ASSERT_EQ(needs[0].problems.size(), 1u);
  EXPECT_NE(needs[0].problems[0].what.find("MASK_CHIP_ID"), std::string::npos);
  EXPECT_EQ(names(report(3, 0x19, 1, 1))[0][0], "vlek/Milan/bl1-tee2-snp7-ucode8");
}

}  // namespace
}  // namespace attestry::attestation
