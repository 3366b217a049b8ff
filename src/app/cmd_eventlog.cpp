// `attestry eventlog show`: a boot event log for people: its events, the registers that it leads to and what it says.
#include <CLI/CLI.hpp>

#include <algorithm>
#include <iomanip>
#include <ostream>

#include "app/cli.h"
#include "attestation/eventlog/facts.h"
#include "attestation/eventlog/judge.h"
#include "attestation/eventlog/replay.h"
#include "base/encoding.h"
#include "base/json_writer.h"

namespace attestry::app {
namespace {

namespace eventlog = attestation::eventlog;

struct EventLogOptions {
  std::string file;
  std::string format = "text";
  std::string registers = "auto";
  std::string hash = "auto";
};

/// A log with everything that is said about it here.
struct Shown {
  eventlog::Log log;
  std::size_t bank = 0;
  std::vector<eventlog::DigestMatch> matches{};
  std::map<std::uint32_t, base::Bytes> registers{};
  std::vector<eventlog::Fact> facts{};
  std::optional<eventlog::LogFault> digest_fault{};
  std::optional<eventlog::LogFault> separator_fault{};
};

base::Result<eventlog::Log> read_log(base::ByteView bytes, const std::string& registers) {
  if (eventlog::looks_like_json(bytes)) return eventlog::parse_dstack(base::as_text(bytes));
  if (registers == "pcr") return eventlog::parse_tcg(bytes, eventlog::Registers::pcr);
  auto log = eventlog::parse_tcg(bytes, eventlog::Registers::ccel);
  // A TD has SHA-384 alone; firmware with a TPM lists SHA-256 too.
  const bool td = log.ok() && log->banks.size() == 1 && log->banks.front().hash == eventlog::Hash::sha384;
  if (registers == "ccel" || td) return log;
  return eventlog::parse_tcg(bytes, eventlog::Registers::pcr);
}

base::Result<std::size_t> choose_bank(const eventlog::Log& log, const std::string& hash) {
  std::string known;
  for (std::size_t i = 0; i < log.banks.size(); ++i) {
    const std::string_view name = eventlog::to_text(log.banks[i].hash);
    known.append(known.empty() ? "" : ", ").append(name);
    if (hash == name) return i;
  }
  if (hash != "auto") return base::Error{base::Code::usage, "the log has no such digests", known, hash};
  for (const auto wanted : {eventlog::Hash::sha384, eventlog::Hash::sha256, eventlog::Hash::sha512}) {
    if (const std::size_t bank = log.bank(wanted); bank != log.banks.size()) return bank;
  }
  return base::Error{base::Code::malformed, "the log has no digests that prove anything", "sha256, sha384 or sha512",
                     known};
}

base::Result<Shown> examine(eventlog::Log log, const std::string& hash) {
  Shown out{.log = std::move(log)};
  TRY(out.bank, choose_bank(out.log, hash), "--hash");
  out.matches = eventlog::match_digests(out.log, out.bank);
  TRY(out.registers, eventlog::replay(out.log, out.bank));
  out.facts = eventlog::facts_of(out.log, out.bank, out.matches);
  out.digest_fault = eventlog::find_digest_fault(out.log, out.bank, out.matches);
  out.separator_fault = eventlog::find_separator_fault(out.log, out.bank);
  return out;
}

std::string type_of(const eventlog::Event& event) { return std::string{eventlog::type_name(event.type)}; }

/// One line about the data, safe for a terminal.
std::string summary(const eventlog::Event& event) {
  constexpr std::size_t kWidth = 90;
  std::string text = event.name;
  if (event.type == eventlog::kEfiBootServicesApplication) {
    text = eventlog::read_image_load(event.data).path;
  } else if (const auto variable = eventlog::read_variable(event.data); variable && (event.type >> 31) != 0) {
    text = variable->name + (variable->data.size() <= 8 ? " = " + base::hex(variable->data) : "");
  } else if (event.name.empty()) {
    text = std::string{base::as_text(event.data.first(std::min(event.data.size(), kWidth + 1)))};
    if (!text.empty() && text.back() == '\0') text.pop_back();
  }
  const bool readable = std::ranges::all_of(text, [](char c) { return c >= 0x20 && c < 0x7f; });
  if (!readable) text = base::hex(event.data.first(std::min<std::size_t>(event.data.size(), kWidth / 2)));
  if (text.size() > kWidth) text = text.substr(0, kWidth - 3) + "...";
  return text;
}

std::string_view mark(eventlog::DigestMatch match) {
  switch (match) {
    case eventlog::DigestMatch::matches:
      return "ok ";
    case eventlog::DigestMatch::differs:
      return "BAD";
    case eventlog::DigestMatch::undefined:
      return "-  ";
  }
  return "-  ";
}

void write_fault(std::ostream& out, std::string_view what, const std::optional<eventlog::LogFault>& fault) {
  if (fault) out << what << ": " << fault->detail << "\n";
}

void show_text(std::ostream& out, const Shown& shown) {
  const eventlog::Log& log = shown.log;
  out << log.events.size() << " events, " << (log.dstack ? "dstack" : "TCG crypto-agile") << ", digests "
      << eventlog::to_text(log.banks[shown.bank].hash) << "\n\n";
  for (const auto& event : log.events) {
    out << std::right << std::setw(4) << event.index << "  " << std::left << std::setw(6)
        << eventlog::register_name(log.registers, event.number) << mark(shown.matches[event.index]) << " "
        << std::setw(33) << type_of(event) << base::hex(event.digests[shown.bank]).substr(0, 12) << "  "
        << summary(event) << "\n";
  }
  out << "\nok: the digest is that of the text; -: it is of something that the log does not hold; BAD: it is "
         "another's\n"
      << "\nRegisters that the log leads to\n";
  for (const auto& [number, value] : shown.registers) {
    out << "  " << std::left << std::setw(6) << eventlog::register_name(log.registers, number) << base::hex(value)
        << "\n";
  }
  out << "\nWhat it says; only evidence with these registers vouches for it (attestry verify --event-log)\n";
  for (const auto& fact : shown.facts) {
    out << "  " << std::left << std::setw(30) << fact.name << (fact.log_word ? "* " : "  ") << fact.value << "\n";
  }
  if (std::ranges::any_of(shown.facts, &eventlog::Fact::log_word)) {
    out << "\n*: only the log's word: no register covers the labels; it counts beside RTMR2 as a whole\n";
  }
  out << "\n";
  write_fault(out, "WRONG DIGESTS", shown.digest_fault);
  write_fault(out, "WRONG SEPARATORS", shown.separator_fault);
}

base::JsonOut json_of(const Shown& shown) {
  const eventlog::Log& log = shown.log;
  base::JsonOutArray events;
  for (const auto& event : log.events) {
    const auto match = shown.matches[event.index];
    base::JsonOutObject object{{"index", event.index},
                               {"register", eventlog::register_name(log.registers, event.number)},
                               {"type", type_of(event)},
                               {"digest", base::hex(event.digests[shown.bank])},
                               {"data", base::hex(event.data)}};
    if (!event.name.empty()) object.emplace_back("name", event.name);
    if (match != eventlog::DigestMatch::undefined) {
      object.emplace_back("digest_of_data", match == eventlog::DigestMatch::matches);
    }
    events.emplace_back(std::move(object));
  }
  base::JsonOutObject registers;
  for (const auto& [number, value] : shown.registers) {
    registers.emplace_back(eventlog::register_name(log.registers, number), base::hex(value));
  }
  base::JsonOutObject facts;
  for (const auto& fact : shown.facts) facts.emplace_back(std::string{fact.name}, fact.value);
  base::JsonOutArray words;
  for (const auto& fact : shown.facts) {
    if (fact.log_word) words.emplace_back(fact.name);
  }
  base::JsonOutArray faults;
  if (shown.digest_fault) faults.emplace_back(shown.digest_fault->detail);
  if (shown.separator_fault) faults.emplace_back(shown.separator_fault->detail);
  return base::JsonOutObject{{"format", log.dstack ? "dstack" : "tcg"},
                             {"hash", eventlog::to_text(log.banks[shown.bank].hash)},
                             {"registers", std::move(registers)},
                             {"facts", std::move(facts)},
                             {"only_the_logs_word", std::move(words)},
                             {"faults", std::move(faults)},
                             {"events", std::move(events)}};
}

base::Result<int> show(Context& context, const EventLogOptions& options) {
  TRY(const base::Bytes bytes, read_input(context, options.file, eventlog::kMaxLogBytes), "event log");
  TRY(eventlog::Log log, read_log(bytes, options.registers), options.file);
  TRY(const Shown shown, examine(std::move(log), options.hash));
  if (options.format == "json") {
    context.out << json_of(shown).pretty() << "\n";
  } else {
    show_text(context.out, shown);
  }
  return shown.digest_fault || shown.separator_fault ? kExitRefused : kExitOk;
}

constexpr const char* kFooter =
    "Examples:\n"
    "  attestry eventlog show /sys/firmware/acpi/tables/data/CCEL\n"
    "  attestry eventlog show eventlog.json --format json\n"
    "Exit codes: 0 read, 1 the log contradicts itself, 2 it cannot be read.";

}  // namespace

void add_eventlog(CLI::App& app, Context& context) {
  auto options = std::make_shared<EventLogOptions>();
  auto* command = app.add_subcommand("eventlog", "Read a boot event log (TCG, CCEL or dstack)");
  command->require_subcommand(1);
  auto* show_command = command->add_subcommand("show", "Its events, the registers it leads to, and what it says");
  show_command->footer(kFooter);
  show_command->add_option("FILE", options->file, "TCG binary log or dstack's JSON; - for standard input")
      ->type_name("FILE|-")
      ->required();
  show_command->add_option("--registers", options->registers, "what the numbers in a TCG log mean")
      ->check(CLI::IsMember({"auto", "ccel", "pcr"}))
      ->capture_default_str();
  show_command->add_option("--hash", options->hash, "which digests: sha256, sha384, sha512 (default: sha384 if there)")
      ->capture_default_str();
  show_command->add_option("--format", options->format, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  show_command->callback([&context, options] { finish(context, [&] { return show(context, *options); }); });
}

}  // namespace attestry::app
