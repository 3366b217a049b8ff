#include "provision/registry_operator.h"

#include <gtest/gtest.h>

#include "base/encoding.h"
#include "crypto/key_pem.h"

namespace attestry::provision {
namespace {

constexpr base::UtcTime kNow{1'800'000'000};

class RegistryOperator : public ::testing::Test {
 protected:
  crypto::SeededRandom random_{base::as_bytes("operator")};
  crypto::EcPrivateKey workload_ = crypto::EcPrivateKey::generate(crypto::Curve::p256, random_);
  base::Bytes spki_ = workload_.public_key().spki();
  curves::Secp256k1PrivateKey operator_ = curves::Secp256k1PrivateKey::from_wide(random_.bytes<48>()).value();
  curves::Address address_ = curves::ethereum_address(operator_.public_key_raw());
  OperatorStatement statement_{.chain_id = 31337,
                               .contract = curves::parse_address(std::string(40, '1')).value(),
                               .use = "instance",
                               .not_before = kNow - 60,
                               .not_after = kNow + 3600};
  OperatorRules rules_{.v1 = true, .chain_id = 31337, .contract = statement_.contract, .now = kNow};

  crypto::CsrFull csr(const std::vector<base::Bytes>& signatures) {
    crypto::CsrSpec spec;
    for (const base::Bytes& one : signatures)
      spec.extensions.push_back({std::string(kOperatorSignatureOid), false, one});
    return crypto::parse_csr_full(crypto::make_csr(spec, workload_).value()).value();
  }
  base::Bytes v1(OperatorDigest kind = OperatorDigest::sha256) const {
    return sign_operator_v1(operator_, spki_, kind).value();
  }
  base::Bytes v2() const { return sign_operator_v2(operator_, spki_, statement_).value(); }
  base::Result<Operator> of(const base::Bytes& signature) { return recover_operator(csr({signature}), rules_); }
};

TEST_F(RegistryOperator, AbsentMeansTheZeroAddress) {
  const auto who = recover_operator(csr({}), rules_);
  ASSERT_TRUE(who.ok());
  EXPECT_EQ(who->address, curves::Address{});
  EXPECT_EQ(who->version, 0);
}

TEST_F(RegistryOperator, V1GivesItsSigner) {
  EXPECT_EQ(v1().size(), 65u);
  EXPECT_EQ(of(v1())->address, address_);
  EXPECT_EQ(of(v1())->version, 1);
  rules_.digest = OperatorDigest::keccak256;
  EXPECT_EQ(of(v1(OperatorDigest::keccak256))->address, address_);
  const auto other = of(v1(OperatorDigest::sha256));  // another digest, so some other key
  EXPECT_TRUE(!other.ok() || other->address != address_);
}

TEST_F(RegistryOperator, V1DigestsAreOverThePemText) {
  const auto app = crypto::EcPrivateKey::from_scalar(
      crypto::Curve::p256,
      base::hex_decode("bf087ac8c373106fe7cc3d311681ef19a0ef300a6a12a69a8e3995c5e79bc33a").value());
  const base::Bytes spki = app->public_key().spki();
  EXPECT_EQ(base::hex(operator_digest(spki, OperatorDigest::sha256)),
            "1a9368bd45d344234e4c0aa55aa52fc698cdc69624f5ae351b53886d27842f26");
  EXPECT_EQ(base::hex(operator_digest(spki, OperatorDigest::keccak256)),
            "5113f709fae0e282c1cce1711f9c48995cb9ab0fce48daa1e3d49d52326d22f1");
}

TEST_F(RegistryOperator, TheLastSignatureCounts) {
  const base::Bytes garbage(65, 0xff);
  EXPECT_EQ(recover_operator(csr({garbage, v1()}), rules_)->address, address_);
  EXPECT_FALSE(recover_operator(csr({v1(), garbage}), rules_).ok());
}

TEST_F(RegistryOperator, WhatIsNoSignatureIsRefused) {
  for (const std::uint8_t v : {std::uint8_t{27}, std::uint8_t{28}, std::uint8_t{2}}) {
    base::Bytes wrong = v1();
    wrong[64] = v;
    EXPECT_FALSE(of(wrong).ok()) << int{v};
  }
  base::Bytes wrong = v1();
  wrong.pop_back();
  EXPECT_FALSE(of(wrong).ok());
  EXPECT_FALSE(of({}).ok());
  EXPECT_FALSE(of(base::to_bytes("garbage")).ok());
  EXPECT_FALSE(of(base::to_bytes("ATO2")).ok());
}

TEST_F(RegistryOperator, AnotherKeysSignatureGivesAnotherAddress) {
  const auto elsewhere = crypto::EcPrivateKey::generate(crypto::Curve::p256, random_).public_key().spki();
  const auto who = of(sign_operator_v1(operator_, elsewhere, OperatorDigest::sha256).value());
  EXPECT_TRUE(!who.ok() || who->address != address_);
}

TEST_F(RegistryOperator, V2GivesItsSigner) {
  rules_.v1 = false;
  const auto who = of(v2());
  ASSERT_TRUE(who.ok()) << who.error().text();
  EXPECT_EQ(who->address, address_);
  EXPECT_EQ(who->version, 2);
  const auto refused = of(v1());
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, base::Code::denied);
}

TEST_F(RegistryOperator, V2HoldsForItsContractChainUseAndTimeOnly) {
  const base::Bytes signature = v2();
  const auto denied = [&](auto change) {
    OperatorRules rules = rules_;
    change(rules);
    const auto who = recover_operator(csr({signature}), rules);
    return !who.ok() && who.error().code == base::Code::denied;
  };
  EXPECT_FALSE(denied([](OperatorRules&) {}));
  EXPECT_TRUE(denied([](OperatorRules& r) { r.chain_id = 1; }));
  EXPECT_TRUE(denied([](OperatorRules& r) { r.contract[3] ^= 1; }));
  EXPECT_TRUE(denied([](OperatorRules& r) { r.use = "onboard"; }));
  EXPECT_TRUE(denied([](OperatorRules& r) { r.now = kNow + 3600; }));
  EXPECT_FALSE(denied([](OperatorRules& r) { r.now = kNow + 3599; }));
  EXPECT_TRUE(denied([](OperatorRules& r) { r.now = kNow - 181; }));
  EXPECT_FALSE(denied([](OperatorRules& r) { r.now = kNow - 180; }));
  EXPECT_TRUE(denied([](OperatorRules& r) { r.max_seconds = 3659; }));
}

TEST_F(RegistryOperator, V2SignsEachOfItsFields) {
  const base::Bytes good = v2();
  for (std::size_t i = 0; i < good.size(); ++i) {
    base::Bytes wrong = good;
    wrong[i] ^= 0x01;
    const auto who = of(wrong);
    EXPECT_TRUE(!who.ok() || who->address != address_) << i;
    EXPECT_FALSE(of(base::Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(i))).ok()) << i;
  }
  base::Bytes longer = good;
  longer.push_back(0);
  EXPECT_FALSE(of(longer).ok());
}

TEST_F(RegistryOperator, ImpossibleStatementsAreNotSigned) {
  statement_.not_after = statement_.not_before;
  EXPECT_FALSE(sign_operator_v2(operator_, spki_, statement_).ok());
  statement_.not_after = kNow;
  statement_.use = std::string(65, 'x');
  EXPECT_FALSE(sign_operator_v2(operator_, spki_, statement_).ok());
}

}  // namespace
}  // namespace attestry::provision
