// What a process does when nothing is asked of it: it gives back the pages of its program and libraries that were
// needed to start, or for the last request, and not to wait (docs/decisions/0024-code-is-given-back-at-rest.md).
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <istream>
#include <vector>

namespace attestry::app {

/// Addresses [begin, end) of this process.
struct CodeMapping {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
  bool operator==(const CodeMapping&) const = default;
};

/// Of a text as /proc/PID/smaps has it (proc_pid_smaps(5)): private mappings of files that cannot be written, of which
/// no page is other than the file's. A changed page is in memory ("Anonymous:") or in swap ("Swap:"); a mapping of
/// which the text does not say both is none of these. Thread-safe.
std::vector<CodeMapping> unchanged_code(std::istream& smaps);

/// Unmaps the present pages of the program's and its libraries' code and constants: they stay in the kernel's page
/// cache, and what is executed or read again is mapped again, at the price of a minor fault for 16 pages. Bytes of the
/// mappings whose pages were dropped, 0 where /proc is not mounted. Mappings that may be written or of which a page was
/// ever changed (relocations, a debugger's breakpoints), also if it is in swap now, are left alone, locked ones too.
/// Any thread may run meanwhile.
std::size_t give_back_code();

/// When to do that: once, at the end of the first interval without work after one with. The caller asks once for each
/// interval. Not thread-safe.
class Resting {
 public:
  /// `cpu`: what all threads of the process have used since it began (CLOCK_PROCESS_CPUTIME_ID). `interval`: since the
  /// last call. True: give back now.
  bool begins(std::chrono::nanoseconds cpu, std::chrono::nanoseconds interval);

 private:
  std::chrono::nanoseconds before_{0};
  bool worked_ = true;  // starting is work
};

/// CLOCK_PROCESS_CPUTIME_ID.
std::chrono::nanoseconds process_cpu_time();

}  // namespace attestry::app
