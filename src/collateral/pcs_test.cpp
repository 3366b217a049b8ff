#include "collateral/pcs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collateral/testing/stand_in.h"

namespace attestry::collateral {
namespace {

using attestation::CollateralKind;
using base::Code;
using ::testing::Each;
using ::testing::HasSubstr;
using testing::kStandInHost;
using testing::PcsStandIn;
using testing::text_of;

constexpr attestation::DcapNeeds kTdx{.tdx = true, .fmspc = {0x50, 0x90, 0x60, 0x20, 0, 0}, .platform_ca = true};
constexpr base::Deadline kDeadline{std::chrono::seconds(1000)};
const std::string kTcb = std::string{kStandInHost} + "/tdx/certification/v4/tcb?fmspc=509060200000";
const std::string kIdentity = std::string{kStandInHost} + "/tdx/certification/v4/qe/identity";
const std::string kPckCrl = std::string{kStandInHost} + "/sgx/certification/v4/pckcrl?ca=platform&encoding=der";
const std::string kRootCrl = std::string{kStandInHost} + "/sgx/certification/v4/rootcacrl";

class Pcs : public ::testing::Test {
 protected:
  base::Result<Bundle> fetch(const attestation::DcapNeeds& needs = kTdx) {
    return PcsClient(service_, options_).fetch(needs, kDeadline);
  }
  base::Error failure(const attestation::DcapNeeds& needs = kTdx) {
    const auto bundle = fetch(needs);
    return bundle.ok() ? base::Error{Code::internal, "it succeeded"} : bundle.error();
  }

