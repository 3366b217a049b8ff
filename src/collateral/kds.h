// Client of AMD's Key Distribution Service (AMD 57230, "Versioned Chip Endorsement Key (VCEK) Certificate and KDS
// Interface Specification"), and of every cache that speaks the same API.
#pragma once
#include <string>
#include <string_view>

#include "attestation/artefact.h"
#include "base/result.h"
#include "base/time.h"
#include "collateral/fetcher.h"
#include "net/client.h"

namespace attestry::collateral {

inline constexpr std::string_view kAmdKds = "https://kdsintf.amd.com";

struct KdsOptions {
  std::string base_url{kAmdKds};     ///< without /vcek/v1; a slash at the end is ignored
  std::size_t max_bytes = 1u << 20;  ///< of one reply
};

/// Thread-safe; `transport` must outlive it.
class KdsClient {
 public:
  explicit KdsClient(net::HttpTransport& transport, KdsOptions options = {});

  /// One call: VCEK (DER), chain (PEM, intermediate first) or CRL (DER), as the service sent it. Errors as of
  /// Fetcher::fetch; for a VLEK always `collateral_missing`.
  base::Result<Fetched> fetch(const attestation::Artefact& artefact, base::Deadline deadline, Trouble& trouble) const;
  /// "https://kdsintf.amd.com/vcek/v1/Milan/<hwid>?blSPL=03&teeSPL=00&snpSPL=08&ucodeSPL=115"; Turin has fmcSPL first
  /// and a hwid of 8 bytes. Empty for what is not AMD's.
  std::string url(const attestation::Artefact& artefact) const;
  const std::string& base_url() const noexcept { return options_.base_url; }

 private:
  net::HttpTransport& transport_;
  KdsOptions options_;
};

/// What to say to somebody who needs a VLEK certificate.
base::Error vlek_error(const attestation::Artefact& artefact);

}  // namespace attestry::collateral
