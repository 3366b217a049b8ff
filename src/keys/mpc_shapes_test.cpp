#include "keys/mpc_shapes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace attestry::keys::ckd {
namespace {

using base::Code;
using curves::bls::G1;
using curves::bls::G2;
using ::testing::HasSubstr;

constexpr std::string_view kG1Text = "bls12381g1:6aGxBiDyBZxEL9RKJz8W2h7VQUUKv9BPqHbC2DNWKExVRM7GWtLk6mTQBYXbpgRHwp";
constexpr std::string_view kG2Text =
    "bls12381g2:"
    "swVJmkrgSeVKhyDHqRXbDhToeQtR2JPTTnD6fp9Jty9jfLDqDh7sAhgbHBZTfXDFh3kvZxMCwe5w4R7FXbHNt6PUkyJEsuvJ8bsqFocwyuygsJMpja"
    "F"
    "YB8914BoaiNFsUiK";

template <class T>
void refused(const base::Result<T>& result, Code code, std::string_view reason) {
  ASSERT_FALSE(result.ok()) << "expected: " << reason;
  EXPECT_EQ(result.error().code, code) << result.error().text();
  EXPECT_THAT(result.error().text(), HasSubstr(std::string{reason}));
}

MpcRequest mpc(std::string_view key, std::string_view rest = R"("domain_id":2)") {
  const auto read = MpcRequest::parse(R"({"request":{"derivation_path":"p","app_public_key":)" + std::string{key} +
                                      "," + std::string{rest} + "}}");
  EXPECT_TRUE(read.ok()) << read.error().text();
  return read.ok() ? *read : MpcRequest{};
}

TEST(MpcShapes, AKeyHasThreeSpellingsAndIsWrittenInTheOnesThatAllRead) {
  const std::string text = "\"" + std::string{kG1Text} + "\"";
  const std::string tagged = "{\"AppPublicKey\":" + text + "}";
  const std::string pair = R"({"AppPublicKeyPV":{"pk1":)" + text + R"(,"pk2":")" + std::string{kG2Text} + "\"}}";
  EXPECT_EQ(mpc(text), mpc(tagged));
  EXPECT_EQ(mpc(text).json(), R"({"request":{"derivation_path":"p","app_public_key":)" + text + R"(,"domain_id":2}})");
  EXPECT_EQ(base::JsonOut{mpc(text).key.json()}.compact(), tagged);
  EXPECT_EQ(mpc(pair).json(), R"({"request":{"derivation_path":"p","app_public_key":)" + pair + R"(,"domain_id":2}})");
  EXPECT_TRUE(mpc(text).key.decode().ok());
  EXPECT_TRUE(mpc(pair).key.decode().ok());
}

TEST(MpcShapes, AreStrict) {
  const auto read = [](const std::string& json) { return MpcRequest::parse(json); };
  const std::string key = R"("app_public_key":")" + std::string{kG1Text} + "\"";
  refused(read("{}"), Code::malformed, "request");
  refused(read(R"({"request":{"derivation_path":"",)" + key + "}}"), Code::malformed, "domain_id");
  refused(read(R"({"request":{"domain_id":2,)" + key + "}}"), Code::malformed, "derivation_path");
  refused(read(R"({"request":{"derivation_path":"","domain_id":2}})"), Code::malformed, "app_public_key");
  refused(read(R"({"request":{"derivation_path":"","domain_id":2,"account":"x",)" + key + "}}"), Code::malformed,
          "account");
  refused(read(R"({"request":{"derivation_path":"","domain_id":2,)" + key + R"(},"x":1})"), Code::malformed, "x");
  refused(read(R"({"request":{"derivation_path":"","domain_id":-2,)" + key + "}}"), Code::malformed, "domain_id");
  refused(read(R"({"request":{"derivation_path":")" + std::string(1025, 'x') + R"(","domain_id":2,)" + key + "}}"),
          Code::malformed, "derivation_path");
  for (const std::string& bad :
       {R"("bls12381g2:)" + std::string{kG2Text.substr(11)} + "\"", std::string{R"("bls12381g1:")"}, std::string{"1"},
        std::string{"{}"}, std::string{R"({"Other":"x"})"},
        R"({"AppPublicKeyPV":{"pk1":")" + std::string{kG1Text} + "\"}}",
        R"({"AppPublicKey":")" + std::string{kG1Text} + R"(","AppPublicKeyPV":{}})"}) {
    refused(read(R"({"request":{"derivation_path":"","domain_id":2,"app_public_key":)" + bad + "}}"), Code::malformed,
            "");
  }
}

TEST(MpcShapes, RefuseInTheContractsWords) {
  const std::string text = "\"" + std::string{kG1Text} + "\"";
  EXPECT_TRUE(mpc(text).check_domain().ok());
  const auto sign = mpc(text, R"("domain_id":0)").check_domain();
  EXPECT_EQ(sign.error().what, "Domain 0 has purpose Sign, but this method requires CKD.");
  const auto none = mpc(text, R"("domain_id":77)").check_domain();
  EXPECT_EQ(none.error().what, "The provided domain ID, 77, was not found.");
  EXPECT_EQ(none.error().code, Code::not_found);
  const AppKey two{.pk1 = G1::generator().encode(), .pk2 = (G2::generator() + G2::generator()).encode()};
  refused(two.decode(), Code::malformed, "app public key check failed");
}

// u64 in the contract, and so are its refusals.
TEST(MpcShapes, ADomainHas64Bits) {
  const std::string text = "\"" + std::string{kG1Text} + "\"";
  const auto last = mpc(text, R"("domain_id":18446744073709551615)");
  EXPECT_EQ(last.check_domain().error().what, "The provided domain ID, 18446744073709551615, was not found.");
  EXPECT_EQ(*MpcRequest::parse(last.json()), last);
  for (const char* bad : {"18446744073709551616", "-1", "2.0", "2e0", "\"2\"", "null"}) {
    refused(MpcRequest::parse(R"({"request":{"derivation_path":"p","app_public_key":)" + text + R"(,"domain_id":)" +
                              bad + "}}"),
            Code::malformed, "domain_id");
  }
}

TEST(MpcShapes, AnAnswerIsTwoPoints) {
  const Ciphertext answer{G1::generator().encode(), (G1::generator() + G1::generator()).encode()};
  const std::string json = base::JsonOut{mpc_answer(answer)}.compact();
  EXPECT_THAT(json, ::testing::StartsWith(R"({"big_y":")" + std::string{kG1Text} + R"(","big_c":"bls12381g1:)"));
  EXPECT_EQ(*parse_mpc_answer(json), answer);
  for (const std::string more : {R"(,"scheme":"Bls12381"})", R"(,"epoch":3,"participants":[0,1],"failing":[]})"}) {
    EXPECT_EQ(*parse_mpc_answer(json.substr(0, json.size() - 1) + more), answer);
  }
  refused(parse_mpc_answer(R"({"big_y":"x","big_c":"y"})"), Code::malformed, "answer of CKD: big_y");
  refused(parse_mpc_answer(json.substr(0, json.find(',')) + "}"), Code::malformed, "big_c");
  refused(parse_mpc_answer("[]"), Code::malformed, "answer of CKD");
}

}  // namespace
}  // namespace attestry::keys::ckd
