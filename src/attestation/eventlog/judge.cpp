#include "attestation/eventlog/judge.h"

#include <algorithm>
#include <map>
#include <set>

#include "attestation/eventlog/facts.h"
#include "attestation/eventlog/replay.h"
#include "base/encoding.h"
#include "crypto/hash.h"

namespace attestry::attestation::eventlog {
namespace {

using base::ByteView;

constexpr std::string_view kRegisterClaims[] = {"mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3"};
constexpr std::uint32_t kRtmr0 = 1;
constexpr std::uint32_t kRtmr3 = 4;
/// As many are named; a log that was swapped for another differs everywhere.
constexpr std::size_t kNamed = 4;

std::string place_of(const Log& log, const Event& event) {
  std::string out = "event " + std::to_string(event.index) + " (";
  out.append(type_name(event.type));
  if (!event.name.empty()) out.append(" ").append(event.name);
  return out.append(") in ").append(register_name(log.registers, event.number));
}

void list(std::string& detail, std::string_view more) { detail.append(detail.empty() ? "" : "; ").append(more); }

/// What a wrapper shows must be what the events say, or a reader sees one thing and the registers vouch for another.
std::optional<LogFault> find_wrapper_fault(const Log& log) {
  if (log.beside.compose_hash.empty() && log.beside.app_compose.empty()) return std::nullopt;
  const Event* event = dstack_identity(log, "compose-hash");
  const std::string measured = event == nullptr ? "" : base::hex(event->data);
  if (!log.beside.compose_hash.empty() && log.beside.compose_hash != measured) {
    return LogFault{measured, log.beside.compose_hash, "compose_hash is not the one of the event compose-hash"};
  }
  if (log.beside.app_compose.empty()) return std::nullopt;
  const std::string given = base::hex(crypto::sha256(base::as_bytes(log.beside.app_compose)));
  if (given == measured) return std::nullopt;
  return LogFault{measured, given, "app_compose is not what the event compose-hash names"};
}

/// dstack leaves the boot events out where space counts (certificates): all but the ACPI tables of RTMR0.
bool is_stripped(const Log& log) {
  return log.dstack && std::ranges::all_of(log.events, [](const Event& event) {
           return event.number == kRtmr3 || (event.number == kRtmr0 && event.type == kPlatformConfigFlags);
         });
}

/// Whether the log is to account for the whole register. A firmware's log ends with the boot: RTMR3 is only for the
/// time after it. Everything else that a register holds and the log does not is a difference.
bool accounts_for(const Log& log, std::uint32_t number, bool has_events) {
  if (is_stripped(log)) return number == kRtmr3;
  return has_events || log.dstack || number != kRtmr3;
}

class Replay {
 public:
  Replay(const Log& log, const std::map<std::uint32_t, base::Bytes>& values, const Verdict& verdict)
      : log_(log), values_(values), verdict_(verdict) {}

  void run() {
    if (values_.contains(0)) differ("mrtd", "no event", "events", "mrtd cannot be extended");
    for (std::uint32_t number = kRtmr0; number <= kRtmr3; ++number) compare(number);
    for (const auto& [name, value] : log_.beside.registers) {
      const Claim* claim = verdict_.claim(name);
      if (claim != nullptr && claim->value != value)
        differ(name, claim->value, value, name + " beside the log differs");
    }
  }
  bool good() const { return !fault_.has_value(); }
  const LogFault& fault() const { return *fault_; }
  const std::vector<std::string_view>& replayed() const { return replayed_; }

 private:
  void compare(std::uint32_t number) {
    const std::string_view name = kRegisterClaims[number];
    const Claim* claim = verdict_.claim(name);
    const auto found = values_.find(number);
    if (!accounts_for(log_, number, found != values_.end()) || claim == nullptr) return;
    const std::string value = base::hex(found == values_.end() ? base::Bytes(48, 0) : found->second);
    if (value == claim->value) {
      replayed_.push_back(name);
    } else {
      differ(name, claim->value, value,
             found == values_.end() ? "the log never extends " + std::string{name}
                                    : std::string{name} + " differs, the log leads to " + value);
    }
  }

  void differ(std::string_view name, std::string expected, std::string actual, std::string_view detail) {
    if (!fault_) {
      fault_ = LogFault{std::string{name} + " " + std::move(expected), std::string{name} + " " + std::move(actual), ""};
    }
    list(fault_->detail, detail);
  }

