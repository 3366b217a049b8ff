#include "keys/rotation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>

#include "state/keys.h"
#include "state/testing/support.h"

namespace attestry::keys {
namespace {

using base::Code;

constexpr int kValues = 7;
const base::Tenant kTenant = base::Tenant::standard();
const base::AppRef kApp = *base::AppRef::parse("name:rotated");

base::Deadline soon() { return std::chrono::steady_clock::now() + std::chrono::seconds(30); }
std::string name(int i) { return "value-" + std::to_string(i); }
crypto::Secret value(int i) { return crypto::Secret::copy_of(base::as_bytes("secret " + std::to_string(i))); }

/// Counts how often a key is asked for, and may end the process there: inside a transaction.
class CountedKeys final : public EpochKeys {
 public:
  explicit CountedKeys(int kill_at = -1) : kill_at_(kill_at) {}
  base::Result<crypto::Secret> sealing_key(const base::Tenant& tenant, const base::AppRef& app,
                                           std::uint32_t epoch) const override {
    if (calls_++ == kill_at_) ::kill(::getpid(), SIGKILL);
    return keys_.sealing_key(tenant, app, epoch);
  }
  int calls() const { return calls_; }

 private:
  DerivedEpochKeys keys_{crypto::Secret::copy_of(base::Bytes(32, 7)), base::Realm::production};
  const int kill_at_;
  mutable int calls_ = 0;
};

/// A store that lives as long as this.
struct Opened {
  explicit Opened(const std::string& folder, int kill_at = -1) : keys(kill_at) {
    auto opened = state::Store::open({.path = folder + "/store.db"});
    EXPECT_TRUE(opened.ok()) << opened.error().text();
    store = *std::move(opened);
    sealed = std::make_unique<EpochSealed>(*store, keys, crypto::system_random());
  }
  void fill() const {
    for (int i = 0; i < kValues; ++i) EXPECT_TRUE(sealed->put(kTenant, kApp, name(i), value(i), soon()).ok());
  }
  std::string text(int i) const {
    const auto got = sealed->get(kTenant, kApp, name(i));
    return got ? std::string{base::as_text(got->reveal())} : got.error().text();
  }
  bool whole() const {
    for (int i = 0; i < kValues; ++i) {
      if (text(i) != "secret " + std::to_string(i)) return false;
    }
    return true;
  }
  EpochState state() const { return sealed->state(kTenant, kApp).value_or(EpochState{}); }
  base::Status rotate() const {
    while (!state().finished) TRY_OK(sealed->step(kTenant, kApp, 2, soon()));
    return base::done();
  }

