// Judges the event logs that stand beside evidence: are they well-formed, do their digests say what was measured, and
// do they lead to the registers of the evidence? Then what they say becomes claims.
#pragma once
#include <string>
#include <vector>

#include "attestation/eventlog/digest.h"
#include "attestation/evidence.h"
#include "attestation/verdict.h"

namespace attestry::attestation::eventlog {

/// A fault with what the check says about it; `expected` and `actual` are those of the first event concerned.
struct LogFault {
  std::string expected;
  std::string actual;
  std::string detail;
};

/// The digest of every event in `bank`.
std::vector<DigestMatch> match_digests(const Log& log, std::size_t bank);
/// Events whose digest is not that of their data, and what dstack's wrapper says in another way; nullopt: none.
std::optional<LogFault> find_digest_fault(const Log& log, std::size_t bank, std::span<const DigestMatch> matches);
/// EV_SEPARATOR ends what firmware writes to a register: at most one there, with a value that is no error (PFP 1.06,
/// 10.4.1: 0 and 0xffffffff; 1 is an error of the firmware). What has the digest of a separator in `bank` is one and
/// must have its label; only a boot variable of the bytes 01000000 (BootOrder 1, 0) has the digest of an error, too,
/// and may stand behind the separator. nullopt: none.
std::optional<LogFault> find_separator_fault(const Log& log, std::size_t bank);

/// Records eventlog.* for every supplement and adds the facts to the claims of logs without a fault, with
/// eventlog.registers: what they account for. What two logs state differently is left out. Evidence without run-time
/// registers vouches for no log: that fails. Call after the evidence itself was judged.
void judge_logs(const std::vector<Supplement>& supplements, CheckRecorder& recorder, Verdict& verdict);

}  // namespace attestry::attestation::eventlog
