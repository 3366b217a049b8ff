#include "client/registration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "attestation/sealed_reply.h"
#include "audit/testing/support.h"
#include "base/json_writer.h"
#include "base/testing/freed_memory.h"
#include "client/api_client.h"
#include "crypto/hpke.h"

namespace attestry::client {
namespace {

using audit::testing::key_named;
using audit::testing::kOrigin;
using base::Code;
using ::testing::HasSubstr;

attestation::BindingStatement statement() {
  return {.purpose = base::Purpose::instance_release,
          .audience = kOrigin,
          .nonce = base::Bytes(42, 1),
          .tenant = base::Tenant::standard(),
          .app = *base::AppRef::parse("name:web"),
          .csr_spki = base::Bytes(91, 2),
          .recipient = base::Bytes(34, 3)};
}

const base::Bytes kSealed{1, 2, 3, 4};

audit::Leaf good_leaf() {
  audit::Leaf leaf;
  leaf.type = "release";
  leaf.realm = base::Realm::production;
  leaf.audience = kOrigin;
  leaf.app = "name:web";
  leaf.time = audit::testing::kTime;
  leaf.binding = base::hex(statement().binding());
  leaf.reply = base::hex(crypto::sha256(kSealed));
  return leaf;
}

/// A log of one leaf: the proof is empty, the root is the leaf's hash.
std::string receipt_for(const audit::Leaf& leaf, const crypto::Ed25519PrivateKey& key,
                        const std::string& origin = kOrigin) {
  audit::Receipt receipt;
  receipt.leaf = leaf.encode().value();
  receipt.checkpoint = audit::sign_checkpoint({origin, {1, audit::leaf_hash(base::as_bytes(receipt.leaf))}}, key);
  return receipt.encode();
}

Trust trust() { return {.log = audit::testing::trust_in(key_named("log")), .allow_simulated = false}; }

base::Result<audit::VerifiedReceipt> check(const audit::Leaf& leaf, const Trust& in = trust(),
                                           base::ByteView sealed = kSealed) {
  return check_reply(receipt_for(leaf, key_named("log")), sealed, in, statement());
}

void refused(const base::Result<audit::VerifiedReceipt>& result, Code code, std::string_view reason) {
  ASSERT_FALSE(result.ok()) << "expected: " << reason;
  EXPECT_EQ(result.error().code, code) << result.error().text();
  EXPECT_THAT(result.error().text(), HasSubstr(std::string{reason}));
}

TEST(CheckReply, TheReceiptOfThisReleaseIsAccepted) {
  const auto checked = check(good_leaf());
  ASSERT_TRUE(checked.ok()) << checked.error().text();
  EXPECT_EQ(checked->leaf, good_leaf());
  EXPECT_FALSE(checked->witnessed);
}

TEST(CheckReply, AReceiptForSomethingElseIsRefused) {
  auto type = good_leaf();
  type.type = "refusal";
  refused(check(type), Code::denied, "something else: type");
  auto binding = good_leaf();
  auto other = statement();
  other.nonce[0] ^= 1;
  binding.binding = base::hex(other.binding());
  refused(check(binding), Code::denied, "something else: binding");
  auto tenant = good_leaf();
  tenant.tenant = *base::Tenant::parse("acme");
  refused(check(tenant), Code::denied, "something else: tenant");
  auto app = good_leaf();
  app.app = "name:other";
  refused(check(app), Code::denied, "something else: app");
}

TEST(CheckReply, AnAlteredSealedReplyIsRefused) {
  for (std::size_t i = 0; i < kSealed.size(); ++i) {
    auto altered = kSealed;
    altered[i] ^= 0x80;
    refused(check(good_leaf(), trust(), altered), Code::denied, "something else: sealed reply");
  }
  refused(check(good_leaf(), trust(), {}), Code::denied, "something else: sealed reply");
}

TEST(CheckReply, ASimulatedServerNeedsPermission) {
  auto leaf = good_leaf();
  leaf.realm = base::Realm::simulated;
  refused(check(leaf), Code::realm_mismatch, "the server is simulated");
  auto permitting = trust();
  permitting.allow_simulated = true;
  EXPECT_TRUE(check(leaf, permitting).ok());
}

TEST(CheckReply, AnotherLogOrKeyIsRefused) {
  refused(check_reply(receipt_for(good_leaf(), key_named("mallory")), kSealed, trust(), statement()), Code::denied,
          "receipt");
  auto leaf = good_leaf();
  leaf.audience = "log.example/other";
  refused(check(leaf), Code::denied, "receipt");
  refused(check_reply(receipt_for(leaf, key_named("log"), "log.example/other"), kSealed, trust(), statement()),
          Code::denied, "receipt");
  refused(check_reply("nonsense", kSealed, trust(), statement()), Code::malformed, "receipt");
}

TEST(CheckReply, WitnessesThatTrustAsksForMustHaveCosigned) {
  auto asking = trust();
  asking.log.witnesses = {.witnesses = {audit::testing::witness_key("w1")}, .threshold = 1};
  refused(check(good_leaf(), asking), Code::denied, "receipt");
}

TEST(CheckReply, EveryAlteredByteOfTheReceiptIsRefused) {
  const auto good = receipt_for(good_leaf(), key_named("log"));
  for (std::size_t i = 0; i < good.size(); ++i) {
    auto altered = good;
    altered[i] = static_cast<char>(altered[i] ^ 1);
    EXPECT_FALSE(check_reply(altered, kSealed, trust(), statement()).ok()) << i;
  }
}

class Evidence final : public attestation::Attester {
 public:
  base::Result<attestation::Evidence> attest(const base::FixedBytes<64>& report_data) override {
    return attestation::Evidence{.format = {}, .bytes = base::to_bytes(base::ByteView{report_data})};
  }
};

/// A server that does what a man in the middle can: it seals to the recipient key that it was sent, which needs no
/// secret, and answers with whatever receipt it has.
class FakeServer final : public net::HttpTransport {
 public:
  base::Result<net::Response> send(const net::HttpRequest& request) override {
    auto response = respond(request);
    if (response->body.size() > request.max_bytes) return base::Error{Code::unavailable, "the answer is too large"};
    return response;
  }

