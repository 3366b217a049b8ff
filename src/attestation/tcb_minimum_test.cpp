#include "attestation/tcb_minimum.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "attestation/policy.h"

namespace attestry::attestation {
namespace {

using ::testing::HasSubstr;

Verdict td() {
  Verdict v;
  v.evidence = Genuineness::genuine;
  v.platform = Platform::tdx;
  v.tcb = TcbSummary{.status = "UpToDate"};
  v.claims = {{.name = "td_attributes", .value = "0000001000000000"},
              {.name = "mrservicetd", .value = std::string(96, '0')},
              {.name = "tee_tcb_svn", .value = "05010200000000000000000000000000"},
              {.name = "pck_components", .value = "0b0b0303ff0100030000000000000000"},
              {.name = "pck_pcesvn", .value = "13", .is_number = true},
              {.name = "qe_isvsvn", .value = "8", .is_number = true}};
  return v;
}

/// Milan, Genoa: boot loader, TEE, 4 reserved, SNP, microcode. Turin: FMC, boot loader, TEE, SNP, 3 reserved,
/// microcode.
Verdict guest(std::string product, std::string tcb) {
  Verdict v;
  v.evidence = Genuineness::genuine;
  v.platform = Platform::snp;
  v.checks = {{.check = CheckId::snp_crl_revoked, .status = CheckStatus::pass}};
  v.claims = {{.name = "product", .value = std::move(product)},
              {.name = "guest_policy", .value = "0000030000000000"},
              {.name = "vmpl", .value = "0", .is_number = true},
              {.name = "reported_tcb", .value = tcb},
              {.name = "current_tcb", .value = tcb},
              {.name = "committed_tcb", .value = tcb},
              {.name = "launch_tcb", .value = std::move(tcb)}};
  return v;
}

const CheckResult* minimum_of(const Verdict& v) {
  for (const CheckResult& result : v.checks) {
    if (result.check == CheckId::policy_tcb_minimum) return &result;
  }
  return nullptr;
}

/// "pass", "none" when nothing was judged, or what is too old.
std::string judged(const std::string& minimum, Verdict v) {
  const auto policy = Policy::parse(R"({"format":1,"tcb":{"minimum":)" + minimum + "}}");
  if (!policy.ok()) return policy.error().text();
  evaluate(*policy, v);
  const CheckResult* result = minimum_of(v);
  if (result == nullptr) return "none";
  EXPECT_EQ(v.outcome == Outcome::accepted, result->status == CheckStatus::pass);
  return result->status == CheckStatus::pass ? "pass" : result->actual;
}

TEST(TcbMinimum, IntelComponentsPcesvnAndQuotingEnclave) {
  EXPECT_EQ(judged(R"({"tdx":{"components":[11,11,3,3,255,1,0,3],"pcesvn":13,"qe_isvsvn":8,"tdx_components":[5,1,2]}})",
                   td()),
            "pass");
  EXPECT_EQ(judged(R"({"tdx":{"components":[12,11,4]}})", td()), "pck_components[0] 11, pck_components[2] 3");
  EXPECT_EQ(judged(R"({"tdx":{"pcesvn":14}})", td()), "pck_pcesvn 13");
  EXPECT_EQ(judged(R"({"tdx":{"qe_isvsvn":9}})", td()), "qe_isvsvn 8");
  EXPECT_EQ(judged(R"({"tdx":{"tdx_components":[5,1,3]}})", td()), "tee_tcb_svn[2] 2");
}

TEST(TcbMinimum, APlatformThatIsNotNamedIsRefused) {
  const auto refused = [](std::string_view platform) {
    return std::string{platform} + ", for which it names no minimum";
  };
  const Verdict milan = guest("Milan", "ffffffffffffffff");
  EXPECT_EQ(judged(R"({"sgx":{"pcesvn":1}})", td()), refused("tdx"));
  EXPECT_EQ(judged(R"({"snp":{"milan":{"reported":{"snp":1}}}})", td()), refused("tdx"));
  EXPECT_EQ(judged(R"({"tdx":{"pcesvn":1}})", milan), refused("snp"));
  for (const Platform platform : {Platform::sgx, Platform::nitro, Platform::maa}) {
    Verdict other = td();
    other.platform = platform;
    EXPECT_EQ(judged(R"({"tdx":{"pcesvn":1}})", other), refused(to_text(platform)));
  }
}

TEST(TcbMinimum, WhatIsRefusedForWantOfAMinimumIsToldHowToChange) {
  Verdict v = td();
  const auto policy = Policy::parse(R"({"format":1,"tcb":{"minimum":{"snp":{"genoa":{"reported":{"snp":23}}}}}})");
  ASSERT_TRUE(policy.ok());
  evaluate(*policy, v);
  const CheckResult* result = minimum_of(v);
  ASSERT_NE(result, nullptr);
  EXPECT_EQ(v.outcome, Outcome::refused);
  EXPECT_EQ(result->expected, "a platform that tcb.minimum names");
  EXPECT_THAT(result->detail, HasSubstr("none for tdx: name it in tcb.minimum, with versions or with \"any\""));
}

TEST(TcbMinimum, AnyHasToBeSaid) {
  EXPECT_EQ(judged(R"({"sgx":{"pcesvn":14},"tdx":"any"})", td()), "pass");
  EXPECT_EQ(judged(R"({"tdx":{"pcesvn":14},"snp":"any"})", guest("Genoa", "0000000000000000")), "pass");
  const std::string genoa_only = R"({"snp":{"genoa":{"reported":{"snp":23}},"turin":"any"},"nitro":"any"})";
  EXPECT_EQ(judged(genoa_only, guest("Turin", "0000000000000000")), "pass");
  EXPECT_EQ(judged(genoa_only, guest("Genoa", "0000000000000016")), "reported_tcb.snp 0");
  EXPECT_THAT(judged(genoa_only, guest("Milan", "ffffffffffffffff")), HasSubstr("Milan, for which"));
  Verdict document = td();
  document.platform = Platform::nitro;
  EXPECT_EQ(judged(genoa_only, document), "pass");
  document.platform = Platform::maa;
  EXPECT_EQ(judged(R"({"tdx":{"pcesvn":14},"maa":"any"})", document), "pass");
}

TEST(TcbMinimum, EvidenceThatCouldNotBeReadSkipsIt) {
  Verdict v;
  v.evidence = Genuineness::not_genuine;
  const auto policy = Policy::parse(R"({"format":1,"tcb":{"minimum":{"tdx":{"pcesvn":1}}}})");
  ASSERT_TRUE(policy.ok());
  evaluate(*policy, v);
  ASSERT_NE(minimum_of(v), nullptr);
  EXPECT_EQ(minimum_of(v)->status, CheckStatus::skipped);
}

/// Attestation_checks 2.2, 10: AMD-SB-3019 is fixed from SNP 0x18 (Milan) and 0x17 (Genoa) on.
TEST(TcbMinimum, StrictRefusesFirmwareThatLetsMicrocodeBeForged) {
  const auto strict = [](std::string product, std::string tcb) {
    Verdict v = guest(std::move(product), std::move(tcb));
    v.claims.push_back({.name = "current_firmware", .value = "1.55.40"});
    v.claims.push_back({.name = "committed_firmware", .value = "1.55.40"});
    return v;
  };
  const auto judged_by_strict = [](Verdict v) {
    evaluate(Policy::strict(), v);
    if (v.outcome == Outcome::accepted) return std::string{"accepted"};
    return std::string{info(v.root_cause()->check).id} + " " + v.root_cause()->actual;
  };
  EXPECT_EQ(judged_by_strict(strict("Milan", "04000000000018db")), "accepted");
  EXPECT_EQ(judged_by_strict(strict("Milan", "04000000000017db")),
            "policy.tcb.minimum reported_tcb.snp 23, current_tcb.snp 23, committed_tcb.snp 23, launch_tcb.snp 23");
  EXPECT_EQ(judged_by_strict(strict("Genoa", "0a00000000001754")), "accepted");
  EXPECT_EQ(judged_by_strict(strict("Genoa", "0a00000000001654")),
            "policy.tcb.minimum reported_tcb.snp 22, current_tcb.snp 22, committed_tcb.snp 22, launch_tcb.snp 22");
  EXPECT_EQ(judged_by_strict(strict("Turin", "0001000200000047")), "accepted");
  Verdict launched_before = strict("Milan", "04000000000018db");
  for (Claim& claim : launched_before.claims) {
    if (claim.name == "launch_tcb") claim.value = "04000000000017db";
  }
  EXPECT_EQ(judged_by_strict(launched_before), "policy.tcb.minimum launch_tcb.snp 23");
}

TEST(TcbMinimum, AClaimThatTheEvidenceLacksFails) {
  Verdict v = td();
  v.claims.pop_back();
  EXPECT_EQ(judged(R"({"tdx":{"qe_isvsvn":1}})", v), "absent");
}

TEST(TcbMinimum, SnpByTheLayoutOfTheFamily) {
  const Verdict milan = guest("Milan", "03000000000018db");
  EXPECT_EQ(judged(R"({"snp":{"milan":{"reported":{"boot_loader":3,"snp":24,"microcode":219}}}})", milan), "pass");
  EXPECT_EQ(judged(R"({"snp":{"milan":{"reported":{"boot_loader":4,"snp":25}}}})", milan),
            "reported_tcb.boot_loader 3, reported_tcb.snp 24");
  EXPECT_EQ(judged(R"({"snp":{"milan":{"launch":{"microcode":220}}}})", milan), "launch_tcb.microcode 219");
  EXPECT_EQ(judged(R"({"snp":{"milan":{"committed":{"tee":1}}}})", milan), "committed_tcb.tee 0");
  EXPECT_EQ(judged(R"({"snp":{"milan":{"current":{"tee":1}}}})", milan), "current_tcb.tee 0");

  const Verdict turin = guest("Turin", "0102000400000048");
  EXPECT_EQ(judged(R"({"snp":{"turin":{"reported":{"fmc":1,"boot_loader":2,"snp":4,"microcode":72}}}})", turin),
            "pass");
  EXPECT_EQ(judged(R"({"snp":{"turin":{"reported":{"fmc":2}}}})", turin), "reported_tcb.fmc 1");
}

TEST(TcbMinimum, AFamilyThatIsNotNamedIsRefused) {
  EXPECT_THAT(judged(R"({"snp":{"genoa":{"reported":{"snp":1}}}})", guest("Milan", "ffffffffffffffff")),
              HasSubstr("Milan, for which it names no minimum"));
  EXPECT_EQ(judged(R"({"snp":{"genoa":{"reported":{"snp":1}}}})", guest("Naples", "ffffffffffffffff")), "absent");
}

TEST(TcbMinimum, IsReadStrictly) {
  for (const std::string_view wrong :
       {R"({})", R"([])", R"({"snp":{}})", R"({"snp":{"milan":{}}})", R"({"snp":{"milan":{"reported":{}}}})",
        R"({"snp":{"milan":{"reported":{"fmc":1}}}})", R"({"snp":{"naples":{"reported":{"snp":1}}}})",
        R"({"snp":{"milan":{"reported":{"snp":256}}}})", R"({"snp":{"milan":{"reported":{"snp":"1"}}}})",
        R"({"sgx":{"tdx_components":[1]}})", R"({"sgx":{"components":[]}})",
        R"({"sgx":{"components":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]}})", R"({"sgx":{"components":[-1]}})",
        R"({"tdx":{"pcesvn":65536}})", R"({"nitro":{"pcesvn":1}})", R"({"tdx":"none"})", R"({"maa":true})",
        // What every version reaches is no minimum, and neither is "any" alone.
        R"({"tdx":{"pcesvn":0}})", R"({"tdx":{"qe_isvsvn":0}})", R"({"tdx":{"components":[0,0]}})",
        R"({"tdx":{"tdx_components":[0],"pcesvn":1}})", R"({"snp":{"milan":{"reported":{"snp":0,"tee":0}}}})",
        R"({"snp":{"turin":{"launch":{"fmc":0}}}})", R"({"tdx":"any"})", R"({"snp":{"milan":"any"},"nitro":"any"})"}) {
    EXPECT_FALSE(Policy::parse(R"({"format":1,"tcb":{"minimum":)" + std::string{wrong} + "}}").ok()) << wrong;
  }
}

}  // namespace
}  // namespace attestry::attestation
