// Registers as a log says they must be: register = H(register ‖ digest), event after event.
#pragma once
#include <map>

#include "attestation/eventlog/log.h"

namespace attestry::attestation::eventlog {

/// The registers that the log extends, by number, in one bank. PCRs begin with zeros, but PCR 0 with the locality of
/// the start-up (EV_NO_ACTION "StartupLocality", PFP 1.06, 10.4.5.3) and PCR 17 to 22 with ones. EV_NO_ACTION is not
/// extended. Error `malformed` for a hash that is not computed here (SHA-1, SM3, unknown) and for a
/// second StartupLocality.
base::Result<std::map<std::uint32_t, base::Bytes>> replay(const Log& log, std::size_t bank);

}  // namespace attestry::attestation::eventlog
