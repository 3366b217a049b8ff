#include "secrets/keystore_profile.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "base/base58.h"
#include "base/encoding.h"

namespace attestry::secrets::keystore {
namespace {

using base::Code;
using crypto::Secret;

Secret secret(std::string_view text) { return Secret::copy_of(base::as_bytes(text)); }
Variables variables(std::string_view json) { return *Variables::parse(secret(json)); }
std::string json(const Variables& all) { return std::string{base::as_text(all.json()->reveal())}; }
std::string what(const base::Status& status) { return status ? "good" : status.error().what; }
crypto::Random& random() { return crypto::system_random(); }

TEST(KeystoreVariables, JsonAndBack) {
  EXPECT_EQ(json(variables(R"({"B":"2","A":"1"})")), R"({"A":"1","B":"2"})");
  EXPECT_EQ(json(Variables{}), "{}");
  const std::string odd = R"({"A":"\"\\\n\u0001é😀"})";
  EXPECT_EQ(json(variables(odd)), "{\"A\":\"\\\"\\\\\\u000a\\u0001é😀\"}");
  EXPECT_EQ(json(variables(json(variables(odd)))), json(variables(odd)));
  for (const char* bad : {"", "[]", "null", "{", R"({"A":1})", R"({"A":null})", R"({"A":"1","A":"2"})", "A=1"}) {
    const auto parsed = Variables::parse(secret(bad));
    ASSERT_FALSE(parsed.ok()) << bad;
    EXPECT_TRUE(parsed.error().what.starts_with("Invalid JSON format: ")) << parsed.error().what;
  }
  EXPECT_FALSE(Variables::parse(secret(R"({"":"1"})")).ok());
  EXPECT_FALSE(Variables::parse(secret(R"({"A=B":"1"})")).ok());
  EXPECT_FALSE(Variables::parse(secret(R"({"A\n":"1"})")).ok());
}

TEST(KeystoreVariables, ErrorsShowNoValue) {
  for (const char* bad : {R"({"A":"hunter2)", R"({"A":"hunter2"} x)", R"({"A":["hunter2"]})"}) {
    const auto parsed = Variables::parse(secret(bad));
    ASSERT_FALSE(parsed.ok());
    EXPECT_EQ(parsed.error().text().find("hunter2"), std::string::npos) << parsed.error().text();
  }
}

TEST(KeystoreVariables, ReservedAndProtectedNames) {
  EXPECT_EQ(reserved_names().size(), 26u);
  for (const std::string_view name : reserved_names()) {
    EXPECT_EQ(what(check_secrets_json(secret("{\"" + std::string{name} + "\":\"x\"}"))),
              "'" + std::string{name} + "' is a reserved name");
  }
  EXPECT_EQ(what(check_secrets_json(secret(R"({"PROTECTED_X":"x"})"))), "'PROTECTED_X' is a PROTECTED_ name");
  EXPECT_EQ(what(check_secrets_json(secret(R"({"API_KEY":"x","near_sender_id":"y"})"))), "good");
  EXPECT_TRUE(what(check_secrets_json(secret("[1]"))).starts_with("Invalid JSON format: "));
}

TEST(KeystoreGenerated, Types) {
  const auto made = [](std::string_view type) {
    return std::string{base::as_text(generate_secret(type, random())->reveal())};
  };
  EXPECT_EQ(base::hex_decode(made("hex16"))->size(), 16u);
  EXPECT_EQ(base::hex_decode(made("hex32"))->size(), 32u);
  EXPECT_EQ(base::hex_decode(made("generate_outlayer_secret:hex64"))->size(), 64u);
  EXPECT_EQ(base::hex_decode(made("ed25519_seed"))->size(), 32u);
  const std::string key = made("ed25519");
  ASSERT_TRUE(key.starts_with("ed25519:"));
  EXPECT_EQ(base::base58_decode(key.substr(8), 64)->size(), 32u);
  const std::string password = made("password");
  EXPECT_EQ(password.size(), 32u);
  EXPECT_TRUE(std::ranges::all_of(password, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; }));
  EXPECT_EQ(made("password:64").size(), 64u);
  EXPECT_NE(made("hex16"), made("hex16"));
  for (const char* bad : {"", "hex8", "HEX16", "password:", "password:7", "password:257", "password:1e2",
                          "password:99999", "password:-8", "rsa"}) {
    EXPECT_FALSE(generate_secret(bad, random()).ok()) << bad;
  }
}

TEST(KeystoreGenerated, AreProtectedAndNew) {
  auto made =
      add_generated(variables(R"({"A":"1"})"), {{"PROTECTED_K", "hex16"}, {"PROTECTED_P", "password"}}, random());
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(made->names(), (std::vector<std::string>{"A", "PROTECTED_K", "PROTECTED_P"}));
  const auto error = [](std::string_view before, const std::vector<Generation>& wanted) {
    const auto result = add_generated(variables(before), wanted, random());
    return result ? std::string{"good"} : result.error().what;
  };
  EXPECT_EQ(error(R"({"PROTECTED_K":"1","PROTECTED_L":"2"})", {{"PROTECTED_K", "hex16"}, {"PROTECTED_L", "hex16"}}),
            "Cannot generate secrets: keys already exist: PROTECTED_K, PROTECTED_L");
  EXPECT_EQ(error(R"({"PROTECTED_K":"1"})", {{"PROTECTED_L", "hex16"}}),
            "the secrets already have the PROTECTED_ name 'PROTECTED_K'");
  EXPECT_EQ(error("{}", {{"K", "hex16"}}), "name of a generated secret");
  EXPECT_EQ(error("{}", {{"PROTECTED_", "hex16"}}), "name of a generated secret");
  EXPECT_EQ(error("{}", {{"PROTECTED_K", "hex16"}, {"PROTECTED_K", "hex16"}}), "secrets to generate");
  std::vector<Generation> many;
  for (int i = 0; i < 17; ++i) many.push_back({"PROTECTED_" + std::to_string(i), "hex16"});
  EXPECT_EQ(error("{}", many), "secrets to generate");
  many.pop_back();
  EXPECT_EQ(error("{}", many), "good");
}

