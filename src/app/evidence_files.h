// What several commands read alike: evidence from files and folders, roots to trust, a point in time.
#pragma once
#include <string>
#include <vector>

#include "app/cli.h"
#include "attestation/anchors.h"
#include "attestation/evidence.h"
#include "base/result.h"
#include "base/time.h"

namespace attestry::app {

/// False for "-".
bool is_folder(const std::string& path);

/// A file, "-", or a folder with quote.bin, report.bin, attestation.cbor or token.jwt. Without event logs.
base::Result<attestation::Evidence> read_evidence(Context& context, const std::string& path);

/// The vendors' roots, or in their place the test roots of --trust; and the issuers of --issuer.
base::Result<attestation::TrustAnchors> read_anchors(Context& context, const std::vector<std::string>& trust,
                                                     const std::vector<std::string>& issuers);

/// Of --at; empty: now.
base::Result<base::UtcTime> time_of(Context& context, const std::string& at);

}  // namespace attestry::app
