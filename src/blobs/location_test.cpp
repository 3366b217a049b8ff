#include "blobs/location.h"

#include <gtest/gtest.h>

namespace attestry::blobs {
namespace {

TEST(Location, WhatNoServerCouldOpenIsRefused) {
  for (const char* text : {"not a uri", "ftp://x/y", "store/", "://x", "file//x"}) {
    EXPECT_EQ(read_location(text).error().code, base::Code::malformed) << text;
  }
}

TEST(Location, CredentialsAreSeen) {
  for (const char* text : {"s3://AKIAX:SECRET@bucket/p", "s3://token@bucket/", "s3://bucket/?secret_key=x",
                           "vault://host/secret?token=x", "github://o/r?access_token=x"}) {
    const auto location = read_location(text);
    ASSERT_TRUE(location.ok()) << text << ": " << location.error().text();
    EXPECT_TRUE(location->credentials) << text;
    EXPECT_EQ(location->shown.find("SECRET"), std::string::npos) << text;
  }
  for (const char* text :
       {"s3://bucket/prefix/?region=eu-west-1&anonymous=true", "ipfs://127.0.0.1:5001/", "file:///srv/store/"}) {
    EXPECT_FALSE(read_location(text)->credentials) << text;
  }
}

TEST(Location, RelativeFoldersAreSeen) {
  EXPECT_TRUE(read_location("file://./store/")->relative);
  EXPECT_TRUE(read_location("file://store/x/")->relative);
  EXPECT_FALSE(read_location("file:///srv/store/")->relative);
  EXPECT_FALSE(read_location("s3://store/x/")->relative);
}

}  // namespace
}  // namespace attestry::blobs
