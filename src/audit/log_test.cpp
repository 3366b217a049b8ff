#include "audit/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <future>
#include <thread>

#include "audit/internal/records.h"
#include "audit/receipt.h"
#include "audit/testing/support.h"
#include "audit/verify.h"

namespace attestry::audit {
namespace {

using base::Code;
using state::testing::patient;
using ::testing::HasSubstr;
using testing::key_named;
using testing::kOrigin;
using testing::leaf_number;
using testing::log_key;

/// The machine's files, which can be told to fail as a full or vanished disk does.
class FlakyFiles final : public state::Files {
 public:
  bool fail_writes = false;
  bool fail_folder_syncs = false;
  int recreated = 0;
  base::Result<std::optional<base::Bytes>> read(const std::string& path, std::size_t limit) override {
    return state::system_files().read(path, limit);
  }
  base::Result<std::unique_ptr<state::OutputFile>> create(const std::string& path) override {
    if (fail_writes) return base::Error{Code::io, "no space left"};
    return state::system_files().create(path);
  }
  base::Status rename(const std::string& from, const std::string& to) override {
    return state::system_files().rename(from, to);
  }
  base::Result<std::unique_ptr<state::OutputFile>> recreate(const std::string& path) override {
    if (fail_writes) return base::Error{Code::io, "no space left"};
    ++recreated;
    return state::system_files().recreate(path);
  }
  base::Status exchange(const std::string& from, const std::string& to) override {
    return state::system_files().exchange(from, to);
  }
  base::Status sync_folder(const std::string& folder) override {
    if (fail_folder_syncs) return base::Error{Code::io, "disk away"};
    return state::system_files().sync_folder(folder);
  }
};

class LogTest : public ::testing::Test {
 protected:
  LogTest() { open(); }

