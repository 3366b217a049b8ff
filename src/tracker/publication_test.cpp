#include "tracker/publication.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <future>
#include <map>
#include <semaphore>
#include <span>
#include <thread>
#include <utility>

#include "chain/quorum.h"
#include "chain/testing/stand_in.h"
#include "tracker/recollection.h"
#include "tracker/testing/tracker.h"

namespace attestry::tracker {
namespace {

using base::Code;
using base::Error;
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
using testing::key_named;
using testing::kNow;
using testing::receipt;

constexpr std::uint64_t kPiece = 16384;
const Address kAccount{0xac};
const Address kFactoryOfAll{0xfa};

/// Something happens, once, after an answer of what alice has.
struct Interrupted final : chain::ChainReader {
  explicit Interrupted(chain::ChainReader& asked) : reader(asked) {}
  base::Result<chain::BlockRef> head(base::Deadline deadline) override { return reader.head(deadline); }
  base::Result<chain::BlockRef> known_head() const override { return reader.known_head(); }
  base::Result<std::vector<CallOutcome>> call(const chain::BlockRef& at, std::span<const Call> calls,
                                              base::Deadline deadline) override {
    auto out = reader.call(at, calls, deadline);
    const bool of_alice = !calls.empty() && calls.front().data == reputation::kGetUserData("alice");
    if (of_alice && after_call) std::exchange(after_call, nullptr)();
    return out;
  }
  chain::ChainReader& reader;
  std::function<void()> after_call;
};

/// A Reputation as publish() needs it, with a referrer, on one node.
class PublicationTest : public ::testing::Test {
 protected:
  PublicationTest() {
    auto options = nodes.options();
    options.clock = &chain_clock;
    options.head_ttl = std::chrono::milliseconds(0);
    options.stranger_timeout = options.round_timeout;
    reader = *chain::QuorumReader::make(nodes, std::move(options));
    nodes.each(
        [this](Node& node) { node.contract = [this](const Call& call, std::uint64_t) { return answer(call); }; });
    interrupted.emplace(*reader);
    chain.emplace(*interrupted, reader->for_strangers(), *reader,
                  [this](const Address& to, base::ByteView data, base::Deadline) { return take(to, data); });
    open();
    for (const char* name : {"alice", "bob"}) EXPECT_TRUE(tracker.enrol(name, key_named(name)).ok());
  }

  void open() {
    auto opened = Publisher::open(*chain, tracker.ledger(), tracker.store(), kAccount);
    ASSERT_TRUE(opened.ok()) << opened.error().text();
    publisher = *std::move(opened);
  }
  void restart() {
    publisher.reset();
    tracker.reopen();
    open();
  }

  static CallOutcome said(base::Bytes data) { return {.reverted = false, .data = std::move(data), .reason = {}}; }
  CallOutcome answer(const Call& call) {
    const auto entry = [&](const std::string& name) {
      const auto& there = entries[call.to];
      const auto found = there.find(name);
      return found == there.end() ? ReputationUser{} : found->second;
    };
    if (const auto asked = reputation::kGetUserData.arguments(call.data); asked.ok())
      return said(reputation::kGetUserData.encode_result(entry(std::get<0>(*asked))));
    // The stand-in of a genuine one alone looks further than what it has itself.
    if (const auto asked = reputation::kLookUp.arguments(call.data); asked.ok() && genuine) {
      looked_up.push_back(std::get<0>(*asked));
      looking.release();
      return said(reputation::kLookUp.encode_result({entry(looked_up.back()), call.to, kAccount, {}}));
    }
    if (const auto asked = reputation::kMigrateUserData.arguments(call.data); asked.ok()) {
      const auto& [name] = *asked;
      const std::string why = refusal(call.to, name);
      if (why.empty()) return said({});
      return {.reverted = true, .data = chain::encode_error_string(why), .reason = why};
    }
    if (call.data == reputation::kFactory()) return said(reputation::kFactory.encode_result(kFactoryOfAll));
    if (call.to == kFactoryOfAll) return said(reputation::kMade.encode_result(genuine));
    if (call.data == reputation::kStanding() && overloaded_about_owners) nodes.nodes.front().body = "overloaded";
    if (call.data == reputation::kStanding()) return said(reputation::kStanding.encode_result({owner, {}, false}));
    if (call.data == reputation::kReferrerReputation())
      return said(reputation::kReferrerReputation.encode_result(referrer));
    return said({});
  }

