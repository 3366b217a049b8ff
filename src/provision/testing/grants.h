// What contracts have let in, on a store of its own: for tests of the record and of who looks after it.
#pragma once
#include <gtest/gtest.h>

#include <optional>
#include <string_view>
#include <vector>

#include "crypto/hash.h"
#include "governance/testing/support.h"
#include "provision/registry_grants.h"

namespace attestry::provision::testing {

inline const base::Tenant kTenant = base::Tenant::standard();
inline constexpr std::uint64_t kChain = 31337;

inline base::Digest32 digest(std::string_view text) { return crypto::sha256(base::as_bytes(text)); }

inline ContractGrant grant_of(std::uint8_t contract, std::string_view identity = "identity", std::uint64_t block = 10) {
  return {.contract = {contract}, .identity = digest(identity), .operator_address = {0x0a}, .block = block};
}

class GrantsFixture : public ::testing::Test {
 protected:
  void remember(const ContractGrant& grant, std::optional<base::Digest32> appraisal = {}) {
    const auto done = house.store->write_and_wait(
        [&](state::WriteTxn& txn) { return remember_grant(txn, kTenant, grant, appraisal); },
        governance::testing::patient());
    ASSERT_TRUE(done.ok()) << done.error().text();
  }
  std::vector<ContractGrant> grants(std::size_t limit = 100) {
    std::vector<ContractGrant> out;
    base::Bytes after;
    for (;;) {
      const auto view = *house.store->read();
      auto page = *grants_after(*view, kTenant, after, limit);
      out.insert(out.end(), page.grants.begin(), page.grants.end());
      if (page.grants.size() < limit) return out;
      after = page.last;
    }
  }
  std::optional<ContractRevocation> ended(const base::Digest32& appraisal) {
    const auto view = *house.store->read();
    return *revocation_of(*view, kTenant, appraisal);
  }

  governance::testing::House house;
};

}  // namespace attestry::provision::testing
