#include "cluster/application.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/encoding.h"
#include "base/json_writer.h"
#include "crypto/hash.h"
#include "keys/derivation.h"

namespace attestry::cluster {
namespace {

using base::Code;
using base::JsonOut;
using base::JsonOutArray;
using base::JsonOutObject;
using curves::bls::G1;
using curves::bls::G2;
using ::testing::HasSubstr;

const base::Tenant kDefault = base::Tenant::standard();
const base::Tenant kOther = *base::Tenant::parse("other");
base::AppRef app_named(std::string_view text) { return *base::AppRef::parse(text); }
constexpr std::string_view kG1Text = "bls12381g1:6aGxBiDyBZxEL9RKJz8W2h7VQUUKv9BPqHbC2DNWKExVRM7GWtLk6mTQBYXbpgRHwp";
constexpr std::string_view kG2Text =
    "bls12381g2:"
    "swVJmkrgSeVKhyDHqRXbDhToeQtR2JPTTnD6fp9Jty9jfLDqDh7sAhgbHBZTfXDFh3kvZxMCwe5w4R7FXbHNt6PUkyJEsuvJ8bsqFocwyuygsJMpja"
    "F"
    "YB8914BoaiNFsUiK";

template <class T>
void refused(const base::Result<T>& result, Code code, std::string_view reason) {
  ASSERT_FALSE(result.ok()) << "expected: " << reason;
  EXPECT_EQ(result.error().code, code) << result.error().text();
  EXPECT_THAT(result.error().text(), HasSubstr(std::string{reason}));
}

base::FixedBytes<42> filled(std::uint8_t byte) {
  base::FixedBytes<42> out;
  out.fill(byte);
  return out;
}

Application application(std::string_view app = "name:web") {
  return {.nonces = {{0, filled(1)}, {2, filled(3)}, {6, filled(7)}},
          .evidence = {attestation::EvidenceFormat::unknown, base::to_bytes("evidence"), {}},
          .key = {.pk1 = G1::generator().encode()},
          .tenant = kDefault,
          .app = app_named(app)};
}

// ---- app_id ----

TEST(AppId, OfAnAccountIsNears) {
  const auto of = [](std::string_view account, std::string_view path) {
    return base::hex(app_id_of(base::Realm::production, kDefault, app_named(account), 0, path).value());
  };
  // From the table of near/mpc, recomputed with Python's hashlib.
  EXPECT_EQ(of("near:alice.near", ""), "e8419b477ad2ac3cc147c5040422548c10cb7b3db6cbb5acab9455a2004f95fc");
  EXPECT_EQ(of("near:dao.outlayer.near", ""), "3932923183c0eb4e6b94390d3edfebe33b3656329571d3f56fa019cc84d32429");
  EXPECT_EQ(of("near:frodo.test.near", "mykey"), "ce08a1efe09cb56623aa8ee8d8a36e6c0d1ce45d80e64514cba4fbe8aed75208");
}

TEST(AppId, OfAllOthersIsWhatARootDerivesTheirKeysFrom) {
  const auto root = crypto::Secret::copy_of(base::Bytes(32, 9));
  for (const std::string_view text : {"name:web", "evm:1:0x00000000000000000000000000000000000000aa",
                                      "dstack:00000000000000000000000000000000000000bb"}) {
    for (const auto realm : {base::Realm::production, base::Realm::simulated}) {
      for (const auto& tenant : {kDefault, kOther}) {
        const auto id = app_id_of(realm, tenant, app_named(text), 3, "");
        ASSERT_TRUE(id.ok()) << id.error().text();
        const auto derived =
            crypto::hkdf_sha256(crypto::sha256(base::as_bytes("attestry/kdf/2")), root.reveal(), *id, 32);
        EXPECT_TRUE(
            base::equal(derived.reveal(), keys::derive_app_root(root, realm, tenant, app_named(text), 3).reveal()))
            << text;
      }
    }
  }
}

TEST(AppId, IsOfOneTenantAndHasNoPartsThatItIsNotMadeOf) {
  const auto of = [](const base::Tenant& tenant, std::string_view app, std::uint32_t epoch, std::string_view path) {
    return app_id_of(base::Realm::production, tenant, app_named(app), epoch, path);
  };
  // NEAR's id has no tenant in it: another tenant's operators could approve their software for this one's key.
  refused(of(kOther, "near:alice.near", 0, ""), Code::denied, "for one alone");
  refused(of(kDefault, "near:alice.near", 1, ""), Code::malformed, "no epochs");
  refused(of(kDefault, "name:web", 0, "path"), Code::malformed, "only apps of NEAR accounts");
  refused(of(kDefault, "near:alice.near", 0, std::string(1025, 'x')), Code::malformed, "at most 1024 bytes");
  refused(of(kDefault, "near:alice.near", 0, "\xff"), Code::malformed, "UTF-8");
  EXPECT_TRUE(of(kDefault, "near:alice.near", 0, "a,b,ü").ok());
}

// ---- bytes between nodes ----

TEST(ApplicationBytes, AreReadAsTheyWereWritten) {
  for (const bool pair : {false, true}) {
    auto one = application("near:alice.near");
    one.path = "a,b";
    one.evidence.supplements = {{attestation::SupplementKind::dstack_event_log, base::to_bytes("[]")},
                                {attestation::SupplementKind::tcg_event_log, base::to_bytes("\x01log")}};
    if (pair) one.key.pk2 = G2::generator().encode();
    const auto read = Application::parse(one.bytes());
    ASSERT_TRUE(read.ok()) << read.error().text();
    EXPECT_EQ(read->bytes(), one.bytes());
    EXPECT_EQ(read->nonces, one.nonces);
    EXPECT_EQ(read->key, one.key);
    EXPECT_EQ(read->path, one.path);
    EXPECT_EQ(read->evidence.bytes, one.evidence.bytes);
    ASSERT_EQ(read->evidence.supplements.size(), 2u);
    EXPECT_EQ(read->evidence.supplements[1].kind, attestation::SupplementKind::tcg_event_log);
  }
}

TEST(ApplicationBytes, AreRefusedWhenAnythingIsOff) {
  const auto good = application().bytes();
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(Application::parse(base::ByteView{good}.first(size)).ok()) << size;
  }
  auto tagged = good;
  tagged[4 + 31] ^= 3;  // of version 2
  refused(Application::parse(tagged), Code::malformed, "tag");
  auto longer = good;
  longer.push_back(0);
  refused(Application::parse(longer), Code::malformed, "trailing");
  refused(Application::parse(base::Bytes((1u << 20) + 1)), Code::too_large, "threshold request");

