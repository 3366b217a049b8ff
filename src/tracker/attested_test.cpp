#include "tracker/attested.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/encoding.h"
#include "curves/keccak.h"
#include "curves/secp256k1.h"

namespace attestry::tracker {
namespace {

using base::Code;
using base::UtcTime;

TEST(Payload, IsTheTextOrItsDigest) {
  EXPECT_EQ(base::hex(payload_report_data("hello")).substr(0, 12), "68656c6c6f00");
  const std::string whole(64, 'a');
  EXPECT_EQ(base::as_text(payload_report_data(whole)), whole);
  const auto longer = payload_report_data(whole + "a");
  EXPECT_EQ(base::hex(longer),
            "635361c48bb9eab14198e76ea8ab7f1a41685d6ad62aa9146d301d4f17eb0ae0" + std::string(64, '0'));
}

TEST(Payload, ThatCouldMeanSomethingElseIsNotQuoted) {
  for (const char* good : {"hello", "challenge 7", "0123456789abcdef0123456789abcdef", "registered||bob"}) {
    EXPECT_TRUE(check_quotable(good).ok()) << good;
  }
  for (const std::string& bad :
       {std::string{"register||eve||00"}, std::string{"PBTS-Tracker-v1.0:factory=0"},
        std::string{"dip1::ed25519-pk:AA"}, std::string("a\0", 2), std::string{"line\n"}, std::string{"caf\xc3\xa9"},
        std::string{"0123456789 bcdef0123456789abcdef"}, std::string{"0123456789 bcdef0123456789abc"}}) {
    const auto may = check_quotable(bad);
    ASSERT_FALSE(may.ok()) << bad;
    EXPECT_EQ(may.error().code, Code::malformed);
  }
}

TEST(Payload, OfARegistrationNamesUserInstanceKeyAndNonce) {
  EXPECT_EQ(registration_payload("al||ice", InstanceId{}, base::Bytes{0xff}, base::Bytes{1, 2}),
            "register||al||ice||" + std::string(64, '0') + "||/w==||0102");
}

TEST(Quotes, LoseTheZerosBehindThem) {
  for (const unsigned version : {3U, 4U, 5U}) {
    base::Bytes quote(48, 0x11);
    quote[0] = static_cast<std::uint8_t>(version);
    quote[1] = 0;
    std::fill(quote.begin() + 4, quote.begin() + 8, std::uint8_t{0});
    if (version > 3) quote[4] = 0x81;
    const std::size_t body = version == 3 ? 384 : 584;
    if (version == 5) base::append(quote, base::Bytes{2, 0, 0x48, 2, 0, 0});
    base::append(quote, base::Bytes(body, 0x22));
    base::append(quote, base::Bytes{3, 0, 0, 0, 1, 0, 0});
    auto padded = quote;
    base::append(padded, base::Bytes(70));
    cut_padding(padded);
    EXPECT_EQ(padded, quote) << version;
    padded.push_back(1);
    const auto other = padded;
    cut_padding(padded);
    EXPECT_EQ(padded, other) << version;
    padded.resize(100);
    cut_padding(padded);
    EXPECT_EQ(padded.size(), 100U) << version;
  }
}

TEST(StatusNames, AreThoseOfTheDocuments) {
  EXPECT_EQ(status_name("UpToDate"), "OK");
  EXPECT_EQ(status_name("OutOfDateConfigurationNeeded"), "OUT_OF_DATE_CONFIGURATION_NEEDED");
  EXPECT_EQ(status_name("Whatever"), "UNSPECIFIED");
}

TEST(RegistrationNonces, AreGoodOnceAndForFiveMinutes) {
  RegistrationNonces nonces{crypto::system_random()};
  const UtcTime start{.seconds = 1'700'000'000};
  const auto nonce = nonces.issue(start);
  EXPECT_NE(nonce, nonces.issue(start));
  EXPECT_TRUE(nonces.check(nonce, start + 299).ok());
  EXPECT_EQ(nonces.check(nonce, start + 300).error().code, Code::challenge_expired);
  auto forged = nonce;
  forged[7] = static_cast<std::uint8_t>(forged[7] + 100);  // a later end
  EXPECT_EQ(nonces.spend(forged, start).error().code, Code::malformed);
  EXPECT_EQ(nonces.spend(base::ByteView{nonce}.first(39), start).error().code, Code::malformed);
  EXPECT_TRUE(nonces.spend(nonce, start + 10).ok());
  EXPECT_EQ(nonces.spend(nonce, start + 10).error().code, Code::replayed);
  EXPECT_EQ(nonces.check(nonce, start + 299).error().code, Code::replayed);
  // What is forgotten has ended.
  EXPECT_TRUE(nonces.spend(nonces.issue(start + 400), start + 400).ok());
  EXPECT_EQ(nonces.check(nonce, start + 400).error().code, Code::challenge_expired);
  RegistrationNonces others{crypto::system_random()};
  EXPECT_EQ(others.check(nonces.issue(start), start).error().code, Code::malformed);
}

/// The keys of the agent's simulator, version 0.5.3: the same app key gives the same keys and signatures.
TEST(MemberKeys, AreThoseOfTheGuestAgent) {
  const auto app = *base::hex_decode("e0e5d254fb944dcc370a2e5288b336a1e809871545a73ee645368957fefa31f9");
  const auto source = local_key_source(crypto::Secret::copy_of(app));
  const auto made = derive_member_key(source, std::string(32, '0'));
  ASSERT_TRUE(made.ok()) << made.error().text();
  EXPECT_EQ(made->path, "pbts/bls/" + std::string(32, '0'));
  EXPECT_EQ(base::hex(made->key.big_endian().reveal()),
            "3f8770fa96601672f73f74d30a4bd1d6d8a1a22bee1b39bac637352b92b995fe");
  EXPECT_EQ(base::hex(made->key.public_key().encoded()).substr(0, 32), "a1b1f8e66414f6d714bf294475426eb5");
  EXPECT_EQ(base::hex(made->derived), "030424e159cbb5d63b48c1ac309d9bb1aec42be9cb1bacc90a27d9d979c457a051");
  ASSERT_EQ(made->signature_chain.size(), 1U);
  EXPECT_EQ(
      base::hex(made->signature_chain[0]),
      "a5ae6488c959526752ae01c20d1cc1c2cdb2de31e01aa6ac9c02ad4c8499fa96556df0006e7966494515f8be1c9b5f1e75dcd6d96a7308"
      "fa7d3c39e4012f343d00");
}

TEST(MemberKeys, NeedASaltOfTheSet) {
  const auto source = local_key_source(crypto::system_random().secret(32));
  EXPECT_TRUE(derive_member_key(source, "Al.ice_7:x@y-z").ok());
  for (const std::string& bad : {std::string{}, std::string{"a/b"}, std::string{"a b"}, std::string(129, 'a')}) {
    EXPECT_EQ(derive_member_key(source, bad).error().code, Code::malformed) << bad;
  }
}

}  // namespace
}  // namespace attestry::tracker
