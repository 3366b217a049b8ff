#include "governance/approval.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/encoding.h"
#include "crypto/hash.h"

namespace attestry::governance {
namespace {

using ::testing::HasSubstr;

crypto::Ed25519PrivateKey key_named(std::string_view name) {
  return *crypto::Ed25519PrivateKey::from_seed(crypto::sha256(base::as_bytes(name)));
}

Approval sample() {
  return {.audience = "log.example/attestry",
          .realm = base::Realm::simulated,
          .tenant = *base::Tenant::parse("acme"),
          .app = *base::AppRef::parse("name:web"),
          .action = Action::identity_approve,
          .subject = std::string(64, 'a'),
          .policy_sha256 = std::string(64, 'b'),
          .seq = 7,
          .prev = std::string(64, 'c'),
          .expires = {1'800'000'000}};
}

// The bytes that operators sign, written down here so that nobody changes them by accident (RFC 8785: sorted members).
TEST(Approval, PayloadIsCanonicalJson) {
  EXPECT_EQ(sample().payload(), R"({"action":"identity.approve","app":"name:web","audience":"log.example/attestry",)"
                                R"("expires":"2027-01-15T08:00:00Z","policy_sha256":")" +
                                    std::string(64, 'b') + R"(","prev":")" + std::string(64, 'c') +
                                    R"(","realm":"simulated","seq":7,"subject":")" + std::string(64, 'a') +
                                    R"(","tenant":"acme","v":1})");
}

TEST(Approval, EveryActionRoundTrips) {
  for (const Action action :
       {Action::app_create, Action::policy_approve, Action::identity_approve, Action::configuration_approve,
        Action::secret_approve, Action::threshold_set, Action::epoch_advance, Action::epoch_retire, Action::revoke}) {
    Approval approval = sample();
    approval.action = action;
    const auto parsed = Approval::parse(approval.payload());
    ASSERT_TRUE(parsed.ok()) << parsed.error().text();
    EXPECT_EQ(parsed->action, action);
    EXPECT_EQ(parsed->payload(), approval.payload());
    EXPECT_EQ(action_from(to_text(action)).value(), action);
  }
  EXPECT_THAT(action_from("policy.delete").error().text(), HasSubstr("unknown action"));
}

/// sample() with one member's text replaced.
std::string altered(std::string_view from, std::string_view to) {
  std::string text = sample().payload();
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

struct Bad {
  std::string_view from, to, reason;
};

TEST(Approval, IsReadStrictly) {
  const std::string upper(64, 'B');
  const std::string quoted = "\"policy_sha256\":\"" + std::string(64, 'b');
  const std::string quoted_upper = "\"policy_sha256\":\"" + upper;
  const std::string prev = "\"prev\":\"" + std::string(64, 'c');
  const Bad cases[] = {
      {"\"v\":1", "\"v\":2", "v"},
      {"\"v\":1", "\"v\":1,\"note\":\"x\"", "note"},
      {"\"v\":1", "\"v\":1,\"v\":1", "v"},
      {"\"seq\":7", "\"seq\":0", "seq"},
      {"\"seq\":7", "\"seq\":-1", "seq"},
      {"\"seq\":7", "\"seq\":7.5", "seq"},
      {"\"seq\":7", "\"seq\":\"7\"", "seq"},
      {"\"seq\":7", "\"seq\":9007199254740992", "seq"},
      {"\"seq\":7,", "", "seq"},
      {"identity.approve", "identity.delete", "unknown action"},
      {"\"simulated\"", "\"real\"", "realm"},
      {"\"acme\"", "\"ACME\"", "tenant"},
      {"\"name:web\"", "\"nope:web\"", "app"},
      {quoted, quoted_upper, "policy_sha256"},
      {prev, "\"prev\":\"c", "prev"},
      {"2027-01-15T08:00:00Z", "2027-01-15T08:00:00+00:00", "expires"},
  };
  for (const auto& [from, to, reason] : cases) {
    const auto parsed = Approval::parse(altered(from, to));
    ASSERT_FALSE(parsed.ok()) << to;
    EXPECT_EQ(parsed.error().code, base::Code::malformed) << to;
    EXPECT_THAT(parsed.error().text(), HasSubstr(std::string{reason})) << to;
  }
  EXPECT_FALSE(Approval::parse(sample().payload() + " x").ok());
}

TEST(Envelope, PreAuthenticationEncodingIsThatOfDsse) {
  // The example of the DSSE specification (protocol.md, version 1).
  const Envelope example{.payload_type = "http://example.com/HelloWorld", .payload = "hello world", .signatures = {}};
  EXPECT_EQ(base::as_text(example.pre_authentication()), "DSSEv1 29 http://example.com/HelloWorld 11 hello world");
}

// Signature by Python's `cryptography` (Ed25519, seed 00..1f) over the encoding above.
TEST(Envelope, SignatureIsOverThePreAuthenticationEncoding) {
  base::Bytes seed(32);
  for (std::size_t i = 0; i < seed.size(); ++i) seed[i] = static_cast<std::uint8_t>(i);
  const auto key = crypto::Ed25519PrivateKey::from_seed(seed);
  ASSERT_TRUE(key.ok());
  Envelope envelope{.payload_type = "http://example.com/HelloWorld", .payload = "hello world", .signatures = {}};
  envelope.sign(*key);
  EXPECT_EQ(base::hex(envelope.signatures.at(0).signature),
            "14306e8611991eb41a2e71c0fb1603a333412ad3914d3dc41611895dccc2861f0f0aa078ef5b03112cf2db382e30640e93c0fe223d"
            "a16ff7a8524ab173faa00a");
}

TEST(Envelope, RoundTripsThroughJson) {
  Envelope envelope{.payload_type = std::string{kApprovalPayloadType}, .payload = sample().payload(), .signatures = {}};
  envelope.sign(key_named("alice"));
  envelope.sign(key_named("bob"));
  const auto parsed = Envelope::parse(envelope.to_json());
  ASSERT_TRUE(parsed.ok()) << parsed.error().text();
  EXPECT_EQ(parsed->payload, envelope.payload);
  EXPECT_EQ(parsed->to_json(), envelope.to_json());
  EXPECT_EQ(parsed->count_valid({key_named("alice").public_key(), key_named("bob").public_key()}), 2u);
}

TEST(Envelope, IsReadStrictly) {
  const std::string sig = base::base64(base::Bytes(64, 1));
  const auto with = [&](const std::string& signatures, const std::string& more = "") {
    return R"({"payloadType":"t","payload":"e30=","signatures":)" + signatures + more + "}";
  };
  const std::string one = R"({"sig":")" + sig + R"("})";
  ASSERT_TRUE(Envelope::parse(with("[" + one + "]")).ok());
  std::string many = "[" + one;
  for (int i = 0; i < 64; ++i) many += "," + one;
  many += "]";
  const std::pair<std::string, std::string> cases[] = {
      {with("[]"), "1 to 64"},
      {with(many), "1 to 64"},
      {with("{}"), "1 to 64"},
      {with("[" + one + "]", R"(,"extra":1)"), "extra"},
      {with(R"([{"sig":"AQE="}])"), "64 bytes of Ed25519"},
      {with(R"([{"sig":"***"}])"), "envelope signature"},
      {with(R"([{"keyid":"x"}])"), "sig"},
      {with(R"([{"sig":")" + sig + R"(","cert":"x"}])"), "cert"},
      {R"({"payloadType":"t","payload":"*","signatures":[)" + one + "]}", "envelope payload"},
      {R"({"payload":"e30=","signatures":[)" + one + "]}", "payloadType"},
  };
  for (const auto& [json, reason] : cases) {
    const auto parsed = Envelope::parse(json);
    ASSERT_FALSE(parsed.ok()) << json;
    EXPECT_EQ(parsed.error().code, base::Code::malformed) << json;
    EXPECT_THAT(parsed.error().text(), HasSubstr(reason)) << json;
  }
}

TEST(Envelope, CountsKeysAndNeitherSignaturesNorKeyIds) {
  const auto alice = key_named("alice");
  const auto bob = key_named("bob");
  Envelope envelope{.payload_type = "t", .payload = "{}", .signatures = {}};
  envelope.sign(alice);
  envelope.sign(alice);
  envelope.signatures[1].keyid = "bob";  // a key id is a hint that anybody may write
  EXPECT_EQ(envelope.count_valid({alice.public_key(), bob.public_key()}), 1u);
  EXPECT_EQ(envelope.count_valid({alice.public_key(), alice.public_key()}), 1u);
  EXPECT_EQ(envelope.count_valid({bob.public_key()}), 0u);
  envelope.sign(bob);
  envelope.signatures[2].keyid = envelope.signatures[0].keyid;
  EXPECT_EQ(envelope.count_valid({alice.public_key(), bob.public_key()}), 2u);
}

TEST(Envelope, AnAlteredPayloadOrTypeHasNoValidSignature) {
  const auto alice = key_named("alice");
  Envelope envelope{.payload_type = "t", .payload = "{}", .signatures = {}};
  envelope.sign(alice);
  Envelope other_payload = envelope;
  other_payload.payload = "{ }";
  Envelope other_type = envelope;
  other_type.payload_type = "u";
  EXPECT_EQ(envelope.count_valid({alice.public_key()}), 1u);
  EXPECT_EQ(other_payload.count_valid({alice.public_key()}), 0u);
  EXPECT_EQ(other_type.count_valid({alice.public_key()}), 0u);
}

}  // namespace
}  // namespace attestry::governance
