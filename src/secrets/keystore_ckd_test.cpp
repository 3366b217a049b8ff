#include "secrets/keystore_ckd.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/encoding.h"
#include "base/json.h"
#include "curves/bls12_381.h"

namespace attestry::secrets::keystore {
namespace {

using base::Code;
using chain::near::AccessKey;
using chain::near::AccountId;
using curves::bls::G1;
using curves::bls::Scalar;
using ::testing::HasSubstr;

const AccountId kDao = *AccountId::parse("dao.outlayer.near");
/// keystore_ckd.md 8.6, vector 1.
Scalar network_secret() {
  return *Scalar::from_big_endian(
      *base::hex_decode("13e0c575c3ac888bf8815e0ed50166ed3560ffbe9fcf5917551d3bd56be291f8"));
}
keys::ckd::MasterPublicKey network() {
  return keys::ckd::MasterPublicKey{curves::bls::G2::times_generator(network_secret())};
}

/// A question of `account`, and what a network says to it that has `secret`.
struct Asked {
  CkdQuestion question;
  G1 key;

  explicit Asked(const std::string& path = {}) : question(kDao, path, 2, crypto::system_random()) {
    const auto document = *base::JsonDocument::parse(question.arguments());
    const auto text = *document->root().get("request")->get("app_public_key")->string("app_public_key");
    key = *G1::decode(*keys::ckd::g1_from_text(text));
  }
  std::pair<G1, G1> answer(const std::string& path = {}, const Scalar& secret = network_secret()) const {
    const auto h = keys::ckd::hash_point(network(), keys::ckd::app_id(kDao.text(), path));
    const auto y = Scalar::from_u32(77);
    return {G1::times_generator(y), h * secret + key * y};
  }
  static std::string text(const std::pair<G1, G1>& points) {
    return R"({"scheme":"Bls12381","big_y":")" + keys::ckd::to_text(points.first.encode()) + R"(","big_c":")" +
           keys::ckd::to_text(points.second.encode()) + R"("})";
  }
};

std::string error_of(const base::Result<crypto::Secret>& result) {
  return result.ok() ? "opened" : result.error().what;
}

TEST(KeystoreCkd, TheMasterIsThatOfTheAccountAndThePath) {
  const Asked first, second;
  const auto one = first.question.open(Asked::text(first.answer()), network());
  const auto other = second.question.open(Asked::text(second.answer()), network());
  ASSERT_TRUE(one.ok()) << one.error().text();
  EXPECT_EQ(base::hex(one->reveal()), base::hex(other->reveal())) << "whatever blinds them";
  EXPECT_EQ(one->size(), 32U);
  const Asked vault{"0123abcd"};
  const auto third = vault.question.open(Asked::text(vault.answer("0123abcd")), network());
  ASSERT_TRUE(third.ok());
  EXPECT_NE(base::hex(third->reveal()), base::hex(one->reveal()));
}

TEST(KeystoreCkd, ALyingNetworkIsNotBelieved) {
  const Asked asked;
  const auto [y, c] = asked.answer();
  const std::string identity = keys::ckd::to_text(G1{}.encode());
  const auto with = [&](const std::string& big_y, const std::string& big_c) {
    return error_of(asked.question.open(R"({"big_y":")" + big_y + R"(","big_c":")" + big_c + R"("})", network()));
  };
  const std::string right_y = keys::ckd::to_text(y.encode()), right_c = keys::ckd::to_text(c.encode());
  EXPECT_EQ(with(right_y, right_c), "opened");
  EXPECT_EQ(with(right_c, right_y), kWrongSignature);
  EXPECT_EQ(with(identity, identity), kWrongSignature);
  EXPECT_EQ(with(right_y, identity), kWrongSignature);
  // keystore_ckd.md 8.6: on the curve, and not in the subgroup.
  curves::bls::G1::Encoded outside{};
  outside[0] = 0x80;
  outside[47] = 4;
  EXPECT_EQ(with(keys::ckd::to_text(outside), right_c), kWrongSignature);
  EXPECT_EQ(with(right_y, keys::ckd::to_text(outside)), kWrongSignature);
  outside[47] = 1;  // no such x
  EXPECT_EQ(with(right_y, keys::ckd::to_text(outside)), kWrongSignature);
  EXPECT_EQ(error_of(asked.question.open(Asked::text(asked.answer({}, Scalar::from_u32(5))), network())),
            kWrongSignature)
      << "another network";
  EXPECT_EQ(error_of(asked.question.open(Asked::text(asked.answer("path")), network())), kWrongSignature)
      << "another path";
  EXPECT_EQ(error_of(Asked{}.question.open(Asked::text(asked.answer()), network())), kWrongSignature)
      << "the answer to another question";
}

