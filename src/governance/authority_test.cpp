// One set of rules for both authorities: what a contract on a chain and what approvals without one answer.
#include <gmock/gmock.h>

#include <map>
#include <set>

#include "base/encoding.h"
#include "chain/registry_abi.h"
#include "curves/keccak.h"
#include "governance/chain_authority.h"
#include "governance/local_authority.h"
#include "governance/testing/support.h"

namespace attestry::governance {
namespace {

using base::Code;
using ::testing::HasSubstr;
using testing::House;
using testing::patient;
namespace abi = chain::registry;

constexpr std::uint64_t kChainId = 31337;
const ContractAddress kContract{0xc0, 0xff, 0xee};
const ContractAddress kService{0x5e};
const ContractAddress kOperator{0x0a};
const ContractAddress kStranger{0x0b};

base::AppRef app() { return contract_app(kChainId, kContract); }

/// RTMR0 to RTMR2 of a workload: 48 times the digit, and the next two.
std::string register_hex(char digit, int index) { return std::string(96, static_cast<char>(digit + index)); }
base::Digest32 identity_of(char digit) {
  base::LpWriter packed;
  packed.raw(kContract);
  for (int i = 0; i < 3; ++i) packed.raw(*base::hex_decode(register_hex(digit, i)));
  return curves::keccak256(packed.bytes());
}

/// A chain with at most one contract of ours. As strict as a node: only blocks that it gave out, only known functions.
class StandInChain final : public chain::ChainReader {
 public:
  base::Result<chain::BlockRef> head(base::Deadline) override {
    return chain::BlockRef{.number = number, .hash = hash(number), .time = {}};
  }
  base::Result<chain::BlockRef> known_head() const override {
    if (stalled) return base::Error{Code::unavailable, "chain: the newest block is too old"};
    return chain::BlockRef{.number = number, .hash = hash(number), .time = {}};
  }
  base::Result<std::vector<chain::CallOutcome>> call(const chain::BlockRef& at, std::span<const chain::Call> calls,
                                                     base::Deadline) override {
    if (at.number > number || at.hash != hash(at.number)) {
      return base::Error{Code::unavailable, "no such block"};
    }
    std::vector<chain::CallOutcome> out;
    for (const auto& one : calls)
      out.push_back(one.to == kService                ? served(one.data)
                    : one.to == kContract && deployed ? answer(one.data)
                                                      : outcome({}));
    ++batches;
    return out;
  }

  std::uint64_t number = 100;
  bool deployed = false;
  bool stalled = false;
  bool frozen = false;
  std::size_t batches = 0;
  bool listed = true;
  chain::Word policy{}, service_policy{};
  std::set<base::Digest32> allowed;
  std::map<base::Digest32, base::Digest32> configurations;

 private:
  static base::Digest32 hash(std::uint64_t block) {
    return crypto::sha256(base::as_bytes("block " + std::to_string(block)));
  }
  static chain::CallOutcome outcome(base::Bytes data) { return {.data = std::move(data)}; }
  static chain::CallOutcome revert(std::string reason) {
    return {.reverted = true, .data = base::Bytes(4, 1), .reason = std::move(reason)};
  }
  /// Of the key service's contract.
  chain::CallOutcome served(const base::Bytes& data) const {
    if (data == abi::kApplicationAllowed.at(kService, kContract).data) {
      return outcome(abi::kApplicationAllowed.encode_result(listed));
    }
    if (data != abi::kApplicationPolicy.at(kService, kContract).data) return {.reverted = true};
    return outcome(abi::kApplicationPolicy.encode_result(service_policy));
  }
  chain::CallOutcome answer(const base::Bytes& data) const {
    if (data == abi::kPolicy.at(kContract).data) return outcome(abi::kPolicy.encode_result(policy));
    if (data == abi::kStorageBackends.at(kContract).data) {
      return outcome(abi::kStorageBackends.encode_result({"file://./store/"}));
    }
    if (data.size() != 68) return {.reverted = true};  // no such function: a revert without a word
    base::Digest32 identity{};
    std::ranges::copy(base::ByteView{data}.subspan(4, 32), identity.begin());
    ContractAddress caller{};
    std::ranges::copy(base::ByteView{data}.last(20), caller.begin());
    const bool asks = data == abi::kIdentityAllowed.at(kContract, identity, caller).data;
    const bool configures = data == abi::kConfigForIdentity.at(kContract, identity, caller).data;
    if (!asks && !configures) return {.reverted = true};
    if (frozen) return revert("Frozen");
    if (caller != kOperator) return revert("Operator not authorized");
    if (asks) return outcome(abi::kIdentityAllowed.encode_result(allowed.contains(identity)));
    const auto found = configurations.find(identity);
    return outcome(
        abi::kConfigForIdentity.encode_result(found == configurations.end() ? chain::Word{} : found->second));
  }
};

/// What an app's owner does on a chain; every act is a block.
struct OnChain {
  void create() {
    reader.deployed = true;
    ++reader.number;
  }
  void allow(char digit) {
    reader.allowed.insert(identity_of(digit));
    reader.configurations[identity_of(digit)] = configuration;
    ++reader.number;
  }
  void take_back(char digit) {
    reader.allowed.erase(identity_of(digit));
    ++reader.number;
  }
  base::Digest32 configure(std::string_view text) {
    configuration = crypto::sha256(base::as_bytes(text));
    for (auto& [identity, id] : reader.configurations) id = configuration;
    ++reader.number;
    return configuration;
  }
  void freeze() {
    reader.frozen = true;
    ++reader.number;
  }
  /// The chain goes on further than a release may be behind.
  void passes() {
    reader.number += 3;
    house.clock.pass(6);
  }

