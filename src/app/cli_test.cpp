#include "app/cli.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "attestation/catalogue.h"
#include "base/encoding.h"
#include "base/json.h"

namespace attestry::app {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

struct Ran {
  int code;
  std::string out;
  std::string err;
};

Ran run_with(const std::vector<std::string>& arguments, const std::string& input = {}) {
  std::istringstream in(input);
  std::ostringstream out;
  std::ostringstream err;
  Context context{.clock = base::system_clock(), .in = in, .out = out, .err = err};
  const int code = run(arguments, context);
  return {code, out.str(), err.str()};
}

std::string member(const std::string& json, std::string_view key) {
  const auto document = base::JsonDocument::parse(json);
  if (!document.ok()) return "no JSON: " + document.error().text();
  const auto value = (*document)->root().find(key);
  return value ? std::string{value->source()} : "absent";
}

std::string root_cause(const std::string& json) {
  const auto document = base::JsonDocument::parse(json);
  if (!document.ok()) return "no JSON: " + document.error().text();
  const auto id = (*document)->root().find("root_cause")->find("id");
  return id ? *id->string("id") : "none";
}

/// A file that is gone after the test.
class TestFile {
 public:
  TestFile(const std::string& name, std::string_view text)
      : path_(std::filesystem::path(::testing::TempDir()) / ("attestry_cli_" + name)) {
    std::ofstream(path_, std::ios::binary) << text;
    std::filesystem::permissions(path_, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  }
  ~TestFile() { std::filesystem::remove(path_); }
  TestFile(const TestFile&) = delete;
  TestFile& operator=(const TestFile&) = delete;
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

/// The header of a TDX v4 quote and nothing behind it.
std::string cut_quote() {
  std::string bytes("\x04\x00\x02\x00\x81\x00\x00\x00", 8);
  bytes.resize(12, '\0');
  const auto vendor = base::hex_decode("939a7233f79c4ca9940a0db3957f0607");
  bytes += base::as_text(*vendor);
  bytes.resize(48, '\0');
  return bytes;
}

TEST(CommandLine, WithoutACommandShowsTheHelpAndIsWrongUse) {
  const Ran ran = run_with({});
  EXPECT_EQ(ran.code, kExitUsage);
  EXPECT_THAT(ran.err, HasSubstr("verify"));
  EXPECT_THAT(ran.err, HasSubstr("Exit codes"));
}

TEST(CommandLine, GuessesAMistypedCommand) {
  const Ran ran = run_with({"verfy", "quote.bin"});
  EXPECT_EQ(ran.code, kExitUsage);
  EXPECT_THAT(ran.err, HasSubstr("Did you mean verify?"));
}

TEST(CommandLine, HelpIsNoError) {
  EXPECT_EQ(run_with({"--help"}).code, kExitOk);
  const Ran ran = run_with({"verify", "--help"});
  EXPECT_EQ(ran.code, kExitOk);
  EXPECT_THAT(ran.out, HasSubstr("--collateral"));
}

TEST(CommandLine, VersionNamesTheCatalogueToo) {
  EXPECT_THAT(run_with({"version"}).out, HasSubstr(std::string{attestation::kCatalogueVersion}));
  EXPECT_EQ(member(run_with({"version", "--format", "json"}).out, "catalogue"),
            "\"" + std::string{attestation::kCatalogueVersion} + "\"");
}

TEST(ChecksCommand, ListsEveryCheckAndExplainsOne) {
  const std::string list = run_with({"checks"}).out;
  for (const attestation::CheckInfo& check : attestation::catalogue()) {
    EXPECT_THAT(list, HasSubstr(std::string{check.id}));
    const Ran shown = run_with({"checks", "show", std::string{check.id}});
    EXPECT_EQ(shown.code, kExitOk) << check.id;
    EXPECT_THAT(shown.out, HasSubstr(std::string{check.remedy}));
  }
  const Ran json = run_with({"checks", "--format", "json"});
  const auto document = base::JsonDocument::parse(json.out);
  ASSERT_TRUE(document.ok());
  EXPECT_EQ((*document)->root().find("checks")->size(), attestation::catalogue().size());
}

TEST(ChecksCommand, GuessesAMistypedId) {
  const Ran ran = run_with({"checks", "show", "dcap.tcb.levl"});
  EXPECT_EQ(ran.code, kExitUsage);
  EXPECT_THAT(ran.err, HasSubstr("dcap.tcb.level"));
  EXPECT_EQ(ran.out, "");
}

TEST(VerifyCommand, MalformedEvidenceIsARefusalWithARootCauseNotAnError) {
  const std::vector<std::pair<std::string, std::string>> cases{{"", "evidence.size"},
                                                               {"hello, this is no quote at all", "evidence.format"},
                                                               {cut_quote(), "dcap.quote.structure"}};
  for (const auto& [bytes, id] : cases) {
    const Ran ran = run_with({"verify", "-", "--offline", "--format", "json"}, bytes);
    EXPECT_EQ(ran.code, kExitRefused) << id;
    EXPECT_EQ(root_cause(ran.out), id);
    EXPECT_EQ(member(ran.out, "verdict"), "\"refused\"");
    EXPECT_EQ(ran.err, "");
  }
}

TEST(VerifyCommand, TooMuchEvidenceIsCutAndRefused) {
  const Ran ran = run_with({"verify", "-", "--format", "json"}, std::string((1u << 20) + 5000, 'x'));
  EXPECT_EQ(ran.code, kExitRefused);
  EXPECT_EQ(root_cause(ran.out), "evidence.size");
}

TEST(VerifyCommand, ReadsAFileAndJudgesAsOfTheGivenTime) {
  const TestFile quote("quote.bin", cut_quote());
  const Ran ran = run_with({"verify", quote.path(), "--at", "2025-06-20T00:00:00Z", "--format", "json"});
  EXPECT_EQ(member(ran.out, "at"), "\"2025-06-20T00:00:00Z\"");
  EXPECT_EQ(ran.code, kExitRefused);
}

TEST(VerifyCommand, TakesOneValuePerFlagSoThatEvidenceMayStandLast) {
  const TestFile quote("last.bin", cut_quote());
  const TestFile a("a.json", "{}");
  const TestFile b("b.json", "{}");
  const Ran ran = run_with({"verify", "--collateral", a.path(), "--collateral", b.path(), quote.path()});
  EXPECT_EQ(ran.code, kExitRefused);
  EXPECT_THAT(ran.out, StartsWith("REFUSED"));
}

TEST(VerifyCommand, WrongUseIsAnErrorBeforeAnyVerdict) {
  const TestFile quote("usage.bin", cut_quote());
  const TestFile policy("policy.json", R"({"format":1,"migrateable":true})");
  const TestFile trust("trust.pem", "no certificate");
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"verify"},
                                             {"verify", "/nowhere/quote.bin"},
                                             {"verify", quote.path(), "--at", "yesterday"},
                                             {"verify", quote.path(), "--report-data", "zz"},
                                             {"verify", quote.path(), "--report-data", ""},
                                             {"verify", quote.path(), "--policy", "/nowhere/policy.json"},
                                             {"verify", quote.path(), "--policy", policy.path()},
                                             {"verify", quote.path(), "--trust", trust.path()},
                                             {"verify", quote.path(), "--format", "yaml"},
                                             {"verify", quote.path(), "--frobnicate"}}) {
    const Ran ran = run_with(arguments);
    EXPECT_EQ(ran.code, kExitUsage) << arguments.back();
    EXPECT_EQ(ran.out, "") << arguments.back();
    EXPECT_NE(ran.err, "") << arguments.back();
  }
}