TEST(KeystoreCkd, AnswersOfAnotherLengthAreRefused) {
  const Asked asked;
  const auto [y, c] = asked.answer();
  const std::string right_y = keys::ckd::to_text(y.encode()), right = keys::ckd::to_text(c.encode());
  const auto with = [&](const std::string& big_c) {
    return error_of(asked.question.open(R"({"big_y":")" + right_y + R"(","big_c":")" + big_c + R"("})", network()));
  };
  EXPECT_EQ(with(right), "opened");
  EXPECT_THAT(with(right.substr(0, right.size() - 2)), HasSubstr("answer of CKD: big_c"));
  EXPECT_THAT(with(right + "11"), HasSubstr("answer of CKD: big_c"));
  EXPECT_THAT(with("bls12381g1:1" + right.substr(11)), HasSubstr("answer of CKD: big_c")) << "a byte in front";
  EXPECT_THAT(with("bls12381g2:" + right.substr(11)), HasSubstr("answer of CKD: big_c"));
  EXPECT_THAT(with(""), HasSubstr("answer of CKD: big_c"));
  EXPECT_THAT(error_of(asked.question.open("{}", network())), HasSubstr("answer of CKD"));
  EXPECT_THAT(error_of(asked.question.open("", network())), HasSubstr("answer of CKD"));
}

TEST(KeystoreCkd, ProposalsAsTheDaoShowsThem) {
  EXPECT_EQ(parse_proposal(R"({"id":7,"status":"Pending","votes_for":0})")->value(), ProposalStatus::pending);
  EXPECT_EQ(parse_proposal(R"({"status":"Executed"})")->value(), ProposalStatus::executed);
  EXPECT_EQ(parse_proposal(R"({"status":"Rejected"})")->value(), ProposalStatus::rejected);
  EXPECT_EQ(parse_proposal(R"({"status":"Approved"})")->value(), ProposalStatus::approved);
  EXPECT_FALSE(parse_proposal("null")->has_value());
  for (const auto* bad : {R"({"status":"executed"})", R"({"status":1})", "{}", "[]", "true", ""})
    EXPECT_EQ(parse_proposal(bad).error().code, Code::malformed) << bad;
  EXPECT_EQ(*parse_proposal_id("7"), 7U);
  for (const auto* bad : {"-1", "1.5", R"("7")", "null", "", "18446744073709551616"})
    EXPECT_EQ(parse_proposal_id(bad).error().code, Code::malformed) << bad;
}

TEST(KeystoreCkd, TheAccessKeyThatTheDaoGives) {
  AccessKey key{.nonce = 7,
                .permission = AccessKey::Permission::function_call,
                .receiver = kDao.text(),
                .methods = {"ban_vault", "request_key", "more", "mark_vault_verified"}};
  EXPECT_TRUE(check_access_key(key, kDao).ok());
  for (const std::size_t missing : {0U, 1U, 3U}) {
    auto without = key;
    without.methods.erase(without.methods.begin() + static_cast<std::ptrdiff_t>(missing));
    EXPECT_THAT(check_access_key(without, kDao).error().what, HasSubstr("lacks the method " + key.methods[missing]));
  }
  auto every = key;
  every.methods.clear();
  EXPECT_TRUE(check_access_key(every, kDao).ok());
  auto other = key;
  other.receiver = "other.near";
  EXPECT_EQ(check_access_key(other, kDao).error().code, Code::denied);
  other = key;
  other.permission = AccessKey::Permission::full_access;
  EXPECT_EQ(check_access_key(other, kDao).error().code, Code::denied);
}

TEST(KeystoreCkd, WhatIsShownToTheDao) {
  const auto key = *chain::near::PublicKey::parse("ed25519:GmaDrppBC7P5ARKV8g3djiwP89vz1jLK23V2GBjuAEGB");
  const auto data = registration_report_data(key);
  EXPECT_EQ(base::hex(data), base::hex(key.bytes()) + std::string(64, '0'));
  EXPECT_EQ(std::string{base::as_text(no_attestation(key))}, "NO_ATTESTATION:pubkey=" + base::hex(key.bytes()));
  EXPECT_EQ(registration_arguments(key, base::to_bytes(std::string_view{"ab"})),
            R"({"public_key":"ed25519:GmaDrppBC7P5ARKV8g3djiwP89vz1jLK23V2GBjuAEGB","tdx_quote_hex":"6162"})");
  EXPECT_EQ(TdMeasurements::of_quote({}).error().code, Code::malformed);
  // What does not fit is hashed: SHA-256 of 1952 times 0x01.
  const auto large = *chain::near::PublicKey::from_bytes(chain::near::KeyKind::ml_dsa_65, base::Bytes(1952, 1));
  const std::string hash = "594bdcb078a5b2534d67a0685557d748654fcfea8f3c363f476e01c10a8f95bb";
  EXPECT_EQ(base::hex(registration_report_data(large)), hash + std::string(64, '0'));
  EXPECT_EQ(std::string{base::as_text(no_attestation(large))}, "NO_ATTESTATION:pubkey=" + hash);
}

}  // namespace
}  // namespace attestry::secrets::keystore
