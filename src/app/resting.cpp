#include "app/resting.h"

#include <sys/mman.h>

#include <charconv>
#include <cstdint>
#include <ctime>
#include <fstream>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace attestry::app {
namespace {

/// Heartbeats and sweeps take a thousandth of a core; a request every second or two is work already.
constexpr int kShareOfWork = 200;

struct Mapping {
  CodeMapping at;
  bool of_program = false;    ///< private, never writable, of a file
  bool none_changed = false;  ///< no present page has a copy of its own
  bool none_in_swap = false;  ///< and none that the kernel has put away: "Anonymous:" counts present pages alone
};

/// "55d0-55d9 r-xp 00001000 fe:01 123   /usr/bin/attestry", as proc_pid_maps(5) has it; nothing when it is another
/// line.
bool read_heading(std::string_view line, Mapping& mapping) {
  const char* end = line.data() + line.size();
  Mapping read;
  const auto [dash, first] = std::from_chars(line.data(), line.data() + line.size(), read.at.begin, 16);
  if (first != std::errc{} || dash == end || *dash != '-') return false;
  const auto [space, second] = std::from_chars(dash + 1, end, read.at.end, 16);
  if (second != std::errc{} || space == end || *space != ' ') return false;
  const std::string_view rest{space + 1, static_cast<std::size_t>(end - space - 1)};
  read.of_program =
      (rest.starts_with("r-xp ") || rest.starts_with("r--p ")) && rest.find(" /") != std::string_view::npos;
  mapping = read;
  return true;
}

/// "Swap:                  0 kB", and of no field whose name only begins so.
bool is_none(std::string_view line, std::string_view field) {
  if (!line.starts_with(field)) return false;
  const auto value = line.find_first_not_of(' ', field.size());
  return value != std::string_view::npos && line.substr(value) == "0 kB";
}

}  // namespace

std::vector<CodeMapping> unchanged_code(std::istream& smaps) {
  std::vector<Mapping> all;
  for (std::string line; std::getline(smaps, line);) {
    Mapping next;
    if (read_heading(line, next)) {
      all.push_back(next);
    } else if (!all.empty()) {
      if (is_none(line, "Anonymous:")) all.back().none_changed = true;
      if (is_none(line, "Swap:")) all.back().none_in_swap = true;
    }
  }
  std::vector<CodeMapping> out;
  out.reserve(all.size());
  for (const auto& one : all) {
    if (one.of_program && one.none_changed && one.none_in_swap) out.push_back(one.at);
  }
  return out;
}

std::size_t give_back_code() {
  std::size_t given = 0;
  std::ifstream smaps{"/proc/self/smaps"};
  for (const auto& one : unchanged_code(smaps)) {
    const std::size_t size = one.end - one.begin;
    // NOLINTNEXTLINE(performance-no-int-to-ptr): the kernel says addresses as numbers.
    if (::madvise(reinterpret_cast<void*>(one.begin), size, MADV_DONTNEED) == 0) given += size;
  }
  return given;
}

bool Resting::begins(std::chrono::nanoseconds cpu, std::chrono::nanoseconds interval) {
  const bool works = (cpu - before_) * kShareOfWork > interval;
  before_ = cpu;
  const bool begins = worked_ && !works;
  worked_ = works;
  return begins;
}

std::chrono::nanoseconds process_cpu_time() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return std::chrono::seconds{now.tv_sec} + std::chrono::nanoseconds{now.tv_nsec};
}

}  // namespace attestry::app
