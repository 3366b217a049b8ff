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
  EXPECT_EQ(key(kHost, "sealing", 1), "464c2fe42fde968836ef0b71b63e95211965f55bd0550bd8a1b4862aedec78c0");
  EXPECT_EQ(key(kHost, "sealing", 2), "3bdf5a3e287a05525f9dc909cfafc46e8739dbf97e2b640317bf9b992bb36587");
  EXPECT_EQ(key(kHost, "sealing", 1, 64),
            "464c2fe42fde968836ef0b71b63e95211965f55bd0550bd8a1b4862aedec78c0"
            "bd17729a382f0c39f797ccd6883d6f3b3b8ab5a62248c75ed474f4cfabf9823b");
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
