#include "app/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "state/testing/support.h"

namespace attestry::app {
namespace {

using base::Code;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class SettingsTest : public ::testing::Test {
 protected:
  base::Result<Settings> load(const std::string& toml = {}) const {
    std::string path;
    if (!toml.empty()) {
      path = folder.file("attestry.toml");
      std::ofstream{path} << toml;
    }
    return Settings::load(path, flags, environment);
  }
  void refused(const base::Result<Settings>& result, std::string_view reason, std::string_view remedy = {}) const {
    ASSERT_FALSE(result.ok()) << "expected: " << reason;
    EXPECT_EQ(result.error().code, Code::configuration);
    EXPECT_THAT(result.error().text(), HasSubstr(std::string{reason}));
    EXPECT_THAT(result.error().remedy, HasSubstr(std::string{remedy}));
  }

  state::testing::TempFolder folder;
  std::map<std::string, std::string> flags;
  Settings::Environment environment;
};

TEST_F(SettingsTest, FlagsWinOverEnvironmentOverFileOverDefault) {
  const std::string toml = "# comment\n[server]\nlisten = \"file:1\"\n";
  EXPECT_EQ(load()->text("server.listen"), "127.0.0.1:8443");
  EXPECT_EQ(load()->origin("server.listen"), "default");
  EXPECT_EQ(load(toml)->text("server.listen"), "file:1");
  EXPECT_EQ(load(toml)->origin("server.listen"), folder.file("attestry.toml") + ":3");
  environment["ATTESTRY_SERVER_LISTEN"] = "env:1";
  EXPECT_EQ(load(toml)->text("server.listen"), "env:1");
  EXPECT_EQ(load(toml)->origin("server.listen"), "environment ATTESTRY_SERVER_LISTEN");
  flags["server.listen"] = "flag:1";
  EXPECT_EQ(load(toml)->text("server.listen"), "flag:1");
  EXPECT_EQ(load(toml)->origin("server.listen"), "flag");
}

TEST_F(SettingsTest, TomlTypesAreRead) {
  const auto settings =
      load("[server]\nworkers = 7\n[collateral]\noffline = true\nfiles = [\"a\", \"b\"]\n[log]\nlevel = \"debug\"\n");
  ASSERT_TRUE(settings.ok()) << settings.error().text();
  EXPECT_EQ(settings->integer("server.workers", 0, 10).value(), 7);
  EXPECT_TRUE(settings->boolean("collateral.offline").value());
  EXPECT_THAT(settings->list("collateral.files"), ElementsAre("a", "b"));
  EXPECT_EQ(settings->text("log.level"), "debug");
}

TEST_F(SettingsTest, UnknownNamesAreErrorsWithASuggestion) {
  refused(load("[server]\nlissten = \"x\"\n"), ":2: unknown setting server.lissten", "Did you mean server.listen?");
  refused(load("[sever]\nlisten = \"x\"\n"), "unknown setting sever.listen", "Did you mean server.listen?");
  refused(load("listen = \"x\"\n"), ":1: unknown setting listen");
  flags["server.lisen"] = "x";
  refused(load(), "flag: unknown setting server.lisen", "Did you mean server.listen?");
}

TEST_F(SettingsTest, UnknownVariablesAreErrorsWithASuggestion) {
  for (const auto& [name, near] : {std::pair{"ATTESTRY_SERVER_LISEN", "ATTESTRY_SERVER_LISTEN"},
                                   {"ATTESTRY_SEVER_LISTEN", "ATTESTRY_SERVER_LISTEN"},
                                   {"ATTESTRY_COLLATERAL_OFLINE", "ATTESTRY_COLLATERAL_OFFLINE"},
                                   {"ATTESTRY_SERVER_LISTEN_PORT", "ATTESTRY_SERVER_LISTEN"},
                                   {"ATTESTRY_NOTHING_OF_THE_KIND_AT_ALL", "ATTESTRY_SERVER_LISTEN"},
                                   {"ATTESTRY_", ""}}) {
    environment = {{name, "x"}};
    refused(load(), std::string{"environment: unknown variable "} + name, near);
  }
  environment = {{"ATTESTRY_SERVER_LISTEN", "a"}, {"PATH", "b"}, {"attestry_server_lisen", "c"}, {"XATTESTRY_A", "d"}};
  EXPECT_EQ(load()->text("server.listen"), "a");
}

TEST_F(SettingsTest, VariablesOfFlagsAndOfServiceLinksAreNoSettings) {
  environment = {{"ATTESTRY_CONFIG", "x"},
                 {"ATTESTRY_OPERATOR_KEY", "x"},
                 {"ATTESTRY_SHARED", "x"},
                 {"ATTESTRY_VAULT", "x"},
                 {"ATTESTRY_FUZZ_SECONDS", "75"},
                 {"ATTESTRY_SERVICE_HOST", "10.0.0.1"},
                 {"ATTESTRY_ADMIN_SERVICE_PORT_HTTPS", "8444"},
                 {"ATTESTRY_PORT", "tcp://10.0.0.1:8443"},
                 {"ATTESTRY_PORT_8443_TCP_ADDR", "10.0.0.1"}};
  EXPECT_TRUE(load().ok()) << load().error().text();
  environment = {{"ATTESTRY_PORT", "8443"}};
  refused(load(), "unknown variable ATTESTRY_PORT");
}

TEST_F(SettingsTest, TheProcessGivesItsOwnVariables) {
  ASSERT_EQ(::setenv("ATTESTRY_SERVER_LISTEN", "a=b", 1), 0);
  const auto found = process_environment();
  ::unsetenv("ATTESTRY_SERVER_LISTEN");
  EXPECT_EQ(found.at("ATTESTRY_SERVER_LISTEN"), "a=b");
  EXPECT_FALSE(found.contains("PATH"));
}

TEST_F(SettingsTest, WhatTheFileCannotSayIsRefusedWithItsLine) {
  refused(load("[server]\nlisten = \n"), "attestry.toml:2");
  refused(load("[server]\nlisten = 1.5\n"), ":2: neither text");
  refused(load("[server]\nlisten = [1, 2]\n"), "list may hold strings only");
  refused(load("[server.listen]\nx = 1\n"), "neither text");
  refused(Settings::load(folder.file("missing.toml"), {}, {}), "missing.toml");
}

TEST_F(SettingsTest, ValuesAreCheckedWhereTheyAreUsedAndNamePlaceAndRange) {
  environment["ATTESTRY_SERVER_WORKERS"] = "many";
  environment["ATTESTRY_COLLATERAL_OFFLINE"] = "yes";
  const auto settings = load();
  ASSERT_TRUE(settings.ok());
  const auto workers = settings->integer("server.workers", 0, 10);
  ASSERT_FALSE(workers.ok());
  EXPECT_EQ(workers.error().code, Code::configuration);
  EXPECT_THAT(workers.error().text(), HasSubstr("server.workers (environment ATTESTRY_SERVER_WORKERS)"));
  EXPECT_THAT(workers.error().text(), HasSubstr("0 to 10"));
  const auto offline = settings->boolean("collateral.offline");
  ASSERT_FALSE(offline.ok());
  EXPECT_THAT(offline.error().text(), HasSubstr("true or false"));
  for (const char* bad : {"", " 1", "1 ", "0x1", "11", "-1", "99999999999999999999"}) {
    environment["ATTESTRY_SERVER_WORKERS"] = bad;
    EXPECT_FALSE(load()->integer("server.workers", 0, 10).ok()) << bad;
  }
  environment["ATTESTRY_SERVER_WORKERS"] = "10";
  EXPECT_EQ(load()->integer("server.workers", 0, 10).value(), 10);
}

TEST_F(SettingsTest, ListsSkipEmptyEntries) {
  EXPECT_THAT(load()->list("collateral.files"), IsEmpty());
  flags["collateral.files"] = ",a,,b,";
  EXPECT_THAT(load()->list("collateral.files"), ElementsAre("a", "b"));
}

TEST_F(SettingsTest, EveryDefaultIsListedOnceAndHasAHelpText) {
  std::map<std::string_view, int> seen;
  for (const auto& info : setting_infos()) {
    EXPECT_EQ(++seen[info.name], 1) << info.name;
    EXPECT_FALSE(info.help.empty()) << info.name;
    EXPECT_EQ(load()->text(info.name), info.default_value);
  }
}

}  // namespace
}  // namespace attestry::app
