// A standby's copy: the same keys, the same bans and sessions, after every way in which copying can be interrupted.
#include "secrets/keystore_copy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

#include "audit/testing/support.h"
#include "base/encoding.h"
#include "secrets/testing/keystore_device.h"
#include "state/keys.h"

namespace attestry::secrets {
namespace {

using base::Code;
using base::Result;
using base::Status;
using state::Key;
using state::Space;
using state::testing::patient;

crypto::Secret secret(std::uint8_t byte) { return crypto::Secret::copy_of(base::Bytes(32, byte)); }

/// A whole server but for the network; `number` is its root and its device.
class Server {
 public:
  Server(std::uint8_t number, ReplicaRole role, std::size_t part_bytes = 16u << 20)
      : number_(number), role_(role), part_bytes_(part_bytes) {
    start();
  }
  void start() {
    fence_ = std::move(*ReplicaFence::open(*store_, crypto::system_random(), {.first = role_}));
    feed_ = std::make_unique<KeystoreFeed>(*store_, crypto::system_random(),
                                           KeystoreFeedOptions{.may_serve = [this] { return fence_->may_serve(); },
                                                               .sync = [this] { return sync.load(); }});
    auto masters = KeystoreMasters::open({*feed_, *log_, epochs_, crypto::system_random()},
                                         {.first = secret(number_),
                                          .source = derived_source(secret(number_), crypto::system_random()),
                                          .device = std::make_shared<testing::StandInDevice>("tpm2", number_),
                                          .wait_for_import = role_ == ReplicaRole::standby,
                                          .gate = [this] { return fence_->may_serve(); }});
    ASSERT_TRUE(masters.ok()) << masters.error().text();
    masters_ = std::move(*masters);
    // How sessions are sealed is theirs; here it is the server's number in front.
    copy_ = std::make_unique<KeystoreCopy>(
        KeystoreCopyParts{.store = *store_,
                          .feed = *feed_,
                          .masters = *masters_,
                          .fence = *fence_,
                          .carry_session = [this](base::ByteView, base::ByteView value) -> Result<crypto::Secret> {
                            if (value.empty() || value[0] != number_)
                              return base::Error{Code::corrupt, "another server's"};
                            return crypto::Secret::copy_of(value.subspan(1));
                          },
                          .take_session = [this](base::ByteView, base::ByteView carried) -> Result<base::Bytes> {
                            base::Bytes out{number_};
                            base::append(out, carried);
                            return out;
                          },
                          .part_bytes = part_bytes_});
  }
  void restart() {
    copy_.reset();
    masters_.reset();
    feed_.reset();
    start();
  }
  Status put(const Key& key, std::string_view value) {
    base::Bytes bytes;
    if (key.bytes()[0] == static_cast<std::uint8_t>(Space::keystore_sessions)) bytes.push_back(number_);
    base::append(bytes, base::as_bytes(value));
    return feed_->write_and_wait([&](state::WriteTxn& txn) { return txn.put(key, bytes); }, patient());
  }
  Status erase(const Key& key) {
    return feed_->write_and_wait([&](state::WriteTxn& txn) { return txn.erase(key); }, patient());
  }
  std::string value(const Key& key) const {
    const auto found = *(*store_->read())->get(key);
    return found ? std::string{base::as_text(*found)} : "none";
  }
  std::string master(std::uint32_t epoch = 0, std::string_view vault = {}) const {
    const auto found = masters_->master(vault, epoch);
    return found ? base::hex((*found)->reveal()) : std::string{base::slug(found.error().code)};
  }
  Status ban(const std::string& vault) {
    std::promise<Status> said;
    masters_->ban(vault, "why", [&](Status done) { said.set_value(std::move(done)); });
    return said.get_future().get();
  }
  /// Of every master and key that it has, however little it serves.
  std::vector<std::string> keys() const {
    const auto bundle = *masters_->bundle();
    std::vector<std::string> out{base::hex(bundle.v0_seed.reveal())};
    for (const auto& one : bundle.masters) out.push_back(std::to_string(one.epoch) + base::hex(one.master.reveal()));
    return out;
  }
  std::atomic<bool> sync{false};
  KeystoreFeed& feed() { return *feed_; }
  ReplicaFence& fence() { return *fence_; }
  KeystoreMasters& masters() { return *masters_; }
  const KeystoreCopy& copy() const { return *copy_; }

