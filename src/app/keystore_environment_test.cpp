#include "app/keystore_environment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace attestry::app {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

std::string mistakes_of(std::map<std::string, std::string> variables) {
  variables.emplace("NEAR_RPC_URL", "http://127.0.0.1:1");
  variables.emplace("OFFCHAINVM_CONTRACT_ID", "outlayer.testnet");
  std::string out;
  for (const auto& mistake : read_keystore_environment(variables).mistakes) out += mistake.text() + "\n";
  return out;
}

TEST(EnvFile, LinesCommentsQuotesAndExport) {
  const auto read = parse_env_file("# a\n\nA=1\r\nexport B = \"x y\"\nC='='\nD=\n");
  ASSERT_TRUE(read.ok()) << read.error().text();
  EXPECT_EQ(*read, (std::map<std::string, std::string>{{"A", "1"}, {"B", "x y"}, {"C", "="}, {"D", ""}}));
}

TEST(EnvFile, MistakesNameTheLineAndShowNoValue) {
  for (const std::string_view text : {"A=1\nsecret", "A=1\n2B=secret", "A=1\n=secret", "A=1\nB C=secret"}) {
    const auto read = parse_env_file(text);
    ASSERT_FALSE(read.ok()) << text;
    EXPECT_THAT(read.error().text(), HasSubstr("line 2"));
    EXPECT_THAT(read.error().text(), Not(HasSubstr("secret")));
  }
  EXPECT_THAT(parse_env_file("A=1\nA=2").error().text(), HasSubstr("A is there twice"));
}

TEST(KeystoreEnvironment, DefaultsAreThoseOfTheOriginal) {
  const auto read =
      read_keystore_environment({{"NEAR_RPC_URL", "http://a"}, {"OFFCHAINVM_CONTRACT_ID", "outlayer.testnet"}});
  EXPECT_THAT(read.mistakes, IsEmpty());
  EXPECT_EQ(read.settings.at("keystore.listen"), "0.0.0.0:8081");
  EXPECT_EQ(read.settings.at("keystore.network"), "testnet");
  EXPECT_EQ(read.tee_mode, "none");
  EXPECT_EQ(read.settings.at("keystore.generation"), "v1");
  EXPECT_EQ(read.settings.count("keystore.master"), 0U);
  EXPECT_EQ(read.settings.count("keystore.contract"), 0U);
}

TEST(KeystoreEnvironment, TheGenerationFollowsFromWhatIsSet) {
  std::map<std::string, std::string> given{{"NEAR_RPC_URL", "http://a"},
                                           {"OFFCHAINVM_CONTRACT_ID", "outlayer.testnet"}};
  given["KEYSTORE_PRIVATE_KEY"] = "ed25519:x";
  EXPECT_EQ(read_keystore_environment(given).settings.at("keystore.generation"), "v0");
  given["TEE_MODE"] = "'Outlayer_TEE' ";
  given["OPERATOR_ACCOUNT_ID"] = "operator.testnet";
  const auto read = read_keystore_environment(given);
  EXPECT_EQ(read.settings.at("keystore.generation"), "v2");
  EXPECT_EQ(read.tee_mode, "evidence");
}

TEST(KeystoreEnvironment, TokenListsAreTrimmedAndEmptiesDropped) {
  const auto read = read_keystore_environment({{"ALLOWED_WORKER_TOKEN_HASHES", " aa ,, bb,"}});
  EXPECT_EQ(read.settings.at("keystore.worker_tokens"), "aa,bb");
  EXPECT_EQ(read.settings.at("keystore.coordinator_tokens"), "");
}

TEST(KeystoreEnvironment, Mistakes) {
  EXPECT_EQ(mistakes_of({}), "");
  EXPECT_THAT(mistakes_of({{"SERVER_PORT", "65536"}}), HasSubstr("Invalid SERVER_PORT"));
  EXPECT_THAT(mistakes_of({{"SERVER_PORT", "80 "}}), HasSubstr("Invalid SERVER_PORT"));
  EXPECT_THAT(mistakes_of({{"SERVER_HOST", "http://x"}}), HasSubstr("Invalid server address"));
  EXPECT_THAT(mistakes_of({{"TEE_MODE", "trustzone"}}), HasSubstr("Invalid TEE_MODE: trustzone"));
  EXPECT_THAT(mistakes_of({{"TEE_MODE", "outlayer_tee"}}), HasSubstr("OPERATOR_ACCOUNT_ID is required"));
  EXPECT_THAT(mistakes_of({{"KEYSTORE_MASTER_SECRETS", "x"}}), HasSubstr("Did you mean KEYSTORE_MASTER_SECRET?"));
  const std::string hex(64, 'a');
  EXPECT_THAT(mistakes_of({{"KEYSTORE_MASTER_SECRET", hex}, {"USE_TEE_REGISTRATION", "true"}}),
              HasSubstr("are both set"));
  const auto bad = mistakes_of({{"KEYSTORE_MASTER_SECRET", "not hex"}});
  EXPECT_THAT(bad, HasSubstr("64 hex digits"));
  EXPECT_THAT(bad, Not(HasSubstr("not hex")));
}

