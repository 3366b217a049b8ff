#include "collateral/bundle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "base/encoding.h"

namespace attestry::collateral {
namespace {

using attestation::CollateralKind;
using ::testing::HasSubstr;

std::string text_of(const Bundle& bundle, CollateralKind kind) {
  const auto found = std::ranges::find(bundle.items, kind, &attestation::CollateralItem::kind);
  return found == bundle.items.end() ? "absent" : std::string{base::as_text(found->bytes)};
}

std::string problem_of(const Bundle& bundle, CollateralKind kind) {
  const auto found = std::ranges::find(bundle.problems, kind, &attestation::CollateralProblem::kind);
  return found == bundle.problems.end() ? "" : found->what;
}

Bundle read(std::string_view json) { return read_bundle(base::as_bytes(json), "test.json"); }

/// A folder of its own for each test, gone afterwards.
class BundlePath : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    folder_ = std::filesystem::path(::testing::TempDir()) / (std::string("attestry_bundle_") + test->name());
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  void write(const std::string& name, std::string_view text) const { std::ofstream(folder_ / name) << text; }

  std::filesystem::path folder_;
};

TEST(Bundle, ReadsTheFieldsOfAQuoteCollateralV3Document) {
  const Bundle bundle = read(R"({
    "tcb_info": "{\"id\":\"TDX\", \"version\":3}", "tcb_info_signature": "00fF",
    "tcb_info_issuer_chain": "chain 1", "qe_identity": "{ }", "qe_identity_signature": [1, 255],
    "qe_identity_issuer_chain": "chain 2", "pck_crl": "3000", "pck_crl_issuer_chain": "chain 3",
    "root_ca_crl": "3001", "pck_certificate_chain": null, "note": "ignored"})");
  EXPECT_TRUE(bundle.problems.empty());
  EXPECT_EQ(bundle.items.size(), 9u);
  EXPECT_EQ(text_of(bundle, CollateralKind::tcb_info), "{\"id\":\"TDX\", \"version\":3}") << "the exact signed text";
  EXPECT_EQ(text_of(bundle, CollateralKind::tcb_info_signature), std::string("\x00\xff", 2));
  EXPECT_EQ(text_of(bundle, CollateralKind::qe_identity_signature), "\x01\xff");
  EXPECT_EQ(text_of(bundle, CollateralKind::pck_crl), std::string("\x30\x00", 2));
  EXPECT_EQ(text_of(bundle, CollateralKind::pck_chain), "absent");
}

TEST(Bundle, WhatIsNoHexIsAProblemOfItsFieldAlone) {
  const Bundle bundle = read(R"({"pck_crl":"30zz","root_ca_crl":"300","tcb_info_signature":7,"tcb_info":"{}"})");
  EXPECT_THAT(problem_of(bundle, CollateralKind::pck_crl), HasSubstr("field pck_crl"));
  EXPECT_NE(problem_of(bundle, CollateralKind::root_ca_crl), "");
  EXPECT_NE(problem_of(bundle, CollateralKind::tcb_info_signature), "");
  EXPECT_EQ(bundle.problems.size(), 3u);
  EXPECT_EQ(text_of(bundle, CollateralKind::tcb_info), "{}");
  EXPECT_NE(problem_of(read(R"({"pck_crl":[1,256]})"), CollateralKind::pck_crl), "");
}

TEST(Bundle, WhatIsNoJsonIsAProblemOfEveryKind) {
  for (const std::string_view json : {"", "{", "[]", "\xff", R"({"a":1,"a":2})"}) {
    const Bundle bundle = read(json);
    EXPECT_TRUE(bundle.items.empty()) << json;
    EXPECT_EQ(bundle.problems.size(), 14u) << json;
  }
}

TEST(Bundle, TakesTheSignedTextOfAServiceReplyByteForByte) {
  const Bundle bundle = read(R"({"tcbInfo": {"id" : "TDX"} , "signature":"ab"})");
  EXPECT_EQ(text_of(bundle, CollateralKind::tcb_info), R"({"id" : "TDX"})");
  EXPECT_EQ(text_of(bundle, CollateralKind::tcb_info_signature), "\xab");
  EXPECT_NE(problem_of(read(R"({"enclaveIdentity":{},"signature":"x"})"), CollateralKind::qe_identity_signature), "");
}

TEST(Bundle, ALaterSourceReplacesAnEarlierOne) {
  Bundle bundle = read(R"({"pck_crl":"3000","root_ca_crl":"zz"})");
  bundle.merge(read(R"({"pck_crl":"zz","root_ca_crl":"3001"})"));
  EXPECT_EQ(text_of(bundle, CollateralKind::pck_crl), "absent");
  EXPECT_NE(problem_of(bundle, CollateralKind::pck_crl), "");
  EXPECT_EQ(text_of(bundle, CollateralKind::root_ca_crl), "\x30\x01");
  EXPECT_EQ(problem_of(bundle, CollateralKind::root_ca_crl), "");
  EXPECT_EQ(bundle.collateral()->items().size(), 1u);
  EXPECT_EQ(bundle.collateral()->problems().size(), 1u);
}

