#include "governance/contract_proof.h"

#include <gmock/gmock.h>

#include <map>

#include "base/encoding.h"
#include "chain/proof.h"
#include "chain/registry_abi.h"
#include "governance/chain_authority.h"
#include "governance/testing/support.h"

namespace attestry::governance {
namespace {

using base::Code;
using chain::Word;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::patient;
namespace abi = chain::registry;

constexpr StorageVariable kVariables[] = {{"_owner", 0, 0}, {"_roles", 2, 0},   {"_paused", 3, 1},
                                          {"policy", 4, 0}, {"_domains", 8, 0}, {"identityConfigMap", 11, 0}};
const ContractAddress kContract{0xc0, 0xff, 0xee};
const ContractAddress kOperator{0x0a};
const base::Digest32 kCode{0xc0, 0xde};
const base::Digest32 kIdentity{0x1d};
const base::Digest32 kConfiguration{0xcf};

Word one() { return chain::slot_at(1); }
Word address_word(const ContractAddress& address) {
  Word out{};
  std::ranges::copy(address, out.begin() + 12);
  return out;
}

/// Storage whose proofs always hold.
class Storage final : public chain::StorageProver {
 public:
  base::Result<chain::ProvedStorage> storage(const chain::BlockRef&, const chain::Address&, std::span<const Word> slots,
                                             base::Deadline) override {
    if (away) return base::Error{Code::unavailable, "chain: no endpoint proves what stands in storage"};
    chain::ProvedStorage out{.code_hash = code, .words = {}};
    for (const Word& slot : slots) out.words.push_back(words[slot]);
    return out;
  }
  void allow() {
    words[chain::mapping_slot(kIdentity, chain::slot_at(11))] = kConfiguration;
    const Word members = chain::mapping_slot(abi::role("ROLE_OPERATOR"), chain::slot_at(2));
    words[chain::mapping_slot(address_word(kOperator), members)] = one();
  }
  void pause() { words[chain::slot_at(3)][30] = 1; }
  void register_name(std::string_view name) {
    Word& length = words[chain::slot_at(8)];
    length = chain::slot_at(length.back() + 1u);
    words[chain::mapping_slot(name, chain::slot_at(9))] = length;
  }

