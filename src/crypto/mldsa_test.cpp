#include "crypto/mldsa.h"

#include <gtest/gtest.h>

#include <memory>

#include "crypto/internal/awslc.h"

// That signatures of another library verify is shown by tests/functional/test_keystore_sessions.py.

namespace attestry::crypto {
namespace {

struct Signed {
  base::Bytes key = base::Bytes(kMldsa65PublicKey);
  base::Bytes signature = base::Bytes(kMldsa65Signature);
};

Signed sign_with_a_new_key(base::ByteView message) {
  Signed out;
  const std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> context{
      EVP_PKEY_CTX_new_id(EVP_PKEY_PQDSA, nullptr), &EVP_PKEY_CTX_free};
  EVP_PKEY* made = nullptr;
  EXPECT_EQ(EVP_PKEY_CTX_pqdsa_set_params(context.get(), NID_MLDSA65), 1);
  EXPECT_EQ(EVP_PKEY_keygen_init(context.get()), 1);
  EXPECT_EQ(EVP_PKEY_keygen(context.get(), &made), 1);
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key{made, &EVP_PKEY_free};
  std::size_t size = out.key.size();
  EXPECT_EQ(EVP_PKEY_get_raw_public_key(key.get(), out.key.data(), &size), 1);
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> digest{EVP_MD_CTX_new(), &EVP_MD_CTX_free};
  size = out.signature.size();
  EXPECT_EQ(EVP_DigestSignInit(digest.get(), nullptr, nullptr, nullptr, key.get()), 1);
  EXPECT_EQ(EVP_DigestSign(digest.get(), out.signature.data(), &size, message.data(), message.size()), 1);
  EXPECT_EQ(size, kMldsa65Signature);
  return out;
}

TEST(Mldsa, ASignatureIsOfItsKeyOverItsMessageAlone) {
  const auto message = base::as_bytes("32 bytes of a challenge, or more");
  auto made = sign_with_a_new_key(message);
  EXPECT_TRUE(mldsa65_verify(made.key, message, made.signature));
  EXPECT_FALSE(mldsa65_verify(made.key, base::as_bytes("another"), made.signature));
  EXPECT_FALSE(mldsa65_verify(sign_with_a_new_key(message).key, message, made.signature));
  for (const std::size_t at : {std::size_t{0}, std::size_t{1000}, made.signature.size() - 1}) {
    made.signature[at] ^= 1;
    EXPECT_FALSE(mldsa65_verify(made.key, message, made.signature)) << at;
    made.signature[at] ^= 1;
  }
}

TEST(Mldsa, OtherSizesAreNone) {
  const auto message = base::as_bytes("text");
  auto made = sign_with_a_new_key(message);
  made.signature.push_back(0);
  EXPECT_FALSE(mldsa65_verify(made.key, message, made.signature));
  made.signature.resize(kMldsa65Signature - 1);
  EXPECT_FALSE(mldsa65_verify(made.key, message, made.signature));
  EXPECT_FALSE(mldsa65_verify({}, message, {}));
  EXPECT_FALSE(mldsa65_verify(base::Bytes(kMldsa65PublicKey), message, base::Bytes(kMldsa65Signature)));
}

}  // namespace
}  // namespace attestry::crypto
