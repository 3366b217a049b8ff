#include "secrets/transit.h"

#include <gmock/gmock.h>

#include "governance/testing/support.h"

namespace attestry::secrets {
namespace {

using base::Code;
using governance::testing::House;
using governance::testing::kTime;
using governance::testing::patient;

class TransitTest : public ::testing::Test {
 protected:
  void SetUp() override {
    mount = {.path = "transit", .engine = Engine::transit};
    space.mounts = {mount};
    make(TransitType::aes256_gcm96);
  }
  void make(TransitType type) {
    key = {};
    key.name = "k";
    key.type = type;
    rotate();
  }
  void rotate() { ASSERT_TRUE(key.add(key.make_version(kTime, random)).ok()); }
  /// What was queued is in the store behind it.
  void flush() {
    ASSERT_TRUE(house.store->write_and_wait([](state::WriteTxn&) { return base::done(); }, patient()).ok());
  }
  TransitPlace place() const { return {space, mount, "k"}; }

  House house;
  crypto::SeededRandom random{base::as_bytes("transit")};
  SecretStore secrets{*house.store, crypto::Secret::copy_of(base::Bytes(32, 1)), random};
  Transit transit{secrets, *house.store};
  Namespace space{};
  Mount mount{};
  TransitKey key{};
};

TEST_F(TransitTest, AKeyEncryptsAsManyMessagesAsItsNoncesAllow) {
  EXPECT_TRUE(transit.count(place(), key, 0, kMostMessages - 1).ok());
  EXPECT_TRUE(transit.count(place(), key, 0, 1).ok());
  EXPECT_EQ(transit.count(place(), key, 0, 1).error().code, Code::too_large);
  EXPECT_EQ(transit.count(place(), key, 1, 1).error().code, Code::too_large);
  rotate();
  EXPECT_TRUE(transit.count(place(), key, 0, 1).ok());
  EXPECT_EQ(transit.count(place(), key, 1, 1).error().code, Code::too_large);
}

TEST_F(TransitTest, WhatWasCountedIsStoredInLargeSteps) {
  EXPECT_TRUE(transit.count(place(), key, 0, kMostMessages - kCountedAtOnce).ok());
  EXPECT_TRUE(transit.count(place(), key, 0, kCountedAtOnce - 1).ok());  // not stored
  flush();
  const Transit again{secrets, *house.store};
  EXPECT_TRUE(again.count(place(), key, 0, kCountedAtOnce).ok());
  EXPECT_EQ(again.count(place(), key, 0, 1).error().code, Code::too_large);
}

TEST_F(TransitTest, AKeyThatIsMadeAgainBeginsAnew) {
  ASSERT_TRUE(
      house.store->write_and_wait([&](state::WriteTxn& txn) { return transit.put(txn, place(), key); }, patient())
          .ok());
  EXPECT_TRUE(transit.count(place(), key, 0, kMostMessages).ok());
  flush();
  ASSERT_TRUE(
      house.store->write_and_wait([&](state::WriteTxn& txn) { return transit.erase(txn, place()); }, patient()).ok());
  make(TransitType::aes256_gcm96);
  EXPECT_TRUE((Transit{secrets, *house.store}.count(place(), key, 0, 1).ok()));
}

TEST_F(TransitTest, OnlyKeysWithRandomNoncesAreCounted) {
  for (const auto type : {TransitType::ed25519, TransitType::hmac}) {
    make(type);
    EXPECT_TRUE(transit.count(place(), key, 0, kMostMessages + 1).ok());
  }
  make(TransitType::chacha20_poly1305);
  EXPECT_FALSE(transit.count(place(), key, 0, kMostMessages + 1).ok());
  key.derived = true;
  EXPECT_TRUE(transit.count(place(), key, 0, kMostMessages + 1).ok());
}

TEST_F(TransitTest, RecordsOfTheFirstFormAreRead) {
  make(TransitType::ecdsa_p256);
  auto first = key.encode();
  first[0] = 1;
  const auto text = key.versions.front().public_text;
  first.resize(first.size() - 4 - text.size());
  const auto read = TransitKey::decode("k", first);
  ASSERT_TRUE(read.ok()) << read.error().text();
  EXPECT_TRUE(read->versions.front().public_text.empty());
  EXPECT_EQ(read->public_key(read->versions.front()), text);
}

}  // namespace
}  // namespace attestry::secrets