TEST(VerifyCommand, WithoutCollateralTheAnswerIsUndecidedAndAServiceThatIsAwayIsNamed) {
  const auto folder = std::filesystem::path(::testing::TempDir()) / "attestry_cli_forged";
  std::filesystem::remove_all(folder);
  ASSERT_EQ(run_with({"forge", "--out", folder.string()}).code, kExitOk);
  const std::string quote = (folder / "quote.bin").string();
  const std::string root = (folder / "root.pem").string();
  EXPECT_EQ(run_with({"verify", folder.string(), "--trust", root}).code, kExitOk);
  EXPECT_EQ(run_with({"verify", quote, "--trust", root}).code, kExitUndecided);
  const Ran mistyped = run_with({"verify", quote, "--trust", root, "--collateral", "/nowhere"});
  EXPECT_EQ(mistyped.code, kExitUsage);
  EXPECT_THAT(mistyped.err, HasSubstr("no such file or folder"));
  const Ran away = run_with({"verify", quote, "--trust", root, "--pcs", "http://127.0.0.1:1", "--format", "json"});
  EXPECT_EQ(away.code, kExitUndecided);
  EXPECT_EQ(member(away.out, "evidence"), "\"undecided\"");
  EXPECT_THAT(away.out, HasSubstr("http://127.0.0.1:1"));
  const Ran offline = run_with({"verify", quote, "--trust", root, "--pcs", "http://127.0.0.1:1", "--offline"});
  EXPECT_EQ(offline.code, kExitUndecided);
  EXPECT_THAT(offline.out, Not(HasSubstr("127.0.0.1")));
  std::filesystem::remove_all(folder);
}