  CountedKeys keys;
  std::unique_ptr<state::Store> store;
  std::unique_ptr<EpochSealed> sealed;
};

TEST(Rotation, NewValuesAreInTheNewEpochAndOldOnesStayReadable) {
  const state::testing::TempFolder folder;
  const Opened opened(folder.path());
  opened.fill();
  ASSERT_TRUE(opened.sealed->advance(kTenant, kApp, 1, soon()).ok());
  EXPECT_TRUE(opened.whole());
  ASSERT_TRUE(opened.sealed->put(kTenant, kApp, name(0), value(0), soon()).ok());
  const auto early = opened.sealed->retire(kTenant, kApp, 1, soon());
  ASSERT_FALSE(early.ok());
  EXPECT_EQ(early.error().code, Code::conflict);
  ASSERT_TRUE(opened.rotate().ok());
  EXPECT_EQ(opened.state().resealed, static_cast<std::uint64_t>(kValues - 1)) << "one was in the new epoch already";
  ASSERT_TRUE(opened.sealed->retire(kTenant, kApp, 1, soon()).ok());
  EXPECT_TRUE(opened.whole());
  EXPECT_EQ(opened.state().oldest, 1U);
}

TEST(Rotation, EpochsGoUpAndARetiredOneIsNotReadAnyMore) {
  const state::testing::TempFolder folder;
  const Opened opened(folder.path());
  opened.fill();
  const auto old = opened.store->read();
  base::Bytes before;
  ASSERT_TRUE(old.ok());
  ASSERT_TRUE(opened.sealed->advance(kTenant, kApp, 3, soon()).ok());
  EXPECT_TRUE(opened.sealed->advance(kTenant, kApp, 3, soon()).ok());
  EXPECT_EQ(opened.sealed->advance(kTenant, kApp, 2, soon()).error().code, Code::conflict);
  EXPECT_EQ(opened.sealed->retire(kTenant, kApp, 4, soon()).error().code, Code::conflict);
  // A copy of a value from before comes back after its epoch was retired.
  const auto key = state::Key(state::Space::rotation, kTenant).lp(kApp.bytes()).u8(1).lp(name(0));
  before = (*old)->get(key).value_or(std::nullopt).value_or(base::Bytes{});
  ASSERT_TRUE(opened.rotate().ok());
  ASSERT_TRUE(opened.sealed->retire(kTenant, kApp, 3, soon()).ok());
  ASSERT_TRUE(opened.store->write_and_wait([&](state::WriteTxn& txn) { return txn.put(key, before); }, soon()).ok());
  EXPECT_EQ(opened.sealed->get(kTenant, kApp, name(0)).error().code, Code::denied);
  EXPECT_EQ(opened.text(1), "secret 1");
}

TEST(Rotation, KeysOfEpochsAppsAndTenantsDiffer) {
  const CountedKeys keys;
  const auto key = [&](const base::AppRef& app, std::uint32_t epoch) {
    const auto made = keys.sealing_key(kTenant, app, epoch);
    return made ? base::to_bytes(made->reveal()) : base::Bytes{};
  };
  EXPECT_EQ(key(kApp, 0), key(kApp, 0));
  EXPECT_NE(key(kApp, 0), key(kApp, 1));
  EXPECT_NE(key(kApp, 0), key(*base::AppRef::parse("name:other"), 0));
}

/// Runs `work` in a process of its own; true when it was killed, false when it came to its end.
bool killed(const std::function<bool()>& work) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(work() ? 0 : 1);
  int how = 0;
  EXPECT_EQ(::waitpid(child, &how, 0), child);
  if (WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL) return true;
  EXPECT_TRUE(WIFEXITED(how) && WEXITSTATUS(how) == 0);
  return false;
}

TEST(Rotation, AKillInsideAnyStepLosesNothingAndTheNextRunGoesOn) {
  int deaths = 0;
  for (int at = 0;; ++at) {
    const state::testing::TempFolder folder;
    {
      const Opened opened(folder.path());
      opened.fill();
      ASSERT_TRUE(opened.sealed->advance(kTenant, kApp, 1, soon()).ok());
    }
    const bool died = killed([&] { return Opened(folder.path(), at).rotate().ok(); });
    const Opened after(folder.path());
    EXPECT_TRUE(after.whole()) << "killed at key " << at;
    ASSERT_TRUE(after.rotate().ok());
    EXPECT_TRUE(after.whole());
    EXPECT_EQ(after.state().resealed, static_cast<std::uint64_t>(kValues)) << "each once, in all runs together";
    EXPECT_TRUE(after.sealed->retire(kTenant, kApp, 1, soon()).ok());
    if (!died) break;
    ++deaths;
  }
  EXPECT_EQ(deaths, 2 * kValues) << "a key is asked for to open and to seal each value";
}

TEST(Rotation, AKillAfterAnyStepGoesOnFromThere) {
  const state::testing::TempFolder folder;
  {
    const Opened opened(folder.path());
    opened.fill();
    ASSERT_TRUE(opened.sealed->advance(kTenant, kApp, 1, soon()).ok());
  }
  for (int steps = 0; steps <= kValues; ++steps) {
    const bool died = killed([&] {
      const Opened opened(folder.path());
      if (!opened.sealed->step(kTenant, kApp, 1, soon()).ok()) return false;
      ::kill(::getpid(), SIGKILL);
      return false;
    });
    EXPECT_TRUE(died);
    const Opened after(folder.path());
    EXPECT_TRUE(after.whole());
    EXPECT_EQ(after.state().resealed, static_cast<std::uint64_t>(std::min(steps + 1, kValues)));
  }
  const Opened after(folder.path());
  EXPECT_TRUE(after.state().finished);
}

}  // namespace
}  // namespace attestry::keys
