#include "provision/registry_measurements.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/encoding.h"

namespace attestry::provision {
namespace {

using ::testing::HasSubstr;

const curves::Address kContract = *curves::parse_address("0123456789abcdef0123456789abcdef01234567");

std::string last(int value, std::size_t bytes = 48) {
  return std::string(bytes * 2 - 2, '0') + "0" + std::to_string(value);
}
std::string tdx(const std::string& rtmr1 = last(2)) {
  return R"({"0":")" + last(9) + R"(","1":")" + last(1) + R"(","2":")" + rtmr1 + R"(","3":")" + last(3) + R"("})";
}
std::string azure(const std::string& pcr4) {
  return R"({"4":")" + pcr4 + R"(","9":")" + std::string(64, '9') + R"(","11":")" + std::string(64, 'b') + R"("})";
}
std::string failure(std::string_view type, std::string_view json, bool legacy = false) {
  const auto read = measurements_from_headers(type, json, legacy);
  return read.ok() ? "" : read.error().text();
}

TEST(RegistryMeasurements, TheVectorsIdentityComesFromHeaders) {
  const auto read = measurements_from_headers("qemu-tdx", tdx());
  ASSERT_TRUE(read.ok()) << read.error().text();
  EXPECT_EQ(base::hex(read->identity(kContract)), "f774c02b9017a767c574d5b1fdd4c3248e64444554aa7b4de26211231911d8d5");
  for (const char* newer : {"dcap-tdx", "gcp-tdx"}) EXPECT_TRUE(measurements_from_headers(newer, tdx()).ok()) << newer;
}

TEST(RegistryMeasurements, AzuresIdentityComesFromHexDigits) {
  const std::string json = R"({"4":"0404040404040404040404040404040404040404040404040404040404040404",)"
                           R"("9":"0909090909090909090909090909090909090909090909090909090909090909",)"
                           R"("11":"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b","23":"00"})";
  const auto read = measurements_from_headers("azure-tdx", json);
  ASSERT_TRUE(read.ok()) << read.error().text();
  EXPECT_EQ(base::hex(read->identity(kContract)), "90768dabdf94ab406af161e54b132669f77691963635272cfa337d99c63c6b90");
}

TEST(RegistryMeasurements, RefusalsKeepTheWordsOfTheWire) {
  EXPECT_THAT(failure("", tdx()), HasSubstr("invalid measurements: could not extract attestation type"));
  EXPECT_THAT(failure("dummy", tdx()), HasSubstr("unsupported operation"));
  EXPECT_THAT(failure("none", tdx()), HasSubstr("unsupported operation"));
  EXPECT_THAT(failure("qemu-tdx", ""), HasSubstr("invalid measurements: measurements header missing"));
  EXPECT_THAT(failure("qemu-tdx", "{"), HasSubstr("could not parse measurements"));
  EXPECT_THAT(failure("qemu-tdx", "[]"), HasSubstr("could not parse measurements"));
  EXPECT_THAT(failure("qemu-tdx", R"({"0":1})"), HasSubstr("could not parse measurements"));
  EXPECT_THAT(failure("qemu-tdx", R"({"00":"ab"})"), HasSubstr("could not parse measurements"));
  EXPECT_THAT(failure("qemu-tdx", R"({"1":"ab"})"), HasSubstr("mrtd missing"));
  EXPECT_THAT(failure("qemu-tdx", tdx(last(2, 47))), HasSubstr("invalid rtmr 1 value"));
  EXPECT_THAT(failure("qemu-tdx", tdx("abc")), HasSubstr("could not decode rtmr 1"));
  EXPECT_THAT(failure("azure-tdx", tdx()), HasSubstr("pcr 4 missing"));
  EXPECT_THAT(failure("azure-tdx", R"({"24":"00"})"), HasSubstr("none of 0 to 23"));
  EXPECT_THAT(failure("azure-tdx", R"({"-1":"00"})"), HasSubstr("none of 0 to 23"));
}

TEST(RegistryMeasurements, RawCharactersAreTakenOnlyWhenASwitchSaysSo) {
  const std::string raw(32, 'x');
  EXPECT_THAT(failure("azure-tdx", azure(raw)), HasSubstr("invalid MAA measurement value"));
  EXPECT_EQ(failure("azure-tdx", azure(raw), true), "");
}

using Claims = std::vector<attestation::Claim>;

attestation::Verdict verdict_of(attestation::Platform platform, Claims claims) {
  attestation::Verdict out;
  out.platform = platform;
  out.claims = std::move(claims);
  return out;
}
Claims quoted() {
  return {{"mrtd", last(9)}, {"rtmr0", last(1)}, {"rtmr1", last(2)}, {"rtmr2", last(3)}, {"rtmr3", last(4)}};
}
/// As claims.cpp reads a token; a virtual machine's has the same names for what its TEE says.
Claims in_token(std::string type) {
  return {{"x-ms-attestation-type", std::move(type)},
          {"tdx_mrtd", last(9)},
          {"tdx_rtmr0", last(1)},
          {"tdx_rtmr1", last(2)},
          {"tdx_rtmr2", last(3)},
          {"tdx_rtmr3", last(4)},
          {"attester_tcb_status", "UpToDate"}};
}
Claims without(Claims claims, std::string_view name) {
  std::erase_if(claims, [&](const attestation::Claim& claim) { return claim.name == name; });
  return claims;
}
std::string token_failure(Claims claims) {
  const auto read = measurements_of_workload(verdict_of(attestation::Platform::maa, std::move(claims)));
  return read.ok() ? "" : read.error().text();
}

TEST(RegistryMeasurements, ATdHasOneIdentityWhetherItsQuoteOrATokenSaysSo) {
  const auto quote = measurements_of_workload(verdict_of(attestation::Platform::tdx, quoted()));
  const auto token = measurements_of_workload(verdict_of(attestation::Platform::maa, in_token("tdxvm")));
  ASSERT_TRUE(quote.ok() && token.ok()) << token.error().text();
  EXPECT_EQ(token->kind, RegistryMeasurements::Kind::dcap);
  EXPECT_EQ(token->mrtd, quote->mrtd);
  EXPECT_EQ(token->identity(kContract), quote->identity(kContract));
  EXPECT_EQ(base::hex(token->identity(kContract)), "f774c02b9017a767c574d5b1fdd4c3248e64444554aa7b4de26211231911d8d5");
}

TEST(RegistryMeasurements, ATokenOfAVirtualMachineIsRefusedThoughItNamesRegisters) {
  EXPECT_THAT(token_failure(in_token("azurevm")), HasSubstr("a token of type azurevm"));
  EXPECT_THAT(token_failure(in_token("sevsnpvm")), HasSubstr("a token of type sevsnpvm"));
  EXPECT_THAT(token_failure(without(in_token("tdxvm"), "x-ms-attestation-type")), HasSubstr("a token without a type"));
}

TEST(RegistryMeasurements, ATokenHasToNameEveryRegisterAndTheStateOfTheTcb) {
  for (const char* name : {"tdx_mrtd", "tdx_rtmr0", "tdx_rtmr1", "tdx_rtmr2"}) {
    EXPECT_THAT(token_failure(without(in_token("tdxvm"), name)), HasSubstr("a token that lacks one")) << name;
  }
  EXPECT_THAT(token_failure(without(in_token("tdxvm"), "attester_tcb_status")), HasSubstr("attester_tcb_status"));
  // The names of a quote's registers are none of a token's.
  Claims disguised = quoted();
  disguised.push_back({"x-ms-attestation-type", "tdxvm"});
  disguised.push_back({"attester_tcb_status", "UpToDate"});
  EXPECT_THAT(token_failure(disguised), HasSubstr("a token that lacks one"));
}

TEST(RegistryMeasurements, AMasterKeyGoesToNobodyOnATokensWord) {
  const auto token = verdict_of(attestation::Platform::maa, in_token("tdxvm"));
  EXPECT_FALSE(measurements_of(token).ok());
  EXPECT_FALSE(tdx_facts(token, 1, kContract).has_value());
  EXPECT_TRUE(measurements_of(verdict_of(attestation::Platform::tdx, quoted())).ok());
  EXPECT_FALSE(measurements_of_workload(verdict_of(attestation::Platform::snp, {})).ok());
}

}  // namespace
}  // namespace attestry::provision
