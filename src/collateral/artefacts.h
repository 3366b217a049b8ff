// What this room knows of artefacts beside what attestation says: who vouches for whom, what belongs to a name's
// beginning, and how old a key set may be.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

#include "attestation/artefact.h"
#include "base/result.h"
#include "base/time.h"

namespace attestry::collateral {

/// A key set says neither when it was issued nor when it ends: it is used this long after it was fetched.
inline constexpr std::int64_t kKeySetSeconds = 7 * 86400;

/// Whose chain vouches for it, when that is another artefact of AMD's.
std::optional<attestation::Artefact> signer_of(const attestation::Artefact& artefact);

/// "tcb_info" means all TCB information, "vcek/Milan" all certificates of that product; empty: everything. After the
/// second word a beginning may end anywhere, so that many can be asked for in parts: "vcek/Milan/0".
bool name_begins(const attestation::Artefact& artefact, std::string_view beginning);

/// A key set counts as issued when it was fetched and ends `seconds` later; everything else stays as it is. Error
/// `unavailable`, with its age, when that is over at `now`.
base::Status date_key_set(const attestation::Artefact& artefact, base::UtcTime fetched_at, base::UtcTime now,
                          std::int64_t seconds, attestation::Accepted& accepted);

}  // namespace attestry::collateral