  bool away = false;
  base::Digest32 code = kCode;
  std::map<Word, Word> words;
};

class ContractProofTest : public ::testing::Test {
 protected:
  base::Result<RegistryFacts> ask() {
    return proofs.registry({},
                           {.contract = kContract,
                            .operator_address = kOperator,
                            .identities = {kIdentity, base::Digest32{2}},
                            .domain_names = {"a.example", "b.example"}},
                           patient());
  }
  Storage storage;
  ContractProofs proofs{storage, {*OwnContract::make(OwnKind::registry, kCode, kVariables)}};
};

TEST_F(ContractProofTest, WhatStandsInStorageDecides) {
  EXPECT_FALSE(ask()->allows(0));
  storage.allow();
  auto facts = ask();
  ASSERT_TRUE(facts.ok()) << facts.error().text();
  EXPECT_TRUE(facts->allows(0));
  EXPECT_FALSE(facts->allows(1));
  EXPECT_EQ(facts->configurations[0], kConfiguration);
  storage.pause();
  EXPECT_FALSE(ask()->allows(0));
}

TEST_F(ContractProofTest, WithoutTheRoleNothingIsAllowed) {
  storage.words[chain::mapping_slot(kIdentity, chain::slot_at(11))] = kConfiguration;
  EXPECT_FALSE(ask()->allows(0));
}

TEST_F(ContractProofTest, OnlyNamesThatAreRegisteredAreProved) {
  storage.register_name("b.example");
  EXPECT_THAT(ask()->domain_names, ElementsAre("b.example"));
}

TEST_F(ContractProofTest, ThePolicyIsProved) {
  storage.words[chain::slot_at(4)] = one();
  EXPECT_EQ(ask()->policy, one());
}

TEST_F(ContractProofTest, ContractsOfOtherCodeCannotBeProved) {
  storage.allow();
  for (const auto& code : {base::Digest32{}, base::Digest32{9}}) {
    storage.code = code;
    const auto facts = ask();
    EXPECT_EQ(facts.error().code, Code::configuration);
    EXPECT_THAT(facts.error().what, HasSubstr("cannot be proved"));
  }
}

TEST_F(ContractProofTest, NoProofIsAnOutage) {
  storage.away = true;
  EXPECT_EQ(ask().error().code, Code::unavailable);
}

TEST_F(ContractProofTest, AContractWithoutOneOfTheVariablesIsNotOurs) {
  EXPECT_EQ(OwnContract::make(OwnKind::registry, kCode, std::span{kVariables}.first(4)).error().code, Code::internal);
  EXPECT_EQ(OwnContract::make(OwnKind::kms, kCode, kVariables).error().code, Code::internal);
}

constexpr StorageVariable kKmsVariables[] = {{"_roles", 2, 0},           {"_paused", 3, 0},
                                             {"policy", 4, 0},           {"app_pki", 5, 0},
                                             {"_domains", 8, 0},         {"allowlistedIdentities", 11, 0},
                                             {"onboardRequests", 12, 0}, {"applicationPolicy", 13, 0},
                                             {"_applications", 14, 0}};

class ServiceProofTest : public ::testing::Test {
 protected:
  base::Result<ServerFacts> server(const base::Digest32& request = {}) {
    return proofs.server(
        {}, {.contract = kContract, .operator_address = kOperator, .identity = kIdentity, .request = request},
        patient());
  }
  bool publishes(base::ByteView key) { return *proofs.publishes({}, kContract, key, patient()); }
  Storage storage;
  ContractProofs proofs{storage, {*OwnContract::make(OwnKind::kms, kCode, kKmsVariables)}};
};

TEST_F(ServiceProofTest, AnAppIsListedUnlessEverythingIsFrozen) {
  const auto asked = [&] { return *proofs.served_app({}, kContract, kOperator, patient()); };
  EXPECT_FALSE(asked().allowed);
  storage.words[chain::mapping_slot(address_word(kOperator), chain::slot_at(15))] = chain::slot_at(3);
  storage.words[chain::mapping_slot(address_word(kOperator), chain::slot_at(13))] = kConfiguration;
  EXPECT_TRUE(asked().allowed);
  EXPECT_EQ(asked().policy, kConfiguration);
  storage.words[chain::slot_at(3)][31] = 1;
  EXPECT_FALSE(asked().allowed);
}

TEST_F(ServiceProofTest, AServerNeedsItsIdentityAndItsOperator) {
  storage.words[chain::mapping_slot(kIdentity, chain::slot_at(11))] = one();
  EXPECT_FALSE(server()->allowed);
  const Word members = chain::mapping_slot(abi::role("ROLE_OPERATOR"), chain::slot_at(2));
  storage.words[chain::mapping_slot(address_word(kOperator), members)] = one();
  EXPECT_TRUE(server()->allowed && server()->is_operator);
  const base::Digest32 request{7};
  EXPECT_FALSE(server(request)->requested);
  Word nonce = chain::mapping_slot(request, chain::slot_at(12));
  ASSERT_LT(nonce[31], 0xff);
  nonce[31] += 1;
  storage.words[nonce] = one();
  EXPECT_TRUE(server(request)->requested);
  EXPECT_FALSE(server(kIdentity)->requested);
  storage.code = {};
  EXPECT_EQ(server().error().code, Code::configuration);
}

/// Solidity: layout of `bytes`, https://docs.soliditylang.org/en/v0.8.24/internals/layout_in_storage.html
TEST_F(ServiceProofTest, BytesAreWhereTheCompilerPutsThem) {
  Word data{};  // Keccak-256 of slot 6
  ASSERT_TRUE(base::hex_decode_into("f652222313e28459528d920b65115c16c04f3efc82aaedc97be59f3f377c0d3f", data).ok());
  Word next = data;
  next[31] += 1;
  Word& head = storage.words[chain::slot_at(6)];
  EXPECT_TRUE(publishes({}));
  EXPECT_FALSE(publishes(base::Bytes(1, 'a')));
  std::ranges::fill(std::span{head}.first(31), 'a');
  head[31] = 62;
  EXPECT_TRUE(publishes(base::Bytes(31, 'a')));
  EXPECT_FALSE(publishes(base::Bytes(32, 'a')));
  head = chain::slot_at(65);
  storage.words[data].fill('a');
  EXPECT_TRUE(publishes(base::Bytes(32, 'a')));
  EXPECT_FALSE(publishes(base::Bytes(31, 'a')));
  EXPECT_FALSE(publishes({}));
  head = chain::slot_at(67);
  storage.words[next][0] = 'a';
  EXPECT_TRUE(publishes(base::Bytes(33, 'a')));
  EXPECT_FALSE(publishes(base::Bytes(32, 'a')));
  storage.words[next][1] = 'b';
  EXPECT_FALSE(publishes(base::Bytes(33, 'a')));
}

/// A quorum of endpoints that says what it likes of a block that is the true one.
class Liars final : public chain::ChainReader {
 public:
  base::Result<chain::BlockRef> head(base::Deadline) override { return chain::BlockRef{.number = 7}; }
  base::Result<chain::BlockRef> known_head() const override { return chain::BlockRef{.number = 7}; }
  base::Result<std::vector<chain::CallOutcome>> call(const chain::BlockRef&, std::span<const chain::Call> calls,
                                                     base::Deadline) override {
    std::vector<chain::CallOutcome> out;
    for (const auto& call : calls) out.push_back(answer(call));
    return out;
  }
  bool silent = false;
  bool allowed = true;
  base::Digest32 configuration = kConfiguration;
  base::Digest32 policy{};
  std::vector<std::string> names{};

