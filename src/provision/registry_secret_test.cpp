#include "provision/registry_secret.h"

#include <gtest/gtest.h>

#include "crypto/hash.h"
#include "provision/registry_template.h"

namespace attestry::provision {
namespace {

using crypto::Curve;
using crypto::EcPrivateKey;

TEST(RegistrySecret, BothFormatsOpenWithTheAppsKeyOnly) {
  auto& random = crypto::system_random();
  const auto key = EcPrivateKey::generate(Curve::p256, random);
  const auto other = EcPrivateKey::generate(Curve::p256, random);
  curves::Address contract{};
  contract[0] = 1;
  for (const SecretFormat format : {SecretFormat::v1, SecretFormat::v2}) {
    for (const std::string_view text : {"", "p$1w", "line\n\"quoted\""}) {
      const auto blob = seal_registry_secret(key.public_key(), contract, format, base::as_bytes(text), random);
      ASSERT_TRUE(blob.ok());
      const auto opened = open_registry_secret(key, contract, *blob);
      ASSERT_TRUE(opened.ok()) << opened.error().text();
      EXPECT_EQ(base::as_text(opened->reveal()), text);
      EXPECT_FALSE(open_registry_secret(other, contract, *blob).ok());
    }
  }
}

TEST(RegistrySecret, VersionTwoBelongsToItsContract) {
  auto& random = crypto::system_random();
  const auto key = EcPrivateKey::generate(Curve::p256, random);
  curves::Address one{}, two{};
  two[19] = 1;
  const auto v1 = seal_registry_secret(key.public_key(), one, SecretFormat::v1, base::as_bytes("x"), random);
  const auto v2 = seal_registry_secret(key.public_key(), one, SecretFormat::v2, base::as_bytes("x"), random);
  ASSERT_TRUE(v1.ok() && v2.ok());
  EXPECT_TRUE(open_registry_secret(key, two, *v1).ok());
  EXPECT_FALSE(open_registry_secret(key, two, *v2).ok());
}

TEST(RegistrySecret, WhatIsKeptOpensForItsKeyAndContractOnly) {
  auto& random = crypto::system_random();
  const auto key = EcPrivateKey::generate(Curve::p256, random);
  const auto other = EcPrivateKey::generate(Curve::p256, random);
  curves::Address one{}, two{};
  two[19] = 1;
  OpenedSecrets secrets;
  const auto blob = seal_registry_secret(key.public_key(), one, SecretFormat::v2, base::as_bytes("secret"), random);
  ASSERT_TRUE(blob.ok());
  for (int i = 0; i < 2; ++i) {
    const auto opened = secrets.open(key, one, *blob);
    ASSERT_TRUE(opened.ok()) << opened.error().text();
    EXPECT_EQ(base::as_text(opened->reveal()), "secret");
  }
  EXPECT_EQ(secrets.count().hits, 1u);
  EXPECT_FALSE(secrets.open(other, one, *blob).ok());
  EXPECT_FALSE(secrets.open(key, two, *blob).ok());
  base::Bytes altered = *blob;
  altered.back() ^= 1;
  EXPECT_FALSE(secrets.open(key, one, altered).ok());
  EXPECT_EQ(secrets.count().entries, 1u) << "what does not open is not kept";

  const std::string large(8192, 'x');
  const auto large_blob = seal_registry_secret(key.public_key(), one, SecretFormat::v1, base::as_bytes(large), random);
  ASSERT_TRUE(large_blob.ok());
  const auto opened = secrets.open(key, one, *large_blob);
  ASSERT_TRUE(opened.ok());
  EXPECT_EQ(base::as_text(opened->reveal()), large);
  EXPECT_EQ(secrets.count().entries, 1u);
}

TEST(RegistrySecret, ATemplateTakesWhatWasSealedForItsKey) {
  auto& random = crypto::system_random();
  const auto key = EcPrivateKey::generate(Curve::p256, random);
  const auto other = EcPrivateKey::generate(Curve::p256, random);
  const curves::Address contract{};
  for (const SecretFormat format : {SecretFormat::v1, SecretFormat::v2}) {
    const auto blob = seal_registry_secret(key.public_key(), contract, format, base::as_bytes("{\"a\":1}"), random);
    ASSERT_TRUE(blob.ok());
    const RegistryReference reference{ReferenceType::secret, crypto::sha256(*blob)};
    const auto render = [&](const EcPrivateKey& with, bool as_config) {
      const RegistryReference used{as_config ? ReferenceType::config : ReferenceType::secret, reference.id};
      const TemplateSources sources{
          .fetch_many =
              [&](auto wanted) {
                return std::vector<base::Result<base::Bytes>>(wanted.size(), base::Result<base::Bytes>{*blob});
              },
          .open_secret = [&](base::ByteView bytes) { return open_registry_secret(with, contract, bytes); }};
      const auto done = render_registry_template("{\"k\":\"" + to_text(used) + "\"}", sources);
      return done ? std::string{base::as_text(done->text.reveal())} : done.error().what;
    };
    EXPECT_EQ(render(key, false), "{\"k\":{\"a\":1}}");
    EXPECT_TRUE(render(other, false).starts_with("failed to decrypt secret ")) << render(other, false);
    EXPECT_TRUE(render(key, true).ends_with("is an encrypted secret")) << render(key, true);
  }
}

}  // namespace
}  // namespace attestry::provision