 private:
  const std::uint8_t number_;
  const ReplicaRole role_;
  const std::size_t part_bytes_;
  state::testing::TempFolder folder_;
  std::unique_ptr<state::Store> store_ =
      *state::Store::open({.path = folder_.file("store.db"), .realm = base::Realm::simulated});
  std::unique_ptr<audit::Log> log_ =
      *audit::Log::open(*store_, audit::testing::log_key(),
                        {.origin = audit::testing::kOrigin, .checkpoint_path = folder_.file("checkpoint")});
  keys::SealingEpochs epochs_{*store_, secret(static_cast<std::uint8_t>(number_ + 100)), crypto::system_random()};
  std::unique_ptr<ReplicaFence> fence_;
  std::unique_ptr<KeystoreFeed> feed_;
  std::unique_ptr<KeystoreMasters> masters_;
  std::unique_ptr<KeystoreCopy> copy_;
};

/// As a standby does it: asks, keeps, confirms.
class Following {
 public:
  Following(Server& from, Server& to) : from_(from), to_(to), thread_([this] { run(); }) {}
  ~Following() {
    ended_ = true;
    thread_.join();
  }
  Following(const Following&) = delete;
  Following& operator=(const Following&) = delete;

 private:
  void run() {
    while (!ended_) {
      const auto position = to_.fence().state().position;
      from_.feed().acknowledge(position);
      from_.feed().wait_beyond(position, std::chrono::steady_clock::now() + std::chrono::milliseconds(20));
      auto batch = from_.copy().collect(position, copying_);
      ASSERT_TRUE(batch.ok()) << batch.error().text();
      if (batch->until == position) continue;
      const auto done = to_.copy().apply(*std::move(batch), copying_, patient());
      ASSERT_TRUE(done.ok()) << done.error().text();
    }
  }
  Server& from_;
  Server& to_;
  std::optional<ReplicaCursor> copying_;
  std::atomic<bool> ended_{false};
  std::thread thread_;
};

class KeystoreCopyTest : public ::testing::Test {
 protected:
  Server primary_{1, ReplicaRole::primary};
  Server standby_{2, ReplicaRole::standby};

