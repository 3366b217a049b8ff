#include "provision/registry_identity.h"

#include <gtest/gtest.h>

#include <set>

#include "base/encoding.h"

namespace attestry::provision {
namespace {

const curves::Address kContract = curves::parse_address("0123456789abcdef0123456789abcdef01234567").value();

TdxRegister ending_in(std::uint8_t last) {
  TdxRegister out{};
  out[47] = last;
  return out;
}

base::Digest32 filled(std::uint8_t byte) {
  base::Digest32 out{};
  out.fill(byte);
  return out;
}

// docs/formats/registry.md, "Known answers".
TEST(RegistryIdentity, KnownIdentities) {
  EXPECT_EQ(base::hex(dcap_identity(kContract, ending_in(1), ending_in(2), ending_in(3))),
            "f774c02b9017a767c574d5b1fdd4c3248e64444554aa7b4de26211231911d8d5");
  EXPECT_EQ(base::hex(maa_identity(kContract, filled(4), filled(9), filled(11))),
            "90768dabdf94ab406af161e54b132669f77691963635272cfa337d99c63c6b90");
}

TEST(RegistryIdentity, OrderAndContractCount) {
  const auto one = dcap_identity(kContract, ending_in(1), ending_in(2), ending_in(3));
  EXPECT_NE(dcap_identity(kContract, ending_in(2), ending_in(1), ending_in(3)), one);
  EXPECT_NE(dcap_identity(curves::Address{}, ending_in(1), ending_in(2), ending_in(3)), one);
}

TEST(RegistryIdentity, TheExtendedOneLeavesNothingOut) {
  std::set<base::Digest32> seen;
  const auto with = [&](auto change) {
    TdxFacts facts{.chain_id = 1, .contract = kContract, .tcb_status = "UpToDate"};
    change(facts);
    return seen.insert(extended_identity(facts)).second;
  };
  EXPECT_TRUE(with([](TdxFacts&) {}));
  EXPECT_FALSE(with([](TdxFacts&) {}));
  EXPECT_TRUE(with([](TdxFacts& f) { f.chain_id = 2; }));
  EXPECT_TRUE(with([](TdxFacts& f) { f.contract[0] ^= 1; }));
  EXPECT_TRUE(with([](TdxFacts& f) { f.mrtd[0] = 1; }));
  for (std::size_t i = 0; i < 4; ++i) EXPECT_TRUE(with([&](TdxFacts& f) { f.rtmr[i][0] = 1; }));
  EXPECT_TRUE(with([](TdxFacts& f) { f.mrconfigid[0] = 1; }));
  EXPECT_TRUE(with([](TdxFacts& f) { f.mrowner[0] = 1; }));
  EXPECT_TRUE(with([](TdxFacts& f) { f.mrownerconfig[0] = 1; }));
  EXPECT_TRUE(with([](TdxFacts& f) { f.td_attributes[0] = 1; }));
  EXPECT_TRUE(with([](TdxFacts& f) { f.debug = true; }));
  EXPECT_TRUE(with([](TdxFacts& f) { f.tcb_status = "OutOfDate"; }));
}

TEST(RegistryIdentity, TheExtendedOneIsKnown) {
  TdxFacts facts{.chain_id = 1, .contract = kContract, .tcb_status = "UpToDate"};
  facts.rtmr = {ending_in(1), ending_in(2), ending_in(3), ending_in(4)};
  EXPECT_EQ(base::hex(extended_identity(facts)), "847e684021ea82ea8156d266cee4563ba18c48f374d5b83190d73cf79682d706");
}

TEST(RegistryIdentity, FirmwareIsSomebodysToLookAt) {
  EXPECT_FALSE(firmware_is_covered(attestation::Policy::genuine(), false).ok());
  EXPECT_TRUE(firmware_is_covered(attestation::Policy::genuine(), true).ok());
  const auto named =
      attestation::Policy::parse(R"({"format":1,"name":"servers","identities":[{"name":"s","claims":{"mrtd":[")" +
                                 std::string(96, 'a') + R"("]}}]})");
  ASSERT_TRUE(named.ok()) << named.error().text();
  EXPECT_TRUE(firmware_is_covered(*named, false).ok());
}

}  // namespace
}  // namespace attestry::provision