  House house;
  StandInChain reader;
  base::Digest32 configuration{};
  ChainAuthority authority{reader, {.chain_id = kChainId, .clock = &house.clock}};
};

/// The same by approvals.
struct WithoutChain {
  WithoutChain() {
    house.add_operator("alice");
    const auto added = house.registry->set_operator(
        base::Tenant::standard(), {.address = kOperator, .name = "wallet", .since = {}, .right = OperatorRight::start},
        house.store->now(), patient());
    EXPECT_TRUE(added.ok()) << added.error().text();
  }
  void create() {
    house.approve(app(), Action::app_create, app().text());
    policy = house.blob(R"({"format":1,"name":"registers","identities":[]})");
    house.approve(app(), Action::policy_approve, policy);
  }
  void allow(char digit) { house.approve(app(), Action::identity_approve, document(digit)); }
  void take_back(char digit) { house.approve(app(), Action::revoke, document(digit)); }
  base::Digest32 configure(std::string_view text) {
    const std::string id = house.blob(text);
    house.approve(app(), Action::configuration_approve, id);
    return crypto::sha256(base::as_bytes(text));
  }
  void freeze() { house.approve(app(), Action::revoke, policy); }
  void passes() { configure("something else"); }
  std::string document(char digit) {
    std::string claims = "\"mrtd\":\"" + register_hex('a', 0) + "\"";
    for (int i = 0; i < 3; ++i) {
      claims += std::string{",\"rtmr"} + std::to_string(i) + "\":\"" + register_hex(digit, i) + "\"";
    }
    return house.blob(R"({"name":"web","claims":{)" + claims + "}}");
  }

  House house;
  std::string policy;
  LocalAuthority authority{*house.registry, house.clock, kChainId};
};

base::FixedBytes<48> filled(std::uint8_t byte) {
  base::FixedBytes<48> out{};
  out.fill(byte);
  return out;
}

template <typename World>
class AuthorityRules : public ::testing::Test {
 protected:
  base::Result<ContractApproval> decide(char digit, const ContractAddress& caller = kOperator) {
    return world.authority.decide(
        {.contract = kContract, .identity = identity_of(digit), .operator_address = caller, .mrtd = mrtd}, patient());
  }
  base::Result<ContractApproval> renew(char digit, const ContractApproval& approval) {
    return world.authority.renew(
        {.contract = kContract, .identity = identity_of(digit), .operator_address = kOperator, .mrtd = mrtd}, approval,
        patient());
  }
  base::Status commit(const ContractApproval& approval) {
    return world.house.store->write_and_wait(
        [&](state::WriteTxn& txn) { return world.authority.still_holds(txn, approval); }, patient());
  }
  void denied(char digit, std::string_view why, const ContractAddress& caller = kOperator) {
    const auto answer = decide(digit, caller);
    ASSERT_FALSE(answer.ok());
    EXPECT_EQ(answer.error().code, Code::denied) << answer.error().text();
    EXPECT_THAT(answer.error().what, HasSubstr(std::string{why}));
  }

