#include "chain/registry_abi.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/encoding.h"
#include "crypto/hash.h"

namespace attestry::chain::registry {
namespace {

using base::Bytes;
using base::Code;
using ::testing::HasSubstr;

template <class R, class... A>
void expect_selector(const Function<R, A...>& function) {
  EXPECT_EQ(base::hex(function.selector()), base::hex(selector(function.signature))) << function.signature;
}
template <class... F>
void expect_selectors(const F&... functions) {
  (expect_selector(functions), ...);
}

TEST(RegistryAbiTest, EverySelectorIsItsSignaturesHash) {
  expect_selectors(kPki, kSetPki, kAppPki, kInstanceDomainNames, kInstanceDomainNameAt, kRegisterInstanceDomainName,
                   kDcapIdentity, kMaaIdentity, kIdentityAllowed, kConfigForIdentity, kIdentityConfigMap,
                   kSetConfigForIdentity, kSetConfigForDcap, kSetConfigForMaa, kRemoveConfigMapForIdentity,
                   kStorageBackends, kStorageBackendAt, kSetStorageBackend, kRemoveStorageBackend, kAddArtifact,
                   kGetArtifact, kArtifacts, kMaxBytesSize, kRemoveArtifact, kRemoveInstanceDomainName, kMaxListLength,
                   kMaxDomainSize, kPolicy, kSetPolicy, kPaused, kFreeze, kUnfreeze);
  expect_selectors(older::kPki, older::kConfigForIdentity, older::kInstanceDomainNames, older::kStorageBackends,
                   older::kInstanceDomainNameAt, older::kStorageBackendAt, older::kAllowlistDcap, older::kAllowlistMaa,
                   older::kAllowlistIdentity, older::kRemoveAllowlistedIdentity);
  expect_selectors(kAllowlistDcap, kAllowlistMaa, kAllowlistIdentity, kRemoveAllowlistedIdentity,
                   kAllowlistedIdentities, kHashOnboardRequest, kRequestOnboard, kFetchOnboardRequest, kOnboardRequests,
                   kApplicationAllowed, kAllowApplication, kRemoveAllowlistedApplication, kAllowlistedApplications,
                   kApplicationPolicy, kSetApplicationPolicy, kRemoveOnboardRequest);
  expect_selectors(kRoleOperator, kRoleMetadata, kRoleInstance, kRoleGuardian, kDefaultAdminRole, kHasRole, kGrantRole,
                   kRevokeRole, kRenounceRole, kGetRoleAdmin, kOwner, kTransferOwnership, kPendingOwner,
                   kAcceptOwnership, kRenounceOwnership, kSupportsInterface);
}

TEST(RegistryAbiTest, TopicsOfTheEvents) {
  const auto topic = [](const auto& event) { return base::hex(event.topic()).substr(0, 16); };
  EXPECT_EQ(topic(kArtifactAdded), "0089f1e7da0d286f");
  EXPECT_EQ(topic(kIdentityConfigSet), "612c411f843e4588");
  EXPECT_EQ(topic(kInstanceDomainRegistered), "1cffa1975e8ac674");
  EXPECT_EQ(topic(kPkiUpdated), "284bc1ef7d0ba7c6");
  EXPECT_EQ(topic(kStorageBackendSet), "d0f13741ab421dfd");
  EXPECT_EQ(topic(kStorageBackendRemoved), "f633b6242693f791");
  EXPECT_EQ(topic(kIdentityAllowlisted), "f1c63c82bb552724");
}

TEST(RegistryAbiTest, RolesAreHashesOfTheirNames) {
  EXPECT_THAT(base::hex(role("ROLE_OPERATOR")), ::testing::StartsWith("aa3edb77f7c8cc9e"));
  EXPECT_THAT(base::hex(role("ROLE_METADATA")), ::testing::StartsWith("88e3f5011d64b9d7"));
  EXPECT_THAT(base::hex(role("ROLE_INSTANCE")), ::testing::StartsWith("921b443815ac4730"));
}

/// The report of the known answers: MRTD 00…1, RTMR0..2 distinct, the rest zero.
DcapReport report() {
  const auto filled = [](std::uint8_t last) {
    Bytes out(48, 0);
    out.back() = last;
    return out;
  };
  return {filled(0), {filled(1), filled(2), filled(3), filled(0)}, filled(0), filled(0), filled(0)};
}

TEST(RegistryAbiTest, AReportStandsWhereTheContractLooksForIt) {
  const Bytes data = kDcapIdentity(report(), {});
  EXPECT_EQ(data.size(), 1156u);
  const auto word_at = [&](std::size_t index) {
    const base::ByteView view{data};
    Word out{};
    std::ranges::copy(view.subspan(4 + 32 * index, 32), out.begin());
    return to_u64(out).value_or(0);
  };
  EXPECT_EQ(word_at(0), 0x40u);
  const std::vector<std::uint64_t> tuple{word_at(2), word_at(3), word_at(4), word_at(5), word_at(6)};
  EXPECT_EQ(tuple, (std::vector<std::uint64_t>{160, 256, 768, 864, 960}));
  EXPECT_EQ(word_at(10), 128u);  // RTMRs, offsets from their own beginning
  EXPECT_EQ(word_at(13), 416u);
  EXPECT_EQ(kMaaIdentity(MaaReport{}).size(), 772u);
  EXPECT_EQ(std::get<0>(*kDcapIdentity.arguments(data)), report());
}

/// Hashes and bytes of call data that another implementation of the ABI made (docs/formats/registry.md).
TEST(RegistryAbiTest, KnownCallData) {
  EXPECT_EQ(base::hex(crypto::sha256(kDcapIdentity(report(), {}))),
            "bf760ed5312a29d4ab4a1941f71bb9414c33f3f63abf941e3c5eaf6c9e3dbf7d");
  MaaReport maa;
  maa.pcrs[4].fill(4);
  maa.pcrs[9].fill(9);
  maa.pcrs[11].fill(11);
  EXPECT_EQ(base::hex(crypto::sha256(kMaaIdentity(maa))),
            "e7749feda7a3e4b60c8ace46337b7696d7a4840e144031efeb3fdc89d7f61ac4");
  Word identity{};
  std::ranges::copy(*base::hex_decode("f774c02b9017a767c574d5b1fdd4c3248e64444554aa7b4de26211231911d8d5"),
                    identity.begin());
  Address ones;
  ones.fill(0x11);
  EXPECT_EQ(base::hex(kIdentityAllowed(identity, ones)),
            "1619e345f774c02b9017a767c574d5b1fdd4c3248e64444554aa7b4de26211231911d8d5" + std::string(24, '0') +
                std::string(40, '1'));
}

TEST(RegistryAbiTest, AnswersAreReadBack) {
  const AppPki pki{base::to_bytes("ca"), base::to_bytes("key"), Bytes(100, 7)};
  EXPECT_EQ(*kPki.decode(kPki.encode_result(pki)), pki);
  const std::vector<std::string> names{"a.example", "", "b.example:8080"};
  EXPECT_EQ(*kInstanceDomainNames.decode(kInstanceDomainNames.encode_result(names)), names);
  EXPECT_TRUE(*kIdentityAllowed.decode(kIdentityAllowed.encode_result(true)));
  const OnboardRequest request{base::to_bytes("pem"), to_word_signed(-5), Address{9}, Bytes(40, 1)};
  EXPECT_EQ(*kFetchOnboardRequest.decode(kFetchOnboardRequest.encode_result(request)), request);
  const auto flat = std::tuple{request.pubkey, request.nonce, request.operator_address, request.attestation};
  EXPECT_EQ(*kOnboardRequests.decode(kOnboardRequests.encode_result(flat)), flat);
  const std::vector<Address> applications{Address{1}, Address{2}};
  EXPECT_EQ(*kAllowlistedApplications.decode(kAllowlistedApplications.encode_result(applications)), applications);
}

TEST(RegistryAbiTest, OnlyTheCanonicalSpellingIsAnAnswer) {
  Bytes answer = kIdentityAllowed.encode_result(true);
  answer.resize(64);
  EXPECT_EQ(kIdentityAllowed.decode(answer).error().code, Code::malformed);
  EXPECT_EQ(kIdentityAllowed.decode(Bytes(31)).error().code, Code::malformed);
  Bytes pki = kPki.encode_result({});
  pki[31] = 0x40;  // the tuple elsewhere
  EXPECT_FALSE(kPki.decode(pki).ok());
}

TEST(RegistryAbiTest, NothingIsNoContract) {
  const auto nothing = kIdentityAllowed.decode({});
  EXPECT_EQ(nothing.error().code, Code::not_found);
  EXPECT_THAT(nothing.error().what, HasSubstr("IdentityAllowed"));
}

TEST(RegistryAbiTest, ARevertIsADenialWithItsReason) {
  const CallOutcome outcome{.reverted = true, .data = {}, .reason = "Operator not authorized"};
  const auto result = kIdentityAllowed.result(outcome);
  EXPECT_EQ(result.error().code, Code::denied);
  EXPECT_EQ(result.error().found, "Operator not authorized");
}

TEST(RegistryAbiTest, EventsAreReadByTheirTopic) {
  AbiWriter fields;
  fields.word(to_word(1)).word(to_word(2)).address(Address{3});
  Log log{.address = {}, .topics = {kIdentityConfigSet.topic()}, .data = fields.encode()};
  const auto set = kIdentityConfigSet.decode(log);
  ASSERT_TRUE(set.ok());
  EXPECT_EQ(std::get<2>(*set), Address{3});
  EXPECT_FALSE(kIdentityConfigRemoved.is(log));
  EXPECT_FALSE(kIdentityConfigRemoved.decode(log).ok());
  log.data.clear();
  EXPECT_FALSE(kIdentityConfigSet.decode(log).ok());
}

}  // namespace
}  // namespace attestry::chain::registry
