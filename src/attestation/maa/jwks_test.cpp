#include "attestation/maa/jwks.h"

#include <gtest/gtest.h>

#include <array>

#include "base/encoding.h"
#include "crypto/ec.h"
#include "crypto/random.h"
#include "crypto/x509.h"

namespace attestry::attestation::maa {
namespace {

crypto::RsaPublicKey make_key(std::string_view seed) {
  crypto::SeededRandom random(base::as_bytes(seed));
  return crypto::RsaPrivateKey::generate(2048, random).public_key();
}

/// Made once: an RSA key takes a while.
const crypto::RsaPublicKey& one() {
  static const crypto::RsaPublicKey key = make_key("one");
  return key;
}
const crypto::RsaPublicKey& another() {
  static const crypto::RsaPublicKey key = make_key("another");
  return key;
}

std::string member(std::string_view name, std::string_view value) {
  return ",\"" + std::string{name} + "\":\"" + std::string{value} + "\"";
}
std::string numbers(const crypto::RsaPublicKey& key) {
  return member("n", base::base64url(key.n())) + member("e", base::base64url(key.e()));
}
/// A certificate for the key; who signed it counts for nothing.
std::string x5c(const base::Bytes& spki) {
  const auto signer = crypto::EcPrivateKey::generate(crypto::Curve::p256, crypto::system_random());
  crypto::CertificateSpec spec;
  spec.serial = {1};
  spec.subject = {{.oid = "2.5.4.3", .value = "token signing"}};
  spec.issuer = spec.subject;
  spec.not_before = {1'700'000'000};
  spec.not_after = {1'900'000'000};
  spec.spki = spki;
  const auto der = crypto::issue_certificate(spec, signer);
  return ",\"x5c\":[\"" + base::base64(*der) + "\"]";
}
std::string set_of(const std::string& members, std::string_view kty = "RSA") {
  return R"({"keys":[{"kid":"k","kty":")" + std::string{kty} + "\"" + members + "}]}";
}
const Jwk& only_key(const base::Result<KeySet>& set) { return set->keys.at(0); }

TEST(Jwks, TakesAKeyByNumbersByCertificateOrByBoth) {
  for (const std::string& members : {numbers(one()), x5c(one().spki()), numbers(one()) + x5c(one().spki()),
                                     numbers(one()) + member("use", "sig") + member("alg", "RS256"),
                                     numbers(one()) + R"(,"key_ops":["verify"],"x-unknown":{})"}) {
    const auto set = parse_jwks(set_of(members));
    ASSERT_TRUE(set.ok()) << members;
    ASSERT_EQ(set->keys.size(), 1u);
    EXPECT_EQ(only_key(set).kid, "k");
    ASSERT_TRUE(only_key(set).key.has_value()) << only_key(set).problem;
    EXPECT_EQ(only_key(set).key->spki(), one().spki());
  }
}

TEST(Jwks, AKeyThatCannotBeUsedStaysKnownWithItsReason) {
  const auto ec = crypto::EcPrivateKey::generate(crypto::Curve::p256, crypto::system_random()).public_key().spki();
  const base::Bytes short_modulus(128, 0xff);
  for (const std::string& members : {
           std::string{},                           // neither
           numbers(one()) + x5c(another().spki()),  // two keys
           x5c(ec),                                 // no RSA key
           member("n", base::base64url(short_modulus)) + member("e", "AQAB"),
           member("n", base::base64url(one().n())),  // no exponent
           member("n", "A" + base::base64url(one().n())) + member("e", "AQAB"),
           member("n", base::base64url(one().n()) + "=") + member("e", "AQAB"),
           numbers(one()) + member("use", "enc"),
           numbers(one()) + member("alg", "RS512"),
           numbers(one()) + R"(,"key_ops":["encrypt"])",
           std::string{R"(,"x5c":[])"},
           std::string{R"(,"x5c":"text")"},
           std::string{R"(,"x5c":["AAAA"])"},
       }) {
    const auto set = parse_jwks(set_of(members));
    ASSERT_TRUE(set.ok()) << members;
    EXPECT_FALSE(only_key(set).key.has_value()) << members;
    EXPECT_FALSE(only_key(set).problem.empty()) << members;
  }
  const auto symmetric = parse_jwks(set_of(numbers(one()), "oct"));
  EXPECT_FALSE(only_key(symmetric).key.has_value());
}

TEST(Jwks, OneOddKeyLeavesTheOthersUsable) {
  const auto set =
      parse_jwks(R"({"keys":[{"kty":"EC","kid":"a"},{"kty":"RSA"},{"kty":"RSA","kid":"k")" + numbers(one()) + "}]}");
  ASSERT_TRUE(set.ok());
  ASSERT_EQ(set->keys.size(), 2u) << "a key without a name is never tried";
  EXPECT_FALSE(set->keys[0].key.has_value());
  EXPECT_TRUE(set->keys[1].key.has_value());
}

TEST(Jwks, RefusesWhatIsNoKeySet) {
  for (const std::string_view bad : {"", "[]", "{}", R"({"keys":{}})", R"({"keys":[7]})", R"({"keys":[{"kid":7}]})",
                                     R"({"keys":[],"keys":[]})", R"({"keys":[]}x)"}) {
    EXPECT_FALSE(parse_jwks(bad).ok()) << bad;
  }
  std::string many = R"({"keys":[{})";
  for (int i = 0; i < 256; ++i) many += ",{}";
  EXPECT_FALSE(parse_jwks(many + "]}").ok());
}

}  // namespace
}  // namespace attestry::attestation::maa
