#include "secrets/namespaces.h"

#include <gmock/gmock.h>

#include <set>

#include "governance/testing/support.h"

namespace attestry::secrets {
namespace {

using base::Code;
using governance::Action;
using governance::testing::House;
using governance::testing::patient;

class NamespacesTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(Namespaces::open(*house.store, patient()).ok()); }

  base::Status write(state::Store::Closure closure) {
    return house.store->write_and_wait(std::move(closure), patient());
  }
  base::Status create(const std::string& path, std::string_view tenant = {}, Quotas quotas = {}) {
    Namespace space{.path = path, .id = 7, .tenant = *tenant_of_namespace(path), .quotas = quotas};
    if (!tenant.empty()) space.tenant = *base::Tenant::parse(tenant);
    return write([&](state::WriteTxn& txn) { return Namespaces::create(txn, space, tenant.empty()); });
  }
  base::Status use(const std::string& path, Usage more) {
    return write([&](state::WriteTxn& txn) -> base::Status {
      TRY(const auto space, Namespaces::stored(txn, path));
      TRY(const auto before, Namespaces::usage(txn, path));
      const Usage after{before.secrets + more.secrets, before.versions + more.versions, before.bytes + more.bytes};
      return Namespaces::change_usage(txn, space, before, after);
    });
  }
  std::uint64_t bytes_of(const std::string& path) { return Namespaces::usage(**house.store->read(), path)->bytes; }

  House house;
};

TEST_F(NamespacesTest, NoTwoPathsHaveOneTenant) {
  const std::string long_one(64, 'a');
  std::set<std::string> tenants;
  const std::string paths[] = {"a-b", "a/b", "A-b", "a_b", "a.b", long_one, long_one + "/a", long_one + "/b"};
  for (const auto& path : paths) tenants.insert(tenant_of_namespace(path)->text());
  EXPECT_EQ(tenants.size(), std::size(paths));
  EXPECT_EQ(tenant_of_namespace("a-b")->text(), "a-b");
}

TEST_F(NamespacesTest, ATenantWithAppsIsGivenByNameOnly) {
  house.add_operator("alice", *base::Tenant::parse("shop"));
  const auto app = governance::testing::app_named("name:web");
  house.approve(app, Action::app_create, app.text(), *base::Tenant::parse("shop"));
  EXPECT_EQ(create("shop").error().code, Code::conflict);
  EXPECT_TRUE(create("of-shop", "shop").ok());
  EXPECT_TRUE(create("other").ok());
  EXPECT_EQ(create("default").error().code, Code::conflict);
}

TEST_F(NamespacesTest, WhatIsUsedBelowCountsAbove) {
  ASSERT_TRUE(create("team", {}, {.bytes = 100}).ok());
  ASSERT_TRUE(create("team/web").ok());
  ASSERT_TRUE(create("team/web/deep").ok());
  EXPECT_TRUE(use("team/web/deep", {.secrets = 1, .versions = 1, .bytes = 60}).ok());
  EXPECT_TRUE(use("team/web", {.bytes = 30}).ok());
  EXPECT_EQ(bytes_of("team"), 90u);
  EXPECT_EQ(bytes_of("team/web"), 90u);
  EXPECT_EQ(use("team/web/deep", {.bytes = 11}).error().code, Code::too_large);
  EXPECT_EQ(bytes_of("team/web/deep"), 60u);
  EXPECT_EQ(bytes_of("team"), 90u);
  EXPECT_TRUE(use("team/web/deep", {.bytes = 10}).ok());
  EXPECT_EQ(bytes_of(""), 0u);  // the root has no quotas
}

TEST_F(NamespacesTest, OneTenantMakesAsManyAsItMay) {
  ASSERT_TRUE(create("team").ok());
  for (std::size_t i = 1; i < kMaxNamespacesBelow; ++i) ASSERT_TRUE(create("team/" + std::to_string(i)).ok());
  EXPECT_EQ(create("team/more").error().code, Code::too_large);
  EXPECT_TRUE(create("other").ok());
}

TEST_F(NamespacesTest, RecordsOfTheFirstFormAreRead) {
  const Namespace space{.path = "team", .quotas = {.bytes = 9}, .mounts = {{.path = "kv"}}};
  auto first = encode_namespace(space);
  first[0] = 1;
  first.resize(first.size() - 8);
  const auto read = decode_namespace(first, "team");
  ASSERT_TRUE(read.ok()) << read.error().text();
  EXPECT_EQ(*read, space);
}

}  // namespace
}  // namespace attestry::secrets
