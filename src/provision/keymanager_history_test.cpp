#include "provision/keymanager_history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "chain/abi.h"
#include "chain/registry_abi.h"
#include "crypto/hash.h"
#include "curves/secp256k1.h"
#include "keys/keymanager_dialects.h"

namespace attestry::provision {
namespace {

using attestation::Outcome;
using base::Bytes;
using base::Code;
using ::testing::HasSubstr;
namespace abi = chain::keymanager;

const curves::Address kContract{0xc0};
const curves::Address kMember{0x3e};
const chain::Word kListed = crypto::sha256(Bytes(48, 0x1d));
const abi::FmspcWord kFamily{0x90, 0xc0, 0x6f};
constexpr AuditRules kIdentities{.identities = true};

/// A contract's history as its events are emitted, one block each.
class HistoryTest : public ::testing::Test {
 protected:
  HistoryTest() {
    history.contract = {.chain_id = 31337, .address = kContract};
    chain::LogRecord created;
    created.topics = {chain::registry::kOwnershipTransferred.topic(), chain::Word{},
                      chain::to_word(curves::Address{1})};
    add(created);
  }
  void add(chain::LogRecord log) {
    const auto block = static_cast<std::uint64_t>(history.logs.size() + 1);
    log.address = kContract;
    log.block = block;
    log.transaction = crypto::sha256(Bytes{static_cast<std::uint8_t>(block)});
    history.times[block] = {1'800'000'000 + static_cast<std::int64_t>(block)};
    history.logs.push_back(std::move(log));
    history.head = {.number = block, .hash = {}, .time = history.times[block]};
  }
  void emit(const abi::Event& event, Bytes input = {}) {
    add(abi::write(event));
    if (!input.empty()) history.inputs[history.logs.back().transaction] = std::move(input);
  }
  static Bytes vrs(const curves::Secp256k1PrivateKey& key, const base::Digest32& digest) {
    const auto rsv = *key.sign_recoverable(digest);
    Bytes out{static_cast<std::uint8_t>(27 + rsv[64])};
    out.insert(out.end(), rsv.begin(), rsv.begin() + 64);
    return out;
  }
  /// Lists, bootstrap, a member's way in.
  void usual() {
    emit(abi::MrtdAllowed{kListed, true, {}});
    emit(abi::TcbAllowed{kFamily, {0, 1}, {}});
    emit(abi::BootstrapComplete{address});
    emit(abi::JoinRequested{kMember, chain::Word{9}, chain::Word{7}, {}, curves::Address{1}});
    const Bytes response = base::to_bytes("sealed");
    const auto digest = keys::keymanager_onboard_digest(history.contract, kMember, {kFamily, kListed, response, 1});
    emit(abi::Onboarded{kMember, kFamily, kListed, response},
         abi::kOnboard(kMember, kFamily, kListed, response, vrs(master, digest)));
    history.key = address;
    history.epoch = 1;
  }

  curves::Secp256k1PrivateKey master = *curves::Secp256k1PrivateKey::from_scalar(Bytes(32, 0x51));
  curves::Address address = curves::ethereum_address(master.public_key_raw());
  KeyManagerHistory history;
};

TEST_F(HistoryTest, StepsSayWhoGotTheKeyUnderWhichLists) {
  usual();
  const auto steps = steps_of(history);
  ASSERT_TRUE(steps.ok()) << steps.error().text();
  ASSERT_EQ(steps->size(), 3u);
  EXPECT_EQ((*steps)[0].kind, StepKind::bootstrap);
  EXPECT_FALSE((*steps)[1].counts()) << "the onboarding does";
  const AuditStep& onboarding = (*steps)[2];
  EXPECT_EQ(onboarding.kind, StepKind::onboarding);
  ASSERT_EQ(onboarding.evidence.size(), 1u);
  EXPECT_EQ(onboarding.evidence[0].hash, chain::Word{7});
  EXPECT_EQ(onboarding.master, address);
  EXPECT_TRUE(onboarding.lists.allows(kListed));
  EXPECT_EQ(onboarding.checks.back().outcome, Outcome::accepted);
}

TEST_F(HistoryTest, CallDataWithoutTheMastersSignatureAccuseNobody) {
  usual();
  auto& input = history.inputs.begin()->second;
  const auto before = input;
  input = abi::kOnboard(kMember, kFamily, kListed, base::to_bytes("sealed"), vrs(master, base::Digest32{1}));
  EXPECT_EQ((*steps_of(history))[2].checks.back().outcome, Outcome::undecided) << "they are one node's word";
  history.inputs.clear();
  EXPECT_EQ((*steps_of(history))[2].checks.back().outcome, Outcome::undecided);
  // A wallet's call has the contract's inside.
  Bytes wrapped(37, 0xee);
  wrapped.insert(wrapped.end(), before.begin(), before.end());
  history.inputs[history.logs.back().transaction] = wrapped;
  EXPECT_EQ((*steps_of(history))[2].checks.back().outcome, Outcome::accepted);
}

TEST_F(HistoryTest, AHistoryThatIsNotWholeIsNone) {
  usual();
  KeyManagerHistory late = history;
  late.logs.erase(late.logs.begin());
  EXPECT_EQ(steps_of(late).error().code, Code::denied);
  EXPECT_THAT(steps_of(late).error().what, HasSubstr("does not begin"));
  KeyManagerHistory thinned = history;
  thinned.logs.erase(thinned.logs.begin() + 3);  // the bootstrap
  EXPECT_THAT(steps_of(thinned).error().what, HasSubstr("do not lead"));
}

TEST_F(HistoryTest, WhatIsListedAfterTheKeyCountsForTheKeyAndForNobodyBefore) {
  emit(abi::BootstrapComplete{address});
  emit(abi::Onboarded{kMember, kFamily, kListed, {}});
  emit(abi::MrtdAllowed{kListed, true, {}});
  emit(abi::MrtdAllowed{kListed, false, {}});
  emit(abi::XPubRotated{2, address, kMember, {}});
  history.key = kMember;
  history.epoch = 2;
  const auto steps = *steps_of(history);
  EXPECT_TRUE(steps[0].lists.allows(kListed));
  EXPECT_FALSE(steps[1].lists.allows(kListed));
  EXPECT_FALSE(steps[2].lists.allows(kListed));
}

TEST_F(HistoryTest, AFileHoldsAllOfIt) {
  usual();
  history.at = {1'800'000'100};
  const auto back = KeyManagerHistory::parse(history.to_json());
  ASSERT_TRUE(back.ok()) << back.error().text();
  EXPECT_EQ(back->logs, history.logs);
  EXPECT_EQ(back->inputs, history.inputs);
  EXPECT_FALSE(back->code);
  history.code = crypto::sha256(Bytes{1});
  EXPECT_EQ(KeyManagerHistory::parse(history.to_json())->code, history.code);
  history.code.reset();
  EXPECT_EQ(back->to_json(), history.to_json());
  EXPECT_FALSE(KeyManagerHistory::parse("{}").ok());
  std::swap(history.logs[1], history.logs[2]);
  EXPECT_THAT(KeyManagerHistory::parse(history.to_json()).error().what, HasSubstr("order of the chain"));
}

TEST_F(HistoryTest, EvidenceIsComparedWithWhatTheContractWasTold) {
  usual();
  const AuditStep step = (*steps_of(history))[2];
  attestation::Verdict verdict;
  verdict.claims = {{.name = "mrtd", .value = std::string(96, '0')}, {.name = "fmspc", .value = "90c06f000000"}};
  for (std::size_t i = 0; i < 48; ++i) verdict.claims[0].value.replace(2 * i, 2, "1d");
  verdict.tcb = {.status = "UpToDate"};
  const auto head = keys::keymanager_newcomer_head(history.contract, kMember, *step.box_key, 1);
  const auto data = keys::report_data(head, keys::ReportDataForm::padded);
  verdict.report_data = base::to_bytes(data);
  EXPECT_EQ(outcome_of(compare(step, history.contract, verdict, kIdentities)), Outcome::accepted);

  auto other = verdict;
  other.report_data[0] ^= 1;
  EXPECT_EQ(compare(step, history.contract, other, kIdentities)[0].outcome, Outcome::refused);
  other = verdict;
  other.claims[0].value[0] = '2';
  EXPECT_EQ(compare(step, history.contract, other, kIdentities)[1].outcome, Outcome::refused);
  other = verdict;
  other.tcb->status = "OutOfDate";
  EXPECT_EQ(compare(step, history.contract, other, kIdentities)[2].outcome, Outcome::refused);
  other.tcb.reset();
  EXPECT_EQ(compare(step, history.contract, other, kIdentities)[2].outcome, Outcome::undecided);
  EXPECT_EQ(compare(step, history.contract, verdict, {})[1].outcome, Outcome::undecided) << "firmware boots anything";
  EXPECT_EQ(compare(step, history.contract, verdict, {.machine_suffices = true})[1].outcome, Outcome::undecided);
  EXPECT_EQ(compare(step, history.contract, verdict, {.mrtd_suffices = true})[1].outcome, Outcome::accepted);
}

TEST_F(HistoryTest, ARequestThatNobodyAnsweredOnTheChainCounts) {
  emit(abi::BootstrapComplete{address});
  emit(abi::JoinRequested{kMember, chain::Word{9}, chain::Word{7}, {}, curves::Address{1}});
  history.key = address;
  history.epoch = 1;
  EXPECT_TRUE((*steps_of(history))[1].counts());
  emit(abi::Onboarded{kMember, kFamily, kListed, {}});
  EXPECT_FALSE((*steps_of(history))[1].counts());
}

TEST_F(HistoryTest, EvidenceOfStrangersDoesNotTakeTheOwnersPlace) {
  emit(abi::BootstrapComplete{address});
  emit(abi::EvidencePosted{address, chain::Word{1}, {}, curves::Address{0x66}});
  emit(abi::EvidencePosted{address, chain::Word{2}, {}, curves::Address{1}});
  history.key = address;
  history.epoch = 1;
  const auto steps = *steps_of(history);
  ASSERT_EQ(steps[0].evidence.size(), 2u);
  EXPECT_EQ(steps[0].evidence[1].hash, chain::Word{2});
}

TEST_F(HistoryTest, APlatformRuleThatIsLoosenedLaterCountsForTheEpoch) {
  emit(abi::TcbAllowed{kFamily, {0, 1}, {}});
  emit(abi::BootstrapComplete{address});
  emit(abi::TcbAllowed{kFamily, {0, 3}, {}});
  emit(abi::TcbAllowed{kFamily, {0, 1}, {}});
  emit(abi::Onboarded{kMember, kFamily, kListed, {}});
  history.key = address;
  history.epoch = 1;
  attestation::Verdict verdict;
  verdict.claims = {{.name = "fmspc", .value = "90c06f000000"}};
  verdict.tcb = {.status = "SWHardeningNeeded"};
  const auto steps = *steps_of(history);
  EXPECT_EQ(compare(steps[0], history.contract, verdict, {})[2].outcome, Outcome::accepted);
  EXPECT_EQ(compare(steps[1], history.contract, verdict, {})[2].outcome, Outcome::refused) << "not then";
}

TEST(AuditOutcomeTest, NothingThatWasLookedAtIsUndecided) {
  EXPECT_EQ(outcome_of({}), Outcome::undecided);
  EXPECT_EQ(outcome_of({{"a", Outcome::undecided, ""}, {"b", Outcome::refused, ""}}), Outcome::refused);
}

}  // namespace
}  // namespace attestry::provision