TEST(VerifyCommand, ColoursOnlyATerminal) { EXPECT_THAT(run_with({"verify", "-"}).out, Not(HasSubstr("\x1b"))); }

TEST(Nearest, FindsASlipAndNothingElse) {
  EXPECT_EQ(nearest("verfy", {"version", "verify"}), "verify");
  EXPECT_EQ(nearest("zzzzzzzz", {"version", "verify"}), "");
}

TEST(CommandLine, AWordThatIsNoCommandOfAGroupIsNamedWithAGuess) {
  const Ran wrong = run_with({"node", "joni", "127.0.0.1:9447"});
  EXPECT_EQ(wrong.code, kExitUsage);
  EXPECT_THAT(wrong.err, HasSubstr("there is no command node joni"));
  EXPECT_THAT(wrong.err, HasSubstr("Did you mean node join?"));
  const Ran help = run_with({"vault", "--help"});
  EXPECT_EQ(help.code, kExitUsage) << "a script must not believe that it exists";
  EXPECT_EQ(run_with({"node", "join", "--help"}).code, kExitOk);
  const Ran flag = run_with({"node", "status", "--fromat", "json"});
  EXPECT_EQ(flag.code, kExitUsage);
  EXPECT_THAT(flag.err, HasSubstr("attestry node status has no --fromat"));
  EXPECT_THAT(flag.err, HasSubstr("Did you mean --format?"));
}

TEST(CommandLine, APublicKeyIsPrintedAgainAndAPrivateOneIsTakenForNone) {
  const TestFile operators("shown.key", ""), holders("shown.holder", "");
  std::filesystem::remove(operators.path());
  std::filesystem::remove(holders.path());
  const Ran one = run_with({"operator", "keygen", operators.path()});
  ASSERT_EQ(one.code, kExitOk) << one.err;
  EXPECT_EQ(run_with({"operator", "show", operators.path()}).out, one.out);
  const Ran two = run_with({"node", "holder-key", holders.path()});
  ASSERT_EQ(two.code, kExitOk) << two.err;
  EXPECT_EQ(run_with({"operator", "show", holders.path()}).out, two.out);

  std::string secret;
  std::getline(std::ifstream{holders.path()} >> std::ws, secret);
  const Ran given = run_with({"node", "holders", "--holder", "0:" + secret, "--key", operators.path(), "--out", "x"});
  EXPECT_EQ(given.code, kExitUsage);
  EXPECT_THAT(given.err, HasSubstr("a private key"));
  EXPECT_THAT(given.err, Not(HasSubstr(secret.substr(secret.size() - 64))));
}