TEST(Bundle, WritesWhatItReads) {
  const Bundle bundle = read(R"({"tcb_info":"{\"a\": \"\u00e4\"}","pck_crl":"3000","tcb_info_issuer_chain":"x\n"})");
  const Bundle again = read(write_bundle(*bundle.collateral()));
  EXPECT_EQ(again.collateral()->digest(), bundle.collateral()->digest());
}

TEST_F(BundlePath, ReadsAFileAndAFolderWithCollateralJson) {
  write("collateral.json", R"({"pck_crl":"3000"})");
  EXPECT_EQ(read_bundle_path((folder_ / "collateral.json").string()).items.size(), 1u);
  EXPECT_EQ(read_bundle_path(folder_.string()).items.size(), 1u);
}

TEST_F(BundlePath, AMissingPathIsAProblemThatNamesIt) {
  const Bundle bundle = read_bundle_path((folder_ / "nowhere.json").string());
  EXPECT_EQ(bundle.problems.size(), 9u);
  EXPECT_THAT(bundle.problems.front().what, HasSubstr("nowhere.json"));
  EXPECT_TRUE(bundle.problems.front().missing);
  Bundle both = read(R"({"pck_crl":"3000"})");
  both.merge(bundle);
  EXPECT_EQ(both.items.size(), 1u) << "a source that is away takes nothing from what is there";
}

TEST_F(BundlePath, AFolderWithoutCollateralIsAnEmptyBundle) {
  write("quote.bin", "x");
  const Bundle bundle = read_bundle_path(folder_.string());
  EXPECT_TRUE(bundle.items.empty());
  EXPECT_TRUE(bundle.problems.empty());
}

TEST_F(BundlePath, ReadsTheFilesOfTheSampleApplication) {
  write("tcbInfo.json", R"({"tcbInfo":{"id":"TDX"},"signature":"aa"})");
  write("qeIdentity.json", R"({"enclaveIdentity":{"id":"TD_QE"},"signature":"bb"})");
  write("rootCaCrl.der", "root");
  write("intermediateCaCrl.der", "pck");
  write("tcbSignChain.pem", "no chain");
  write("pckSignChain.pem", "-----");
  write("pckCert.pem", "leaf");
  write("trustedRootCaCert.pem", "never used");
  const Bundle bundle = read_bundle_path(folder_.string());
  EXPECT_EQ(bundle.items.size(), 10u);
  EXPECT_EQ(text_of(bundle, CollateralKind::tcb_info), R"({"id":"TDX"})");
  EXPECT_EQ(text_of(bundle, CollateralKind::qe_identity_signature), "\xbb");
  EXPECT_EQ(text_of(bundle, CollateralKind::qe_identity_chain), "no chain");
  EXPECT_EQ(text_of(bundle, CollateralKind::pck_crl), "pck");
}

// Whose a key set is, is for the operator to say.
TEST_F(BundlePath, AKeySetHasTheOriginThatIsSaidAndNoneOfItsOwn) {
  constexpr const char* kIssuer = "https://a.example";
  const auto origin = [](const Bundle& bundle) {
    const auto found = std::ranges::find(bundle.items, CollateralKind::jwks, &attestation::CollateralItem::kind);
    return found == bundle.items.end() ? "absent" : found->origin;
  };
  write("certs", R"({"keys":[],"origin":"https://evil.example","issuer":"https://evil.example"})");
  Bundle fetched = read_bundle_path((folder_ / "certs").string());
  EXPECT_EQ(origin(fetched), "");
  write("jwks.json", R"({"keys":[]})");
  EXPECT_EQ(origin(read_bundle_path(folder_.string())), "");
  write("collateral.json", R"({"jwks":"{}","origin":"https://evil.example","tcb_info":"x"})");
  Bundle bundle = read_bundle_path(folder_.string());
  EXPECT_EQ(origin(bundle), "");
  fetched.set_key_origin(kIssuer);
  bundle.merge(std::move(fetched));
  EXPECT_EQ(origin(bundle), kIssuer);
  EXPECT_EQ(bundle.collateral()->find(CollateralKind::jwks)->origin, kIssuer);
  EXPECT_EQ(bundle.collateral()->find(CollateralKind::tcb_info)->origin, "");
  bundle.set(CollateralKind::jwks, {});
  EXPECT_EQ(origin(bundle), "") << "another key set is another's";
}

}  // namespace
}  // namespace attestry::collateral
