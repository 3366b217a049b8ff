#include "secrets/keystore_registration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "base/json.h"
#include "base/json_writer.h"
#include "chain/testing/near_stand_in.h"
#include "chain/testing/stand_in.h"
#include "curves/bls12_381.h"
#include "secrets/keystore_derivation.h"
#include "state/testing/support.h"

// What servers and contracts make of it: tests/functional/test_keystore_registration.py. Here time passes as it is
// told.

namespace attestry::secrets {
namespace {

using base::Code;
using base::JsonOut;
using base::JsonOutArray;
using base::JsonOutObject;
using chain::near::AccountId;
using chain::near::SecretKey;
using chain::near::testing::Node;
using chain::near::testing::Nodes;
using chain::near::testing::StandInCall;
using chain::near::testing::World;
using curves::bls::G1;
using curves::bls::Scalar;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::string_view kDao = "dao.near", kMpc = "mpc.near", kInit = "init.near";

Scalar network_secret() { return Scalar::from_u32(0x5eed); }
keys::ckd::MasterPublicKey network() {
  return keys::ckd::MasterPublicKey{curves::bls::G2::times_generator(network_secret())};
}
/// What the network derives for an account and a path.
crypto::Secret master_of(std::string_view account, std::string_view path = {}) {
  const auto point = keys::ckd::hash_point(network(), keys::ckd::app_id(account, path)) * network_secret();
  return keys::ckd::application_key(crypto::Secret::copy_of(point.encode()));
}

JsonOut only_calls(std::string_view receiver, JsonOutArray methods) {
  const JsonOutObject limits{{"allowance", nullptr}, {"receiver_id", receiver}, {"method_names", std::move(methods)}};
  return JsonOutObject{{"FunctionCall", limits}};
}

class KeystoreRegistration : public ::testing::Test {
 protected:
  KeystoreRegistration() {
    nodes_.change([&](World& world) {
      for (const auto account : {kDao, kMpc}) world.accounts[std::string{account}].has_contract = true;
      world.accounts[std::string{kInit}].keys[init_.public_key().text()] = "FullAccess";
      world.contract = [this](const std::string& account, const std::string& method, const base::Bytes& args,
                              std::uint64_t) { return said(account, method, args); };
    });
  }

  /// Contracts' answers; under the nodes' mutex.
  StandInCall said(const std::string& account, const std::string& method, const base::Bytes& args) {
    const bool paid = method == "submit_keystore_registration" || method.starts_with("request_");
    if (paid) ++paid_[method];
    if (method == dies_after_) {
      nodes_.nodes[0].cuts = 1;
      nodes_.nodes[0].dead = true;
    }
    if (refuses_ == method) return {.value = {}, .vm_error = "Smart contract panicked: no"};
    if (method == "public_key") return text(JsonOut{named_key_});
    if (method == "is_keystore_approved") return text(JsonOut{approved_});
    if (method == "submit_keystore_registration") return text(JsonOut{7});
    if (method == "get_proposal") return text(JsonOutObject{{"id", 7}, {"status", "Pending"}});
    if (paid) return text(answer(account, args));
    return {.value = {}, .vm_error = "MethodResolveError(MethodNotFound)"};
  }
  static StandInCall text(const JsonOut& value) { return {.value = base::to_bytes(value.compact()), .vm_error = {}}; }
  JsonOut answer(const std::string& account, const base::Bytes& args) const {
    const auto document = *base::JsonDocument::parse(std::string{base::as_text(args)});
    const auto request = *document->root().get("request");
    const auto key = *G1::decode(*keys::ckd::g1_from_text(*request.get("app_public_key")->string("app_public_key")));
    const auto path = *request.get("derivation_path")->string("derivation_path");
    const auto y = Scalar::from_u32(77);
    const auto c = keys::ckd::hash_point(network(), keys::ckd::app_id(account, path)) * network_secret() + key * y;
    const auto big_y = lies_ ? G1::generator() : G1::times_generator(y);
    return JsonOutObject{{"big_y", keys::ckd::to_text(big_y.encode())}, {"big_c", keys::ckd::to_text(c.encode())}};
  }

