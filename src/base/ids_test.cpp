#include "base/ids.h"

#include <gtest/gtest.h>

namespace attestry::base {
namespace {

const std::string kAddressHex = "00112233445566778899aabbccddeeff01234567";

TEST(Tenant, HasItsAlphabetAndLength) {
  EXPECT_EQ(Tenant::standard().text(), "default");
  EXPECT_EQ(Tenant::parse("team-7").value().text(), "team-7");
  EXPECT_TRUE(Tenant::parse(std::string(63, 'a')).ok());
  for (const std::string& text : {std::string{}, std::string(64, 'a'), std::string{"A"}, std::string{"a.b"},
                                  std::string{"a b"}, std::string{"a/b"}, std::string{"é"}, std::string("a\0", 2)}) {
    EXPECT_FALSE(Tenant::parse(text).ok()) << text;
  }
}

TEST(AppRef, EveryKindSurvivesTextAndBytes) {
  const std::string near64(64, 'a');
  for (const std::string& text :
       {std::string{"name:web"}, std::string{"name:a.b_c-9"}, "name:" + std::string(63, 'x'), "evm:1:0x" + kAddressHex,
        "evm:18446744073709551615:0x" + kAddressHex, std::string{"near:app.alice.near"},
        std::string{"near:a1_b-c.near"}, "near:" + near64, "dstack:" + kAddressHex}) {
    const auto app = AppRef::parse(text);
    ASSERT_TRUE(app.ok()) << text << app.error().text();
    EXPECT_EQ(app->text(), text);
    const auto again = AppRef::from_bytes(app->bytes());
    ASSERT_TRUE(again.ok()) << text;
    EXPECT_EQ(*again, *app);
  }
}

TEST(AppRef, HasTheBytesOfTheFormat) {
  EXPECT_EQ(AppRef::parse("web").value().bytes(), (Bytes{1, 'w', 'e', 'b'}));
  EXPECT_EQ(AppRef::parse("web").value(), AppRef::parse("name:web").value());
  const Bytes evm = AppRef::parse("evm:258:0x" + kAddressHex).value().bytes();
  ASSERT_EQ(evm.size(), 29u);
  EXPECT_EQ((Bytes{evm.begin(), evm.begin() + 10}), (Bytes{2, 0, 0, 0, 0, 0, 0, 1, 2, 0x00}));
  EXPECT_EQ(AppRef::parse("near:ab").value().bytes(), (Bytes{3, 'a', 'b'}));
  EXPECT_EQ(AppRef::parse("dstack:" + kAddressHex).value().bytes().size(), 21u);
  EXPECT_EQ(AppRef::parse("dstack:" + kAddressHex).value().kind(), AppRef::Kind::dstack);
}

TEST(AppRef, ReadsAnAddressInEitherCaseAsTheSameApp) {
  EXPECT_EQ(AppRef::parse("evm:1:0x00112233445566778899AABBCCDDEEFF01234567").value(),
            AppRef::parse("evm:1:0x" + kAddressHex).value());
}

TEST(AppRef, RefusesWhatIsNoApp) {
  const std::string bad[] = {"",
                             "name:",
                             "Web",
                             "-web",
                             ".web",
                             "a b",
                             "a/b",
                             "name:a:b",
                             "foo:bar",
                             ":",
                             std::string(64, 'x'),
                             "evm:",
                             "evm:1",
                             "evm:1:",
                             "evm:1:0x",
                             "evm:0:0x" + kAddressHex,
                             "evm:01:0x" + kAddressHex,
                             "evm:-1:0x" + kAddressHex,
                             "evm:+1:0x" + kAddressHex,
                             "evm: 1:0x" + kAddressHex,
                             "evm:18446744073709551616:0x" + kAddressHex,
                             "evm:1:" + kAddressHex,
                             "evm:1:0x" + kAddressHex + "00",
                             "evm:1:0X" + kAddressHex,
                             "evm:1x:0x" + kAddressHex,
                             "near:a",
                             "near:" + std::string(65, 'a'),
                             "near:a..b",
                             "near:.ab",
                             "near:ab.",
                             "near:a-_b",
                             "near:Alice.near",
                             "dstack:",
                             "dstack:0x" + kAddressHex,
                             "dstack:" + kAddressHex.substr(2),
                             "dstack:" + kAddressHex.substr(1) + "g"};
  for (const std::string& text : bad) EXPECT_FALSE(AppRef::parse(text).ok()) << text;
}

TEST(AppRef, RefusesBytesThatItWouldNotWrite) {
  Bytes evm = AppRef::parse("evm:1:0x" + kAddressHex).value().bytes();
  Bytes no_chain = evm;
  no_chain[8] = 0;
  Bytes longer = evm;
  longer.push_back(0);
  evm.pop_back();
  for (const Bytes& bytes : {Bytes{}, Bytes{0}, Bytes{1}, Bytes{1, 'A'}, Bytes{5, 'a'}, Bytes{255}, Bytes{3, 'a'},
                             Bytes(20, 4), Bytes(22, 4), evm, no_chain, longer}) {
    EXPECT_FALSE(AppRef::from_bytes(bytes).ok());
  }
}

TEST(Purpose, ValuesAreFixed) {
  EXPECT_EQ(purpose_from(1).value(), Purpose::instance_release);
  EXPECT_EQ(purpose_from(6).value(), Purpose::channel);
  EXPECT_FALSE(purpose_from(0).ok());
  EXPECT_FALSE(purpose_from(7).ok());
  EXPECT_FALSE(purpose_from(255).ok());
  EXPECT_EQ(to_text(Purpose::instance_release), "instance-release");
  EXPECT_EQ(to_text(Purpose::confidential_key_derivation), "confidential-key-derivation");
}

TEST(Realm, HasTwoNames) {
  EXPECT_EQ(realm_from(to_text(Realm::production)).value(), Realm::production);
  EXPECT_EQ(realm_from(to_text(Realm::simulated)).value(), Realm::simulated);
  for (const char* text : {"", "Production", "test", "simulated "}) EXPECT_FALSE(realm_from(text).ok()) << text;
}

}  // namespace
}  // namespace attestry::base
