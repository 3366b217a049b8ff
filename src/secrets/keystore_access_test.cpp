#include "secrets/keystore_access.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>

#include "chain/testing/near_stand_in.h"
#include "chain/testing/stand_in.h"

namespace attestry::secrets::keystore {
namespace {

using base::Code;
using base::Error;
using chain::near::AccountId;
using chain::near::U128;

AccountId account(std::string_view text) { return *AccountId::parse(text); }

/// Says what a test tells it to, and counts.
class Facts final : public ChainFacts {
 public:
  base::Result<U128> balance(const AccountId& id) override {
    ++reads;
    if (outage) return Error{Code::unavailable, "no quorum"};
    return *U128::parse(balances[id.text()]);
  }
  base::Result<std::string> view(const AccountId& contract, std::string method, std::string args) override {
    ++reads;
    if (outage) return Error{Code::unavailable, "no quorum"};
    asked = contract.text() + " " + method + " " + args;
    return reply;
  }
  base::Result<base::UtcTime> time() override {
    if (outage) return Error{Code::unavailable, "no quorum"};
    return base::UtcTime{1000};
  }
  std::map<std::string, std::string> balances{{"alice.near", "5000000000000000000000000"}, {"bob.near", "1"}};
  std::string reply = "null", asked;
  bool outage = false;
  int reads = 0;
};

/// "yes", "no", or the code of an error.
std::string allows(Facts& facts, std::string_view json, std::string_view who = "alice.near",
                   const AccountId* predecessor = nullptr, const AccessRules& rules = {}) {
  const auto condition = AccessCondition::parse(json, rules);
  if (!condition) return "no condition: " + condition.error().text();
  const AccountId reader = account(who);
  const auto said = condition->allows({.account = reader, .predecessor = predecessor}, facts);
  return said ? (*said ? "yes" : "no") : std::string{base::slug(said.error().code)};
}
std::string allows(std::string_view json, std::string_view who = "alice.near") {
  Facts facts;
  return allows(facts, json, who);
}
std::string pattern(std::string_view p, std::string_view who) {
  const auto compiled = AccountPattern::compile(p);
  return compiled ? (compiled->matches(who) ? "yes" : "no") : "no pattern: " + compiled.error().text();
}
std::string refused(std::string_view json) {
  const auto condition = AccessCondition::parse(json);
  return condition ? "accepted" : condition.error().text();
}

TEST(KeystoreAccess, LeavesWithoutTheChain) {
  EXPECT_EQ(allows(R"("AllowAll")"), "yes");
  constexpr std::string_view list = R"({"Whitelist":{"accounts":["carol.near","alice.near"]}})";
  EXPECT_EQ(allows(list), "yes");
  EXPECT_EQ(allows(list, "bob.near"), "no");
  EXPECT_EQ(allows(R"({"Whitelist":{"accounts":[]}})"), "no");
}

TEST(KeystoreAccess, EmptyAllowAllIsTakenOnDemand) {
  const std::string found = refused(R"({"AllowAll":{}})");
  EXPECT_NE(found.find("the string \"AllowAll\""), std::string::npos) << found;
  Facts facts;
  EXPECT_EQ(allows(facts, R"({"AllowAll":{}})", "bob.near", nullptr, {.empty_allow_all = true}), "yes");
  const auto other = AccessCondition::parse(R"({"AllowAll":{"x":1}})", {.empty_allow_all = true});
  EXPECT_FALSE(other.ok());
}

// Before, `gov.near` let in `evilgov.near.attacker`.
TEST(KeystoreAccess, PatternsAreAnchored) {
  EXPECT_EQ(pattern("gov.near", "gov.near"), "yes");
  EXPECT_EQ(allows(R"({"AccountPattern":{"pattern":"gov\\.near"}})", "gov.near"), "yes");
  EXPECT_EQ(allows(R"({"AccountPattern":{"pattern":"gov\\.near"}})", "gov-near"), "no");
  EXPECT_EQ(allows(R"({"AccountPattern":{"pattern":"gov.near"}})", "evilgov.near.attacker"), "no");
  EXPECT_NE(refused(R"({"AccountPattern":{"pattern":"("}})"), "accepted");
  EXPECT_EQ(pattern("gov.near", "evilgov.near.attacker"), "no");
  EXPECT_EQ(pattern(".*\\.gov\\.near", "a.gov.near"), "yes");
  EXPECT_EQ(pattern("a|b", "xb"), "no");
  EXPECT_EQ(pattern("aa|bb", "bb"), "yes");
  EXPECT_EQ(pattern("[a-f]{2,3}(?:\\.near)?", "abc.near"), "yes");
  EXPECT_EQ(pattern("(?i)ALICE\\.near", "alice.near"), "yes");
  // It would end the group that anchors it.
  EXPECT_NE(pattern("x)|(.*", "alice.near").find("no pattern"), std::string::npos);
}

TEST(KeystoreAccess, PatternsThatTwoEnginesReadDifferentlyAreRefused) {
  for (const char* p : {"[a-z&&[^b]]", "[a[bc]]", "[a--b]", "[a~~b]", "a{,3}", "a{", "\\Qa\\E", "\\C", "\\1", "(?x)a b",
                        "(?=a)", "(?<n>a)", "\\pL", "\\x41", "(", "*", "\\u00e9", "a\n"}) {
    EXPECT_NE(pattern(p, "a").find("no pattern"), std::string::npos) << p;
  }
  for (const char* p : {"[]a]", "[^]]", "[[:alnum:]]", "(?P<n>a)", "\\Aa\\z", "^a$", "a{1}", "a{1,}", "(?-s)a"}) {
    EXPECT_EQ(pattern(p, "a"), "yes") << p;
  }
}

TEST(KeystoreAccess, PatternsTakeLinearTimeAndBoundedMemory) {
  EXPECT_EQ(pattern("(a*)*(a*)*(a*)*b", std::string(64, 'a')), "no");
  EXPECT_NE(pattern("((((a{0,99}){0,99}){0,99}){0,99})", "a").find("no pattern"), std::string::npos);
  EXPECT_NE(pattern("(?:[a-z]{900}){900}", "a").find("no pattern"), std::string::npos);
}

TEST(KeystoreAccess, Balances) {
  const auto near = [](std::string_view op, std::string_view value) {
    return allows(R"({"NearBalance":{"operator":")" + std::string{op} + R"(","value":")" + std::string{value} +
                  R"("}})");
  };
  constexpr std::string_view same = "5000000000000000000000000";
  constexpr std::string_view more = "5000000000000000000000001";
  EXPECT_EQ(near("Gte", same), "yes");
  EXPECT_EQ(near("Gte", more), "no");
  EXPECT_EQ(near("Gt", same), "no");
  EXPECT_EQ(near("Lte", same), "yes");
  EXPECT_EQ(near("Lt", same), "no");
  EXPECT_EQ(near("Lt", more), "yes");
  EXPECT_EQ(near("Eq", same), "yes");
  EXPECT_EQ(near("Ne", same), "no");
  Facts facts;
  facts.reply = "\"100\"";
  EXPECT_EQ(allows(facts, R"({"FtBalance":{"contract":"ft.near","operator":"Gte","value":"100"}})"), "yes");
  EXPECT_EQ(facts.asked, R"(ft.near ft_balance_of {"account_id":"alice.near"})");
  EXPECT_EQ(allows(facts, R"({"FtBalance":{"contract":"ft.near","operator":"Gt","value":"100"}})"), "no");
  for (const char* reply : {"100", "null", "\"-1\"", "\"0x1\"", "", "{}"}) {
    facts.reply = reply;
    EXPECT_EQ(allows(facts, R"({"FtBalance":{"contract":"ft.near","operator":"Gte","value":"0"}})"), "unavailable")
        << reply;
  }
}

