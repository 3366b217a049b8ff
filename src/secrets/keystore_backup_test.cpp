#include "secrets/keystore_backup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/encoding.h"
#include "secrets/keystore_bundle.h"

namespace attestry::secrets {
namespace {

using base::Code;

class KeystoreBackupTest : public ::testing::Test {
 protected:
  static crypto::Secret secret(std::uint8_t byte) { return crypto::Secret::copy_of(base::Bytes(32, byte)); }
  static KeystoreBundle bundle() {
    KeystoreBundle out;
    out.current = 3;
    out.oldest = 2;
    out.source = "imported";
    out.masters.push_back({.vault = {}, .epoch = 2, .since = {100}, .master = secret(2)});
    out.masters.push_back({.vault = {}, .epoch = 3, .since = {200}, .master = secret(3)});
    out.masters.push_back({.vault = "acme.near", .epoch = 3, .since = {}, .master = secret(4)});
    out.v0_seed = secret(9);
    out.bans.push_back({"bad.near", "stolen", {300}});
    return out;
  }
  KeystoreBackupTest() {
    std::vector<std::pair<std::string, std::string>> pems;
    for (const char* id : {"alice", "bob", "carol"}) {
      keys_.push_back(crypto::EcPrivateKey::generate(crypto::Curve::p256, crypto::system_random()));
      pems.emplace_back(id, base::pem_encode("PUBLIC KEY", keys_.back().public_key().spki()));
    }
    admins_.emplace(*keys::AdminSet::make(pems));
  }
  KeystoreBackup make(unsigned threshold = 2) {
    auto out = make_backup(bundle(), {"simulated", "log.example", {1'800'000'000}, {"aa", "bb"}}, *admins_, threshold,
                           crypto::system_random());
    EXPECT_TRUE(out.ok()) << out.error().text();
    return std::move(*out);
  }
  std::vector<crypto::Secret> shares(const KeystoreBackup& backup, std::initializer_list<std::size_t> who) {
    std::vector<crypto::Secret> out;
    for (const auto i : who) out.push_back(std::move(*open_backup_share(backup, backup.shares[i].admin, keys_[i])));
    return out;
  }
  std::vector<crypto::EcPrivateKey> keys_;
  std::optional<keys::AdminSet> admins_;
};

TEST_F(KeystoreBackupTest, TwoOfThreeOpenItFromItsFile) {
  const auto backup = *parse_backup(backup_json(make()));
  for (const auto& who : {std::initializer_list<std::size_t>{0, 1}, {2, 0}, {1, 2}, {0, 1, 2}}) {
    const auto opened = open_backup(backup, shares(backup, who));
    ASSERT_TRUE(opened.ok()) << opened.error().text();
    EXPECT_TRUE(base::equal(encode_bundle(*opened).reveal(), encode_bundle(bundle()).reveal()));
  }
}

TEST_F(KeystoreBackupTest, TheMasterOfWalletsIsInIt) {
  auto with = bundle();
  with.wallets_epoch = 1;
  with.wallets = secret(8);
  const auto bytes = encode_bundle(with);
  EXPECT_EQ(bytes.reveal()[0], 2) << "who does not know of it cannot drop it";
  EXPECT_EQ(encode_bundle(bundle()).reveal()[0], 1);
  const auto read = *decode_bundle(bytes.reveal());
  EXPECT_EQ(read.wallets_epoch, 1U);
  EXPECT_TRUE(base::equal(read.wallets.reveal(), secret(8).reveal()));
  EXPECT_EQ(read.masters.size(), with.masters.size());
  auto none = base::to_bytes(bytes.reveal());
  none.at(12) = 0;
  EXPECT_EQ(decode_bundle(none).error().code, Code::malformed) << "wallets of no epoch";
}

TEST_F(KeystoreBackupTest, OneOpensNothingNotEvenTwice) {
  const auto backup = make();
  EXPECT_EQ(open_backup(backup, shares(backup, {0})).error().code, Code::denied);
  EXPECT_EQ(open_backup(backup, shares(backup, {0, 0})).error().code, Code::denied);
  EXPECT_EQ(open_backup(backup, {}).error().code, Code::denied);
}

TEST_F(KeystoreBackupTest, SharesOfAnotherBackupAreNamed) {
  const auto backup = make();
  const auto other = make();
  auto mixed = shares(backup, {0});
  mixed.push_back(std::move(shares(other, {1})[0]));
  const auto said = open_backup(backup, mixed);
  EXPECT_EQ(said.error().code, Code::wrong_key);
  EXPECT_THAT(said.error().text(), ::testing::HasSubstr("share 2"));
}

TEST_F(KeystoreBackupTest, AnotherAdminsKeyOpensNoShare) {
  const auto backup = make();
  EXPECT_EQ(open_backup_share(backup, "alice", keys_[1]).error().code, Code::wrong_key);
  EXPECT_EQ(open_backup_share(backup, "mallory", keys_[1]).error().code, Code::not_found);
}

TEST_F(KeystoreBackupTest, WhatIsAlteredDoesNotOpen) {
  const auto backup = make();
  const auto both = shares(backup, {0, 1});
  auto altered = backup;
  altered.sealed.back() ^= 1;
  EXPECT_EQ(open_backup(altered, both).error().code, Code::corrupt);
  altered = backup;
  altered.origin = "another.example";
  EXPECT_EQ(open_backup(altered, both).error().code, Code::corrupt);
  altered = backup;
  altered.key_ids[0] = "cc";
  EXPECT_EQ(open_backup(altered, both).error().code, Code::corrupt);
  altered = make(3);
  altered.threshold = 2;  // as who wants to need fewer would write
  EXPECT_EQ(open_backup(altered, shares(altered, {0, 1})).error().code, Code::corrupt);
}

TEST_F(KeystoreBackupTest, AThresholdIsAtLeastTwoAndAtMostAllOfThem) {
  for (const unsigned wrong : {0U, 1U, 4U}) {
    EXPECT_EQ(make_backup(bundle(), {}, *admins_, wrong, crypto::system_random()).error().code, Code::usage) << wrong;
  }
}

TEST_F(KeystoreBackupTest, TheFileShowsNoMaster) {
  const auto json = backup_json(make());
  EXPECT_EQ(json.find(base::base64(base::Bytes(30, 2))), std::string::npos);
  EXPECT_EQ(json.find(base::hex(base::Bytes(32, 2))), std::string::npos);
}

TEST_F(KeystoreBackupTest, OnlyWholeBundlesAreRead) {
  const auto bytes = encode_bundle(bundle());
  ASSERT_TRUE(decode_bundle(bytes.reveal()).ok());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    ASSERT_FALSE(decode_bundle(bytes.reveal().first(size)).ok()) << size;
  }
  auto longer = base::to_bytes(bytes.reveal());
  longer.push_back(0);
  EXPECT_FALSE(decode_bundle(longer).ok());
}

}  // namespace
}  // namespace attestry::secrets