  World world;
  base::FixedBytes<48> mrtd = filled(0xaa);  ///< as a proxy vouches for it
};

using Worlds = ::testing::Types<OnChain, WithoutChain>;
TYPED_TEST_SUITE(AuthorityRules, Worlds);

TYPED_TEST(AuthorityRules, AnUnknownAppIsNotFound) {
  EXPECT_EQ(this->decide('1').error().code, Code::not_found);
  EXPECT_EQ(this->world.authority.facts(base::Tenant::standard(), kContract, patient()).error().code, Code::not_found);
}

TYPED_TEST(AuthorityRules, AnAllowedIdentityGetsItsConfigurationAndStorage) {
  this->world.create();
  const auto configuration = this->world.configure("listen = 1");
  this->world.allow('1');
  const auto approval = this->decide('1');
  ASSERT_TRUE(approval.ok()) << approval.error().text();
  EXPECT_EQ(approval->app(), app());
  EXPECT_EQ(approval->answer().identity, identity_of('1'));
  EXPECT_EQ(approval->answer().configuration, configuration);
  EXPECT_EQ(approval->answer().storage.size(), 1u);
  EXPECT_FALSE(approval->answer().snapshot.empty());
  EXPECT_TRUE(this->commit(*approval).ok());
  const auto facts = this->world.authority.facts(base::Tenant::standard(), kContract, patient());
  ASSERT_TRUE(facts.ok());
  EXPECT_EQ(facts->storage, approval->answer().storage);
}

TYPED_TEST(AuthorityRules, AnotherIdentityIsNotAllowed) {
  this->world.create();
  this->world.allow('1');
  this->denied('2', "identity not allowed");
}

TYPED_TEST(AuthorityRules, AnOperatorWithoutTheRightIsRefusedInTheSameWords) {
  this->world.create();
  this->world.allow('1');
  this->denied('1', "Operator not authorized", kStranger);
  this->denied('1', "Operator not authorized", ContractAddress{});  // nobody signed
}

TYPED_TEST(AuthorityRules, AConfigurationChangesForTheNextRelease) {
  this->world.create();
  this->world.configure("old");
  this->world.allow('1');
  const auto configuration = this->world.configure("new");
  const auto approval = this->decide('1');
  ASSERT_TRUE(approval.ok()) << approval.error().text();
  EXPECT_EQ(approval->answer().configuration, configuration);
}

TYPED_TEST(AuthorityRules, WhatWasTakenBackIsRefusedAtTheNextAnswer) {
  this->world.create();
  this->world.allow('1');
  this->world.allow('4');
  ASSERT_TRUE(this->decide('1').ok());
  this->world.take_back('1');
  this->denied('1', "identity not allowed");
  EXPECT_TRUE(this->decide('4').ok());
}

TYPED_TEST(AuthorityRules, AFrozenAppReleasesToNobody) {
  this->world.create();
  this->world.allow('1');
  this->world.freeze();
  this->denied('1', "");
}

TYPED_TEST(AuthorityRules, WhatMovedOnSinceTheDecisionIsAConflict) {
  this->world.create();
  this->world.allow('1');
  const auto approval = this->decide('1');
  ASSERT_TRUE(approval.ok()) << approval.error().text();
  this->world.passes();
  EXPECT_EQ(this->commit(*approval).error().code, Code::conflict);
}

using ChainAuthorityTest = AuthorityRules<OnChain>;

TEST_F(ChainAuthorityTest, ACommitLooksAtTheNewestBlockThatIsKnown) {
  world.create();
  world.allow('1');
  const auto approval = decide('1');
  ASSERT_TRUE(approval.ok());
  world.house.clock.pass(3600);
  world.reader.number += 2;
  EXPECT_TRUE(commit(*approval).ok());
  ++world.reader.number;
  EXPECT_EQ(commit(*approval).error().code, Code::conflict);
}

TEST_F(ChainAuthorityTest, ManyBlocksInAMomentAreNoConflict) {
  world.create();
  world.allow('1');
  const auto approval = decide('1');
  ASSERT_TRUE(approval.ok());
  world.reader.number += 64;  // as when two epochs become final at once
  world.house.clock.pass(5);
  EXPECT_TRUE(commit(*approval).ok());
  world.house.clock.pass(1);
  EXPECT_EQ(commit(*approval).error().code, Code::conflict);
}

TEST_F(ChainAuthorityTest, WhoTookTimeAsksAgainAtTheNewestBlock) {
  world.create();
  world.allow('1');
  auto approval = decide('1');
  ASSERT_TRUE(approval.ok());
  const std::uint64_t first = approval->answer().version;
  world.passes();
  const auto renewed = renew('1', *approval);
  ASSERT_TRUE(renewed.ok()) << renewed.error().text();
  EXPECT_EQ(renewed->answer().version, first + 3);
  EXPECT_TRUE(commit(*renewed).ok());
}

TEST_F(ChainAuthorityTest, WhatWasTakenBackMeanwhileIsNotRenewed) {
  world.create();
  world.allow('1');
  auto approval = decide('1');
  ASSERT_TRUE(approval.ok());
  world.take_back('1');
  EXPECT_EQ(renew('1', *approval).error().code, Code::denied);
}

TEST_F(ChainAuthorityTest, AnotherConfigurationMeanwhileIsAConflict) {
  world.create();
  world.configure("old");
  world.allow('1');
  auto approval = decide('1');
  ASSERT_TRUE(approval.ok());
  world.configure("new");
  EXPECT_EQ(renew('1', *approval).error().code, Code::conflict);
}

TEST_F(ChainAuthorityTest, AContractThatIsNotThereIsSaidWithItsBlock) {
  const auto answer = decide('1');
  EXPECT_THAT(answer.error().found, HasSubstr("at block 100"));
}

TEST_F(ChainAuthorityTest, AStalledChainIsAnOutageAndNoConflict) {
  world.create();
  world.allow('1');
  const auto approval = decide('1');
  ASSERT_TRUE(approval.ok());
  world.reader.stalled = true;
  EXPECT_EQ(commit(*approval).error().code, Code::unavailable);
}

TEST_F(ChainAuthorityTest, TheKeyServicesListAndPoliciesComeWithTheAppsOwn) {
  ChainAuthority authority{world.reader, {.chain_id = kChainId, .key_service = kService}};
  const auto asked = [&] {
    return authority.decide({.contract = kContract, .identity = identity_of('1'), .operator_address = kOperator},
                            patient());
  };
  EXPECT_EQ(asked().error().code, Code::not_found) << "no app's contract, whatever the service's says";
  world.create();
  world.allow('1');
  const std::size_t before = world.reader.batches;
  ASSERT_TRUE(asked().ok());
  EXPECT_EQ(world.reader.batches, before + 1);
  EXPECT_EQ(asked()->answer().service_policy, std::nullopt);
  world.reader.policy = chain::to_word(1);
  world.reader.service_policy = chain::to_word(2);
  EXPECT_EQ(asked()->answer().policy, chain::to_word(1));
  EXPECT_EQ(asked()->answer().service_policy, chain::to_word(2));
  world.reader.listed = false;
  EXPECT_EQ(asked().error().code, Code::denied);
  EXPECT_EQ(asked().error().what, "application not allowed");
}

/// The same chain by another lane.
class StrangersLane final : public chain::ChainReader {
 public:
  explicit StrangersLane(StandInChain& chain) : chain_(chain) {}
  base::Result<chain::BlockRef> head(base::Deadline deadline) override { return chain_.head(deadline); }
  base::Result<chain::BlockRef> known_head() const override { return chain_.known_head(); }
  base::Result<std::vector<chain::CallOutcome>> call(const chain::BlockRef& at, std::span<const chain::Call> calls,
                                                     base::Deadline deadline) override {
    for (const auto& one : calls) called.insert(one.to);
    if (full) return base::Error{Code::unavailable, "too many questions wait for this endpoint"};
    return chain_.call(at, calls, deadline);
  }
  bool full = false;
  std::set<ContractAddress> called;