TEST(KeystoreAccess, Nfts) {
  Facts facts;
  constexpr std::string_view any = R"({"NftOwned":{"contract":"nft.near","token_id":null}})";
  constexpr std::string_view one = R"({"NftOwned":{"contract":"nft.near","token_id":"7"}})";
  facts.reply = "[]";
  EXPECT_EQ(allows(facts, any), "no");
  EXPECT_EQ(facts.asked, R"(nft.near nft_tokens_for_owner {"account_id":"alice.near","limit":1})");
  facts.reply = R"([{"token_id":"1","owner_id":"alice.near","metadata":{"title":"x"}}])";
  EXPECT_EQ(allows(facts, any), "yes");
  facts.reply = R"({"token_id":"7","owner_id":"alice.near","metadata":null,"approved_account_ids":{}})";
  EXPECT_EQ(allows(facts, one), "yes");
  EXPECT_EQ(facts.asked, R"(nft.near nft_token {"token_id":"7"})");
  EXPECT_EQ(allows(facts, one, "bob.near"), "no");
  EXPECT_EQ(allows(facts, any), "unavailable");
  facts.reply = "null";
  EXPECT_EQ(allows(facts, one), "no");
  facts.reply = R"({"owner":"alice.near"})";
  EXPECT_EQ(allows(facts, one), "unavailable");
}

