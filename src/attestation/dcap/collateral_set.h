// A set of Intel collateral, parsed and its signatures verified once. Immutable, so that it can be cached by the digest
// of the set: it holds every outcome that depends on the set and the trust anchors alone, and what the others need.
#pragma once
#include <memory>
#include <optional>
#include <vector>

#include "attestation/anchors.h"
#include "attestation/collateral.h"
#include "attestation/dcap/cache.h"
#include "attestation/dcap/chain.h"
#include "attestation/dcap/qe_identity.h"
#include "attestation/dcap/tcb_info.h"
#include "attestation/verdict.h"

namespace attestry::attestation::dcap {

/// The chain of a signed document.
struct SigningChain {
  std::vector<crypto::Certificate> certificates;  ///< signing certificate, root; empty when unreadable
  ChainVerdict fault;                             ///< of root, names, constraints or signature; times come on top
  Validity validity{};
};

struct CollateralSet {
  std::vector<CheckResult> checks;  ///< present, format, signature: no times, no revocation, no binding
  std::optional<TcbInfo> tcb_info;
  std::optional<QeIdentity> qe_identity;
  SigningChain tcb_info_chain;
  SigningChain qe_identity_chain;
  std::optional<crypto::Crl> root_crl;
  std::optional<crypto::Crl> pck_crl;
  /// The trusted root that the signing chains end in; for the CRL of the root.
  std::optional<KnownKey> root_key;
  std::vector<CollateralUsed> used;  ///< for the verdict, in the order of CollateralKind
  bool sound = false;                ///< everything is there and every signature in it is good: may be cached

  /// The result of a check in `checks`, or nullptr.
  const CheckResult* find(CheckId check) const noexcept;
};

std::shared_ptr<const CollateralSet> examine_collateral(const Collateral& collateral, const TrustAnchors& anchors,
                                                        Signatures& signatures);

}  // namespace attestry::attestation::dcap
