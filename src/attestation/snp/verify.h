// The SEV-SNP verifier: all ordered checks of attestation_checks 2.2 on one report. Pure: the same report, collateral,
// anchors and time give the same verdict, whatever the caches hold.
#pragma once
#include "attestation/anchors.h"
#include "attestation/collateral.h"
#include "attestation/snp/chain.h"
#include "attestation/verdict.h"
#include "base/bytes.h"
#include "base/time.h"

namespace attestry::attestation::snp {

/// Records the checks of the report into `recorder` (which already holds evidence.*) and fills platform, claims,
/// report_data, debug, collateral and valid_until of `verdict`. A missing CRL is no failure: its checks are recorded as
/// skipped, and the policy decides. Genuineness is the caller's conclusion.
void judge_report(base::ByteView evidence, const Collateral& collateral, base::UtcTime at, const TrustAnchors& anchors,
                  Caches& caches, CheckRecorder& recorder, Verdict& verdict);

}  // namespace attestry::attestation::snp
