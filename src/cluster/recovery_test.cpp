// A cluster that has lost too many nodes comes back out of what they gave their holders.
#include "cluster/recovery.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "audit/testing/support.h"
#include "cluster/testing/nodes.h"
#include "crypto/hash.h"
#include "crypto/hpke.h"

namespace attestry::cluster {
namespace {

using base::Code;
using curves::bls::Scalar;
using ::testing::HasSubstr;
using testing::Machine;
using testing::Machines;

class RecoveryTest : public ::testing::Test {
 protected:
  crypto::Random& random_ = crypto::system_random();
  Machines machines_{10, random_};
  std::vector<crypto::HpkeKeyPair> keys_;  ///< holder i is node i's
  Holders holders_;

  void SetUp() override {
    holders_.cluster.fill(9);
    holders_.realm = base::Realm::simulated;
    for (std::uint32_t id = 0; id < 7; ++id) {
      keys_.push_back(crypto::hpke_generate(random_));
      holders_.holders.push_back({id, keys_.back().public_key});
    }
    approve();
  }
  void approve() { holders_.signatures = {holders_.sign(machines_.the_operator())}; }

  Epoch begin() {
    auto changed = machines_.generate(machines_.intent(0, 7, 4));
    EXPECT_TRUE(changed.ok()) << changed.error().text();
    return std::move(changed->epoch);
  }
  base::Result<NodeExport> exported(std::uint32_t id, audit::Log* log = nullptr) {
    return export_node(machines_[id].node(), machines_[id].seed(), holders_, keys_[id].public_key, log);
  }
  /// By the bytes that the holder has kept.
  base::Bytes kept(std::uint32_t id) {
    auto out = exported(id);
    EXPECT_TRUE(out.ok()) << out.error().text();
    return out->bytes();
  }
  static base::Bytes with(base::Bytes bytes, std::size_t from_end) {
    bytes[bytes.size() - from_end] ^= 1;
    return bytes;
  }
  /// Node `id`, whose disk is gone, out of an export.
  base::Status back(std::uint32_t id, const base::Bytes& bytes) {
    Machine& machine = machines_[id];
    TRY(const NodeExport from, NodeExport::parse(bytes));
    TRY(const Recovered recovered, from.open(keys_[id].private_key));
    base::Status out = base::done();
    machine.refill(recovered.seed, [&](state::Store& store, const state::SealedValues& sealed) {
      out = import_node(from, recovered, machine.options(), store, sealed, nullptr);
    });
    TRY_OK(out);
    machine.start();
    return base::done();
  }
};

TEST_F(RecoveryTest, TwoOfFiveLostNodesComeBackAndTheKeyIsTheSame) {
  const Epoch epoch = begin();
  const std::string key = machines_.key(epoch, "mykey");
  std::vector<base::Bytes> exports;
  for (std::uint32_t id = 0; id < 7; ++id) exports.push_back(kept(id));
  for (std::uint32_t id = 0; id < 5; ++id) machines_[id].lose();

  base::Error why{Code::internal, ""};
  EXPECT_EQ(machines_.key(epoch, "mykey", {}, &why), "");
  EXPECT_EQ(why.code, Code::unavailable);
  EXPECT_THAT(why.text(), HasSubstr("4 nodes"));
  EXPECT_THAT(why.text(), HasSubstr("without: 0 (does not answer)"));
  EXPECT_THAT(why.text(), HasSubstr("no key is lost while 4 of them have their disks"));

  ASSERT_TRUE(back(1, exports[1]).ok());
  EXPECT_EQ(machines_.key(epoch, "mykey"), "") << "three are too few";
  ASSERT_TRUE(back(3, exports[3]).ok());
  EXPECT_EQ(machines_.key(epoch, "mykey"), key);

  // It is that node in everything: with two others that are alive and one more it moves the key to new ones.
  auto changed = machines_.reshare(epoch, machines_.intent(5, 5, 3, &epoch));
  ASSERT_TRUE(changed.ok()) << changed.error().text();
  EXPECT_EQ(machines_.key(changed->epoch, "mykey"), key);
}

TEST_F(RecoveryTest, AnExportOfAnEpochThatIsOverGivesNoShareOfTheNewOne) {
  const Epoch first = begin();
  const std::string key = machines_.key(first, "mykey");
  std::vector<base::Bytes> exports;
  for (std::uint32_t id = 0; id < 7; ++id) exports.push_back(kept(id));
  auto changed = machines_.reshare(first, machines_.intent(0, 7, 4, &first));
  ASSERT_TRUE(changed.ok()) << changed.error().text();
  const Epoch& second = changed->epoch;
  for (std::uint32_t id = 0; id < 4; ++id) {
    machines_[id].lose();
    ASSERT_TRUE(back(id, exports[id]).ok());
  }
  // Three have the new epoch; those that came back have the old one, and others do not take their word.
  base::Error why{Code::internal, ""};
  EXPECT_EQ(machines_.key(second, "mykey", {}, &why), "");
  EXPECT_THAT(why.text(), HasSubstr("node 0: epoch"));
  // Told of the new one they forget the old share, and have no new one.
  ASSERT_TRUE(machines_[0].node().activate(second).ok());
  EXPECT_FALSE(machines_[0].node().holds_share());
  EXPECT_EQ(machines_[0].node().current()->plan.epoch, 2U);
  EXPECT_EQ(exported(0).error().code, Code::unavailable);
  // An export of the epoch in force is what was missing.
  machines_[6].kill();
  EXPECT_EQ(machines_.key(second, "mykey"), "");
  machines_[6].start();
  const auto now = kept(6);
  machines_[6].lose();
  ASSERT_TRUE(back(6, now).ok());
  EXPECT_TRUE(machines_[6].node().holds_share());
  EXPECT_EQ(machines_[6].node().current()->plan.epoch, 2U);
}

TEST_F(RecoveryTest, NobodyGetsAnExportWithoutOperatorsWord) {
  begin();
  const auto stranger = crypto::hpke_generate(random_);
  const auto of = [&](const base::FixedBytes<32>& holder) {
    const auto out = export_node(machines_[2].node(), machines_[2].seed(), holders_, holder, nullptr);
    return out.ok() ? std::string{"given"} : std::string{base::slug(out.error().code)} + " " + out.error().text();
  };
  EXPECT_EQ(of(keys_[2].public_key), "given");
  EXPECT_THAT(of(stranger.public_key), HasSubstr("denied"));
  EXPECT_THAT(of(keys_[3].public_key), HasSubstr("denied")) << "node 3's holder";
  holders_.holders[2].key = stranger.public_key;
  EXPECT_THAT(of(stranger.public_key), HasSubstr("1 operators' signatures")) << "signed before";
  holders_.signatures = {holders_.sign(crypto::Ed25519PrivateKey::generate(random_))};
  EXPECT_THAT(of(stranger.public_key), HasSubstr("denied")) << "of somebody";
  holders_.number = 2;
  approve();
  EXPECT_EQ(of(stranger.public_key), "given");
  // The list that had another holder is over.
  holders_.number = 1;
  approve();
  EXPECT_THAT(of(stranger.public_key), HasSubstr("number 2 or later"));
  EXPECT_EQ(last_holders(machines_[2].store()).value_or(0), 2U);
  // Neither is that of another list with the same number, whoever forgot to count.
  holders_.number = 2;
  holders_.holders[2].key = keys_[2].public_key;
  approve();
  EXPECT_THAT(of(keys_[2].public_key), HasSubstr("another one of the same number"));
  holders_.holders[2].key = stranger.public_key;
  holders_.number = 3;
  holders_.cluster.fill(8);
  approve();
  EXPECT_THAT(of(stranger.public_key), HasSubstr("the cluster of this node"));
  holders_.cluster.fill(9);
  holders_.realm = base::Realm::production;
  approve();
  EXPECT_THAT(of(stranger.public_key), HasSubstr("realm-mismatch"));
}

TEST_F(RecoveryTest, AChangedExportIsRefusedAndNamed) {
  begin();
  const base::Bytes good = kept(2);
  const auto parsed = *NodeExport::parse(good);
  EXPECT_EQ(NodeExport::parse(good)->bytes(), good);
  EXPECT_EQ(parsed.open(keys_[3].private_key).error().code, Code::wrong_key);
  const auto options = machines_[2].options();
  const auto checked = [&](const base::Bytes& bytes) {
    return NodeExport::parse(bytes)->check(options.realm, options.operators, 1);
  };
  ASSERT_TRUE(checked(good).ok());
  for (const std::size_t at : {1U, 65U, 145U}) {  // signature, sealed values, encapsulated key
    EXPECT_EQ(checked(with(good, at)).error().code, Code::evidence_false) << at;
    EXPECT_THAT(checked(with(good, at)).error().text(), HasSubstr("node 2"));
  }
  EXPECT_EQ(NodeExport::parse(with(good, 65))->open(keys_[2].private_key).error().code, Code::wrong_key);
  EXPECT_EQ(parsed.check(base::Realm::production, options.operators, 1).error().code, Code::realm_mismatch);
  const std::vector others{crypto::Ed25519PrivateKey::generate(random_).public_key()};
  EXPECT_EQ(parsed.check(options.realm, others, 1).error().code, Code::denied);
  auto longer = good;
  longer.push_back(0);
  EXPECT_EQ(NodeExport::parse(longer).error().code, Code::malformed);
}

/// As docs/formats/threshold.md has it, by somebody who has the node's seed.
base::Bytes forged(const Epoch& epoch, std::uint32_t node, const base::FixedBytes<32>& holder,
                   const crypto::Secret& seed, const Scalar& share) {
  base::LpWriter info;
  info.lp("attestry/threshold-export/1").u32(node).raw(holder).raw(crypto::sha256(epoch.bytes()));
  base::LpWriter plain;
  plain.raw(seed.reveal()).raw(share.big_endian().reveal());
  const auto sealed = *crypto::hpke_seal(holder, info.bytes(), {}, plain.bytes());
  base::LpWriter out;
  out.lp("attestry/threshold-export/1").u32(node).raw(holder).lp(epoch.bytes()).raw(sealed.enc).raw(sealed.ciphertext);
  const auto signature = Node::signing_key_of(seed)->sign(out.bytes());
  out.raw(signature);
  return out.bytes();
}

TEST_F(RecoveryTest, AnotherShareOrSeedInAnExportIsNamed) {
  const Epoch first = begin();
  const auto old = *NodeExport::parse(kept(2));
  auto changed = machines_.reshare(first, machines_.intent(0, 7, 4, &first));
  ASSERT_TRUE(changed.ok()) << changed.error().text();
  const Epoch& second = changed->epoch;
  const auto& holder = keys_[2].public_key;
  const auto& seed = machines_[2].seed();
  const auto opened = [&](const crypto::Secret& with_seed, const Scalar& share) {
    const auto out = NodeExport::parse(forged(second, 2, holder, with_seed, share))->open(keys_[2].private_key);
    return out.ok() ? std::string{"opened"} : out.error().text();
  };
  const auto now = *NodeExport::parse(kept(2))->open(keys_[2].private_key);
  EXPECT_EQ(opened(seed, now.share), "opened");
  const auto before = *old.open(keys_[2].private_key);
  EXPECT_THAT(opened(seed, before.share), HasSubstr("node 2: the share in its export"));
  EXPECT_THAT(opened(seed, before.share), HasSubstr("its share of epoch 2"));
  EXPECT_THAT(opened(seed, now.share + Scalar::from_u32(1)), HasSubstr("node 2: the share in its export"));
  EXPECT_THAT(opened(machines_[3].seed(), now.share), HasSubstr("node 2: the seed in its export"));
  // A seed that is not the node's does not sign for it, either.
  const auto options = machines_[2].options();
  EXPECT_EQ(NodeExport::parse(forged(second, 2, holder, machines_[3].seed(), now.share))
                ->check(options.realm, options.operators, 1)
                .error()
                .code,
            Code::evidence_false);
}

TEST_F(RecoveryTest, AListOfHoldersIsReadAsItIsWritten) {
  const auto read = Holders::parse(holders_.bytes());
  ASSERT_TRUE(read.ok()) << read.error().text();
  EXPECT_EQ(read->bytes(), holders_.bytes());
  EXPECT_EQ(read->holders, holders_.holders);
  const auto other = Holders::parse(base::as_bytes("attestry-operator-key-1 c2VjcmV0"));
  EXPECT_THAT(other.error().text(), HasSubstr("what `attestry node holders --out FILE` wrote"));
  EXPECT_THAT(other.error().text(), ::testing::Not(HasSubstr("c2Vj")));
  std::swap(holders_.holders[0], holders_.holders[1]);
  EXPECT_EQ(Holders::parse(holders_.bytes()).error().code, Code::malformed);
  holders_.holders[0] = holders_.holders[1];
  EXPECT_EQ(Holders::parse(holders_.bytes()).error().code, Code::malformed) << "one twice";
}

TEST_F(RecoveryTest, AStoreThatHasANodeIsNotOverwritten) {
  begin();
  const auto two = *NodeExport::parse(kept(2));
  const auto recovered = *two.open(keys_[2].private_key);
  const auto into = [&](std::uint32_t id, const NodeOptions& options) {
    return import_node(two, recovered, options, machines_[id].store(), machines_[id].sealed(), nullptr);
  };
  EXPECT_EQ(into(2, machines_[2].options()).error().code, Code::conflict);
  EXPECT_EQ(into(8, machines_[8].options()).error().code, Code::usage) << "another node's";
  EXPECT_TRUE(machines_[2].node().holds_share());
}

TEST_F(RecoveryTest, WhatLeftIsInTheLog) {
  begin();
  state::testing::TempFolder folder;
  auto log = *audit::Log::open(machines_[2].store(), audit::testing::log_key(),
                               {.origin = audit::testing::kOrigin, .checkpoint_path = folder.file("checkpoint")});
  ASSERT_TRUE(exported(2, log.get()).ok());
  const auto leaf = *log->leaf(log->head().size - 1);
  EXPECT_THAT(leaf, HasSubstr(R"("type":"node.export")"));
  EXPECT_THAT(leaf, HasSubstr(R"("epoch":1)"));
}

}  // namespace
}  // namespace attestry::cluster