 private:
  chain::CallOutcome answer(const chain::Call& call) const {
    const auto is = [&](const auto& function) {
      return base::equal(base::ByteView{call.data}.first(4), function.selector());
    };
    if (silent) return {};
    if (is(abi::kIdentityAllowed)) return {.data = abi::kIdentityAllowed.encode_result(allowed)};
    if (is(abi::kConfigForIdentity)) return {.data = abi::kConfigForIdentity.encode_result(configuration)};
    if (is(abi::kPolicy)) return {.data = abi::kPolicy.encode_result(policy)};
    if (is(abi::kInstanceDomainNames)) return {.data = abi::kInstanceDomainNames.encode_result(names)};
    return {.reverted = true};
  }
};

class ProvingAuthorityTest : public ContractProofTest {
 protected:
  base::Result<ContractApproval> decide() {
    return authority.decide(
        {.contract = kContract, .identity = kIdentity, .operator_address = kOperator, .domain_names = {"A.example"}},
        patient());
  }
  Liars liars;
  ChainAuthority authority{liars, {.chain_id = 1, .proofs = &proofs}};
};

TEST_F(ProvingAuthorityTest, TheTruthIsBelieved) {
  storage.allow();
  storage.register_name("a.example");
  storage.register_name("of-somebody.else");
  liars.names = {"a.example", "of-somebody.else"};
  const auto approval = decide();
  ASSERT_TRUE(approval.ok()) << approval.error().text();
  EXPECT_EQ(approval->answer().configuration, kConfiguration);
  EXPECT_THAT(approval->answer().domain_names, ElementsAre("a.example"));
}

TEST_F(ProvingAuthorityTest, ADenialThatIsTrueIsADenial) {
  liars.allowed = false;
  EXPECT_EQ(decide().error().code, Code::denied);
}

TEST_F(ProvingAuthorityTest, NoLieIsADenialNorARelease) {
  const auto refused = [this](std::string_view why) {
    const auto answer = decide();
    ASSERT_FALSE(answer.ok()) << why;
    EXPECT_EQ(answer.error().code, Code::unavailable) << why << ": " << answer.error().text();
    EXPECT_THAT(answer.error().what, HasSubstr("not what the block proves")) << why;
  };
  refused("allowed, and it is not");
  storage.allow();
  ASSERT_TRUE(decide().ok());
  liars.allowed = false;
  refused("not allowed, and it is");
  liars.allowed = true;
  liars.configuration = base::Digest32{9};
  refused("another configuration");
  liars.configuration = kConfiguration;
  liars.policy = base::Digest32{9};
  refused("a policy that is none");
  liars.policy = {};
  storage.words[chain::slot_at(4)] = one();
  refused("no policy, and there is one");
  storage.words.erase(chain::slot_at(4));
  liars.names = {"a.example"};
  refused("a name that nobody registered");
  storage.register_name("A.example");
  liars.names.clear();
  refused("no name, and there is one");
  liars.names = {"another.example"};
  refused("another name in place of the one that is there");
  liars.names = {"A.example"};
  ASSERT_TRUE(decide().ok());
  storage.register_name("of-somebody.else");
  refused("one name, and there are two");
  liars.names = {"A.example", "of-somebody.else"};
  ASSERT_TRUE(decide().ok());
  liars.silent = true;
  refused("no contract, and there is one");
}

TEST_F(ProvingAuthorityTest, WithoutProofsNothingIsReleasedAndNothingDenied) {
  storage.allow();
  storage.away = true;
  EXPECT_EQ(decide().error().code, Code::unavailable);
}

}  // namespace
}  // namespace attestry::governance
