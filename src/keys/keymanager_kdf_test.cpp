#include "keys/keymanager_kdf.h"

#include <gtest/gtest.h>

#include <set>

#include "base/encoding.h"
#include "crypto/hash.h"

namespace attestry::keys {
namespace {

constexpr std::string_view kHost = "10-42-0-7.dstack.svc.cluster.local";

crypto::Secret master(std::size_t size = 32) { return crypto::Secret::copy_of(base::Bytes(size, 0x46)); }

std::string key(std::string_view workload, std::string_view purpose, std::uint32_t epoch, std::size_t length = 32) {
  const auto derived = keymanager_workload_key(master(), workload, purpose, epoch, length);
  return derived ? base::hex(derived->reveal()) : derived.error().text();
}

// docs/formats/keymanager.md; computed with Python's hmac.
TEST(KeyManagerKdf, KnownAnswers) {
  EXPECT_EQ(key(kHost, "sealing", 1), "942cb092350e4cc2dde3a8eb46a409d1ae168d8888b9ad4e5da8e1d72b998c02");
  EXPECT_EQ(key(kHost, "sealing", 2), "3ba2abf6a72293535601d1bb9f3270b882bac7012c9199e3280026b8aa9938c0");
  EXPECT_EQ(key(kHost, "sealing", 1, 64),
            "cf0fdda0668bc2075742022855328a595365c8157a9cd4da624a113aac9d9056"
            "6c912a23a64a38df148916c34b4baebd19d8b37e12d2d9e2b60a11939c873f6c");
  const auto attest = keymanager_attest_key(master(), 1);
  ASSERT_TRUE(attest.ok()) << attest.error().text();
  EXPECT_EQ(base::hex(attest->scalar().reveal()), "d98a7b475416eaa750f811954e19dd4c8f1c66d11720eacb3967e11562b55870");
  EXPECT_EQ(base::hex(curves::ethereum_address(attest->public_key_raw())), "54b551f84367849b7fc9aaad152599a3402e0d9b");
}

TEST(KeyManagerKdf, TheMasterIsNeitherTheSigningKeyNorAnyOther) {
  std::set<std::string> all = {
      base::hex(master().reveal()), base::hex(keymanager_attest_key(master(), 1)->scalar().reveal()),
      base::hex(keymanager_attest_key(master(), 2)->scalar().reveal()), key("a", "attest", 1), key("attest", "a", 1)};
  EXPECT_EQ(all.size(), 5u);
}

TEST(KeyManagerKdf, PairsThatRanTogetherAreToldApart) {
  EXPECT_NE(key("ab", "c", 1), key("a", "bc", 1));
  EXPECT_NE(key("a", "b", 1), key("b", "a", 1));
  EXPECT_NE(key("a", "b", 0x01000000), key("a", "b", 1));
}

TEST(KeyManagerKdf, AShortKeyIsNotTheBeginningOfALongOne) {
  for (const std::size_t length : {16u, 31u, 32u, 63u}) {
    EXPECT_NE(key(kHost, "sealing", 1, 64).substr(0, 2 * length), key(kHost, "sealing", 1, length)) << length;
  }
}

TEST(KeyManagerKdf, EveryMasterHasItsOwn) {
  const auto other = crypto::Secret::copy_of(base::Bytes(32, 0x47));
  EXPECT_NE(base::hex(keymanager_workload_key(other, kHost, "sealing", 1)->reveal()), key(kHost, "sealing", 1));
}

TEST(KeyManagerKdf, WhatIsOutOfRangeIsRefused) {
  EXPECT_TRUE(keymanager_workload_key(master(), std::string(253, 'w'), std::string(64, 'p'), 1).ok());
  for (const std::string& workload : {std::string{}, std::string(254, 'w')}) {
    const auto refused = keymanager_workload_key(master(), workload, "sealing", 1);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().what, "identity of a workload");
  }
  for (const std::string& purpose : {std::string{}, std::string(65, 'p'), std::string("a b"), std::string("a\n"),
                                     std::string("\xc3\xa4"), std::string("a\0", 2)}) {
    const auto refused = keymanager_workload_key(master(), kHost, purpose, 1);
    ASSERT_FALSE(refused.ok()) << purpose;
    EXPECT_EQ(refused.error().what, "purpose of a key");
  }
  for (const std::size_t length : {0u, 15u, 65u}) {
    EXPECT_FALSE(keymanager_workload_key(master(), kHost, "sealing", 1, length).ok()) << length;
  }
}

TEST(KeyManagerKdf, EpochsBeginAtOne) {
  EXPECT_FALSE(keymanager_workload_key(master(), kHost, "sealing", 0).ok());
  EXPECT_FALSE(keymanager_attest_key(master(), 0).ok());
}

TEST(KeyManagerKdf, AMasterHas32Bytes) {
  for (const std::size_t size : {0u, 31u, 33u, 64u}) {
    EXPECT_FALSE(keymanager_workload_key(master(size), kHost, "sealing", 1).ok()) << size;
    EXPECT_FALSE(keymanager_attest_key(master(size), 1).ok()) << size;
  }
}

}  // namespace
}  // namespace attestry::keys