  const Log& log_;
  const std::map<std::uint32_t, base::Bytes>& values_;
  const Verdict& verdict_;
  std::optional<LogFault> fault_;
  std::vector<std::string_view> replayed_;
};

base::Result<Log> read(const Supplement& supplement) {
  if (supplement.kind == SupplementKind::tcg_event_log) return parse_tcg(supplement.bytes, Registers::ccel);
  return parse_dstack(base::as_text(supplement.bytes));
}

void record(CheckRecorder& recorder, CheckId check, const std::optional<LogFault>& fault) {
  if (!fault) return recorder.pass(check);
  recorder.fail(check, fault->expected, fault->actual, fault->detail);
}

using Names = std::vector<std::string_view>;

/// The registers that the log accounts for; nullopt when it does not lead to those of the evidence, which is recorded.
std::optional<Names> judge_replay(const Log& log, std::size_t bank, CheckRecorder& recorder, const Verdict& verdict) {
  if (verdict.platform == Platform::unknown) return std::nullopt;  // the evidence could not be read
  if (verdict.claim("rtmr0") == nullptr) {
    recorder.fail(CheckId::eventlog_replay, "evidence with run-time registers (Intel TDX)",
                  std::string{to_text(verdict.platform)}, "nothing in the evidence vouches for a log");
    return std::nullopt;
  }
  const auto values = replay(log, bank);
  if (!values.ok()) {
    recorder.fail(CheckId::eventlog_replay, values.error().expected, values.error().found, values.error().what);
    return std::nullopt;
  }
  Replay comparison(log, *values, verdict);
  comparison.run();
  if (comparison.good()) return comparison.replayed();
  record(recorder, CheckId::eventlog_replay, comparison.fault());
  return std::nullopt;
}

/// What the logs of one piece of evidence say together.
class Together {
 public:
  void replayed(const Names& registers) {
    all_replayed_.insert(registers.begin(), registers.end());
    any_ = true;
  }

  void believe(const Names& registers, std::vector<Fact> facts) {
    registers_.insert(registers.begin(), registers.end());
    for (Fact& fact : facts) {
      const auto known = std::ranges::find(facts_, fact.name, &Fact::name);
      if (known == facts_.end()) {
        facts_.push_back(std::move(fact));
      } else if (known->value == fact.value) {
        known->log_word = known->log_word && fact.log_word;
      } else {
        contradicted_.insert(fact.name);
      }
    }
  }

  void finish(CheckRecorder& recorder, Verdict& verdict) {
    std::erase_if(facts_, [&](const Fact& fact) { return contradicted_.contains(fact.name); });
    std::ranges::sort(facts_, {}, &Fact::name);
    Names words;
    for (const Fact& fact : facts_) {
      if (fact.log_word) words.push_back(fact.name);
      verdict.claims.push_back({.name = fact.name, .value = fact.value, .log_word = fact.log_word});
    }
    if (!registers_.empty()) {
      verdict.claims.push_back({.name = "eventlog.registers", .value = joined(registers_, " ")});
    }
    if (!any_) return;
    std::string said = joined(all_replayed_, ", ");
    if (!words.empty()) said.append("; only the log's word: ").append(joined(words, ", "));
    if (!contradicted_.empty()) said.append("; the logs contradict each other: ").append(joined(contradicted_, ", "));
    recorder.pass(CheckId::eventlog_replay, std::move(said));
  }

 private:
  template <class Words>
  static std::string joined(const Words& words, std::string_view between) {
    std::string out;
    for (const std::string_view word : words) out.append(out.empty() ? "" : between).append(word);
    return out;
  }

