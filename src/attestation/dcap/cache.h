// Caches of the *verification of signed things* (ARCHITECTURE 3.12): bounded, least recently used goes first,
// thread-safe. Nothing that binds evidence to a request is ever in here, nor anything judged against a time.
#pragma once
#include <cstring>
#include <list>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/mutex.h"
#include "crypto/ec.h"
#include "crypto/x509.h"

namespace attestry::attestation::dcap {

/// Keys are digests, so their first bytes are as good a hash as any.
struct DigestHash {
  std::size_t operator()(const base::Digest32& d) const noexcept {
    std::size_t out = 0;
    std::memcpy(&out, d.data(), sizeof out);
    return out;
  }
};

/// From content digest to a shared immutable value. Capacity 0: never holds anything.
template <class T>
class LruCache {
 public:
  explicit LruCache(std::size_t capacity) : capacity_(capacity) {}

  std::shared_ptr<const T> find(const base::Digest32& key) {
    const base::MutexLock lock(mutex_);
    const auto at = index_.find(key);
    if (at == index_.end()) return nullptr;
    entries_.splice(entries_.begin(), entries_, at->second);
    return at->second->second;
  }

  void put(const base::Digest32& key, std::shared_ptr<const T> value) {
    if (capacity_ == 0) return;
    const base::MutexLock lock(mutex_);
    if (index_.contains(key)) return;  // somebody else verified the same meanwhile: the values are equal
    entries_.emplace_front(key, std::move(value));
    index_.emplace(key, entries_.begin());
    if (entries_.size() <= capacity_) return;
    index_.erase(entries_.back().first);
    entries_.pop_back();
  }

  std::size_t size() const {
    const base::MutexLock lock(mutex_);
    return entries_.size();
  }

 private:
  using Entry = std::pair<base::Digest32, std::shared_ptr<const T>>;
  const std::size_t capacity_;
  mutable base::Mutex mutex_;
  std::list<Entry> entries_ ATTESTRY_GUARDED_BY(mutex_);
  std::unordered_map<base::Digest32, typename std::list<Entry>::iterator, DigestHash> index_
      ATTESTRY_GUARDED_BY(mutex_);
};

/// A public key with the digest of its SPKI, by which caches know it.
struct KnownKey {
  crypto::EcPublicKey key;
  base::Digest32 id{};
};
std::optional<KnownKey> known_key(const crypto::Certificate& certificate);

/// Which certificates and CRLs were found to be signed by which key. Only good signatures are kept, so that nobody can
/// fill it with garbage.
using SignatureCache = LruCache<bool>;

/// Signature checks of one call: what was verified in this call or is in the shared cache is not computed again. Not
/// thread-safe; lives as long as the call.
class Signatures {
 public:
  explicit Signatures(SignatureCache& shared) noexcept : shared_(shared) {}
  /// `keep`: for CA certificates, which are few; a platform's own certificate is kept with its platform instead.
  bool good(const crypto::Certificate& certificate, const KnownKey& signer, bool keep);
  bool good(const crypto::Crl& crl, const KnownKey& signer);

 private:
  template <class Object>
  bool check(const Object& object, const KnownKey& signer, bool keep);
  SignatureCache& shared_;
  std::vector<std::pair<base::Digest32, bool>> done_;
};

}  // namespace attestry::attestation::dcap
