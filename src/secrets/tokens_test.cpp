#include "secrets/tokens.h"

#include <gmock/gmock.h>

#include "crypto/hash.h"
#include "governance/testing/support.h"
#include "secrets/namespaces.h"
#include "state/keys.h"

namespace attestry::secrets {
namespace {

using base::Code;
using governance::testing::House;
using governance::testing::kTime;
using governance::testing::patient;

class TokensTest : public ::testing::Test {
 protected:
  void SetUp() override { open(); }
  void open() {
    auto opened = Tokens::open(*house.store);
    ASSERT_TRUE(opened.ok()) << opened.error().text();
    tokens = *std::move(opened);
  }

  Token token(std::string_view name, const Token* parent = nullptr) const {
    Token out{.digest = crypto::sha256(base::as_bytes(name)), .accessor = std::string{name}, .policies = {"default"}};
    out.issued = kTime;
    out.expires = kTime + 3600;
    if (parent != nullptr) out.parent = parent->digest;
    return out;
  }
  Token login(std::string_view name, base::Bytes key) const {
    Token out = token(name);
    out.path = "auth/attestry/login";
    out.display_name = "attestry-web";
    out.attested = Attested{.app = *base::AppRef::parse("name:web"), .spki = std::move(key)};
    return out;
  }
  base::Status put(const Token& token) {
    Tokens::Erased erased;
    TRY_OK(write([&](state::WriteTxn& txn) -> base::Status {
      TRY(erased, tokens->put(txn, token, kTime));
      return base::done();
    }));
    tokens->settle_erase(erased);
    tokens->settle_put(token);
    return base::done();
  }
  base::Status write(state::Store::Closure closure) {
    return house.store->write_and_wait(std::move(closure), patient());
  }
  base::Status valid(const Token& token) { return tokens->require(**house.store->read(), token, kTime); }

