#include "keys/bootstrap.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/encoding.h"
#include "curves/ecies.h"
#include "curves/shamir.h"
#include "state/testing/support.h"

namespace attestry::keys {
namespace {

using base::Code;
using ::testing::HasSubstr;
using enum BootstrapState;

constexpr std::int64_t kNow = 1'780'000'000;
const std::string kIds[] = {"ada", "bob", "cyd"};

base::Deadline soon() { return std::chrono::steady_clock::now() + std::chrono::seconds(30); }

template <class T>
void refused(const base::Result<T>& result, Code code, const std::string& words) {
  ASSERT_FALSE(result.ok()) << "expected: " << words;
  EXPECT_EQ(result.error().code, code) << result.error().text();
  EXPECT_THAT(result.error().what, HasSubstr(words));
}

class BootstrapTest : public ::testing::Test {
 protected:
  BootstrapTest() { start(); }

  static base::Result<AdminSet> set_of(const std::vector<crypto::EcPrivateKey>& keys) {
    std::vector<std::pair<std::string, std::string>> admins;
    for (std::size_t i = 0; i < keys.size(); ++i)
      admins.emplace_back(kIds[i], base::pem_encode("PUBLIC KEY", keys[i].public_key().spki()));
    return AdminSet::make(std::move(admins));
  }
  base::Result<std::unique_ptr<Bootstrap>> try_open(const std::vector<crypto::EcPrivateKey>& admins) {
    auto set = set_of(admins);
    if (!set) return set.error();
    return Bootstrap::open(*store, *std::move(set), options, random, clock);
  }
  void open_store() {
    bootstrap.reset();
    store.reset();
    auto opened = state::Store::open({.path = folder.file("store.db"), .clock = &clock});
    ASSERT_TRUE(opened.ok()) << opened.error().text();
    store = *std::move(opened);
  }
  /// As after a crash: everything in memory is gone.
  void start() {
    open_store();
    auto opened = try_open(keys);
    ASSERT_TRUE(opened.ok()) << opened.error().text();
    bootstrap = *std::move(opened);
  }
  BootstrapState state() const { return bootstrap->status().state; }
  void generate() {
    const auto made = bootstrap->generate(std::nullopt, std::nullopt, soon());
    ASSERT_TRUE(made.ok()) << made.error().text();
  }
  crypto::Secret fetch(unsigned admin, ShareFormat format = ShareFormat::v2) {
    const auto share = bootstrap->fetch(kIds[admin], format, soon());
    EXPECT_TRUE(share.ok()) << share.error().text();
    if (!share) return {};
    const auto context = share_context(bootstrap->status().set_id, share->index, kIds[admin]);
    auto plain = format == ShareFormat::v2 ? curves::ecies_v2_open(keys[admin], context, share->blob)
                                           : curves::ecies_v1_open(keys[admin], share->blob);
    EXPECT_TRUE(plain.ok()) << plain.error().text();
    return plain ? *std::move(plain) : crypto::Secret{};
  }
  std::vector<crypto::Secret> generate_and_fetch() {
    generate();
    std::vector<crypto::Secret> out;
    for (unsigned i = 0; i < 3; ++i) out.push_back(fetch(i));
    return out;
  }
  base::Result<Submitted> submit(unsigned admin, const crypto::Secret& share) {
    return bootstrap->submit(kIds[admin], admin, share.clone(), soon());
  }
  void recover(const std::vector<crypto::Secret>& shares, unsigned first = 0, unsigned second = 1) {
    ASSERT_TRUE(bootstrap->begin_recovery(kIds[0], std::nullopt, soon()).ok());
    EXPECT_EQ(submit(first, shares[first]).value_or(Submitted::unlocked), Submitted::accepted);
    EXPECT_EQ(submit(second, shares[second]).value_or(Submitted::accepted), Submitted::unlocked);
  }
  std::string master() const {
    const auto key = bootstrap->master();
    return key ? base::hex(key->reveal()) : key.error().text();
  }
  std::string everything_stored() {
    store.reset();
    std::string out;
    for (const auto& file : std::filesystem::directory_iterator(folder.path())) {
      std::ifstream in{file.path(), std::ios::binary};
      out.append(std::istreambuf_iterator<char>{in}, {});
    }
    return out;
  }

