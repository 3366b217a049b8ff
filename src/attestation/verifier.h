// The verifier: a pure function of evidence, collateral and time under trust anchors fixed at construction (FORMATS 8).
#pragma once
#include <memory>

#include "attestation/anchors.h"
#include "attestation/collateral.h"
#include "attestation/evidence.h"
#include "attestation/verdict.h"
#include "base/result.h"
#include "base/time.h"

namespace attestry::attestation {

struct VerifierLimits {
  std::size_t max_evidence_bytes = 1u << 20;
  /// Bounds of the caches of *verified signed things* (ARCHITECTURE 3.12); 0 turns a cache off.
  std::size_t cached_platforms = 4096;  ///< PCK chain + QE report + its signature, by hash
  std::size_t cached_collateral = 256;  ///< parsed and signature-checked collateral sets, by digest
};

/// Thread-safe. A hit and a miss give the same verdict byte for byte; times, revocation, TCB status and the QE binding
/// are judged on every call.
class Verifier {
 public:
  explicit Verifier(TrustAnchors anchors, VerifierLimits limits = {});
  ~Verifier();
  Verifier(const Verifier&) = delete;
  Verifier& operator=(const Verifier&) = delete;

  /// Malformed evidence and unreadable collateral are failed checks, not errors. An Error means that this program could
  /// not decide at all.
  base::Result<Verdict> verify(const Evidence& evidence, const Collateral& collateral, base::UtcTime at) const;
  const TrustAnchors& anchors() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace attestry::attestation