  void close() {
    log_.reset();
    store_.reset();
  }
  base::Status try_open(LogOptions options, crypto::Ed25519PrivateKey key = log_key()) {
    close();
    state::StoreOptions store_options;
    store_options.path = folder_.file("store.db");
    store_options.realm = base::Realm::simulated;
    store_options.clock = &clock_;
    TRY(store_, state::Store::open(store_options));
    TRY(log_, Log::open(*store_, std::move(key), std::move(options)));
    return base::done();
  }
  LogOptions options() {
    LogOptions out;
    out.origin = kOrigin;
    out.checkpoint_path = folder_.file("checkpoint");
    out.files = &files_;
    return out;
  }
  void open() {
    const auto status = try_open(options());
    ASSERT_TRUE(status.ok()) << status.error().text();
  }
  base::Result<std::uint64_t> append(const Leaf& leaf) {
    std::uint64_t index = 0;
    TRY_OK(store_->write_and_wait(
        [&](state::WriteTxn& txn) -> base::Status {
          TRY(index, log_->append(txn, leaf));
          return base::done();
        },
        patient()));
    return index;
  }
  void append_until(std::uint64_t size) {
    for (std::uint64_t i = log_->head().size; i < size; ++i) ASSERT_EQ(*append(leaf_number(i)), i);
  }
  /// The database as it is on the disk now, as a backup would take it.
  void backup(const std::string& name) {
    close();
    std::filesystem::copy_file(folder_.file("store.db"), folder_.file(name));
    open();
  }
  void restore(const std::string& name) {
    close();
    for (const char* part : {"store.db-wal", "store.db-shm"}) std::filesystem::remove(folder_.file(part));
    std::filesystem::copy_file(folder_.file(name), folder_.file("store.db"),
                               std::filesystem::copy_options::overwrite_existing);
  }
  std::string outside() {
    const auto bytes = state::system_files().read(folder_.file("checkpoint"), 10'000);
    EXPECT_TRUE(bytes.ok() && *bytes);
    return std::string(base::as_text(**bytes));
  }
  void write_outside(const std::string& text) {
    ASSERT_TRUE(state::replace_file(state::system_files(), folder_.file("checkpoint"), base::as_bytes(text)).ok());
  }

  state::testing::TempFolder folder_;
  state::testing::ManualClock clock_{testing::kTime};
  FlakyFiles files_;
  std::unique_ptr<state::Store> store_;
  std::unique_ptr<Log> log_;
};

TEST_F(LogTest, ANewLogPublishesItsEmptyHead) {
  EXPECT_EQ(log_->head(), TreeHead{});
  const auto verified = verify_checkpoint(outside(), testing::trust_in(log_key()));
  ASSERT_TRUE(verified.ok());
  EXPECT_EQ(verified->checkpoint.head, TreeHead{});
}

TEST_F(LogTest, AfterAFailedPublicationNoFileIsWrittenThatTheDiskMayKnowAsTheCheckpoint) {
  append_until(2);
  files_.fail_folder_syncs = true;
  ASSERT_FALSE(append(leaf_number(2)).ok());
  files_.fail_folder_syncs = false;
  const int before = files_.recreated;
  ASSERT_TRUE(append(leaf_number(3)).ok());
  EXPECT_EQ(files_.recreated, before);
  ASSERT_TRUE(append(leaf_number(4)).ok());
  EXPECT_EQ(files_.recreated, before + 1);
  EXPECT_EQ(outside(), log_->checkpoint());
}

TEST_F(LogTest, EveryLeafHasAReceiptAsSoonAsItIsAcknowledged) {
  const LogTrust trust = testing::trust_in(log_key());
  for (std::uint64_t i = 0; i < 40; ++i) {
    ASSERT_EQ(*append(leaf_number(i)), i);
    EXPECT_EQ(outside(), log_->checkpoint());
    for (std::uint64_t j = 0; j <= i; ++j) {
      const auto receipt = log_->receipt(j);
      ASSERT_TRUE(receipt.ok()) << receipt.error().text();
      const auto verified = verify_receipt(*receipt, trust);
      ASSERT_TRUE(verified.ok()) << verified.error().text();
      EXPECT_EQ(verified->leaf, leaf_number(j));
      EXPECT_EQ(verified->head, log_->head());
    }
  }
  EXPECT_EQ(log_->receipt(40).error().code, Code::not_found);
  EXPECT_EQ(log_->leaf(40).error().code, Code::not_found);
  EXPECT_EQ(*log_->leaf(7), *leaf_number(7).encode());
}

TEST_F(LogTest, HeadsAreConsistent) {
  append_until(5);
  const TreeHead older = log_->head();
  append_until(23);
  const auto proof = log_->consistency(5, 23);
  ASSERT_TRUE(proof.ok());
  EXPECT_TRUE(verify_consistency(older, log_->head(), *proof));
  EXPECT_EQ(log_->consistency(5, 24).error().code, Code::not_found);
}

TEST_F(LogTest, GoesOnAfterReopening) {
  append_until(9);
  const TreeHead before = log_->head();
  open();
  EXPECT_EQ(log_->head(), before);
  append_until(12);
  EXPECT_TRUE(verify_receipt(*log_->receipt(3), testing::trust_in(log_key())).ok());
}

TEST_F(LogTest, ManyAppendersShareBatchesAndEachGetsItsOwnLeaf) {
  constexpr std::uint64_t kEach = 25, kThreads = 8;
  std::vector<std::jthread> threads;
  threads.reserve(kThreads);
  for (std::uint64_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([this, t] {
      for (std::uint64_t i = 0; i < kEach; ++i) {
        const Leaf leaf = leaf_number(1000 * t + i);
        const auto index = append(leaf);
        ASSERT_TRUE(index.ok());
        const auto verified = verify_receipt(*log_->receipt(*index), testing::trust_in(log_key()));
        ASSERT_TRUE(verified.ok()) << verified.error().text();
        EXPECT_EQ(verified->leaf, leaf);
      }
    });
  }
  threads.clear();
  EXPECT_EQ(log_->head().size, kEach * kThreads);
  EXPECT_TRUE(verify_log(**store_->read(), log_->checkpoint(), testing::trust_in(log_key())).ok());
}

TEST_F(LogTest, AReceiptCanBeMadeInTheCompletion) {
  std::promise<std::string> promise;
  auto index = std::make_shared<std::uint64_t>(0);
  store_->write(
      [this, index](state::WriteTxn& txn) -> base::Status {
        TRY(*index, log_->append(txn, leaf_number(0)));
        return base::done();
      },
      [&, index](base::Status status) {
        promise.set_value(status ? log_->receipt(*index).value_or("no receipt") : status.error().text());
      });
  EXPECT_TRUE(verify_receipt(promise.get_future().get(), testing::trust_in(log_key())).ok());
}

TEST_F(LogTest, ARefusedClosureLeavesNoLeaf) {
  append_until(3);
  const auto status = store_->write_and_wait(
      [&](state::WriteTxn& txn) -> base::Status {
        TRY_OK(log_->append(txn, leaf_number(3)));
        return base::Error{Code::denied, "no"};
      },
      patient());
  EXPECT_EQ(status.error().code, Code::denied);
  EXPECT_EQ(log_->head().size, 3u);
  append_until(5);
  EXPECT_TRUE(verify_log(**store_->read(), log_->checkpoint(), testing::trust_in(log_key())).ok());
}

TEST_F(LogTest, ALeafOfAnotherRealmOrLogIsAnError) {
  Leaf leaf = leaf_number(0);
  leaf.realm = base::Realm::production;
  EXPECT_EQ(append(leaf).error().code, Code::internal);
  leaf = leaf_number(0);
  leaf.audience = "another";
  EXPECT_EQ(append(leaf).error().code, Code::internal);
  leaf = leaf_number(0);
  leaf.reply = "x";
  EXPECT_EQ(append(leaf).error().code, Code::internal);
  EXPECT_EQ(log_->head().size, 0u);
}

TEST_F(LogTest, NothingIsAcknowledgedWhileTheCheckpointCannotBeStored) {
  append_until(2);
  const std::string before = log_->checkpoint();
  files_.fail_writes = true;
  EXPECT_EQ(append(leaf_number(2)).error().code, Code::unavailable);
  EXPECT_EQ(log_->checkpoint(), before);
  // The leaf is there, but nobody gets a receipt for it, not by asking again either.
  const auto receipt = log_->receipt(2);
  ASSERT_FALSE(receipt.ok());
  EXPECT_THAT(receipt.error().text(), HasSubstr("no space left"));
  EXPECT_TRUE(log_->receipt(1).ok());
  files_.fail_writes = false;
  EXPECT_TRUE(verify_receipt(*log_->receipt(2), testing::trust_in(log_key())).ok());
  EXPECT_EQ(*append(leaf_number(3)), 3u);
}

TEST_F(LogTest, ACrashBetweenCommitAndCheckpointIsMadeGoodAtTheNextStart) {
  append_until(2);
  files_.fail_writes = true;
  EXPECT_FALSE(append(leaf_number(2)).ok());
  files_.fail_writes = false;
  open();
  EXPECT_EQ(log_->head().size, 3u);
  EXPECT_EQ(outside(), log_->checkpoint());
}

TEST_F(LogTest, ARestoredBackupIsRefused) {
  append_until(4);
  backup("backup.db");
  append_until(7);
  restore("backup.db");
  const auto refused = try_open(options());
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Code::unavailable);
  EXPECT_THAT(refused.error().text(), HasSubstr("fork"));
}

TEST_F(LogTest, ARestoredBackupThatHasGrownAgainIsRefused) {
  append_until(4);
  backup("backup.db");
  append_until(7);
  const std::string newest = outside();
  restore("backup.db");
  std::filesystem::remove(folder_.file("checkpoint"));
  auto forked = options();
  forked.accept_missing_checkpoint = true;
  ASSERT_TRUE(try_open(forked).ok());
  // Another branch, longer than what was signed: sizes alone would not show it.
  for (std::uint64_t i = 4; i < 9; ++i) ASSERT_TRUE(append(leaf_number(100 + i)).ok());
  write_outside(newest);
  EXPECT_EQ(append(leaf_number(109)).error().code, Code::unavailable);
  EXPECT_EQ(try_open(options()).error().code, Code::unavailable);
}

TEST_F(LogTest, AnotherBranchOfTheSameSizeIsRefusedWhileRunning) {
  append_until(4);
  backup("backup.db");
  append_until(5);
  const std::string first_branch = outside();
  restore("backup.db");
  std::filesystem::remove(folder_.file("checkpoint"));
  auto forked = options();
  forked.accept_missing_checkpoint = true;
  ASSERT_TRUE(try_open(forked).ok());
  ASSERT_TRUE(append(leaf_number(200)).ok());
  write_outside(first_branch);
  const auto refused = append(leaf_number(201));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Code::unavailable);
  EXPECT_EQ(log_->head().size, 5u);
}

TEST_F(LogTest, ACheckpointAheadOfTheStoreStopsARunningLog) {
  append_until(4);
  // What another replica would have published.
  write_outside(sign_checkpoint({kOrigin, {9, empty_root()}}, log_key()));
  EXPECT_EQ(append(leaf_number(4)).error().code, Code::unavailable);
  EXPECT_EQ(log_->head().size, 4u);
}

TEST_F(LogTest, AMissingCheckpointIsAcceptedOnlyByAnOperator) {
  append_until(4);
  std::filesystem::remove(folder_.file("checkpoint"));
  EXPECT_EQ(append(leaf_number(4)).error().code, Code::unavailable);
  EXPECT_EQ(try_open(options()).error().code, Code::unavailable);
  auto accepting = options();
  accepting.accept_missing_checkpoint = true;
  EXPECT_TRUE(try_open(accepting).ok());
  EXPECT_EQ(log_->head().size, 4u);
  append_until(5);
}

TEST_F(LogTest, ACheckpointThatIsNotOursStopsTheLog) {
  append_until(4);
  write_outside(sign_checkpoint({kOrigin, log_->head()}, key_named("stranger")));
  EXPECT_EQ(append(leaf_number(4)).error().code, Code::unavailable);
  write_outside("garbage");
  EXPECT_EQ(append(leaf_number(4)).error().code, Code::unavailable);
  EXPECT_EQ(try_open(options()).error().code, Code::unavailable);
}

// Whoever can cut the file to nothing could otherwise bring a restored backup in.
TEST_F(LogTest, AnEmptiedCheckpointIsNoCheckpoint) {
  append_until(4);
  write_outside("");
  EXPECT_EQ(try_open(options()).error().code, Code::unavailable);
}

TEST_F(LogTest, TheKeyCanChangeWhenTheFormerOneIsNamed) {
  append_until(4);
  EXPECT_FALSE(try_open(options(), key_named("new")).ok());
  auto changed = options();
  changed.former_keys = {{kOrigin, NoteKeyType::ed25519, log_key().public_key()}};
  ASSERT_TRUE(try_open(changed, key_named("new")).ok());
  append_until(5);
  EXPECT_TRUE(verify_receipt(*log_->receipt(2), testing::trust_in(key_named("new"))).ok());
}

TEST_F(LogTest, AnImpossibleOriginIsAMistakeInTheConfiguration) {
  auto bad = options();
  bad.origin = "two words";
  EXPECT_EQ(try_open(bad).error().code, Code::configuration);
}

class VerifyTest : public LogTest {
 protected:
  base::Result<LogReport> verify(const std::vector<TreeHead>& known = {}) {
    TRY(const auto view, store_->read());
    return verify_log(*view, log_->checkpoint(), testing::trust_in(log_key()), known);
  }
  std::string exported() {
    std::string out;
    EXPECT_TRUE(export_log(**store_->read(), log_->checkpoint(), [&](std::string_view part) {
                  out += part;
                  return base::done();
                }).ok());
    return out;
  }
  void tamper(base::ByteView key, base::ByteView value) {
    store_->set_after_commit({});
    ASSERT_TRUE(store_->write_and_wait([&](state::WriteTxn& txn) { return txn.put(key, value); }, patient()).ok());
  }
};

TEST_F(VerifyTest, TheWholeLogVerifiesInTheStoreAndAsAnExport) {
  for (const std::uint64_t size : {0u, 1u, 2u, 13u}) {
    append_until(size);
    const auto report = verify();
    ASSERT_TRUE(report.ok()) << report.error().text();
    EXPECT_EQ(report->head, log_->head());
    EXPECT_EQ(report->leaves, size);
    EXPECT_EQ(report->unpublished, 0u);
    const auto offline = verify_export(exported(), testing::trust_in(log_key()));
    ASSERT_TRUE(offline.ok()) << offline.error().text();
    EXPECT_EQ(offline->head, log_->head());
  }
}

TEST_F(VerifyTest, EarlierHeadsMustBePrefixes) {
  append_until(5);
  const TreeHead five = log_->head();
  append_until(9);
  EXPECT_TRUE(verify({five, TreeHead{}}).ok());
  EXPECT_EQ(verify({{5, log_->head().root}}).error().code, Code::denied);
  EXPECT_EQ(verify({five, {10, five.root}}).error().code, Code::denied);
  EXPECT_EQ(verify_export(exported(), testing::trust_in(log_key()), {{5, log_->head().root}}).error().code,
            Code::denied);
}

TEST_F(VerifyTest, AChangedLeafIsFound) {
  append_until(9);
  tamper(leaf_key(4), state::value(1).raw(base::as_bytes(*leaf_number(44).encode())).bytes());
  const auto report = verify();
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code, Code::denied);
}

