// The conformance suite of the store: every backend passes it.
#include "state/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include <array>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>
#include <mutex>
#include <thread>

#include "state/keys.h"
#include "state/testing/support.h"

namespace attestry::state {
namespace {

using base::as_bytes;
using base::Code;
using ::testing::ElementsAre;
using testing::ManualClock;
using testing::patient;
using testing::TempFolder;

constexpr base::UtcTime kStart{1'800'000'000};

struct Backend {
  const char* name;
  std::size_t max_batch;
};

class StoreTest : public ::testing::TestWithParam<Backend> {
 protected:
  StoreOptions options() {
    StoreOptions out;
    out.path = folder_.file("store.db");
    out.realm = base::Realm::simulated;
    out.clock = &clock_;
    out.max_batch = GetParam().max_batch;
    return out;
  }
  std::unique_ptr<Store> open() { return open(options()); }
  static std::unique_ptr<Store> open(const StoreOptions& options) {
    auto store = Store::open(options);
    EXPECT_TRUE(store.ok()) << (store ? "" : store.error().text());
    return store ? std::move(*store) : nullptr;
  }
  static base::Status put(Store& store, std::string_view key, std::string_view value) {
    return store.write_and_wait([=](WriteTxn& txn) { return txn.put(as_bytes(key), as_bytes(value)); }, patient());
  }
  static std::string get(const Store& store, std::string_view key) {
    auto view = store.read();
    if (!view) return "error: " + view.error().text();
    auto value = (*view)->get(as_bytes(key));
    if (!value) return "error: " + value.error().text();
    return *value ? std::string(base::as_text(**value)) : "(none)";
  }

  TempFolder folder_;
  ManualClock clock_{kStart};
};

TEST_P(StoreTest, KeepsWhatWasWrittenAcrossReopening) {
  {
    auto store = open();
    ASSERT_TRUE(put(*store, "k", "one").ok());
    EXPECT_EQ(get(*store, "k"), "one");
    ASSERT_TRUE(put(*store, "k", "two").ok());
    ASSERT_TRUE(put(*store, "empty", "").ok());
  }
  auto store = open();
  EXPECT_EQ(get(*store, "k"), "two");
  EXPECT_EQ(get(*store, "empty"), "");
  EXPECT_EQ(get(*store, "other"), "(none)");
}

TEST_P(StoreTest, EraseAndInsert) {
  auto store = open();
  const auto insert = [](WriteTxn& txn) { return txn.insert(as_bytes("nonce"), as_bytes("1")); };
  EXPECT_TRUE(store->write_and_wait(insert, patient()).ok());
  const auto again = store->write_and_wait(insert, patient());
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code, Code::conflict);
  EXPECT_TRUE(store->write_and_wait([](WriteTxn& txn) { return txn.erase(as_bytes("nonce")); }, patient()).ok());
  EXPECT_TRUE(store->write_and_wait([](WriteTxn& txn) { return txn.erase(as_bytes("never")); }, patient()).ok());
  EXPECT_EQ(get(*store, "nonce"), "(none)");
}

TEST_P(StoreTest, ScanIsOrderedBoundedAndStaysInsideItsPrefix) {
  auto store = open();
  const base::Bytes high = {0xff, 0xff};
  ASSERT_TRUE(store
                  ->write_and_wait(
                      [&](WriteTxn& txn) -> base::Status {
                        for (const char* key : {"b2", "a", "b1", "b", "c", "b3"}) {
                          TRY_OK(txn.put(as_bytes(key), as_bytes(key)));
                        }
                        return txn.put(high, as_bytes("high"));
                      },
                      patient())
                  .ok());
  auto view = store->read();
  ASSERT_TRUE(view.ok());
  const auto scan = [&](base::ByteView prefix, std::string_view from, std::size_t limit, std::size_t stop_after = 99) {
    std::vector<std::string> out;
    EXPECT_TRUE((*view)
                    ->scan(prefix, as_bytes(from), limit,
                           [&](base::ByteView, base::ByteView value) {
                             out.emplace_back(base::as_text(value));
                             return out.size() < stop_after;
                           })
                    .ok());
    return out;
  };
  EXPECT_THAT(scan(as_bytes("b"), "", 99), ElementsAre("b", "b1", "b2", "b3"));
  EXPECT_THAT(scan(as_bytes("b"), "b2", 99), ElementsAre("b2", "b3"));
  EXPECT_THAT(scan(as_bytes("b"), "b1x", 99), ElementsAre("b2", "b3"));
  EXPECT_THAT(scan(as_bytes("b"), "a", 2), ElementsAre("b", "b1"));
  EXPECT_THAT(scan(as_bytes("b"), "", 99, 1), ElementsAre("b"));
  EXPECT_THAT(scan(as_bytes("b"), "c", 99), ElementsAre());
  EXPECT_THAT(scan(base::ByteView(high).first(1), "", 99), ElementsAre("high"));
}

TEST_P(StoreTest, AScanMayReadAndScanInsideItsVisitor) {
  auto store = open();
  ASSERT_TRUE(put(*store, "a1", "x").ok());
  ASSERT_TRUE(put(*store, "a2", "y").ok());
  auto view = store->read();
  ASSERT_TRUE(view.ok());
  std::string seen;
  const auto inner = [&](base::ByteView, base::ByteView value) {
    seen += base::as_text(value);
    return true;
  };
  ASSERT_TRUE(
      (*view)
          ->scan(as_bytes("a"), {}, 9,
                 [&](base::ByteView, base::ByteView) { return (*view)->scan(as_bytes("a"), {}, 9, inner).ok(); })
          .ok());
  EXPECT_EQ(seen, "xyxy");
}

TEST_P(StoreTest, AFailedClosureRollsBackOnlyItself) {
  auto store = open();
  // One closure holds the committer while the others queue up, so that they share a batch.
  std::promise<void> queued;
  std::shared_future<void> go = queued.get_future().share();
  std::vector<std::future<base::Status>> results;
  const auto write = [&](Store::Closure closure) {
    auto promise = std::make_shared<std::promise<base::Status>>();
    results.push_back(promise->get_future());
    store->write(std::move(closure), [promise](base::Status status) { promise->set_value(std::move(status)); });
  };
  write([go](WriteTxn& txn) {
    go.wait();
    return txn.put(as_bytes("first"), as_bytes("1"));
  });
  write([](WriteTxn& txn) -> base::Status {
    TRY_OK(txn.put(as_bytes("lost"), as_bytes("1")));
    TRY_OK(txn.put(as_bytes("first"), as_bytes("overwritten")));
    return base::Error{Code::denied, "no"};
  });
  write([](WriteTxn& txn) { return txn.put(as_bytes("last"), as_bytes("1")); });
  queued.set_value();
  EXPECT_TRUE(results[0].get().ok());
  const auto refused = results[1].get();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Code::denied);
  EXPECT_TRUE(results[2].get().ok());
  EXPECT_EQ(get(*store, "first"), "1");
  EXPECT_EQ(get(*store, "lost"), "(none)");
  EXPECT_EQ(get(*store, "last"), "1");
}

TEST_P(StoreTest, ManyWritersLoseNothing) {
  constexpr int kThreads = 8, kWrites = 50;
  {
    auto store = open();
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&store, t] {
        for (int i = 0; i < kWrites; ++i) {
          const auto increment = [](WriteTxn& txn) -> base::Status {
            TRY(const auto old, txn.get(as_bytes("sum")));
            const int sum = old ? std::stoi(std::string(base::as_text(*old))) : 0;
            return txn.put(as_bytes("sum"), as_bytes(std::to_string(sum + 1)));
          };
          EXPECT_TRUE(store->write_and_wait(increment, patient()).ok()) << t;
        }
      });
    }
  }
  EXPECT_EQ(get(*open(), "sum"), std::to_string(kThreads * kWrites));
}

