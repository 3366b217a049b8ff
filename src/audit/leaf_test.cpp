#include "audit/leaf.h"

#include <gtest/gtest.h>

#include "audit/testing/support.h"

namespace attestry::audit {
namespace {

using base::Code;

Leaf full() {
  Leaf out = testing::leaf_number(1);
  out.appraisal = std::string(64, 'a');
  out.policy = std::string(64, '1');
  out.governance = std::string(64, '2');
  out.epoch = (std::uint64_t{1} << 53) - 1;
  out.outputs = {{"key/p256", std::string(64, '3')}, {"certificate", std::string(64, '4')}};
  return out;
}

TEST(Leaf, RoundTrips) {
  for (const Leaf& leaf : {full(), testing::leaf_number(2)}) {
    const auto bytes = leaf.encode();
    ASSERT_TRUE(bytes.ok()) << bytes.error().text();
    const auto parsed = Leaf::parse(*bytes);
    ASSERT_TRUE(parsed.ok()) << parsed.error().text();
    EXPECT_EQ(*parsed, leaf);
  }
}

TEST(Leaf, HasItsBytesForEver) {
  Leaf leaf;
  leaf.type = "approval";
  leaf.audience = "o";
  leaf.outputs = {{"b", std::string(64, '0')}, {"a", std::string(64, '1')}};
  EXPECT_EQ(*leaf.encode(),
            R"({"app":"","appraisal":"","audience":"o","binding":"","epoch":0,"governance":"","outputs":{"a":")" +
                std::string(64, '1') + R"(","b":")" + std::string(64, '0') +
                R"("},"policy":"","realm":"production","reply":"","tenant":"default","time":"1970-01-01T00:00:00Z",)"
                R"("type":"approval","v":1})");
}

TEST(Leaf, AWrongMemberIsNotWritten) {
  const auto refused = [](auto change) {
    Leaf leaf = full();
    change(leaf);
    const auto bytes = leaf.encode();
    return !bytes.ok() && bytes.error().code == Code::internal;
  };
  EXPECT_TRUE(refused([](Leaf& l) { l.type = ""; }));
  EXPECT_TRUE(refused([](Leaf& l) { l.type = "Release"; }));
  EXPECT_TRUE(refused([](Leaf& l) { l.type = "9release"; }));
  EXPECT_TRUE(refused([](Leaf& l) { l.audience = ""; }));
  EXPECT_TRUE(refused([](Leaf& l) { l.audience = "a b"; }));
  EXPECT_TRUE(refused([](Leaf& l) { l.app = "\u00e9"; }));
  EXPECT_TRUE(refused([](Leaf& l) { l.binding = std::string(127, 'a'); }));
  EXPECT_TRUE(refused([](Leaf& l) { l.binding = std::string(128, 'A'); }));
  EXPECT_TRUE(refused([](Leaf& l) { l.appraisal = "short"; }));
  EXPECT_TRUE(refused([](Leaf& l) { l.policy = std::string(64, 'g'); }));
  EXPECT_TRUE(refused([](Leaf& l) { l.governance = std::string(65, '0'); }));
  EXPECT_TRUE(refused([](Leaf& l) { l.epoch = std::uint64_t{1} << 53; }));
  EXPECT_TRUE(refused([](Leaf& l) { l.outputs["bad label"] = std::string(64, '0'); }));
  EXPECT_TRUE(refused([](Leaf& l) { l.outputs["label"] = "value"; }));
  EXPECT_TRUE(refused([](Leaf& l) {
    for (int i = 0; i < 65; ++i) l.outputs["n" + std::to_string(i)] = std::string(64, '0');
  }));
  EXPECT_TRUE(refused([](Leaf& l) { l.reply = "00"; }));
}

TEST(Leaf, AnyOtherSpellingIsRefused) {
  const std::string good = *full().encode();
  const auto replace = [&good](const std::string& from, const std::string& to) {
    std::string out = good;
    const auto at = out.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return out.replace(at, from.size(), to);
  };
  for (const std::string& bad :
       {std::string("{}"), std::string(), "[" + good + "]", " " + good, good + "\n",
        replace(":\"release\"", ": \"release\""), replace("release", "relea\\u0073e"), replace("\"v\":1", "\"v\":2"),
        replace("\"v\":1", "\"v\":1.0"), replace("\"v\":1", "\"v\":1,\"x\":1"), replace("\"app\"", "\"App\""),
        replace("default", "Default"), replace("simulated", "pretend"), replace("Z\"", "+00:00\""),
        replace("9007199254740991", "9007199254740992"), replace("9007199254740991", "\"1\""),
        replace("\"outputs\":{", "\"outputs\":{\"zz\":1,"),
        replace("\"type\":\"release\"", "\"type\":\"release\",\"type\":\"release\"")}) {
    const auto parsed = Leaf::parse(bad);
    ASSERT_FALSE(parsed.ok()) << bad;
    EXPECT_EQ(parsed.error().code, Code::malformed) << parsed.error().text();
  }
  EXPECT_FALSE(Leaf::parse(std::string(40'000, ' ')).ok());
}

TEST(Commitment, DependsOnKeyLabelAndValue) {
  const auto k = crypto::Secret::copy_of(base::as_bytes("0123456789abcdef0123456789abcdef"));
  const auto other = crypto::Secret::copy_of(base::as_bytes("another"));
  const std::string one = commitment(k, "label", base::as_bytes("value"));
  EXPECT_EQ(one.size(), 64u);
  EXPECT_EQ(one, commitment(k, "label", base::as_bytes("value")));
  EXPECT_NE(one, commitment(other, "label", base::as_bytes("value")));
  EXPECT_NE(one, commitment(k, "labelv", base::as_bytes("alue")));
  EXPECT_NE(one, commitment(k, "label", base::as_bytes("values")));
}

}  // namespace
}  // namespace attestry::audit
