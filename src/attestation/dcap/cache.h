// Caches of the *verification of signed things* (ARCHITECTURE 3.12): bounded, least recently used goes first,
// thread-safe. Nothing that binds evidence to a request is ever in here, nor anything judged against a time.
#pragma once
#include <cstring>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "attestation/cache_count.h"
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
    ++(at == index_.end() ? count_.misses : count_.hits);
    if (at == index_.end()) return nullptr;
    entries_.splice(entries_.begin(), entries_, at->second);
    return at->second->second;
  }

  void put(const base::Digest32& key, std::shared_ptr<const T> value) {
    if (capacity_ == 0) return;
    const base::MutexLock lock(mutex_);
    if (const auto at = index_.find(key); at != index_.end()) {
      at->second->second = std::move(value);
      entries_.splice(entries_.begin(), entries_, at->second);
      return;
    }
    entries_.emplace_front(key, std::move(value));
    index_.emplace(key, entries_.begin());
    if (entries_.size() <= capacity_) return;
    index_.erase(entries_.back().first);
    entries_.pop_back();
  }

  CacheCount count() const {
    const base::MutexLock lock(mutex_);
    CacheCount out = count_;
    out.entries = entries_.size();
    return out;
  }

 private:
  using Entry = std::pair<base::Digest32, std::shared_ptr<const T>>;
  const std::size_t capacity_;
  mutable base::Mutex mutex_;
  CacheCount count_ ATTESTRY_GUARDED_BY(mutex_);
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
