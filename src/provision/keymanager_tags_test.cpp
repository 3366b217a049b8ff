#include "provision/keymanager_tags.h"

#include <gtest/gtest.h>

#include <string>

namespace attestry::provision {
namespace {

using base::Code;

const base::Bytes k32(32, 7);

std::string said(const base::Status& status) {
  if (status) return "yes";
  EXPECT_EQ(status.error().code, Code::denied);
  return status.error().what;
}

TEST(KeyManagerTags, AreTheirWorkloadsOwn) {
  for (const char* own : {"web", "web/", "web/tls", "web/a/b", "web//"})
    EXPECT_EQ(said(check_tag("web", own, {})), "yes");
  for (const char* other : {"", "we", "webs", "web.", "webserver", "Web", " web", "web2/x", "/web", "other/web"}) {
    EXPECT_EQ(said(check_tag("web", other, {})), "the tag belongs to another workload") << other;
    EXPECT_EQ(said(check_tag("web", other, {.bare = true})), "the tag belongs to another workload") << other;
    EXPECT_EQ(said(check_tag("web", other, {.any = true})), "yes");
    EXPECT_EQ(said(check_signed_tag("web", other, k32, {})), "the tag belongs to another workload") << other;
    EXPECT_EQ(said(check_signed_tag("web", other, k32, {.any = true})), "yes");
  }
}

TEST(KeyManagerTags, WhatIsSignedSaysWhoseItIs) {
  EXPECT_EQ(said(check_signed_tag("web", "web/x", {}, {})), "yes");
  EXPECT_EQ(said(check_signed_tag("web", "web/x", k32, {.bare = true})), "yes");
  const std::string alone = "a signature for the name alone could be read as another workload's";
  EXPECT_EQ(said(check_signed_tag("web", "web", k32, {})), alone);
  EXPECT_EQ(said(check_signed_tag("web", "web", k32, {.bare = true})), "yes");
  for (const std::size_t size : {0u, 6u, 31u, 33u}) {
    EXPECT_EQ(said(check_signed_tag("web", "web", base::Bytes(size, 's'), {.bare = true})),
              "for the tag that is a workload's name 32 bytes are signed");
  }
}

TEST(KeyManagerTags, EpochsAreNumbersFromOne) {
  EXPECT_EQ(*parse_keymanager_epoch({}), 0U);
  EXPECT_EQ(*parse_keymanager_epoch("1"), 1U);
  EXPECT_EQ(*parse_keymanager_epoch("4294967295"), 4294967295U);
  for (const char* bad : {"", "0", "00", "-1", "+1", " 1", "1 ", "1.0", "1e3", "0x1", "4294967296", "99999999999", "x"})
    EXPECT_EQ(parse_keymanager_epoch(bad).error().code, Code::malformed) << bad;
}

}  // namespace
}  // namespace attestry::provision
