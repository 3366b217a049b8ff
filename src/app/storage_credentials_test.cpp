#include "app/storage_credentials.h"

#include <gtest/gtest.h>

#include "base/encoding.h"

namespace attestry::app {
namespace {

constexpr std::string_view kMine = "0x0123456789abcdef0123456789abcdef01234567";
const curves::Address kApp = curves::parse_address(kMine).value();
const curves::Address kOther = curves::parse_address("0x1123456789abcdef0123456789abcdef01234567").value();

base::Result<StorageCredentials> parsed(const std::string& text) {
  return StorageCredentials::parse(crypto::Secret::copy_of(base::as_bytes(text)));
}

blobs::StoreContext context() { return {.tenant = base::Tenant::standard(), .app = *base::AppRef::parse("name:a")}; }

const std::string kFile = "# of the two apps\n\n" + std::string{kMine} + "  s3://bucket/p/\tKEY sec/ret\r\n" +
                          std::string{kMine} + " github://owner/repo ghp_1";

TEST(StorageCredentials, BelongToOneUriOfOneApp) {
  const auto all = parsed(kFile);
  ASSERT_TRUE(all.ok()) << all.error().text();
  auto store = context();
  all->give(kApp, "s3://bucket/p/", store);
  ASSERT_TRUE(store.s3);
  EXPECT_EQ(store.s3->access_key, "KEY");
  EXPECT_EQ(base::as_text(store.s3->secret_key.reveal()), "sec/ret");
  EXPECT_TRUE(store.github_token.empty());
  all->give(kApp, "github://owner/repo", store);
  EXPECT_FALSE(store.s3) << "what was for the place before is gone";
  EXPECT_EQ(base::as_text(store.github_token.reveal()), "ghp_1");
  for (const auto& [contract, uri] :
       {std::pair{kOther, "github://owner/repo"}, std::pair{kOther, "s3://bucket/p/"}, std::pair{kApp, "s3://bucket/"},
        std::pair{kApp, "s3://bucket/p/?endpoint=https://e"}, std::pair{kApp, "github://owner/repo/"}}) {
    all->give(contract, uri, store);
    EXPECT_FALSE(store.s3) << uri;
    EXPECT_TRUE(store.github_token.empty()) << uri;
  }
}

TEST(StorageCredentials, MistakesAreNamedByTheirLineAndNotShown) {
  const std::string app{kMine};
  for (const std::string& line :
       {app + " s3://b", app + " s3://b canary", app + " s3://b KEY canary more", app + " github://o/r canary more",
        app + " vault://v/m canary", std::string{"0x12 s3://b KEY canary"}, app + " s3://user:canary@b KEY canary",
        app + " s3://b/?anonymous=true KEY canary", app + " s3://bucket/p/ KEY canary\n" + kFile}) {
    const auto bad = parsed("# first\n" + line);
    ASSERT_FALSE(bad.ok()) << line;
    EXPECT_TRUE(bad.error().what.starts_with("line ")) << bad.error().text();
    EXPECT_EQ(bad.error().text().find("canary"), std::string::npos) << bad.error().text();
  }
  EXPECT_TRUE(parsed("# first\nx y z").error().what.starts_with("line 2: "));
}

}  // namespace
}  // namespace attestry::app
