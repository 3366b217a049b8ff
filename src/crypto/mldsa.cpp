#include "crypto/mldsa.h"

#include <memory>
#include <string>

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

struct Mldsa65PrivateKey::Key {
  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key;
};

base::Result<Mldsa65PrivateKey> Mldsa65PrivateKey::from_seed(base::ByteView seed) {
  // The library takes expanded keys here, too, and these are no seeds.
  if (seed.size() != kMldsa65Seed) {
    return base::Error{base::Code::malformed, "ML-DSA-65 seed", std::to_string(kMldsa65Seed) + " bytes",
                       std::to_string(seed.size())};
  }
  auto key = std::make_shared<Key>(
      Key{{EVP_PKEY_pqdsa_new_raw_private_key(NID_MLDSA65, seed.data(), seed.size()), &EVP_PKEY_free}});
  internal::require(key->key != nullptr, "ML-DSA-65: a key of a seed");
  base::Bytes pub(kMldsa65PublicKey);
  std::size_t size = pub.size();
  internal::require(EVP_PKEY_get_raw_public_key(key->key.get(), pub.data(), &size) == 1 && size == pub.size(),
                    "ML-DSA-65: a public key");
  return Mldsa65PrivateKey{std::move(key), std::move(pub)};
}

base::Bytes Mldsa65PrivateKey::sign(base::ByteView message) const {
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context{EVP_MD_CTX_new(), &EVP_MD_CTX_free};
  base::Bytes out(kMldsa65Signature);
  std::size_t size = out.size();
  internal::require(context && EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key_->key.get()) == 1 &&
                        EVP_DigestSign(context.get(), out.data(), &size, message.data(), message.size()) == 1 &&
                        size == out.size(),
                    "ML-DSA-65: a signature");
  return out;
}

}  // namespace attestry::crypto
