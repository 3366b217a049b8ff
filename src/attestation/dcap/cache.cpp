#include "attestation/dcap/cache.h"

#include "crypto/hash.h"

namespace attestry::attestation::dcap {

std::optional<KnownKey> known_key(const crypto::Certificate& certificate) {
  if (!certificate.ec_key()) return std::nullopt;
  return KnownKey{*certificate.ec_key(), crypto::sha256(certificate.spki())};
}

std::shared_ptr<const IssuerChain> IssuerTexts::find(std::string_view text) {
  const base::MutexLock lock(mutex_);
  for (auto it = chains_.begin(); it != chains_.end(); ++it) {
    if ((*it)->text != text) continue;
    chains_.splice(chains_.begin(), chains_, it);
    return chains_.front();
  }
  return nullptr;
}

void IssuerTexts::put(std::shared_ptr<const IssuerChain> chain) {
  if (capacity_ == 0) return;
  const base::MutexLock lock(mutex_);
  for (const auto& known : chains_) {
    if (known->text == chain->text) return;
  }
  chains_.push_front(std::move(chain));
  if (chains_.size() > capacity_) chains_.pop_back();
}

base::Result<crypto::Certificate> Signatures::read(base::ByteView der) {
  for (const crypto::Certificate& known : read_) {
    if (base::equal(known.der(), der)) return known;
  }
  TRY(crypto::Certificate certificate, crypto::Certificate::parse(der));
  read_.push_back(certificate);
  return certificate;
}

template <class Object>
bool Signatures::check(const Object& object, const KnownKey& signer) {
  const base::Digest32 key = crypto::sha256({object.sha256(), signer.id});
  for (const auto& [seen, result] : done_) {
    if (seen == key) return result;
  }
  const bool known = shared_.find(key) != nullptr;
  const bool result = known || object.signed_by(signer.key);
  done_.emplace_back(key, result);
  if (result && !known) shared_.put(key, std::make_shared<const bool>(true));
  return result;
}

bool Signatures::good(const crypto::Certificate& certificate, const KnownKey& signer) {
  return check(certificate, signer);
}

bool Signatures::good(const crypto::Crl& crl, const KnownKey& signer) { return check(crl, signer); }

}  // namespace attestry::attestation::dcap
