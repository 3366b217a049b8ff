#include "provision/registry_secret.h"

#include "crypto/hash.h"
#include "curves/ecies.h"

namespace attestry::provision {

std::string registry_secret_context(const curves::Address& contract) {
  return "attestry-registry-secret:" + curves::address_hex(contract);
}

base::Result<base::Bytes> seal_registry_secret(const crypto::EcPublicKey& app_key, const curves::Address& contract,
                                               SecretFormat format, base::ByteView plaintext, crypto::Random& random) {
  if (plaintext.size() > kMaxRegistrySecret) {
    return base::Error{base::Code::too_large, "the secret is too large", "at most 1 MiB", {}};
  }
  if (format == SecretFormat::v1) return curves::ecies_v1_seal(app_key, plaintext, random);
  return curves::ecies_v2_seal(app_key, registry_secret_context(contract), plaintext, random);
}

base::Result<crypto::Secret> open_registry_secret(const crypto::EcPrivateKey& app_key, const curves::Address& contract,
                                                  base::ByteView blob) {
  if (!curves::is_ecies_v2(blob)) return curves::ecies_v1_open(app_key, blob);
  return curves::ecies_v2_open(app_key, registry_secret_context(contract), blob);
}

base::Result<crypto::Secret> OpenedSecrets::open(const crypto::EcPrivateKey& app_key, const curves::Address& contract,
                                                 base::ByteView blob) {
  if (blob.size() > kLargest) return open_registry_secret(app_key, contract, blob);
  // The key is a part of it: whose key opens nothing finds nothing. Sizes of the first two are fixed.
  const auto name = crypto::sha256({app_key.public_key().raw(), base::ByteView{contract}, blob});
  if (const auto known = kept_.find(name)) return known->clone();
  TRY(auto opened, open_registry_secret(app_key, contract, blob));
  kept_.put(name, std::make_shared<const crypto::Secret>(opened.clone()));
  return opened;
}

}  // namespace attestry::provision
