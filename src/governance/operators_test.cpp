#include "governance/operators.h"

#include <gmock/gmock.h>

#include "governance/registry.h"
#include "governance/testing/support.h"

namespace attestry::governance {
namespace {

using base::Code;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::House;
using testing::key_named;
using testing::patient;

const base::AppRef kWeb = testing::app_named("name:web");

curves::Secp256k1PrivateKey wallet(std::uint8_t seed) {
  return *curves::Secp256k1PrivateKey::from_scalar(base::Bytes(32, seed));
}
curves::Address address_of(const curves::Secp256k1PrivateKey& key) {
  return curves::ethereum_address(key.public_key_raw());
}

class WalletOperators : public ::testing::Test {
 protected:
  void add_wallet(const curves::Secp256k1PrivateKey& key) {
    const auto added =
        house.registry->set_operator(base::Tenant::standard(), {.address = address_of(key), .name = "w", .since = {}},
                                     house.store->now(), patient());
    ASSERT_TRUE(added.ok()) << added.error().text();
  }
  Envelope approval(Action action, std::string subject) const {
    return House::signed_by(house.next(kWeb, action, std::move(subject)), {});
  }
  base::Result<AcceptedApproval> submit(const Envelope& envelope) {
    return house.registry->submit(envelope, house.store->now(), patient());
  }

  House house;
};

TEST_F(WalletOperators, AnApprovalMayBeSignedByAWalletAlone) {
  add_wallet(wallet(1));
  auto create = approval(Action::app_create, kWeb.text());
  ASSERT_TRUE(sign_as_wallet(create, wallet(1)).ok());
  EXPECT_EQ(create.signatures[0].signature.size(), 65u);
  EXPECT_GE(create.signatures[0].signature.back(), 27);
  const auto read = Envelope::parse(create.to_json());
  ASSERT_TRUE(read.ok()) << read.error().text();
  const auto accepted = submit(*read);
  ASSERT_TRUE(accepted.ok()) << accepted.error().text();
}

TEST_F(WalletOperators, OnlyOfThisTenantAndOnlyOverThisPayload) {
  add_wallet(wallet(1));
  auto stranger = approval(Action::app_create, kWeb.text());
  ASSERT_TRUE(sign_as_wallet(stranger, wallet(2)).ok());
  stranger.signatures[0].keyid = "0x" + base::hex(address_of(wallet(1)));  // a key id is a hint and never counted
  EXPECT_EQ(submit(stranger).error().code, Code::denied);

  auto moved = approval(Action::app_create, kWeb.text());
  auto other = moved;
  other.payload.back() = ' ';
  ASSERT_TRUE(sign_as_wallet(other, wallet(1)).ok());
  moved.signatures = other.signatures;
  EXPECT_EQ(submit(moved).error().code, Code::denied);
}

TEST_F(WalletOperators, DistinctOperatorsCountWhateverTheirKeys) {
  house.add_operator("alice");
  add_wallet(wallet(1));
  house.approve(kWeb, Action::app_create, kWeb.text());
  house.approve(kWeb, Action::threshold_set, "2");
  const std::string policy = house.blob(attestation::Policy::standard().document());

  auto twice = approval(Action::policy_approve, policy);
  ASSERT_TRUE(sign_as_wallet(twice, wallet(1)).ok());
  auto with_library_v = twice.signatures[0];
  with_library_v.signature.back() = static_cast<std::uint8_t>(with_library_v.signature.back() - 27);
  with_library_v.keyid = "another";
  twice.signatures.push_back(with_library_v);
  const auto refused = submit(twice);
  EXPECT_EQ(refused.error().code, Code::denied);
  EXPECT_THAT(refused.error().text(), HasSubstr("2 distinct operators"));

  twice.sign(key_named("alice"));
  EXPECT_TRUE(submit(twice).ok());
}

TEST_F(WalletOperators, AnAccountFromBeforeThereWereRightsApprovesStill) {
  const auto written = house.store->write_and_wait(
      [&](state::WriteTxn& txn) {
        return txn.put(operator_key(base::Tenant::standard(), address_of(wallet(1))),
                       state::value(1).lp("of before").u64(1).bytes());
      },
      patient());
  ASSERT_TRUE(written.ok()) << written.error().text();
  EXPECT_EQ(house.registry->operators(base::Tenant::standard())->front().right, OperatorRight::both);
  auto create = approval(Action::app_create, kWeb.text());
  ASSERT_TRUE(sign_as_wallet(create, wallet(1)).ok());
  EXPECT_TRUE(submit(create).ok());
  EXPECT_EQ(
      house.registry
          ->set_operator(base::Tenant::standard(),
                         {.address = address_of(wallet(1)), .name = "w", .since = {}, .right = OperatorRight::both},
                         house.store->now(), patient())
          .error()
          .code,
      Code::malformed);
}

TEST_F(WalletOperators, ARemovedAccountHasNoVoice) {
  add_wallet(wallet(1));
  ASSERT_TRUE(
      house.registry->remove_operator(base::Tenant::standard(), address_of(wallet(1)), house.store->now(), patient())
          .ok());
  auto create = approval(Action::app_create, kWeb.text());
  ASSERT_TRUE(sign_as_wallet(create, wallet(1)).ok());
  EXPECT_EQ(submit(create).error().code, Code::denied);
}

TEST_F(WalletOperators, HasAKeyOrAnAddressAndNotBoth) {
  const auto add = [&](const Operator& who) {
    return house.registry->set_operator(base::Tenant::standard(), who, house.store->now(), patient());
  };
  EXPECT_EQ(add({.name = "nobody", .since = {}}).error().code, Code::malformed);
  EXPECT_EQ(add({.public_key = key_named("alice").public_key(),
                 .address = address_of(wallet(1)),
                 .name = "both",
                 .since = {}})
                .error()
                .code,
            Code::malformed);
}

TEST(OperatorText, IsReadBack) {
  for (const std::string& text : {std::string(64, 'a'), "0x" + std::string(40, 'b')}) {
    const auto who = operator_of(text);
    ASSERT_TRUE(who.ok()) << text;
    EXPECT_EQ(who->text(), text);
  }
  EXPECT_EQ(operator_of("0x" + std::string(40, 'B'))->text(), "0x" + std::string(40, 'b'));
  for (const std::string& text :
       {std::string(40, 'a'), "0x" + std::string(64, 'a'), std::string{"0x"}, std::string{}}) {
    EXPECT_FALSE(operator_of(text).ok()) << text;
  }
}

TEST(WalletSigners, BrokenSignaturesAreNobodys) {
  Envelope envelope{.payload_type = "application/x", .payload = "{}", .signatures = {}};
  ASSERT_TRUE(sign_as_wallet(envelope, wallet(3)).ok());
  EXPECT_THAT(wallet_signers(envelope), ElementsAre(address_of(wallet(3))));
  auto& signature = envelope.signatures[0].signature;
  for (const int v : {2, 26, 29, 255}) {
    signature.back() = static_cast<std::uint8_t>(v);
    EXPECT_TRUE(wallet_signers(envelope).empty()) << v;
  }
  signature.assign(65, 0);
  EXPECT_TRUE(wallet_signers(envelope).empty());
}

}  // namespace
}  // namespace attestry::governance
