// Claims of a DCAP quote under the names of the shared vectors.
#pragma once
#include <vector>

#include "attestation/dcap/pck_extension.h"
#include "attestation/dcap/quote.h"
#include "attestation/verdict.h"
#include "crypto/x509.h"

namespace attestry::attestation::dcap {

/// Everything that the quote's report says.
void add_report_claims(const Quote& quote, std::vector<Claim>& out);
/// What the PCK certificate says about the platform.
void add_platform_claims(const crypto::Certificate& pck, const PckExtension& extension, std::vector<Claim>& out);

}  // namespace attestry::attestation::dcap
