#include "tracker/reputation_contract.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "chain/quorum.h"
#include "chain/testing/stand_in.h"
#include "crypto/hash.h"

namespace attestry::tracker {
namespace {

using base::Code;
using chain::Address;
using chain::Call;
using chain::CallOutcome;
using chain::Word;
using chain::testing::Branch;
using chain::testing::kContract;
using chain::testing::kOther;
using chain::testing::Node;
using chain::testing::Nodes;
using ::testing::HasSubstr;

const Address kOwner{0x01}, kReferrer{0x02};
const Word kHash{0x5e};
const ReputationUser kAlice{"alice", "salt", kHash, 1024, 2048};

TEST(ReputationAbi, SelectorsAreTheHashesOfTheSignatures) {
  const auto good = [](const auto& function) { return function.selector() == chain::selector(function.signature); };
  EXPECT_TRUE(good(reputation::kCreateReputation));
  EXPECT_TRUE(good(reputation::kGetUserData));
  EXPECT_TRUE(good(reputation::kLookUp));
  EXPECT_TRUE(good(reputation::kFactory));
  EXPECT_TRUE(good(reputation::kAddUser));
  EXPECT_TRUE(good(reputation::kUpdateUser));
  EXPECT_TRUE(good(reputation::kMigrateUserData));
  EXPECT_TRUE(good(reputation::kReferrerReputation));
  EXPECT_TRUE(good(reputation::kStanding));
  EXPECT_TRUE(good(reputation::kAttestedAs));
  EXPECT_TRUE(good(reputation::kSetReferrer));
  EXPECT_TRUE(good(reputation::kAttest));
  EXPECT_TRUE(good(reputation::kGovernance));
  EXPECT_TRUE(good(reputation::kRecoveryDelay));
  EXPECT_TRUE(good(reputation::kImplementation));
  EXPECT_TRUE(good(reputation::kMade));
  EXPECT_TRUE(good(reputation::kPendingOwner));
  EXPECT_TRUE(good(reputation::kRecoveryOwner));
  EXPECT_TRUE(good(reputation::kAcceptOwnership));
  EXPECT_TRUE(good(reputation::kFinishRecovery));
}

TEST(ReputationAbi, AMemberIsReadAsItIsWritten) {
  const auto data = reputation::kGetUserData.encode_result(kAlice);
  EXPECT_EQ(reputation::kGetUserData.decode(data).value(), kAlice);
  auto longer = data;
  longer.resize(longer.size() + 32);
  EXPECT_EQ(reputation::kGetUserData.decode(longer).error().code, Code::malformed);
}

TEST(ReputationAbi, PasswordHashes) {
  EXPECT_EQ(password_hash_word("0x05").value(), chain::to_word(5));
  EXPECT_EQ(password_hash_word("5").value(), chain::to_word(5));
  EXPECT_EQ(password_hash_word("0X" + std::string(62, '0') + "ff").value(), chain::to_word(255));
  for (const std::string& wrong : {std::string{}, std::string{"0x"}, std::string{"0"}, std::string(64, '0'),
                                   std::string{"0x0x05"}, std::string{"xyz"}, std::string(65, '1')}) {
    EXPECT_EQ(password_hash_word(wrong).error().code, Code::usage) << wrong;
  }
}

class ReputationOnChain : public ::testing::Test {
 protected:
  ReputationOnChain() {
    auto options = nodes.options();
    options.clock = &clock;
    options.stranger_timeout = options.round_timeout;
    reader = *chain::QuorumReader::make(nodes, std::move(options));
    chain.emplace(*reader, reader->for_strangers(), *reader,
                  [this](const Address& to, base::ByteView data, base::Deadline) {
                    sent.push_back({to, base::to_bytes(data)});
                    return base::Result<chain::Receipt>{receipt};
                  });
    answer([](const Call& call) -> CallOutcome {
      if (call.data == reputation::kGetUserData("alice")) return said(reputation::kGetUserData.encode_result(kAlice));
      if (call.data == reputation::kGetUserData("bob")) return said(reputation::kGetUserData.encode_result({}));
      if (call.data == reputation::kStanding()) return said(reputation::kStanding.encode_result({kOwner, kHash, true}));
      if (call.data == reputation::kReferrerReputation())
        return said(reputation::kReferrerReputation.encode_result(kReferrer));
      return said({});
    });
  }
  static CallOutcome said(base::Bytes data) { return {.reverted = false, .data = std::move(data), .reason = {}}; }
  template <class F>
  void answer(F contract) {
    nodes.each([&](Node& node) {
      node.contract = [contract](const Call& call, std::uint64_t) {
        return call.to == kContract ? contract(call) : said({});
      };
    });
  }
  /// A log of the factory, of a transaction of its own.
  base::Digest32 created(const Address& made, std::uint64_t block) {
    chain::AbiWriter data;
    data.address(made).address(kOwner).address(kReferrer).bytes(base::as_bytes("quote"));
    nodes.each([&](Node& node) {
      node.logs.push_back({kContract, block, {reputation::kReputationCreated.topic()}, data.encode()});
    });
    return crypto::sha256(data.encode());  // as the stand-in names transactions
  }
  base::Deadline deadline() const { return clock.steady() + std::chrono::seconds(60); }

