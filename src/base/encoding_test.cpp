#include "base/encoding.h"

#include <gtest/gtest.h>

#include <random>

namespace attestry::base {
namespace {

Bytes all_bytes() {
  Bytes out(256);
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::uint8_t>(i);
  return out;
}

TEST(Hex, WritesLowerCaseAndReadsBothCases) {
  EXPECT_EQ(hex(Bytes{0x00, 0x9f, 0xab}), "009fab");
  EXPECT_EQ(hex({}), "");
  EXPECT_EQ(hex_decode("009FaB").value(), (Bytes{0x00, 0x9f, 0xab}));
  EXPECT_EQ(hex_decode("").value(), Bytes{});
  EXPECT_EQ(hex_decode(hex(all_bytes())).value(), all_bytes());
}

TEST(Hex, RefusesEveryOtherCharacter) {
  for (int c = 0; c < 256; ++c) {
    const bool digit = std::isxdigit(c) != 0;
    EXPECT_EQ(hex_decode(std::string{'0', static_cast<char>(c)}).ok(), digit) << c;
    EXPECT_EQ(hex_decode(std::string{static_cast<char>(c), '0'}).ok(), digit) << c;
  }
}

TEST(Hex, RefusesWrongLengths) {
  EXPECT_FALSE(hex_decode("abc").ok());
  FixedBytes<2> out{};
  EXPECT_TRUE(hex_decode_into("0102", out).ok());
  EXPECT_EQ(out, (FixedBytes<2>{1, 2}));
  for (const char* text : {"", "01", "010", "01020", "010203", "0x01"}) EXPECT_FALSE(hex_decode_into(text, out).ok());
}

TEST(Hex, ErrorNamesTheOffsetAndNotTheText) {
  const auto failed = hex_decode("aabbz0");
  ASSERT_FALSE(failed.ok());
  EXPECT_NE(failed.error().text().find("offset 4"), std::string::npos);
  EXPECT_EQ(failed.error().text().find("aabb"), std::string::npos);
}

// RFC 4648 section 10.
TEST(Base64, HasTheTestVectorsOfTheRfc) {
  const std::pair<const char*, const char*> vectors[] = {{"", ""},
                                                         {"f", "Zg=="},
                                                         {"fo", "Zm8="},
                                                         {"foo", "Zm9v"},
                                                         {"foob", "Zm9vYg=="},
                                                         {"fooba", "Zm9vYmE="},
                                                         {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, encoded] : vectors) {
    EXPECT_EQ(base64(as_bytes(plain)), encoded);
    EXPECT_EQ(as_text(base64_decode(encoded).value()), plain);
    std::string unpadded{encoded};
    std::erase(unpadded, '=');
    EXPECT_EQ(base64url(as_bytes(plain)), unpadded);
    EXPECT_EQ(as_text(base64url_decode(unpadded).value()), plain);
  }
}

TEST(Base64, TheTwoAlphabetsDifferInTwoCharacters) {
  const Bytes bytes{0xfb, 0xff};
  EXPECT_EQ(base64(bytes), "+/8=");
  EXPECT_EQ(base64url(bytes), "-_8");
  EXPECT_FALSE(base64_decode("-_8=").ok());
  EXPECT_FALSE(base64url_decode("+/8").ok());
}

TEST(Base64, RefusesWhatIsNotCanonical) {
  for (const char* text : {"A", "AA", "AAA", "A===", "====", "=", "AA=A", "=AAA", "AAAA=", "AAAA====", "AAA\n", "AA A",
                           " AAAA", "AAAA\n", "AB==", "AAB=", "AA==AAAA", "A=AA"}) {
    EXPECT_FALSE(base64_decode(text).ok()) << text;
  }
  for (const char* text : {"A", "AA==", "AAA=", "AB", "AAB", "AAAAA", "AA\n", " AA", "A.A"}) {
    EXPECT_FALSE(base64url_decode(text).ok()) << text;
  }
  EXPECT_FALSE(base64_decode(std::string_view{"AA\0A", 4}).ok());
  EXPECT_FALSE(base64_decode("AA\xc3\xa9").ok());
}

TEST(Base64, EveryByteStringSurvives) {
  std::mt19937_64 random{1};
  for (std::size_t size = 0; size < 200; ++size) {
    Bytes bytes(size);
    for (auto& b : bytes) b = static_cast<std::uint8_t>(random());
    EXPECT_EQ(base64_decode(base64(bytes)).value(), bytes);
    EXPECT_EQ(base64url_decode(base64url(bytes)).value(), bytes);
    EXPECT_EQ(hex_decode(hex(bytes)).value(), bytes);
  }
}

TEST(Pem, WritesLinesOf64AndReadsThemBack) {
  const std::string text = pem_encode("CERTIFICATE", Bytes(60, 0x5a));
  EXPECT_EQ(text,
            "-----BEGIN CERTIFICATE-----\n"
            "WlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpa\n"
            "WlpaWlpaWlpaWlpa\n"
            "-----END CERTIFICATE-----\n");
  const auto blocks = pem_decode(text);
  ASSERT_TRUE(blocks.ok());
  ASSERT_EQ(blocks->size(), 1u);
  EXPECT_EQ(blocks->front().label, "CERTIFICATE");
  EXPECT_EQ(blocks->front().der, Bytes(60, 0x5a));
}

TEST(Pem, ReadsChainsWithWhiteSpaceCrLfAndATrailingNul) {
  std::string chain = pem_encode("CERTIFICATE", Bytes{1}) + "\n \t" + pem_encode("X509 CRL", Bytes{2});
  chain += '\0';
  const auto blocks = pem_decode(chain);
  ASSERT_TRUE(blocks.ok()) << blocks.error().text();
  ASSERT_EQ(blocks->size(), 2u);
  EXPECT_EQ((*blocks)[1].label, "X509 CRL");
  EXPECT_EQ((*blocks)[1].der, Bytes{2});
  EXPECT_TRUE(pem_decode("-----BEGIN A-----\r\nAAAA\r\nAAAA\r\n-----END A-----\r\n").ok());
  EXPECT_TRUE(pem_decode("-----BEGIN A-----\nAAAA\n-----END A-----").ok());
}

TEST(Pem, RefusesAnythingElse) {
  const std::string good = pem_encode("A", Bytes{1});
  const std::string bad[] = {"",
                             "\n",
                             "text",
                             "text\n" + good,
                             good + "text",
                             good + std::string(2, '\0'),
                             std::string(1, '\0') + good,
                             good + std::string(1, '\0') + good,
                             "-----BEGIN A-----\nAQ==\n-----END B-----\n",
                             "-----BEGIN A-----\nAQ==\n-----END AB-----\n",
                             "-----BEGIN A-----\nAQ==\n-----END A----\n",
                             "-----BEGIN A-----\nAQ==\n",
                             "-----BEGIN A-----\n-----END A-----\n",
                             "-----BEGIN A-----AQ==-----END A-----\n",
                             "-----BEGIN A-----\nAQ==-----END A-----\n",
                             "-----BEGIN A----\nAQ==\n-----END A-----\n",
                             "-----BEGIN -----\nAQ==\n-----END -----\n",
                             "-----BEGIN A --B-----\nAQ==\n-----END A --B-----\n",
                             "-----BEGIN A\x01-----\nAQ==\n-----END A\x01-----\n",
                             "-----BEGIN A-----\nProc-Type: 4,ENCRYPTED\n\nAQ==\n-----END A-----\n",
                             "-----BEGIN A-----\nAQ\n-----END A-----\n",
                             "-----BEGIN A-----\nAR==\n-----END A-----\n",
                             "-----BEGIN A-----\nA*==\n-----END A-----\n"};
  for (const std::string& text : bad) EXPECT_FALSE(pem_decode(text).ok()) << text;
}

TEST(Pem, CountsBlocks) {
  const std::string one = pem_encode("A", Bytes{1});
  EXPECT_TRUE(pem_decode(one + one, 2).ok());
  EXPECT_FALSE(pem_decode(one + one + one, 2).ok());
}

TEST(Percent, DecodesEscapesAndLeavesThePlus) {
  EXPECT_EQ(percent_decode("a%20b+c%0A%2b%C3%a9").value(), "a b+c\n+é");
  EXPECT_EQ(percent_decode("").value(), "");
  EXPECT_EQ(percent_decode("%00").value(), std::string(1, '\0'));
  for (const char* text : {"%", "%2", "a%", "%zz", "%2g", "%%20", "% 20"})
    EXPECT_FALSE(percent_decode(text).ok()) << text;
}

}  // namespace
}  // namespace attestry::base
