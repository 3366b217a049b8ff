// The new server's side: who runs it, what it asks for, and which master it keeps.
#include "provision/registry_receiver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "base/encoding.h"
#include "crypto/key_pem.h"
#include "curves/ecies.h"
#include "curves/secp256k1.h"
#include "governance/testing/kms_chain.h"
#include "keys/registry_kdf.h"
#include "provision/registry_kms_operator.h"
#include "provision/registry_pki.h"
#include "state/testing/support.h"

namespace attestry::provision {
namespace {

using base::Code;
using governance::testing::address_of;
using governance::testing::kKms;
using ::testing::HasSubstr;

constexpr std::string_view kHost = "127.0.0.1:8081";
base::Deadline soon() { return std::chrono::steady_clock::now() + std::chrono::seconds(30); }
crypto::Secret secret_of(std::uint8_t byte, std::size_t size = 32) {
  return crypto::Secret::copy_of(base::Bytes(size, byte));
}
curves::Secp256k1PrivateKey account(std::uint8_t byte) {
  return *curves::Secp256k1PrivateKey::from_scalar(base::Bytes(32, byte));
}
curves::Address address(const curves::Secp256k1PrivateKey& key) {
  return curves::ethereum_address(key.public_key_raw());
}

template <class T>
void refused(const base::Result<T>& result, Code code, const std::string& words) {
  ASSERT_FALSE(result.ok()) << "expected: " << words;
  EXPECT_EQ(result.error().code, code) << result.error().text();
  EXPECT_THAT(result.error().text(), HasSubstr(words));
}

class ReceiverTest : public ::testing::Test {
 protected:
  ReceiverTest() { chain.operators = {address(alice)}; }
  void publish(const crypto::Secret& secret) {
    const auto keys = keys::registry_app_keys(secret, kKms);
    chain.pki.pubkey = base::to_bytes(base::as_bytes(registry_app_pubkey_pem(*keys)));
  }
  base::Bytes sealed(const PendingRequest& pending, const crypto::Secret& secret) {
    return *curves::ecies_v1_seal(*crypto::ec_public_key_from_pem(pending.request.pubkey), secret.reveal(), random);
  }
  std::unique_ptr<RegistryKmsOperator> operators(KmsOperatorRules rules = {}) {
    auto opened = RegistryKmsOperator::open(*store, contract, std::move(rules), random);
    EXPECT_TRUE(opened.ok()) << opened.error().text();
    return *std::move(opened);
  }
  static KmsServerName named(const RegistryKmsOperator& to) {
    return {.chain_id = 31337, .contract = kKms, .nonce = to.nonce(), .host = std::string{kHost}};
  }
  static base::Bytes auth(const RegistryKmsOperator& to, const curves::Secp256k1PrivateKey& key) {
    return base::to_bytes(base::ByteView{*key.sign_recoverable(kms_operator_digest(named(to), kKmsAuthPath, {}))});
  }