  static Key session(std::string_view name) { return Key(Space::keystore_sessions).lp(name); }
  static Key job(std::string_view name) { return Key(Space::keystore_state).lp("job").lp(name); }
  /// One question and its answer, as they travel. `copying_` is there when more is to be asked.
  Status ask(Server& from, Server& to) {
    const auto question =
        encode(ReplicaQuestion{.claim = {}, .position = to.fence().state().position, .copying = copying_});
    TRY(const auto asked, parse_replica_question(question));
    EXPECT_EQ(encode(asked), question);
    TRY(auto batch, from.copy().collect(asked.position, asked.copying));
    const auto bytes = encode(ReplicaAnswer{.reply = {}, .batch = std::move(batch)});
    largest_ = std::max(largest_, bytes.size());
    TRY(auto read, parse_replica_answer(bytes.reveal()));
    EXPECT_TRUE(base::equal(encode(read).reveal(), bytes.reveal()));
    return to.copy().apply(*std::move(read.batch), copying_, patient());
  }
  Status follow(Server& from, Server& to) {
    copying_.reset();
    parts_ = 0;
    do {
      TRY_OK(ask(from, to));
      ++parts_;
    } while (copying_);
    return base::done();
  }
  std::optional<ReplicaCursor> copying_;
  int parts_ = 0;
  std::size_t largest_ = 0;
  void expect_followed() {
    const auto done = follow(primary_, standby_);
    ASSERT_TRUE(done.ok()) << done.error().text();
  }
};

TEST_F(KeystoreCopyTest, AStandbyHasTheSameKeysOnlyOnceItIsPromoted) {
  ASSERT_TRUE(primary_.put(session("a"), "worker").ok());
  EXPECT_EQ(standby_.master(), "unavailable");
  expect_followed();
  EXPECT_EQ(standby_.master(), "unavailable") << "it holds them, and gives them to nobody";
  EXPECT_EQ(standby_.ban("v").error().code, Code::unavailable);
  ASSERT_TRUE(standby_.fence().promote(true, patient()).ok());
  EXPECT_EQ(standby_.master(), primary_.master());
  EXPECT_EQ(standby_.master(0, "vault.near"), primary_.master(0, "vault.near"));
  EXPECT_EQ(standby_.value(session("a")), "\2worker") << "sealed anew";
  standby_.restart();
  EXPECT_EQ(standby_.master(), primary_.master());
}

TEST_F(KeystoreCopyTest, ChangesFollow) {
  ASSERT_TRUE(primary_.put(session("a"), "worker").ok());
  ASSERT_TRUE(primary_.put(job("j"), "half").ok());
  expect_followed();
  ASSERT_TRUE(primary_.put(session("b"), "other").ok());
  ASSERT_TRUE(primary_.erase(session("a")).ok());
  ASSERT_TRUE(primary_.put(job("j"), "done").ok());
  ASSERT_TRUE(primary_.ban("evil.near").ok());
  ASSERT_TRUE(primary_.masters().begin_epoch(patient()).ok());
  const auto batch = *primary_.copy().collect(standby_.fence().state().position);
  EXPECT_FALSE(batch.whole);
  expect_followed();
  EXPECT_EQ(standby_.value(session("a")), "none");
  EXPECT_EQ(standby_.value(session("b")), "\2other");
  EXPECT_EQ(standby_.value(job("j")), "done");
  ASSERT_TRUE(standby_.fence().promote(true, patient()).ok());
  ASSERT_TRUE(standby_.masters().reload_bans().ok());
  EXPECT_EQ(standby_.master(1), primary_.master(1));
  EXPECT_EQ(standby_.master(2), primary_.master(2));
  EXPECT_EQ(standby_.master(0, "evil.near"), "denied");
}

TEST_F(KeystoreCopyTest, MastersThatAreAcknowledgedAreAtTheStandby) {
  expect_followed();
  Server other{3, ReplicaRole::primary};
  primary_.sync = true;
  const Following following(primary_, standby_);
  ASSERT_TRUE(primary_.masters().begin_epoch(patient()).ok());
  EXPECT_EQ(standby_.keys(), primary_.keys()) << "a rotation";
  ASSERT_TRUE(primary_.masters().retire_before(2, {}, patient()).ok());
  EXPECT_EQ(standby_.keys(), primary_.keys()) << "a retirement";
  ASSERT_TRUE(primary_.masters().import(*other.masters().bundle(), true, patient()).ok());
  EXPECT_EQ(standby_.keys(), primary_.keys()) << "a restoration";
  EXPECT_EQ(standby_.keys(), other.keys());
}

TEST_F(KeystoreCopyTest, TheLargestRecordsFollow) {
  // The list of ten thousand owners of one walk, and then some.
  const std::string list(4u << 20, 'o');
  const auto around = Key(Space::keystore_state).lp("").bytes().size();
  const auto longest = Key(Space::keystore_state).lp(std::string(kMostFollowedKey - around, 'k'));
  ASSERT_EQ(longest.bytes().size(), kMostFollowedKey);
  ASSERT_TRUE(primary_.put(job("owners"), list).ok());
  ASSERT_TRUE(primary_.put(longest, "x").ok());
  expect_followed();
  EXPECT_EQ(standby_.value(job("owners")), list);
  EXPECT_EQ(standby_.value(longest), "x");
  primary_.restart();
  expect_followed();
  EXPECT_EQ(standby_.value(longest), "x") << "as a whole copy, too";
}

/// A pair whose whole copies have parts of a few records.
class KeystoreCopyInPartsTest : public KeystoreCopyTest {
 protected:
  static constexpr std::size_t kPart = 400;
  static constexpr int kRows = 40;
  Server first_{4, ReplicaRole::primary, kPart};
  Server second_{5, ReplicaRole::standby, kPart};

