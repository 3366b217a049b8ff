// What every right that comes from evidence asks of it at the moment of the release: that it is of this store's realm,
// and that the attestation still stands. The one place that judges it; grants of every kind are made behind it.
#pragma once
#include <optional>

#include "attestation/verdict.h"
#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"

namespace attestry::governance {

/// ARCHITECTURE 3.6: forged evidence never reaches production keys, and the reverse keeps simulated stores simulated.
/// `realm_mismatch` when they differ.
base::Status require_realm(base::Realm evidence, base::Realm realm);

/// Until when; `denied` from that moment on, and where no end is known.
base::Result<base::UtcTime> still_valid(std::optional<base::UtcTime> until, base::UtcTime now);

/// Both, of one verdict.
base::Result<base::UtcTime> standing(const attestation::Verdict& verdict, base::Realm realm, base::UtcTime now);

}  // namespace attestry::governance
