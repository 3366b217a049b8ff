#include "blobs/multi.h"

#include <gtest/gtest.h>

#include <array>
#include <condition_variable>
#include <future>
#include <thread>

#include "blobs/internal/test_rigs.h"
#include "blobs/sealing.h"

namespace attestry::blobs::testing {
namespace {

using base::Code;
using base::Error;
using std::chrono::milliseconds;

constexpr std::string_view kApp = "name:web";

/// What a backend does next is a value of its own.
class Puppet final : public BlobStore {
 public:
  struct State {
    std::string name;
    base::Mutex mutex;
    std::condition_variable_any changed;
    std::map<base::Digest32, base::Bytes> blobs ATTESTRY_GUARDED_BY(mutex);
    std::optional<Error> error ATTESTRY_GUARDED_BY(mutex);
    bool hangs ATTESTRY_GUARDED_BY(mutex) = false;
    std::atomic<int> gets{0};
    std::atomic<int> hanging{0};

    void set(std::optional<Error> value) {
      const base::MutexLock lock{mutex};
      error = std::move(value);
    }
    void hang(bool value) {
      const base::MutexLock lock{mutex};
      hangs = value;
      changed.notify_all();
    }
    void wait_for_hanging(int calls) {
      const base::MutexLock lock{mutex};
      while (hanging < calls) changed.wait(mutex);
    }
  };
  explicit Puppet(std::shared_ptr<State> state) : state_(std::move(state)) {}

  base::Result<base::Bytes> get(const Place&, const base::Digest32& id, base::Deadline deadline) override {
    auto& state = *state_;
    ++state.gets;
    const base::MutexLock lock{state.mutex};
    ++state.hanging;
    state.changed.notify_all();
    while (state.hangs && base::system_clock().steady() < deadline) state.changed.wait_until(state.mutex, deadline);
    --state.hanging;
    if (state.hangs) return Error{Code::deadline_exceeded, "no whole answer in time"};
    if (state.error) return *state.error;
    const auto found = state.blobs.find(id);
    if (found == state.blobs.end()) return Error{Code::not_found, "content not found"};
    return found->second;
  }
  base::Result<base::Digest32> put(const Place&, base::ByteView bytes, base::Deadline) override {
    const base::MutexLock lock{state_->mutex};
    if (state_->error) return *state_->error;
    const base::Digest32 id = crypto::sha256(bytes);
    state_->blobs[id] = base::to_bytes(bytes);
    return id;
  }
  base::Status check(base::Deadline) override {
    const base::MutexLock lock{state_->mutex};
    if (state_->error) return *state_->error;
    return base::done();
  }
  std::string name() const override { return state_->name; }
  std::string uri() const override { return "puppet://" + state_->name; }

