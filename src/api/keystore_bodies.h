// What the bodies of the keystore's larger requests say by themselves (docs/formats/keystore-wire.md). Private to api.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "api/keystore_wire.h"
#include "secrets/keystore_profile.h"
#include "secrets/keystore_service.h"

namespace attestry::api {

/// POST /decrypt of the second and third generation. 400 for accounts and profiles that are none; what is missing or
/// mistyped is in `fields`.
KeystoreAnswer<secrets::KeystoreDecrypt> read_keystore_decrypt(KeystoreFields& fields);

/// POST /update_user_secrets, with its owner's signature.
struct KeystoreUpdate {
  secrets::KeystoreSecretName name;
  std::optional<secrets::keystore::Accessor> target;  ///< where it goes; nothing: where it was
  secrets::keystore::UpdateMode mode;
  secrets::keystore::Variables set;
  std::vector<secrets::keystore::Generation> generate;
  chain::near::PublicKey key;
  std::string vault;        ///< as it is said
  std::string recipient;    ///< whom the signature is for
  base::Digest32 change{};  ///< update_digest()
  bool whole = false;       ///< the signature is for that, and not for names alone
  base::Digest32 once{};    ///< of nonce and key: what may be used once
};
/// The signature is good for what the body says. Errors: `malformed`, `unauthenticated`; whatever it is when `fields`
/// knows of a mistake.
base::Result<KeystoreUpdate> read_keystore_update(KeystoreFields& fields);

}  // namespace attestry::api
