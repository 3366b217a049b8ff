#include "chain/keymanager_abi.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/encoding.h"

namespace attestry::chain::keymanager {
namespace {

using base::Bytes;
using base::Code;

template <class... F>
void expect_selectors(const F&... functions) {
  const auto one = [](const auto& function) {
    EXPECT_EQ(base::hex(function.selector()), base::hex(selector(function.signature))) << function.signature;
  };
  (one(functions), ...);
}

TEST(KeyManagerAbiTest, EverySelectorIsItsSignaturesHash) {
  expect_selectors(kXPub, kEpoch, kXPubOfEpoch, kBootstrap, kBootstrapWithEvidence, kRotate, kPostEvidence,
                   kVerifyNamed, kVerifyAttestation, kVerify, kVerifyBound, kDomainSeparator, kRegister, kRegisterKey,
                   kJoin, kOnboard, kOnboardKey, kDeregister, kDeregisterKey, kResign, kRequested, kRequestedKey,
                   kRegistry, kRegistryOfKey, kMemberAllowed, kKeyAllowed, kContainer, kSetContainer,
                   kUnboundOnboarding, kSetUnboundOnboarding, kAllowedMrtds, kAllowedMrenclaves, kRtmrs, kAllowedTcbs,
                   kAllowMrtd, kAllowMrenclave, kAllowTcb, kSetMrtd, kGetMrtd);
}

/// Of the known generations (keymanager.md 2.4, 4.1).
TEST(KeyManagerAbiTest, TopicsOfTheEvents) {
  EXPECT_EQ(base::hex(topic<BootstrapComplete>()), "e1e8c16707ac4e99c63f15f537b1008f9639111448afe49aa57ecbf43b89c686");
  EXPECT_EQ(base::hex(topic<OnboardedKey>()), "150daec131d26a1965bb658f2e9a0e58f414f7357e381462427a1e683952a779");
  EXPECT_EQ(base::hex(topic<Requested>()), "039f711c9c18dd815b225b1424855e6118e746c6b5d688907f10c4dd29ebe92a");
  EXPECT_EQ(base::hex(topic<Onboarded>()), "6f8f2b7dd81ba32e0b386d56e94ba8a77abed5fa8aae76905804e1c6726bdfce");
  EXPECT_EQ(base::hex(topic<ContainerChanged>()), "ebf8c0d47c474346835eae78aff5aff39a35f60b7e32dc80f79b1c0e542355fb");
}

TEST(KeyManagerAbiTest, EveryEventIsReadBack) {
  const Address a{1}, b{2}, c{3};
  const Word w{4}, v{5};
  const std::vector<Event> events{BootstrapComplete{a},
                                  XPubRotated{2, a, b, c},
                                  EvidencePosted{a, w, v, b},
                                  Requested{a},
                                  KeyRequested{w, a},
                                  JoinRequested{a, w, v, Word{}, b},
                                  Onboarded{a, FmspcWord{6}, w, Bytes(80, 7)},
                                  OnboardedKey{w, Bytes(3, 1)},
                                  Deregistered{a, b},
                                  KeyDeregistered{w, a},
                                  MrtdAllowed{w, true, a},
                                  MrenclaveAllowed{w, false, a},
                                  MachineAllowed{w, Bytes(48, 1), Bytes(48, 2), Bytes(48, 3), true},
                                  TcbAllowed{FmspcWord{6}, {17, 0x3f}, a},
                                  ContainerChanged{"image@sha256:00"},
                                  UnboundOnboardingSet{true, a}};
  EXPECT_EQ(events.size(), std::variant_size_v<Event>);
  for (const Event& event : events) {
    const auto read_back = read(write(event));
    ASSERT_TRUE(read_back.ok()) << event.index();
    EXPECT_EQ(*read_back, event) << event.index();
  }
}

TEST(KeyManagerAbiTest, AnIndexedMemberIsATopic) {
  LogRecord log = write(Requested{Address{9}});
  EXPECT_EQ(log.topics.size(), 2u);
  EXPECT_TRUE(log.data.empty());
  log.topics.pop_back();
  EXPECT_EQ(read(log).error().code, Code::malformed);
}

TEST(KeyManagerAbiTest, OnlyTheCanonicalBytesAreAnEvent) {
  LogRecord log = write(TcbAllowed{FmspcWord{6}, {17, 1}, Address{1}});
  log.data[31] = 1;  // behind bytes16
  EXPECT_EQ(read(log).error().code, Code::malformed);
  LogRecord number = write(XPubRotated{2, {}, {}, {}});
  number.data[27] = 1;  // above uint32
  EXPECT_EQ(read(number).error().code, Code::malformed);
  LogRecord longer = write(BootstrapComplete{Address{1}});
  longer.data.push_back(0);
  EXPECT_EQ(read(longer).error().code, Code::malformed);
}

TEST(KeyManagerAbiTest, OtherEventsAreNone) {
  LogRecord log;
  EXPECT_EQ(*read(log), std::nullopt);
  log.topics = {registry::kPausedEvent.topic()};
  EXPECT_EQ(*read(log), std::nullopt);
}

TEST(KeyManagerAbiTest, AnswersAreReadBack) {
  const std::tuple member{FmspcWord{0, 0x80, 0x6f}, Word{7}};
  EXPECT_EQ(*kRegistry.decode(kRegistry.encode_result(member)), member);
  EXPECT_EQ(*kRequested.decode(kRequested.encode_result(Membership::onboarded)), Membership::onboarded);
  EXPECT_EQ(kRequested.decode(to_word(4)).error().code, Code::malformed);
  EXPECT_EQ(*kEpoch.decode(to_word(3)), 3u);
  EXPECT_EQ(kEpoch.decode({}).error().code, Code::not_found);
  const auto call = kJoin.arguments(kJoin(Address{1}, Word{2}, Bytes(65, 3), Word{4}, Bytes(5000, 5)));
  ASSERT_TRUE(call.ok());
  EXPECT_EQ(std::get<4>(*call), Bytes(5000, 5));
}

TEST(KeyManagerAbiTest, ARuleTakesTheStatusesOfItsBits) {
  const TcbRule rule{17, 0b1001};
  EXPECT_TRUE(takes(rule, "UpToDate", 17));
  EXPECT_TRUE(takes(rule, "ConfigurationAndSWHardeningNeeded", 18));
  EXPECT_FALSE(takes(rule, "SWHardeningNeeded", 17));
  EXPECT_FALSE(takes(rule, "UpToDate", 16));
  EXPECT_FALSE(takes({0, 0x3f}, "Revoked", 99));
  EXPECT_FALSE(takes({}, "UpToDate", 99));
}

}  // namespace
}  // namespace attestry::chain::keymanager
