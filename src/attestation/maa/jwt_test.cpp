#include "attestation/maa/jwt.h"

#include <gtest/gtest.h>

#include "base/encoding.h"

namespace attestry::attestation::maa {
namespace {

std::string b64(std::string_view text) { return base::base64url(base::as_bytes(text)); }

TEST(Jws, TakesThreePartsAndKeepsTheSignedText) {
  const auto jws = parse_jws("e30.e30.AAE");
  ASSERT_TRUE(jws.ok());
  EXPECT_EQ(jws->signed_text, "e30.e30");
  EXPECT_EQ(base::as_text(jws->header), "{}");
  EXPECT_EQ(base::as_text(jws->payload), "{}");
  EXPECT_EQ(jws->signature, (base::Bytes{0, 1}));
}

TEST(Jws, RefusesEveryOtherForm) {
  for (const std::string_view bad : {"", ".", "..", "e30", "e30.e30", "e30.e30.", ".e30.AAE", "e30..AAE",
                                     "e30.e30.AAE.", "e30.e30.AAE.AAE", "e30.e30.AAE\n", " e30.e30.AAE", "e30=.e30.AAE",
                                     "e30.e30.AA+", "e30.e30.AA/", "e30.e30.AAF", "e30.e30.A", "e30.e 30.AAE"}) {
    EXPECT_FALSE(parse_jws(bad).ok()) << bad;
  }
  EXPECT_FALSE(parse_jws("e30." + std::string(kMaxTokenBytes, 'A') + ".AAE").ok());
}

TEST(JwsHeader, ReadsWhatCountsAndNothingThatATokenBringsForItself) {
  const auto header = parse_jws_header(
      base::as_bytes(R"({"alg":"RS256","typ":"JWT","kid":"k","jku":"https://x/certs","jwk":{"kty":"oct"},"x5u":7})"));
  ASSERT_TRUE(header.ok());
  EXPECT_EQ(header->alg, "RS256");
  EXPECT_EQ(header->typ, "JWT");
  EXPECT_EQ(header->kid, "k");
  EXPECT_EQ(header->jku, "https://x/certs");
  EXPECT_FALSE(header->has_crit);
  EXPECT_TRUE(parse_jws_header(base::as_bytes(R"({"crit":null})"))->has_crit);
  EXPECT_FALSE(parse_jws_header(base::as_bytes("{}"))->alg.has_value());
}

TEST(JwsHeader, RefusesWhatTwoReadersCouldReadDifferently) {
  for (const std::string_view bad :
       {"", "[]", "null", R"({"alg":"RS256","alg":"none"})", R"({"alg":["RS256"]})", R"({"alg":null})", R"({"kid":1})",
        R"({"alg":"RS256"} )"
        "x",
        R"({"alg":"RS256",})"}) {
    EXPECT_FALSE(parse_jws_header(base::as_bytes(bad)).ok()) << bad;
  }
}

TEST(Claims, AreAnObjectWithoutDuplicates) {
  EXPECT_TRUE(parse_claims(base::as_bytes(R"({"iss":"a"})")).ok());
  EXPECT_FALSE(parse_claims(base::as_bytes(R"({"iss":"a","iss":"b"})")).ok());
  EXPECT_FALSE(parse_claims(base::as_bytes(R"({"iss":"a","\u0069ss":"b"})")).ok());
  EXPECT_FALSE(parse_claims(base::as_bytes("[]")).ok());
  EXPECT_FALSE(parse_claims(base::as_bytes("7")).ok());
}

TEST(Jws, DecodedPartsStandForOneTextOnly) {
  const std::string text = b64(R"({"alg":"RS256"})") + "." + b64("{}") + "." + b64("signature");
  const auto jws = parse_jws(text);
  ASSERT_TRUE(jws.ok());
  EXPECT_EQ(base::base64url(jws->header) + "." + base::base64url(jws->payload) + "." + base::base64url(jws->signature),
            text);
}

}  // namespace
}  // namespace attestry::attestation::maa
