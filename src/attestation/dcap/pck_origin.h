// Whose platform a quote says it is from, before anything is fetched for it.
#pragma once
#include "attestation/anchors.h"
#include "base/bytes.h"
#include "base/result.h"

namespace attestry::attestation::dcap {

/// Good when the quote's PCK certificate is signed under a trusted root of Intel's: names, constraints and signatures
/// of its chain, as in a verdict. Neither times nor revocation nor anything else of the quote is judged. Error
/// `malformed`, or `evidence_false` naming what is wrong with the chain. Remembers nothing; costs two signatures.
base::Status judge_pck_origin(base::ByteView quote, const TrustAnchors& anchors);

}  // namespace attestry::attestation::dcap
