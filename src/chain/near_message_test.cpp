#include "chain/near_message.h"

#include <gtest/gtest.h>

#include "base/encoding.h"
#include "chain/near_transaction.h"

namespace attestry::chain::near {
namespace {

using base::Bytes;
using base::Code;

Message update_of_alice() {
  Message out{.message = "Update Outlayer secrets for alice.near:default\nkeys:API_KEY,FOO",
              .nonce = {},
              .recipient = "outlayer.near"};
  for (std::size_t i = 0; i < out.nonce.size(); ++i) out.nonce[i] = static_cast<std::uint8_t>(i);
  return out;
}

TEST(NearMessageTest, KnownMessage) {
  const Message message = update_of_alice();
  EXPECT_EQ(
      base::hex(signed_bytes(message)),
      "9d0100803f000000557064617465204f75746c61796572207365637265747320666f7220616c6963652e6e6561723a64656661756c74"
      "0a6b6579733a4150495f4b45592c464f4f000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f0d0000006f"
      "75746c617965722e6e65617200");
  EXPECT_EQ(base::hex(signing_hash(message)), "1f1b9572dd5f57bc64f13be83fa2cb916034c2e8d0c9555b9370965cce47fd29");
  const auto key = SecretKey::from_seed(Bytes(32, 7));
  ASSERT_TRUE(key.ok());
  EXPECT_EQ(key->public_key().text(), "ed25519:GmaDrppBC7P5ARKV8g3djiwP89vz1jLK23V2GBjuAEGB");
  const Signature signature = sign(message, *key);
  EXPECT_EQ(base::base64(signature.bytes()),
            "zK0pheWy41ORuycG49+F+/5xQ1cC26NEVyOnJj6SPFH7axcC2IVUjN4wkorBCOi6ARpGeGrsWfTI8J9GMh46Aw==");
  EXPECT_TRUE(verify(message, key->public_key(), signature).ok());
}

TEST(NearMessageTest, ACallbackIsSignedToo) {
  const Message message{
      .message = "hi", .nonce = {}, .recipient = "bob.near", .callback_url = std::string{"https://a.b/cb?"}};
  EXPECT_EQ(base::hex(signing_hash(message)), "c83d02e6a754dcc2b265543def64a8e835d258b727e60de6f7981b2ccc325114");
}

TEST(NearMessageTest, EveryFieldCounts) {
  const auto key = SecretKey::from_seed(Bytes(32, 7));
  ASSERT_TRUE(key.ok());
  const Message message = update_of_alice();
  const Signature signature = sign(message, *key);
  const auto code = [&](Message changed) {
    const auto status = verify(changed, key->public_key(), signature);
    return status.ok() ? std::optional<Code>{} : status.error().code;
  };
  EXPECT_EQ(code(message), std::nullopt);
  auto changed = message;
  changed.message += ",BAR";
  EXPECT_EQ(code(changed), Code::unauthenticated);
  changed = message;
  changed.nonce[31] ^= 1;
  EXPECT_EQ(code(changed), Code::unauthenticated);
  changed = message;
  changed.recipient = "outlayer.testnet";
  EXPECT_EQ(code(changed), Code::unauthenticated);
  changed = message;
  changed.callback_url = "";
  EXPECT_EQ(code(changed), Code::unauthenticated);
}

TEST(NearMessageTest, ItIsNeverATransaction) { EXPECT_FALSE(decode_transaction(signed_bytes(update_of_alice())).ok()); }

}  // namespace
}  // namespace attestry::chain::near