TEST_F(VerifyTest, AMissingLeafAndAShortLogAreFound) {
  append_until(9);
  store_->set_after_commit({});
  const auto erase = [this](std::uint64_t index) {
    ASSERT_TRUE(
        store_->write_and_wait([&](state::WriteTxn& txn) { return txn.erase(leaf_key(index)); }, patient()).ok());
  };
  erase(8);
  EXPECT_THAT(verify().error().text(), HasSubstr("shorter"));
  erase(3);
  EXPECT_THAT(verify().error().text(), HasSubstr("leaf 3 is missing"));
}

TEST_F(VerifyTest, ALeafOfAnotherRealmIsFound) {
  append_until(3);
  Leaf other = leaf_number(1);
  other.realm = base::Realm::production;
  tamper(leaf_key(1), state::value(1).raw(base::as_bytes(*other.encode())).bytes());
  EXPECT_THAT(verify().error().text(), HasSubstr("another realm"));
}

TEST_F(VerifyTest, ALeafThatIsCommittedButNotSignedIsReported) {
  append_until(3);
  files_.fail_writes = true;
  EXPECT_FALSE(append(leaf_number(3)).ok());
  const auto report = verify();
  ASSERT_TRUE(report.ok()) << report.error().text();
  EXPECT_EQ(report->leaves, 4u);
  EXPECT_EQ(report->unpublished, 1u);
}

TEST_F(VerifyTest, EveryAlteredByteOfAnExportIsRefused) {
  append_until(3);
  const std::string good = exported();
  const LogTrust trust = testing::trust_in(log_key());
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string altered = good;
    altered[i] = static_cast<char>(altered[i] ^ 0x01);
    EXPECT_FALSE(verify_export(altered, trust).ok()) << i;
    EXPECT_FALSE(verify_export(good.substr(0, i), trust).ok()) << i;
  }
}

}  // namespace
}  // namespace attestry::audit
