#include "secrets/keystore_rotation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "audit/testing/support.h"
#include "secrets/testing/keystore_device.h"

namespace attestry::secrets {
namespace {

using base::Code;
using keystore::Seed;
using state::testing::patient;

/// What owners keep, as a contract would show it.
class Kept final : public SecretLister {
 public:
  using State = std::map<std::string, std::vector<ListedSecret>>;
  State by_owner;
  int asked = 0;
  int fails_at = -1;
  std::vector<State> states;
  std::size_t forgotten = 0;  ///< so many of the first ones
  base::Result<Page> list(std::string_view owner, std::uint64_t from, std::size_t most, base::ByteView state) override {
    if (asked++ == fails_at) return base::Error{Code::unavailable, "the node does not answer"};
    Page out;
    if (state.empty()) {
      states.push_back(by_owner);
      out.state = {static_cast<std::uint8_t>(states.size() - 1)};
    } else {
      out.state = base::to_bytes(state);
    }
    if (out.state[0] < forgotten) return base::Error{Code::not_found, "the node has forgotten that block"};
    const auto& all = states.at(out.state[0])[std::string{owner}];
    for (auto i = from; i < all.size() && out.secrets.size() < most; ++i) out.secrets.push_back(all[i]);
    return out;
  }
};

class KeystoreRotationTest : public ::testing::Test {
 protected:
  KeystoreRotationTest() { open(); }
  void open() {
    rotation_.reset();
    masters_.reset();
    log_.reset();
    store_.reset();
    store_ = *state::Store::open({.path = folder_.file("store.db"), .realm = base::Realm::simulated});
    log_ = *audit::Log::open(*store_, audit::testing::log_key(),
                             {.origin = audit::testing::kOrigin, .checkpoint_path = folder_.file("checkpoint")});
    epochs_.emplace(*store_, crypto::Secret::copy_of(base::Bytes(32, 7)), crypto::system_random());
    KeystoreMastersOptions options;
    options.first = crypto::Secret::copy_of(base::Bytes(32, 9));
    options.source = imported_source(crypto::Secret::copy_of(base::Bytes(32, 1)), crypto::system_random());
    masters_ = *KeystoreMasters::open({*store_, *log_, *epochs_, crypto::system_random()}, std::move(options));
    rotation_.emplace(KeystoreRotationParts{.store = *store_,
                                            .log = *log_,
                                            .masters = *masters_,
                                            .lister = kept_,
                                            .random = crypto::system_random(),
                                            .gate = [this](std::string_view vault, base::Deadline) -> base::Status {
                                              EXPECT_FALSE(vault.empty()) << "the default vault is nobody's";
                                              ++looked_;
                                              return verdict_;
                                            }});
  }
  ListedSecret sealed(const std::string& owner, const std::string& profile, const std::string& vault = {}) {
    ListedSecret out{.accessor = R"({"Repo":{"repo":"github.com/a/b","branch":null}})",
                     .profile = profile,
                     .owner = owner,
                     .vault = vault,
                     .seed = *Seed::repo("github.com/a/b", owner),
                     .blob = {}};
    const auto master = *masters_->master(vault);
    out.blob = *keystore::ecies_v1_seal(keystore::ecies_key(*master, *out.seed).public_key,
                                        base::as_bytes("secret of " + owner + profile), crypto::system_random());
    return out;
  }
  std::string opened(const ListedSecret& secret, base::ByteView blob) {
    keystore::SealingKeyCache cache;
    const auto master = *masters_->master(secret.vault);
    const auto plain = keystore::open_blob({.scope = "t", .master = *master, .epoch = masters_->current_epoch()},
                                           *secret.seed, blob, {}, cache);
    return plain ? std::string{base::as_text(plain->plaintext.reveal())} : plain.error().text();
  }
  void walk_all() {
    for (;;) {
      const auto done = rotation_->step(patient());
      ASSERT_TRUE(done.ok()) << done.error().text();
      if (*done) return;
    }
  }
  /// What owners do with what a walk gave.
  void write_back() {
    const auto results = *rotation_->results({}, 100'000);
    for (const auto& entry : results.entries) {
      for (auto& secret : kept_.by_owner[entry.owner]) {
        if (secret.profile == entry.profile) secret.blob = entry.blob;
      }
    }
  }

  state::testing::TempFolder folder_;
  Kept kept_;
  base::Status verdict_ = base::done();  ///< of every vault
  int looked_ = 0;
  std::unique_ptr<state::Store> store_;
  std::unique_ptr<audit::Log> log_;
  std::optional<keys::SealingEpochs> epochs_;
  std::unique_ptr<KeystoreMasters> masters_;
  std::optional<KeystoreRotation> rotation_;
};

TEST_F(KeystoreRotationTest, EverySecretComesOutUnderTheNewEpochAndOpensToTheSame) {
  kept_.by_owner["a.near"] = {sealed("a.near", "one"), sealed("a.near", "two", "acme.near")};
  kept_.by_owner["b.near"] = {sealed("b.near", "one")};
  ASSERT_EQ(*rotation_->rotate({"a.near", "b.near"}, patient()), 2U);
  walk_all();
  const auto progress = *rotation_->progress();
  EXPECT_TRUE(progress.finished);
  EXPECT_EQ(progress.anew, 3U);
  const auto results = *rotation_->results({}, 100);
  ASSERT_EQ(results.entries.size(), 3U);
  EXPECT_EQ(opened(kept_.by_owner["a.near"][0], results.entries[0].blob), "secret of a.nearone");
  EXPECT_EQ(opened(kept_.by_owner["a.near"][1], results.entries[1].blob), "secret of a.neartwo");
  EXPECT_EQ(opened(kept_.by_owner["b.near"][0], results.entries[2].blob), "secret of b.nearone");
  EXPECT_TRUE(results.next.empty());
}

TEST_F(KeystoreRotationTest, VaultsThatAreNotServedAreNotEncryptedAnew) {
  kept_.by_owner["a.near"] = {sealed("a.near", "one"), sealed("a.near", "two", "acme.near")};
  ASSERT_TRUE(rotation_->rotate({"a.near"}, patient()).ok());
  for (const auto code : {Code::unavailable, Code::deadline_exceeded, Code::configuration}) {
    verdict_ = base::Error{code, "the DAO does not say"};
    EXPECT_EQ(rotation_->step(patient()).error().code, code);
    EXPECT_EQ(rotation_->progress()->walked, 0U) << "nothing was learned";
    EXPECT_TRUE(rotation_->results({}, 10)->entries.empty());
  }
  verdict_ = base::Error{Code::denied, "vault acme.near is unlocked"};
  looked_ = 0;
  walk_all();
  EXPECT_EQ(looked_, 1);
  const auto progress = *rotation_->progress();
  EXPECT_EQ(progress.anew, 1U);
  EXPECT_EQ(progress.failed, 1U);
  const auto results = *rotation_->results({}, 10);
  ASSERT_EQ(results.entries.size(), 2U);
  EXPECT_FALSE(results.entries[0].blob.empty());
  EXPECT_TRUE(results.entries[1].blob.empty());
  EXPECT_EQ(rotation_->retire(false, patient()).error().code, Code::conflict);
}

TEST_F(KeystoreRotationTest, OldEpochsAreRetiredOnlyWhenNothingNeedsThem) {
  kept_.by_owner["a.near"] = {sealed("a.near", "one")};
  ASSERT_TRUE(rotation_->rotate({"a.near"}, patient()).ok());
  EXPECT_EQ(rotation_->retire(false, patient()).error().code, Code::conflict) << "not walked";
  walk_all();
  EXPECT_EQ(rotation_->retire(false, patient()).error().code, Code::conflict) << "not written back";
  write_back();
  ASSERT_TRUE(rotation_->walk({"a.near"}, patient()).ok());
  EXPECT_EQ(rotation_->retire(false, patient()).error().code, Code::conflict) << "not walked again";
  walk_all();
  EXPECT_EQ(rotation_->progress()->current, 1U);
  EXPECT_TRUE(rotation_->results({}, 10)->entries.empty());
  ASSERT_TRUE(rotation_->retire(false, patient()).ok());
  EXPECT_EQ(masters_->master({}, 1).error().code, Code::denied);
}

TEST_F(KeystoreRotationTest, AWalkOfAnOlderEpochAllowsNothing) {
  ASSERT_TRUE(rotation_->rotate({"a.near"}, patient()).ok());
  walk_all();
  ASSERT_TRUE(rotation_->rotate({}, patient()).ok());
  EXPECT_EQ(rotation_->retire(false, patient()).error().code, Code::conflict);
  EXPECT_TRUE(rotation_->retire(true, patient()).ok());
}

TEST_F(KeystoreRotationTest, AKilledServerGoesOnWhereItWas) {
  for (std::size_t i = 0; i < KeystoreRotation::kPage * 2 + 5; ++i) {
    kept_.by_owner["a.near"].push_back(sealed("a.near", std::to_string(i)));
  }
  ASSERT_TRUE(rotation_->rotate({"a.near"}, patient()).ok());
  ASSERT_FALSE(*rotation_->step(patient()));
  kept_.fails_at = kept_.asked;
  EXPECT_EQ(rotation_->step(patient()).error().code, Code::unavailable);
  EXPECT_EQ(rotation_->progress()->walked, KeystoreRotation::kPage);
  open();
  kept_.asked = 0;
  kept_.fails_at = -1;
  walk_all();
  EXPECT_EQ(kept_.asked, 2) << "the first page is not asked for again";
  EXPECT_EQ(rotation_->progress()->anew, KeystoreRotation::kPage * 2 + 5);
  std::size_t seen = 0;
  base::Bytes after;
  do {
    const auto page = *rotation_->results(after, 40);
    seen += page.entries.size();
    after = page.next;
  } while (!after.empty());
  EXPECT_EQ(seen, KeystoreRotation::kPage * 2 + 5);
}

TEST_F(KeystoreRotationTest, NoSecretIsPassedOverWhenOthersAreDeletedMeanwhile) {
  constexpr std::size_t kAll = KeystoreRotation::kPage + 10;
  auto& all = kept_.by_owner["a.near"];
  for (std::size_t i = 0; i < kAll; ++i) all.push_back(sealed("a.near", std::to_string(i)));
  ASSERT_TRUE(rotation_->rotate({"a.near"}, patient()).ok());
  ASSERT_FALSE(*rotation_->step(patient()));
  all.erase(all.begin(), all.begin() + 5);  // those behind move forward
  walk_all();
  EXPECT_EQ(rotation_->progress()->walked, kAll);
  EXPECT_THAT(*log_->leaf(log_->head().size - 1), ::testing::HasSubstr("\"state\""));
}

TEST_F(KeystoreRotationTest, AnOwnerWhoseStateIsForgottenIsWalkedOverAnew) {
  kept_.by_owner["0.near"] = {sealed("0.near", "one")};
  auto& all = kept_.by_owner["a.near"];
  for (std::size_t i = 0; i < KeystoreRotation::kPage + 10; ++i) all.push_back(sealed("a.near", std::to_string(i)));
  ASSERT_TRUE(rotation_->rotate({"0.near", "a.near"}, patient()).ok());
  ASSERT_FALSE(*rotation_->step(patient()));
  ASSERT_FALSE(*rotation_->step(patient()));
  EXPECT_EQ(rotation_->progress()->walked, 1 + KeystoreRotation::kPage);
  all.erase(all.begin(), all.begin() + 5);
  kept_.forgotten = kept_.states.size();
  walk_all();
  const auto now = *rotation_->progress();
  EXPECT_EQ(now.walked, 1 + KeystoreRotation::kPage + 5);
  EXPECT_EQ(now.anew, now.walked) << "counted once";
}

TEST_F(KeystoreRotationTest, WhoTakesOverWalksAgainUnlessThereWasNothingToDo) {
  ASSERT_TRUE(rotation_->walk_again(patient()).ok());
  EXPECT_TRUE(*rotation_->step(patient())) << "there was no walk";
  kept_.by_owner["a.near"] = {sealed("a.near", "one")};
  ASSERT_TRUE(rotation_->rotate({"a.near"}, patient()).ok());
  walk_all();
  ASSERT_TRUE(rotation_->walk_again(patient()).ok());
  EXPECT_TRUE(rotation_->results({}, 10)->entries.empty());
  EXPECT_FALSE(rotation_->progress()->finished);
  walk_all();
  EXPECT_EQ(rotation_->progress()->anew, 1U);
  EXPECT_EQ(rotation_->results({}, 10)->entries.size(), 1U);
  write_back();
  ASSERT_TRUE(rotation_->walk({"a.near"}, patient()).ok());
  walk_all();
  ASSERT_TRUE(rotation_->walk_again(patient()).ok());
  EXPECT_TRUE(rotation_->progress()->finished);
  EXPECT_TRUE(rotation_->retire(false, patient()).ok());
}

TEST_F(KeystoreRotationTest, WhatNoEpochOpensIsCountedAndKeepsOldEpochs) {
  auto broken = sealed("a.near", "one");
  broken.blob.back() ^= 1;
  kept_.by_owner["a.near"] = {broken};
  ASSERT_TRUE(rotation_->rotate({"a.near"}, patient()).ok());
  walk_all();
  EXPECT_EQ(rotation_->progress()->failed, 1U);
  EXPECT_TRUE(rotation_->results({}, 10)->entries[0].blob.empty());
  EXPECT_EQ(rotation_->retire(false, patient()).error().code, Code::conflict);
}

TEST_F(KeystoreRotationTest, OurOwnBlobsKeepTheirVersionAndNameTheNewEpoch) {
  auto secret = sealed("a.near", "one");
  const auto key = keystore::sealing_key_v3(**masters_->master(), *secret.seed);
  secret.blob =
      *keystore::blob_v3_seal(key.public_key, *secret.seed, 1, 7, base::as_bytes("ours"), crypto::system_random());
  kept_.by_owner["a.near"] = {secret};
  ASSERT_TRUE(rotation_->rotate({"a.near"}, patient()).ok());
  walk_all();
  const auto blob = rotation_->results({}, 10)->entries.at(0).blob;
  const auto header = *keystore::read_blob_v3_header(blob);
  EXPECT_EQ(header.epoch, 2U);
  EXPECT_EQ(header.version, 7U);
  EXPECT_EQ(opened(secret, blob), "ours");
}

TEST_F(KeystoreRotationTest, NoWalkGoesOverNobody) {
  EXPECT_EQ(rotation_->walk({}, patient()).error().code, Code::usage);
  EXPECT_EQ(rotation_->walk({""}, patient()).error().code, Code::usage);
  EXPECT_EQ(rotation_->walk({std::string(257, 'a')}, patient()).error().code, Code::usage);
  EXPECT_TRUE(*rotation_->step(patient())) << "nothing to do";
}

}  // namespace
}  // namespace attestry::secrets
