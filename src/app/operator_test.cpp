#include "app/operator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/encoding.h"
#include "base/testing/freed_memory.h"
#include "state/testing/support.h"

namespace attestry::app {
namespace {

using base::Code;
using ::testing::HasSubstr;

class OperatorKeyTest : public ::testing::Test {
 protected:
  static std::string text(const std::string& path) {
    std::ifstream in{path, std::ios::binary};
    return {std::istreambuf_iterator<char>{in}, {}};
  }
  void refused(const std::string& taken) {
    const auto made = create_operator_key(taken, random);
    ASSERT_FALSE(made.ok());
    EXPECT_EQ(made.error().code, Code::conflict) << made.error().text();
    EXPECT_THAT(made.error().text(), HasSubstr("exists already"));
  }

  state::testing::TempFolder folder;
  std::string path = folder.file("alice.key");
  crypto::SeededRandom random{base::as_bytes("operator")};
};

TEST_F(OperatorKeyTest, IsReadAgainAndIsTheOwnersOnly) {
  const auto made = create_operator_key(path, random);
  ASSERT_TRUE(made.ok()) << made.error().text();
  const auto read = read_operator_key(path);
  ASSERT_TRUE(read.ok()) << read.error().text();
  EXPECT_EQ(read->public_key(), made->public_key());
  EXPECT_EQ(std::filesystem::status(path).permissions(), std::filesystem::perms{0600});
  EXPECT_FALSE(std::filesystem::exists(path + ".new"));
  std::filesystem::permissions(path, std::filesystem::perms{0640});
  EXPECT_EQ(read_operator_key(path).error().code, Code::configuration);
}

TEST_F(OperatorKeyTest, NothingIsOverwritten) {
  std::ofstream{path} << "another's";
  refused(path);
  EXPECT_EQ(text(path), "another's");
}

TEST_F(OperatorKeyTest, ALinkIsNeitherFollowedNorReplaced) {
  std::filesystem::create_symlink(folder.file("elsewhere"), path);
  refused(path);
  EXPECT_TRUE(std::filesystem::is_symlink(path));
  EXPECT_FALSE(std::filesystem::exists(folder.file("elsewhere")));
}

TEST_F(OperatorKeyTest, AFileBesideItStaysWhatItIs) {
  std::ofstream{path + ".new"} << "another's";
  ASSERT_TRUE(create_operator_key(path, random).ok());
  EXPECT_EQ(text(path + ".new"), "another's");
}

TEST_F(OperatorKeyTest, WhereNoFileCanBeThereIsNoKey) {
  EXPECT_EQ(create_operator_key(folder.file("missing/alice.key"), random).error().code, Code::usage);
  EXPECT_EQ(create_operator_key("", random).error().code, Code::io);
}

TEST_F(OperatorKeyTest, TheSeedIsNotLeftOnTheHeap) {
  // The same generator makes the same seed twice: what to look for is known before.
  crypto::SeededRandom same{base::as_bytes("operator")};
  const std::string seed = base::base64url(crypto::Ed25519PrivateKey::generate(same).seed().reveal());
  const base::testing::FreedMemory freed{std::string_view{seed}.substr(2, 36)};
  ASSERT_TRUE(create_operator_key(path, random).ok());
  ASSERT_TRUE(read_operator_key(path).ok());
  EXPECT_EQ(freed.found(), 0);
}

}  // namespace
}  // namespace attestry::app