  PcsStandIn service_;
  PcsOptions options_{.base_url = std::string{kStandInHost} + "/"};
  const Bundle expected_ = read_bundle_path(testing::test_data_path("tdx/forged-v4"));
};

TEST_F(Pcs, FetchesEveryItemByteForByteWithinTheDeadline) {
  const auto bundle = fetch();
  ASSERT_TRUE(bundle.ok()) << bundle.error().text();
  EXPECT_TRUE(bundle->problems.empty());
  ASSERT_EQ(bundle->items.size(), 9u);
  EXPECT_EQ(bundle->collateral()->digest(), expected_.collateral()->digest());
  EXPECT_THAT(service_.asked, ::testing::ElementsAre(kTcb, kIdentity, kPckCrl, kRootCrl));
  EXPECT_THAT(service_.deadlines, Each(kDeadline));
}

TEST_F(Pcs, AsksForUpperCaseFmspcAndTheCaAndTeeOfThePlatform) {
  EXPECT_EQ(failure({.tdx = false, .fmspc = {0x00, 0xa0, 0x67, 0x11, 0xff, 0}, .platform_ca = false}).code,
            Code::collateral_missing);
  EXPECT_EQ(service_.asked.back(), std::string{kStandInHost} + "/sgx/certification/v4/tcb?fmspc=00A06711FF00");
  PcsStandIn processor("tdx/forged-v4-processor-ca", "processor");
  attestation::DcapNeeds needs = kTdx;
  needs.platform_ca = false;
  EXPECT_TRUE(PcsClient(processor, options_).fetch(needs, kDeadline).ok());
}

TEST_F(Pcs, TakesTheSignedTextAsItStands) {
  const std::string odd = "{ \"id\" : \"TDX\",\n \"b\":1.0, \"a\":\"\\u0041\" }";
  service_.replies[kTcb].body = " {\"signature\" : \"00FF\",  \"tcbInfo\" : " + odd + " } ";
  const auto bundle = fetch();
  ASSERT_TRUE(bundle.ok()) << bundle.error().text();
  EXPECT_EQ(text_of(*bundle, CollateralKind::tcb_info), odd);
  EXPECT_EQ(text_of(*bundle, CollateralKind::tcb_info_signature), std::string("\x00\xff", 2));
}

TEST_F(Pcs, KnowsBothSpellingsOfTheChainHeaders) {
  service_.replies[kTcb].headers = {
      {"sgx-tcb-info-issuer-chain", net::percent_encode(text_of(expected_, CollateralKind::tcb_info_chain))}};
  const auto bundle = fetch();
  ASSERT_TRUE(bundle.ok()) << bundle.error().text();
  EXPECT_EQ(text_of(*bundle, CollateralKind::tcb_info_chain), text_of(expected_, CollateralKind::tcb_info_chain));
}

TEST_F(Pcs, TakesCrlsAsDerPemAndHex) {
  const std::string der = text_of(expected_, CollateralKind::root_ca_crl);
  const std::string hex = base::hex(base::as_bytes(der));
  for (const std::string& body : {der, hex + "\n", base::pem_encode("X509 CRL", base::as_bytes(der))}) {
    service_.replies[kRootCrl].body = body;
    const auto bundle = fetch();
    ASSERT_TRUE(bundle.ok()) << bundle.error().text();
    EXPECT_EQ(text_of(*bundle, CollateralKind::root_ca_crl), der);
  }
}

TEST_F(Pcs, IntelHasTheRootCrlAtItsDistributionPointOnly) {
  PcsStandIn intel;
  std::map<std::string, net::Response> moved;
  for (const auto& [url, reply] : intel.replies) {
    moved[std::string{kIntelPcs} + url.substr(kStandInHost.size())] = reply;
  }
  moved.erase(std::string{kIntelPcs} + "/sgx/certification/v4/rootcacrl");
  moved[std::string{kIntelRootCrl}] = net::text_response(200, text_of(expected_, CollateralKind::root_ca_crl));
  intel.replies = moved;
  ASSERT_TRUE(PcsClient(intel).fetch(kTdx, kDeadline).ok());
  EXPECT_EQ(intel.asked.back(), kIntelRootCrl);
  EXPECT_EQ(intel.asked.size(), 4u);
}

TEST_F(Pcs, APccsWithoutRootCrlLeavesTheDistributionPointUnlessThereIsNone) {
  service_.replies.erase(kRootCrl);
  service_.replies[std::string{kIntelRootCrl}] =
      net::text_response(200, text_of(expected_, CollateralKind::root_ca_crl));
  EXPECT_TRUE(fetch().ok());
  options_.root_crl_url.clear();
  EXPECT_EQ(failure().code, Code::collateral_missing);
}

TEST_F(Pcs, AnOutageIsUnavailableAndAnUnknownPlatformIsMissing) {
  for (const int status : {301, 400, 401, 429, 500, 503}) {
    service_.replies[kTcb].status = status;
    const auto error = failure();
    EXPECT_EQ(error.code, Code::unavailable) << status;
    EXPECT_THAT(error.text(), HasSubstr(std::to_string(status)));
  }
  for (const int status : {404, 461}) {
    service_.replies[kTcb].status = status;
    EXPECT_EQ(failure().code, Code::collateral_missing) << status;
  }
  service_.error = base::Error{Code::usage, "not callable"};
  EXPECT_EQ(failure().code, Code::unavailable);
  service_.error = base::Error{Code::deadline_exceeded, "late"};
  EXPECT_EQ(failure().code, Code::deadline_exceeded);
}

TEST_F(Pcs, WhatIsNoCollateralIsUnavailable) {
  const auto fails = [&](const std::string& url, const std::function<void(net::Response&)>& spoil) {
    const net::Response good = service_.replies[url];
    spoil(service_.replies[url]);
    EXPECT_EQ(failure().code, Code::unavailable) << url;
    service_.replies[url] = good;
  };
  for (const std::string& url : {kTcb, kIdentity}) {
    for (const char* body : {"", "<html>", "[]", "{}", R"({"tcbInfo":{}})", R"({"tcbInfo":{},"signature":"xy"})",
                             R"({"tcbInfo":"text","signature":"00"})", R"({"enclaveIdentity":{},"signature":7})"}) {
      fails(url, [&](net::Response& r) { r.body = body; });
    }
  }
  for (const std::string& url : {kPckCrl, kRootCrl}) {
    for (const char* body : {"", "30", "zz", "\x30\x03\x02\x01\x01", "-----BEGIN X509 CRL-----"}) {
      fails(url, [&](net::Response& r) { r.body = body; });
    }
  }
  for (const std::string& url : {kTcb, kIdentity, kPckCrl}) {
    fails(url, [](net::Response& r) { r.headers.clear(); });
    fails(url, [](net::Response& r) {
      const std::string name{r.headers.at(0).first};
      r.headers.set(name, "%4");
    });
    fails(url, [](net::Response& r) {
      const std::string name{r.headers.at(0).first};
      r.headers.set(name, "");
    });
  }
  EXPECT_TRUE(fetch().ok()) << "every spoiled reply was put right again";
}

}  // namespace
}  // namespace attestry::collateral
