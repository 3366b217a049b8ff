#include "api/keystore_operations.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "api/testing/support.h"
#include "audit/testing/support.h"
#include "base/encoding.h"
#include "base/json_writer.h"
#include "secrets/keystore_backup.h"
#include "secrets/testing/keystore_device.h"

namespace attestry::api {
namespace {

using base::JsonOut;
using base::JsonOutArray;
using base::JsonOutObject;
using ::testing::HasSubstr;

/// A keystore with a folder, a device and an admin listener of its own.
class Keystore {
 public:
  explicit Keystore(std::uint8_t number, secrets::SecretLister* lister = nullptr)
      : device(std::make_shared<secrets::testing::StandInDevice>("tpm2", number)) {
    store = *state::Store::open({.path = folder.file("store.db"), .realm = base::Realm::simulated});
    log = *audit::Log::open(*store, audit::testing::log_key(),
                            {.origin = audit::testing::kOrigin, .checkpoint_path = folder.file("checkpoint")});
    epochs.emplace(*store, crypto::Secret::copy_of(base::Bytes(32, number)), crypto::system_random());
    secrets::KeystoreMastersOptions options;
    options.first = crypto::Secret::copy_of(base::Bytes(32, number));
    options.source = secrets::derived_source(crypto::Secret::copy_of(base::Bytes(32, number)), crypto::system_random());
    options.device = device;
    masters = *secrets::KeystoreMasters::open({*store, *log, *epochs, crypto::system_random()}, std::move(options));
    if (lister) {
      rotation.emplace(secrets::KeystoreRotationParts{*store, *log, *masters, *lister, crypto::system_random()});
    }
    EXPECT_TRUE(add_keystore_operations(router, {.store = *store,
                                                 .log = *log,
                                                 .masters = *masters,
                                                 .rotation = rotation ? &*rotation : nullptr,
                                                 .lane = lane,
                                                 .random = crypto::system_random()})
                    .ok());
    router.set_authenticator([](const net::Request& request, net::Auth) -> base::Result<std::string> {
      if (request.headers.get("Authorization") == "Bearer admin") return std::string{"admin"};
      return base::Error{base::Code::unauthenticated, "no token"};
    });
  }
  net::Response ask(net::Method method, const std::string& rest, std::string body = {},
                    const std::string& token = "admin") {
    net::Request request;
    request.method = method;
    request.target = "/v1/keystore/" + rest;
    request.headers.set("Authorization", "Bearer " + token);
    request.body = std::move(body);
    request.deadline = state::testing::patient();
    auto sink = std::make_shared<testing::Sink>();
    auto answer = sink->promise.get_future();
    router.dispatch({net::Role::admin}, std::move(request), net::Responder{sink, 1, {}});
    return answer.get();
  }
  std::string key(std::string_view vault, std::uint32_t epoch) const {
    const auto master = masters->master(vault, epoch);
    return master ? base::hex((*master)->reveal()) : master.error().text();
  }
  std::string last_leaf() const { return *log->leaf(log->head().size - 1); }

