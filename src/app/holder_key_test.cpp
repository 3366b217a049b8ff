#include "app/holder_key.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <string>

#include "state/testing/support.h"

namespace attestry::app {
namespace {

using base::Code;

class HolderKey : public ::testing::Test {
 protected:
  std::string written(const std::string& text) {
    const std::string path = folder_.file("written");
    std::ofstream{path} << text;
    return path;
  }
  state::testing::TempFolder folder_;
};

TEST_F(HolderKey, IsReadAsItWasMadeAndOverwritesNothing) {
  const std::string path = folder_.file("holder.key");
  const auto made = create_holder_key(path, crypto::system_random());
  ASSERT_TRUE(made.ok()) << made.error().text();
  const auto read = read_holder_key(path);
  ASSERT_TRUE(read.ok()) << read.error().text();
  EXPECT_EQ(read->public_key, made->public_key);
  EXPECT_TRUE(std::ranges::equal(read->private_key.reveal(), made->private_key.reveal()));
  struct stat status{};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  EXPECT_EQ(create_holder_key(path, crypto::system_random()).error().code, Code::conflict);
}

TEST_F(HolderKey, OfADevelopmentVersionHasNoHeader) {
  const std::string digits(64, '4');
  EXPECT_TRUE(read_holder_key(written(digits + "\r\n")).ok());
  EXPECT_EQ(read_holder_key(written(digits))->public_key,
            read_holder_key(written(std::string{kHolderKeyHeader} + digits + "\n"))->public_key);
}

TEST_F(HolderKey, WhatIsNoneIsRefusedWithoutSayingWhatItHolds) {
  EXPECT_EQ(read_holder_key(folder_.file("nothing")).error().code, Code::not_found);
  const std::string digits(63, '5');
  for (const std::string& text : {std::string{}, digits, digits + "g", digits + "55", std::string(200, '5')}) {
    const auto read = read_holder_key(written(text));
    ASSERT_FALSE(read.ok()) << text;
    EXPECT_EQ(read.error().code, Code::configuration);
    EXPECT_EQ(read.error().text().find("555"), std::string::npos) << read.error().text();
  }
}

TEST(NotAPublicKey, SaysNothingOfAPrivateOne) {
  for (const char* text : {"attestry-holder-key-1 5555", "-----BEGIN PRIVATE KEY-----", "ed25519:5555"})
    EXPECT_EQ(not_a_public_key(text), "a private key: keep it away from here");
  EXPECT_EQ(not_a_public_key("5555"), "4 characters that are none");
}

}  // namespace
}  // namespace attestry::app
