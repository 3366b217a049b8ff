// The DCAP verifier: all ordered checks of attestation_checks 1.2 on one quote. Pure: the same quote, collateral,
// anchors and time give the same verdict, whatever the caches hold.
#pragma once
#include "attestation/anchors.h"
#include "attestation/collateral.h"
#include "attestation/dcap/cache.h"
#include "attestation/dcap/collateral_set.h"
#include "attestation/dcap/platform.h"
#include "attestation/verdict.h"
#include "base/bytes.h"
#include "base/time.h"

namespace attestry::attestation::dcap {

/// Shared by all calls of one verifier, and so of one set of anchors: what is in here was judged under these.
/// Thread-safe.
struct Caches {
  Caches(std::size_t platforms_capacity, std::size_t collateral_capacity)
      : platforms(platforms_capacity),
        collateral(collateral_capacity),
        // Per set of collateral: two CRLs and two signing certificates; and a handful of PCK CAs.
        issuers(platforms_capacity + collateral_capacity == 0 ? 0 : 16),
        signatures(platforms_capacity + collateral_capacity == 0 ? 0 : 64 + 4 * collateral_capacity) {}
  LruCache<Platform> platforms;
  LruCache<CollateralSet> collateral;
  IssuerTexts issuers;
  SignatureCache signatures;
};

/// Records the checks of the quote into `recorder` (which already holds evidence.*) and fills platform, tcb, claims,
/// report_data, debug, collateral and valid_until of `verdict`. Genuineness is the caller's conclusion.
void judge_quote(base::ByteView evidence, const Collateral& collateral, base::UtcTime at, const TrustAnchors& anchors,
                 Caches& caches, CheckRecorder& recorder, Verdict& verdict);

}  // namespace attestry::attestation::dcap