TEST(KeystoreEnvironment, TheDaoSaysWhichVaultsAreServed) {
  const auto read = read_keystore_environment({{"KEYSTORE_DAO_CONTRACT", "dao.near"},
                                               {"MPC_CONTRACT_ID", "v1.signer"},
                                               {"KEYSTORE_ALLOW_INLINE_POLICY", "TRUE"}});
  EXPECT_EQ(read.settings.at("keystore.dao_contract"), "dao.near");
  EXPECT_EQ(read.settings.at("keystore.mpc_contract"), "v1.signer");
  EXPECT_EQ(read.settings.at("keystore.inline_policy"), "true");
  EXPECT_EQ(read_keystore_environment({{"KEYSTORE_ALLOW_INLINE_POLICY", "1"}}).settings.count("keystore.inline_policy"),
            0U);
}

TEST(KeystoreEnvironment, AMasterFromTheNetwork) {
  const std::map<std::string, std::string> given{{"USE_TEE_REGISTRATION", "true"},
                                                 {"KEYSTORE_DAO_CONTRACT", "dao.near"},
                                                 {"INIT_ACCOUNT_ID", "init.near"},
                                                 {"INIT_ACCOUNT_PRIVATE_KEY", "ed25519:secret"},
                                                 {"MPC_CONTRACT_ID", "v1.signer"},
                                                 {"MPC_PUBLIC_KEY", "bls12381g2:key"},
                                                 {"MPC_DOMAIN_ID", "3"}};
  auto read = read_keystore_environment(given);
  EXPECT_EQ(mistakes_of(given), "");
  EXPECT_EQ(read.settings.at("keystore.master"), "ckd");
  EXPECT_EQ(read.settings.at("keystore.init_account"), "init.near");
  EXPECT_EQ(read.settings.at("keystore.mpc_public_key"), "bls12381g2:key");
  EXPECT_EQ(read.settings.at("keystore.mpc_domain"), "3");
  EXPECT_EQ(read.settings.at("keystore.registration_attestation"), "none") << "TEE_MODE is none";
  EXPECT_EQ(read.init_key, "ed25519:secret");
  for (const auto& [name, value] : read.settings) EXPECT_THAT(value, Not(HasSubstr("secret"))) << name;
  read.wipe();
  EXPECT_THAT(read.init_key, Not(HasSubstr("secret")));

  auto in_a_tee = given;
  in_a_tee["TEE_MODE"] = "tdx";
  EXPECT_EQ(read_keystore_environment(in_a_tee).settings.at("keystore.registration_attestation"), "dstack");
  EXPECT_EQ(read_keystore_environment(in_a_tee).settings.at("keystore.sealing"), "dstack");
  EXPECT_EQ(read.settings.count("keystore.sealing"), 0U);
  for (const auto* name :
       {"KEYSTORE_DAO_CONTRACT", "INIT_ACCOUNT_ID", "INIT_ACCOUNT_PRIVATE_KEY", "MPC_CONTRACT_ID", "MPC_PUBLIC_KEY"}) {
    auto without = given;
    without.erase(name);
    EXPECT_THAT(mistakes_of(without), HasSubstr(std::string{name} + " is required when USE_TEE_REGISTRATION=true"));
  }
  auto other_key = given;
  other_key["KEYSTORE_KEY_TYPE"] = "ml-dsa-65";
  EXPECT_EQ(mistakes_of(other_key), "");
  EXPECT_EQ(read_keystore_environment(other_key).settings.at("keystore.registration_key_type"), "ml-dsa-65");
  other_key["KEYSTORE_KEY_TYPE"] = "ml-dsa-44";
  EXPECT_THAT(mistakes_of(other_key), HasSubstr("KEYSTORE_KEY_TYPE"));
}

TEST(KeystoreEnvironment, WhetherItRegistersIsSaidInOneOfTwoWords) {
  for (const auto* word : {"1", "yes", "TRUE", "True", " true", "true ", "no", "0"}) {
    EXPECT_THAT(mistakes_of({{"USE_TEE_REGISTRATION", word}}), HasSubstr("USE_TEE_REGISTRATION is neither")) << word;
  }
  for (const auto* word : {"", "false"}) EXPECT_EQ(mistakes_of({{"USE_TEE_REGISTRATION", word}}), "") << word;
}

TEST(KeystoreEnvironment, KeysAreNoSettings) {
  const std::string hex(64, 'a');
  auto read = read_keystore_environment({{"KEYSTORE_MASTER_SECRET", hex}, {"KEYSTORE_PRIVATE_KEY", "ed25519:x"}});
  for (const auto& [name, value] : read.settings) EXPECT_THAT(value, Not(HasSubstr(hex))) << name;
  EXPECT_EQ(read.master_secret, hex);
  read.wipe();
  EXPECT_THAT(read.master_secret, Not(HasSubstr("a")));
}

}  // namespace
}  // namespace attestry::app