  static Key row(int i) { return i % 2 == 0 ? session(std::to_string(100 + i)) : job(std::to_string(100 + i)); }
  void fill() {
    for (int i = 0; i < kRows; ++i) ASSERT_TRUE(first_.put(row(i), std::string(80, 'x')).ok());
  }
  void expect_equal() {
    for (int i = 0; i < kRows * 2; ++i) {
      auto there = second_.value(row(i));
      if (i % 2 == 0 && there != "none") there[0] = 4;  // how each seals sessions
      EXPECT_EQ(there, first_.value(row(i))) << i;
    }
    EXPECT_EQ(second_.keys(), first_.keys());
    EXPECT_TRUE(second_.fence().state().complete);
  }
};

TEST_F(KeystoreCopyInPartsTest, AWholeCopyComesInPartsThatAreSmall) {
  fill();
  ASSERT_TRUE(ask(first_, second_).ok());
  ASSERT_TRUE(copying_);
  EXPECT_FALSE(second_.fence().state().complete);
  EXPECT_EQ(second_.fence().promote(true, patient()).error().code, Code::unavailable) << "it has not got everything";
  ASSERT_TRUE(follow(first_, second_).ok());
  EXPECT_GT(parts_, 5);
  EXPECT_LT(largest_, 2 * kPart + 200) << "a part, and what is written around it";
  expect_equal();
  EXPECT_FALSE(first_.copy().collect(second_.fence().state().position)->whole);
}

TEST_F(KeystoreCopyInPartsTest, WhatChangesBetweenPartsIsThereInTheEnd) {
  fill();
  ASSERT_TRUE(second_.fence()
                  .followed(
                      {}, [](state::WriteTxn& txn) { return txn.put(row(77), base::Bytes{5}); }, patient())
                  .ok());
  int step = 0;
  do {
    ASSERT_TRUE(ask(first_, second_).ok());
    ++step;
    if (step == 1) {
      ASSERT_TRUE(first_.erase(row(0)).ok());
      ASSERT_TRUE(first_.put(row(2), "other").ok());
      ASSERT_TRUE(first_.put(session("0"), "before all others").ok());
    }
    if (step == 3) {
      ASSERT_TRUE(first_.erase(row(kRows - 1)).ok());
      ASSERT_TRUE(first_.put(row(kRows + 1), "new").ok());
      ASSERT_TRUE(first_.masters().begin_epoch(patient()).ok());
      ASSERT_TRUE(first_.masters().retire_before(2, {}, patient()).ok());
    }
  } while (copying_);
  EXPECT_GT(step, 5);
  EXPECT_EQ(second_.value(row(0)), "none");
  EXPECT_EQ(second_.value(session("0")), "\5before all others");
  EXPECT_EQ(second_.value(row(77)), "none") << "what the primary has not";
  expect_equal();
}

TEST_F(KeystoreCopyInPartsTest, ACopyThatIsInterruptedBeginsAnew) {
  fill();
  ASSERT_TRUE(follow(first_, second_).ok());
  const int whole = parts_;
  first_.restart();
  ASSERT_TRUE(ask(first_, second_).ok());
  EXPECT_FALSE(second_.fence().state().complete);
  const auto cursor = copying_;
  // The standby is killed: nothing says how far it was.
  second_.restart();
  ASSERT_TRUE(first_.masters().begin_epoch(patient()).ok());
  ASSERT_TRUE(first_.masters().retire_before(2, {}, patient()).ok());
  ASSERT_TRUE(follow(first_, second_).ok());
  EXPECT_EQ(parts_, whole);
  expect_equal();
  // The primary is: its feed knows nothing of the beginning.
  first_.restart();
  const auto anew = *first_.copy().collect(second_.fence().state().position, cursor);
  EXPECT_TRUE(anew.whole && anew.after.empty());
}

TEST_F(KeystoreCopyInPartsTest, ManyChangesComeInPartsToo) {
  ASSERT_TRUE(follow(first_, second_).ok());
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(first_.put(row(i), std::string(80, 'x')).ok());
  ASSERT_TRUE(follow(first_, second_).ok());
  EXPECT_EQ(parts_, 1) << "as changes";
  for (int i = 0; i < kRows; ++i) ASSERT_TRUE(first_.put(row(i), std::string(200, 'y')).ok());
  ASSERT_TRUE(follow(first_, second_).ok());
  EXPECT_GT(parts_, 5);
  EXPECT_LT(largest_, 2 * kPart + 400);
  expect_equal();
}

TEST_F(KeystoreCopyInPartsTest, OnlyTheNextPartIsTaken) {
  fill();
  ASSERT_TRUE(ask(first_, second_).ok());
  const auto cursor = *copying_;
  auto next = *first_.copy().collect({}, cursor);
  std::optional<ReplicaCursor> none;
  EXPECT_EQ(second_.copy().apply(std::move(next), none, patient()).error().code, Code::conflict);
  ASSERT_TRUE(ask(first_, second_).ok());
  EXPECT_EQ(second_.copy().apply(*first_.copy().collect({}, cursor), copying_, patient()).error().code, Code::conflict);
  ReplicaBatch part;
  part.whole = part.more = true;
  const auto parsed = [&] {
    ReplicaAnswer answer;
    answer.batch.emplace();
    answer.batch->whole = part.whole;
    answer.batch->more = part.more;
    answer.batch->after = part.after;
    for (const auto& one : part.rows) answer.batch->rows.push_back({.key = one.key, .value = secret(1)});
    return parse_replica_answer(encode(answer).reveal()).ok();
  };
  EXPECT_FALSE(parsed()) << "without records";
  part.rows.push_back({.key = session("a").bytes(), .value = {}});
  EXPECT_TRUE(parsed());
  part.after = session("a").bytes();
  EXPECT_FALSE(parsed()) << "that come before it";
  part.after = Key(Space::operators).lp("x").bytes();
  EXPECT_FALSE(parsed());
  part.after.clear();
  part.whole = false;
  EXPECT_FALSE(parsed()) << "of no whole copy";
}

TEST_F(KeystoreCopyTest, WhatAWalkEncryptedAnewStaysWhereItIs) {
  const auto result = Key(Space::keystore_state, base::Tenant::standard()).lp("recrypted").lp("a").lp("b").lp("c");
  ASSERT_TRUE(primary_.put(result, "blob").ok());
  expect_followed();
  EXPECT_EQ(standby_.value(result), "none");
  EXPECT_EQ(primary_.value(result), "blob");
  ReplicaAnswer answer;
  answer.batch.emplace();
  answer.batch->rows.push_back({.key = result.bytes(), .value = secret(1)});
  EXPECT_EQ(parse_replica_answer(encode(answer).reveal()).error().code, Code::malformed);
}

TEST_F(KeystoreCopyTest, ARestartedPrimaryIsCopiedAnewAndWhatItLacksGoes) {
  ASSERT_TRUE(primary_.put(session("a"), "worker").ok());
  ASSERT_TRUE(primary_.put(job("j"), "half").ok());
  expect_followed();
  ASSERT_TRUE(primary_.erase(session("a")).ok());
  primary_.restart();
  EXPECT_TRUE(primary_.copy().collect(standby_.fence().state().position)->whole);
  expect_followed();
  EXPECT_EQ(standby_.value(session("a")), "none");
  EXPECT_EQ(standby_.value(job("j")), "half");
  EXPECT_FALSE(primary_.copy().collect(standby_.fence().state().position)->whole);
}

TEST_F(KeystoreCopyTest, AStandbyThatWasKilledInBetweenAsksForTheSameAgain) {
  expect_followed();
  const auto before = standby_.fence().state().position;
  ASSERT_TRUE(primary_.masters().begin_epoch(patient()).ok());
  ASSERT_TRUE(primary_.put(session("a"), "worker").ok());
  // The masters are durable, and the process ends before the rows and the position are.
  auto batch = *primary_.copy().collect(before);
  ASSERT_TRUE(batch.masters);
  ASSERT_EQ(standby_.masters().import(*batch.masters, true, patient()).error().code, Code::unavailable)
      << "no change but by a primary's word";
  standby_.restart();
  EXPECT_EQ(standby_.fence().state().position, before);
  expect_followed();
  expect_followed();
  ASSERT_TRUE(standby_.fence().promote(true, patient()).ok());
  EXPECT_EQ(standby_.master(2), primary_.master(2));
}

TEST_F(KeystoreCopyTest, MastersOfItsOwnAreReplacedOnlyWhenAnOperatorSaysSo) {
  Server other{3, ReplicaRole::primary};
  const auto own = other.master();
  // It lost its place to a server of other masters, and an operator makes it the standby of that one.
  ASSERT_FALSE(*other.fence().heard({.role = ReplicaRole::primary, .term = 9, .id = {1}}, patient()));
  ASSERT_TRUE(other.fence().follow(false, patient()).ok());
  EXPECT_EQ(follow(primary_, other).error().code, Code::conflict);
  EXPECT_FALSE(other.fence().state().complete);
  ASSERT_TRUE(other.fence().follow(true, patient()).ok());
  ASSERT_TRUE(follow(primary_, other).ok());
  EXPECT_FALSE(other.fence().state().discard);
  ASSERT_TRUE(other.fence().promote(true, patient()).ok());
  EXPECT_EQ(other.master(), primary_.master());
  EXPECT_NE(other.master(), own);
}

TEST_F(KeystoreCopyTest, NothingIsTakenAfterATakeover) {
  expect_followed();
  ASSERT_TRUE(primary_.put(session("a"), "worker").ok());
  auto batch = *primary_.copy().collect(standby_.fence().state().position);
  ASSERT_TRUE(standby_.fence().promote(true, patient()).ok());
  EXPECT_EQ(standby_.copy().apply(std::move(batch), copying_, patient()).error().code, Code::conflict);
  EXPECT_EQ(standby_.value(session("a")), "none");
}

TEST_F(KeystoreCopyTest, QuestionsAndAnswersAreStrict) {
  ReplicaQuestion question{.claim = {.role = ReplicaRole::standby, .term = 3, .stamp = 9, .takeover_seconds = 30},
                           .position = {.feed = {7}, .change = 4}};
  const auto bytes = encode(question);
  ASSERT_TRUE(parse_replica_question(bytes).ok());
  EXPECT_EQ(encode(*parse_replica_question(bytes)), bytes);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(parse_replica_question(base::ByteView{bytes}.first(size)).ok()) << size;
  }
  const auto answer = [](base::Bytes key, bool whole) {
    ReplicaAnswer out;
    out.batch.emplace();
    out.batch->whole = whole;
    out.batch->rows.push_back({.key = std::move(key), .value = secret(1)});
    const auto encoded = encode(out);
    return parse_replica_answer(encoded.reveal());
  };
  EXPECT_TRUE(answer(session("a").bytes(), false).ok());
  EXPECT_EQ(answer(session("a").bytes(), true).error().code, Code::malformed) << "without masters";
  // A primary writes nothing else into a standby's store.
  for (const auto space : {Space::keystore_masters, Space::operators, Space::audit_head, Space::secrets}) {
    EXPECT_EQ(answer(Key(space).lp("x").bytes(), false).error().code, Code::malformed);
  }
  EXPECT_EQ(answer(Key(Space::keystore_state).lp("replica").bytes(), false).error().code, Code::malformed);
  EXPECT_EQ(answer({}, false).error().code, Code::malformed);
}

}  // namespace
}  // namespace attestry::secrets
