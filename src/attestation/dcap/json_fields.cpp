#include "attestation/dcap/json_fields.h"

#include <algorithm>

namespace attestry::attestation::dcap {

using base::JsonValue;
using base::Result;

Result<base::UtcTime> time_member(const JsonValue& object, std::string_view key) {
  TRY(const std::string text, string_member(object, key));
  TRY(const base::UtcTime time, base::parse_rfc3339(text), key);
  return time;
}

Result<std::uint32_t> u32_member(const JsonValue& object, std::string_view key) {
  TRY(const JsonValue member, object.get(key));
  TRY(const std::int64_t value, member.integer(key, 0, 0xffffffff));
  return static_cast<std::uint32_t>(value);
}

Result<std::uint16_t> u16_member(const JsonValue& object, std::string_view key) {
  TRY(const JsonValue member, object.get(key));
  TRY(const std::int64_t value, member.integer(key, 0, 0xffff));
  return static_cast<std::uint16_t>(value);
}

Result<std::string> string_member(const JsonValue& object, std::string_view key) {
  TRY(const JsonValue member, object.get(key));
  return member.string(key);
}

Result<std::vector<std::string>> advisories(const JsonValue& level) {
  std::vector<std::string> out;
  const auto member = level.find("advisoryIDs");
  if (!member) return out;
  if (!member->is_array()) return base::Error{base::Code::malformed, "advisoryIDs is not an array"};
  for (auto id = member->first(); id; id = id->next()) {
    TRY(std::string text, id->string("advisoryIDs"));
    out.push_back(std::move(text));
  }
  return out;
}

Result<TcbStatus> status_member(const JsonValue& level, StatusSource source) {
  TRY(const std::string text, string_member(level, "tcbStatus"));
  const auto status = tcb_status_from(text, source);
  if (!status) return base::Error{base::Code::malformed, "unknown tcbStatus", "a status of Intel's list", text};
  return *status;
}

Result<std::vector<IsvLevel>> isv_levels(const JsonValue& object, StatusSource source) {
  TRY(const JsonValue array, array_member(object, "tcbLevels"));
  std::vector<IsvLevel> out;
  for (auto entry = array.first(); entry; entry = entry->next()) {
    IsvLevel level;
    TRY(const JsonValue tcb, object_member(*entry, "tcb"));
    TRY(level.isvsvn, u16_member(tcb, "isvsvn"));
    TRY(level.status, status_member(*entry, source));
    TRY(level.date, time_member(*entry, "tcbDate"));
    TRY(level.advisory_ids, advisories(*entry));
    out.push_back(std::move(level));
  }
  std::ranges::sort(out, [](const IsvLevel& a, const IsvLevel& b) { return a.isvsvn > b.isvsvn; });
  // Two levels for one SVN would leave the status to the order of the text.
  const auto twice = std::ranges::adjacent_find(out, {}, &IsvLevel::isvsvn);
  if (twice != out.end()) return base::Error{base::Code::malformed, "a TCB level is given twice"};
  return out;
}

Result<JsonValue> array_member(const JsonValue& object, std::string_view key) {
  TRY(const JsonValue member, object.get(key));
  if (!member.is_array() || member.size() == 0) {
    return base::Error{base::Code::malformed, std::string{key} + " is not an array with elements"};
  }
  return member;
}

Result<JsonValue> object_member(const JsonValue& object, std::string_view key) {
  TRY(const JsonValue member, object.get(key));
  if (!member.is_object()) return base::Error{base::Code::malformed, std::string{key} + " is not an object"};
  return member;
}

const IsvLevel* find_isv_level(const std::vector<IsvLevel>& levels, std::uint16_t isvsvn) noexcept {
  const auto found = std::ranges::find_if(levels, [&](const IsvLevel& level) { return level.isvsvn <= isvsvn; });
  return found == levels.end() ? nullptr : &*found;
}

}  // namespace attestry::attestation::dcap
