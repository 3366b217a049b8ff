// Trust anchors, pinned by public key. A test root is another type than a production root and makes verdicts
// `simulated`.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"

namespace attestry::attestation {

/// Whose root: a key of one vendor never vouches for another's evidence.
enum class Vendor : std::uint8_t { intel, amd, aws };

/// The vendors' roots, compiled in by public key. There is no way to add one at run time.
class ProductionRoot {
 public:
  /// Intel SGX Root CA; ARK-Milan, ARK-Genoa, ARK-Turin; aws.nitro-enclaves (G1).
  static std::span<const ProductionRoot> all();
  Vendor vendor() const noexcept { return vendor_; }
  /// Common name of its certificates.
  std::string_view name() const noexcept { return name_; }
  /// SHA-256 of the DER SubjectPublicKeyInfo. Several certificates may exist for one key.
  const base::Digest32& spki_sha256() const noexcept { return spki_sha256_; }

 private:
  ProductionRoot(Vendor vendor, std::string_view name, base::Digest32 spki_sha256)
      : vendor_(vendor), name_(name), spki_sha256_(spki_sha256) {}
  Vendor vendor_;
  std::string_view name_;
  base::Digest32 spki_sha256_;
};

/// A root that somebody gave (--trust, the forge). Never convertible to a ProductionRoot.
class TestRoot {
 public:
  /// PEM certificate(s) or a PEM/DER certificate; the first one's public key is the anchor.
  static base::Result<TestRoot> from_certificate(base::ByteView pem_or_der);
  /// The same anchor as a stored appraisal names it. Error `malformed` for the key of a production root.
  static base::Result<TestRoot> from_spki_sha256(const base::Digest32& spki_sha256);
  const base::Digest32& spki_sha256() const noexcept { return spki_sha256_; }

 private:
  explicit TestRoot(const base::Digest32& spki_sha256) : spki_sha256_(spki_sha256) {}
  base::Digest32 spki_sha256_;
};

/// Either the production roots or test roots, never both. Immutable.
class TrustAnchors {
 public:
  static TrustAnchors production();
  static TrustAnchors simulated(std::vector<TestRoot> roots);
  /// The same, believing tokens of these issuers too ("https://shareduks.uks.attest.azure.net", exactly as `iss` says
  /// it), under keys that come from there. Error `malformed` for what is no https URL or ends in a slash, and for a
  /// simulated issuer beside production roots.
  base::Result<TrustAnchors> with_token_issuers(std::vector<std::string> issuers) const;

  /// Its host ends in .invalid, which no DNS ever resolves (RFC 2606): only a forge issues tokens in such a name.
  static bool is_simulated_issuer(std::string_view issuer) noexcept;

  base::Realm realm() const noexcept { return realm_; }
  /// Whether a chain of this vendor may end in that key. A production root counts only for its own vendor and, where
  /// `name` is given, under its own name ("ARK-Milan"); a test root counts for everything.
  bool trusts(Vendor vendor, base::ByteView spki, std::string_view name = {}) const;
  bool trusts_token_issuer(std::string_view issuer) const noexcept;
  const std::vector<std::string>& token_issuers() const noexcept { return issuers_; }
  /// SHA-256 of the SubjectPublicKeyInfo of every root, ascending.
  std::vector<base::Digest32> roots() const;
  bool empty() const noexcept { return anchors_.empty() && issuers_.empty(); }
  /// SHA-256 over the realm, the sorted keys and the issuers.
  const base::Digest32& sha256() const noexcept { return sha256_; }

 private:
  struct Anchor {
    std::optional<Vendor> vendor;  ///< nullopt: any
    std::string_view name;         ///< static storage; empty: any
    base::Digest32 spki_sha256;
  };
  TrustAnchors(base::Realm realm, std::vector<Anchor> anchors, std::vector<std::string> issuers);
  base::Realm realm_;
  std::vector<Anchor> anchors_;
  std::vector<std::string> issuers_;
  base::Digest32 sha256_{};
};

}  // namespace attestry::attestation
