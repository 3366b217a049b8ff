// Bytes are no TCG event log, or one whose events all lie inside and whose bytes up to the padding are all accounted
// for; leaving out the padding changes nothing, and cutting an event refuses the log.
#include "attestation/eventlog/facts.h"
#include "attestation/eventlog/judge.h"
#include "attestation/eventlog/replay.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace attestry;
  namespace eventlog = attestation::eventlog;
  const base::ByteView bytes{data, size};
  for (const auto registers : {eventlog::Registers::ccel, eventlog::Registers::pcr}) {
    const auto log = eventlog::parse_tcg(bytes, registers);
    if (!log) continue;
    REQUIRE(log->consumed <= size && !log->banks.empty());
    std::size_t held = 0;
    for (const auto& event : log->events) {
      held += event.data.size();
      for (std::size_t bank = 0; bank < log->banks.size(); ++bank) {
        REQUIRE(event.digests[bank].size() == log->banks[bank].size);
        held += event.digests[bank].size();
      }
    }
    REQUIRE(held <= log->consumed);
    const auto exact = eventlog::parse_tcg(bytes.first(log->consumed), registers);
    REQUIRE(exact && exact->events.size() == log->events.size());
    if (!log->events.empty()) REQUIRE(!eventlog::parse_tcg(bytes.first(log->consumed - 1), registers));
    for (std::size_t bank = 0; bank < log->banks.size(); ++bank) {
      const auto matches = eventlog::match_digests(*log, bank);
      REQUIRE(matches.size() == log->events.size());
      for (const auto& fact : eventlog::facts_of(*log, bank, matches)) REQUIRE(!fact.name.empty());
      if (const auto values = eventlog::replay(*log, bank)) {
        for (const auto& [number, value] : *values) REQUIRE(value.size() == log->banks[bank].size && number <= 23);
      }
      (void)eventlog::find_separator_fault(*log, bank);
    }
  }
  return 0;
}