 private:
  StandInChain& chain_;
};

TEST_F(ChainAuthorityTest, AnAppThatTheKeyServiceDoesNotListIsAskedWithTheStrangers) {
  StrangersLane releases{world.reader}, strangers{world.reader};
  ChainAuthority authority{releases, strangers, {.chain_id = kChainId, .key_service = kService}};
  const auto asked = [&] {
    return authority.decide({.contract = kContract, .identity = identity_of('1'), .operator_address = kOperator},
                            patient());
  };
  world.create();
  world.allow('1');
  world.reader.listed = false;
  EXPECT_EQ(asked().error().what, "application not allowed");
  EXPECT_EQ(releases.called, std::set<ContractAddress>{}) << "the app's contract is of anybody's making";
  EXPECT_EQ(strangers.called, (std::set{kContract, kService}));
  strangers.full = true;
  EXPECT_EQ(asked().error().code, Code::denied) << "a flood of strangers is no outage for the others";
  EXPECT_EQ(releases.called, std::set{kService});
  world.reader.listed = true;
  EXPECT_TRUE(asked().ok());
  EXPECT_TRUE(releases.called.contains(kContract));
  strangers.called.clear();
  EXPECT_TRUE(asked().ok());
  world.reader.listed = false;
  EXPECT_EQ(asked().error().code, Code::denied);
  EXPECT_EQ(strangers.called, std::set<ContractAddress>{}) << "listed before, it is asked with the app's own";
  releases.called.clear();
  EXPECT_EQ(asked().error().code, Code::denied);
  EXPECT_FALSE(releases.called.contains(kContract)) << "until it is listed no more";
}

TEST_F(ChainAuthorityTest, AKeyServiceThatIsNotThereIsAMistakeOfTheSettings) {
  world.create();
  world.allow('1');
  ChainAuthority authority{world.reader, {.chain_id = kChainId, .key_service = kStranger}};
  const auto answer =
      authority.decide({.contract = kContract, .identity = identity_of('1'), .operator_address = kOperator}, patient());
  EXPECT_EQ(answer.error().code, Code::configuration) << answer.error().text();
}

class LocalAuthorityTest : public AuthorityRules<WithoutChain> {
 protected:
  void approve_document(const std::string& claims) {
    world.house.approve(app(), Action::identity_approve,
                        world.house.blob(R"({"name":"web","claims":{)" + claims + "}}"));
  }
  static std::string claim(const std::string& name, const std::string& value) {
    return "\"" + name + "\":" + (value.starts_with("[") ? value : "\"" + value + "\"");
  }
  std::string registers(char digit) {
    return claim("mrtd", register_hex('a', 0)) + "," + claim("rtmr0", register_hex(digit, 0)) + "," +
           claim("rtmr1", register_hex(digit, 1)) + "," + claim("rtmr2", register_hex(digit, 2));
  }
};

TEST_F(LocalAuthorityTest, ADocumentThatSaysMoreOrLessNeedsEvidence) {
  world.create();
  approve_document(registers('1') + "," + claim("rtmr3", register_hex('1', 3)));
  approve_document(claim("mrtd", register_hex('a', 0)) + "," + claim("rtmr0", register_hex('1', 0)) + "," +
                   claim("rtmr1", register_hex('1', 1)));
  denied('1', "identity not allowed");
  approve_document(registers('1'));
  EXPECT_TRUE(decide('1').ok());
  mrtd.fill(1);
  denied('1', "identity not allowed");
}

TEST_F(LocalAuthorityTest, ARegisterMayHaveSeveralValues) {
  world.create();
  approve_document(claim("mrtd", register_hex('a', 0)) + "," +
                   claim("rtmr0", "[\"" + register_hex('1', 0) + "\",\"" + register_hex('4', 0) + "\"]") + "," +
                   claim("rtmr1", register_hex('4', 1)) + "," + claim("rtmr2", register_hex('4', 2)));
  EXPECT_TRUE(decide('4').ok());
  denied('1', "identity not allowed");
}

TEST_F(LocalAuthorityTest, APolicyWithConditionsOfItsOwnNeedsEvidence) {
  world.create();
  world.allow('1');
  ASSERT_TRUE(decide('1').ok());
  world.house.approve(
      app(), Action::policy_approve,
      world.house.blob(R"({"format":1,"name":"more","identities":[],"conditions":[{"claim":"mrtd","equals":")" +
                       register_hex('1', 0) + R"("}]})"));
  denied('1', "identity not allowed");
}