  std::set<std::string_view> all_replayed_;
  std::set<std::string_view> registers_;  ///< of logs without a fault
  std::set<std::string_view> contradicted_;
  std::vector<Fact> facts_;
  bool any_ = false;
};

/// Nothing more can be said of a log that cannot be read.
void refuse(CheckRecorder& recorder, const LogFault& fault) {
  record(recorder, CheckId::eventlog_format, fault);
  for (const CheckId check : {CheckId::eventlog_digests, CheckId::eventlog_separators, CheckId::eventlog_replay}) {
    recorder.may_run(check);
  }
}

void judge_log(const Supplement& supplement, CheckRecorder& recorder, const Verdict& verdict, Together& together) {
  const auto log = read(supplement);
  if (!log.ok()) return refuse(recorder, {log.error().expected, log.error().found, log.error().what});
  const std::size_t bank = log->bank(Hash::sha384);
  if (bank == log->banks.size())
    return refuse(recorder, {"SHA-384", "other digests", "the log has no digests of a TD"});
  if (log->events.empty()) return refuse(recorder, {"at least one event", "none", "the log is empty"});
  recorder.pass(CheckId::eventlog_format, std::to_string(log->events.size()) + " events");

  const std::vector<DigestMatch> matches = match_digests(*log, bank);
  const auto digest_fault = find_digest_fault(*log, bank, matches);
  const auto separator_fault = find_separator_fault(*log, bank);
  record(recorder, CheckId::eventlog_digests, digest_fault);
  record(recorder, CheckId::eventlog_separators, separator_fault);
  const auto registers = judge_replay(*log, bank, recorder, verdict);
  if (!registers) return;
  together.replayed(*registers);
  if (!digest_fault && !separator_fault) together.believe(*registers, facts_of(*log, bank, matches));
}

}  // namespace

std::vector<DigestMatch> match_digests(const Log& log, std::size_t bank) {
  std::vector<DigestMatch> out;
  out.reserve(log.events.size());
  for (const Event& event : log.events) out.push_back(match_digest(log, event, bank));
  // A runtime event of dstack needs no digest in the log: the computed one goes into the register.
  for (const Event& event : log.events) {
    if (log.dstack && event.type == kDstackRuntime && event.digests[bank].empty()) {
      out[event.index] = DigestMatch::matches;
    }
  }
  return out;
}

std::optional<LogFault> find_digest_fault(const Log& log, std::size_t bank, std::span<const DigestMatch> matches) {
  std::optional<LogFault> fault;
  std::size_t named = 0;
  for (const Event& event : log.events) {
    if (matches[event.index] != DigestMatch::differs || event.type == kNoAction) continue;
    if (!fault) fault = LogFault{"the digest of its data", base::hex(event.digests[bank]), ""};
    if (named++ < kNamed) list(fault->detail, place_of(log, event));
  }
  if (named > kNamed) list(fault->detail, "and " + std::to_string(named - kNamed) + " more");
  return fault ? fault : find_wrapper_fault(log);
}

std::optional<LogFault> find_separator_fault(const Log& log, std::size_t bank) {
  const KnownDigests known(log.banks[bank].hash);
  std::map<std::uint32_t, std::uint32_t> first;
  for (const Event& event : log.events) {
    if (event.type == kNoAction) continue;
    if (event.type != kSeparator) {
      const SeparatorDigest digest = known.separator(event.digests[bank]);
      const bool variable = event.type == kEfiVariableBoot || event.type == kEfiVariableBoot2;
      const bool harmless = digest == SeparatorDigest::error && variable && first.contains(event.number);
      if (digest == SeparatorDigest::none || harmless) continue;
      return LogFault{"EV_SEPARATOR", std::string{type_name(event.type)},
                      place_of(log, event) + " has the digest of a separator"};
    }
    const bool fits = event.data.empty() ? log.dstack
                                         : event.data.size() == 4 && (event.data[0] == 0 || event.data[0] == 0xff) &&
                                               std::ranges::count(event.data, event.data[0]) == 4;
    if (!fits)
      return LogFault{"00000000 or ffffffff", base::hex(event.data.first(std::min<std::size_t>(event.data.size(), 16))),
                      place_of(log, event)};
    const auto [earlier, fresh] = first.emplace(event.number, event.index);
    if (!fresh) {
      return LogFault{"one separator in a register", "two",
                      place_of(log, event) + ", and before it event " + std::to_string(earlier->second)};
    }
  }
  return std::nullopt;
}

void judge_logs(const std::vector<Supplement>& supplements, CheckRecorder& recorder, Verdict& verdict) {
  Together together;
  for (const Supplement& supplement : supplements) judge_log(supplement, recorder, verdict, together);
  together.finish(recorder, verdict);
}

}  // namespace attestry::attestation::eventlog
