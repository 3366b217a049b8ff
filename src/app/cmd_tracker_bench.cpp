// `attestry tracker bench`: the experiments of PBTS's first generation, with their flags.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>
#include <ostream>
#include <sstream>

#include "app/registry_chain.h"
#include "app/tracker_bench.h"
#include "app/tracker_commands.h"
#include "app/version.h"
#include "base/bytes.h"
#include "net/url.h"
#include "state/file.h"

namespace attestry::app {
namespace {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

struct Named {
  std::string_view file;  ///< NAME.json and NAME.svg, the original's
  std::string_view title;
  Experiment run;
};
constexpr std::array kExperiments{Named{"receipts", "receipts", bench_receipts},
                                  Named{"tee", "keys and quotes", bench_tee},
                                  Named{"client_download", "downloads with receipts", bench_client_download},
                                  Named{"tracker_overhead", "tracker with TEE against without", bench_tracker_overhead},
                                  Named{"scalability", "many at once", bench_scalability},
                                  Named{"gas", "gas", bench_gas}};

/// What is said on the command line.
struct Said {
  TrackerBenchOptions bench{};
  std::string out = "tracker-bench";
  std::string output;
  std::string format = "text";
  std::vector<std::string> rpc;
  std::uint64_t chain_id = 31337;
  bool quick = false;
  bool no_auto_start = false;
  std::array<bool, kExperiments.size()> skip{};
  /// What --quick says of an option that nobody has said; null: of what has none here.
  std::vector<std::pair<CLI::Option*, std::function<void()>>> quick_values{};
};

void print(std::ostream& out, const BenchOutcome& outcome) {
  for (const auto& [title, table] : outcome.tables) {
    out << title << "\n";
    table.print(out, "figures");
    out << "\n";
  }
  for (const std::string& note : outcome.notes) out << "Note: " << note << ".\n";
  if (!outcome.notes.empty()) out << "\n";
}

Status write_file(const std::string& path, std::string_view text) {
  return state::replace_file(state::system_files(), path, base::as_bytes(text));
}

class Output {
 public:
  static Result<Output> open(const Said& said) {
    std::error_code failed;
    std::filesystem::create_directories(said.out, failed);
    if (failed) {
      return Error{Code::usage, "--out: cannot make the folder " + said.out, "a folder that can be written",
                   failed.message()};
    }
    return Output{said.out};
  }
  Status add(const Named& named, BenchOutcome& outcome) {
    const std::string name{named.file};
    TRY_OK(write_file(path(name + ".json"), base::JsonOut{outcome.json}.pretty() + "\n"));
    for (const auto& [file, plot] : outcome.plots) TRY_OK(write_file(path(file + ".svg"), to_svg(plot)));
    print(summary_, outcome);
    for (const BenchClaim& claim : outcome.claims) comparison_.rows.push_back({claim.what, claim.claimed, claim.ours});
    all_.emplace_back(name, std::move(outcome.json));
    return base::done();
  }
  Result<std::string> finish(base::JsonOutObject about) {
    std::ostringstream compared;
    compared << "What the original and its paper say, and what was measured here\n";
    comparison_.print(compared, "claims");
    for (auto& one : all_) about.push_back(std::move(one));
    std::string json = base::JsonOut{std::move(about)}.pretty() + "\n";
    TRY_OK(write_file(path("all_results.json"), json));
    TRY_OK(write_file(path("SUMMARY.txt"), summary_.str()));
    TRY_OK(write_file(path("COMPARISON.txt"), compared.str()));
    compared_ = compared.str();
    return json;
  }
  const std::string& compared() const noexcept { return compared_; }

 private:
  explicit Output(std::string folder) : folder_(std::move(folder)) {}
  std::string path(const std::string& name) const { return folder_ + "/" + name; }

