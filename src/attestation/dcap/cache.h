// Caches of the *verification of signed things* (ARCHITECTURE 3.12). Nothing that binds evidence to a request is ever
// in here, nor anything judged against a time.
#pragma once
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "attestation/lru_cache.h"
#include "base/bytes.h"
#include "base/mutex.h"
#include "crypto/ec.h"
#include "crypto/x509.h"

namespace attestry::attestation::dcap {

/// A public key with the digest of its SPKI, by which caches know it.
struct KnownKey {
  crypto::EcPublicKey key;
  base::Digest32 id{};
};
std::optional<KnownKey> known_key(const crypto::Certificate& certificate);

/// What stands behind the leaf in certification data: intermediate and root, the same text for millions of platforms.
struct IssuerChain {
  std::string text;  ///< everything after the leaf's END line, exactly
  std::vector<crypto::Certificate> certificates;
  std::optional<KnownKey> intermediate_key;
};

/// Issuer chains that were read from exactly this text; a handful exists. Holds nothing that was not trusted.
class IssuerTexts {
 public:
  explicit IssuerTexts(std::size_t capacity) : capacity_(capacity) {}
  std::shared_ptr<const IssuerChain> find(std::string_view text);
  void put(std::shared_ptr<const IssuerChain> chain);

 private:
  const std::size_t capacity_;
  base::Mutex mutex_;
  std::list<std::shared_ptr<const IssuerChain>> chains_ ATTESTRY_GUARDED_BY(mutex_);
};

/// Which certificates and CRLs were found to be signed by which key. Only good signatures are kept, so that nobody can
/// fill it with garbage.
using SignatureCache = LruCache<bool>;

/// Signature checks of one call: what was verified in this call or is in the shared cache is not computed again, and
/// certificates that occur twice (the root does) are read once. Not thread-safe; lives as long as the call.
class Signatures {
 public:
  explicit Signatures(SignatureCache& shared) noexcept : shared_(shared) {}
  base::Result<crypto::Certificate> read(base::ByteView der);
  bool good(const crypto::Certificate& certificate, const KnownKey& signer);
  bool good(const crypto::Crl& crl, const KnownKey& signer);

 private:
  template <class Object>
  bool check(const Object& object, const KnownKey& signer);
  SignatureCache& shared_;
  std::vector<std::pair<base::Digest32, bool>> done_;
  std::vector<crypto::Certificate> read_;
};

}  // namespace attestry::attestation::dcap