TEST(KeystoreAccess, Daos) {
  Facts facts;
  const auto role = [&](std::string_view name, std::string_view who = "alice.near") {
    return allows(facts, R"({"DaoMember":{"dao_contract":"dao.near","role":")" + std::string{name} + R"("}})", who);
  };
  facts.reply =
      R"({"roles":[{"name":"all","kind":"Everyone","permissions":[],"vote_policy":{}},)"
      R"({"name":"council","kind":{"Group":["alice.near","carol.near"]},"permissions":["*:*"],"vote_policy":{}},)"
      R"({"name":"holders","kind":{"Member":"100"},"permissions":[],"vote_policy":{}}],)"
      R"("default_vote_policy":{"weight_kind":"RoleWeight","quorum":"0","threshold":[1,2]},"proposal_bond":"1",)"
      R"("proposal_period":"1","bounty_bond":"1","bounty_forgiveness_period":"1"})";
  EXPECT_EQ(role("all", "bob.near"), "yes");
  EXPECT_EQ(role("council"), "yes");
  EXPECT_EQ(role("council", "bob.near"), "no");
  EXPECT_EQ(role("none"), "no");
  EXPECT_EQ(role("holders"), "unavailable");
  facts.reply = R"({"roles":{}})";
  EXPECT_EQ(role("council"), "unavailable");
}

TEST(KeystoreAccess, LogicIsDecidedFromLeftToRight) {
  Facts facts;
  const std::string read = R"({"NearBalance":{"operator":"Gte","value":"1"}})";
  const auto logic = [&](std::string_view op, const std::string& list) {
    return allows(facts, R"({"Logic":{"operator":")" + std::string{op} + R"(","conditions":[)" + list + "]}}");
  };
  const std::string none = R"({"Whitelist":{"accounts":[]}})";
  EXPECT_EQ(logic("And", R"("AllowAll",)" + none), "no");
  EXPECT_EQ(logic("Or", none + R"(,"AllowAll")"), "yes");
  facts.outage = true;
  EXPECT_EQ(logic("Or", R"("AllowAll",)" + read), "yes");
  EXPECT_EQ(logic("And", none + "," + read), "no");
  EXPECT_EQ(facts.reads, 0);
  EXPECT_EQ(logic("Or", none + "," + read), "unavailable");
  EXPECT_EQ(logic("And", R"("AllowAll",)" + read), "unavailable");
}

// An outage is neither yes nor no, and Not cannot make one of it.
TEST(KeystoreAccess, NotOverAnOutageIsAnOutage) {
  Facts facts;
  facts.outage = true;
  for (const char* leaf :
       {R"({"NearBalance":{"operator":"Gte","value":"1"}})",
        R"({"FtBalance":{"contract":"ft.near","operator":"Gte","value":"1"}})",
        R"({"NftOwned":{"contract":"nft.near","token_id":null}})",
        R"({"DaoMember":{"dao_contract":"dao.near","role":"council"}})", R"({"ValidUntil":{"until_ns":"5"}})"}) {
    EXPECT_EQ(allows(facts, leaf), "unavailable") << leaf;
    EXPECT_EQ(allows(facts, R"({"Not":{"condition":)" + std::string{leaf} + "}}"), "unavailable") << leaf;
  }
  EXPECT_EQ(allows(R"({"Not":{"condition":"AllowAll"}})"), "no");
  EXPECT_EQ(allows(R"({"Not":{"condition":{"Whitelist":{"accounts":[]}}}})"), "yes");
}

