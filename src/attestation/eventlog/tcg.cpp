// TCG crypto-agile logs: TCG PC Client Platform Firmware Profile 1.06, section 10.2 (structures) and 10.4.5 (the header
// event "Spec ID Event03").
#include <algorithm>
#include <bitset>

#include "attestation/eventlog/log.h"
#include "base/reader.h"

namespace attestry::attestation::eventlog {
namespace {

using base::ByteView;
using base::Error;
using base::Reader;
using base::Result;

constexpr std::size_t kSha1Size = 20;
constexpr std::size_t kMaxDigest = 64;
constexpr std::string_view kSpecId{"Spec ID Event03\0", 16};

Error malformed(std::string what, std::string expected, std::string found) {
  return Error{base::Code::malformed, std::move(what), std::move(expected), std::move(found)};
}

/// 0: a hash of another specification, whose size only the log itself says.
std::size_t known_size(Hash hash) {
  switch (hash) {
    case Hash::sha1:
      return kSha1Size;
    case Hash::sha256:
    case Hash::sm3:
      return 32;
    case Hash::sha384:
      return 48;
    case Hash::sha512:
      return 64;
  }
  return 0;
}

Result<Bank> read_bank(Reader& in) {
  TRY(const std::uint16_t id, in.u16le("algorithm"));
  TRY(const std::uint16_t size, in.u16le("digest size"));
  const auto hash = static_cast<Hash>(id);
  const std::size_t known = known_size(hash);
  if (size == 0 || size > kMaxDigest || (known != 0 && known != size)) {
    return malformed("a digest size is wrong", known == 0 ? "1 to 64" : std::to_string(known), std::to_string(size));
  }
  return Bank{hash, size};
}

/// TCG_EfiSpecIDEvent (10.4.5.1).
Result<std::vector<Bank>> read_spec_id(ByteView data) {
  Reader in(data);
  TRY(const ByteView signature, in.take(kSpecId.size(), "signature"));
  if (base::as_text(signature) != kSpecId) {
    return malformed("the log does not begin with its header", "Spec ID Event03", "another first event");
  }
  TRY_OK(in.u32le("platform class"));
  TRY(const ByteView version, in.take(4, "version"));
  if (version[1] != 2) return malformed("the log has another version", "2", std::to_string(version[1]));
  TRY(const std::uint32_t count, in.u32le("number of algorithms"));
  if (count == 0 || count > kMaxBanks) {
    return malformed("the number of algorithms is wrong", "1 to " + std::to_string(kMaxBanks), std::to_string(count));
  }
  std::vector<Bank> banks;
  for (std::uint32_t i = 0; i < count; ++i) {
    TRY(const Bank bank, read_bank(in));
    if (std::ranges::find(banks, bank.hash, &Bank::hash) != banks.end()) {
      return malformed("an algorithm is listed twice", "once", std::string{to_text(bank.hash)});
    }
    banks.push_back(bank);
  }
  TRY(const std::uint8_t vendor, in.u8("vendor info size"));
  TRY_OK(in.take(vendor, "vendor info"));
  TRY_OK(in.finish("Spec ID event"));
  return banks;
}

/// The first event has the old layout, TCG_PCClientPCREvent with a SHA-1 digest.
Result<std::vector<Bank>> read_header(Reader& in) {
  TRY_OK(in.u32le("register"));
  TRY(const std::uint32_t type, in.u32le("event type"));
  if (type != kNoAction) return malformed("the first event is no header", "EV_NO_ACTION", std::to_string(type));
  TRY_OK(in.take(kSha1Size, "digest"));
  TRY(const std::uint32_t size, in.u32le("event size"));
  TRY(const ByteView data, in.take(size, "event data"));
  return read_spec_id(data);
}

/// What an ACPI area has after the last event: nothing but 0xff or nothing but zeros. (An event of register 0, type 0
/// without digests would be zeros, too, but is none: every event has a digest of every bank.)
bool is_padding(ByteView rest) {
  return (rest.front() == 0xff || rest.front() == 0) &&
         std::ranges::all_of(rest, [&](std::uint8_t b) { return b == rest.front(); });
}

/// TPML_DIGEST_VALUES: exactly one digest of every bank (10.2.2).
base::Status read_digests(Reader& in, const Log& log, Event& event) {
  TRY(const std::uint32_t count, in.u32le("number of digests"));
  if (count != log.banks.size()) {
    return malformed("the number of digests is wrong", std::to_string(log.banks.size()), std::to_string(count));
  }
  for (std::uint32_t i = 0; i < count; ++i) {
    TRY(const std::uint16_t id, in.u16le("algorithm"));
    const std::size_t bank = log.bank(static_cast<Hash>(id));
    if (bank == log.banks.size()) return malformed("a digest has an unlisted algorithm", "", std::to_string(id));
    if (!event.digests[bank].empty()) return malformed("two digests have one algorithm", "one", std::to_string(id));
    TRY(event.digests[bank], in.take(log.banks[bank].size, "digest"));
  }
  return base::done();
}

Result<Event> read_event(Reader& in, const Log& log) {
  Event event{};
  event.index = static_cast<std::uint32_t>(log.events.size());
  TRY(event.number, in.u32le("register"));
  TRY(event.type, in.u32le("event type"));
  const std::uint32_t last = log.registers == Registers::pcr ? 23 : 4;
  if (event.number > last) {
    return malformed("there is no such register", "0 to " + std::to_string(last), std::to_string(event.number));
  }
  // The kind is not covered by the digest: what nobody has defined means nothing and hides something.
  if (type_name(event.type).empty()) return malformed("the event type is not known", "", std::to_string(event.type));
  TRY_OK(read_digests(in, log, event));
  TRY(const std::uint32_t size, in.u32le("event size"));
  TRY(event.data, in.take(size, "event data"));
  return event;
}

}  // namespace

Result<Log> parse_tcg(ByteView bytes, Registers registers) {
  if (bytes.size() > kMaxLogBytes) {
    return malformed("the log is too large", "at most " + std::to_string(kMaxLogBytes) + " bytes",
                     std::to_string(bytes.size()));
  }
  Log log;
  log.registers = registers;
  Reader in(bytes);
  TRY(log.banks, read_header(in), "header");
  log.events.reserve(128);
  while (in.remaining() != 0 && !is_padding(in.rest())) {
    if (log.events.size() == kMaxEvents) return malformed("the log has too many events", "8192", "more");
    TRY(Event event, read_event(in, log), "event " + std::to_string(log.events.size()));
    log.events.push_back(std::move(event));
  }
  log.consumed = in.offset();
  return log;
}

}  // namespace attestry::attestation::eventlog
