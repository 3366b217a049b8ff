// Text is no log of dstack, or one in which every digest is absent or of 48 bytes, runtime events alone are in RTMR3,
// and the digest that goes into the register never is one that the log merely claims for a runtime event.
#include "attestation/eventlog/facts.h"
#include "attestation/eventlog/judge.h"
#include "attestation/eventlog/replay.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace attestry;
  namespace eventlog = attestation::eventlog;
  const auto log = eventlog::parse_dstack(base::as_text({data, size}));
  if (!log) return 0;
  REQUIRE(log->storage.size() <= size && log->banks.size() == 1);
  const auto matches = eventlog::match_digests(*log, 0);
  for (const auto& event : log->events) {
    REQUIRE(event.number >= 1 && event.number <= 4);
    REQUIRE(event.digests[0].empty() || event.digests[0].size() == 48);
    REQUIRE(event.number != 4 || event.type == eventlog::kDstackRuntime);
    const base::Bytes extended = eventlog::extended_digest(*log, event, 0);
    REQUIRE(extended.size() == 48);
    if (event.type == eventlog::kDstackRuntime && matches[event.index] == eventlog::DigestMatch::matches) {
      REQUIRE(event.digests[0].empty() || base::equal(extended, event.digests[0]));
    }
  }
  for (const auto& fact : eventlog::facts_of(*log, 0, matches)) REQUIRE(!fact.name.empty());
  REQUIRE(eventlog::replay(*log, 0).ok());
  (void)eventlog::find_separator_fault(*log, 0);
  (void)eventlog::find_digest_fault(*log, 0, matches);
  return 0;
}
