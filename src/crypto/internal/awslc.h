// The one door to AWS-LC. Its symbols are renamed (tools/deps), so that it lives beside the system's OpenSSL in one
// process; the renaming header must come before every other header of the library, hence nothing else includes
// <openssl/...>.
#pragma once
#if __has_include(<openssl/boringssl_prefix_symbols.h>)
#include <openssl/boringssl_prefix_symbols.h>
#endif
#ifdef EVP_PKEY_CTX_set_rsa_oaep_md
#define ATTESTRY_AWSLC_RENAMED  // not in the WebAssembly build
#endif
// clang-format off
#include <openssl/base.h>
// clang-format on
#include <openssl/aead.h>
#include <openssl/bn.h>
#include <openssl/bytestring.h>
#include <openssl/curve25519.h>
#include <openssl/digest.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hkdf.h>
#include <openssl/hmac.h>
#include <openssl/hpke.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>

// evp.h defines this name as itself, over the renaming.
#ifdef ATTESTRY_AWSLC_RENAMED
#undef EVP_PKEY_CTX_set_rsa_oaep_md
#define EVP_PKEY_CTX_set_rsa_oaep_md attlc_EVP_PKEY_CTX_set_rsa_oaep_md
#endif

#include "base/bytes.h"
#include "crypto/internal/require.h"

namespace attestry::crypto::internal {

inline CBS cbs_of(base::ByteView view) noexcept {
  CBS out;
  CBS_init(&out, view.data(), view.size());
  return out;
}

inline base::ByteView view_of(const CBS& cbs) noexcept { return {CBS_data(&cbs), CBS_len(&cbs)}; }

}  // namespace attestry::crypto::internal
