// Keys as PEM text (RFC 7468): 64 columns and a newline at the end.
#pragma once
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/ec.h"
#include "crypto/secret.h"

namespace attestry::crypto {

/// Text of any label over secret bytes, in constant time.
Secret secret_pem(std::string_view label, const Secret& der);
/// "EC PRIVATE KEY" over ECPrivateKey DER (RFC 5915).
Secret sec1_pem(const EcPrivateKey& key);
/// "PUBLIC KEY" over SubjectPublicKeyInfo.
std::string spki_pem(base::ByteView spki);

/// One block, "EC PRIVATE KEY" (SEC 1) or "PRIVATE KEY" (PKCS #8).
base::Result<EcPrivateKey> ec_private_key_from_pem(base::ByteView pem);
/// One block "PUBLIC KEY"; the DER inside.
base::Result<base::Bytes> spki_from_pem(base::ByteView pem);
base::Result<EcPublicKey> ec_public_key_from_pem(base::ByteView pem);

}  // namespace attestry::crypto
