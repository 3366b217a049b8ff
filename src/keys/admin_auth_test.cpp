#include "keys/admin_auth.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "base/encoding.h"
#include "crypto/hash.h"
#include "crypto/key_pem.h"
#include "crypto/x509.h"

namespace attestry::keys {
namespace {

using base::as_bytes;

constexpr base::UtcTime kNow{1'800'000'000};

std::string ed25519_pem(const crypto::Ed25519PrivateKey& key) {
  namespace der = crypto::der;
  base::Bytes bits{0};
  base::append(bits, key.public_key());
  return crypto::spki_pem(der::sequence({der::sequence({der::oid("1.3.101.112")}), der::tlv(0x03, bits)}));
}

class AdminAuth : public ::testing::Test {
 protected:
  static std::string pem(const crypto::EcPrivateKey& key) { return crypto::spki_pem(key.public_key().spki()); }

  crypto::SeededRandom random_{as_bytes("admins")};
  crypto::EcPrivateKey alice_ = crypto::EcPrivateKey::generate(crypto::Curve::p256, random_);
  crypto::EcPrivateKey bob_ = crypto::EcPrivateKey::generate(crypto::Curve::p384, random_);
  crypto::Ed25519PrivateKey carol_ = crypto::Ed25519PrivateKey::generate(random_);
  crypto::EcPrivateKey dora_ = crypto::EcPrivateKey::generate(crypto::Curve::p521, random_);
  AdminSet set_ =
      AdminSet::make({{"alice", pem(alice_)}, {"bob", pem(bob_)}, {"carol", ed25519_pem(carol_)}, {"dora", pem(dora_)}})
          .value();
  AdminRequestParts request_{.method = "POST",
                             .host = "kms.example:8081",
                             .server = as_bytes("this server"),
                             .path = "/admin/share",
                             .body = as_bytes("{\"a\":1}")};

  AdminHeaders v1(std::string_view id = "alice") const {
    return sign_admin_request_v1(id, alice_, request_.path, request_.body);
  }
  AdminHeaders v2() { return sign_admin_request_v2("alice", &alice_, request_, kNow, random_); }
  bool passes(const AdminHeaders& headers, const AdminRequestParts& request, base::UtcTime now = kNow,
              AdminVersions versions = AdminVersions::v1_and_v2) const {
    const auto access = verify_admin_request(set_, headers, request, now, versions);
    EXPECT_TRUE(access.ok() || access.error().code == base::Code::unauthenticated);
    return access.ok();
  }
};

TEST_F(AdminAuth, V1CoversPathAndBodyOnly) {
  const auto access = verify_admin_request(set_, v1(), request_, kNow, AdminVersions::v1_and_v2);
  ASSERT_TRUE(access.ok());
  EXPECT_EQ(access->who->id, "alice");
  EXPECT_EQ(access->version, 1);
  EXPECT_EQ(access->forget_after.seconds, std::numeric_limits<std::int64_t>::max());
  AdminRequestParts other = request_;
  other.method = "GET";
  other.host = "elsewhere";
  EXPECT_TRUE(passes(v1(), other));
  other = request_;
  other.path = "/admin/init/generate";
  EXPECT_FALSE(passes(v1(), other));
  other = request_;
  other.body = {};
  EXPECT_FALSE(passes(v1(), other));
  EXPECT_FALSE(passes(v1(), request_, kNow, AdminVersions::v2_only));
}

// docs/formats/registry.md: the digests of GET /admin/share and of POST /admin/share with {"a":1}.
TEST_F(AdminAuth, V1SignsTheKnownDigests) {
  const auto of = [&](std::string_view path, std::string_view body, std::string_view digest) {
    const AdminHeaders headers = sign_admin_request_v1("alice", alice_, path, as_bytes(body));
    const auto signature = base::base64_decode(headers.signature).value();
    return alice_.public_key().verify_digest_der(base::hex_decode(digest).value(), signature);
  };
  EXPECT_TRUE(of("/admin/share", "", "5c591f126648aa955740f554586825d06d850850e20cfc9822d092f960fbdf8a"));
  EXPECT_TRUE(of("/admin/share", "{\"a\":1}", "be0c1b9b214b6eb4305f63d9a39924cbb8269193c07d4211938df49404a1290b"));
}

// The digest is SHA-256 whatever the curve is, although a v2 signature has the curve's own hash.
TEST_F(AdminAuth, V1OnEveryCurveSignsSha256) {
  for (const auto& [id, key] : {std::pair{"bob", &bob_}, std::pair{"dora", &dora_}}) {
    const AdminHeaders good = sign_admin_request_v1(id, *key, request_.path, request_.body);
    EXPECT_TRUE(passes(good, request_)) << id;
    AdminHeaders other = good;
    other.signature = base::base64(key->sign_der(crypto::sha256(as_bytes("/admin/share{\"a\":1}"))));
    EXPECT_FALSE(passes(other, request_)) << id;
    other.signature = base::base64(key->sign_digest_der(crypto::sha256(as_bytes("/admin/share{\"a\":1}"))));
    EXPECT_TRUE(passes(other, request_)) << id;
    other.id = "alice";
    EXPECT_FALSE(passes(other, request_)) << id;
  }
}

TEST_F(AdminAuth, TheReplayKeyOfV1DoesNotDependOnTheSignaturesBytes) {
  const auto one = verify_admin_request(set_, v1(), request_, kNow, AdminVersions::v1_and_v2);
  const auto two = verify_admin_request(set_, v1(), request_, kNow, AdminVersions::v1_and_v2);
  EXPECT_EQ(one->replay_key, two->replay_key);
  AdminRequestParts other = request_;
  other.body = {};
  const auto three = verify_admin_request(set_, sign_admin_request_v1("alice", alice_, other.path, {}), other, kNow,
                                          AdminVersions::v1_and_v2);
  EXPECT_NE(one->replay_key, three->replay_key);
}

TEST_F(AdminAuth, WrongIdsKeysAndEncodingsAreRefused) {
  EXPECT_FALSE(passes(v1("bob"), request_));
  EXPECT_FALSE(passes(v1("nobody"), request_));
  EXPECT_FALSE(passes(v1(""), request_));
  EXPECT_FALSE(passes(v1("carol"), request_));  // v1 has no Ed25519
  EXPECT_FALSE(passes({}, request_));
  AdminHeaders headers = v1();
  headers.signature.clear();
  EXPECT_FALSE(passes(headers, request_));
  headers.signature = "%%%";
  EXPECT_FALSE(passes(headers, request_));
  headers = v1();
  std::ranges::replace(headers.signature, '+', '-');
  headers.signature += "AAAA";
  EXPECT_FALSE(passes(headers, request_));
}

TEST_F(AdminAuth, V2CoversEverything) {
  const AdminHeaders headers = v2();
  EXPECT_TRUE(passes(headers, request_));
  EXPECT_TRUE(passes(headers, request_, kNow, AdminVersions::v2_only));
  AdminRequestParts other = request_;
  other.host = "KMS.example:8081";  // RFC 3986 3.2.2: hosts have no case
  EXPECT_TRUE(passes(headers, other));
  const auto differs = [&](auto change) {
    AdminRequestParts changed = request_;
    change(changed);
    return !passes(headers, changed);
  };
  EXPECT_TRUE(differs([](AdminRequestParts& r) { r.method = "GET"; }));
  EXPECT_TRUE(differs([](AdminRequestParts& r) { r.host = "kms.example"; }));
  EXPECT_TRUE(differs([](AdminRequestParts& r) { r.server = as_bytes("its replica"); }));
  EXPECT_TRUE(differs([](AdminRequestParts& r) { r.path = "/admin/share?x=1"; }));
  EXPECT_TRUE(differs([](AdminRequestParts& r) { r.body = {}; }));
}

TEST_F(AdminAuth, V2HoldsForItsTimeOnly) {
  const AdminHeaders headers = v2();
  EXPECT_TRUE(passes(headers, request_, kNow + kAdminClockSeconds));
  EXPECT_TRUE(passes(headers, request_, kNow - kAdminClockSeconds));
  EXPECT_FALSE(passes(headers, request_, kNow + kAdminClockSeconds + 1));
  EXPECT_FALSE(passes(headers, request_, kNow - kAdminClockSeconds - 1));
  const auto access = verify_admin_request(set_, headers, request_, kNow, AdminVersions::v2_only);
  EXPECT_EQ(access->forget_after, kNow + kAdminClockSeconds);
}

TEST_F(AdminAuth, V2HeadersAreReadInOneFormOnly) {
  const auto wrong = [&](auto change) {
    AdminHeaders headers = v2();
    change(headers);
    return !passes(headers, request_);
  };
  EXPECT_TRUE(wrong([](AdminHeaders& h) { h.time = "+" + h.time; }));
  EXPECT_TRUE(wrong([](AdminHeaders& h) { h.time = "0" + h.time; }));
  EXPECT_TRUE(wrong([](AdminHeaders& h) { h.time += "0"; }));
  EXPECT_TRUE(wrong([](AdminHeaders& h) { h.time = "99999999999999999999"; }));
  EXPECT_TRUE(wrong([](AdminHeaders& h) { h.time.clear(); }));
  EXPECT_TRUE(wrong([](AdminHeaders& h) { h.nonce.clear(); }));
  EXPECT_TRUE(wrong([](AdminHeaders& h) { h.nonce = base::base64url(base::Bytes(15, 1)); }));
  EXPECT_TRUE(wrong([](AdminHeaders& h) { h.nonce = base::base64url(base::Bytes(16, 1)); }));
  EXPECT_TRUE(wrong([](AdminHeaders& h) { h.id = "bob"; }));
  EXPECT_TRUE(wrong([](AdminHeaders& h) { h.signature_v2 = h.signature_v2.substr(4); }));
}

// Somebody who strips or spoils the v2 headers must not make the request count as a v1 one.
TEST_F(AdminAuth, ARequestWithV2HeadersIsNeverJudgedAsV1) {
  AdminHeaders headers = v1();
  headers.time = std::to_string(kNow.seconds);
  EXPECT_FALSE(passes(headers, request_));
  headers = v1();
  headers.signature_v2 = "AAAA";
  EXPECT_FALSE(passes(headers, request_));
}

TEST_F(AdminAuth, EveryKindOfKeySignsV2AndEachNonceIsAnother) {
  const auto bob = verify_admin_request(set_, sign_admin_request_v2("bob", &bob_, request_, kNow, random_), request_,
                                        kNow, AdminVersions::v2_only);
  ASSERT_TRUE(bob.ok());
  EXPECT_EQ(bob->who->id, "bob");
  const auto carol = verify_admin_request(set_, sign_admin_request_v2("carol", &carol_, request_, kNow, random_),
                                          request_, kNow, AdminVersions::v2_only);
  ASSERT_TRUE(carol.ok());
  const auto dora = verify_admin_request(set_, sign_admin_request_v2("dora", &dora_, request_, kNow, random_), request_,
                                         kNow, AdminVersions::v2_only);
  ASSERT_TRUE(dora.ok());
  EXPECT_FALSE(passes(sign_admin_request_v2("dora", &alice_, request_, kNow, random_), request_));
  EXPECT_FALSE(passes(sign_admin_request_v2("alice", &dora_, request_, kNow, random_), request_));
  const AdminHeaders once = v2();
  const auto first = verify_admin_request(set_, once, request_, kNow, AdminVersions::v2_only);
  const auto again = verify_admin_request(set_, once, request_, kNow + 1, AdminVersions::v2_only);
  const auto next = verify_admin_request(set_, v2(), request_, kNow, AdminVersions::v2_only);
  EXPECT_EQ(first->replay_key, again->replay_key);
  EXPECT_NE(first->replay_key, next->replay_key);
}

TEST_F(AdminAuth, TheFileReadsBack) {
  const auto again = AdminSet::parse(as_bytes(set_.json()));
  ASSERT_TRUE(again.ok()) << again.error().text();
  ASSERT_EQ(again->admins().size(), 4u);
  EXPECT_EQ(again->admins()[1].id, "bob");
  EXPECT_EQ(again->find("alice")->fingerprint(), base::hex(crypto::sha256(as_bytes(pem(alice_)))));
  EXPECT_EQ(again->find("carol")->ec_key(), nullptr);
  EXPECT_EQ(again->find("dora")->ec_key()->curve(), crypto::Curve::p521);
  EXPECT_EQ(again->find("dave"), nullptr);
}

TEST_F(AdminAuth, FilesThatCountOneAdministratorTwiceAreRefused) {
  EXPECT_FALSE(AdminSet::make({{"alice", pem(alice_)}, {"alice", pem(bob_)}}).ok());
  EXPECT_FALSE(AdminSet::make({{"alice", pem(alice_)}, {"alias", pem(alice_)}}).ok());
  EXPECT_FALSE(AdminSet::make({{"carol", ed25519_pem(carol_)}, {"alias", ed25519_pem(carol_)}}).ok());
}

TEST_F(AdminAuth, BrokenFilesAreRefused) {
  EXPECT_FALSE(AdminSet::make({}).ok());
  EXPECT_FALSE(AdminSet::make({{"", pem(alice_)}}).ok());
  EXPECT_FALSE(AdminSet::make({{"a", "no key"}}).ok());
  EXPECT_FALSE(AdminSet::make({{"a", std::string(base::as_text(crypto::sec1_pem(alice_).reveal()))}}).ok());
  for (const char* text : {"", "[]", "{}", R"({"admins":{}})", R"({"admins":[]})", R"({"admins":[1]})",
                           R"({"admins":[{"id":"a"}]})", R"({"admins":[{"id":1,"pubkey":"x"}]})"}) {
    EXPECT_FALSE(AdminSet::parse(as_bytes(text)).ok()) << text;
  }
  std::vector<std::pair<std::string, std::string>> many;
  for (int i = 0; i < 256; ++i) many.emplace_back(std::to_string(i), pem(alice_));
  EXPECT_FALSE(AdminSet::make(std::move(many)).ok());
}

TEST_F(AdminAuth, SharesAreSignedInEitherWay) {
  const base::Bytes share(33, 5);
  const Admin& alice = *set_.find("alice");
  EXPECT_EQ(verify_share_signature(alice, share, sign_share(alice_, share)), ShareDigest::raw);
  EXPECT_EQ(verify_share_signature(alice, share, sign_share(alice_, share, ShareDigest::sha256)), ShareDigest::sha256);
  EXPECT_EQ(verify_share_signature(*set_.find("carol"), share, carol_.sign(share)), ShareDigest::message);
  EXPECT_EQ(verify_share_signature(*set_.find("bob"), share, sign_share(alice_, share)), std::nullopt);
  EXPECT_EQ(verify_share_signature(*set_.find("carol"), share, sign_share(alice_, share)), std::nullopt);
  EXPECT_EQ(verify_share_signature(alice, share, {}), std::nullopt);
  EXPECT_EQ(verify_share_signature(alice, {}, sign_share(alice_, {})), std::nullopt);
}

// The x byte is outside of a raw signature on P-256, inside of every other: a caller who wants it covered can tell.
TEST_F(AdminAuth, OnlyARawShareSignatureOnP256LeavesTheXByteOut) {
  const base::Bytes share(33, 5);
  base::Bytes moved = share;
  moved.back() = 6;
  const Admin& alice = *set_.find("alice");
  const Admin& bob = *set_.find("bob");
  EXPECT_EQ(verify_share_signature(alice, moved, sign_share(alice_, share)), ShareDigest::raw);
  EXPECT_EQ(verify_share_signature(alice, moved, sign_share(alice_, share, ShareDigest::sha256)), std::nullopt);
  EXPECT_EQ(verify_share_signature(bob, moved, sign_share(bob_, share)), std::nullopt);
  const Admin& dora = *set_.find("dora");
  EXPECT_EQ(verify_share_signature(dora, share, sign_share(dora_, share)), ShareDigest::raw);
  EXPECT_EQ(verify_share_signature(dora, moved, sign_share(dora_, share)), std::nullopt);
  EXPECT_EQ(verify_share_signature(*set_.find("carol"), moved, carol_.sign(share)), std::nullopt);
  moved = share;
  moved[0] ^= 1;
  EXPECT_EQ(verify_share_signature(alice, moved, sign_share(alice_, share)), std::nullopt);
}

}  // namespace
}  // namespace attestry::keys
