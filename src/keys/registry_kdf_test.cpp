#include "keys/registry_kdf.h"

#include <gtest/gtest.h>

#include "base/encoding.h"
#include "crypto/hash.h"
#include "crypto/key_pem.h"
#include "curves/keccak.h"
#include "keys/internal/argon2.h"
#include "keys/registry_keys.h"

namespace attestry::keys {
namespace {

using base::hex;

constexpr std::string_view kMaster = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

crypto::Secret secret(std::string_view text) { return crypto::Secret::copy_of(base::hex_decode(text).value()); }

class RegistryKdf : public ::testing::Test {
 protected:
  curves::Address contract_ = curves::parse_address("0123456789abcdef0123456789abcdef01234567").value();
  RegistryAppKeys keys_ = registry_app_keys(secret(kMaster), contract_).value();
};

// docs/formats/registry.md, "Known answers".
TEST_F(RegistryKdf, KnownKeys) {
  EXPECT_EQ(hex(keys_.ca.scalar().reveal()), "12be6f239225d6c6d6fa8f13adf5cd81e8db1f4088cf4a769f06cd362df5b0f3");
  EXPECT_EQ(
      hex(keys_.ca.public_key().point()),
      "04669c58b95522cec80bac7078a431369393ce203b983314ac12b929f502a3d5b91bf7f11fa31b72347412658304bb87a997e0f4455"
      "4cd64f9dc44485f30c42390");
  EXPECT_EQ(hex(keys_.app.scalar().reveal()), "bf087ac8c373106fe7cc3d311681ef19a0ef300a6a12a69a8e3995c5e79bc33a");
  EXPECT_EQ(hex(crypto::sha256(crypto::sec1_pem(keys_.app).reveal())),
            "9a3ace7298f5e4fe5eb4b650792c0db2b2db503bf3c414f2c1d00bb4ef72ef57");
  const std::string pem = crypto::spki_pem(keys_.app.public_key().spki());
  EXPECT_EQ(hex(crypto::sha256(base::as_bytes(pem))),
            "1a9368bd45d344234e4c0aa55aa52fc698cdc69624f5ae351b53886d27842f26");
  EXPECT_EQ(hex(curves::keccak256(base::as_bytes(pem))),
            "5113f709fae0e282c1cce1711f9c48995cb9ab0fce48daa1e3d49d52326d22f1");
}

TEST_F(RegistryKdf, MasterContractAndPurposeAllCount) {
  auto other = contract_;
  other[19] ^= 1;
  const auto elsewhere = registry_app_keys(secret(kMaster), other).value();
  EXPECT_NE(elsewhere.ca.public_key().spki(), keys_.ca.public_key().spki());
  EXPECT_NE(elsewhere.app.public_key().spki(), keys_.app.public_key().spki());
  EXPECT_NE(keys_.app.public_key().spki(), keys_.ca.public_key().spki());
  const auto longer = registry_app_keys(secret(std::string(kMaster) + "20"), contract_).value();
  EXPECT_NE(longer.app.public_key().spki(), keys_.app.public_key().spki());
}

TEST_F(RegistryKdf, AShortMasterIsRefused) {
  EXPECT_FALSE(registry_app_keys(secret(kMaster.substr(2)), contract_).ok());
  EXPECT_FALSE(registry_app_keys(crypto::Secret(), contract_).ok());
}

TEST_F(RegistryKdf, TheRootsOwnMaster) {
  EXPECT_EQ(hex(registry_master(secret(kMaster)).reveal()),
            "606a7a066a72fe9959673a5858c577f972b2bc9ed9bde830cf729e6312bc8d34");
}

TEST_F(RegistryKdf, AnAwaitedMasterIsUnavailableUntilItComes) {
  AwaitedRegistryMaster master;
  const RegistryKeys keys{master};
  EXPECT_EQ(keys.for_ca_certificate(contract_).error().code, base::Code::unavailable);
  EXPECT_FALSE(master.has());
  master.set(secret(kMaster));
  master.set(crypto::Secret{32});
  ASSERT_TRUE(master.has());
  EXPECT_EQ((*keys.for_ca_certificate(contract_))->app.public_key().spki(), keys_.app.public_key().spki());
}

TEST_F(RegistryKdf, KnownDiskKey) {
  const crypto::Secret pem = crypto::sec1_pem(keys_.app);
  const auto label = base::hex_decode("0102030405060708").value();
  const crypto::Secret key = registry_disk_key(pem, label);
  EXPECT_EQ(base::as_text(key.reveal()), "FU4SXSL5MQLBIXOIF7XKIRWBROGQ57HJGWVMEMONNN7RWHFU2D3Q====");
  EXPECT_NE(base::as_text(registry_disk_key(pem, base::Bytes(8, 0)).reveal()), base::as_text(key.reveal()));
}

// RFC 9106 5.3.
TEST(Argon2, TheVectorOfTheRfc) {
  const auto filled = [](std::size_t size, std::uint8_t value) { return base::Bytes(size, value); };
  const auto tag = argon2id(crypto::Secret::copy_of(filled(32, 1)), filled(16, 2),
                            {.passes = 3, .kibibytes = 32, .lanes = 4}, 32, filled(8, 3), filled(12, 4));
  ASSERT_TRUE(tag.ok()) << tag.error().text();
  EXPECT_EQ(hex(tag->reveal()), "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659");
  EXPECT_EQ(argon2id(crypto::Secret{32}, filled(7, 2), {}, 32).error().code, base::Code::crypto) << "a short salt";
}

TEST_F(RegistryKdf, TheFirstDiskKeyDependsOnKeyAndRequest) {
  const crypto::Secret pem = crypto::sec1_pem(keys_.app);
  const auto key = registry_first_disk_key(pem, base::as_bytes("-----BEGIN CERTIFICATE REQUEST-----\n"));
  ASSERT_TRUE(key.ok());
  EXPECT_EQ(key->size(), 32U);
  EXPECT_NE(hex(registry_first_disk_key(pem, base::as_bytes("other"))->reveal()), hex(key->reveal()));
  EXPECT_NE(hex(registry_first_disk_key(crypto::sec1_pem(keys_.ca), base::as_bytes("other"))->reveal()),
            hex(registry_first_disk_key(pem, base::as_bytes("other"))->reveal()));
}

TEST(FirstPassphrase, EndsAtANewline) {
  EXPECT_EQ(first_passphrase_bytes(crypto::Secret::copy_of(base::to_bytes("abc\ndef\n"))), 3U);
  EXPECT_EQ(first_passphrase_bytes(crypto::Secret::copy_of(base::to_bytes("\n"))), 0U);
  EXPECT_EQ(first_passphrase_bytes(crypto::Secret::copy_of(base::to_bytes("abc"))), 3U);
}

TEST_F(RegistryKdf, DiskKeysAreAlwaysTheAlphabetOfRfc4648) {
  std::string seen;
  for (std::uint8_t i = 0; i < 40; ++i) {
    const crypto::Secret key = registry_disk_key(crypto::sec1_pem(keys_.app), base::Bytes(8, i));
    ASSERT_EQ(key.size(), 56u);
    EXPECT_TRUE(base::as_text(key.reveal()).ends_with("===="));
    seen += base::as_text(key.reveal()).substr(0, 52);
  }
  EXPECT_EQ(seen.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"), std::string::npos);
  for (const char c : std::string("AZ27MB")) EXPECT_NE(seen.find(c), std::string::npos) << c;
}

}  // namespace
}  // namespace attestry::keys