  void approve() {
    nodes_.change([&](World& world) {
      approved_ = true;
      world.accounts[std::string{kDao}].keys[key_.public_key().text()] =
          only_calls(kDao, {"request_key", "mark_vault_verified", "ban_vault"});
    });
  }
  /// A vault whose one key is this keystore's.
  void add_vault(const std::string& vault) {
    const auto seed = *keystore::Seed::vault_tee_key(vault);
    const auto key = *SecretKey::from_seed(keystore::ed25519_key(master_of(kDao), seed).seed().reveal());
    nodes_.change([&](World& world) {
      auto& account = world.accounts[vault];
      account.has_contract = true;
      account.keys[key.public_key().text()] = only_calls(vault, {"request_master"});
    });
  }
  void revive() {
    nodes_.change([&](World&) {
      nodes_.nodes[0].dead = false;
      dies_after_.clear();
    });
  }
  void pass(seconds time) {
    clock_.pass(time.count());
    nodes_.change([](World& world) { ++world.height; });
  }
  int paid(const std::string& method) {
    const std::lock_guard<std::mutex> lock(nodes_.mutex);
    return paid_[method];
  }
  std::size_t executed() {
    const std::lock_guard<std::mutex> lock(nodes_.mutex);
    return nodes_.world.executed.size();
  }
  std::string step() {
    const auto got = source_->default_master(1);
    return got ? "a master" : got.error().text();
  }
  base::Result<crypto::Secret> vault_master(const std::string& vault) {
    return source_->vault_master(master_of(kDao), vault, clock_.steady() + seconds(12));
  }
  /// Seconds that it waits after each of `times` failures, all of which it has to wait for.
  std::vector<std::int64_t> pauses(const std::string& method, int times) {
    std::vector<std::int64_t> out;
    for (int i = 1; i <= times; ++i) {
      EXPECT_EQ(paid(method), i - 1);
      const auto first = step();
      EXPECT_EQ(paid(method), i) << first;
      const auto pause = std::chrono::duration_cast<seconds>(source_->again_in());
      pass(pause / 2);
      EXPECT_EQ(step(), first) << "asked again too early";
      EXPECT_EQ(paid(method), i);
      pass(pause - pause / 2);
      out.push_back(pause.count());
    }
    return out;
  }

  static constexpr seconds kPoll{5}, kPatience{60};
  SecretKey key_ = *SecretKey::from_seed(base::Bytes(32, 1));
  SecretKey init_ = *SecretKey::from_seed(base::Bytes(32, 2));
  std::map<std::string, int> paid_;
  std::string dies_after_, refuses_, named_key_ = network().text();
  bool approved_ = false, lies_ = false;
  state::testing::TempFolder folder_;
  chain::testing::TestClock clock_{{chain::near::testing::kGenesis + 200}};
  Nodes nodes_{1};
  std::unique_ptr<state::Store> store_ =
      *state::Store::open({.path = folder_.file("store.db"), .realm = base::Realm::simulated});
  std::unique_ptr<chain::near::QuorumReader> reader_ =
      *chain::near::QuorumReader::make(nodes_, {.chain_id = std::string{chain::near::testing::kChainId},
                                                .endpoints = nodes_.endpoints(),
                                                .max_head_age = 0,
                                                .head_ttl = std::chrono::milliseconds(1),
                                                .clock = &clock_});
  std::unique_ptr<chain::near::Sender> sender_ =
      *chain::near::Sender::make(nodes_, {.chain_id = std::string{chain::near::testing::kChainId},
                                          .endpoints = nodes_.endpoints(),
                                          .poll = std::chrono::milliseconds(1),
                                          .clock = &clock_});
  std::unique_ptr<MasterSource> source_ = registered_source({.reader = *reader_,
                                                             .sender = *sender_,
                                                             .random = crypto::system_random(),
                                                             .clock = clock_,
                                                             .store = *store_,
                                                             .key = *SecretKey::from_seed(base::Bytes(32, 1)),
                                                             .init_key = *SecretKey::from_seed(base::Bytes(32, 2))},
                                                            {.dao = *AccountId::parse(kDao),
                                                             .init = *AccountId::parse(kInit),
                                                             .mpc = *AccountId::parse(kMpc),
                                                             .network = network(),
                                                             .poll = kPoll,
                                                             .patience = kPatience,
                                                             .most_vaults = 3});
};

TEST_F(KeystoreRegistration, ItIsVotedInAndHasTheNetworksMaster) {
  EXPECT_THAT(step(), HasSubstr("have not voted yet"));
  approve();
  EXPECT_THAT(step(), HasSubstr("have not voted yet")) << "before it is time";
  pass(kPoll);
  const auto got = source_->default_master(1);
  ASSERT_TRUE(got.ok()) << got.error().text();
  EXPECT_TRUE(crypto::equal_constant_time(got->reveal(), master_of(kDao).reveal()));
  EXPECT_EQ(paid("submit_keystore_registration"), 1);
  EXPECT_EQ(paid("request_key"), 1);
}

TEST_F(KeystoreRegistration, ASubmissionThatFailsIsMadeEverLessOften) {
  refuses_ = "submit_keystore_registration";
  EXPECT_THAT(pauses(refuses_, 6), ElementsAre(5, 10, 20, 40, 60, 60));
  refuses_.clear();
  EXPECT_THAT(step(), HasSubstr("have not voted yet"));
}

TEST_F(KeystoreRegistration, ARequestThatFailsIsMadeEverLessOften) {
  approve();
  refuses_ = "request_key";
  EXPECT_THAT(pauses(refuses_, 6), ElementsAre(5, 10, 20, 40, 60, 60));
  refuses_.clear();
  EXPECT_EQ(step(), "a master");
}

TEST_F(KeystoreRegistration, ANetworkThatLiesIsAskedEverLessOften) {
  approve();
  lies_ = true;
  EXPECT_THAT(pauses("request_key", 3), ElementsAre(5, 10, 20));
  lies_ = false;
  EXPECT_EQ(step(), "a master");
}

TEST_F(KeystoreRegistration, WhatCostsNothingIsLookedAtAsOftenAsBefore) {
  EXPECT_THAT(step(), HasSubstr("have not voted yet"));
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(source_->again_in(), kPoll);
    pass(kPoll);
    EXPECT_THAT(step(), HasSubstr("have not voted yet"));
  }
}

TEST_F(KeystoreRegistration, NodesThatAreAwayAreAskedEverLessOften) {
  nodes_.each([](Node& node) { node.dead = true; });
  std::vector<std::int64_t> waited;
  for (int i = 0; i < 6; ++i) {
    step();
    waited.push_back(std::chrono::duration_cast<seconds>(source_->again_in()).count());
    pass(seconds(waited.back()));
  }
  EXPECT_THAT(waited, ElementsAre(5, 10, 20, 40, 60, 60));
  revive();
  EXPECT_THAT(step(), HasSubstr("have not voted yet"));
  EXPECT_EQ(source_->again_in(), kPoll);
}

TEST_F(KeystoreRegistration, AnotherNetworksKeyIsNoticedBeforeAnythingIsPaidFor) {
  approve();
  named_key_ = keys::ckd::to_text(curves::bls::G2::generator().encode());
  EXPECT_THAT(step(), HasSubstr("names another key"));
  EXPECT_EQ(executed(), 0U);
  named_key_ = network().text();
  pass(kPoll);
  EXPECT_EQ(step(), "a master");
}

// What was sent is asked for, and not sent anew: each of these is paid for.

TEST_F(KeystoreRegistration, ASubmissionWhoseOutcomeNobodySaysIsNotMadeTwice) {
  dies_after_ = "submit_keystore_registration";
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(step(), testing::Not(HasSubstr("have not voted yet")));
    pass(source_->again_in() == kPoll ? kPoll : seconds(60));
  }
  revive();
  EXPECT_THAT(step(), HasSubstr("have not voted yet"));
  EXPECT_EQ(paid("submit_keystore_registration"), 1);
  EXPECT_EQ(executed(), 1U);
}