  Nodes nodes{3};
  chain::testing::TestClock clock{Branch::time(100) + 5};
  std::unique_ptr<chain::QuorumReader> reader;
  std::optional<ReputationChain> chain;
  std::vector<Call> sent;
  chain::Receipt receipt{.succeeded = true, .block = {.number = 90}};
};

TEST_F(ReputationOnChain, MembersAreReadByAQuorum) {
  EXPECT_EQ(chain->read(kContract, "alice", deadline()).value(), kAlice);
  EXPECT_EQ(chain->read(kContract, "bob", deadline()).value(), std::nullopt);
  answer([](const Call&) { return said(reputation::kGetUserData.encode_result({"carol", "", kHash, 0, 7})); });
  nodes.change(0, [](Node& node) {
    node.contract = [](const Call&, std::uint64_t) {
      return said(reputation::kGetUserData.encode_result({"carol", "", kHash, 0, 1u << 30}));
    };
  });
  const auto carol = chain->read(kContract, "carol", deadline());
  ASSERT_TRUE(carol.ok()) << carol.error().text();
  EXPECT_EQ((*carol)->upload_size, 7u);
}

TEST_F(ReputationOnChain, EndpointsThatDifferAreAnOutageAndNoAnswer) {
  std::uint64_t lie = 0;
  nodes.each([&](Node& node) {
    node.contract = [size = ++lie](const Call&, std::uint64_t) {
      return said(reputation::kGetUserData.encode_result({"alice", "", kHash, 0, size}));
    };
  });
  EXPECT_EQ(chain->read(kContract, "alice", deadline()).error().code, Code::unavailable);
}

TEST_F(ReputationOnChain, AReferrerThatAnswersEverybodySomethingElseIsNotHeldAgainstEndpoints) {
  const Address factory{0xfa};
  nodes.each([&, first = true](Node& node) mutable {
    node.contract = [=, liar = first](const Call& call, std::uint64_t) -> CallOutcome {
      if (call.data == reputation::kStanding())
        return said(reputation::kStanding.encode_result({kOwner, kHash, false}));
      if (call.data == reputation::kReferrerReputation())
        return said(reputation::kReferrerReputation.encode_result(kReferrer));
      if (call.data == reputation::kFactory()) return said(reputation::kFactory.encode_result(factory));
      if (call.to == factory) return said(reputation::kMade.encode_result(true));
      if (const auto asked = reputation::kLookUp.arguments(call.data); asked.ok()) {
        const ReputationUser there{std::get<0>(*asked), "", kHash, 1, liar ? 3U : 2U};
        return said(reputation::kLookUp.encode_result({there, kReferrer, kOwner, {}}));
      }
      if (reputation::kMigrateUserData.arguments(call.data).ok()) return {.reverted = liar, .data = {}, .reason = {}};
      return said(reputation::kGetUserData.encode_result({}));
    };
    first = false;
  });
  // Often: by the last one, what an endpoint has said to the first ones is judged.
  for (int i = 0; i < 20; ++i) {
    const auto found = chain->look_up(kContract, "alice" + std::to_string(i), deadline());
    ASSERT_TRUE(found.ok()) << found.error().text();
    EXPECT_EQ(found->former.value().upload_size, 2u);
  }
  for (const auto& endpoint : reader->status().endpoints) EXPECT_EQ(endpoint.disagreed, 0u);
}

TEST_F(ReputationOnChain, WhatIsNoReputation) {
  const auto missing = chain->read(kOther, "alice", deadline());
  EXPECT_EQ(missing.error().code, Code::configuration);
  EXPECT_EQ(chain->standing(kOther, deadline()).error().code, Code::configuration);
  answer([](const Call&) { return said(reputation::kGetUserData.encode_result(kAlice)); });
  EXPECT_EQ(chain->read(kContract, "bob", deadline()).error().code, Code::malformed);
}

TEST_F(ReputationOnChain, WhoAnswersForIt) {
  const auto standing = chain->standing(kContract, deadline());
  ASSERT_TRUE(standing.ok()) << standing.error().text();
  EXPECT_EQ(standing->owner, kOwner);
  EXPECT_EQ(standing->referrer, kReferrer);
  EXPECT_EQ(standing->attestation, kHash);
  EXPECT_TRUE(standing->frozen);
}

// The same code with storage of a forger's choice answers everything as the genuine one does.
TEST_F(ReputationOnChain, AReferrerIsOneThatTheFactoryHasMade) {
  const Address forgery{0x77};
  nodes.each([&](Node& node) {
    node.contract = [](const Call& call, std::uint64_t) -> CallOutcome {
      if (call.to == kContract) {  // the factory
        const bool asked = call.data == reputation::kAttestedAs(kOwner);
        return asked ? said(reputation::kAttestedAs.encode_result(kHash))
                     : said(reputation::kMade.encode_result(call.data == reputation::kMade(kOther)));
      }
      if (call.data == reputation::kStanding())
        return said(reputation::kStanding.encode_result({kOwner, kHash, false}));
      return said(reputation::kReferrerReputation.encode_result(Address{}));
    };
  });
  const auto genuine = chain->check_referrer(kContract, kOther, deadline());
  EXPECT_TRUE(genuine.ok());
  const auto forged = chain->check_referrer(kContract, forgery, deadline());
  ASSERT_FALSE(forged.ok());
  EXPECT_EQ(forged.error().code, Code::denied);
  EXPECT_THAT(forged.error().text(), HasSubstr("one that this factory has not made"));
}

TEST_F(ReputationOnChain, WhatIsSent) {
  EXPECT_TRUE(chain->add(kContract, kAlice, deadline()).ok());
  EXPECT_TRUE(chain->update(kContract, "alice", 5, 6, deadline()).ok());
  EXPECT_TRUE(chain->migrate(kContract, "alice", deadline()).ok());
  ASSERT_EQ(sent.size(), 3u);
  EXPECT_EQ(sent[0], reputation::kAddUser.at(kContract, "alice", "salt", kHash, 1024, 2048));
  EXPECT_EQ(sent[1], reputation::kUpdateUser.at(kContract, "alice", 5, 6));
  EXPECT_EQ(sent[2], reputation::kMigrateUserData.at(kContract, "alice"));
}

TEST_F(ReputationOnChain, TheNewContractIsThatOfTheOwnTransaction) {
  created({0xaa}, 90);
  receipt.transaction = created({0xbb}, 90);
  const auto made = chain->create(kContract, kReferrer, base::as_bytes("quote"), deadline());
  ASSERT_TRUE(made.ok()) << made.error().text();
  EXPECT_EQ(made->contract, Address{0xbb});
  EXPECT_EQ(made->owner, kOwner);
  EXPECT_EQ(made->referrer, kReferrer);
  const auto quote = base::as_bytes("quote");
  EXPECT_EQ(sent.front(), reputation::kCreateReputation.at(kContract, kReferrer, base::to_bytes(quote)));
}

TEST_F(ReputationOnChain, AFactoryThatMadeNothing) {
  created({0xaa}, 90);
  const auto made = chain->create(kContract, kReferrer, {}, deadline());
  EXPECT_EQ(made.error().code, Code::configuration);
  EXPECT_THAT(made.error().text(), HasSubstr("made no reputation"));
}

}  // namespace
}  // namespace attestry::tracker
