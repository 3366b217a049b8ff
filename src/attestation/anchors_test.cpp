#include "attestation/anchors.h"

#include <gtest/gtest.h>

namespace attestry::attestation {
namespace {

bool believed(const TrustAnchors& anchors, const std::string& issuer) {
  const auto with = anchors.with_token_issuers({issuer});
  return with.ok() && with->trusts_token_issuer(issuer);
}

TEST(TokenIssuers, AreAddressesAsHostsAreWritten) {
  const TrustAnchors real = TrustAnchors::production();
  for (const char* good :
       {"https://shareduks.uks.attest.azure.net", "https://a.example:8443", "https://a-1.example/x/y",
        "https://localhost", "https://a.invalid.example", "https://notinvalid"}) {
    EXPECT_TRUE(believed(real, good)) << good;
  }
  for (const char* bad : {"",
                          "https://",
                          "http://a.example",
                          "HTTPS://a.example",
                          "https://a.example/",
                          "https://A.example",
                          "https://a.example.",
                          "https://a.example.:443",
                          "https://user@a.example",
                          "https://a.example@b.example",
                          "https://a..example",
                          "https://.a.example",
                          "https://a.example:",
                          "https://a.example:0",
                          "https://a.example:65536",
                          "https://a.example:44x",
                          "https://[::1]",
                          "https://a_b.example",
                          "https://a%2eexample",
                          "https://\xc3\xa9.example",
                          "https://a\xe3\x80\x82invalid",
                          "https://-a.example",
                          "https://a-.example",
                          "https://a.example/x y",
                          "https://a.example/\n",
                          "https://a.example?x",
                          "https://a.example#x",
                          "https://a.example\\x",
                          "https:///a.example"}) {
    EXPECT_FALSE(believed(real, bad)) << bad;
    EXPECT_FALSE(believed(TrustAnchors::simulated({}), bad)) << bad;
  }
}

TEST(TokenIssuers, NoSpellingOfASimulatedOneIsBelievedBesideTheVendorsRoots) {
  for (const char* forged :
       {"https://forge.simulated.attest.invalid", "https://forge.simulated.attest.invalid:443", "https://a.INVALID",
        "https://a.invalid.", "https://a.Invalid.:443", "https://a.invalid/x", "https://a.invalid:443/x",
        "https://invalid", "https://a@b.invalid", "https://a.invalid..", "a.invalid", "HTTPS://a.invalid"}) {
    EXPECT_TRUE(TrustAnchors::is_simulated_issuer(forged)) << forged;
    EXPECT_FALSE(believed(TrustAnchors::production(), forged)) << forged;
  }
  EXPECT_TRUE(believed(TrustAnchors::simulated({}), "https://forge.simulated.attest.invalid:443"));
  for (const char* real : {"https://a.invalid.example", "https://invalid.example:443", "https://notinvalid",
                           "https://a.example/x.invalid", "https://a.invalid@b.example"}) {
    EXPECT_FALSE(TrustAnchors::is_simulated_issuer(real)) << real;
  }
}

}  // namespace
}  // namespace attestry::attestation