TEST_F(KeystoreRegistration, ARequestWhoseOutcomeNobodySaysIsNotMadeTwice) {
  approve();
  dies_after_ = "request_key";
  EXPECT_NE(step(), "a master");
  pass(seconds(60));
  EXPECT_NE(step(), "a master");
  pass(seconds(60));
  revive();
  EXPECT_EQ(step(), "a master") << "opened with the blinding key that it was asked with";
  EXPECT_EQ(paid("request_key"), 1);
  EXPECT_EQ(executed(), 1U);
}

TEST_F(KeystoreRegistration, AVaultPaysOnceForAnAnswerThatGotLost) {
  add_vault("v.near");
  dies_after_ = "request_master";
  EXPECT_EQ(vault_master("v.near").error().code, Code::unavailable);
  pass(seconds(60));
  revive();
  const auto got = vault_master("v.near");
  ASSERT_TRUE(got.ok()) << got.error().text();
  EXPECT_TRUE(crypto::equal_constant_time(got->reveal(),
                                          master_of("v.near", vault_master_path(master_of(kDao), "v.near")).reveal()));
  EXPECT_EQ(paid("request_master"), 1);
  EXPECT_EQ(executed(), 1U);
}

// ---- vaults

TEST_F(KeystoreRegistration, AVaultThatGivesNothingIsAskedEverLessOften) {
  add_vault("v.near");
  refuses_ = "request_master";
  for (const int pause : {5, 10, 20}) {
    const auto before = paid(refuses_);
    const auto got = vault_master("v.near");
    ASSERT_FALSE(got.ok());
    EXPECT_EQ(paid(refuses_), before + 1) << got.error().text();
    pass(seconds(pause / 2));
    EXPECT_FALSE(vault_master("v.near").ok());
    EXPECT_EQ(paid(refuses_), before + 1) << pause;
    pass(seconds(pause - pause / 2));
  }
  refuses_.clear();
  EXPECT_TRUE(vault_master("v.near").ok());
}

TEST_F(KeystoreRegistration, VaultsThatHaveFailedAreForgottenWhenThereAreTooMany) {
  add_vault("lost.near");
  dies_after_ = "request_master";
  EXPECT_EQ(vault_master("lost.near").error().code, Code::unavailable);
  revive();
  pass(kPoll);
  // Two that have no key of this keystore.
  for (const auto* vault : {"a.near", "b.near"}) EXPECT_THAT(vault_master(vault).error().text(), HasSubstr("no such"));
  add_vault("v.near");
  EXPECT_THAT(vault_master("v.near").error().text(), HasSubstr("too many"))
      << "it is not time yet to ask the two again";
  pass(kPoll);
  EXPECT_TRUE(vault_master("v.near").ok());
  // What is on its way stays: it was paid for.
  EXPECT_TRUE(vault_master("lost.near").ok());
  EXPECT_EQ(paid("request_master"), 2);
}

}  // namespace
}  // namespace attestry::secrets
