// What closures of one batch see of themselves and of each other, against a map in memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <semaphore>

#include "state/store.h"
#include "state/testing/support.h"

namespace attestry::state {
namespace {

using base::as_bytes;
using base::as_text;
using testing::patient;
using testing::TempFolder;
using Model = std::map<std::string, std::string>;
using Records = std::vector<std::pair<std::string, std::string>>;

class BatchTest : public ::testing::Test {
 protected:
  std::unique_ptr<Store> open() {
    auto store = Store::open({.path = folder_.file("store.db"), .realm = base::Realm::simulated});
    EXPECT_TRUE(store.ok()) << (store ? "" : store.error().text());
    return store ? std::move(*store) : nullptr;
  }
  /// Runs all in one batch: the first one waits until the others are queued.
  static void in_one_batch(Store& store, std::vector<Store::Closure> closures) {
    std::binary_semaphore queued{0};
    store.write([&](WriteTxn&) { return queued.acquire(), base::done(); }, [](base::Status) {});
    for (auto& closure : closures) store.write(std::move(closure), [](base::Status) {});
    queued.release();
    EXPECT_TRUE(store.write_and_wait([](WriteTxn&) { return base::done(); }, patient()).ok());
  }

  TempFolder folder_;
};

Records scanned(const ReadView& view, std::string_view prefix, std::string_view from, std::size_t limit,
                std::size_t stop_after) {
  Records out;
  EXPECT_TRUE(view.scan(as_bytes(prefix), as_bytes(from), limit,
                        [&](base::ByteView key, base::ByteView value) {
                          out.emplace_back(as_text(key), as_text(value));
                          return out.size() < stop_after;
                        })
                  .ok());
  return out;
}

Records expected(const Model& model, std::string_view prefix, std::string_view from, std::size_t limit,
                 std::size_t stop_after) {
  Records out;
  for (const auto& [key, value] : model) {
    if (!key.starts_with(prefix) || key < from) continue;
    if (out.size() == std::min(limit, stop_after)) break;
    out.emplace_back(key, value);
  }
  return out;
}

/// One random closure: what it does to the store it does to the model, which it forgets when it refuses.
base::Status random_closure(WriteTxn& txn, Model& model, std::mt19937& random) {
  const auto pick = [&](unsigned most) { return std::uniform_int_distribution<unsigned>(0, most)(random); };
  const auto some_key = [&] { return std::string{'k', static_cast<char>('a' + pick(2))} + std::to_string(pick(30)); };
  Model mine = model;
  for (unsigned steps = pick(8); steps > 0; --steps) {
    const std::string key = some_key();
    // Beyond 256 bytes a value has a row of its own.
    const std::string value(pick(9) == 0 ? 300 + pick(300) : pick(20), static_cast<char>('A' + pick(25)));
    switch (pick(4)) {
      case 0:
        TRY_OK(txn.put(as_bytes(key), as_bytes(value)));
        mine[key] = value;
        break;
      case 1:
        TRY_OK(txn.erase(as_bytes(key)));
        mine.erase(key);
        break;
      case 2: {
        const bool fresh = !mine.contains(key);
        EXPECT_EQ(txn.insert(as_bytes(key), as_bytes(value)).ok(), fresh) << key;
        if (fresh) mine[key] = value;
        break;
      }
      case 3: {
        const auto found = txn.get(as_bytes(key));
        EXPECT_TRUE(found.ok() && found->has_value() == mine.contains(key)) << key;
        EXPECT_EQ(found && *found ? as_text(**found) : "", mine.contains(key) ? mine[key] : "");
        break;
      }
      default: {
        const std::string prefix = key.substr(0, 1 + pick(1));
        const std::string from = pick(1) == 0 ? std::string{} : some_key();
        const std::size_t limit = pick(12), stop = 1 + pick(12);
        EXPECT_EQ(scanned(txn, prefix, from, limit, stop), expected(mine, prefix, from, limit, stop));
      }
    }
  }
  if (pick(3) == 0) return base::Error{base::Code::denied, "this one refuses"};
  model = std::move(mine);
  return base::done();
}

class RandomBatchTest : public BatchTest, public ::testing::WithParamInterface<unsigned> {};

TEST_P(RandomBatchTest, IsAMapWhoseFailedClosuresNeverWere) {
  Model model;
  std::mt19937 random{GetParam()};
  {
    const auto store = open();
    for (int round = 0; round < 12; ++round) {
      std::vector<Store::Closure> closures;
      for (int i = 0; i < 25; ++i) {
        closures.emplace_back([&](WriteTxn& txn) { return random_closure(txn, model, random); });
      }
      in_one_batch(*store, std::move(closures));
      EXPECT_GT(model.size(), 0U);
    }
  }
  const auto store = open();
  const auto view = store->read();
  ASSERT_TRUE(view.ok());
  EXPECT_EQ(scanned(**view, "k", {}, 1000, 1000), expected(model, "k", {}, 1000, 1000));
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomBatchTest, ::testing::Range(1U, 9U));

// A batch keeps only so much in memory; what it has given to SQLite early is no less part of it.
TEST_F(BatchTest, WhatIsTooMuchForMemoryStillBelongsToTheBatch) {
  const std::string large(5u << 20, 'x');
  {
    const auto store = open();
    std::vector<Store::Closure> closures;
    for (const char* key : {"k1", "k2", "k3", "k4"}) {
      closures.emplace_back([&, key](WriteTxn& txn) { return txn.put(as_bytes(key), as_bytes(large)); });
    }
    closures.emplace_back([&](WriteTxn& txn) -> base::Status {
      TRY_OK(txn.put(as_bytes("k1"), as_bytes("lost")));
      TRY_OK(txn.erase(as_bytes("k2")));
      TRY_OK(txn.put(as_bytes("k5"), as_bytes(large)));
      return base::Error{base::Code::denied, "no"};
    });
    closures.emplace_back([&](WriteTxn& txn) { return txn.put(as_bytes("k3"), as_bytes("small")); });
    in_one_batch(*store, std::move(closures));
  }
  const auto store = open();
  const auto view = store->read();
  ASSERT_TRUE(view.ok());
  const Records want = {{"k1", large}, {"k2", large}, {"k3", "small"}, {"k4", large}};
  EXPECT_TRUE(scanned(**view, "k", {}, 9, 9) == want);
}

// A visitor may write: what a scan has shown stays as it was shown.
TEST_F(BatchTest, AVisitorMayWriteWhatItIsShown) {
  const auto store = open();
  Records seen;
  ASSERT_TRUE(store
                  ->write_and_wait(
                      [&](WriteTxn& txn) -> base::Status {
                        TRY_OK(txn.put(as_bytes("k1"), as_bytes("one")));
                        TRY_OK(txn.put(as_bytes("k2"), as_bytes("two")));
                        return txn.scan(as_bytes("k"), {}, 9, [&](base::ByteView key, base::ByteView value) {
                          EXPECT_TRUE(txn.erase(key).ok());
                          seen.emplace_back(as_text(key), as_text(value));
                          return true;
                        });
                      },
                      patient())
                  .ok());
  EXPECT_EQ(seen, (Records{{"k1", "one"}, {"k2", "two"}}));
  const auto view = store->read();
  ASSERT_TRUE(view.ok());
  EXPECT_EQ(scanned(**view, "k", {}, 9, 9), Records{});
}

}  // namespace
}  // namespace attestry::state
