// What a quote's certification data says about its platform: the PCK chain, the PCK extension, and the quoting enclave
// that the PCK key vouches for. One value per (certification data, QE report, QE report signature), immutable, so that
// it can be cached whole: it holds every outcome that depends on nothing else.
#pragma once
#include <memory>
#include <optional>
#include <vector>

#include "attestation/anchors.h"
#include "attestation/dcap/cache.h"
#include "attestation/dcap/chain.h"
#include "attestation/dcap/pck_extension.h"
#include "attestation/dcap/quote.h"
#include "attestation/verdict.h"

namespace attestry::attestation::dcap {

struct Platform {
  base::Bytes cert_data;                   ///< what this was read from; a hit must carry exactly this
  std::vector<CheckResult> checks;         ///< of signed things only: no times, no revocation, no binding
  std::vector<crypto::Certificate> chain;  ///< leaf, intermediate, root; empty when dcap.pck.chain.format failed
  Validity validity;                       ///< of the chain; meaningless when it is empty
  std::optional<KnownKey> intermediate_key;
  std::optional<KnownKey> root_key;  ///< set when the root's key is a trust anchor
  std::optional<PckExtension> extension;
  bool known_issuers = false;  ///< intermediate and root were not read anew
  bool sound = false;          ///< every check passed: may be cached
};

/// The key under which a Platform is cached: QE report and its signature. The certification data, ten times their size,
/// is compared byte by byte instead of being hashed.
base::Digest32 platform_key(const Quote& quote);

/// `anchors`: SPKIs that may end the chain. Pure but for what `signatures` and `issuers` remember.
std::shared_ptr<const Platform> examine_platform(const Quote& quote, const TrustAnchors& anchors,
                                                 Signatures& signatures, IssuerTexts& issuers);

}  // namespace attestry::attestation::dcap