TEST(CommandLine, AFileThatIsTakenForAnotherIsNamedAndNotShown) {
  const TestFile pem("alice.pem", "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ\n-----END PRIVATE KEY-----\n");
  const auto is_named = [&](const std::vector<std::string>& arguments) {
    const Ran ran = run_with(arguments);
    EXPECT_NE(ran.code, kExitOk);
    EXPECT_THAT(ran.err, HasSubstr("alice.pem"));
    EXPECT_THAT(ran.err, Not(HasSubstr("MC4CAQ")));
    EXPECT_THAT(ran.err, Not(HasSubstr("BEGIN")));
    return ran.err;
  };
  EXPECT_THAT(is_named({"node", "export", "--holders", pem.path(), "--holder", std::string(64, 'a'), "--out", "x"}),
              HasSubstr("what `attestry node holders --out FILE` wrote"));
  is_named({"operator", "show", pem.path()});
  is_named({"secret", "encrypt", pem.path(), "--repo", "github.com/a/b", "--owner", "a.near", "--pubkey", "00"});
  is_named({"secret", "decrypt", pem.path(), "--repo", "github.com/a/b", "--owner", "a.near", "--key", pem.path()});
}

TEST(CommandLine, ASecretThatDoesNotOpenSaysWhatItWasTriedAs) {
  const TestFile vars("vars", "KEY=value\n"), master("master", std::string(64, '1')), blob("blob", "");
  std::filesystem::permissions(master.path(), std::filesystem::perms{0600});
  const Ran made =
      run_with({"secret", "encrypt", vars.path(), "--repo", "github.com/a/b", "--branch", "main", "--owner",
                "alice.near", "--pubkey", "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"});
  ASSERT_EQ(made.code, kExitOk) << made.err;
  std::ofstream{blob.path()} << made.out;
  const Ran other = run_with({"secret", "decrypt", blob.path(), "--repo", "github.com/a/b", "--branch", "dev",
                              "--owner", "alice.near", "--key", master.path()});
  EXPECT_EQ(other.code, kExitUsage);
  EXPECT_THAT(other.err, HasSubstr("--branch"));
  EXPECT_THAT(other.err, HasSubstr("github.com/a/b:alice.near:dev"));
  EXPECT_THAT(other.err, Not(HasSubstr("/pubkey")));
}

TEST(CommandLine, AServerThatIsNotReachedSaysWhereItWasLookedFor) {
  const Ran ran = run_with({"node", "status", "--server", "http://127.0.0.1:1"});
  EXPECT_EQ(ran.code, kExitUndecided);
  EXPECT_THAT(ran.err, HasSubstr("http://127.0.0.1:1 its operators' listener?"));
}

TEST(CommandLine, ANodesFolderHasNoSettingThatCannotWork) {
  const auto folder = std::filesystem::path(::testing::TempDir()) / "attestry_cli_node";
  std::filesystem::remove_all(folder);
  const auto init = [&](const std::string& key, const std::string& dialect) {
    return run_with({"node", "init", folder.string(), "--id", "0", "--operator", key, "--attestation",
                     "http://127.0.0.1:8500", "--servers", "name:s", "--server-dialects", dialect, "--unlock",
                     "file:root.key"});
  };
  const std::string key(64, 'a');
  EXPECT_THAT(init(key, "registy").err, HasSubstr("registry and keystore"));
  const Ran shown = init("attestry-operator-key-1 c2VjcmV0", "registry");
  EXPECT_THAT(shown.err, HasSubstr("a private key"));
  EXPECT_THAT(shown.err, Not(HasSubstr("c2VjcmV0")));
  EXPECT_THAT(shown.err, Not(HasSubstr("at least one key"))) << "one mistake is said once";
  ASSERT_FALSE(std::filesystem::exists(folder));
  const Ran made = init(key, "registry");
  ASSERT_EQ(made.code, kExitOk) << made.err;
  std::ifstream in{folder / "node.toml"};
  const std::string text{std::istreambuf_iterator<char>{in}, {}};
  EXPECT_THAT(text, HasSubstr("file:" + std::filesystem::absolute("root.key").string()));
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace attestry::app