TEST(KeystoreAccess, ValidUntilATimeOfTheChain) {
  EXPECT_EQ(allows(R"({"ValidUntil":{"until_ns":"1000000000000"}})"), "yes");
  EXPECT_EQ(allows(R"({"ValidUntil":{"until_ns":1000000000000}})"), "yes");
  EXPECT_EQ(allows(R"({"ValidUntil":{"until_ns":"999999999999"}})"), "no");
  EXPECT_EQ(allows(R"({"ValidUntil":{"until_ns":18446744073709551615}})"), "yes");
  for (const char* bad : {R"("18446744073709551616")", "-1", "1.5", "null", R"("")", "1e3"}) {
    EXPECT_NE(refused(R"({"ValidUntil":{"until_ns":)" + std::string{bad} + "}}"), "accepted") << bad;
  }
}

TEST(KeystoreAccess, PredecessorIsAskedForAndNeverAssumed) {
  Facts facts;
  constexpr std::string_view of_bob = R"({"Predecessor":{"condition":{"Whitelist":{"accounts":["bob.near"]}}}})";
  const AccountId bob = account("bob.near");
  const AccountId carol = account("carol.near");
  EXPECT_EQ(allows(facts, of_bob, "alice.near", &bob), "yes");
  EXPECT_EQ(allows(facts, of_bob, "bob.near", &carol), "no");
  EXPECT_EQ(allows(facts, of_bob, "bob.near"), "denied");
  EXPECT_EQ(allows(facts, R"({"Not":{"condition":)" + std::string{of_bob} + "}}"), "denied");
}

TEST(KeystoreAccess, Bounds) {
  const auto many = [](const std::string& one, int count) {
    std::string list = one;
    for (int i = 1; i < count; ++i) list += "," + one;
    return R"({"Logic":{"operator":"Or","conditions":[)" + list + "]}}";
  };
  const auto pattern_of = [](std::size_t size) {
    return R"({"AccountPattern":{"pattern":")" + std::string(size, 'a') + R"("}})";
  };
  const std::string read = R"({"NearBalance":{"operator":"Gte","value":"1"}})";
  EXPECT_EQ(refused(many(pattern_of(256), 16)), "accepted");
  EXPECT_NE(refused(many(pattern_of(1), 17)).find("at most 16 patterns"), std::string::npos);
  EXPECT_NE(refused(many(pattern_of(257), 16)).find("4096 bytes"), std::string::npos);
  EXPECT_EQ(refused(many(read, 5)), "accepted");
  EXPECT_EQ(AccessCondition::parse(many(read, 5))->chain_reads(), 5u);
  EXPECT_NE(refused(many(read, 6)).find("at most 5"), std::string::npos);
  EXPECT_NE(refused(many(R"("AllowAll")", 256)).find("at most 256"), std::string::npos);
  std::string deep = R"("AllowAll")";
  for (int i = 0; i < 7; ++i) deep = R"({"Not":{"condition":)" + deep + "}}";
  EXPECT_EQ(refused(deep), "accepted");
  EXPECT_NE(refused(R"({"Not":{"condition":)" + deep + "}}").find("within each other"), std::string::npos);
}

TEST(KeystoreAccess, OnlyKnownShapes) {
  for (const char* bad :
       {"", "null", "true", R"("allowall")", R"("DenyAll")", "{}", "[]", R"({"Whitelist":["a.near"]})",
        R"({"Whitelist":{"accounts":["Not An Account"]}})", R"({"Whitelist":{"accounts":[],"x":1}})",
        R"({"Whitelist":{"accounts":[]},"Not":{"condition":"AllowAll"}})", R"({"type":"AllowAll"})",
        R"({"NearBalance":{"operator":"gte","value":"1"}})", R"({"NearBalance":{"operator":"Gte","value":1}})",
        R"({"NearBalance":{"operator":"Gte","value":"01"}})", R"({"Logic":{"operator":"And","conditions":[]}})",
        R"({"Logic":{"operator":"Xor","conditions":["AllowAll"]}})", R"({"Not":"AllowAll"})",
        R"({"NftOwned":{"contract":"nft.near","token_id":7}})"}) {
    EXPECT_NE(refused(bad), "accepted") << bad;
  }
}

