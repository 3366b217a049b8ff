#include "keys/keymanager_digests.h"

#include <gtest/gtest.h>

#include <set>

#include "base/encoding.h"
#include "crypto/hash.h"

namespace attestry::keys {
namespace {

template <std::size_t N>
base::FixedBytes<N> filled(std::uint8_t byte) {
  base::FixedBytes<N> out{};
  out.fill(byte);
  return out;
}

base::Digest32 word(std::string_view text) {
  base::Digest32 out{};
  EXPECT_TRUE(base::hex_decode_into(text, out).ok());
  return out;
}

curves::Address address(std::string_view text) { return curves::parse_address(text).value(); }

// The vectors of docs/formats/keymanager.md, which test_keymanager_contract_chain.py has the contract itself check.
class KeyManagerDigests : public ::testing::Test {
 protected:
  KeyManagerContract contract_{31337, address("0x0123456789abcdef0123456789abcdef01234567")};
  curves::Address newcomer_ = address("0x1999BEC693CfC3FFa9727070f9e2B8091EC563Bf");
  curves::Address payer_ = address("0xb595B18c88b1f651cA387489067f855b5C8E6720");
  curves::Address second_ = address("0xfa17c5b66a985f44bc249c8e8fabd64767f414b1");
  base::Bytes response_ = {1, 2, 3};
  KeyManagerAttestation attestation_{
      .workload = "10-42-0-7.dstack.svc.cluster.local",
      .purpose = "tls",
      .app_data = word("000000000000000000000000000000000000000000000000000000000000002a"),
      .epoch = 1,
      .expires = 4102444800};
  KeyManagerJoin join_{.member = newcomer_,
                       .box_key = filled<32>(0x11),
                       .payer = payer_,
                       .evidence = crypto::sha256(base::as_bytes("quote")),
                       .epoch = 1};
  KeyManagerOnboarding onboarding_{
      .fmspc = {0x00, 0x80, 0x6f, 0x05},
      .measurement = word("3727cf9f3eb168fed51b6c08b9ae195235bb922d3c9d7345c8f6cb616a32dd79"),
      .response = response_,
      .epoch = 1};
};

TEST_F(KeyManagerDigests, KnownAnswers) {
  EXPECT_EQ(base::hex(keymanager_domain_separator(contract_)),
            "e85cbfd545eee8b1b686ebad6af0bb8def98384a02c1d6145be395c907089fed");
  EXPECT_EQ(base::hex(keymanager_attestation_digest(contract_, attestation_)),
            "aa4df3e045a21f4859c9deb58c2d2586f43100e115fd442030e2f023e88e4b0a");
  EXPECT_EQ(base::hex(keymanager_rotation_digest(contract_, second_, 2)),
            "4d619d8470caa05394fda3c03b478363010329509220dc4349724b34887cc68a");
  EXPECT_EQ(base::hex(keymanager_join_digest(contract_, join_)),
            "32fe74852c3d8ad9299e316e66f1dd9f042a013b98cdfe15b16b8096dea2247a");
  EXPECT_EQ(base::hex(keymanager_onboard_digest(contract_, newcomer_, onboarding_)),
            "c90394635ef1dd6a9562bed41592a6d1a82e748b7bbc8902982d722391273adc");
  EXPECT_EQ(base::hex(keymanager_onboard_key_digest(contract_, filled<32>(0x11), onboarding_)),
            "21ecc55c35552ee83cf1ba31ae21b8d135510f6f1dbf731029214222a205bc65");
  EXPECT_EQ(base::hex(keymanager_resign_digest(contract_, newcomer_, 1)),
            "8b6c28540ca9eb3f55df1dba64a8a4e6d93cc8f9e1e0265f054747545fb177cf");
  EXPECT_EQ(base::hex(keymanager_bootstrap_head(contract_, second_, 2)),
            "e7e10951bbeab2ed40e104c2f7889b12c0a7898473240884d1626ff47129b4f4");
  EXPECT_EQ(base::hex(keymanager_newcomer_head(contract_, newcomer_, filled<32>(0x11), 1)),
            "90e6e3968fb1128611d8f6b5a7e35e8bfebaf5568f3559fe7896f0282b086b7f");
}

TEST_F(KeyManagerDigests, EveryFieldOfAnAttestationCounts) {
  std::set<base::Digest32> digests = {keymanager_attestation_digest(contract_, attestation_)};
  const auto add = [&](const KeyManagerContract& contract, const KeyManagerAttestation& said) {
    digests.insert(keymanager_attestation_digest(contract, said));
  };
  KeyManagerContract contract = contract_;
  contract.chain_id = 1;
  add(contract, attestation_);
  contract = contract_;
  contract.address[19] ^= 1;
  add(contract, attestation_);
  KeyManagerAttestation said = attestation_;
  said.workload = "other";
  add(contract_, said);
  said = attestation_;
  said.purpose = "ssh";
  add(contract_, said);
  said = attestation_;
  said.app_data[0] ^= 1;
  add(contract_, said);
  said = attestation_;
  said.epoch = 2;
  add(contract_, said);
  said = attestation_;
  said.expires += 1;
  add(contract_, said);
  EXPECT_EQ(digests.size(), 8u);
}

TEST_F(KeyManagerDigests, EveryFieldOfARequestAndAnAnswerCounts) {
  std::set<base::Digest32> digests;
  for (int field = 0; field < 6; ++field) {
    KeyManagerJoin join = join_;
    if (field == 1) join.member[0] ^= 1;
    if (field == 2) join.box_key[0] ^= 1;
    if (field == 3) join.payer[0] ^= 1;
    if (field == 4) join.evidence[0] ^= 1;
    if (field == 5) join.epoch = 2;
    digests.insert(keymanager_join_digest(contract_, join));
    KeyManagerOnboarding said = onboarding_;
    curves::Address member = newcomer_;
    const base::Bytes longer = {1, 2, 3, 0};
    if (field == 1) member[0] ^= 1;
    if (field == 2) said.fmspc[15] ^= 1;
    if (field == 3) said.measurement[0] ^= 1;
    if (field == 4) said.response = longer;
    if (field == 5) said.epoch = 2;
    digests.insert(keymanager_onboard_digest(contract_, member, said));
  }
  EXPECT_EQ(digests.size(), 12u);
}

TEST_F(KeyManagerDigests, PairsThatRanTogetherAreToldApart) {
  KeyManagerAttestation one = attestation_;
  KeyManagerAttestation other = attestation_;
  one.workload = "ab";
  one.purpose = "c";
  other.workload = "a";
  other.purpose = "bc";
  EXPECT_NE(keymanager_attestation_digest(contract_, one), keymanager_attestation_digest(contract_, other));
}

TEST_F(KeyManagerDigests, AnAddressIsNoKey) {
  curves::BoxPublicKey key{};
  std::ranges::copy(newcomer_, key.begin() + 12);
  EXPECT_NE(keymanager_onboard_digest(contract_, newcomer_, onboarding_),
            keymanager_onboard_key_digest(contract_, key, onboarding_));
}

}  // namespace
}  // namespace attestry::keys
