// The Nitro verifier: the ordered checks of one attestation document. Pure: the same document, anchors and time give
// the same verdict, whatever the cache holds.
#pragma once
#include "attestation/anchors.h"
#include "attestation/nitro/chain.h"
#include "attestation/verdict.h"
#include "base/bytes.h"
#include "base/time.h"

namespace attestry::attestation::nitro {

/// Records the checks `nitro.…` into `recorder` (which already holds evidence.*) and fills platform, claims,
/// report_data (the user data), debug and valid_until of `verdict`. Needs no collateral. How old a document may be is
/// the policy's question: its time is the claim timestamp_ms.
void judge_document(base::ByteView evidence, base::UtcTime at, const TrustAnchors& anchors, Caches& caches,
                    CheckRecorder& recorder, Verdict& verdict);

}  // namespace attestry::attestation::nitro