  /// Why the contract takes that member not over; empty: it does.
  std::string refusal(const Address& at, const std::string& name) {
    if (entries[at].contains(name)) return "User exists";
    if (referrer == Address{}) return "No referrer";
    if (!entries[referrer].contains(name)) return "User not found";
    return trusted ? "" : "Referrer is not trusted";
  }

  base::Result<chain::Receipt> take(const Address& to, base::ByteView data) {
    const auto refused = [](std::string why) {
      return Error{Code::denied, "the contract refuses", {}, std::move(why)};
    };
    if (const auto added = reputation::kAddUser.arguments(data); added.ok()) {
      const auto& [name, salt, hash, down, up] = *added;
      if (before_sending) std::exchange(before_sending, nullptr)();
      if (taken_by_another) entries[to][name] = *taken_by_another;
      if (entries[to].contains(name)) return refused("User exists");
      if (stuck) {
        waiting.push_back({name, salt, hash, down, up});
        return Error{Code::deadline_exceeded, "no receipt"};
      }
      entries[to][name] = {name, salt, hash, down, up};
      ++sent;
      if (lost) return Error{Code::deadline_exceeded, "no receipt"};
      return mined();
    }
    if (const auto updated = reputation::kUpdateUser.arguments(data); updated.ok()) {
      const auto& [name, down, up] = *updated;
      if (!entries[to].contains(name)) return refused("User does not exist");
      auto& entry = entries[to][name];
      entry.download_size = down;
      entry.upload_size = up;
      ++sent;
      if (lost) return Error{Code::deadline_exceeded, "no receipt"};
      return mined();
    }
    const auto moved = reputation::kMigrateUserData.arguments(data);
    if (!moved.ok()) return refused("no such function");
    if (auto why = refusal(to, std::get<0>(*moved)); !why.empty()) return refused(std::move(why));
    entries[to][std::get<0>(*moved)] = entries[referrer][std::get<0>(*moved)];
    ++sent;
    return mined();
  }
  /// A block more: what is asked of a block is remembered.
  chain::Receipt mined() {
    nodes.each([](Node& node) { node.branch.grow(1); });
    chain_clock.pass(chain::testing::kSpacing);
    return {.succeeded = true, .block = reader->head(deadline()).value()};
  }

  /// Of pieces that alice gave bob.
  void earn(std::initializer_list<std::uint32_t> pieces) {
    std::vector<Receipt> made;
    for (const auto index : pieces) made.push_back(receipt(key_named("alice"), key_named("bob"), index));
    const auto outcome = tracker.report("alice", made);
    ASSERT_TRUE(outcome.ok()) << outcome.error().text();
    ASSERT_EQ(outcome->accepted, pieces.size());
  }
  base::Result<Publication> publish(const std::string& name = "alice", const Address& at = kContract) {
    mined();
    return publisher->publish(at, name, deadline());
  }
  base::Result<FormerSums> recall(const Address& at = kContract) {
    mined();
    return publisher->recall(at, "alice", deadline());
  }
  FormerSums former() { return publisher->former(tracker.ledger().member("alice").value()); }
  static FormerSums up(std::uint64_t bytes) { return {.uploaded = bytes, .downloaded = 0}; }
  std::uint64_t uploaded(const Address& at = kContract) { return entries[at]["alice"].upload_size; }
  base::Deadline deadline() const { return std::max(chain_clock.steady(), clock.steady()) + std::chrono::seconds(60); }
  ReputationUser of_alice(std::uint64_t up) const {
    return {"alice", "", member_hash(key_named("alice").public_key().encoded()), 0, up};
  }

