#include "keys/derivation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/encoding.h"

namespace attestry::keys {
namespace {

using base::Code;
using ::testing::HasSubstr;

crypto::Secret root() {
  crypto::Secret out{32};
  for (std::size_t i = 0; i < out.size(); ++i) out.writable()[i] = static_cast<std::uint8_t>(i);
  return out;
}

std::string app_root_hex(base::Realm realm, std::string_view tenant, std::string_view app, std::uint32_t epoch) {
  const auto made = derive_app_root(root(), realm, *base::Tenant::parse(tenant), *base::AppRef::parse(app), epoch);
  return base::hex(made.reveal());
}

// Every number in this file comes from Python's hmac and hashlib over the text of FORMATS 5 (public keys: Python's
// cryptography), never from this program.
TEST(Derivation, AppRootsAreThoseOfFormats5) {
  EXPECT_EQ(app_root_hex(base::Realm::production, "default", "name:web", 0),
            "345a3e05e34e3c15ea66e4fe623b3d9d0c6d2eda1f4a3956ccd97a840976ae0b");
  EXPECT_EQ(app_root_hex(base::Realm::simulated, "default", "name:web", 0),
            "a8d44c0e80eeea362c8bea267b23fa8b42d7ca566dfce1f8de81d123fb155393");
  EXPECT_EQ(app_root_hex(base::Realm::production, "acme", "name:web", 7),
            "60e13db9c76c5d9996e22f9737b41d332721b4d40104d7c1c8cf9508378a08d7");
  EXPECT_EQ(app_root_hex(base::Realm::production, "default", "evm:1:0x52908400098527886E0F7030069857D2E4169EE7", 0),
            "be53a8244e63fcddbbf5029837da77f6e3c2c37f1cae222911e0b72f56c34743");
}

struct Known {
  std::string_view label;
  Algorithm algorithm;
  std::string_view path, private_key, public_key;
};

constexpr Known kKnown[] = {
    {"app", Algorithm::p256, "", "49c4d232568bd6a3135f9b62a52a2c61d47e1e9d5d67164e67326a28acb035d3",
     "3059301306072a8648ce3d020106082a8648ce3d030107034200046907937e12740e21e4b0e03d87b8d6b157c2a567d458fabba99337b42dd"
     "9"
     "be67de6c378b18a95da3b6661c086b7a1a01c80efbe03ef2fff8332569f9dc2019a8"},
    {"session", Algorithm::p256, "v1/a", "7f824aa45557f57d92d0d77b45489bbd182b6e7bbbf95f8213cafa2dea640606",
     "3059301306072a8648ce3d020106082a8648ce3d03010703420004c2a9fe9d3e64f7cd866d4103028881d3372c3f5bd162e88861575321712"
     "4"
     "b9a8bdfee47116ca0c6682149c5cd6fc880e659cbf8fe31d1f2f3d7816b52cc9b775"},
    {"app", Algorithm::secp256k1, "", "e48079753fd6f96525f0f7a85cdfbec7ed19c3e722ef9222b333967ff6c6bcf9",
     "0268ca4da07af98bf90b500a6e8746c40b16dfbdd26dd473c96927c5e27b33415a"},
    {"session", Algorithm::secp256k1, "v1/a", "afdc6bd68a9cc6063ca21b7e2d4365d38f954c884a2164a7c72f186ba3ed0f57",
     "0224f8af6aae423f013ecdf92b3874d5139f0c6f160ca0b3373bc05f09a3c52253"},
    {"app", Algorithm::ed25519, "", "e79d9e44ef4338363931d9f8251ce3703659605306f500aaf7d33669e17ef45f",
     "9060cdedf2ce014c16c428be282fd8671a10f26c4504f887ea9e78a931c9aa37"},
    {"app", Algorithm::x25519, "", "bb41d9bc404b4bc92fc8c1132803123fad715048a6a6853c0ed18bc90b4ed653",
     "e8b7a72a90f0027997eb3b2ff81ab954d557ffada5d1f2e63672ac9f8d97f110"},
    {"app", Algorithm::aes256, "", "c396b4380a49d75d54bac54a240fe28a42035eb9d2acc801978f53f0e7258abb", ""},
    {"app", Algorithm::hmac256, "", "7b63ff00467e7af62cac563cff1f74f64f534c18ba5ec24c5560120b64bfe555", ""},
};

crypto::Secret app_root() {
  return derive_app_root(root(), base::Realm::production, base::Tenant::standard(), *base::AppRef::parse("web"), 0);
}

TEST(Derivation, KeysAreThoseOfFormats5) {
  for (const auto& known : kKnown) {
    const auto key = derive_key(app_root(), known.label, known.algorithm, known.path);
    ASSERT_TRUE(key.ok()) << key.error().text();
    EXPECT_EQ(base::hex(key->private_key.reveal()), known.private_key) << to_text(known.algorithm);
    EXPECT_EQ(base::hex(key->public_key), known.public_key) << to_text(known.algorithm);
    EXPECT_EQ(key->purpose, known.label);
    EXPECT_EQ(key->path, known.path);
    EXPECT_EQ(key->algorithm, known.algorithm);
  }
}

// One of NEAR's results (ckd_test.cpp) in the place of the root. Python's hmac over the text of
// docs/formats/derivation.md.
TEST(Derivation, AppRootsOfAThresholdRootAreThoseOfFormats5) {
  const auto result = crypto::Secret::copy_of(*base::hex_decode(
      "b7a83185c068fe7098766c005cef35a794e37311cdf989e183e0364262953e58eb225cd31e0d8c2c166aa3276e668362"));
  const auto info =
      app_root_info(base::Realm::production, base::Tenant::standard(), *base::AppRef::parse("name:web"), 0);
  EXPECT_EQ(base::hex(info),
            "000000086170702d726f6f740000000a70726f64756374696f6e0000000764656661756c74000000040177656200000000");
  EXPECT_EQ(base::hex(derive_from(result, info).reveal()),
            "4b989a42d261af51e14dce6b9e3f44f68ef409f09262a9ce9f0e599390b790a3");
  EXPECT_EQ(base::hex(derive_from(result, app_root_info(base::Realm::simulated, *base::Tenant::parse("acme"),
                                                        *base::AppRef::parse("name:web"), 7))
                          .reveal()),
            "1035794af593e0114fec3116e306fbae40715930e9426228cf1b6660e0687613");
  EXPECT_EQ(base::hex(legacy_info("registry")), "000000066c6567616379000000087265676973747279");
  EXPECT_EQ(base::hex(derive_from(result, legacy_info("registry")).reveal()),
            "6a0373281456f070f68ae4348fc5849811d5f76c0c923c2cf3952250a1e8a97c");
  EXPECT_EQ(base::hex(derive_from(result, legacy_info("keystore")).reveal()),
            "10e468f0f77ae11dd8a541f8bedcab8f48caded31a62c68ca2bc749f4832c641");
}

TEST(Derivation, NoTwoInputsGiveTheSameKey) {
  std::set<std::string> roots;
  for (const auto realm : {base::Realm::production, base::Realm::simulated}) {
    for (const char* tenant : {"default", "acme"}) {
      for (const char* app : {"name:web", "near:web", "name:webx"}) {
        for (const std::uint32_t epoch : {0u, 1u, 256u}) roots.insert(app_root_hex(realm, tenant, app, epoch));
      }
    }
  }
  EXPECT_EQ(roots.size(), 2u * 2u * 3u * 3u);
  // Parts have lengths, so moving a byte from one to the next is another key.
  std::set<std::string> keys;
  for (const auto& [label, path] : {std::pair{"ab", "c"}, {"a", "bc"}, {"abc", ""}}) {
    for (const auto algorithm : {Algorithm::ed25519, Algorithm::x25519, Algorithm::aes256, Algorithm::hmac256})
      keys.insert(base::hex(derive_key(app_root(), label, algorithm, path)->private_key.reveal()));
  }
  EXPECT_EQ(keys.size(), 12u);
}

TEST(Derivation, RefusesWhatIsNoLabelPathOrRoot) {
  const auto reason = [](const base::Result<DerivedKey>& key, Code code) {
    EXPECT_FALSE(key.ok());
    if (key.ok()) return std::string{};
    EXPECT_EQ(key.error().code, code);
    return key.error().text();
  };
  for (const std::string& label : {std::string{}, std::string{"a b"}, std::string{"ä"}, std::string(65, 'a')})
    EXPECT_THAT(reason(derive_key(app_root(), label, Algorithm::aes256, ""), Code::malformed), HasSubstr("key label"));
  EXPECT_THAT(reason(derive_key(app_root(), "a", Algorithm::aes256, std::string(1025, 'a')), Code::malformed),
              HasSubstr("path is too long"));
  EXPECT_THAT(reason(derive_key(crypto::Secret{31}, "a", Algorithm::aes256, ""), Code::internal),
              HasSubstr("wrong size"));
}

TEST(Derivation, AlgorithmsHaveNames) {
  for (const auto& known : kKnown) EXPECT_EQ(algorithm_from(to_text(known.algorithm)).value(), known.algorithm);
  EXPECT_THAT(algorithm_from("rsa").error().text(), HasSubstr("unknown key algorithm"));
}

}  // namespace
}  // namespace attestry::keys
