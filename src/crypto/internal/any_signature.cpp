#include "crypto/internal/any_signature.h"

#include <vector>

#include "crypto/x509.h"

namespace attestry::crypto::internal {
namespace {

struct Algorithm {
  base::Bytes identifier;  ///< AlgorithmIdentifier, the only bytes of it that pass
  int key_type;
  const EVP_MD* hash;  ///< none: the algorithm hashes itself
  bool pss;
};

base::Bytes with_null(std::string_view oid) { return der::sequence({der::oid(oid), der::tlv(0x05, {})}); }

/// RFC 4055 3.1: MGF1 with the same hash and a salt as long as it.
base::Bytes pss(std::string_view hash_oid, std::uint64_t size) {
  const base::Bytes hash = with_null(hash_oid);
  const base::Bytes mgf1 = der::sequence({der::oid("1.2.840.113549.1.1.8"), hash});
  const base::Bytes parameters =
      der::sequence({der::tlv(0xa0, hash), der::tlv(0xa1, mgf1), der::tlv(0xa2, der::integer(size))});
  return der::sequence({der::oid("1.2.840.113549.1.1.10"), parameters});
}

/// RFC 5758 3.2, RFC 4055 5 and 3.1, RFC 8410 3. SHA-1 is not among them.
const std::vector<Algorithm>& algorithms() {
  static const std::vector<Algorithm> kAll = {
      {der::sequence({der::oid("1.2.840.10045.4.3.2")}), EVP_PKEY_EC, EVP_sha256(), false},
      {der::sequence({der::oid("1.2.840.10045.4.3.3")}), EVP_PKEY_EC, EVP_sha384(), false},
      {der::sequence({der::oid("1.2.840.10045.4.3.4")}), EVP_PKEY_EC, EVP_sha512(), false},
      {with_null("1.2.840.113549.1.1.11"), EVP_PKEY_RSA, EVP_sha256(), false},
      {with_null("1.2.840.113549.1.1.12"), EVP_PKEY_RSA, EVP_sha384(), false},
      {with_null("1.2.840.113549.1.1.13"), EVP_PKEY_RSA, EVP_sha512(), false},
      {pss("2.16.840.1.101.3.4.2.1", 32), EVP_PKEY_RSA, EVP_sha256(), true},
      {pss("2.16.840.1.101.3.4.2.2", 48), EVP_PKEY_RSA, EVP_sha384(), true},
      {pss("2.16.840.1.101.3.4.2.3", 64), EVP_PKEY_RSA, EVP_sha512(), true},
      {der::sequence({der::oid("1.3.101.112")}), EVP_PKEY_ED25519, nullptr, false},
  };
  return kAll;
}

/// The curves and sizes that parse_csr_full names.
bool known_key(const EVP_PKEY* key) {
  switch (EVP_PKEY_id(key)) {
    case EVP_PKEY_ED25519:
      return true;
    case EVP_PKEY_RSA: {
      const int bits = EVP_PKEY_bits(key);
      return bits >= 2048 && bits <= 8192;
    }
    case EVP_PKEY_EC: {
      const int curve = EC_GROUP_get_curve_name(EC_KEY_get0_group(EVP_PKEY_get0_EC_KEY(key)));
      return curve == NID_secp224r1 || curve == NID_X9_62_prime256v1 || curve == NID_secp384r1 ||
             curve == NID_secp521r1;
    }
    default:
      return false;
  }
}

bool verify(const Algorithm& algorithm, EVP_PKEY* key, const Signed& what) {
  bssl::ScopedEVP_MD_CTX ctx;
  EVP_PKEY_CTX* settings = nullptr;  // belongs to ctx
  if (EVP_DigestVerifyInit(ctx.get(), &settings, algorithm.hash, nullptr, key) != 1) return false;
  if (algorithm.pss && (EVP_PKEY_CTX_set_rsa_padding(settings, RSA_PKCS1_PSS_PADDING) != 1 ||
                        EVP_PKEY_CTX_set_rsa_pss_saltlen(settings, -1) != 1)) {  // -1: as long as the hash
    return false;
  }
  return EVP_DigestVerify(ctx.get(), what.signature.data(), what.signature.size(), what.content.data(),
                          what.content.size()) == 1;
}

}  // namespace

bool verifies_any(const Signed& what, base::ByteView spki) {
  CBS cbs = cbs_of(spki);
  const bssl::UniquePtr<EVP_PKEY> key(EVP_parse_public_key(&cbs));
  bool good = false;
  if (key != nullptr && CBS_len(&cbs) == 0 && known_key(key.get())) {
    for (const Algorithm& one : algorithms()) {
      if (one.key_type == EVP_PKEY_id(key.get()) && base::equal(one.identifier, what.algorithm)) {
        good = verify(one, key.get(), what);
      }
    }
  }
  ERR_clear_error();
  return good;
}

}  // namespace attestry::crypto::internal
