#include "secrets/keystore_seeds.h"

#include <gtest/gtest.h>

#include <string>

#include "base/encoding.h"

namespace attestry::secrets::keystore {
namespace {

std::string text(const base::Result<Seed>& seed) { return seed ? seed->text() : "refused: " + seed.error().expected; }

constexpr std::string_view kHash = "ABabababababababababababababababababababababababababababababABab";
constexpr std::string_view kLower = "abababababababababababababababababababababababababababababababab";

TEST(KeystoreSeeds, ExactTexts) {
  EXPECT_EQ(text(Seed::repo("github.com/a/b", "alice.near")), "github.com/a/b:alice.near");
  EXPECT_EQ(text(Seed::repo("github.com/a/b", "alice.near", "main")), "github.com/a/b:alice.near:main");
  EXPECT_EQ(text(Seed::wasm_hash(kHash, "alice.near")), "wasm_hash:" + std::string{kLower} + ":alice.near");
  EXPECT_EQ(text(Seed::project("o.near/n", "alice.near")), "project:o.near/n:alice.near");
  EXPECT_EQ(text(Seed::payment_key("alice.near", "2147483647")), "system:payment_key:alice.near:2147483647");
  EXPECT_EQ(text(Seed::storage("uuid-1", kHash, "@worker")), "storage:uuid-1:@worker");
  EXPECT_EQ(text(Seed::storage(std::nullopt, kHash, "a.near")), "storage:wasm:" + std::string{kLower} + ":a.near");
  EXPECT_EQ(Seed::vrf().text(), "vrf-key");
  EXPECT_EQ(text(Seed::wallet("w", "near")), "wallet:w:near");
  EXPECT_EQ(text(Seed::wallet("w", "solana")), "wallet:w:solana");
  for (const char* chain : {"ethereum", "eth", "polygon", "pol", "matic", "base", "arbitrum", "arb", "optimism", "op",
                            "bsc", "avalanche", "avax", "hyperevm", "hood", "evm"}) {
    EXPECT_EQ(text(Seed::wallet("w", chain)), "wallet:w:evm") << chain;
  }
  EXPECT_EQ(text(Seed::wallet_sub("w", "near", "sub/1")), "wallet:w:near:sub/1");
  EXPECT_EQ(text(Seed::wallet_policy("w")), "wallet-policy:w");
  EXPECT_EQ(text(Seed::vault_tee_key("v.near")), "outlayer.near:v.near");
  EXPECT_EQ(text(Seed::vault_master("v.near")), "vault-master:v.near");
}

TEST(KeystoreSeeds, RepositoriesAreNormalised) {
  EXPECT_EQ(normalise_repo("  https://github.com/A/b.git\n"), "github.com/A/b");
  EXPECT_EQ(normalise_repo("http://github.com/a/b/"), "github.com/a/b/");
  EXPECT_EQ(normalise_repo("git@github.com:a/b.git"), "github.com/a/b");
  EXPECT_EQ(normalise_repo("ssh://git@github.com:22/a/b"), "github.com/22/a/b");
  EXPECT_EQ(normalise_repo("https://http://x"), "http://x");
  EXPECT_EQ(normalise_repo("github.com/a/b.git.git"), "github.com/a/b.git");
  EXPECT_EQ(normalise_repo(" \t "), "");
}

// Finding 7: components joined by ':' and nothing that says where one ends.
TEST(KeystoreSeeds, WhatWouldShareAKeyIsRefused) {
  const std::string colon = "refused: no ':', which separates the components of a seed";
  EXPECT_EQ(text(Seed::repo("github.com/a:b", "alice.near")), colon);
  EXPECT_EQ(text(Seed::repo("github.com/a", "alice.near", "b:c")), colon);
  EXPECT_EQ(text(Seed::repo("github.com/a", "alice.near:b")), colon);
  EXPECT_EQ(text(Seed::project("o.near/n:x", "alice.near")), colon);
  EXPECT_EQ(text(Seed::storage("u:x", kHash, "a.near")), colon);
  EXPECT_EQ(text(Seed::wallet("w:near", "x")), colon);
  EXPECT_EQ(text(Seed::wallet_sub("w", "near", "a:b")), colon);
  EXPECT_EQ(text(Seed::wallet_policy("w:x")), colon);
  // The owner never has one: an account's name cannot.
  EXPECT_EQ(text(Seed::repo("github.com/a", "alice.near:b", {}, {.colons = true})), colon);
  EXPECT_EQ(text(Seed::repo("h:1/a", "alice.near", "b:c", {.colons = true})), "h:1/a:alice.near:b:c");
  // An implicit account with the name of a hash would own alice's secret.
  for (const char* word : {"wasm_hash", "project", "system", "storage", "vrf-key", "wallet", "wallet-policy",
                           "outlayer.near", "vault-master", "ecies", "secret-path"}) {
    EXPECT_EQ(text(Seed::repo(word, kLower, "alice.near", {.colons = true})),
              "refused: a repository such as github.com/owner/name")
        << word;
  }
}

TEST(KeystoreSeeds, ComponentsAreChecked) {
  EXPECT_FALSE(Seed::repo("", "alice.near").ok());
  EXPECT_FALSE(Seed::repo("https://", "alice.near").ok());
  EXPECT_FALSE(Seed::repo("github.com/a", "").ok());
  EXPECT_FALSE(Seed::repo("github.com/a", std::string_view("a\0b", 3)).ok());
  EXPECT_FALSE(Seed::repo("github.com/\xff", "alice.near").ok());
  EXPECT_FALSE(Seed::repo(std::string(513, 'a'), "alice.near").ok());
  EXPECT_FALSE(Seed::wasm_hash("abc", "alice.near").ok());
  for (const char* nonce : {"", "0", "01", "2147483648", "-1", "1 ", "99999999999"}) {
    EXPECT_FALSE(Seed::payment_key("alice.near", nonce).ok()) << nonce;
  }
  EXPECT_FALSE(Seed::wallet_sub("w", "near", "").ok());
}

TEST(KeystoreSeeds, TextsOfCallers) {
  EXPECT_EQ(Seed::from_text("wallet:w:near")->kind(), SeedKind::wallet);
  EXPECT_EQ(Seed::from_text("wallet-policy:w")->kind(), SeedKind::wallet_policy);
  EXPECT_EQ(Seed::from_text("github.com/a/b:alice.near")->kind(), SeedKind::repo);
  // Its Ed25519 seed would be the X25519 scalar of `x`.
  EXPECT_FALSE(Seed::from_text("ecies:x").ok());
  EXPECT_FALSE(Seed::from_text("secret-path:vault-master:v.near").ok());
  EXPECT_FALSE(Seed::from_text("").ok());
  EXPECT_FALSE(Seed::from_text(std::string(1025, 'a')).ok());
  EXPECT_FALSE(Seed::from_text(std::string_view("a\0b", 3)).ok());
}

TEST(KeystoreSeeds, Version3SaysWhereAComponentEnds) {
  EXPECT_EQ(base::hex(Seed::project("p", "alice.near")->v3()),
            "00000018" + base::hex(base::as_bytes("attestry/keystore/seed/3")) + "00000007" +
                base::hex(base::as_bytes("project")) + "0000000170" + "0000000a" +
                base::hex(base::as_bytes("alice.near")));
  const SeedRules colons{.colons = true};
  EXPECT_NE(Seed::repo("h/a", "alice.near", "b:c", colons)->v3(), Seed::from_text("h/a:alice.near:b:c")->v3());
}

}  // namespace
}  // namespace attestry::secrets::keystore