  base::Result<net::Response> respond(const net::HttpRequest& request) {
    ++requests;
    if (request.url.ends_with("/v1/challenges"))
      return answer(base::JsonOutObject{{"nonce", base::base64url(base::Bytes(42, 9))}});
    const auto doc = base::JsonDocument::parse(request.body);
    const auto bytes = [&](std::string_view name) {
      return *base::base64url_decode((*doc)->root().get(name)->string(name).value());
    };
    base::FixedBytes<64> binding{};
    const auto evidence = bytes("evidence");
    std::copy(evidence.begin(), evidence.end(), binding.begin());
    const auto sealed = attestation::seal_reply(bytes("recipient"), binding, base::as_bytes(release)).value();
    auto leaf = good_leaf();
    leaf.binding = base::hex(binding);
    leaf.reply = base::hex(crypto::sha256(sealed));
    return answer(base::JsonOutObject{{"sealed", base::base64url(sealed)}, {"receipt", receipt_for(leaf, key)}});
  }

  static net::Response answer(base::JsonOutObject body) {
    return {.status = 200,
            .content_type = "application/json",
            .body = base::JsonOut{std::move(body)}.compact(),
            .headers = {}};
  }

  crypto::Ed25519PrivateKey key = key_named("log");
  std::string release = R"({"v":1,"tenant":"default","app":"name:web","instance":"00","realm":"production","epoch":0,)"
                        R"("expires":"2027-01-15T08:00:00Z","certificate_chain":"PEM","keys":[{"purpose":"app",)"
                        R"("algorithm":"aes256","path":"","private":"AQI","public":""}],"configuration_id":"",)"
                        R"("configuration":"","secrets":{"password":"aHVudGVyMg"},"leaf_key":"AA","later":1})";
  int requests = 0;
};

class RegisterTest : public ::testing::Test {
 protected:
  base::Result<Registered> go() {
    return register_instance(server, attester, trust(),
                             {.url = "https://server",
                              .tenant = base::Tenant::standard(),
                              .app = *base::AppRef::parse("web"),
                              .deadline = state::testing::patient()},
                             random);
  }
  FakeServer server;
  Evidence attester;
  crypto::SeededRandom random{base::as_bytes("workload")};
};

TEST_F(RegisterTest, OpensWhatTheTrustedLogHolds) {
  const auto done = go();
  ASSERT_TRUE(done.ok()) << done.error().text();
  EXPECT_EQ(done->release.app, "name:web");
  ASSERT_EQ(done->release.keys.size(), 1u);
  EXPECT_EQ(base::hex(done->release.keys[0].private_key.reveal()), "0102");
  ASSERT_EQ(done->release.secrets.size(), 1u);
  EXPECT_EQ(done->release.secrets[0].first, "password");
  EXPECT_EQ(base::as_text(done->release.secrets[0].second.reveal()), "hunter2");
  EXPECT_TRUE(crypto::EcPrivateKey::from_pkcs8(done->signing_key_pkcs8.reveal()).ok());
}

/// The JSON of a release with this secret in it, and with as many more as there may be.
std::string release_with(const std::string& value, std::size_t more = 0) {
  std::string members = "\"secrets\":{\"long\":\"" + value + "\"";
  for (std::size_t i = 0; i < more; ++i)
    members += ",\"n" + std::to_string(i) + "\":\"" + base::base64url(base::Bytes(64 * 1024, 7)) + "\"";
  std::string json = FakeServer{}.release;
  const std::string_view empty = R"("secrets":{"password":"aHVudGVyMg")";
  return json.replace(json.find(empty), empty.size(), members);
}

TEST_F(RegisterTest, TheLargestReleaseIsReceived) {
  server.release = release_with("AQI", 63);
  const auto done = go();
  ASSERT_TRUE(done.ok()) << done.error().text();
  EXPECT_EQ(done->release.secrets.size(), 64u);
}

TEST_F(RegisterTest, NothingOfTheReleaseIsLeftOnTheHeap) {
  const std::string value = "a secret that is longer than what strings keep in themselves";
  const std::string encoded = base::base64url(base::as_bytes(value));
  server.release = release_with(encoded);
  for (const std::string_view needle : {std::string_view{value}, std::string_view{encoded}.substr(4, 40)}) {
    const base::testing::FreedMemory freed{needle};
    {
      const auto done = go();
      ASSERT_TRUE(done.ok()) << done.error().text();
      EXPECT_EQ(base::as_text(done->release.secrets[0].second.reveal()), value);
    }
    EXPECT_EQ(freed.found(), 0) << needle;
  }
}

TEST(ReceivedRelease, WipesWhatItRefuses) {
  const std::string value = base::base64url(base::as_bytes("a secret that is longer than what strings keep"));
  const std::string complete = release_with(value);
  for (const std::string& json : {complete + "}", complete.substr(0, complete.size() - 1), release_with(value + "*")}) {
    const base::testing::FreedMemory freed{std::string_view{value}.substr(4, 40)};
    EXPECT_FALSE(ReceivedRelease::parse(base::as_bytes(json)).ok());
    EXPECT_EQ(freed.found(), 0) << json;
  }
}

TEST_F(RegisterTest, AManInTheMiddleWithHisOwnLogIsRefusedBeforeOpening) {
  server.key = key_named("mallory");
  server.release = "not JSON: opening this would be another error";
  const auto done = go();
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().code, Code::denied) << done.error().text();
  EXPECT_THAT(done.error().text(), HasSubstr("receipt"));
}

TEST(ReceivedRelease, RefusesWhatIsMissingOrMalformed) {
  const std::string good = FakeServer{}.release;
  ASSERT_TRUE(ReceivedRelease::parse(base::as_bytes(good)).ok());
  const auto without = [&](std::string_view from, std::string_view to) {
    auto text = good;
    return text.replace(text.find(from), from.size(), to);
  };
  const std::pair<std::string, std::string> cases[] = {
      {without(R"("tenant":"default",)", ""), "tenant"},
      {without("2027-01-15T08:00:00Z", "soon"), "expires"},
      {without(R"("private":"AQI")", R"("private":"A")"), "private"},
      {without("aHVudGVyMg", "***"), "secret"},
      {without(R"("configuration":"",)", ""), "configuration"},
      {"{", "release"},
  };
  for (const auto& [json, reason] : cases) {
    const auto release = ReceivedRelease::parse(base::as_bytes(json));
    ASSERT_FALSE(release.ok()) << json;
    EXPECT_THAT(release.error().text(), HasSubstr(reason));
  }
}

/// Keeps nothing of what it is asked.
class Deaf final : public net::HttpTransport {
 public:
  base::Result<net::Response> send(const net::HttpRequest&) override {
    return base::Error{Code::unavailable, "no connection"};
  }
};

TEST(ApiClient, WipesTheBodyThatItSent) {
  const std::string_view value = "a secret that is longer than what strings keep in themselves";
  Deaf http;
  const ApiClient client{http, "https://server", "token"};
  std::string body{value};
  const base::testing::FreedMemory freed{value};
  EXPECT_FALSE(client.call(net::Method::put, "/v1/secret", std::move(body)).ok());
  EXPECT_EQ(freed.found(), 0);
}

}  // namespace
}  // namespace attestry::client
