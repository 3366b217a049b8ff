// The verifier: a pure function of evidence, collateral and time under trust anchors fixed at construction (FORMATS 8).
#pragma once
#include <memory>

#include "attestation/anchors.h"
#include "attestation/artefact.h"
#include "attestation/cache_count.h"
#include "attestation/collateral.h"
#include "attestation/evidence.h"
#include "attestation/verdict.h"
#include "base/result.h"
#include "base/time.h"

namespace attestry::attestation {

struct VerifierLimits {
  std::size_t max_evidence_bytes = 1u << 20;
  /// Bounds of the caches of *verified signed things* (ARCHITECTURE 3.12); 0 turns a cache off.
  std::size_t cached_platforms = 4096;  ///< PCK chain + QE report + its signature, or VEK, by hash
  std::size_t cached_collateral = 256;  ///< parsed and signature-checked collateral sets, by digest
};

struct VerifierStats {
  CacheCount platforms;
  CacheCount collateral;
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

  /// Whether a source should keep this set for `needs` and give it to verify(): everything is there and readable, every
  /// signature is good up to one root of these anchors, and all of it is in force at `at`. Returns until when it is.
  /// Error `unavailable` names the document and the check that failed. Nothing is asked about revocation: what an
  /// authentic CRL revokes is news for the verdicts, and no reason to go on with an older CRL. Signatures that were
  /// found good here are not computed again by verify().
  base::Result<base::UtcTime> accept_collateral(const Collateral& collateral, const DcapNeeds& needs,
                                                base::UtcTime at) const;

  /// The same for one artefact by itself: `documents` holds its own documents, and for what is signed by somebody whose
  /// certificate is not among them (CRL of Intel's root; VEKs and CRLs of AMD) the chain of a signer besides:
  /// tcb_info_chain, qe_identity_chain or pck_crl_chain; amd_chain. A key set has no signature: readable, and with a
  /// key that can be used, is all that can be asked of it here, and it never ends (`expires` is far away).
  base::Result<Accepted> accept(const Artefact& artefact, const Collateral& documents, base::UtcTime at) const;

  const TrustAnchors& anchors() const noexcept;
  VerifierStats stats() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace attestry::attestation
