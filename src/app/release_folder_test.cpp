#include "app/release_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "state/testing/support.h"

namespace attestry::app {
namespace {

using base::Code;
using ::testing::HasSubstr;

client::ReceivedKey key_of(std::string purpose, std::string algorithm, std::string path, std::string_view value) {
  return {.purpose = std::move(purpose),
          .algorithm = std::move(algorithm),
          .path = std::move(path),
          .private_key = crypto::Secret::copy_of(base::as_bytes(value)),
          .public_key = {}};
}

class ReleaseFolderTest : public ::testing::Test {
 protected:
  void SetUp() override { registered.signing_key_pkcs8 = crypto::Secret::copy_of(base::as_bytes("pkcs8")); }
  void secret(std::string name, std::string_view value) {
    registered.release.secrets.emplace_back(std::move(name), crypto::Secret::copy_of(base::as_bytes(value)));
  }
  std::string text(const std::string& name) const {
    std::ifstream in{out + "/" + name, std::ios::binary};
    return {std::istreambuf_iterator<char>{in}, {}};
  }

  state::testing::TempFolder folder;
  std::string out = folder.file("received");
  client::Registered registered;
};

TEST_F(ReleaseFolderTest, KeysThatDifferOnlyInTheirPathAreDifferentFiles) {
  registered.release.keys.push_back(key_of("app", "p256", "", "zero"));
  registered.release.keys.push_back(key_of("app", "p256", "wallets/1", "one"));
  registered.release.keys.push_back(key_of("app", "p256", "wallets/2", "two"));
  secret("password", "hunter2");
  const auto written = write_release(out, registered);
  ASSERT_TRUE(written.ok()) << written.error().text();
  EXPECT_EQ(text("app.p256.key"), "zero");
  EXPECT_EQ(text(key_file_name("app", "p256", "wallets/1")), "one");
  EXPECT_EQ(text(key_file_name("app", "p256", "wallets/2")), "two");
  EXPECT_EQ(text("secret.password"), "hunter2");
  for (const auto& entry : std::filesystem::directory_iterator{out})
    EXPECT_EQ(entry.status().permissions(), std::filesystem::perms{0600}) << entry.path();
}

TEST_F(ReleaseFolderTest, NamesAreUniqueAndStayInTheFolder) {
  const char* parts[] = {"app", "a.b", "b.c", "a", "c", "b", "secret", "p256", "a.b.c"};
  const char* paths[] = {"", "/", "..", "../../etc/passwd", "a/b", "a.b", "A/B"};
  std::set<std::string> seen;
  std::set<std::string> keys;
  for (const char* purpose : parts) {
    for (const char* algorithm : parts) {
      for (const char* path : paths) {
        const auto name = key_file_name(purpose, algorithm, path);
        EXPECT_EQ(name.find('/'), std::string::npos) << name;
        EXPECT_FALSE(name.starts_with('.')) << name;
        if (keys.insert(std::string{purpose} + "\n" + algorithm + "\n" + path).second) {
          EXPECT_TRUE(seen.insert(name).second) << name << ": " << purpose << " " << algorithm << " " << path;
        }
      }
    }
  }
  EXPECT_LE(key_file_name(std::string(64, 'p'), std::string(64, 'a'), std::string(4096, '/')).size(), 255u);
}

TEST_F(ReleaseFolderTest, TwoThingsOfOneNameAreRefusedBeforeAnythingIsWritten) {
  registered.release.keys.push_back(key_of("app", "p256", "x", "one"));
  registered.release.keys.push_back(key_of("app", "p256", "x", "two"));
  auto written = write_release(out, registered);
  ASSERT_FALSE(written.ok());
  EXPECT_EQ(written.error().code, Code::malformed);
  EXPECT_THAT(written.error().text(), HasSubstr("the same file"));
  EXPECT_FALSE(std::filesystem::exists(out));
  registered.release.keys.clear();
  registered.release.keys.push_back(key_of("secret", "p256", "", "key"));
  secret(key_file_name("secret", "p256", "").substr(7), "a secret of that very name");
  written = write_release(out, registered);
  ASSERT_FALSE(written.ok());
  EXPECT_FALSE(std::filesystem::exists(out));
  registered.release.secrets.clear();
  secret("p256.key", "value");
  EXPECT_TRUE(write_release(out, registered).ok());
  EXPECT_EQ(text("secret.p256.key"), "value");
}

}  // namespace
}  // namespace attestry::app
