#include "attestation/dcap/cache.h"

#include "crypto/hash.h"

namespace attestry::attestation::dcap {

std::optional<KnownKey> known_key(const crypto::Certificate& certificate) {
  if (!certificate.ec_key()) return std::nullopt;
  return KnownKey{*certificate.ec_key(), crypto::sha256(certificate.spki())};
}

template <class Object>
bool Signatures::check(const Object& object, const KnownKey& signer, bool keep) {
  const base::Digest32 key = crypto::sha256({object.sha256(), signer.id});
  for (const auto& [seen, result] : done_) {
    if (seen == key) return result;
  }
  const bool known = shared_.find(key) != nullptr;
  const bool result = known || object.signed_by(signer.key);
  done_.emplace_back(key, result);
  if (result && keep && !known) shared_.put(key, std::make_shared<const bool>(true));
  return result;
}

bool Signatures::good(const crypto::Certificate& certificate, const KnownKey& signer, bool keep) {
  return check(certificate, signer, keep);
}

bool Signatures::good(const crypto::Crl& crl, const KnownKey& signer) { return check(crl, signer, true); }

}  // namespace attestry::attestation::dcap
