// Event logs beside evidence, as requests and command lines bring them: at most one of a kind.
#pragma once
#include <vector>

#include "attestation/evidence.h"
#include "base/json.h"
#include "base/result.h"

namespace attestry::attestation {

/// What the first bytes say: JSON is dstack's, anything else TCG's.
SupplementKind event_log_kind(base::ByteView bytes) noexcept;

/// Error `too_large` beyond eventlog::kMaxLogBytes, `malformed` when `logs` has one of that kind.
base::Status add_event_log(std::vector<Supplement>& logs, base::Bytes bytes);

/// Adds the logs of a JSON array of base64url texts. Errors as above, and `malformed`; each names `event_logs`.
base::Status read_event_logs(const base::JsonValue& value, std::vector<Supplement>& logs);

}  // namespace attestry::attestation
