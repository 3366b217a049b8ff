#include "secrets/keystore_accessor.h"

#include <gtest/gtest.h>

#include <string>

namespace attestry::secrets::keystore {
namespace {

using base::Code;
using base::JsonDocument;
using chain::near::AccountId;

AccountId account(std::string_view text) { return *AccountId::parse(text); }
base::Result<Accessor> request(std::string text) {
  return parse_request_accessor((*JsonDocument::parse(std::move(text)))->root());
}
base::Result<Accessor> chain_form(std::string text) {
  return parse_chain_accessor((*JsonDocument::parse(std::move(text)))->root());
}
constexpr std::string_view kHash = "abababababababababababababababababababababababababababababababab";

TEST(KeystoreAccessor, BothTaggings) {
  const std::string hash{kHash};
  const std::pair<std::string, std::string> forms[] = {
      {R"({"type":"Repo","repo":"github.com/a/b","branch":"main"})",
       R"({"Repo":{"repo":"github.com/a/b","branch":"main"}})"},
      {R"({"type":"Repo","repo":"github.com/a/b","branch":null})",
       R"({"Repo":{"repo":"github.com/a/b","branch":null}})"},
      {R"({"type":"WasmHash","hash":")" + hash + R"("})", R"({"WasmHash":{"hash":")" + hash + R"("}})"},
      {R"({"type":"Project","project_id":"o.near/n"})", R"({"Project":{"project_id":"o.near/n"}})"},
      {R"({"type":"System","secret_type":"payment_key"})", R"({"System":"PaymentKey"})"}};
  for (const auto& [internal, external] : forms) {
    const auto a = request(internal);
    const auto b = chain_form(external);
    ASSERT_TRUE(a.ok() && b.ok()) << internal;
    EXPECT_EQ(*a, *b);
    EXPECT_EQ(request_json(*a).compact(), internal);
    EXPECT_EQ(chain_json(*a).compact(), external);
    EXPECT_FALSE(chain_form(internal).ok());
    EXPECT_FALSE(request(external).ok());
  }
  EXPECT_EQ(*request(R"({"type":"Repo","repo":" https://github.com/a/b.git"})"),
            (Accessor{RepoAccessor{"github.com/a/b", {}}}));
  EXPECT_EQ(*request(R"({"type":"WasmHash","hash":"AB)" + hash.substr(2) + R"("})"),
            (Accessor{WasmHashAccessor{hash}}));
}

TEST(KeystoreAccessor, OthersAreRefused) {
  for (const char* text : {"null", "[]", R"("Repo")", "{}", R"({"type":"repo","repo":"a"})", R"({"type":"Repo"})",
                           R"({"type":"Repo","repo":""})", R"({"type":"Repo","repo":"a","branch":1})",
                           R"({"type":"WasmHash","hash":"ab"})", R"({"type":"Project"})", R"({"type":"System"})",
                           R"({"type":"System","secret_type":"PaymentKey"})"}) {
    EXPECT_FALSE(request(text).ok()) << text;
  }
  for (const char* text : {"{}", R"({"System":"payment_key"})", R"({"System":{}})",
                           R"({"Repo":{"repo":"a"},"Project":{}})", R"({"Other":{}})", R"({"Repo":null})"}) {
    EXPECT_FALSE(chain_form(text).ok()) << text;
  }
}

TEST(KeystoreAccessor, BindingsOfSignedStrings) {
  EXPECT_EQ(binding_text(ProjectAccessor{"a.near/p"}), "a.near/p");
  EXPECT_EQ(binding_text(WasmHashAccessor{"ab"}), "wasm:ab");
  EXPECT_EQ(binding_text(RepoAccessor{"r", "b"}), "repo:r:b");
  EXPECT_EQ(binding_text(RepoAccessor{"r", {}}), "repo:r:");
  EXPECT_EQ(binding_text(PaymentKeyAccessor{}), "system:PaymentKey");
}

std::string reply(std::string_view accessor, std::string_view vault = "null") {
  return R"({"profile":{"encrypted_secrets":"AQID","access":{"Whitelist":{"accounts":["bob.near"]}},)"
         R"("created_at":1764000000000000000,"updated_at":1764000000000000000,"storage_deposit":"5000000000000000000000",)"
         R"("accessor":)" +
         std::string{accessor} + R"(},"vault_id":)" + std::string{vault} + "}";
}

TEST(KeystoreAccessor, StoredSecrets) {
  const auto found = parse_stored_secret(reply(R"({"Repo":{"repo":"github.com/a/b","branch":null}})", R"("v.near")"));
  ASSERT_TRUE(found.ok()) << found.error().text();
  ASSERT_TRUE(found->has_value());
  EXPECT_EQ((*found)->blob, (base::Bytes{1, 2, 3}));
  EXPECT_EQ((*found)->access, R"({"Whitelist":{"accounts":["bob.near"]}})");
  EXPECT_EQ((*found)->vault->text(), "v.near");
  const auto none = parse_stored_secret(R"({"profile":null,"vault_id":null})");
  ASSERT_TRUE(none.ok());
  EXPECT_FALSE(none->has_value());
  EXPECT_EQ(
      secret_query(RepoAccessor{"github.com/a/b", "dev"}, "default", account("alice.near")),
      R"({"accessor":{"Repo":{"repo":"github.com/a/b","branch":"dev"}},"profile":"default","owner":"alice.near"})");
}

// An outage never looks like a denial, nor like a secret that is not there.
TEST(KeystoreAccessor, WhatIsNoAnswerIsUnavailable) {
  for (const std::string& text :
       {std::string{}, std::string{"null"}, std::string{"{}"}, std::string{R"({"vault_id":null})"},
        std::string{R"({"profile":{}})"}, reply(R"({"Nothing":{}})"), reply(R"({"System":"PaymentKey"})", "17"),
        reply(R"({"System":"PaymentKey"})", R"("Not An Account")")}) {
    const auto found = parse_stored_secret(text);
    ASSERT_FALSE(found.ok()) << text;
    EXPECT_EQ(found.error().code, Code::unavailable) << text;
  }
}

TEST(KeystoreAccessor, TheSeedHasTheStoredBranch) {
  StoredSecret stored;
  stored.accessor = RepoAccessor{"github.com/a/b", std::nullopt};
  const auto alice = account("alice.near");
  const Accessor main = RepoAccessor{"github.com/a/b", "main"};
  EXPECT_EQ(seed_of(main, stored, alice, "default")->text(), "github.com/a/b:alice.near");
  EXPECT_EQ(seed_of(main, alice, "default")->text(), "github.com/a/b:alice.near:main");
  stored.accessor = main;
  EXPECT_EQ(seed_of(main, stored, alice, "default")->text(), "github.com/a/b:alice.near:main");
  for (const Accessor& other : {Accessor{RepoAccessor{"github.com/a/b", "dev"}},
                                Accessor{RepoAccessor{"github.com/a/c", {}}}, Accessor{ProjectAccessor{"a.near/p"}}}) {
    stored.accessor = other;
    const auto seed = seed_of(main, stored, alice, "default");
    ASSERT_FALSE(seed.ok());
    EXPECT_EQ(seed.error().code, Code::denied);
  }
  stored.accessor = PaymentKeyAccessor{};
  EXPECT_EQ(seed_of(PaymentKeyAccessor{}, stored, alice, "7")->text(), "system:payment_key:alice.near:7");
  EXPECT_FALSE(seed_of(PaymentKeyAccessor{}, stored, alice, "default").ok());
}

TEST(KeystoreAccessor, SecretsOfAgents) {
  const std::string agent(64, 'a');
  const std::string other(64, 'b');
  EXPECT_TRUE(check_agent_secret("default", account("bob.near"), account("alice.near")).ok());
  EXPECT_TRUE(check_agent_secret(agent, account(agent), account(agent)).ok());
  const auto what = [&](std::string_view user, std::string_view owner) {
    const auto status = check_agent_secret(agent, account(user), account(owner));
    return status ? std::string{} : status.error().what;
  };
  EXPECT_TRUE(what(other, agent).starts_with("This secret is addressed to a different agent. "));
  EXPECT_TRUE(what("alice.near", agent).starts_with("This secret is addressed to a different agent. "));
  EXPECT_TRUE(what(agent, other).starts_with("This secret was not left by the agent itself. "));
  EXPECT_TRUE(check_agent_secret(std::string(64, 'A'), account("bob.near"), account("alice.near")).ok());
  EXPECT_TRUE(check_profile("default_1-X").ok());
  for (const auto& bad : {std::string{}, std::string(65, 'a'), std::string{"a b"}, std::string{"a:b"}}) {
    EXPECT_FALSE(check_profile(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace attestry::secrets::keystore
