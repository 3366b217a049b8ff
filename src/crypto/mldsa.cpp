#include "crypto/mldsa.h"

#include <memory>

#include "crypto/internal/awslc.h"

namespace attestry::crypto {

bool mldsa65_verify(base::ByteView public_key, base::ByteView message, base::ByteView signature) {
  if (public_key.size() != kMldsa65PublicKey || signature.size() != kMldsa65Signature) return false;
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key{
      EVP_PKEY_pqdsa_new_raw_public_key(NID_MLDSA65, public_key.data(), public_key.size()), &EVP_PKEY_free};
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context{EVP_MD_CTX_new(), &EVP_MD_CTX_free};
  // No digest: the whole message is what is signed.
  const bool good =
      key && context && EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
      EVP_DigestVerify(context.get(), signature.data(), signature.size(), message.data(), message.size()) == 1;
  if (!good) ERR_clear_error();
  return good;
}

}  // namespace attestry::crypto