// -- over nodes of NEAR

class KeystoreNearFacts : public ::testing::Test {
 protected:
  void SetUp() override {
    nodes.world.accounts["alice.near"] = {};
    nodes.world.accounts["dao.near"] = {.has_contract = true};
    nodes.world.contract = [this](const std::string&, const std::string& method, const base::Bytes&,
                                  std::uint64_t height) -> chain::near::testing::StandInCall {
      heights.push_back(height);
      if (method == "get_policy") {
        nodes.world.height = 300;  // the chain goes on between two reads
        return {.value = base::to_bytes(R"({"roles":[{"name":"council","kind":{"Group":["alice.near"]}}]})")};
      }
      if (method == "ft_balance_of") return {.value = base::to_bytes("\"7\"")};
      return {.vm_error = "MethodResolveError(MethodNotFound)"};
    };
    chain::near::ReaderOptions options;
    options.chain_id = chain::near::testing::kChainId;
    options.endpoints = nodes.endpoints();
    options.head_ttl = std::chrono::milliseconds(0);
    options.max_head_age = 0;
    options.max_clock_skew = 1'000'000;
    options.clock = &clock;
    auto made = chain::near::QuorumReader::make(nodes, std::move(options));
    ASSERT_TRUE(made.ok()) << made.error().text();
    reader = *std::move(made);
  }
  std::string allows(std::string_view json, std::string_view who = "alice.near") {
    NearFacts facts{*reader, clock.steady() + std::chrono::seconds(60)};
    const AccountId id = account(who);
    const auto said = AccessCondition::parse(json)->allows({.account = id}, facts);
    return said ? (*said ? "yes" : "no") : std::string{base::slug(said.error().code)};
  }
  chain::near::testing::Nodes nodes{3};
  chain::testing::TestClock clock{{chain::near::testing::kGenesis + 101}};
  std::unique_ptr<chain::near::QuorumReader> reader;
  std::vector<std::uint64_t> heights;
};

constexpr std::string_view kCouncil = R"({"DaoMember":{"dao_contract":"dao.near","role":"council"}})";

TEST_F(KeystoreNearFacts, AllReadsAreAtOneFinalBlock) {
  EXPECT_EQ(allows(R"({"Logic":{"operator":"And","conditions":[)" + std::string{kCouncil} +
                   R"(,{"FtBalance":{"contract":"dao.near","operator":"Eq","value":"7"}},)"
                   R"({"NearBalance":{"operator":"Gte","value":"5000000000000000000000000"}}]}})"),
            "yes");
  for (const std::uint64_t height : heights) EXPECT_EQ(height, 98u);
  EXPECT_GE(heights.size(), 4u);
}

TEST_F(KeystoreNearFacts, LiarsAndOutagesChangeNoAnswer) {
  nodes.change(0, [](chain::near::testing::Node& node) {
    node.lies = [](std::string& body) { body = R"({"jsonrpc":"2.0","id":1,"result":{"result":[]}})"; };
  });
  EXPECT_EQ(allows(kCouncil), "yes");
  nodes.change(1, [](chain::near::testing::Node& node) { node.dead = true; });
  EXPECT_EQ(allows(kCouncil), "unavailable");
  EXPECT_EQ(allows(R"({"Not":{"condition":)" + std::string{kCouncil} + "}}"), "unavailable");
}

TEST_F(KeystoreNearFacts, TheChainsNoIsADenialAlsoUnderNot) {
  const std::string nft = R"({"NftOwned":{"contract":"dao.near","token_id":null}})";
  EXPECT_EQ(allows(nft), "denied");
  EXPECT_EQ(allows(R"({"Not":{"condition":)" + nft + "}}"), "denied");
  EXPECT_EQ(allows(R"({"NearBalance":{"operator":"Lt","value":"1"}})", "nobody.near"), "denied");
  EXPECT_EQ(allows(R"({"ValidUntil":{"until_ns":"1800000098000000000"}})"), "yes");
  EXPECT_EQ(allows(R"({"ValidUntil":{"until_ns":"1800000097999999999"}})"), "no");
}

}  // namespace
}  // namespace attestry::secrets::keystore
