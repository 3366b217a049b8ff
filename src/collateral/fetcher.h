// How one artefact is got from whoever gives it out.
#pragma once
#include <string>
#include <vector>

#include "attestation/artefact.h"
#include "base/result.h"
#include "base/time.h"

namespace attestry::collateral {

/// What a failed call says about whoever was asked, beside the error.
struct Trouble {
  bool throttled = false;     ///< 429, or 503 with Retry-After: ask again later, nothing is wrong
  bool away = false;          ///< no connection, no answer in time, or a 5xx
  std::string retry_after{};  ///< the header as it came: seconds or an HTTP date
};

struct Fetched {
  std::vector<attestation::CollateralItem> items;
  std::string source;  ///< URL, without its query
};

/// Where an artefact comes from and what asking for it costs.
struct Origin {
  std::string host;     ///< "kdsintf.amd.com", with the port when the URL has one
  bool scarce = false;  ///< counts against the host's bucket (VCEKs of AMD's KDS)
};

/// Thread-safe. Implemented by Vendors, and by stand-ins in tests.
class Fetcher {
 public:
  virtual ~Fetcher() = default;
  /// Error `collateral_missing` when nobody gives this out, saying who would have it.
  virtual base::Result<Origin> origin(const attestation::Artefact& artefact) const = 0;
  /// Its documents, with nothing verified beyond their form. Errors: `collateral_missing` (the service does not know
  /// it), `unavailable` (away, refuses, or answers with something else), `deadline_exceeded`.
  /// `trouble` is filled on failure.
  virtual base::Result<Fetched> fetch(const attestation::Artefact& artefact, base::Deadline deadline,
                                      Trouble& trouble) const = 0;
};

}  // namespace attestry::collateral
