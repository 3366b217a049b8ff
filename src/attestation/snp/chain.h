// From a VCEK or VLEK to AMD's root (AMD 57230; RFC 5280 section 6.1), and what of it can be kept between calls: only
// signatures and contents, never anything judged against a time.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "attestation/anchors.h"
#include "attestation/collateral.h"
#include "attestation/lru_cache.h"
#include "attestation/snp/vek.h"
#include "attestation/verdict.h"
#include "crypto/x509.h"

namespace attestry::attestation::snp {

/// A rule that is broken: texts for the check.
struct Fault {
  std::string expected;
  std::string actual;
  std::string detail{};
};
using Finding = std::optional<Fault>;  ///< nullopt: in order

/// Intermediate and root, as the collateral has them.
struct Chain {
  Finding format;
  std::vector<crypto::Certificate> certificates;  ///< intermediate, ARK; empty when the format is wrong
  Finding root;
  Finding constraints;
  Finding signature;  ///< of the intermediate; the root's own is not computed: what makes it trusted is its key
  bool sound() const noexcept { return !format && !root && !constraints && !signature; }
  const crypto::Certificate& intermediate() const { return certificates[0]; }
  const crypto::Certificate& ark() const { return certificates[1]; }
};
std::shared_ptr<const Chain> examine_chain(base::ByteView pem, const TrustAnchors& anchors);

/// The certificate of the key that signs reports, and whether the chain's intermediate signed it.
struct Vek {
  Finding format;
  std::optional<crypto::Certificate> certificate;
  std::optional<crypto::EcPublicKey> key;
  Finding extension_fault;
  std::optional<VekExtensions> extensions;
  Finding constraints;
  Finding signature;
  bool sound() const noexcept { return !format && !extension_fault && !constraints && !signature; }
};
/// `chain` may be nullptr or unreadable: then the signature counts as a fault that nobody shows.
std::shared_ptr<const Vek> examine_vek(base::ByteView der_or_pem, const Chain* chain);

/// The root's revocation list.
struct RevocationList {
  Finding format;
  std::optional<crypto::Crl> crl;
  Finding signature;
  bool sound() const noexcept { return !format && !signature; }
};
std::shared_ptr<const RevocationList> examine_crl(base::ByteView der, const Chain* chain);

/// The names of a chain for a product and a kind of key: links, and AMD's common names.
Finding judge_names(const Chain& chain, Product product, bool vlek);  ///< without a key's certificate
Finding judge_names(const crypto::Certificate& vek, const Chain& chain, Product product, bool vlek);

/// Shared by all calls of one verifier, and so of one set of anchors. Only what is sound is kept. A root's
/// own signature is not computed, so somebody can send a genuine path with another root certificate around the same key
/// again and again: that costs others a signature, and no memory, because sizes are bounded. Thread-safe.
struct Caches {
  Caches(std::size_t platforms, std::size_t collateral) : veks(platforms), chains(collateral), crls(collateral) {}
  LruCache<Vek> veks;  ///< by digest of certificate and chain
  LruCache<Chain> chains;
  LruCache<RevocationList> crls;  ///< by digest of list and chain
};

}  // namespace attestry::attestation::snp