TEST_P(StoreTest, TheDestructorCommitsWhatIsQueued) {
  std::mutex mutex;
  int answered = 0;
  {
    auto store = open();
    for (int i = 0; i < 20; ++i) {
      store->write([i](WriteTxn& txn) { return txn.put(as_bytes("q" + std::to_string(i)), as_bytes("x")); },
                   [&](base::Status status) {
                     const std::lock_guard lock(mutex);
                     answered += status.ok() ? 1 : 0;
                   });
    }
  }
  EXPECT_EQ(answered, 20);
  EXPECT_EQ(get(*open(), "q19"), "x");
}

TEST_P(StoreTest, ASnapshotDoesNotSeeLaterWrites) {
  auto store = open();
  ASSERT_TRUE(put(*store, "k", "before").ok());
  auto view = store->read();
  ASSERT_TRUE(view.ok());
  ASSERT_TRUE(put(*store, "k", "after").ok());
  const auto old = (*view)->get(as_bytes("k"));
  ASSERT_TRUE(old.ok() && *old);
  EXPECT_EQ(base::as_text(**old), "before");
  EXPECT_EQ(get(*store, "k"), "after");
}

TEST_P(StoreTest, TheHookSeesTheCommitAndRunsBeforeTheAnswer) {
  auto store = open();
  std::string seen = "nothing";
  store->set_after_commit([&](const ReadView& view) -> base::Status {
    TRY(const auto value, view.get(as_bytes("k")));
    seen = value ? std::string(base::as_text(*value)) : "none";
    return base::done();
  });
  ASSERT_TRUE(put(*store, "k", "v").ok());
  EXPECT_EQ(seen, "v");
}

