#include "attestation/event_logs.h"

#include <algorithm>
#include <string>
#include <utility>

#include "attestation/eventlog/log.h"
#include "base/encoding.h"

namespace attestry::attestation {

using base::Code;
using base::Error;
using base::Status;

namespace {
constexpr std::size_t kKinds = 2;
constexpr const char* kWhat = "event_logs";
}  // namespace

SupplementKind event_log_kind(base::ByteView bytes) noexcept {
  return eventlog::looks_like_json(bytes) ? SupplementKind::dstack_event_log : SupplementKind::tcg_event_log;
}

Status add_event_log(std::vector<Supplement>& logs, base::Bytes bytes) {
  if (bytes.size() > eventlog::kMaxLogBytes) {
    return Error{Code::too_large, kWhat, "at most " + std::to_string(eventlog::kMaxLogBytes) + " bytes each",
                 std::to_string(bytes.size()) + " bytes"};
  }
  const auto kind = event_log_kind(bytes);
  if (std::ranges::find(logs, kind, &Supplement::kind) != logs.end()) {
    return Error{Code::malformed, kWhat, "at most one TCG log and one of dstack", "two of one kind"};
  }
  logs.push_back({kind, std::move(bytes)});
  return base::done();
}

Status read_event_logs(const base::JsonValue& value, std::vector<Supplement>& logs) {
  if (!value.is_array() || value.size() > kKinds) {
    return Error{Code::malformed, kWhat, "an array of at most 2 logs: one TCG log, one of dstack", {}};
  }
  for (auto item = value.first(); item; item = item->next()) {
    const auto text = item->plain_string();
    if (!text) return Error{Code::malformed, kWhat, "base64url without padding", {}};
    TRY(auto bytes, base::base64url_decode(*text), kWhat);
    TRY_OK(add_event_log(logs, std::move(bytes)));
  }
  return base::done();
}

}  // namespace attestry::attestation