  state::testing::TempFolder folder;
  std::unique_ptr<state::Store> store = state::Store::open({.path = folder.file("store.db")}).value();
  crypto::SeededRandom random{base::as_bytes("receiver")};
  governance::testing::KmsChain chain;
  governance::KmsContract contract{chain, 31337, kKms};
  const curves::Secp256k1PrivateKey alice = account(1), mallory = account(2);
  keys::SealingEpochs epochs{*store, secret_of(1), random};
  keys::SealedMaster sealed_master{epochs, secret_of(1), random};
  std::unique_ptr<keys::ReceivedMaster> master = keys::ReceivedMaster::open(*store, sealed_master).value();
  base::Bytes quote = base::to_bytes(base::as_bytes("quote"));
  base::FixedBytes<64> attested{};
  RegistryReceiver receiver{{.contract = contract,
                             .master = *master,
                             .random = random,
                             .attest = [this](const base::FixedBytes<64>& data) -> base::Result<base::Bytes> {
                               attested = data;
                               return quote;
                             }}};
};

TEST_F(ReceiverTest, AsksOncePerOperator) {
  const auto first = receiver.request(address(alice));
  ASSERT_TRUE(first.ok()) << first.error().text();
  const auto& request = (*first)->request;
  EXPECT_EQ(attested, onboard_report_data(kKms, request.pubkey, request.nonce, request.operator_address));
  EXPECT_EQ((*first)->hash, onboard_request_hash(request.pubkey, request.nonce, request.operator_address, quote));
  EXPECT_EQ(*receiver.request(address(alice)), *first);
  EXPECT_NE((*receiver.request(address(mallory)))->hash, (*first)->hash);
  EXPECT_EQ(receiver.pending(address(alice)), *first);
  EXPECT_EQ(receiver.pending(address_of(9)), nullptr);
}

TEST_F(ReceiverTest, MakesNoRequestWithoutEvidence) {
  quote.clear();
  refused(receiver.request(address(alice)), Code::configuration, "makes no evidence");
}

TEST_F(ReceiverTest, KeepsTheMasterWhoseKeyIsPublished) {
  const auto pending = *receiver.request(address(alice));
  publish(secret_of(7));
  const auto kept = receiver.accept(*pending, sealed(*pending, secret_of(7)), soon());
  ASSERT_TRUE(kept.ok()) << kept.error().text();
  EXPECT_TRUE(base::equal(master->master()->reveal(), base::Bytes(32, 7)));
  refused(receiver.request(address(alice)), Code::conflict, "has a master key already");
  refused(receiver.accept(*pending, sealed(*pending, secret_of(7)), soon()), Code::conflict, "already");
  refused(receiver.generate(soon()), Code::conflict, "already");
}

TEST_F(ReceiverTest, KeepsNothingElse) {
  const auto pending = *receiver.request(address(alice));
  const auto right = sealed(*pending, secret_of(7));
  refused(receiver.accept(*pending, right, soon()), Code::conflict, "publishes no key");
  publish(secret_of(7));
  refused(receiver.accept(*pending, sealed(*pending, secret_of(8)), soon()), Code::denied, "not the key service's");
  refused(receiver.accept(*pending, sealed(*pending, secret_of(7, 33)), soon()), Code::malformed, "32 bytes");
  const auto other = *receiver.request(address(mallory));
  EXPECT_FALSE(receiver.accept(*other, right, soon()).ok()) << "sealed to another request";
  auto broken = right;
  broken.back() ^= 1;
  EXPECT_FALSE(receiver.accept(*pending, broken, soon()).ok());
  EXPECT_FALSE(receiver.accept(*pending, {}, soon()).ok());
  chain.away = true;
  refused(receiver.accept(*pending, right, soon()), Code::unavailable, "no quorum");
  EXPECT_FALSE(master->has());
}

TEST_F(ReceiverTest, MakesAMasterOnlyForANewService) {
  publish(secret_of(7));
  refused(receiver.generate(soon()), Code::conflict, "publishes its key");
  chain.pki = {};
  ASSERT_TRUE(receiver.generate(soon()).ok());
  EXPECT_EQ(master->master()->size(), 32U);
}

TEST_F(ReceiverTest, TheOperatorIsWhoMayAndSigns) {
  const auto kms = operators();
  refused(kms->authorize(base::Bytes(65, 0xff), kHost, soon()), Code::malformed, "");
  refused(kms->authorize(auth(*kms, mallory), kHost, soon()), Code::denied, "operator not allowed");
  EXPECT_EQ(kms->address(), curves::Address{});
  ASSERT_TRUE(kms->authorize(auth(*kms, alice), kHost, soon()).ok());
  EXPECT_EQ(kms->address(), address(alice));
  EXPECT_EQ(operators()->address(), address(alice)) << "after a restart";
}

TEST_F(ReceiverTest, AnOutageMakesNobodyTheOperator) {
  const auto kms = operators();
  chain.away = true;
  refused(kms->authorize(auth(*kms, alice), kHost, soon()), Code::unavailable, "no quorum");
  const auto listed = operators({.listed = {address(alice)}});
  EXPECT_TRUE(listed->authorize(auth(*listed, alice), kHost, soon()).ok()) << "who is listed needs no chain";
}

TEST_F(ReceiverTest, AnotherOperatorWaitsUntilTheFirstMayNoMore) {
  const auto kms = operators();
  ASSERT_TRUE(kms->authorize(auth(*kms, alice), kHost, soon()).ok());
  chain.operators.insert(address(mallory));
  refused(kms->authorize(auth(*kms, mallory), kHost, soon()), Code::conflict, "another operator");
  chain.operators.erase(address(alice));
  ASSERT_TRUE(kms->authorize(auth(*kms, mallory), kHost, soon()).ok());
  EXPECT_EQ(kms->address(), address(mallory));
}

TEST_F(ReceiverTest, RequestsAreSignedForServerPathAndBody) {
  const auto kms = operators();
  const auto signature = [&](const auto& key, const KmsServerName& server, std::string_view path,
                             std::string_view body) {
    return base::to_bytes(base::ByteView{*key.sign_recoverable(kms_operator_digest(server, path, body))});
  };
  const auto check = [&](const auto& operators, const std::optional<base::Bytes>& signed_by) {
    return operators.check({.host = kHost, .path = "/p", .body = "b"}, signed_by, soon());
  };
  const auto here = named(*kms);
  const auto right = signature(alice, here, "/p", "b");
  refused(check(*kms, right), Code::unauthenticated, "no operator yet");
  ASSERT_TRUE(kms->authorize(auth(*kms, alice), kHost, soon()).ok());
  EXPECT_TRUE(check(*kms, right).ok());
  auto elsewhere = here, other_chain = here, other_service = here;
  elsewhere.host = "mallory.example:8081";
  other_chain.chain_id = 1;
  other_service.contract = address_of(9);
  for (const auto& wrong : {signature(mallory, here, "/p", "b"), signature(alice, here, "/q", "b"),
                            signature(alice, here, "/p", "c"), signature(alice, elsewhere, "/p", "b"),
                            signature(alice, other_chain, "/p", "b"), signature(alice, other_service, "/p", "b")}) {
    refused(check(*kms, wrong), Code::unauthenticated, "somebody else");
  }
  refused(check(*kms, std::nullopt), Code::unauthenticated, "not signed");
  refused(kms->check({.host = {}, .path = "/p", .body = "b"}, right, soon()), Code::denied, "another server's address");
  refused(kms->authorize(auth(*kms, alice), {}, soon()), Code::denied, "another server's address");
  const auto restarted = operators();
  refused(check(*restarted, right), Code::unauthenticated, "somebody else");
  auto shouted = here;
  shouted.host = "LocalHost:8081";
  auto quiet = here;
  quiet.host = "localhost:8081";
  EXPECT_EQ(kms_operator_digest(shouted, "/p", ""), kms_operator_digest(quiet, "/p", ""));
}

TEST_F(ReceiverTest, AnOperatorWithoutHisRoleCommandsNothing) {
  for (const bool v1 : {false, true}) {
    const auto kms = operators({.v1 = v1});
    chain.operators = {address(alice)};
    ASSERT_TRUE(kms->authorize(auth(*kms, alice), kHost, soon()).ok());
    const auto signature =
        base::to_bytes(base::ByteView{*alice.sign_recoverable(kms_operator_digest(named(*kms), "/p", "b"))});
    const KmsRequest asked{.host = kHost, .path = "/p", .body = "b"};
    EXPECT_TRUE(kms->check(asked, signature, soon()).ok());
    chain.operators.clear();
    refused(kms->check(asked, signature, soon()), Code::denied, "operator not allowed");
    if (v1) refused(kms->check(asked, std::nullopt, soon()), Code::denied, "operator not allowed");
    chain.away = true;
    refused(kms->check(asked, signature, soon()), Code::unavailable, "no quorum");
    chain.away = false;
  }
}

TEST_F(ReceiverTest, TheFirstFormIsASetting) {
  const auto strict = operators();
  const auto bare = base::to_bytes(base::ByteView{*alice.sign_recoverable(strict->nonce())});
  refused(strict->authorize(bare, kHost, soon()), Code::denied, "operator not allowed");
  const auto old = operators({.v1 = true});
  ASSERT_TRUE(old->authorize(base::ByteView{*alice.sign_recoverable(old->nonce())}, kHost, soon()).ok());
  EXPECT_TRUE(old->check({.host = kHost, .path = "/p", .body = {}}, std::nullopt, soon()).ok());
}

}  // namespace
}  // namespace attestry::provision
