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

}  // namespace
}  // namespace attestry::provision