/// As they were stored before there were rights: name and time, without one.
TEST_F(LocalAuthorityTest, AnAccountFromBeforeThereWereRightsIsAskedForStill) {
  world.create();
  world.allow('1');
  const auto written = world.house.store->write_and_wait(
      [&](state::WriteTxn& txn) -> base::Status {
        TRY_OK(txn.erase(operator_key(base::Tenant::standard(), kOperator)));
        return txn.put(operator_key(base::Tenant::standard(), kStranger),
                       state::value(1).lp("of before").u64(1).bytes());
      },
      patient());
  ASSERT_TRUE(written.ok()) << written.error().text();
  denied('1', "Operator not authorized", ContractAddress{});
  denied('1', "Operator not authorized", kOperator);
  EXPECT_TRUE(decide('1', kStranger).ok());
  const auto narrowed = world.house.registry->set_operator(base::Tenant::standard(),
                                                           {.address = kStranger, .name = "approves", .since = {}},
                                                           world.house.store->now(), patient());
  ASSERT_TRUE(narrowed.ok()) << narrowed.error().text();
  EXPECT_TRUE(decide('1', ContractAddress{}).ok()) << "he has a right of his own now, and it is not that";
}

TEST_F(LocalAuthorityTest, AnOperatorRemovedBeforeTheCommitIsAConflict) {
  world.create();
  world.allow('1');
  const auto approval = decide('1');
  ASSERT_TRUE(approval.ok());
  ASSERT_TRUE(
      world.house.registry->remove_operator(base::Tenant::standard(), kOperator, world.house.store->now(), patient())
          .ok());
  EXPECT_EQ(commit(*approval).error().code, Code::conflict);
  EXPECT_TRUE(decide('1', kStranger).ok()) << "no operator with an address is left: none is asked for";
}

}  // namespace
}  // namespace attestry::governance