TEST_P(StoreTest, NothingIsAcknowledgedWhenTheHookFails) {
  auto store = open();
  store->set_after_commit([](const ReadView&) -> base::Status { return base::Error{Code::io, "disk away"}; });
  const auto status = put(*store, "k", "v");
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, Code::unavailable);
  EXPECT_THAT(status.error().text(), ::testing::HasSubstr("disk away"));
  EXPECT_EQ(store->stats().failed_batches, 1u);
  store->set_after_commit({});
  EXPECT_TRUE(put(*store, "k", "w").ok());
}

TEST_P(StoreTest, AWriteThatHasNotBegunByItsDeadlineNeverHappens) {
  auto store = open();
  std::promise<void> release;
  std::promise<void> running;
  store->write(
      [&, released = release.get_future().share()](WriteTxn&) {
        running.set_value();
        released.wait();
        return base::done();
      },
      [](base::Status) {});
  running.get_future().wait();
  const auto late = store->write_and_wait([](WriteTxn& txn) { return txn.put(as_bytes("late"), as_bytes("x")); },
                                          std::chrono::steady_clock::now());
  ASSERT_FALSE(late.ok());
  EXPECT_EQ(late.error().code, Code::deadline_exceeded);
  release.set_value();
  ASSERT_TRUE(put(*store, "after", "x").ok());
  EXPECT_EQ(get(*store, "late"), "(none)");
}

TEST_P(StoreTest, AFullQueueRefusesAtOnce) {
  auto limited = options();
  limited.max_queue = 2;
  auto store = open(limited);
  std::promise<void> release;
  std::promise<void> running;
  store->write(
      [&, released = release.get_future().share()](WriteTxn&) {
        running.set_value();
        released.wait();
        return base::done();
      },
      [](base::Status) {});
  running.get_future().wait();
  const auto nothing = [](WriteTxn&) { return base::done(); };
  store->write(nothing, [](base::Status) {});
  store->write(nothing, [](base::Status) {});
  const auto refused = store->write_and_wait(nothing, patient());
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Code::unavailable);
  release.set_value();
}

TEST_P(StoreTest, AnotherRealmIsRefused) {
  open();
  auto other = options();
  other.realm = base::Realm::production;
  for (const bool read_only : {false, true}) {
    other.read_only = read_only;
    const auto refused = Store::open(other);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, Code::realm_mismatch);
  }
  EXPECT_EQ(open()->realm(), base::Realm::simulated);
}

TEST_P(StoreTest, OnlyOneProcessWritesButToolsRead) {
  auto store = open();
  ASSERT_TRUE(put(*store, "k", "v").ok());
  const auto second = Store::open(options());
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, Code::unavailable);
  auto tool_options = options();
  tool_options.read_only = true;
  auto tool = open(tool_options);
  EXPECT_EQ(get(*tool, "k"), "v");
  EXPECT_EQ(put(*tool, "k", "w").error().code, Code::unavailable);
}

TEST_P(StoreTest, AMissingStoreIsNotMadeUnlessAsked) {
  auto missing = options();
  missing.create = false;
  EXPECT_EQ(Store::open(missing).error().code, Code::not_found);
  missing.create = true;
  missing.path = folder_.file("no/such/folder/store.db");
  EXPECT_EQ(Store::open(missing).error().code, Code::io);
}