  state::testing::TempFolder folder;
  std::shared_ptr<secrets::testing::StandInDevice> device;
  std::unique_ptr<state::Store> store;
  std::unique_ptr<audit::Log> log;
  std::optional<keys::SealingEpochs> epochs;
  std::unique_ptr<secrets::KeystoreMasters> masters;
  std::optional<secrets::KeystoreRotation> rotation;
  SlowLane lane{1, 8};
  net::Router router;
};

class KeystoreOperationsTest : public ::testing::Test {
 protected:
  KeystoreOperationsTest() {
    std::vector<std::pair<std::string, std::string>> pems;
    for (const char* id : {"alice", "bob", "carol"}) {
      keys_.push_back(crypto::EcPrivateKey::generate(crypto::Curve::p256, crypto::system_random()));
      pems.emplace_back(id, base::pem_encode("PUBLIC KEY", keys_.back().public_key().spki()));
    }
    JsonOutArray admins;
    for (const auto& [id, pem] : pems) admins.emplace_back(JsonOutObject{{"id", id}, {"pubkey", pem}});
    admins_ = std::move(admins);
  }
  std::string backup_body(unsigned threshold = 2) const {
    return JsonOut{JsonOutObject{{"admins", admins_}, {"threshold", threshold}}}.compact();
  }
  std::string share(const secrets::KeystoreBackup& backup, std::size_t i) const {
    return base::base64(secrets::open_backup_share(backup, backup.shares[i].admin, keys_[i])->reveal());
  }
  std::string restore_body(const std::string& backup, std::vector<std::string> shares, bool replace = true) const {
    JsonOutArray list;
    for (auto& one : shares) list.emplace_back(std::move(one));
    return JsonOut{JsonOutObject{{"backup", JsonOut::Raw{backup}}, {"shares", std::move(list)}, {"replace", replace}}}
        .compact();
  }
  std::vector<crypto::EcPrivateKey> keys_;
  JsonOutArray admins_;
};

TEST_F(KeystoreOperationsTest, AnAdministratorLiftsABan) {
  Keystore one(1);
  const std::string body = R"({"vault":"acme.near"})";
  EXPECT_EQ(one.ask(net::Method::post, "unban", body).status, 404);
  const auto leaves = one.log->head().size;
  std::promise<base::Status> said;
  one.masters->ban("acme.near", "stolen", [&](base::Status done) { said.set_value(std::move(done)); });
  ASSERT_TRUE(said.get_future().get().ok());
  EXPECT_THAT(one.key("acme.near", 0), HasSubstr("stolen"));
  EXPECT_THAT(one.ask(net::Method::get, "bans").body, HasSubstr(R"("vault":"acme.near","reason":"stolen","since":")"));
  EXPECT_EQ(one.ask(net::Method::post, "unban", body, "worker").status, 401);
  EXPECT_EQ(one.ask(net::Method::post, "unban", R"({"vault":"acme.near","more":1})").status, 400);
  one.masters->hold(base::Error{base::Code::unavailable, "stands by"});
  EXPECT_EQ(one.ask(net::Method::post, "unban", body).status, 503);
  one.masters->hold(std::nullopt);
  EXPECT_EQ(one.log->head().size, leaves + 1);

  const auto lifted = one.ask(net::Method::post, "unban", body);
  EXPECT_EQ(lifted.status, 200) << lifted.body;
  EXPECT_THAT(lifted.body, HasSubstr("stolen"));
  EXPECT_THAT(one.last_leaf(), HasSubstr("keystore.unban"));
  EXPECT_EQ(one.key("acme.near", 0).size(), 64u);
  EXPECT_EQ(one.ask(net::Method::get, "bans").body, R"({"bans":[]})");
  EXPECT_EQ(one.ask(net::Method::post, "unban", body).status, 404);
}

TEST_F(KeystoreOperationsTest, ADrillFromAnEmptyFolderGivesTheSameKeysOnAnotherDevice) {
  Keystore old(1);
  ASSERT_EQ(old.ask(net::Method::post, "rotate").status, 200);
  const auto answer = old.ask(net::Method::post, "backup", backup_body());
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(answer.headers.get("Cache-Control"), "no-store");
  EXPECT_THAT(old.last_leaf(), HasSubstr("keystore.backup"));
  const auto backup = *secrets::parse_backup(answer.body);

  Keystore fresh(2);
  ASSERT_NE(fresh.key({}, 1), old.key({}, 1));
  const auto restored =
      fresh.ask(net::Method::post, "restore", restore_body(answer.body, {share(backup, 2), share(backup, 0)}));
  ASSERT_EQ(restored.status, 200) << restored.body;
  for (const std::uint32_t epoch : {1U, 2U}) {
    EXPECT_EQ(fresh.key({}, epoch), old.key({}, epoch));
    EXPECT_EQ(fresh.key("acme.near", epoch), old.key("acme.near", epoch));
  }
  EXPECT_THAT(fresh.last_leaf(), HasSubstr("keystore.import"));
  EXPECT_THAT(restored.body, HasSubstr(backup.key_ids[0]));
  EXPECT_THAT(restored.body, HasSubstr(backup.key_ids[1]));
}

TEST_F(KeystoreOperationsTest, ARestorationThatIsRefusedChangesNothing) {
  Keystore old(1);
  Keystore fresh(2);
  const auto before = fresh.key({}, 1);
  const auto text = old.ask(net::Method::post, "backup", backup_body()).body;
  const auto backup = *secrets::parse_backup(text);
  const auto good = std::vector<std::string>{share(backup, 0), share(backup, 1)};
  EXPECT_EQ(fresh.ask(net::Method::post, "restore", restore_body(text, {good[0]})).status, 403) << "one share";
  EXPECT_EQ(fresh.ask(net::Method::post, "restore", restore_body(text, good, false)).status, 409) << "not asked for";
  const auto other = *secrets::parse_backup(old.ask(net::Method::post, "backup", backup_body()).body);
  EXPECT_NE(fresh.ask(net::Method::post, "restore", restore_body(text, {good[0], share(other, 1)})).status, 200);
  auto realm = text;
  realm.replace(realm.find("\"simulated\""), 11, "\"production\"");
  EXPECT_NE(fresh.ask(net::Method::post, "restore", restore_body(realm, good)).status, 200);
  EXPECT_EQ(fresh.ask(net::Method::post, "restore", "{}").status, 400);
  EXPECT_EQ(fresh.key({}, 1), before);
}

TEST_F(KeystoreOperationsTest, OnlyAdministratorsDoAnyOfIt) {
  Keystore keystore(1);
  const auto size = keystore.log->head().size;
  for (const char* path : {"masters", "walk", "recrypted"}) {
    EXPECT_EQ(keystore.ask(net::Method::get, path, {}, "worker").status, 401) << path;
  }
  for (const char* path : {"rotate", "walk", "retire", "backup", "restore"}) {
    EXPECT_EQ(keystore.ask(net::Method::post, path, "{}", "worker").status, 401) << path;
  }
  EXPECT_EQ(keystore.log->head().size, size);
}

TEST_F(KeystoreOperationsTest, AKeystoreThatIsNotReadySaysWhyAndGivesNoBackup) {
  Keystore keystore(1);
  EXPECT_THAT(keystore.ask(net::Method::get, "masters").body, HasSubstr(R"("ready":true)"));
  keystore.masters->hold(base::Error{base::Code::unavailable, "this server stands by"});
  const auto shown = keystore.ask(net::Method::get, "masters");
  EXPECT_EQ(shown.status, 200);
  EXPECT_THAT(shown.body, HasSubstr("this server stands by"));
  EXPECT_EQ(keystore.ask(net::Method::post, "backup", backup_body()).status, 503);
  EXPECT_EQ(keystore.ask(net::Method::post, "rotate").status, 503);
}

TEST_F(KeystoreOperationsTest, NoAnswerShowsAMaster) {
  Keystore keystore(1);
  const auto master = keystore.key({}, 1);
  for (const char* path : {"masters", "backup"}) {
    const bool get = std::string_view{path} == "masters";
    const auto body = keystore.ask(get ? net::Method::get : net::Method::post, path, get ? "" : backup_body()).body;
    EXPECT_EQ(body.find(master), std::string::npos);
    EXPECT_EQ(body.find(base::base64(*base::hex_decode(master))), std::string::npos);
  }
}

class OneSecret final : public secrets::SecretLister {
 public:
  std::vector<secrets::ListedSecret> kept;
  base::Result<Page> list(std::string_view owner, std::uint64_t from, std::size_t, base::ByteView) override {
    if (owner != "a.near" || from >= kept.size()) return Page{};
    return Page{.secrets = kept, .state = {}};
  }
};

TEST_F(KeystoreOperationsTest, ARotationGivesOwnersWhatToWriteAndRetiresOnlyAfterThat) {
  OneSecret lister;
  Keystore keystore(1, &lister);
  const auto seed = *secrets::keystore::Seed::repo("github.com/a/b", "a.near");
  const auto seal = [&] {
    return *secrets::keystore::ecies_v1_seal(
        secrets::keystore::ecies_key(**keystore.masters->master(), seed).public_key, base::as_bytes("text"),
        crypto::system_random());
  };
  lister.kept.push_back({"{}", "default", "a.near", "", seed, seal()});
  ASSERT_EQ(keystore.ask(net::Method::post, "rotate", R"({"owners":["a.near"]})").status, 200);
  EXPECT_THAT(keystore.ask(net::Method::get, "walk").body, HasSubstr(R"("finished":false)"));
  EXPECT_EQ(keystore.ask(net::Method::post, "retire").status, 409);
  ASSERT_TRUE(*keystore.rotation->step(state::testing::patient()));
  EXPECT_THAT(keystore.ask(net::Method::get, "walk").body, HasSubstr(R"("anew":1)"));
  EXPECT_EQ(keystore.ask(net::Method::post, "retire").status, 409);
  const auto anew = *base::JsonDocument::parse(keystore.ask(net::Method::get, "recrypted").body);
  const auto written = anew->root().find("secrets")->first()->find("encrypted_secrets_base64")->string("blob");
  lister.kept[0].blob = *base::base64_decode(*written);
  ASSERT_EQ(keystore.ask(net::Method::post, "walk", R"({"owners":["a.near"]})").status, 200);
  ASSERT_TRUE(*keystore.rotation->step(state::testing::patient()));
  const auto retired = keystore.ask(net::Method::post, "retire");
  EXPECT_EQ(retired.status, 200) << retired.body;
  EXPECT_THAT(retired.body, HasSubstr(R"("oldest":2)"));
}

TEST_F(KeystoreOperationsTest, WithoutSecretsToWalkOverRetirementIsAnExplicitLoss) {
  Keystore keystore(1);
  EXPECT_EQ(keystore.ask(net::Method::post, "rotate", R"({"owners":["a.near"]})").status, 404);
  ASSERT_EQ(keystore.ask(net::Method::post, "rotate").status, 200);
  EXPECT_EQ(keystore.ask(net::Method::post, "retire").status, 404);
  EXPECT_EQ(keystore.ask(net::Method::post, "retire", R"({"accept_loss":true})").status, 200);
  EXPECT_EQ(keystore.ask(net::Method::post, "retire", R"({"accept":true})").status, 400);
}

}  // namespace
}  // namespace attestry::api