 private:
  std::shared_ptr<State> state_;
};

class Multi : public ::testing::Test {
 protected:
  std::shared_ptr<Puppet::State> puppet(const std::string& name) {
    auto state = std::make_shared<Puppet::State>();
    state->name = name;
    states.push_back(state);
    return state;
  }
  std::unique_ptr<MultiStore> open(MultiOptions options = {}) {
    std::vector<std::unique_ptr<BlobStore>> stores;
    for (const auto& state : states) stores.push_back(std::make_unique<Puppet>(state));
    return make_multi(std::move(stores), std::move(options)).value();
  }
  static void give(Puppet::State& state, std::string_view content) {
    const base::MutexLock lock{state.mutex};
    state.blobs[id_of(content)] = base::to_bytes(content);
  }
  ~Multi() override {
    for (const auto& state : states) state->hang(false);
  }
  std::vector<std::shared_ptr<Puppet::State>> states;
  const Place place = config_of(kApp);
  const Error away{Code::unavailable, "connection refused"};
  const Error rotten{Code::corrupt, "content hash mismatch"};
};

TEST_F(Multi, TakesTheFirstGoodAnswer) {
  auto a = puppet("a");
  auto b = puppet("b");
  give(*b, "hello");
  auto multi = open();
  EXPECT_TRUE(multi->get(place, id_of("hello"), soon())) << "missing on the first";
  a->set(rotten);
  EXPECT_TRUE(multi->get(place, id_of("hello"), soon())) << "corrupt on the first";
  a->set(away);
  EXPECT_TRUE(multi->get(place, id_of("hello"), soon())) << "the first is away";
  EXPECT_EQ(multi->uri(), "multi:[puppet://a,puppet://b]");
}

TEST_F(Multi, SaysNotFoundOnlyWhenAllSaySo) {
  auto a = puppet("a");
  auto b = puppet("b");
  auto multi = open({.negative = milliseconds{0}});
  const auto code = [&] { return multi->get(place, id_of("x"), soon()).error().code; };
  EXPECT_EQ(code(), Code::not_found);
  b->set(away);
  EXPECT_EQ(code(), Code::unavailable);
  b->set(rotten);
  EXPECT_EQ(code(), Code::corrupt);
  a->set(away);
  EXPECT_EQ(code(), Code::unavailable);
  a->set(Error{Code::denied, "another application"});
  EXPECT_EQ(code(), Code::unavailable);
}

TEST_F(Multi, ListsEveryBackendInItsError) {
  puppet("a")->set(away);
  puppet("b")->set(rotten);
  const auto got = open()->get(place, id_of("x"), soon());
  const auto text = got.error().what;
  EXPECT_NE(text.find("all backends failed to fetch " + base::hex(id_of("x")).substr(0, 16)), std::string::npos)
      << text;
  EXPECT_NE(text.find("a: connection refused"), std::string::npos) << text;
  EXPECT_NE(text.find("b: content hash mismatch"), std::string::npos) << text;
}

TEST_F(Multi, AHangingBackendCostsAHedgeAndIsAskedLastNextTime) {
  auto a = puppet("a");
  auto b = puppet("b");
  give(*b, "hello");
  a->hang(true);
  auto multi = open({.hedge = milliseconds{200}, .backend_deadline = milliseconds{500}});
  EXPECT_TRUE(multi->get(place, id_of("hello"), soon()));
  a->wait_for_hanging(1);
  EXPECT_EQ(a->gets, 1);
  // Its failure is known once its deadline has passed; another id then goes to the healthy one first.
  EXPECT_FALSE(multi->get(place, id_of("absent"), soon()));
  const int asked = a->gets;
  EXPECT_TRUE(multi->get(place, id_of("hello"), soon()));
  EXPECT_EQ(a->gets, asked);
}

TEST_F(Multi, EndsAtTheBackendsDeadlineWhenAllHang) {
  puppet("a")->hang(true);
  puppet("b")->hang(true);
  auto multi = open({.hedge = milliseconds{1}, .backend_deadline = milliseconds{20}});
  EXPECT_EQ(multi->get(place, id_of("x"), soon()).error().code, Code::unavailable);
}

TEST_F(Multi, EndsAtTheCallersDeadline) {
  puppet("a")->hang(true);
  auto multi = open({.backend_deadline = std::chrono::seconds{30}});
  const auto got = multi->get(place, id_of("x"), base::system_clock().steady() + milliseconds{5});
  EXPECT_EQ(got.error().code, Code::deadline_exceeded);
  states[0]->hang(false);
}

TEST_F(Multi, ManyBlobsAreFetchedAtTheSameTime) {
  auto a = puppet("a");
  for (const auto* content : {"one", "two", "three"}) give(*a, content);
  a->hang(true);
  auto multi = open();
  const std::array wanted{Wanted{place, id_of("one")}, Wanted{place, id_of("absent")}, Wanted{place, id_of("two")},
                          Wanted{place, id_of("three")}};
  auto all = std::async(std::launch::async, [&] { return multi->get_many(wanted, soon()); });
  a->wait_for_hanging(4);
  a->hang(false);
  const auto got = all.get();
  ASSERT_EQ(got.size(), 4u);
  EXPECT_EQ(base::as_text(*got[0]), "one");
  EXPECT_EQ(got[1].error().code, Code::not_found);
  EXPECT_EQ(base::as_text(*got[2]), "two");
  EXPECT_EQ(base::as_text(*got[3]), "three");
}

TEST_F(Multi, TheHedgesOfManyBlobsDoNotWaitForEachOther) {
  auto a = puppet("a");
  auto b = puppet("b");
  for (const auto* content : {"one", "two", "three"}) give(*b, content);
  a->hang(true);
  b->hang(true);
  auto multi = open({.hedge = milliseconds{1}, .backend_deadline = std::chrono::seconds{30}});
  const std::array wanted{Wanted{place, id_of("one")}, Wanted{place, id_of("two")}, Wanted{place, id_of("three")}};
  auto all = std::async(std::launch::async, [&] { return multi->get_many(wanted, soon()); });
  b->wait_for_hanging(3);  // while nobody has answered anything
  b->hang(false);
  for (const auto& one : all.get()) EXPECT_TRUE(one.ok());
}

TEST_F(Multi, AFailureOfOneOfManyIsFollowedUpWhileAnotherHangs) {
  auto a = puppet("a");
  auto b = puppet("b");
  give(*b, "two");
  auto hanging = puppet("c");
  hanging->hang(true);
  std::swap(states[0], states[2]);  // c, b, a
  b->hang(true);
  auto multi = open({.hedge = std::chrono::hours{1}, .backend_deadline = std::chrono::seconds{30}});
  const std::array wanted{Wanted{place, id_of("one")}, Wanted{place, id_of("two")}};
  auto all = std::async(std::launch::async, [&] { return multi->get_many(wanted, soon()); });
  hanging->wait_for_hanging(2);
  hanging->hang(false);  // has neither: both go on to b at once, not one after the other
  b->wait_for_hanging(2);
  b->hang(false);
  const auto got = all.get();
  EXPECT_EQ(got[0].error().code, Code::not_found);
  EXPECT_TRUE(got[1].ok());
}

TEST_F(Multi, ManyReadersOfOneBlobAreOneRead) {
  auto a = puppet("a");
  give(*a, "hello");
  a->hang(true);
  auto multi = open({.backend_deadline = std::chrono::seconds{30}});
  std::atomic<int> good{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 8; ++i) {
    readers.emplace_back([&] { good += multi->get(place, id_of("hello"), soon()).ok() ? 1 : 0; });
  }
  a->wait_for_hanging(1);
  a->hang(false);
  for (auto& reader : readers) reader.join();
  EXPECT_EQ(good, 8);
  EXPECT_LE(a->gets, 8);
}

TEST_F(Multi, AFullLaneRefusesAtOnceAndOthersGoOn) {
  auto hanging = puppet("hanging");
  hanging->hang(true);
  auto lanes = std::make_shared<Lanes>(LaneOptions{.threads = 2, .waiting = 2});
  auto multi = open({.lanes = lanes, .backend_deadline = std::chrono::seconds{30}});
  std::vector<std::thread> readers;
  for (int i = 0; i < 4; ++i) {
    readers.emplace_back([&, i] { (void)multi->get(place, id_of(std::to_string(i)), soon()); });
  }
  hanging->wait_for_hanging(2);
  base::Result<base::Bytes> got = Error{Code::internal, ""};
  // The other two may still be on their way into the queue; each of these that finds a place there fills it.
  for (int i = 0; got.error().code == Code::internal || got.error().code == Code::deadline_exceeded; ++i) {
    got = multi->get(place, id_of("more " + std::to_string(i)), base::system_clock().steady() + milliseconds{1});
  }
  EXPECT_EQ(got.error().code, Code::unavailable);
  // Another tenant's lane is another lane.
  auto healthy = std::make_shared<Puppet::State>();
  healthy->name = "healthy";
  give(*healthy, "hello");
  std::vector<std::unique_ptr<BlobStore>> stores;
  stores.push_back(std::make_unique<Puppet>(healthy));
  auto other = make_multi(std::move(stores), {.lanes = lanes}).value();
  EXPECT_TRUE(other->get(config_of(kApp, "acme"), id_of("hello"), soon()));
  hanging->hang(false);
  for (auto& reader : readers) reader.join();
}

TEST_F(Multi, StoresEverywhereAndSaysWhereItFailed) {
  auto a = puppet("a");
  auto b = puppet("b");
  a->set(away);
  auto multi = open();
  const auto outcomes = multi->put_all(place, base::as_bytes("hello"), soon());
  ASSERT_TRUE(outcomes);
  EXPECT_FALSE((*outcomes)[0].status);
  EXPECT_TRUE((*outcomes)[1].status);
  EXPECT_EQ(multi->put(place, base::as_bytes("hello"), soon()).value(), id_of("hello"));
  b->set(away);
  EXPECT_EQ(multi->put(place, base::as_bytes("hello"), soon()).error().code, Code::unavailable);
  a->set(Error{Code::too_large, "too large"});
  b->set(Error{Code::too_large, "too large"});
  EXPECT_EQ(multi->put(place, base::as_bytes("hello"), soon()).error().code, Code::too_large);
}

TEST_F(Multi, AMissIsBelievedForAMomentOnly) {
  auto a = puppet("a");
  auto multi = open({.negative = std::chrono::hours{1}});
  EXPECT_FALSE(multi->get(place, id_of("hello"), soon()));
  EXPECT_FALSE(multi->get(place, id_of("hello"), soon()));
  EXPECT_EQ(a->gets, 1);
  // What is stored through it is there at once.
  EXPECT_TRUE(multi->put(place, base::as_bytes("hello"), soon()));
  EXPECT_TRUE(multi->get(place, id_of("hello"), soon()));
}

TEST_F(Multi, OneBadUriAmongGoodOnesIsLeftOut) {
  FileRig rig;
  const std::vector<std::string> uris{"nonsense", rig.uri(), "ftp://u:p@host/"};
  auto context = rig.context(kApp);
  auto opened = open_all(uris, context);
  ASSERT_EQ(opened.stores.size(), 1u);
  ASSERT_EQ(opened.refused.size(), 2u);
  EXPECT_EQ(opened.refused[1].first, "ftp://host/");
  EXPECT_FALSE(make_multi({}));
}

// -- lanes

TEST(Lane, RunsCallsThatWaitedTooLongAsLate) {
  std::atomic<bool> late{false};
  {
    Lanes lanes;
    ASSERT_TRUE(lanes.run("a", base::system_clock().steady() - milliseconds{1}, [&](bool value) { late = value; }));
  }
  EXPECT_TRUE(late);
}

TEST(Lane, RunsAllThatWasTaken) {
  std::atomic<int> count{0};
  {
    Lanes lanes{{.threads = 3, .waiting = 1000, .lanes = 4}};
    for (int i = 0; i < 300; ++i) {
      ASSERT_TRUE(lanes.run("lane " + std::to_string(i % 10), soon(), [&](bool) { ++count; }));
    }
  }
  EXPECT_EQ(count, 300);
}

// -- cache and seals

class Cache : public ::testing::Test {
 protected:
  TemporaryFolder folder;
  std::unique_ptr<Sealer> sealer =
      open_tenant_sealer(folder.path() + "/keys", crypto::Secret{32}, crypto::system_random()).value();
  std::shared_ptr<BlobCache> open(std::uint64_t max_bytes = 1u << 20, std::uint64_t memory = 0) {
    return BlobCache::open({.folder = folder.path() + "/cache",
                            .max_bytes = max_bytes,
                            .memory_bytes = memory,
                            .sealer = sealer.get()})
        .value();
  }
  std::vector<std::filesystem::path> files() const {
    std::vector<std::filesystem::path> out;
    for (const auto& entry : std::filesystem::directory_iterator{folder.path() + "/cache"}) out.push_back(entry.path());
    return out;
  }
  void keep(BlobCache& cache, const std::string& content) {
    cache.keep(place, id_of(content), base::as_bytes(content));
  }
  const Place place = config_of(kApp);
};

TEST_F(Cache, KeepsOverARestartAndApartByPlace) {
  keep(*open(), "hello");
  auto cache = open();
  const auto found = cache->find(place, id_of("hello"));
  ASSERT_TRUE(found);
  EXPECT_EQ(text_of(*found), "hello");
  EXPECT_FALSE(cache->find(secret_of(kApp), id_of("hello")));
  EXPECT_FALSE(cache->find(config_of("name:other"), id_of("hello")));
  EXPECT_FALSE(cache->find(config_of(kApp, "acme"), id_of("hello")));
}

TEST_F(Cache, ACopyOfItShowsNothing) {
  keep(*open(), "a canary in a configuration");
  for (const auto& entry : std::filesystem::recursive_directory_iterator{folder.path()}) {
    if (!entry.is_regular_file()) continue;
    EXPECT_EQ(read_whole(entry.path()).find("canary"), std::string::npos) << entry.path();
    EXPECT_EQ(entry.path().string().find(base::hex(id_of("a canary in a configuration"))), std::string::npos);
    EXPECT_EQ(static_cast<unsigned>(entry.status().permissions()), 0600u);
  }
}

TEST_F(Cache, DropsWhatIsDamaged) {
  keep(*open(), "hello");
  write_whole(files().at(0), "damaged");
  auto cache = open();
  EXPECT_FALSE(cache->find(place, id_of("hello")));
  EXPECT_TRUE(files().empty());
  keep(*cache, "hello");
  EXPECT_TRUE(cache->find(place, id_of("hello")));
}

TEST_F(Cache, ForgetsTheLeastRecentlyUsedFirst) {
  auto cache = open(3 * 1100);
  const std::string a(1000, 'a');
  const std::string b(1000, 'b');
  const std::string c(1000, 'c');
  const std::string d(1000, 'd');
  for (const auto* content : {&a, &b, &c}) keep(*cache, *content);
  EXPECT_TRUE(cache->find(place, id_of(a)));
  keep(*cache, d);
  EXPECT_FALSE(cache->find(place, id_of(b)));
  for (const auto* content : {&a, &c, &d}) EXPECT_TRUE(cache->find(place, id_of(*content)));
  EXPECT_LE(cache->bytes(), 3300u);
  EXPECT_EQ(files().size(), 3u);
}

TEST_F(Cache, NeedsTheKeysOfTheTenant) {
  keep(*open(), "hello");
  sealer = open_tenant_sealer(folder.path() + "/other-keys", crypto::Secret{32}, crypto::system_random()).value();
  EXPECT_FALSE(open()->find(place, id_of("hello")));
}

TEST_F(Cache, ServesAMultiStoreWhoseBackendsAreAway) {
  FileRig rig;
  const auto id = rig.plant(place, "hello");
  std::vector<std::unique_ptr<BlobStore>> stores;
  stores.push_back(rig.open(kApp));
  MultiOptions options;
  options.cache = open(1u << 20, 1u << 16);
  auto multi = make_multi(std::move(stores), std::move(options)).value();
  EXPECT_TRUE(multi->get(place, id, soon()));
  rig.break_down();
  EXPECT_TRUE(multi->get(place, id, soon()));
}

TEST(TenantSealer, KeepsTenantsAndRecordsApart) {
  TemporaryFolder folder;
  const auto open = [&folder](std::uint8_t wrapping) {
    crypto::Secret key{32};
    key.writable()[0] = wrapping;
    return open_tenant_sealer(folder.path(), std::move(key), crypto::system_random()).value();
  };
  const auto acme = tenant_of("acme");
  const auto beta = tenant_of("beta");
  const auto record = base::as_bytes("record");
  const auto sealed = open(1)->seal(acme, record, base::as_bytes("a canary")).value();
  EXPECT_EQ(text_of(sealed).find("canary"), std::string::npos);
  auto again = open(1);
  EXPECT_TRUE(again->open(acme, record, sealed));
  EXPECT_FALSE(again->open(acme, base::as_bytes("another"), sealed));
  EXPECT_FALSE(again->open(beta, record, sealed));
  EXPECT_TRUE(again->seal(beta, record, base::as_bytes("x")));
  EXPECT_FALSE(again->open(beta, record, sealed));
  EXPECT_EQ(open(2)->open(acme, record, sealed).error().code, Code::corrupt);
  // A damaged key is never replaced by a fresh one.
  write_whole(folder.path() + "/acme.key", "damaged");
  EXPECT_EQ(open(1)->seal(acme, record, base::as_bytes("x")).error().code, Code::corrupt);
  EXPECT_EQ(read_whole(folder.path() + "/acme.key"), "damaged");
}

}  // namespace
}  // namespace attestry::blobs::testing
