// The forgetful disk itself, and what only it can count: syncs.
#include "crash_disk.h"

#include <gtest/gtest.h>

#include <future>

#include "state/store.h"
#include "state/testing/support.h"

namespace attestry::crash {
namespace {

using base::as_bytes;
using state::testing::TempFolder;

std::string on_disk(const std::string& path) {
  const auto bytes = state::system_files().read(path, 1'000'000);
  return bytes && *bytes ? std::string(base::as_text(**bytes)) : "(none)";
}

TEST(CrashDisk, AFileIsOnTheDiskOnlyAfterBothSyncs) {
  state::Files& files = install({});
  const TempFolder folder;
  const std::string path = folder.file("f");
  auto file = files.create(path);
  ASSERT_TRUE(file.ok() && (*file)->write(as_bytes("new")).ok());
  EXPECT_EQ(on_disk(path), "(none)");
  const auto seen = files.read(path, 10);
  ASSERT_TRUE(seen.ok() && *seen);
  EXPECT_EQ(base::as_text(**seen), "new");
  ASSERT_TRUE((*file)->sync().ok());
  EXPECT_EQ(on_disk(path), "(none)");
  ASSERT_TRUE(files.sync_folder(folder.path()).ok());
  EXPECT_EQ(on_disk(path), "new");
}

TEST(CrashDisk, ARenamedFileWithoutASyncIsEmptyOnTheDisk) {
  state::Files& files = install({});
  const TempFolder folder;
  auto file = files.create(folder.file("a"));
  ASSERT_TRUE(file.ok() && (*file)->write(as_bytes("new")).ok());
  ASSERT_TRUE(files.rename(folder.file("a"), folder.file("b")).ok());
  ASSERT_TRUE(files.sync_folder(folder.path()).ok());
  EXPECT_EQ(on_disk(folder.file("b")), "");
  EXPECT_EQ(on_disk(folder.file("a")), "(none)");
}

TEST(CrashDisk, AStoreWorksOnItAndIsCompleteAfterClosing) {
  install({});
  const TempFolder folder;
  state::StoreOptions options;
  options.path = folder.file("store.db");
  {
    auto store = state::Store::open(options);
    ASSERT_TRUE(store.ok()) << store.error().text();
    for (int i = 0; i < 300; ++i) {
      ASSERT_TRUE((*store)
                      ->write_and_wait(
                          [i](state::WriteTxn& txn) {
                            return txn.put(as_bytes(std::to_string(i)),
                                           base::Bytes(9000, static_cast<std::uint8_t>(i)));
                          },
                          state::testing::patient())
                      .ok());
    }
  }
  auto store = state::Store::open(options);
  ASSERT_TRUE(store.ok());
  auto view = (*store)->read();
  ASSERT_TRUE(view.ok());
  const auto value = (*view)->get(as_bytes("299"));
  ASSERT_TRUE(value.ok() && *value);
  EXPECT_EQ(**value, base::Bytes(9000, 299 % 256));
}

TEST(GroupCommit, ManyWritesShareOneSync) {
  install({});
  const TempFolder folder;
  state::StoreOptions options;
  options.path = folder.file("store.db");
  auto store = state::Store::open(options);
  ASSERT_TRUE(store.ok());
  constexpr int kWrites = 200;
  // Warm up, so that the log file and its header are there.
  ASSERT_TRUE((*store)->write_and_wait([](state::WriteTxn&) { return base::done(); }, state::testing::patient()).ok());
  std::promise<void> queued;
  std::promise<void> all;
  int left = kWrites + 1;
  const auto answered = [&](base::Status status) {
    EXPECT_TRUE(status.ok());
    if (--left == 0) all.set_value();
  };
  const std::uint64_t before = counters().database_syncs;
  (*store)->write(
      [go = queued.get_future().share()](state::WriteTxn& txn) {
        go.wait();
        return txn.put(as_bytes("first"), as_bytes("x"));
      },
      answered);
  for (int i = 0; i < kWrites; ++i) {
    (*store)->write([i](state::WriteTxn& txn) { return txn.put(as_bytes(std::to_string(i)), as_bytes("x")); },
                    answered);
  }
  queued.set_value();
  all.get_future().wait();
  EXPECT_EQ(counters().database_syncs - before, 1u);
  EXPECT_EQ((*store)->stats().batches, 2u);
}

}  // namespace
}  // namespace attestry::crash
