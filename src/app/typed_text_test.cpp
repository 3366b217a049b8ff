#include "app/typed_text.h"

#include <gtest/gtest.h>

#include <string>

namespace attestry::app {
namespace {

TEST(TypedAddress, OneMistypedDigitIsFound) {
  const auto good = typed_address("0x70997970C51812dc3A010C7d01b50e0d17dc79C8");
  ASSERT_TRUE(good.ok()) << good.error().text();
  const auto bad = typed_address("0x70997970C51812dc3A010C7d01b50e0d17dc79C9");
  ASSERT_FALSE(bad.ok());
  EXPECT_EQ(bad.error().code, base::Code::usage);
}

TEST(TypedAddress, DigitsOfOneCaseHaveNoChecksum) {
  EXPECT_TRUE(typed_address("0x70997970c51812dc3a010c7d01b50e0d17dc79c9").ok());
  EXPECT_TRUE(typed_address("70997970C51812DC3A010C7D01B50E0D17DC79C9").ok());
  EXPECT_TRUE(typed_address("0x0000000000000000000000000000000000000000").ok());
}

TEST(TypedAddress, NonsenseIsNone) {
  for (const char* text : {"", "0x", "0x7099", "7099797oc51812dc3a010c7d01b50e0d17dc79c9"}) {
    EXPECT_FALSE(typed_address(text).ok()) << text;
  }
}

TEST(DomainName, NamesAndPorts) {
  for (const char* text :
       {"app.example.org", "localhost", "a-b.example:8443", "3com.example", "xn--bcher-kva.example"}) {
    EXPECT_TRUE(check_domain_name(text).ok()) << text;
  }
  for (const char* text : {"", "bad domain name!!", "-a.example", "a-.example", "a..b", ".a", "a.", "a.example:0",
                           "a.example:", "a.example:65536", "a.example:80:80", "*.example", "192.0.2.1", "a_b.example",
                           "https://a.example", "a.example/x"}) {
    EXPECT_FALSE(check_domain_name(text).ok()) << text;
  }
  EXPECT_FALSE(check_domain_name(std::string(64, 'a') + ".example").ok());
}

}  // namespace
}  // namespace attestry::app
