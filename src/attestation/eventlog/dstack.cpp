// dstack's event log: JSON events {imr, event_type, digest, event, event_payload [, version, preimage]}, alone or in
// the wrappers that dstack's guest agent answers with (GetQuote, Info).
#include <algorithm>

#include "attestation/eventlog/log.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/json_writer.h"

namespace attestry::attestation::eventlog {
namespace {

using base::ByteView;
using base::Error;
using base::JsonDocument;
using base::JsonValue;
using base::Result;

constexpr std::size_t kSha384 = 48;
constexpr std::size_t kMaxName = 256;
constexpr std::int64_t kMaxU32 = 0xffffffff;

Error malformed(std::string what, std::string expected, std::string found) {
  return Error{base::Code::malformed, std::move(what), std::move(expected), std::move(found)};
}

Result<std::shared_ptr<const JsonDocument>> parse(std::string_view text) {
  return JsonDocument::parse(std::string{text}, {.max_bytes = kMaxLogBytes});
}

/// Appends to storage, which was reserved for all of the text, so that earlier views stay.
Result<ByteView> store_hex(Log& log, const JsonValue& event, std::string_view key) {
  const auto member = event.find(key);
  if (!member) return ByteView{};
  TRY(const std::string text, member->string(key));
  TRY(const base::Bytes bytes, base::hex_decode(text), key);
  if (log.storage.capacity() - log.storage.size() < bytes.size()) {
    return malformed("the log has too much data", "less than its own text", std::string{key});
  }
  const std::size_t begin = log.storage.size();
  base::append(log.storage, bytes);
  return ByteView{log.storage}.subspan(begin, bytes.size());
}

/// The second version of the digest is over RFC 8785 JSON; a preimage that says something else is a lie.
base::Status check_preimage(const JsonValue& value, const Event& event) {
  const auto member = value.find("preimage");
  if (!member || !event.canonical) return base::done();
  TRY(const std::string text, member->string("preimage"));
  if (text.empty()) return base::done();
  TRY(const base::Bytes bytes, base::hex_decode(text), "preimage");
  const std::string canonical =
      base::JsonOut(base::JsonOutObject{{"name", event.name}, {"payload", base::hex(event.data)}, {"type", event.type}})
          .canonical();
  if (base::as_text(bytes) == canonical) return base::done();
  return malformed("the preimage is another event's", canonical, "another text");
}

base::Status read_kind(const JsonValue& value, Event& event) {
  TRY(const JsonValue imr, value.get("imr"));
  TRY(const std::int64_t number, imr.integer("imr", 0, 3));
  event.number = static_cast<std::uint32_t>(number) + 1;
  TRY(const JsonValue type, value.get("event_type"));
  TRY(const std::int64_t code, type.integer("event_type", 0, kMaxU32));
  event.type = static_cast<std::uint32_t>(code);
  if (type_name(event.type).empty()) return malformed("the event type is not known", "", std::to_string(code));
  // Only the guest agent writes to RTMR3, and only events whose digest can be computed.
  if (event.number == 4 && event.type != kDstackRuntime) {
    return malformed("an event of RTMR3 has another type", std::to_string(kDstackRuntime), std::to_string(code));
  }
  if (const auto version = value.find("version")) {
    TRY(const std::int64_t which, version->integer("version", 1, 2));
    event.canonical = which == 2;
  }
  return base::done();
}

/// The first version of the digest is over type ":" name ":" payload, of which nothing says where the name ends unless
/// no name has a colon.
base::Status check_name(const Event& event) {
  if (event.type != kDstackRuntime || event.canonical) return base::done();
  if (!event.name.empty() && event.name.find(':') == std::string::npos) return base::done();
  return malformed("a name could end in two places", "a name without a colon", event.name);
}

Result<Event> read_event(const JsonValue& value, Log& log) {
  if (!value.is_object()) return malformed("an event is no object", "{\"imr\": …}", "");
  Event event{};
  event.index = static_cast<std::uint32_t>(log.events.size());
  TRY_OK(read_kind(value, event));
  if (const auto name = value.find("event")) {
    TRY(event.name, name->string("event"));
    if (event.name.size() > kMaxName) return malformed("a name is too long", "256 bytes", "more");
  }
  TRY_OK(check_name(event));
  TRY(event.data, store_hex(log, value, "event_payload"));
  TRY(event.digests[0], store_hex(log, value, "digest"));
  // dstack 0.6 leaves out the digests of runtime events: they follow from name and payload.
  const bool may_be_absent = event.type == kDstackRuntime;
  if (event.digests[0].size() != kSha384 && !(may_be_absent && event.digests[0].empty())) {
    return malformed("a digest has a wrong length", "48 bytes", std::to_string(event.digests[0].size()));
  }
  TRY_OK(check_preimage(value, event));
  return event;
}

base::Status read_events(const JsonValue& array, Log& log) {
  if (!array.is_array()) return malformed("the events are no array", "[…]", "");
  if (array.size() > kMaxEvents) return malformed("the log has too many events", "8192", std::to_string(array.size()));
  log.events.reserve(array.size());
  for (auto value = array.first(); value; value = value->next()) {
    TRY(Event event, read_event(*value, log), "event " + std::to_string(log.events.size()));
    log.events.push_back(std::move(event));
  }
  return base::done();
}

/// A member as it is, or the document that its text is.
struct Inner {
  std::shared_ptr<const JsonDocument> owner;
  JsonValue value;
};
Result<Inner> open(const JsonValue& member, std::string_view what) {
  if (!member.is_string()) return Inner{nullptr, member};
  TRY(const std::string text, member.string(what));
  TRY(auto document, parse(text), what);
  const JsonValue root = document->root();
  return Inner{std::move(document), root};
}

base::Status read_hex_member(const JsonValue& object, std::string_view key, std::string& out) {
  const auto member = object.find(key);
  if (!member || member->is_null()) return base::done();
  TRY(const std::string text, member->string(key));
  TRY(const base::Bytes bytes, base::hex_decode(text), key);
  out = base::hex(bytes);
  return base::done();
}

base::Status read_beside(const JsonValue& object, Log::Beside& beside) {
  for (const char* name : {"mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3"}) {
    std::string value;
    TRY_OK(read_hex_member(object, name, value));
    if (!value.empty()) beside.registers.emplace_back(name, std::move(value));
  }
  TRY_OK(read_hex_member(object, "compose_hash", beside.compose_hash));
  if (const auto compose = object.find("app_compose"); compose && compose->is_string()) {
    TRY(beside.app_compose, compose->string("app_compose"));
  }
  return base::done();
}

base::Status read_wrapper(const JsonValue& object, Log& log) {
  if (const auto info = object.find("tcb_info")) {
    TRY(const Inner inner, open(*info, "tcb_info"));
    if (!inner.value.is_object() || inner.value.find("tcb_info")) return malformed("tcb_info is no object", "{…}", "");
    return read_wrapper(inner.value, log);
  }
  TRY(const JsonValue member, object.get("event_log"));
  TRY(const Inner events, open(member, "event_log"));
  TRY_OK(read_beside(object, log.beside));
  return read_events(events.value, log);
}

}  // namespace

Result<Log> parse_dstack(std::string_view text) {
  TRY(const auto document, parse(text), "event log");
  Log log;
  log.dstack = true;
  log.registers = Registers::ccel;
  log.banks.push_back({Hash::sha384, kSha384});
  log.storage.reserve(text.size());
  const JsonValue root = document->root();
  if (root.is_object()) {
    TRY_OK(read_wrapper(root, log));
  } else {
    TRY_OK(read_events(root, log));
  }
  log.consumed = text.size();
  return log;
}

}  // namespace attestry::attestation::eventlog