  Nodes nodes{1};
  chain::testing::TestClock chain_clock{Branch::time(100) + 5};
  state::testing::ManualClock clock{kNow};
  testing::Tracker tracker{clock};
  std::unique_ptr<chain::QuorumReader> reader;
  std::optional<Interrupted> interrupted;
  std::optional<ReputationChain> chain;
  std::unique_ptr<Publisher> publisher;
  std::map<Address, std::map<std::string, ReputationUser>> entries;
  std::optional<ReputationUser> taken_by_another;
  Address referrer{};
  Address owner = kAccount;
  bool genuine = true;  ///< the factory has made the referrer
  bool trusted = true;  ///< and its owner is attested, or vouched for
  std::vector<ReputationUser> waiting;
  std::vector<std::string> looked_up;  ///< at referrers
  std::counting_semaphore<> looking{0};
  int sent = 0;
  std::function<void()> before_sending;  ///< of an addition, once
  bool overloaded_about_owners = false;
  bool stuck = false;  ///< additions wait, and are in no block yet
  bool lost = false;   ///< transactions are taken, and nobody hears of them
};

TEST_F(PublicationTest, OnlyWhatIsNewIsSent) {
  const auto nothing = publish();
  ASSERT_TRUE(nothing.ok()) << nothing.error().text();
  EXPECT_FALSE(nothing->receipt);
  EXPECT_EQ(sent, 0);
  earn({1, 2});
  const auto first = publish();
  ASSERT_TRUE(first.ok()) << first.error().text();
  EXPECT_TRUE(first->receipt);
  EXPECT_EQ(entries[kContract]["alice"], of_alice(2 * kPiece));
  EXPECT_FALSE(publish()->receipt);
  earn({3});
  EXPECT_EQ(publisher->due(kContract, "", 10).value(), (std::vector<std::string>{"alice", "bob"}));
  EXPECT_EQ(publisher->due(kContract, "alice", 10).value(), std::vector<std::string>{"bob"});
  EXPECT_EQ(publisher->due(kContract, "", 1).value(), std::vector<std::string>{"alice"});
  EXPECT_EQ(publisher->due(kContract, "", 10, kPiece).value(), (std::vector<std::string>{"alice", "bob"}));
  EXPECT_EQ(publisher->due(kContract, "", 10, kPiece + 1).value(), std::vector<std::string>{"bob"}) << "since the last";
  EXPECT_TRUE(publisher->due(kContract, "", 10, 3 * kPiece + 1).value().empty());
  EXPECT_EQ(publish()->uploaded, 3 * kPiece);
  EXPECT_EQ(sent, 2);
  EXPECT_EQ(publisher->due(kContract, "", 10).value(), std::vector<std::string>{"bob"});
  EXPECT_EQ(publish("mallory").error().code, Code::not_found);
}

TEST_F(PublicationTest, AnAdditionThatNobodyHeardOfCountsOnce) {
  earn({1});
  lost = true;
  EXPECT_EQ(publish().error().code, Code::deadline_exceeded);
  lost = false;
  earn({2});
  ASSERT_TRUE(publish().ok());
  EXPECT_EQ(uploaded(), 2 * kPiece);
}

TEST_F(PublicationTest, AnAdditionThatIsStuckIsSentAgainAsItWas) {
  earn({1});
  stuck = true;
  EXPECT_EQ(publish().error().code, Code::deadline_exceeded);
  earn({2});
  EXPECT_EQ(publish().error().code, Code::deadline_exceeded);
  ASSERT_EQ(waiting.size(), 2U);
  EXPECT_EQ(waiting.back(), waiting.front());
  stuck = false;
  entries[kContract]["alice"] = waiting.front();
  ASSERT_TRUE(publish().ok());
  EXPECT_EQ(uploaded(), 2 * kPiece);
}

TEST_F(PublicationTest, WhatIsEarnedAfterAStuckAdditionFollowsIt) {
  earn({1});
  stuck = true;
  EXPECT_EQ(publish().error().code, Code::deadline_exceeded);
  stuck = false;
  earn({2});
  ASSERT_TRUE(publish().ok());
  EXPECT_EQ(uploaded(), kPiece);
  EXPECT_EQ(publisher->due(kContract, "", 1).value(), std::vector<std::string>{"alice"});
  ASSERT_TRUE(publish().ok());
  EXPECT_EQ(uploaded(), 2 * kPiece);
}

TEST_F(PublicationTest, AnUpdateThatNobodyHeardOfCountsOnce) {
  referrer = kOther;
  entries[kOther]["alice"] = of_alice(1000);
  earn({1});
  lost = true;
  EXPECT_EQ(publish().error().code, Code::deadline_exceeded);
  EXPECT_EQ(uploaded(), 1000 + kPiece);
  lost = false;
  ASSERT_TRUE(publish().ok());
  EXPECT_EQ(uploaded(), 1000 + kPiece);
  earn({2});
  ASSERT_TRUE(publish().ok());
  EXPECT_EQ(uploaded(), 1000 + 2 * kPiece);
}

TEST_F(PublicationTest, AnAdditionThatCameTooLateIsForgotten) {
  earn({1});
  // Somebody had her taken over from elsewhere in between.
  taken_by_another = of_alice(1000);
  EXPECT_EQ(publish().error().code, Code::denied);
  taken_by_another.reset();
  ASSERT_TRUE(publish().ok());
  EXPECT_EQ(uploaded(), 1000 + kPiece);
}

TEST_F(PublicationTest, AContractThatFollowsTheOwnOneHasWhatWasPublishedThere) {
  earn({1, 2});
  ASSERT_TRUE(publish().ok());
  referrer = kContract;
  earn({3});
  ASSERT_TRUE(publish("alice", kOther).ok());
  EXPECT_EQ(uploaded(kOther), 3 * kPiece);
}

TEST_F(PublicationTest, WhoMovesBeforeTheTrackerDoesLosesNothingAndIsForgivenNothing) {
  earn({1});
  ASSERT_TRUE(publish().ok());
  entries[kOther] = entries[kContract];
  earn({2});
  ASSERT_TRUE(publish().ok());
  ASSERT_TRUE(publish("alice", kOther).ok());
  EXPECT_EQ(uploaded(kOther), 2 * kPiece);
  EXPECT_FALSE(publish("alice", kOther)->receipt);
}

TEST_F(PublicationTest, AnUpdateThatNobodyHeardOfCountsOnceAtTheNextContract) {
  earn({1});
  ASSERT_TRUE(publish().ok());
  earn({2});
  lost = true;
  EXPECT_EQ(publish().error().code, Code::deadline_exceeded);
  lost = false;
  entries[kOther] = entries[kContract];
  ASSERT_TRUE(publish("alice", kOther).ok());
  EXPECT_EQ(uploaded(kOther), 2 * kPiece);
}

TEST_F(PublicationTest, AnAdditionThatAReorganisationDropsIsMadeAgain) {
  ASSERT_TRUE(publisher->add(kContract, of_alice(1000), deadline()).ok());
  entries[kContract].clear();
  earn({1});
  const auto dropped = publish();
  EXPECT_EQ(dropped.error().code, Code::conflict) << dropped.error().text();
  EXPECT_THAT(dropped.error().text(), HasSubstr("no longer in the chain"));
  ASSERT_TRUE(publish().ok());
  EXPECT_EQ(uploaded(), 1000 + kPiece);
  earn({2});
  ASSERT_TRUE(publish().ok());
  EXPECT_EQ(uploaded(), 1000 + 2 * kPiece);
}

TEST_F(PublicationTest, AnAdditionThatComesBackAfterAReorganisationCountsOnce) {
  earn({1});
  ASSERT_TRUE(publish().ok());
  const auto added = entries[kContract]["alice"];
  entries[kContract].clear();
  earn({2});
  EXPECT_EQ(publish().error().code, Code::conflict);
  stuck = true;
  EXPECT_EQ(publish().error().code, Code::deadline_exceeded);
  entries[kContract]["alice"] = added;
  ASSERT_TRUE(publish().ok());
  EXPECT_EQ(uploaded(), 2 * kPiece);
}

TEST_F(PublicationTest, TheNameOfAnotherIsNotWritten) {
  earn({1});
  entries[kContract]["alice"] = {"alice", "", Word{0x05}, 0, 1 << 30};
  const auto refused = publish();
  EXPECT_EQ(refused.error().code, Code::denied);
  EXPECT_THAT(refused.error().text(), HasSubstr("not known to be this member's"));
  EXPECT_EQ(sent, 0);
  ASSERT_TRUE(publisher->update(kContract, "alice", 0, 5, deadline()).ok());
  earn({2});
  ASSERT_TRUE(publish().ok());
  EXPECT_EQ(uploaded(), 5 + kPiece);
}

TEST_F(PublicationTest, WhoComesAfterAnOperatorsEntryDoesNotGetIt) {
  ASSERT_TRUE(publisher->add(kContract, {"carol", "", Word{0x05}, 0, 1 << 30}, deadline()).ok());
  ASSERT_TRUE(tracker.enrol("carol", key_named("carol")).ok());
  EXPECT_EQ(publish("carol").error().code, Code::denied);
}

TEST_F(PublicationTest, WhatAFormerTrackerWroteIsKnown) {
  referrer = kOther;
  EXPECT_EQ(recall().value(), FormerSums{});
  entries[kOther]["alice"] = of_alice(1000);
  EXPECT_EQ(former(), FormerSums{}) << "from memory";
  EXPECT_EQ(recall().value(), up(1000));
  EXPECT_EQ(former(), up(1000));
  EXPECT_EQ(publisher->former(tracker.ledger().member("bob").value()), FormerSums{});
  // He goes on there until he is taken over; from then on what is written there changes nothing.
  entries[kOther]["alice"] = of_alice(2000);
  EXPECT_EQ(recall().value(), up(2000));
  earn({1});
  ASSERT_TRUE(publish().ok());
  EXPECT_EQ(uploaded(), 2000 + kPiece);
  entries[kOther]["alice"] = of_alice(3000);
  EXPECT_EQ(recall().value(), up(2000));
  earn({2});
  ASSERT_TRUE(publish().ok());
  EXPECT_EQ(former(), up(2000)) << "what this tracker has published is not from before";
  EXPECT_EQ(publisher->recall(kContract, "mallory", deadline()).error().code, Code::not_found);
}

TEST_F(PublicationTest, FormerSumsCountInTheRatio) {
  const Member member{.user_id = "alice", .uploaded = 10, .downloaded = 100};
  EXPECT_EQ(ratio_of(member, {}).value, 0.1);
  EXPECT_EQ(ratio_of(member, {.uploaded = 190, .downloaded = 100}).value, 1);
  EXPECT_TRUE(ratio_of(Member{.user_id = "alice"}, up(1)).infinite);
  EXPECT_EQ(ratio_of(member, {.uploaded = UINT64_MAX, .downloaded = UINT64_MAX}).value, 1);
}

TEST_F(PublicationTest, WhatIsKnownOfFormerTrackersSurvivesARestartAndAnOutage) {
  referrer = kOther;
  entries[kOther]["alice"] = of_alice(1000);
  ASSERT_TRUE(recall().ok());
  restart();
  EXPECT_EQ(former(), up(1000));
  // Taken over, as well.
  ASSERT_TRUE(publisher->migrate(kContract, "alice", deadline()).ok());
  restart();
  EXPECT_EQ(former(), up(1000));
  nodes.each([](Node& node) { node.dead = true; });
  EXPECT_EQ(former(), up(1000));
  EXPECT_EQ(publisher->recall(kContract, "alice", deadline()).value(), up(1000)) << "it is known for good";
}

TEST_F(PublicationTest, AnOutageIsNoDenial) {
  referrer = kOther;
  entries[kOther]["alice"] = of_alice(1000);
  ASSERT_TRUE(recall().ok());
  nodes.each([](Node& node) { node.dead = true; });
  EXPECT_EQ(publisher->recall(kContract, "alice", deadline()).error().code, Code::unavailable);
  EXPECT_EQ(former(), up(1000));
}

TEST_F(PublicationTest, AMigrationSettlesWhatIsFromBefore) {
  referrer = kOther;
  entries[kOther]["alice"] = of_alice(1000);
  earn({1});
  ASSERT_TRUE(publisher->migrate(kContract, "alice", deadline()).ok());
  EXPECT_EQ(former(), up(1000));
  ASSERT_TRUE(publish().ok());
  EXPECT_EQ(uploaded(), 1000 + kPiece);
}

TEST_F(PublicationTest, AMigrationWhoseContractsOwnerIsNotKnownSaysSo) {
  referrer = kOther;
  entries[kOther]["alice"] = of_alice(1000);
  overloaded_about_owners = true;
  const auto moved = publisher->migrate(kContract, "alice", deadline());
  ASSERT_FALSE(moved.ok());
  EXPECT_EQ(moved.error().code, Code::unavailable);
  EXPECT_THAT(moved.error().text(), HasSubstr("moved by the transaction"));
  overloaded_about_owners = false;
  nodes.each([](Node& node) { node.body.reset(); });
  EXPECT_EQ(recall().value(), up(1000));
}

TEST_F(PublicationTest, WhoIsRecalledWaitsForNoPublication) {
  referrer = kOther;
  entries[kOther]["alice"] = of_alice(1000);
  earn({1});
  std::future<base::Result<FormerSums>> recalled;
  before_sending = [&] {
    recalled = std::async(std::launch::async, [this] { return publisher->recall(kContract, "alice", deadline()); });
    EXPECT_EQ(recalled.wait_for(std::chrono::seconds(60)), std::future_status::ready);
  };
  ASSERT_TRUE(publish("bob").ok());
  EXPECT_EQ(recalled.get().value(), up(1000));
}

TEST_F(PublicationTest, WhoIsRecalledWhileHeIsWrittenKeepsWhatWasWritten) {
  entries[kContract]["alice"] = of_alice(1000);
  // That is what is recalled, and before it is stored an operator says something else.
  interrupted->after_call = [this] { EXPECT_TRUE(publisher->update(kContract, "alice", 0, 5, deadline()).ok()); };
  EXPECT_EQ(recall().value(), up(5));
  restart();
  EXPECT_EQ(former(), up(5));
}

TEST_F(PublicationTest, WhatIsInTheStoreCountsWhateverTheStoreSaid) {
  referrer = kOther;
  entries[kOther]["alice"] = of_alice(1000);
  const auto broken = [](const state::ReadView&) -> base::Status { return Error{Code::io, "no checkpoint"}; };
  tracker.store().set_after_commit(broken);
  EXPECT_FALSE(recall().ok());
  EXPECT_EQ(former(), up(1000)) << "as it would be after a restart";
  EXPECT_EQ(recall().value(), up(1000));
  EXPECT_FALSE(publisher->add(kContract, of_alice(5), deadline()).ok());
  EXPECT_EQ(former(), up(5));
  EXPECT_EQ(recall().value(), up(5));
  tracker.store().set_after_commit({});
}

TEST_F(PublicationTest, WhatAnotherKeyEarnedIsNotHis) {
  referrer = kOther;
  entries[kOther]["alice"] = {"alice", "", Word{0x05}, 0, 1 << 30};
  EXPECT_EQ(recall().value(), FormerSums{});
  ASSERT_TRUE(publisher->migrate(kContract, "alice", deadline()).ok());
  EXPECT_EQ(former(), FormerSums{});
  EXPECT_EQ(recall().value(), FormerSums{});
  // Nor where he was before, once the name is another's here.
  entries[kContract].clear();
  entries[kOther]["alice"] = of_alice(1000);
  EXPECT_EQ(recall().value(), up(1000));
  entries[kContract]["alice"] = {"alice", "", Word{0x05}, 0, 1 << 30};
  EXPECT_EQ(recall().value(), FormerSums{});
}

TEST_F(PublicationTest, OnlyATrustedReferrerIsBelieved) {
  referrer = kOther;
  trusted = false;
  entries[kOther]["alice"] = of_alice(1000);
  EXPECT_EQ(recall().value(), FormerSums{});
  trusted = true;
  EXPECT_EQ(recall().value(), up(1000));
  // Its owner has another key now, and is not attested yet: nothing new is believed, nothing old forgotten.
  trusted = false;
  entries[kOther]["alice"] = of_alice(1 << 30);
  EXPECT_EQ(recall().value(), up(1000));
  restart();
  EXPECT_EQ(former(), up(1000));
  // The owner takes it back.
  referrer = {};
  EXPECT_EQ(recall().value(), FormerSums{});
  restart();
  EXPECT_EQ(former(), FormerSums{});
}

TEST_F(PublicationTest, AnotherFactorysReferrerIsAskedForWhatItHasItself) {
  referrer = kOther;
  genuine = false;
  entries[kOther]["alice"] = of_alice(1000);
  EXPECT_EQ(recall().value(), up(1000));
}

TEST_F(PublicationTest, AContractThatIsAnothersIsNotBelieved) {
  entries[kContract]["alice"] = of_alice(1 << 30);
  owner = kOther;
  EXPECT_EQ(recall().error().code, Code::denied);
  referrer = kOther;
  entries[kContract].clear();
  entries[kOther]["alice"] = of_alice(1000);
  EXPECT_EQ(recall().error().code, Code::denied);
  EXPECT_EQ(publish().error().code, Code::denied);
  ASSERT_TRUE(publisher->migrate(kContract, "alice", deadline()).ok()) << "which anybody may";
  EXPECT_EQ(recall().error().code, Code::denied);
  EXPECT_EQ(former(), FormerSums{});
  entries[kContract].clear();
  // It was offered to this account, which has taken it.
  owner = kAccount;
  EXPECT_EQ(recall().value(), up(1000));
  owner = kOther;
  entries[kOther]["alice"] = of_alice(1 << 30);
  EXPECT_EQ(recall().error().code, Code::denied);
  EXPECT_EQ(former(), up(1000));
}

TEST_F(PublicationTest, WhatThisTrackerHasPublishedIsNotFromBefore) {
  earn({1});
  lost = true;
  EXPECT_EQ(publish().error().code, Code::deadline_exceeded);
  lost = false;
  // Neither in a contract that follows the one where it was added, and nobody knows yet that it was,
  referrer = kContract;
  EXPECT_EQ(recall(kOther).value(), FormerSums{});
  referrer = {};
  // nor in that itself.
  EXPECT_EQ(recall().value(), FormerSums{});
  earn({2});
  ASSERT_TRUE(publish().ok());
  EXPECT_EQ(uploaded(), 2 * kPiece);
  EXPECT_EQ(recall().value(), FormerSums{});
}

TEST_F(PublicationTest, WhoIsTakenOverInPlaceOfAnAdditionHasWhatHeHadThere) {
  earn({1});
  stuck = true;
  EXPECT_EQ(publish().error().code, Code::deadline_exceeded);
  stuck = false;
  // As much as was to be added, and yet not that.
  referrer = kOther;
  entries[kOther]["alice"] = of_alice(kPiece);
  ASSERT_TRUE(publish().ok());
  EXPECT_EQ(uploaded(), 2 * kPiece);
  EXPECT_EQ(former(), up(kPiece));
}

TEST_F(PublicationTest, WhatAnOperatorSetsBeyondTheLedgerCountsAndLessTakesNothingAway) {
  earn({1});
  ASSERT_TRUE(publisher->add(kContract, of_alice(1000), deadline()).ok());
  EXPECT_EQ(former(), up(1000));
  ASSERT_TRUE(publisher->update(kContract, "alice", 7, 500 + kPiece, deadline()).ok());
  EXPECT_EQ(former(), (FormerSums{.uploaded = 500, .downloaded = 7}));
  ASSERT_TRUE(publisher->update(kContract, "alice", 0, 5, deadline()).ok());
  EXPECT_EQ(former(), FormerSums{});
  restart();
  EXPECT_EQ(former(), FormerSums{});
}

TEST_F(PublicationTest, AContractWithoutAReferrerGetsWhatIsKnownFromBefore) {
  ASSERT_TRUE(publisher->add(kContract, of_alice(1000), deadline()).ok());
  earn({1});
  ASSERT_TRUE(publish("alice", kOther).ok());
  EXPECT_EQ(uploaded(kOther), 1000 + kPiece);
  EXPECT_EQ(former(), up(1000));
}

TEST_F(PublicationTest, WhoIsWantedIsAskedForOnAThreadOfItsOwnAndNotAgain) {
  const auto look = [this] { return looking.try_acquire_for(std::chrono::seconds(60)); };
  referrer = kOther;
  entries[kOther]["alice"] = of_alice(1000);
  mined();
  nodes.each([](Node& node) { node.dead = true; });
  using Turn = Recollection::Turn;
  const std::chrono::milliseconds soon{1};
  Recollection recollection(*publisher, chain_clock, {.first_pause = soon, .longest_pause = soon});
  const auto rounds = nodes.rounds();
  recollection.want("alice", Turn::first);
  recollection.follow(kContract);
  while (nodes.rounds() == rounds) std::this_thread::yield();
  EXPECT_EQ(recollection.former(tracker.ledger().member("alice").value()), FormerSums{});
  // Nobody has to ask again when the chain is back.
  nodes.each([](Node& node) { node.dead = false; });
  ASSERT_TRUE(look());
  recollection.want("alice", Turn::first);
  recollection.want("mallory", Turn::first);  // no member
  recollection.want("bob", Turn::last);
  ASSERT_TRUE(look());
  recollection.stop();
  EXPECT_EQ(looked_up, (std::vector<std::string>{"alice", "bob"}));
  EXPECT_EQ(former(), up(1000));
}

TEST_F(PublicationTest, FormerSumsThatNobodyCanHaveAreRefused) {
  referrer = kOther;
  entries[kOther]["alice"] = of_alice(1ULL << 63);
  EXPECT_EQ(recall().error().code, Code::too_large);
  EXPECT_EQ(former(), FormerSums{});
}

TEST_F(PublicationTest, NothingIsLowered) {
  earn({1});
  ASSERT_TRUE(publish().ok());
  earn({2});
  // As after a store was restored from an older copy.
  entries[kContract]["alice"].upload_size = 7 * kPiece;
  EXPECT_EQ(publish().error().code, Code::conflict);
  EXPECT_EQ(uploaded(), 7 * kPiece);
}

}  // namespace
}  // namespace attestry::tracker