  const auto with = [](auto change) {
    auto one = application();
    change(one);
    return Application::parse(one.bytes());
  };
  refused(with([](auto& a) { a.nonces.clear(); }), Code::malformed, "nonces");
  refused(with([](auto& a) { a.nonces[1].id = 0; }), Code::malformed, "each node once");
  refused(with([](auto& a) { std::swap(a.nonces[0], a.nonces[1]); }), Code::malformed, "ids ascending");
  refused(with([](auto& a) { a.nonces[2].id = 255; }), Code::malformed, "ids below 255");
  refused(with([](auto& a) { a.nonces.resize(256); }), Code::malformed, "at most 255");
  refused(with([](auto& a) { a.path = "x"; }), Code::malformed, "derivation path");
  refused(with([](auto& a) { a.path = std::string(1025, 'x'); }), Code::malformed, "derivation path");
  refused(with([](auto& a) {
            a.app = app_named("near:alice.near");
            a.tenant = kOther;
          }),
          Code::denied, "for one alone");
  refused(with([](auto& a) {
            const attestation::Supplement log{attestation::SupplementKind::tcg_event_log, base::to_bytes("log")};
            a.evidence.supplements = {log, log};
          }),
          Code::malformed, "two of one kind");
  refused(with([](auto& a) { a.evidence.supplements.resize(3); }), Code::malformed, "event logs");
}

TEST(ApplicationBytes, HaveARecipientOfThresholdRequests) {
  auto bytes = application().bytes();
  const base::Bytes recipient = application().recipient();
  ASSERT_EQ(base::hex(recipient).substr(0, 10), "ff0197f1d3");
  const auto at = std::ranges::search(bytes, recipient).begin();
  *at = 0;  // 0x0001: some KEM
  refused(Application::parse(bytes), Code::malformed, "recipient");
  // A point and something else.
  base::LpWriter part, longer;
  part.lp(recipient);
  longer.lp([&] {
    auto out = recipient;
    out.push_back(0);
    return out;
  }());
  const auto good = application().bytes();
  const auto whole = std::ranges::search(good, part.bytes());
  base::Bytes changed{good.begin(), whole.begin()};
  base::append(changed, longer.bytes());
  changed.insert(changed.end(), whole.end(), good.end());
  refused(Application::parse(changed), Code::malformed, "A2");
  auto one = application();
  one.key.pk2 = G2::generator().encode();
  EXPECT_EQ(one.recipient().size(), 146u);
}

// Known answer by Python's hashlib over FORMATS 3 and 10: purpose 4, the text of the master public key in the audience,
// the combined nonce, an empty CSR key.
TEST(ApplicationStatement, IsWhatTheFormatsSay) {
  const auto statement = application().statement(G2::generator().encode());
  ASSERT_TRUE(statement.ok()) << statement.error().text();
  EXPECT_EQ(statement->audience, "threshold:" + std::string{kG2Text});
  EXPECT_EQ(base::hex(statement->binding()),
            "d266e15755cbec0fbf183e2576c906f2b945ddad36f1a0c3956f953feb1f11fc77c6d8f01ab96ad7a886a9b8f6d8d7da7d72d3c3ac"
            "360bfa39cda80ef4e0222b");
  const auto changed = [&](auto change) {
    auto one = application();
    change(one);
    return one.statement(G2::generator().encode())->binding() != statement->binding();
  };
  EXPECT_TRUE(changed([](auto& a) { a.key.pk1[47] ^= 1; }));
  EXPECT_TRUE(changed([](auto& a) { a.key.pk2 = G2::generator().encode(); }));
  EXPECT_TRUE(changed([](auto& a) { a.nonces[2].nonce[9] ^= 1; }));
  EXPECT_TRUE(changed([](auto& a) { a.nonces[2].id = 5; }));
  EXPECT_TRUE(changed([](auto& a) { a.nonces.pop_back(); }));
  EXPECT_TRUE(changed([](auto& a) { a.app = app_named("name:other"); }));
  EXPECT_TRUE(changed([](auto& a) { a.tenant = kOther; }));
  EXPECT_NE((application().statement((G2::generator() + G2::generator()).encode())->binding()), statement->binding());
}

TEST(ApplicationLeafKey, IsOfTheWholeRequest) {
  auto one = application();
  const auto key = one.leaf_key();
  EXPECT_TRUE(base::equal(one.leaf_key().reveal(), key.reveal()));
  one.epoch = 1;
  EXPECT_FALSE(base::equal(one.leaf_key().reveal(), key.reveal()));
}

// ---- the body ----

JsonOutObject body() {
  JsonOutArray nonces;
  for (const auto& one : application().nonces)
    nonces.emplace_back(JsonOutObject{{"node", one.id}, {"nonce", base::base64url(one.nonce)}});
  return {{"nonces", std::move(nonces)},
          {"evidence", base::base64url(base::as_bytes("evidence"))},
          {"app", "name:web"},
          {"epoch", 0},
          {"app_public_key", kG1Text}};
}
base::Result<Application> parse(JsonOutObject members) {
  return Application::parse_json(JsonOut{std::move(members)}.compact());
}
/// body() with some members changed, added, or taken away (null).
base::Result<Application> parse_with(JsonOutObject changes, std::string_view without = {}) {
  auto members = body();
  for (auto& [key, value] : changes) {
    std::erase_if(members, [&](const auto& member) { return member.first == key; });
    members.emplace_back(key, std::move(value));
  }
  std::erase_if(members, [&](const auto& member) { return member.first == without; });
  return parse(std::move(members));
}

TEST(ApplicationBody, SaysTheSameAsTheBytes) {
  const auto read = parse(body());
  ASSERT_TRUE(read.ok()) << read.error().text();
  EXPECT_EQ(read->bytes(), application().bytes());
  auto account = application("near:alice.near");
  account.path = "a,\"b";
  account.key.pk2 = G2::generator().encode();
  account.evidence.supplements = {{attestation::SupplementKind::dstack_event_log, base::to_bytes("[]")}};
  auto epoch = application();
  epoch.tenant = kOther;
  epoch.epoch = UINT32_MAX;
  for (const Application& one : {account, epoch}) {
    const auto again = Application::parse_json(one.json());
    ASSERT_TRUE(again.ok()) << again.error().text();
    EXPECT_EQ(again->bytes(), one.bytes());
  }
}

TEST(ApplicationBody, TakesTheRequestOfTheMpcContract) {
  const JsonOutObject request{{"derivation_path", "mykey"}, {"app_public_key", kG1Text}, {"domain_id", 2}};
  const auto account = [&](JsonOutObject of) {
    auto members = body();
    std::erase_if(members, [](const auto& m) { return m.first == "app_public_key" || m.first == "epoch"; });
    std::erase_if(members, [](const auto& m) { return m.first == "app"; });
    members.emplace_back("app", "near:frodo.test.near");
    members.emplace_back("request", std::move(of));
    return parse(std::move(members));
  };
  const auto read = account(request);
  ASSERT_TRUE(read.ok()) << read.error().text();
  EXPECT_EQ(base::hex(*read->app_id(base::Realm::production)),
            "ce08a1efe09cb56623aa8ee8d8a36e6c0d1ce45d80e64514cba4fbe8aed75208");
  refused(parse_with({{"request", request}}), Code::malformed, "either `request`");
  refused(account({{"derivation_path", "mykey"}, {"app_public_key", kG1Text}, {"domain_id", 1}}), Code::malformed,
          "Domain 1 has purpose Sign, but this method requires CKD.");
}

TEST(ApplicationBody, IsStrict) {
  const auto nonce = base::base64url(filled(1));
  refused(parse_with({}, "epoch"), Code::malformed, "epoch");
  refused(parse_with({{"epoch", -1}}), Code::malformed, "epoch");
  refused(parse_with({{"epoch", std::int64_t{1} << 32}}), Code::malformed, "epoch");
  refused(parse_with({{"more", 1}}), Code::malformed, "more");
  for (const std::string_view without : {"nonces", "evidence", "app", "app_public_key"}) {
    refused(parse_with({}, without), Code::malformed, without);
  }
  refused(parse_with({{"nonces", JsonOutObject{}}}), Code::malformed, "an array");
  refused(parse_with({{"nonces", JsonOutArray{}}}), Code::malformed, "nonces");
  refused(parse_with({{"nonces", JsonOutArray{JsonOutObject{{"node", 255}, {"nonce", nonce}}}}}), Code::malformed,
          "node");
  refused(parse_with({{"nonces", JsonOutArray{JsonOutObject{{"node", 1}, {"nonce", nonce.substr(4)}}}}}),
          Code::malformed, "42 bytes each");
  refused(parse_with({{"nonces", JsonOutArray{JsonOutObject{{"node", 1}, {"nonce", nonce}, {"id", 1}}}}}),
          Code::malformed, "id");
  refused(parse_with({{"derivation_path", "x"}}), Code::malformed, "derivation path");
  refused(parse_with({{"evidence", "=="}}), Code::malformed, "evidence");
  refused(parse_with({{"tenant", "A"}}), Code::malformed, "tenant");
  refused(parse_with({{"app", "near:alice.near"}, {"epoch", 1}}), Code::malformed, "no epochs");
  const base::Bytes large(1u << 20);
  refused(parse_with({{"evidence", base::base64url(large)}}), Code::too_large, "threshold request");
  EXPECT_TRUE(parse_with({{"app", "near:alice.near"}}, "epoch").ok());
  EXPECT_TRUE(parse_with({{"app", "near:alice.near"}, {"derivation_path", "p"}}).ok());
}

}  // namespace
}  // namespace attestry::cluster
