// Trust anchors, pinned by public key. A test root is another type than a production root and makes verdicts
// `simulated`.
#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"

namespace attestry::attestation {

/// The vendors' roots, compiled in by public key. There is no way to add one at run time.
class ProductionRoot {
 public:
  static const ProductionRoot& intel_sgx();
  const base::Bytes& spki() const noexcept { return spki_; }
  std::string_view name() const noexcept { return name_; }

 private:
  ProductionRoot(std::string_view name, base::Bytes spki) : name_(name), spki_(std::move(spki)) {}
  std::string_view name_;
  base::Bytes spki_;
};

/// A root that somebody gave (--trust, the forge). Never convertible to a ProductionRoot.
class TestRoot {
 public:
  /// PEM certificate(s) or a PEM/DER certificate; the first one's public key is the anchor.
  static base::Result<TestRoot> from_certificate(base::ByteView pem_or_der);
  const base::Bytes& spki() const& noexcept { return spki_; }
  base::Bytes spki() && noexcept { return std::move(spki_); }

 private:
  explicit TestRoot(base::Bytes spki) : spki_(std::move(spki)) {}
  base::Bytes spki_;
};

/// Either the production roots or test roots, never both.
class TrustAnchors {
 public:
  static TrustAnchors production();
  static TrustAnchors simulated(std::vector<TestRoot> roots);
  base::Realm realm() const noexcept { return realm_; }
  /// SPKIs that may end an Intel chain.
  const std::vector<base::Bytes>& spkis() const noexcept { return spkis_; }
  bool trusts(base::ByteView spki) const noexcept;
  /// SHA-256 over the realm and the sorted SPKIs.
  const base::Digest32& sha256() const noexcept { return sha256_; }

 private:
  TrustAnchors(base::Realm realm, std::vector<base::Bytes> spkis);
  base::Realm realm_;
  std::vector<base::Bytes> spkis_;
  base::Digest32 sha256_{};
};

}  // namespace attestry::attestation
