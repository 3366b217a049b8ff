// The certificate path of a Nitro attestation document: root, regional, zonal and instance CA, then the enclave's own
// certificate of three hours (RFC 5280 section 6.1; attestation_process.md). AWS publishes no revocation for it.
#pragma once
#include <memory>
#include <span>
#include <vector>

#include "attestation/anchors.h"
#include "attestation/chain_rules.h"
#include "attestation/lru_cache.h"
#include "attestation/nitro/document.h"
#include "crypto/x509.h"

namespace attestry::attestation::nitro {

/// A path with all that does not depend on the time. Immutable.
struct Chain {
  std::vector<crypto::Certificate> path;  ///< root first, the enclave's last; at least two
  ChainVerdict root;                      ///< ends in a key that is a trust anchor of AWS
  ChainVerdict names;
  ChainVerdict signatures;
  ChainVerdict constraints;  ///< CA flags, path lengths, key usages, critical extensions
  ChainVerdict leaf_key;     ///< P-384
  bool sound() const noexcept { return !root && !names && !signatures && !constraints && !leaf_key; }
  const crypto::Certificate& leaf() const noexcept { return path.back(); }
};

/// Shared by all calls of one verifier, and so of one set of anchors. Only what is sound is kept. A root's
/// own signature is not computed, so somebody can send a genuine path with another root certificate around the same key
/// again and again: that costs others a signature, and no memory, because sizes are bounded. Thread-safe.
struct Caches {
  explicit Caches(std::size_t capacity) : chains(capacity), ca_signatures(capacity) {}
  LruCache<Chain> chains;        ///< by all certificates of the path
  LruCache<bool> ca_signatures;  ///< by certificate and issuer's key; enclaves come and go, their CAs stay for a day
};

/// Of certificates that stand in one document: from the cache, or read and judged now. A Fault when one of them is no
/// certificate.
std::expected<std::shared_ptr<const Chain>, Fault> chain_of(const Document& document, const TrustAnchors& anchors,
                                                            Caches& caches);

}  // namespace attestry::attestation::nitro
