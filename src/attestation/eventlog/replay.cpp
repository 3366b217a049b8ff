#include "attestation/eventlog/replay.h"

#include "attestation/eventlog/digest.h"

namespace attestry::attestation::eventlog {
namespace {

using base::Bytes;

constexpr std::string_view kStartupLocality{"StartupLocality\0", 16};

/// nullopt: the event is something else.
std::optional<std::uint8_t> startup_locality(const Event& event) {
  if (event.type != kNoAction || event.number != 0 || event.data.size() != kStartupLocality.size() + 1) return {};
  if (!base::as_text(event.data).starts_with(kStartupLocality)) return {};
  return event.data.back();
}

Bytes initial(const Log& log, std::uint32_t number, std::size_t size, std::uint8_t locality) {
  const bool pcr = log.registers == Registers::pcr;
  Bytes value(size, pcr && number >= 17 && number <= 22 ? std::uint8_t{0xff} : std::uint8_t{0});
  if (pcr && number == 0) value.back() = locality;
  return value;
}

base::Result<std::uint8_t> locality_of(const Log& log) {
  std::optional<std::uint8_t> found;
  if (log.registers != Registers::pcr) return std::uint8_t{0};
  for (const Event& event : log.events) {
    const auto locality = startup_locality(event);
    if (!locality) continue;
    // PFP 1.06, 10.4.5.3: locality 0, 3, or 4 for an H-CRTM.
    if (found || (*locality != 0 && *locality != 3 && *locality != 4)) {
      return base::Error{base::Code::malformed, "StartupLocality", "once, 0, 3 or 4", std::to_string(*locality)};
    }
    found = locality;
  }
  return found.value_or(0);
}

}  // namespace

base::Result<std::map<std::uint32_t, Bytes>> replay(const Log& log, std::size_t bank) {
  if (bank >= log.banks.size() || hash_of(log.banks[bank].hash, {}).empty()) {
    return base::Error{base::Code::malformed, "the log has no digests of this hash", "sha256, sha384 or sha512", ""};
  }
  TRY(const std::uint8_t locality, locality_of(log));
  std::map<std::uint32_t, Bytes> out;
  for (const Event& event : log.events) {
    if (event.type == kNoAction) continue;
    auto place = out.find(event.number);
    if (place == out.end()) {
      place = out.emplace(event.number, initial(log, event.number, log.banks[bank].size, locality)).first;
    }
    place->second = hash_of(log.banks[bank].hash, {place->second, extended_digest(log, event, bank)});
  }
  return out;
}

}  // namespace attestry::attestation::eventlog
