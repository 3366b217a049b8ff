#include "provision/keymanager_identity.h"

#include <gtest/gtest.h>

namespace attestry::provision {
namespace {

std::string found(const KeyManagerSources& sources, std::string_view address) {
  const auto* name = sources.find(address);
  return name == nullptr ? "" : *name;
}

TEST(KeyManagerSources, TheNarrowestNetworkCounts) {
  KeyManagerSources sources;
  for (const auto* text : {"10.0.0.0/8=all", "10.42.0.7=web", "10.42.0.0/20=some", "fd00::/9=six", "::1=loop"}) {
    ASSERT_TRUE(sources.add(text).ok()) << text;
  }
  EXPECT_EQ(found(sources, "10.42.0.7:40022"), "web");
  EXPECT_EQ(found(sources, "10.42.0.8:1"), "some");
  EXPECT_EQ(found(sources, "10.42.15.255:1"), "some");
  EXPECT_EQ(found(sources, "10.42.16.0:1"), "all");
  EXPECT_EQ(found(sources, "[::ffff:10.42.0.7]:1"), "web");
  EXPECT_EQ(found(sources, "[fd7f::1]:1"), "six");
  EXPECT_EQ(found(sources, "[fd80::1]:1"), "");
  EXPECT_EQ(found(sources, "[::1]:1"), "loop");
  EXPECT_EQ(found(sources, "11.0.0.1:1"), "");
  EXPECT_EQ(found(sources, "unix"), "");
  EXPECT_EQ(found(sources, "unknown"), "");
}

TEST(KeyManagerSources, OneNetworkHasOneWorkload) {
  KeyManagerSources sources;
  ASSERT_TRUE(sources.add("10.0.0.1/8=one").ok());
  EXPECT_EQ(sources.add("10.9.9.9/8=two").error().code, base::Code::conflict);
  EXPECT_TRUE(sources.add("10.9.9.9/9=two").ok());
}

TEST(KeyManagerSources, NothingElseIsASource) {
  KeyManagerSources sources;
  for (const auto* text :
       {"", "=web", "10.0.0.1", "10.0.0.1=", "10.0.0=web", "10.0.0.1/33=web", "::1/129=web", "10.0.0.1/=web",
        "10.0.0.1/-1=web", "10.0.0.1/8x=web", "web=10.0.0.1", "10.0.0.1=we b", "10.0.0.1=a/b"}) {
    EXPECT_EQ(sources.add(text).error().code, base::Code::malformed) << text;
  }
  EXPECT_TRUE(sources.empty());
}

TEST(KeyManagerProcesses, AreKnownByTheirUser) {
  KeyManagerProcesses processes;
  ASSERT_TRUE(processes.add("1000=web").ok());
  EXPECT_EQ(*processes.find(1000, {}), "web");
  EXPECT_EQ(processes.find(1001, {}), nullptr);
  EXPECT_EQ(processes.add("1000=batch").error().code, base::Code::conflict);
  for (const auto* text : {"", "1000", "x=web", "4294967296=web", "-1=web", "1000=", "1000=un known", "gid:=web",
                           "gid:x=web", "uid:1=a"}) {
    EXPECT_EQ(processes.add(text).error().code, base::Code::malformed) << text;
  }
}

TEST(KeyManagerProcesses, AreKnownByTheirGroupWhereTheirUserSaysNothing) {
  KeyManagerProcesses processes;
  ASSERT_TRUE(processes.add("1000=web").ok());
  ASSERT_TRUE(processes.add("gid:1000=batch").ok()) << "a group is no user";
  EXPECT_EQ(*processes.find(1000, 1000), "web");
  EXPECT_EQ(*processes.find(1001, 1000), "batch");
  EXPECT_EQ(processes.find(1001, 1001), nullptr);
  EXPECT_EQ(processes.find(1001, {}), nullptr);
  EXPECT_EQ(processes.add("gid:1000=other").error().code, base::Code::conflict);
}

TEST(KeyManagerNames, OfWhichOneBeginsWithAnotherAreToldApartFromOthers) {
  const auto apart = [](const std::vector<const char*>& names) {
    KeyManagerIdentityOptions options;
    std::uint32_t user = 1;
    for (const auto* name : names) EXPECT_TRUE(options.processes.add(std::to_string(user++) + "=" + name).ok());
    return check_names_apart(options).ok();
  };
  EXPECT_TRUE(apart({"web", "app", "web"}));
  EXPECT_FALSE(apart({"web", "webserver"}));
  EXPECT_FALSE(apart({"a.b", "a", "z"}));
  EXPECT_FALSE(apart({"a", "a-b", "a.b"})) << "another name between them does not hide it";
}

TEST(KeyManagerWorkload, NamesThatSayMoreThanANameAreRefused) {
  for (const auto* name : {"unknown", "attest", "dstack-keymanager"}) {
    EXPECT_EQ(check_workload_name(name).error().code, base::Code::denied) << name;
  }
  EXPECT_FALSE(check_workload_name("").ok());
  EXPECT_FALSE(check_workload_name(std::string(254, 'a')).ok());
  EXPECT_TRUE(check_workload_name(std::string(253, 'a')).ok());
  EXPECT_TRUE(check_workload_name("10-42-0-7.dstack.svc.cluster.local").ok());
}

}  // namespace
}  // namespace attestry::provision