TEST_P(StoreTest, OnlyItsOwnerCanReadIt) {
  auto store = open();
  ASSERT_TRUE(put(*store, "k", "v").ok());
  for (const char* suffix : {"", "-wal", "-shm"}) {
    struct stat info{};
    ASSERT_EQ(::stat((options().path + suffix).c_str(), &info), 0) << suffix;
    EXPECT_EQ(info.st_mode & 0777u, 0600u) << suffix;
  }
}

TEST_P(StoreTest, TheWriteAheadLogStaysShort) {
  const auto store = open();
  // 54 MB, always some of it waiting: no pause in which the log would be emptied for want of work.
  std::atomic<int> answered{0};
  std::uintmax_t longest = 0;
  for (int i = 0; i < 900; ++i) {
    store->write(
        [i](WriteTxn& txn) {
          const std::string value(60'000, static_cast<char>('a' + i % 26));  // equal bytes would dirty no page
          return txn.put(as_bytes("key" + std::to_string(i % 50)), as_bytes(value));
        },
        [&](const base::Status& status) {
          EXPECT_TRUE(status.ok());
          answered.fetch_add(1);
          answered.notify_one();
        });
    for (int done = answered.load(); done + 20 < i; done = answered.load()) answered.wait(done);
    longest = std::max(longest, std::filesystem::file_size(options().path + "-wal"));
  }
  for (int done = answered.load(); done < 900; done = answered.load()) answered.wait(done);
  EXPECT_LT(longest, 16u << 20);
}

TEST_P(StoreTest, AfterALongReadTheWriteAheadLogBeginsAnew) {
  const auto store = open();
  const auto write = [&](int count) {
    for (int i = 0; i < count; ++i) {
      const std::string value(8'000, static_cast<char>('a' + i % 26));
      ASSERT_TRUE(put(*store, "key" + std::to_string(i % 10), value));
    }
  };
  const auto size = [&] { return std::filesystem::file_size(options().path + "-wal"); };
  auto view = store->read();
  ASSERT_TRUE(view.ok());
  write(300);
  const auto grown = size();
  EXPECT_GT(grown, 2u << 20);  // the read keeps it from beginning anew
  view->reset();
  write(600);
  EXPECT_LT(size(), grown + (1u << 20));
}

TEST_P(StoreTest, AReaderKeepsNeitherAStartNorErasedKeysWaiting) {
  const std::string key{base::as_text(Key(Space::keys).lp("erased").bytes())};
  auto store = open();
  ASSERT_TRUE(put(*store, key, "v"));
  auto tool_options = options();
  tool_options.read_only = true;
  const auto tool = open(tool_options);
  auto view = tool->read();
  ASSERT_TRUE(view.ok() && (*view)->get(as_bytes("k")).ok());
  // Each of these would wait for the reader until it is tired of it.
  ASSERT_TRUE(store->write_and_wait([&](WriteTxn& txn) { return txn.erase(as_bytes(key)); }, patient()).ok());
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(put(*store, "k", std::to_string(i)));
  store.reset();
  store = open();
  const auto size = [&] { return std::filesystem::file_size(options().path + "-wal"); };
  EXPECT_GT(size(), 0U);
  view->reset();
  ASSERT_TRUE(put(*store, "k", "last"));
  store.reset();  // once it has ended what comes after a batch
  EXPECT_EQ(size(), 0U);
}

TEST_P(StoreTest, ErasedKeysLeaveTheLogWhenTheReaderDoesThoughNothingElseIsWritten) {
  const std::string key{base::as_text(Key(Space::threshold).lp("erased").bytes())};
  const auto store = open();
  ASSERT_TRUE(put(*store, key, "v"));
  auto view = store->read();
  ASSERT_TRUE(view.ok() && (*view)->get(as_bytes("k")).ok());
  ASSERT_TRUE(store->write_and_wait([&](WriteTxn& txn) { return txn.erase(as_bytes(key)); }, patient()).ok());
  const auto size = [&] { return std::filesystem::file_size(options().path + "-wal"); };
  EXPECT_GT(size(), 0U);
  view->reset();
  const auto until = patient();
  while (size() > 0 && std::chrono::steady_clock::now() < until) std::this_thread::yield();
  EXPECT_EQ(size(), 0U);
}

TEST_P(StoreTest, ErasedKeysAreInNoFileAnyMore) {
  const auto on_disk = [&](const std::string& what) {
    for (const char* suffix : {"", "-wal"}) {
      std::ifstream file(options().path + suffix, std::ios::binary);
      const std::string bytes{std::istreambuf_iterator<char>{file}, {}};
      if (bytes.contains(what)) return true;
    }
    return false;
  };
  const auto store = open();
  const std::array spaces{Space::keys, Space::keystore_masters, Space::keymanager, Space::threshold};
  for (const Space space : spaces) {
    const std::string key{base::as_text(Key(space).lp("erased").bytes())};
    const std::string value = "sealed under a key that stays " + std::to_string(static_cast<int>(space));
    ASSERT_TRUE(put(*store, key, value));
    EXPECT_TRUE(on_disk(value));
    ASSERT_TRUE(store->write_and_wait([&](WriteTxn& txn) { return txn.erase(as_bytes(key)); }, patient()).ok());
    // What comes after a batch has ended when the next one is answered.
    ASSERT_TRUE(put(*store, "another", std::to_string(static_cast<int>(space))));
    EXPECT_FALSE(on_disk(value)) << static_cast<int>(space);
  }
}

// A scan that reads on to the end of the table costs more with every record that anybody ever writes.
TEST_P(StoreTest, AScanReadsNothingBehindItsPrefix) {
  {
    const auto store = open();
    ASSERT_TRUE(put(*store, "a1", "first"));
    ASSERT_TRUE(put(*store, "a2", "second"));
    const std::string page(3000, 'x');
    for (int i = 100; i < 300; ++i) ASSERT_TRUE(put(*store, "b" + std::to_string(i), page));
  }
  // What lies in the last pages of the file are records of "b"; from now on reading any of them is an error.
  std::fstream file(options().path, std::ios::binary | std::ios::in | std::ios::out | std::ios::ate);
  const auto size = file.tellp();
  ASSERT_GT(size, 500'000);
  file.seekp(size - std::streamoff{400'000});
  const std::string garbage(400'000, '\xa5');
  file.write(garbage.data(), static_cast<std::streamsize>(garbage.size()));
  file.close();

  const auto store = open();
  ASSERT_NE(store, nullptr);
  const auto view = store->read();
  ASSERT_TRUE(view.ok());
  std::vector<std::string> seen;
  const auto visit = [&](base::ByteView key, base::ByteView) {
    seen.emplace_back(base::as_text(key));
    return true;
  };
  EXPECT_FALSE((*view)->scan(as_bytes("b"), {}, 1000, visit).ok()) << "the garbage is where it should be";
  seen.clear();
  EXPECT_TRUE((*view)->scan(as_bytes("a"), {}, 1000, visit).ok());
  EXPECT_THAT(seen, ElementsAre("a1", "a2"));
}

INSTANTIATE_TEST_SUITE_P(Backends, StoreTest, ::testing::Values(Backend{"sqlite", 512}, Backend{"sqlite_unbatched", 1}),
                         [](const auto& p) { return p.param.name; });

class SqliteFileTest : public ::testing::Test {
 protected:
  void execute(const char* sql) {
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open(path_.c_str(), &db), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(db, sql, nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(db);
    sqlite3_close(db);
  }
  int count(const char* table) {
    sqlite3* db = nullptr;
    EXPECT_EQ(sqlite3_open(path_.c_str(), &db), SQLITE_OK);
    int rows = -1;
    const auto sql = std::string{"SELECT count(*) FROM "} + table;
    const auto read = [](void* out, int, char** values, char**) {
      *static_cast<int*>(out) = std::atoi(values[0]);
      return 0;
    };
    EXPECT_EQ(sqlite3_exec(db, sql.c_str(), read, &rows, nullptr), SQLITE_OK) << sqlite3_errmsg(db);
    sqlite3_close(db);
    return rows;
  }
  base::Result<std::unique_ptr<Store>> open() {
    StoreOptions options;
    options.path = path_;
    return Store::open(options);
  }
  TempFolder folder_;
  std::string path_ = folder_.file("store.db");
};

TEST_F(SqliteFileTest, ANewerSchemaIsRefused) {
  ASSERT_TRUE(open().ok());
  execute("PRAGMA user_version = 999");
  const auto refused = open();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Code::configuration);
  EXPECT_THAT(refused.error().text(), ::testing::HasSubstr("newer"));
}

std::string text_of(Store& store, std::string_view key) {
  const auto view = store.read().value();
  const auto value = view->get(base::as_bytes(key)).value();
  return value ? std::string{base::as_text(*value)} : "nothing";
}

base::Status put(Store& store, std::string_view key, const std::string& value) {
  return store.write_and_wait([&](WriteTxn& txn) { return txn.put(base::as_bytes(key), base::as_bytes(value)); },
                              base::Deadline::max());
}

TEST_F(SqliteFileTest, LargeValuesComeAndGoWithTheirKeys) {
  const std::string large(100'000, 'l');
  const std::string larger(200'000, 'm');
  {
    const auto store = open().value();
    ASSERT_TRUE(put(*store, "a", large).ok());
    ASSERT_TRUE(put(*store, "b", large).ok());
    ASSERT_TRUE(put(*store, "c", "small").ok());
    ASSERT_TRUE(put(*store, "a", larger).ok());
    ASSERT_TRUE(put(*store, "b", "small").ok());
    ASSERT_TRUE(put(*store, "c", large).ok());
    EXPECT_EQ(text_of(*store, "a"), larger);
    EXPECT_EQ(text_of(*store, "b"), "small");
    EXPECT_EQ(text_of(*store, "c"), large);
    std::string scanned;
    const auto visit = [&](base::ByteView key, base::ByteView value) {
      scanned.append(base::as_text(key)).append(std::to_string(value.size())).append(" ");
      return true;
    };
    ASSERT_TRUE(store->read().value()->scan({}, base::as_bytes("a"), 3, visit).ok());
    EXPECT_EQ(scanned, "a200000 b5 c100000 ");
    const auto twice = store->write_and_wait(
        [&](WriteTxn& txn) { return txn.insert(base::as_bytes("c"), base::as_bytes(larger)); }, base::Deadline::max());
    EXPECT_EQ(twice.error().code, Code::conflict);
    EXPECT_EQ(text_of(*store, "c"), large);
    ASSERT_TRUE(
        store->write_and_wait([](WriteTxn& txn) { return txn.erase(base::as_bytes("a")); }, base::Deadline::max())
            .ok());
    EXPECT_EQ(text_of(*store, "a"), "nothing");
  }
  EXPECT_EQ(count("large"), 1) << "of c alone";
}

TEST_F(SqliteFileTest, AStoreOfTheFirstSchemaIsBroughtUpToDate) {
  const std::string large(1000, 'l');
  {
    const auto store = open().value();
    ASSERT_TRUE(put(*store, "b", "small").ok());
  }
  // As the first program left it: one table, all values beside their keys.
  execute(
      "DROP TRIGGER large_replaced; DROP TRIGGER large_erased; DROP TABLE large; ALTER TABLE kv DROP COLUMN large;"
      "PRAGMA user_version = 1");
  execute(("INSERT INTO kv VALUES(CAST('a' AS BLOB), CAST('" + large + "' AS BLOB))").c_str());
  StoreOptions options;
  options.path = path_;
  options.read_only = true;
  EXPECT_THAT(Store::open(options).error().text(), ::testing::HasSubstr("older attestry"));
  const auto store = open().value();
  EXPECT_EQ(text_of(*store, "a"), large);
  EXPECT_EQ(text_of(*store, "b"), "small");
  ASSERT_TRUE(put(*store, "a", large + "!").ok());
  EXPECT_EQ(text_of(*store, "a"), large + "!");
  EXPECT_EQ(count("large"), 1);
}

TEST_F(SqliteFileTest, ARecordWhoseLargeValueIsGoneIsNamedAndNotEmpty) {
  ASSERT_TRUE(put(*open().value(), "a", std::string(1000, 'l')).ok());
  execute("DELETE FROM large");
  const auto store = open().value();
  const auto view = store->read().value();
  EXPECT_EQ(view->get(base::as_bytes("a")).error().code, Code::corrupt);
  const auto visit = [](base::ByteView, base::ByteView) { return true; };
  EXPECT_EQ(view->scan(base::as_bytes("a"), {}, 9, visit).error().code, Code::corrupt);
}

TEST_F(SqliteFileTest, AnotherProgramsDatabaseIsLeftAlone) {
  execute("CREATE TABLE theirs(x)");
  const auto refused = open();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Code::configuration);
  execute("INSERT INTO theirs VALUES(1)");
}

TEST_F(SqliteFileTest, AFileThatIsNoDatabaseIsRefused) {
  FILE* file = std::fopen(path_.c_str(), "w");
  ASSERT_NE(file, nullptr);
  for (int i = 0; i < 900; ++i) std::fputs("this is not a database\n", file);
  std::fclose(file);
  const auto refused = open();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Code::corrupt);
}

class StoreTimeTest : public ::testing::Test {
 protected:
  std::unique_ptr<Store> open(bool confirm = false) {
    StoreOptions options;
    options.path = folder_.file("store.db");
    options.clock = &clock_;
    options.confirm_clock = confirm;
    auto store = Store::open(options);
    EXPECT_TRUE(store.ok());
    return std::move(*store);
  }
  static void write(Store& store) {
    EXPECT_TRUE(store.write_and_wait([](WriteTxn&) { return base::done(); }, patient()).ok());
  }
  TempFolder folder_;
  ManualClock clock_{kStart};
};

TEST_F(StoreTimeTest, TimeNeverGoesBackForExpiry) {
  auto store = open();
  clock_.pass(100);
  write(*store);
  clock_.set_wall(kStart);
  EXPECT_EQ(store->now(), kStart + 100);
  EXPECT_TRUE(store->clock_usable().ok());
}

TEST_F(StoreTimeTest, AClockFarBehindTheStoreStopsReleases) {
  {
    auto store = open();
    clock_.pass(1000);
    write(*store);
  }
  clock_.set_wall(kStart + 699);
  auto store = open();
  EXPECT_EQ(store->clock_usable().error().code, Code::unavailable);
  EXPECT_EQ(store->now(), kStart + 1000);
  clock_.set_wall(kStart + 700);
  EXPECT_TRUE(store->clock_usable().ok());
}

TEST_F(StoreTimeTest, AClockThatJumpsAheadStopsReleasesAndIsNotStored) {
  auto store = open();
  write(*store);
  clock_.pass(50);
  clock_.set_wall(kStart + 50 + 301);
  EXPECT_EQ(store->clock_usable().error().code, Code::unavailable);
  write(*store);
  EXPECT_EQ(store->now(), kStart + 50);
  clock_.set_wall(kStart + 50 + 300);
  EXPECT_TRUE(store->clock_usable().ok());
  clock_.set_wall(kStart + 5000);
  store->confirm_clock();
  EXPECT_TRUE(store->clock_usable().ok());
  EXPECT_EQ(store->now(), kStart + 5000);
}

TEST_F(StoreTimeTest, AfterAStartADayIsAllowed) {
  {
    write(*open());
  }
  clock_.set_wall(kStart + 24 * 3600);
  {
    auto store = open();
    EXPECT_TRUE(store->clock_usable().ok());
  }
  clock_.set_wall(kStart + 24 * 3600 + 1);
  auto store = open();
  EXPECT_EQ(store->clock_usable().error().code, Code::unavailable);
  write(*store);
  EXPECT_EQ(store->now(), kStart);
  store.reset();
  EXPECT_TRUE(open(true)->clock_usable().ok());
}

TEST(Keys, AreLengthPrefixedAndBeginWithTheirSpace) {
  const auto tenant = base::Tenant::standard();
  const base::Bytes expected = {0x50, 0, 0, 0,   7, 'd', 'e', 'f', 'a', 'u', 'l', 't', 0,
                                0,    0, 1, 'x', 0, 0,   0,   0,   0,   0,   1,   2};
  EXPECT_EQ(Key(Space::instances, tenant).lp("x").u64(258).bytes(), expected);
  EXPECT_EQ(Key(Space::audit_head).bytes(), (base::Bytes{0x21, 0, 0, 0, 0}));
}

TEST(Values, AnotherVersionIsCorrupt) {
  const auto stored = value(1).u64(7).bytes();
  auto reader = open_value(stored, 1, "thing");
  ASSERT_TRUE(reader.ok());
  EXPECT_EQ(*reader->u64be("n"), 7u);
  EXPECT_EQ(open_value(stored, 2, "thing").error().code, Code::corrupt);
  EXPECT_FALSE(open_value({}, 1, "thing").ok());
}

}  // namespace
}  // namespace attestry::state
