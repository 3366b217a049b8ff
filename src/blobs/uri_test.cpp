#include "blobs/internal/uri.h"

#include <gtest/gtest.h>

#include "base/encoding.h"
#include "blobs/internal/s3_xml.h"
#include "blobs/internal/sigv4.h"
#include "blobs/internal/vault_secret.h"

namespace attestry::blobs {
namespace {

TEST(Uri, IsTakenApart) {
  const auto uri = parse_uri("S3://KEY:a%2Fb%40c@Bucket:8443/some%20path/x?region=eu&flag=yes&empty#ignored");
  ASSERT_TRUE(uri) << uri.error().text();
  EXPECT_EQ(uri->scheme, "s3");
  EXPECT_EQ(uri->user, "KEY");
  EXPECT_EQ(uri->password, "a/b@c");
  EXPECT_EQ(uri->host, "Bucket");
  EXPECT_EQ(uri->port, "8443");
  EXPECT_EQ(uri->path, "/some path/x");
  EXPECT_EQ(uri->parameter("region"), "eu");
  EXPECT_EQ(uri->parameter("empty"), "");
  EXPECT_TRUE(uri->flag("flag"));
  EXPECT_FALSE(uri->flag("region"));
  EXPECT_FALSE(uri->parameter("absent"));
  EXPECT_EQ(uri->shown(), "s3://Bucket:8443/some%20path/x?region=eu");
}

TEST(Uri, KnowsIpv6) {
  const auto uri = parse_uri("ipfs://[::1]:5001/");
  ASSERT_TRUE(uri);
  EXPECT_EQ(uri->host, "::1");
  EXPECT_EQ(uri->authority(), "[::1]:5001");
}

TEST(Uri, RefusesWhatIsNone) {
  for (const char* text : {"", "no-scheme", "://x", "1s://x", "s3:/x", "s3://h:port/", "s3://h:0/", "s3://h:65536/",
                           "s3://a b/", "s3://h/%zz", "s3://[::1/", "s3://[::1]x/", "s3://h/%00", "s3://h/\n"}) {
    EXPECT_FALSE(parse_uri(text)) << text;
  }
  EXPECT_FALSE(parse_uri("s3://" + std::string(5000, 'x')));
}

TEST(Uri, ReadsDurations) {
  EXPECT_EQ(parse_duration_ms("30s").value(), 30'000);
  EXPECT_EQ(parse_duration_ms("1m30s").value(), 90'000);
  EXPECT_EQ(parse_duration_ms("250ms").value(), 250);
  EXPECT_EQ(parse_duration_ms("7").value(), 7000);
  for (const char* text : {"", "s", "-1s", "5x", "25h", "1s2", "99999999999999999999s"}) {
    EXPECT_FALSE(parse_duration_ms(text)) << text;
  }
}

/// The example of AWS's documentation, "GET Object" with its well-known keys, in the form that this program signs:
/// other headers are signed there, so the expected value was computed once from the specification.
TEST(SigV4, SortsAndEncodesTheQuery) {
  EXPECT_EQ(canonical_query({{"prefix", "a/b c"}, {"list-type", "2"}, {"delimiter", "/"}}),
            "delimiter=%2F&list-type=2&prefix=a%2Fb%20c");
}

TEST(S3Xml, FindsCodesAndKeys) {
  EXPECT_EQ(s3_error_code("<Error><Code>NoSuchKey</Code></Error>"), "NoSuchKey");
  EXPECT_EQ(s3_error_code("<html>"), "");
  const auto listing = parse_s3_listing(
      "<ListBucketResult xmlns=\"x\"><Contents><Key>a&amp;b&#x41;</Key></Contents><Contents><Key>c</Key></Contents>"
      "<IsTruncated>true</IsTruncated><NextContinuationToken>t&lt;</NextContinuationToken></ListBucketResult>");
  ASSERT_TRUE(listing);
  EXPECT_EQ(listing->keys, (std::vector<std::string>{"a&bA", "c"}));
  EXPECT_EQ(listing->next, "t<");
  EXPECT_FALSE(parse_s3_listing("<html>"));
  EXPECT_FALSE(parse_s3_listing("<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>"));
  EXPECT_FALSE(parse_s3_listing("<ListBucketResult><Key>&bogus;</Key></ListBucketResult>"));
}

TEST(VaultSecret, IsSafeForBytes) {
  const base::Bytes bytes{0, 0xff, 0xfe, '"', '\\'};
  const auto document = vault_document(bytes);
  EXPECT_EQ(document.find("\"content\""), std::string::npos) << "no text form of what is no text";
  EXPECT_EQ(vault_content(R"({"data":)" + document + "}").value(), bytes);
  EXPECT_EQ(vault_content(R"({"data":{"data":{"content":"a\nb"}}})").value(), base::to_bytes("a\nb"));
  EXPECT_EQ(vault_content(R"({"data":{"data":{"content_base64":"!!","content":"x"}}})").value(), base::to_bytes("x"));
  for (const char* bad :
       {"", "{}", R"({"data":{}})", R"({"data":{"data":null}})", R"({"data":{"data":{"content":1}}})"}) {
    EXPECT_FALSE(vault_content(bad)) << bad;
  }
}

}  // namespace
}  // namespace attestry::blobs