  state::testing::TempFolder folder;
  state::testing::ManualClock clock{base::UtcTime{kNow}};
  crypto::SeededRandom random{base::as_bytes("bootstrap")};
  std::vector<crypto::EcPrivateKey> keys = [this] {
    std::vector<crypto::EcPrivateKey> out;
    for (const crypto::Curve curve : {crypto::Curve::p256, crypto::Curve::p384, crypto::Curve::p521}) {
      out.push_back(crypto::EcPrivateKey::generate(curve, random));
    }
    return out;
  }();
  BootstrapOptions options;
  std::unique_ptr<state::Store> store;
  std::unique_ptr<Bootstrap> bootstrap;
};

TEST_F(BootstrapTest, GeneratesDistributesAndIsComplete) {
  options.seed_dialect = true;
  start();
  EXPECT_EQ(state(), initial);
  refused(bootstrap->fetch("ada", ShareFormat::v2, soon()), Code::conflict, "No shares available for retrieval");
  refused(bootstrap->master(), Code::unavailable, "not there yet");
  const auto made = bootstrap->generate(std::nullopt, std::nullopt, soon());
  ASSERT_TRUE(made.ok());
  ASSERT_EQ(made->assignments.size(), 3U);
  EXPECT_EQ(made->threshold, 2U);
  EXPECT_EQ(state(), generating_shares);
  refused(bootstrap->master(), Code::unavailable, "not there yet");
  std::vector<crypto::Secret> shares;
  shares.push_back(fetch(0, ShareFormat::v1));
  shares.push_back(fetch(1, ShareFormat::v2));
  EXPECT_EQ(fetch(1, ShareFormat::v1).size(), 33U) << "again, and in the other form";
  EXPECT_EQ(state(), generating_shares);
  shares.push_back(fetch(2, ShareFormat::v1));
  EXPECT_EQ(state(), complete);
  for (const auto& [a, b] : {std::pair{0, 1}, std::pair{0, 2}, std::pair{1, 2}}) {
    std::vector<crypto::Secret> two;
    two.push_back(shares[static_cast<std::size_t>(a)].clone());
    two.push_back(shares[static_cast<std::size_t>(b)].clone());
    const auto combined = curves::shamir_combine(two);
    ASSERT_TRUE(combined.ok());
    EXPECT_EQ(base::hex(combined->reveal()), master());
  }
  refused(bootstrap->fetch("ada", ShareFormat::v1, soon()), Code::conflict, "No shares available for retrieval");
}

TEST_F(BootstrapTest, AShareIsKeptUntilItsAdminHasShownThatHeHasIt) {
  generate_and_fetch();
  const auto share = fetch(1);  // the answer was lost on its way
  const auto status = bootstrap->status();
  refused(bootstrap->confirm("bob", *status.shares[0].commitment, soon()), Code::usage, "not the commitment");
  ASSERT_TRUE(bootstrap->confirm("bob", curves::share_commitment(status.set_id, share), soon()).ok());
  refused(bootstrap->fetch("bob", ShareFormat::v2, soon()), Code::conflict, "No shares available");
  start();
  refused(bootstrap->fetch("bob", ShareFormat::v2, soon()), Code::conflict, "No shares available");
  EXPECT_EQ(fetch(0).size(), 33U);
  EXPECT_TRUE(bootstrap->status().shares[1].received);
}

TEST_F(BootstrapTest, ASetOfSharesIsMadeOnceInTheLifeOfAStore) {
  generate();
  refused(bootstrap->generate({}, {}, soon()), Code::conflict, "Bootstrap already in progress or complete");
  start();
  refused(bootstrap->generate({}, {}, soon()), Code::conflict, "Bootstrap already in progress or complete");
  for (unsigned i = 0; i < 3; ++i) fetch(i);
  EXPECT_EQ(state(), initial) << "the master key went with the process that made it";
  refused(bootstrap->generate({}, {}, soon()), Code::conflict, "Bootstrap already in progress or complete");
}

TEST_F(BootstrapTest, GoesOnAtEveryStepAfterARestart) {
  generate();
  std::vector<crypto::Secret> shares;
  for (unsigned i = 0; i < 3; ++i) {
    start();
    EXPECT_EQ(state(), generating_shares);
    shares.push_back(fetch(i));
  }
  start();
  EXPECT_EQ(state(), initial);
  ASSERT_TRUE(bootstrap->begin_recovery(kIds[0], {}, soon()).ok());
  start();
  EXPECT_EQ(state(), recovering);
  refused(bootstrap->begin_recovery(kIds[0], {}, soon()), Code::conflict, "Bootstrap already in progress or complete");
  EXPECT_TRUE(submit(0, shares[0]).ok());
  start();
  EXPECT_EQ(bootstrap->status().submitted, 0U) << "shares in clear are in memory only";
  EXPECT_EQ(submit(1, shares[1]).value_or(Submitted::unlocked), Submitted::accepted);
  EXPECT_EQ(submit(2, shares[2]).value_or(Submitted::accepted), Submitted::unlocked);
  EXPECT_EQ(state(), complete);
  const auto first = master();
  start();
  EXPECT_EQ(state(), initial);
  recover(shares, 0, 2);
  EXPECT_EQ(master(), first);
}

TEST_F(BootstrapTest, EnoughAdminsBringTheKeyBackWhenARestartCameBeforeTheLastFetch) {
  generate();
  std::vector<crypto::Secret> shares;
  shares.push_back(fetch(0));
  shares.push_back(fetch(1));
  refused(bootstrap->begin_recovery(kIds[0], {}, soon()), Code::conflict, "already in progress");
  start();
  recover(shares);
  EXPECT_EQ(state(), complete);
  EXPECT_EQ(fetch(2).size(), 33U) << "the third admin is not left without a share";
}

TEST_F(BootstrapTest, AWrongShareIsNamedAndTheOthersStay) {
  const auto shares = generate_and_fetch();
  const auto before = master();
  start();
  ASSERT_TRUE(bootstrap->begin_recovery(kIds[0], {}, soon()).ok());
  EXPECT_TRUE(submit(0, shares[0]).ok());
  auto forged = shares[1].clone();
  forged.writable()[7] ^= 1;
  refused(submit(1, forged), Code::usage, "failed to reconstruct master key: share 1 of admin bob does not match");
  const auto cut = crypto::Secret::copy_of(shares[1].reveal().first(20));
  refused(submit(1, cut), Code::usage, "failed to reconstruct master key: share 1 of admin bob");
  EXPECT_EQ(state(), recovering);
  EXPECT_EQ(submit(1, shares[1]).value_or(Submitted::accepted), Submitted::unlocked);
  EXPECT_EQ(master(), before);
}

TEST_F(BootstrapTest, OneAdminIsOneShareWhateverIndexHeSays) {
  const auto shares = generate_and_fetch();
  start();
  ASSERT_TRUE(bootstrap->begin_recovery(kIds[0], {}, soon()).ok());
  EXPECT_TRUE(submit(0, shares[0]).ok());
  refused(bootstrap->submit("ada", 1, shares[1].clone(), soon()), Code::usage, "share 1 is not this admin's");
  EXPECT_EQ(submit(0, shares[0]).value_or(Submitted::unlocked), Submitted::again) << "the same again";
  refused(bootstrap->submit("ada", -1, shares[0].clone(), soon()), Code::usage, "no share has the index");
  refused(bootstrap->submit("eve", 1, shares[1].clone(), soon()), Code::usage, "unregistered admin");
  EXPECT_EQ(state(), recovering);
}

TEST_F(BootstrapTest, ForeignSharesAreTakenOnlyWhenSomebodySaidSo) {
  refused(bootstrap->begin_recovery(kIds[0], {}, soon()), Code::conflict, "No shares are known");
  options.unknown_shares = true;
  start();
  const auto secret = random.secret(32);
  const auto shares = curves::shamir_split(secret, 2, 3, random);
  ASSERT_TRUE(shares.ok());
  ASSERT_TRUE(bootstrap->begin_recovery(kIds[0], {}, soon()).ok());
  EXPECT_TRUE(submit(0, (*shares)[0]).ok());
  refused(bootstrap->submit("ada", 1, (*shares)[1].clone(), soon()), Code::usage, "one admin, one share");
  refused(bootstrap->submit("bob", 0, (*shares)[1].clone(), soon()), Code::usage, "by another admin");
  refused(submit(1, (*shares)[0]), Code::usage, "failed to reconstruct master key");
  EXPECT_EQ(bootstrap->status().submitted, 0U);
  EXPECT_TRUE(submit(0, (*shares)[0]).ok());
  EXPECT_EQ(submit(1, (*shares)[1]).value_or(Submitted::accepted), Submitted::unlocked);
  EXPECT_EQ(master(), base::hex(secret.reveal()));
  // From now on they are known.
  options.unknown_shares = false;
  start();
  ASSERT_TRUE(bootstrap->begin_recovery(kIds[0], {}, soon()).ok());
  refused(submit(0, (*shares)[1]), Code::usage, "share 0 of admin ada does not match its commitment");
  EXPECT_TRUE(submit(0, (*shares)[0]).ok());
  refused(submit(2, (*shares)[1]), Code::usage, "that is the share of admin bob");
  auto forged = (*shares)[2].clone();
  forged.writable()[0] ^= 1;
  refused(submit(2, forged), Code::usage, "wrong is one of cyd");
  EXPECT_EQ(submit(2, (*shares)[2]).value_or(Submitted::accepted), Submitted::unlocked);
}

TEST_F(BootstrapTest, TheSetOfAdminsDoesNotChangeByAnEditedFile) {
  generate();
  auto others = keys;
  others[1] = crypto::EcPrivateKey::generate(crypto::Curve::p256, random);
  open_store();
  const auto opened = try_open(others);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, Code::configuration);
  EXPECT_THAT(opened.error().found, HasSubstr("bob"));
}

TEST_F(BootstrapTest, CommitmentsGoToANewMachine) {
  const auto shares = generate_and_fetch();
  const auto before = master();
  options.commitments_json = bootstrap->commitments_json();
  const state::testing::TempFolder elsewhere;
  bootstrap.reset();
  store.reset();
  auto other = state::Store::open({.path = elsewhere.file("store.db"), .clock = &clock});
  ASSERT_TRUE(other.ok());
  store = *std::move(other);
  auto opened = try_open(keys);
  ASSERT_TRUE(opened.ok()) << opened.error().text();
  bootstrap = *std::move(opened);
  EXPECT_EQ(state(), initial);
  refused(bootstrap->generate({}, {}, soon()), Code::conflict, "already in progress");
  refused(bootstrap->fetch("ada", ShareFormat::v2, soon()), Code::conflict, "No shares available");
  ASSERT_TRUE(bootstrap->begin_recovery(kIds[0], {}, soon()).ok());
  refused(submit(0, shares[1]), Code::usage, "share 0 of admin ada does not match");
  EXPECT_TRUE(submit(0, shares[0]).ok());
  EXPECT_TRUE(submit(2, shares[2]).ok());
  EXPECT_EQ(master(), before);
  bootstrap.reset();
  store.reset();
}

TEST_F(BootstrapTest, TakesSharesThatAreSealedToItsKeyOfThisRun) {
  const auto shares = generate_and_fetch();
  start();
  ASSERT_TRUE(bootstrap->begin_recovery(kIds[0], {}, soon()).ok());
  const auto id = bootstrap->status().set_id;
  const auto sealed_for = [&](unsigned admin, const std::string& context) {
    return curves::ecies_v2_seal(bootstrap->recovery_key(), context, shares[admin].reveal(), random)
        .value_or(base::Bytes{});
  };
  const auto sealed = sealed_for(0, submission_context(id, 0, "ada"));
  refused(bootstrap->submit_sealed("bob", 1, sealed, soon()), Code::usage, "sealed to another key");
  EXPECT_EQ(bootstrap->submit_sealed("ada", 0, sealed, soon()).value_or(Submitted::unlocked), Submitted::accepted);
  EXPECT_EQ(bootstrap->submit_sealed("bob", 1, sealed_for(1, submission_context(id, 1, "bob")), soon())
                .value_or(Submitted::accepted),
            Submitted::unlocked);
}

TEST_F(BootstrapTest, NothingOfTheKeyIsAtRest) {
  const auto shares = generate_and_fetch();
  start();
  recover(shares);
  const auto key = bootstrap->master();
  ASSERT_TRUE(key.ok());
  bootstrap.reset();
  const auto stored = everything_stored();
  EXPECT_THAT(stored, HasSubstr("cyd"));
  EXPECT_EQ(stored.find(base::as_text(key->reveal())), std::string::npos);
  for (const auto& share : shares) EXPECT_EQ(stored.find(base::as_text(share.reveal().first(32))), std::string::npos);
}

TEST_F(BootstrapTest, OldRequestsMayAskForMoreNotForLess) {
  options.threshold = 3;
  start();
  refused(bootstrap->generate(2, {}, soon()), Code::usage, "Threshold must be at least 3");
  options.threshold = 2;
  start();
  refused(bootstrap->generate(1, {}, soon()), Code::usage, "Threshold must be at least 2");
  refused(bootstrap->generate(3, 2, soon()), Code::usage, "Total shares must be at least equal to threshold");
  refused(bootstrap->generate(2, 4, soon()), Code::usage,
          "Not enough admins (3) for the requested number of shares (4)");
  ASSERT_TRUE(bootstrap->generate(2, 2, soon()).ok());
  refused(bootstrap->fetch("cyd", ShareFormat::v2, soon()), Code::not_found, "No share assigned to this admin");
}

TEST_F(BootstrapTest, ASignedRequestIsUsedOnce) {
  const base::Digest32 key{1};
  const base::UtcTime later{kNow + 300};
  EXPECT_TRUE(bootstrap->use_request("ada", key, later, soon()).ok());
  refused(bootstrap->use_request("ada", key, later, soon()), Code::replayed, "used already");
  EXPECT_TRUE(bootstrap->use_request("bob", key, base::UtcTime{INT64_MAX}, soon()).ok());
  start();
  refused(bootstrap->use_request("ada", key, later, soon()), Code::replayed, "used already");
  refused(bootstrap->use_request("bob", key, base::UtcTime{INT64_MAX}, soon()), Code::replayed, "used already");
  clock.pass(301);
  EXPECT_TRUE(bootstrap->use_request("ada", base::Digest32{2}, later + 300, soon()).ok());
  EXPECT_TRUE(bootstrap->use_request("ada", key, later + 300, soon()).ok()) << "forgotten: its time is over";
  refused(bootstrap->use_request("bob", key, base::UtcTime{INT64_MAX}, soon()), Code::replayed, "used already");
}

}  // namespace
}  // namespace attestry::keys
