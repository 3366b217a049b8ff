#include "collateral/fixed_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "collateral/testing/stand_in.h"
#include "state/testing/support.h"

namespace attestry::collateral {
namespace {

using attestation::Collateral;
using base::Code;
using testing::evidence_of;
using ::testing::HasSubstr;
using testing::test_data_path;

class Fixed : public ::testing::Test {
 protected:
  /// Copies the collateral of a forged case to a file below the folder.
  void add(const std::string& name, const std::string& to) const {
    const std::filesystem::path path = folder_.file(to);
    std::filesystem::create_directories(path.parent_path());
    std::filesystem::copy_file(test_data_path(name + "/collateral.json"), path);
  }
  void write(const std::string& to, std::string_view text) const { std::ofstream(folder_.file(to)) << text; }
  static auto ask(FixedSource& source, const std::string& name) {
    return source.collateral_for(evidence_of(name), base::UtcTime{}, base::Deadline{});
  }
  static base::Digest32 digest_of(const std::string& name) {
    return read_bundle_path(test_data_path(name)).collateral()->digest();
  }

  state::testing::TempFolder folder_;
};

TEST_F(Fixed, OneBundleAnswersForEverything) {
  const auto collateral = read_bundle_path(test_data_path("tdx/forged-v4")).collateral();
  FixedSource source(collateral);
  EXPECT_EQ(*ask(source, "tdx/forged-v4"), collateral);
  EXPECT_EQ(*ask(source, "sgx/forged-v3"), collateral);
  EXPECT_EQ(*source.collateral_for({}, {}, {}), collateral);
}

TEST_F(Fixed, AFolderAnswersByPlatform) {
  add("tdx/forged-v4", "a.json");
  add("sgx/forged-v3", "deeper/sgx/collateral.json");
  write("README.txt", "not collateral");
  const auto source = FixedSource::by_platform({folder_.path()});
  ASSERT_TRUE(source.ok()) << source.error().text();
  EXPECT_EQ((*ask(**source, "tdx/forged-v4"))->digest(), digest_of("tdx/forged-v4"));
  EXPECT_EQ((*ask(**source, "sgx/forged-v3"))->digest(), digest_of("sgx/forged-v3"));
  EXPECT_EQ(*ask(**source, "tdx/forged-v4"), *ask(**source, "tdx/forged-v5-td10"));
  const auto none = (*source)->collateral_for({attestation::EvidenceFormat::dcap_quote, {1, 2, 3}}, {}, {});
  EXPECT_EQ(*none, Collateral::none());
}

TEST_F(Fixed, TheCaOfThePlatformDecidesToo) {
  const auto source =
      FixedSource::by_platform({test_data_path("tdx/forged-v4"), test_data_path("tdx/forged-v4-processor-ca")});
  ASSERT_TRUE(source.ok()) << source.error().text();
  EXPECT_EQ((*ask(**source, "tdx/forged-v4-processor-ca"))->digest(), digest_of("tdx/forged-v4-processor-ca"));
  EXPECT_EQ((*ask(**source, "tdx/forged-v4"))->digest(), digest_of("tdx/forged-v4"));
}

TEST_F(Fixed, WhatNoBundleFitsIsMissingOrTheNextSourcesBusiness) {
  const auto alone = FixedSource::by_platform({test_data_path("tdx/forged-v4")});
  ASSERT_TRUE(alone.ok());
  const auto missing = ask(**alone, "sgx/forged-v3");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, Code::collateral_missing);
  EXPECT_THAT(missing.error().text(), HasSubstr("509060200000, SGX"));

  FixedSource next(read_bundle_path(test_data_path("sgx/forged-v3")).collateral());
  const auto both = FixedSource::by_platform({test_data_path("tdx/forged-v4")}, &next);
  ASSERT_TRUE(both.ok());
  EXPECT_EQ((*ask(**both, "sgx/forged-v3"))->digest(), digest_of("sgx/forged-v3"));
}

TEST_F(Fixed, WhatIsNoCollateralStopsTheStart) {
  const auto refused = [&](const std::vector<std::string>& paths) {
    const auto source = FixedSource::by_platform(paths);
    EXPECT_FALSE(source.ok());
    return source.ok() ? "" : std::string{base::slug(source.error().code)} + " " + source.error().text();
  };
  EXPECT_THAT(refused({}), HasSubstr("configuration"));
  EXPECT_THAT(refused({folder_.file("absent")}), HasSubstr("no such file"));
  EXPECT_THAT(refused({folder_.path()}), HasSubstr("no bundle"));
  write("x.json", "{");
  EXPECT_THAT(refused({folder_.path()}), HasSubstr("x.json"));
  write("x.json", R"({"tcb_info":"{}","pck_crl":"00"})");
  EXPECT_THAT(refused({folder_.path()}), HasSubstr("configuration"));
  write("x.json", R"({"note":"nothing here"})");
  EXPECT_THAT(refused({folder_.path()}), HasSubstr("no bundle"));
  write("x.json", R"({"qe_identity":"{}"})");
  EXPECT_THAT(refused({folder_.path()}), HasSubstr("no TCB info"));
}

TEST_F(Fixed, WhatIsNotIntelsIsSomebodyElsesBusiness) {
  write("x.json", R"({"vek":"00"})");
  FixedSource next(read_bundle_path(test_data_path("sgx/forged-v3")).collateral());
  const auto source = FixedSource::by_platform({folder_.path()}, &next);
  ASSERT_TRUE(source.ok()) << source.error().text();
  const attestation::Evidence report{attestation::EvidenceFormat::snp_report, base::Bytes(1184)};
  const auto given = (*source)->collateral_for(report, {}, {});
  ASSERT_TRUE(given.ok());
  EXPECT_EQ((*given)->digest(), digest_of("sgx/forged-v3"));
}

}  // namespace
}  // namespace attestry::collateral