TEST(KeystoreGenerated, Lists) {
  const auto parse = [](std::string text) {
    return parse_generations((*base::JsonDocument::parse(std::move(text)))->root());
  };
  const auto good = parse(R"([{"name":"PROTECTED_A","generation_type":"hex32"}])");
  ASSERT_TRUE(good.ok());
  EXPECT_EQ((*good)[0].type, "hex32");
  EXPECT_TRUE(parse("[]")->empty());
  for (const char* bad : {"{}", "[1]", R"([{"name":"PROTECTED_A"}])", R"([{"name":"A","generation_type":"hex32"}])"}) {
    EXPECT_FALSE(parse(bad).ok()) << bad;
  }
}

TEST(KeystoreUpdate, MessageThatOwnersSign) {
  EXPECT_EQ(update_message("alice.near", "default", {}, {}), "Update Outlayer secrets for alice.near:default");
  EXPECT_EQ(update_message("alice.near", "default", {"FOO", "API_KEY"}, {"PROTECTED_B", "PROTECTED_A"}),
            "Update Outlayer secrets for alice.near:default\nkeys:API_KEY,FOO\nprotected:PROTECTED_A,PROTECTED_B");
  chain::near::Message message{.message = update_message("alice.near", "default", {"FOO", "API_KEY"}, {}),
                               .nonce = {},
                               .recipient = "outlayer.near"};
  for (std::size_t i = 0; i < 32; ++i) message.nonce[i] = static_cast<std::uint8_t>(i);
  EXPECT_EQ(base::hex(chain::near::signing_hash(message)),
            "1f1b9572dd5f57bc64f13be83fa2cb916034c2e8d0c9555b9370965cce47fd29");
  const auto key = chain::near::SecretKey::from_seed(base::Bytes(32, 7));
  const auto raw =
      base::base64_decode("zK0pheWy41ORuycG49+F+/5xQ1cC26NEVyOnJj6SPFH7axcC2IVUjN4wkorBCOi6ARpGeGrsWfTI8J9GMh46Aw==");
  const auto signature = chain::near::Signature::from_bytes(chain::near::KeyKind::ed25519, *raw);
  ASSERT_TRUE(signature.ok());
  const std::string expected = message.message;
  EXPECT_TRUE(check_update_signature(expected, message, key->public_key(), *signature).ok());
  EXPECT_EQ(check_update_signature(expected + ",BAR", message, key->public_key(), *signature).error().code,
            Code::malformed);
  message.recipient = "evil.near";
  EXPECT_EQ(check_update_signature(expected, message, key->public_key(), *signature).error().code,
            Code::unauthenticated);
}

TEST(KeystoreUpdate, AppendAndReset) {
  constexpr std::string_view before = R"({"A":"1","B":"2","PROTECTED_K":"k"})";
  auto appended =
      update_variables(variables(before), variables(R"({"B":"3","C":"4"})"), UpdateMode::append, {}, random());
  ASSERT_TRUE(appended.ok());
  EXPECT_EQ(json(appended->variables), R"({"A":"1","B":"3","C":"4","PROTECTED_K":"k"})");
  EXPECT_EQ(appended->summary.protected_keys_preserved, (std::vector<std::string>{"PROTECTED_K"}));
  EXPECT_EQ(appended->summary.updated_keys, (std::vector<std::string>{"B", "C"}));
  EXPECT_TRUE(appended->summary.removed_keys.empty());
  EXPECT_EQ(appended->summary.total_keys, 4u);

  auto reset = update_variables(variables(before), variables(R"({"B":"3"})"), UpdateMode::reset,
                                {{"PROTECTED_L", "hex16"}}, random());
  ASSERT_TRUE(reset.ok());
  EXPECT_EQ(reset->variables.names(), (std::vector<std::string>{"B", "PROTECTED_K", "PROTECTED_L"}));
  EXPECT_EQ(reset->summary.removed_keys, (std::vector<std::string>{"A"}));
  EXPECT_EQ(reset->summary.updated_keys, (std::vector<std::string>{"B", "PROTECTED_L"}));
  EXPECT_EQ(reset->summary.total_keys, 3u);
  EXPECT_EQ(*parse_update_mode("append"), UpdateMode::append);
  EXPECT_EQ(*parse_update_mode("reset"), UpdateMode::reset);
  EXPECT_FALSE(parse_update_mode("Reset").ok());
}

TEST(KeystoreUpdate, ProtectedValuesNeverChange) {
  const auto error = [](std::string_view set, const std::vector<Generation>& generate) {
    const auto result =
        update_variables(variables(R"({"PROTECTED_K":"k"})"), variables(set), UpdateMode::reset, generate, random());
    return result ? std::string{"good"} : result.error().what;
  };
  EXPECT_EQ(error(R"({"PROTECTED_K":"mine"})", {}), "'PROTECTED_K' is a PROTECTED_ name");
  EXPECT_EQ(error(R"({"WALLET_ID":"mine"})", {}), "'WALLET_ID' is a reserved name");
  EXPECT_EQ(error("{}", {{"PROTECTED_K", "hex16"}}), "Cannot regenerate existing PROTECTED_ secret: PROTECTED_K");
  EXPECT_EQ(error("{}", {{"PROTECTED_L", "hex16"}}), "good");
}

}  // namespace
}  // namespace attestry::secrets::keystore