  std::string folder_;
  std::ostringstream summary_;
  std::string compared_;
  Table comparison_{.columns = {"what", "claimed", "here"}, .rows = {}};
  base::JsonOutObject all_;
};

Status check(Said& said) {
  auto& bench = said.bench;
  for (const auto& [flag, url] :
       {std::pair{"--tracker-url", bench.tracker_url}, std::pair{"--tee-tracker-url", bench.tee_tracker_url},
        std::pair{"--pcs", bench.pcs}}) {
    if (!url.empty()) {
      TRY_OK(net::check_http_url(url), flag);
    }
  }
  if (said.no_auto_start && (bench.tracker_url.empty() || bench.tee_tracker_url.empty())) {
    return Error{Code::usage, "--no-auto-start: which trackers are measured?",
                 "--tracker-url URL --tee-tracker-url URL", "one of them, or none",
                 "Give both, or leave --no-auto-start away: trackers are started and ended then."};
  }
  if (said.rpc.empty() != bench.gas.key_file.empty()) {
    return Error{Code::usage, "gas is measured with --rpc and --key together", "--rpc URL --key FILE", "one of them",
                 "Give both, or neither: then the figures of the documents are shown."};
  }
  for (const std::string& url : said.rpc) {
    TRY_OK(net::check_http_url(url), "--rpc");
    bench.gas.chain.endpoints.push_back({.url = url});
  }
  bench.gas.chain.chain_id = said.chain_id;
  TRY(bench.gas.chain.finality, chain::Finality::parse("depth:0"));
  return base::done();
}

base::JsonOutObject about(Context& context, const Said& said) {
  return {{"program", "attestry"},
          {"version", kVersion},
          {"time", base::to_rfc3339(context.clock.now())},
          {"quick", said.quick},
          {"tee_source", said.bench.dstack.empty() ? "simulated (forge)" : "dstack: " + said.bench.dstack}};
}

Result<int> bench(Context& context, Said& said, const std::vector<const Named*>& wanted) {
  if (said.quick) {
    for (const auto& [option, apply] : said.quick_values) {
      if (option == nullptr || option->count() == 0) apply();
    }
  }
  TRY_OK(check(said));
  if (wanted.empty()) {
    return Error{Code::usage, "every experiment is skipped", "at least one", {}, "Leave one of the --skip flags away."};
  }
  TRY(Output output, Output::open(said));
  TRY(const auto run, BenchRun::open(context, said.bench));
  std::size_t number = 0;
  for (const Named* named : wanted) {
    run->progress("[" + std::to_string(++number) + "/" + std::to_string(wanted.size()) + "] " +
                  std::string{named->title});
    TRY(BenchOutcome outcome, named->run(*run), std::string{named->title});
    if (said.format == "text") print(context.out, outcome);
    if (!said.output.empty()) {
      TRY_OK(write_file(said.output, base::JsonOut{outcome.json}.pretty() + "\n"), "--output");
    }
    TRY_OK(output.add(*named, outcome));
  }
  TRY(const auto json, output.finish(about(context, said)));
  if (said.format == "json") {
    context.out << json;
  } else {
    context.out << output.compared() << "\nJSON, plots and this text: " << said.out << "/\n";
  }
  return kExitOk;
}

using Numbers = std::vector<unsigned>;
constexpr unsigned kMost = 1'000'000;

template <class T>
void number(CLI::App& command, Said& said, const char* flag, T& into, T quick, const char* help, unsigned least = 1,
            unsigned most = kMost) {
  auto* option = command.add_option(flag, into, help)->check(CLI::Range(least, most))->capture_default_str();
  said.quick_values.emplace_back(option, [&into, quick] { into = quick; });
}

void numbers(CLI::App& command, Said& said, const char* flag, Numbers& into, const Numbers& quick, const char* help,
             unsigned most = kMost) {
  auto* option = command.add_option(flag, into, help)
                     ->check(CLI::Range(1U, most))
                     ->delimiter(',')
                     ->expected(1, 100)
                     ->capture_default_str();
  said.quick_values.emplace_back(option, [&into, quick] { into = quick; });
}

constexpr unsigned kMostReceipts = 1000;  ///< of a report
constexpr unsigned kMostPieceKib = 16'384;

void add_output(CLI::App& command, Said& said) {
  command.add_option("--out,--output-dir", said.out, "folder for JSON, plots (SVG), SUMMARY.txt and COMPARISON.txt")
      ->type_name("DIR")
      ->capture_default_str();
  command.add_option("--format", said.format, "what is printed: text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  command.add_flag("--quick", said.quick, "small numbers: seconds in place of minutes, and figures that say little");
}

void add_trackers(CLI::App& command, Said& said) {
  command.add_option("--tracker-url", said.bench.tracker_url, "measure this tracker; without it one is started")
      ->type_name("URL");
}

void add_tee_options(CLI::App& command, Said& said) {
  command.add_option("--tee-tracker-url", said.bench.tee_tracker_url, "likewise the tracker that has a TEE")
      ->type_name("URL");
  command.add_option("--dstack", said.bench.dstack, "socket of dstack's guest agent; without it the forge stands in")
      ->type_name("SOCKET");
  command.add_option("--pcs", said.bench.pcs, "collateral for quotes of --dstack [Intel's]")->type_name("URL");
}

void add_chain(CLI::App& command, Said& said) {
  command.add_option("--rpc", said.rpc, "endpoint of a chain, anvil's for example: gas is measured there")
      ->type_name("URL");
  command.add_option("--chain-id", said.chain_id, "of that chain")->capture_default_str();
  command.add_option("--key", said.bench.gas.key_file, "file with the key of an account that pays there")
      ->type_name("FILE");
}

/// The flags of the original's run_all_experiments.
void add_all(CLI::App& command, Said& said) {
  auto& bench = said.bench;
  number(command, said, "--receipt-iterations", bench.receipts.iterations, 2U, "times that each is done");
  numbers(command, said, "--receipt-batch-sizes", bench.receipts.batch_sizes, {2, 5}, "receipts verified together",
          kMostReceipts);
  number(command, said, "--tee-iterations", bench.tee.iterations, 2U, "keys and quotes");
  number(command, said, "--tee-verify-iterations", bench.tee.verifications, 1U, "quotes that are verified");
  numbers(command, said, "--scalability-peers", bench.scalability.peers, {2, 5}, "peers at once", 60'000);
  numbers(command, said, "--scalability-swarm-sizes", bench.scalability.swarms, {20, 50}, "peers of a swarm", 50'000);
  number(command, said, "--gas-users", bench.gas.users, 2U, "members on the chain");
  static constexpr std::array kFlags{"--skip-receipts",         "--skip-tee",         "--skip-client-download",
                                     "--skip-tracker-overhead", "--skip-scalability", "--skip-gas"};
  for (std::size_t i = 0; i < kFlags.size(); ++i) command.add_flag(kFlags[i], said.skip[i], "leave it out");
}

/// What --quick makes small that has no flag of its own: anywhere, or beside the flags of all experiments.
void add_quick_rest(Said& said, bool all) {
  auto& bench = said.bench;
  said.quick_values.emplace_back(nullptr, [&bench, all] {
    bench.download.paced_seconds = 0.02;
    bench.overhead.clients = 2;
    bench.overhead.reports = {1, 3};
    if (!all) return;
    bench.download.warmup = bench.overhead.warmup = 1;
    bench.download.iterations = bench.overhead.iterations = 2;
    bench.download.speeds = {10, 50};
    bench.download.piece_sizes = {64, 256};
    bench.download.sample_mb = 1;
    bench.scalability.announces = 10;
    bench.scalability.receipts_per_report = 2;
  });
}

void add_flags(CLI::App& command, Said& said, std::size_t which) {
  auto& bench = said.bench;
  switch (which) {
    case 0:
      number(command, said, "--iterations", bench.receipts.iterations, 2U, "times that each is done");
      numbers(command, said, "--batch-sizes", bench.receipts.batch_sizes, {2, 5}, "receipts verified together",
              kMostReceipts);
      break;
    case 1:
      bench.tee = {.iterations = 100, .verifications = 10};  // the original's script alone does more
      number(command, said, "--iterations", bench.tee.iterations, 2U, "keys and quotes");
      number(command, said, "--verify-iterations", bench.tee.verifications, 1U, "quotes that are verified");
      add_tee_options(command, said);
      break;
    case 2:
      number(command, said, "--warmup", bench.download.warmup, 1U, "pieces before it counts", 0);
      number(command, said, "--iterations", bench.download.iterations, 2U, "samples without receipts, and with");
      numbers(command, said, "--speeds", bench.download.speeds, {10, 50}, "MB a second", 10'000);
      numbers(command, said, "--piece-sizes", bench.download.piece_sizes, {64, 256}, "KiB", kMostPieceKib);
      number(command, said, "--file-size-mb", bench.download.file_mb, 1000U, "of the file that is spoken of");
      number(command, said, "--sample-mb", bench.download.sample_mb, 1U, "of it, that really move each time");
      number(command, said, "--batch-size", bench.download.batch_size, 10U, "receipts handed over together", 1,
             kMostReceipts);
      add_trackers(command, said);
      break;
    case 3:
      number(command, said, "--iterations", bench.overhead.iterations, 2U, "times that each is done");
      number(command, said, "--warmup", bench.overhead.warmup, 1U, "times before it counts", 0);
      add_trackers(command, said);
      add_tee_options(command, said);
      command.add_flag("--no-auto-start", said.no_auto_start, "start no tracker: both URLs are given");
      break;
    case 4:
      numbers(command, said, "--peer-counts", bench.scalability.peers, {2, 5}, "peers at once", 60'000);
      numbers(command, said, "--swarm-sizes", bench.scalability.swarms, {20, 50}, "peers of a swarm", 50'000);
      number(command, said, "--receipts-per-report", bench.scalability.receipts_per_report, 2U, "of each member", 1,
             kMostReceipts);
      number(command, said, "--announce-iterations", bench.scalability.announces, 10U, "announces in each swarm");
      add_trackers(command, said);
      break;
    default:
      number(command, said, "--users", bench.gas.users, 2U, "members on the chain");
      add_chain(command, said);
  }
}

/// What stands before an experiment's name would be said to all of them, and counts for none.
Status check_misplaced(const CLI::App& all, std::string_view name) {
  for (const auto* option : all.get_options()) {
    if (option->count() == 0) continue;
    return Error{Code::usage,
                 option->get_name() + " stands before the experiment's name",
                 "attestry tracker bench " + std::string{name} + " " + option->get_name() + " ...",
                 {},
                 "Put the flags behind the name; --help after the name shows which it has."};
  }
  return base::done();
}

constexpr const char* kFooter =
    "Nothing has to run: trackers are started on this machine and ended again. It takes some minutes, --quick some "
    "seconds.\n"
    "The TEE is the forge's, which is simulated and says so, or that of --dstack. Gas is the documents' without "
    "--rpc.\n"
    "One experiment alone has more flags: attestry tracker bench receipts --help\n\n"
    "Examples:\n"
    "  attestry tracker bench                      everything, into the folder tracker-bench\n"
    "  attestry tracker bench --quick              a look at what it gives\n"
    "  attestry tracker bench client-download --speeds 1 10 --piece-sizes 256 1024\n"
    "  attestry tracker bench gas --rpc http://127.0.0.1:8545 --key anvil.key";

constexpr std::array<std::pair<const char*, const char*>, kExperiments.size()> kCommands{
    {{"receipts", "Sign receipts, verify them one by one and together"},
     {"tee", "Keys and quotes of a TEE, and what verifying costs"},
     {"client-download", "What receipts add to a download"},
     {"tracker-overhead", "A tracker with a TEE beside one without"},
     {"scalability", "Many peers and members at once, large swarms"},
     {"gas", "What reputations cost on a chain"}}};

}  // namespace

void add_tracker_bench(CLI::App& group, Context& context) {
  auto said = std::make_shared<Said>();
  auto* command = group.add_subcommand("bench",
                                       "Measure receipts, TEE, downloads, trackers and gas: the experiments "
                                       "of PBTS's first generation, as JSON, tables and plots");
  command->footer(kFooter);
  command->require_subcommand(0, 1);
  add_output(*command, *said);
  add_trackers(*command, *said);
  add_tee_options(*command, *said);
  add_chain(*command, *said);
  add_all(*command, *said);
  add_quick_rest(*said, true);
  command->callback([said, command, &context] {
    if (!command->get_subcommands().empty()) return;
    std::vector<const Named*> wanted;
    for (std::size_t i = 0; i < kExperiments.size(); ++i) {
      if (!said->skip[i]) wanted.push_back(&kExperiments[i]);
    }
    finish(context, [&] { return bench(context, *said, wanted); });
  });
  for (std::size_t i = 0; i < kExperiments.size(); ++i) {
    auto own = std::make_shared<Said>();
    auto* one = command->add_subcommand(kCommands[i].first, kCommands[i].second);
    add_output(*one, *own);
    add_quick_rest(*own, false);
    add_flags(*one, *own, i);
    one->add_option("--output", own->output, "also write its JSON into this file")->type_name("FILE");
    one->callback([own, command, i, &context] {
      finish(context, [&]() -> Result<int> {
        TRY_OK(check_misplaced(*command, kCommands[i].first));
        return bench(context, *own, {&kExperiments[i]});
      });
    });
  }
}

}  // namespace attestry::app