  House house;
  std::unique_ptr<Tokens> tokens;
};

TEST_F(TokensTest, ADamagedTokenIsLeftOutAndKeepsNobodyFromStarting) {
  ASSERT_TRUE(put(token("good")).ok());
  const auto bad = crypto::sha256(base::as_bytes("bad"));
  ASSERT_TRUE(write([&](state::WriteTxn& txn) {
                return txn.put(state::Key(state::Space::tokens).lp("token").raw(bad), base::Bytes{2, 9, 9});
              }).ok());
  open();
  EXPECT_NE(tokens->find_accessor("good", kTime), nullptr);
  EXPECT_EQ(tokens->find(bad, kTime), nullptr);
}

TEST_F(TokensTest, NothingIsWrittenThatCannotBeReadAgain) {
  auto long_meta = token("meta");
  long_meta.metadata["a"] = std::string(5000, 'x');
  auto long_key = login("key", base::Bytes(5000, 1));
  auto many = token("many");
  many.policies.assign(257, "p");
  for (const Token& one : {long_meta, long_key, many}) {
    const auto done = put(one);
    ASSERT_FALSE(done.ok());
    EXPECT_EQ(done.error().code, Code::malformed);
  }
}

/// The child's creation was judged before the revocation, and is committed behind it, or in the same batch before it.
TEST_F(TokensTest, AChildThatIsMadeWhileItsParentIsRevokedIsWorthNothing) {
  const auto parent = token("parent");
  ASSERT_TRUE(put(parent).ok());
  const auto family = tokens->family(parent.digest);
  const auto child = token("child", &parent);
  ASSERT_TRUE(put(child).ok());
  const auto grandchild = token("grandchild", &child);
  ASSERT_TRUE(put(grandchild).ok());
  EXPECT_TRUE(valid(grandchild).ok());
  ASSERT_TRUE(write([&](state::WriteTxn& txn) { return tokens->erase(txn, family); }).ok());
  tokens->settle_erase(family);
  EXPECT_EQ(valid(child).error().code, Code::denied);
  EXPECT_EQ(valid(grandchild).error().code, Code::denied);
  EXPECT_EQ(put(token("late", &parent)).error().code, Code::denied);
}

TEST_F(TokensTest, AChildOfAnExpiredTokenHasExpired) {
  auto parent = token("parent");
  const auto child = token("child", &parent);
  ASSERT_TRUE(put(parent).ok());
  ASSERT_TRUE(put(child).ok());
  parent.expires = kTime;
  ASSERT_TRUE(put(parent).ok());
  EXPECT_EQ(valid(child).error().code, Code::denied);
}

TEST_F(TokensTest, LoginsWithOneKeyTakeTheOldestPlace) {
  for (std::size_t i = 0; i < kMaxKeyTokens + 3; ++i) {
    auto one = login("login-" + std::to_string(i), {1, 2, 3});
    one.issued = kTime + static_cast<std::int64_t>(i);
    ASSERT_TRUE(put(one).ok());
  }
  ASSERT_TRUE(put(login("other key", {4})).ok());
  EXPECT_EQ(tokens->accessors("", kTime).size(), kMaxKeyTokens + 1);
  EXPECT_EQ(tokens->find_accessor("login-2", kTime), nullptr);
  EXPECT_NE(tokens->find_accessor("login-3", kTime), nullptr);
  open();
  EXPECT_EQ(tokens->accessors("", kTime).size(), kMaxKeyTokens + 1);
}

TEST_F(TokensTest, OneParentsChildrenAreCounted) {
  const auto parent = token("parent");
  ASSERT_TRUE(put(parent).ok());
  for (std::size_t i = 0; i < kMaxChildren; ++i) tokens->settle_put(token("child-" + std::to_string(i), &parent));
  EXPECT_EQ(tokens->family(parent.digest).size(), kMaxChildren + 1);
  EXPECT_EQ(put(token("one more", &parent)).error().code, Code::too_large);
  EXPECT_TRUE(put(token("of nobody")).ok());
}

TEST_F(TokensTest, WhatHasExpiredMakesRoom) {
  const auto parent = token("parent");
  ASSERT_TRUE(put(parent).ok());
  for (std::size_t i = 0; i < kMaxChildren; ++i) {
    auto child = token("child-" + std::to_string(i), &parent);
    child.issued = kTime + static_cast<std::int64_t>(i);
    if (i == 9) child.expires = kTime;
    tokens->settle_put(child);
  }
  for (int i = 0; i < 20; ++i) {  // expired before it, so that the few that every put collects are others
    auto other = token("other-" + std::to_string(i));
    other.expires = kTime + -9;
    tokens->settle_put(other);
  }
  EXPECT_TRUE(put(token("one more", &parent)).ok());
  EXPECT_EQ(tokens->find_accessor("child-9", kTime + -1), nullptr);
  EXPECT_EQ(put(token("yet one more", &parent)).error().code, Code::too_large);
}

TEST_F(TokensTest, AtTheLimitAPolicyCanStillBeChanged) {
  constexpr std::string_view kRules = R"(path "x" { capabilities = ["read"] })";
  const auto keep = [&](std::string_view space, const std::string& name) -> base::Status {
    TRY_OK(write([&](state::WriteTxn& txn) { return tokens->put_policy(txn, space, name, kRules); }));
    return tokens->settle_policy(space, name);
  };
  for (std::size_t i = 0; i < kMaxPoliciesOfSpace; ++i) ASSERT_TRUE(keep("team", "p" + std::to_string(i)).ok());
  EXPECT_EQ(keep("team", "more").error().code, Code::too_large);
  EXPECT_TRUE(keep("team", "p7").ok());
  EXPECT_TRUE(keep("other", "more").ok());
}

TEST_F(TokensTest, WhatBelongsToANamespaceGoesWithIt) {
  auto inside = token("inside");
  inside.space = "team";
  ASSERT_TRUE(put(inside).ok());
  ASSERT_TRUE(put(token("outside")).ok());
  ASSERT_TRUE(write([&](state::WriteTxn& txn) {
                return tokens->put_policy(txn, "team", "p", R"(path "x" { capabilities = ["read"] })");
              }).ok());
  ASSERT_TRUE(tokens->settle_policy("team", "p").ok());
  Tokens::Erased erased;
  ASSERT_TRUE(write([&](state::WriteTxn& txn) -> base::Status {
                TRY(erased, tokens->erase_space(txn, "team"));
                return base::done();
              }).ok());
  tokens->settle_space("team", erased);
  EXPECT_EQ(tokens->policy("team", "p"), nullptr);
  EXPECT_EQ(valid(inside).error().code, Code::denied);
  open();
  EXPECT_EQ(tokens->policy("team", "p"), nullptr);
  EXPECT_EQ(tokens->find_accessor("inside", kTime), nullptr);
  EXPECT_NE(tokens->find_accessor("outside", kTime), nullptr);
}

TEST_F(TokensTest, RecordsOfTheFirstFormAreRead) {
  const auto one = token("one");
  auto first = encode_token(one);
  first[0] = 1;
  first.resize(first.size() - 8);  // the namespace's id
  const auto read = decode_token(first, one.digest);
  ASSERT_TRUE(read.ok()) << read.error().text();
  EXPECT_EQ(encode_token(*read), encode_token(one));
}

TEST(RuleChangesTest, WhatIsOnItsWayIsSeen) {
  RuleChanges changes;
  const auto before = changes.now();
  ASSERT_TRUE(before.has_value());
  EXPECT_TRUE(changes.none_since(before));
  changes.begin();
  EXPECT_FALSE(changes.none_since(before));
  EXPECT_FALSE(changes.now().has_value());
  EXPECT_FALSE(changes.none_since(changes.now()));
  changes.end();
  EXPECT_FALSE(changes.none_since(before));
  EXPECT_TRUE(changes.none_since(changes.now()));
}

}  // namespace
}  // namespace attestry::secrets
