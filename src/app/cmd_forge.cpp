// `attestry forge`: evidence of simulated TEEs with its collateral and its root, one folder per case.
#include <CLI/CLI.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <optional>
#include <ostream>
#include <span>
#include <sstream>

#include "app/cli.h"
#include "app/forge_maa.h"
#include "app/forge_snp.h"
#include "base/encoding.h"
#include "forge/event_log.h"
#include "forge/nitro.h"
#include "forge/scenario.h"
#include "state/file.h"

namespace attestry::app {
namespace {

constexpr std::size_t kMaxSeed = 4096;

struct ForgeOptions {
  std::string out;
  std::string seed = "attestry";
  std::string seed_file;
  std::string kind = "tdx-v4";
  std::string fault = "none";
  std::string at;
  std::string ca = "platform";
  std::string report_data;
  std::string mrtd;
  std::vector<std::string> rtmr;
  std::string mrenclave;
  std::string mrsigner;
  std::string mrconfigid;
  std::string mrowner;
  std::string mrownerconfig;
  std::uint32_t platform = 0;
  std::uint32_t count = 0;
  bool list_faults = false;
  bool event_log = false;
  std::string event_log_fault;
};

/// Shorter values are padded with zeros at the end, as `attestry verify --report-data` does; empty ones change nothing.
base::Status set_field(const std::string& hex, std::span<std::uint8_t> field, const std::string& flag) {
  if (hex.empty()) return base::done();
  TRY(const base::Bytes bytes, base::hex_decode(hex), flag);
  if (bytes.size() > field.size()) {
    return base::Error{base::Code::usage, flag + " is too long", "at most " + std::to_string(field.size()) + " bytes",
                       std::to_string(bytes.size())};
  }
  std::ranges::fill(field, std::uint8_t{0});
  std::ranges::copy(bytes, field.begin());
  return base::done();
}

base::Result<forge::QuoteSpec> quote_of(const forge::ForgePki& pki, const ForgeOptions& options) {
  const auto kind = forge::parse_quote_kind(options.kind);
  if (!kind) return base::Error{base::Code::usage, "--kind is unknown", "a kind of --help", options.kind};
  auto quote = forge::default_quote(pki, *kind);
  TRY_OK(set_field(options.report_data, quote.td.report_data, "--report-data"));
  quote.enclave.report_data = quote.td.report_data;
  TRY_OK(set_field(options.mrtd, quote.td.mr_td, "--mrtd"));
  TRY_OK(set_field(options.mrconfigid, quote.td.mr_config_id, "--mrconfigid"));
  TRY_OK(set_field(options.mrowner, quote.td.mr_owner, "--mrowner"));
  TRY_OK(set_field(options.mrownerconfig, quote.td.mr_owner_config, "--mrownerconfig"));
  TRY_OK(set_field(options.mrenclave, quote.enclave.mr_enclave, "--mrenclave"));
  TRY_OK(set_field(options.mrsigner, quote.enclave.mr_signer, "--mrsigner"));
  for (std::size_t i = 0; i < options.rtmr.size(); ++i) {
    TRY_OK(set_field(options.rtmr[i], quote.td.rtmr.at(i), "--rtmr"));
  }
  return quote;
}

base::Status write_file(const std::filesystem::path& path, std::string_view text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(text.data(), static_cast<std::streamsize>(text.size()));
  file.close();
  if (!file) return base::Error{base::Code::io, "cannot write " + path.string()};
  return base::done();
}

/// The logs of a boot whose registers the quote then has; nullopt when none are asked for.
base::Result<std::optional<forge::ForgedLogs>> event_logs_of(const ForgeOptions& options, forge::QuoteSpec& quote) {
  if (!options.event_log && options.event_log_fault.empty()) return std::optional<forge::ForgedLogs>{};
  if (!forge::is_tdx(quote.kind) || !options.rtmr.empty()) {
    return base::Error{base::Code::usage, "--event-log needs a TD and gives the registers itself",
                       "--kind tdx-..., no --rtmr", options.kind};
  }
  const auto fault = forge::parse_log_fault(options.event_log_fault.empty() ? "none" : options.event_log_fault);
  if (!fault) {
    return base::Error{base::Code::usage, "--event-log-fault is unknown", "a name of --help", options.event_log_fault};
  }
  auto logs = forge::make_event_logs({.seed = options.seed, .fault = *fault});
  quote.td.rtmr = logs.rtmr;
  return std::optional{std::move(logs)};
}

base::Status write_event_logs(const std::filesystem::path& folder, const forge::ForgedLogs& logs) {
  TRY_OK(write_file(folder / "ccel.bin", base::as_text(logs.ccel)));
  return write_file(folder / "eventlog.json", logs.dstack);
}

base::Status write_case(const std::filesystem::path& folder, const std::string& name, const forge::Case& made) {
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (failed) return base::Error{base::Code::io, "cannot create " + folder.string() + ": " + failed.message()};
  TRY_OK(write_file(folder / "quote.bin", base::as_text(made.quote)));
  TRY_OK(write_file(folder / "collateral.json", made.collateral.json()));
  TRY_OK(write_file(folder / "root.pem", made.root_pem));
  return write_file(folder / "case.json", made.case_json(name));
}

/// One planned folder: below --out, or --out itself.
struct Item {
  std::string name;  ///< empty: --out itself
  forge::Fault fault = forge::Fault::none;
  std::uint32_t platform = 0;
};

base::Result<std::vector<Item>> plan(const ForgeOptions& options, forge::QuoteKind kind) {
  std::vector<Item> items;
  if (options.fault == "all") {
    for (const auto& fault : forge::faults()) {
      if (forge::applies(fault.fault, kind)) items.push_back({std::string{fault.name}, fault.fault, options.platform});
    }
    return items;
  }
  const auto fault = forge::parse_fault(options.fault);
  if (!fault) {
    std::vector<std::string> known{"all"};
    for (const auto& one : forge::faults()) known.emplace_back(one.name);
    const std::string near = nearest(options.fault, known);
    return base::Error{.code = base::Code::usage,
                       .what = "--fault is unknown",
                       .expected = near.empty() ? "a name of `attestry forge --list-faults`" : near,
                       .found = options.fault,
                       .remedy = "`attestry forge --list-faults` shows all."};
  }
  if (options.count == 0) return std::vector<Item>{{{}, *fault, options.platform}};
  for (std::uint32_t i = 0; i < options.count; ++i) {
    std::ostringstream name;
    name << std::setw(5) << std::setfill('0') << i;
    items.push_back({name.str(), *fault, options.platform + i});
  }
  return items;
}

int list_faults(Context& context) {
  for (const auto& fault : forge::faults()) {
    context.out << std::left << std::setw(24) << fault.name << (fault.genuine ? "genuine  " : "refused  ") << fault.what
                << "\n";
  }
  return kExitOk;
}

constexpr std::string_view kNitroKind = "nitro";

int list_nitro_faults(Context& context) {
  for (const auto& fault : forge::nitro_faults()) {
    context.out << std::left << std::setw(24) << fault.name << (fault.accepted ? "genuine  " : "refused  ")
                << fault.what << "\n";
  }
  return kExitOk;
}

/// One document, or with --fault all one for each fault.
base::Result<int> forge_nitro(Context& context, const ForgeOptions& options) {
  if (options.list_faults) return list_nitro_faults(context);
  if (options.out.empty()) return base::Error{base::Code::usage, "--out is missing", "a folder to write to", "none"};
  forge::NitroSpec spec;
  spec.at = context.clock.now();
  if (!options.at.empty()) {
    TRY(spec.at, base::parse_rfc3339(options.at), "--at");
  }
  if (!options.report_data.empty()) {
    TRY(spec.user_data, base::hex_decode(options.report_data), "--report-data");
  }
  std::vector<forge::NitroFault> faults;
  if (const auto one = forge::parse_nitro_fault(options.fault)) faults.push_back(*one);
  if (options.fault == "all") {
    for (const auto& fault : forge::nitro_faults()) faults.push_back(fault.fault);
  }
  if (faults.empty()) {
    return base::Error{base::Code::usage, "--fault is unknown", "a name of `attestry forge --kind nitro --list-faults`",
                       options.fault};
  }
  std::filesystem::path folder;
  for (const forge::NitroFault fault : faults) {
    const std::string name{forge::info(fault).name};
    folder = options.fault == "all" ? std::filesystem::path{options.out} / name : std::filesystem::path{options.out};
    spec.fault = fault;
    TRY(const auto made, forge::make_nitro_case(base::as_bytes(options.seed), spec));
    std::error_code failed;
    std::filesystem::create_directories(folder, failed);
    if (failed) return base::Error{base::Code::io, "cannot create " + folder.string() + ": " + failed.message()};
    TRY_OK(write_file(folder / "attestation.cbor", base::as_text(made.document)));
    TRY_OK(write_file(folder / "root.pem", made.root_pem));
    TRY_OK(write_file(folder / "case.json", made.case_json(name)));
  }
  context.out << "Wrote " << faults.size() << (faults.size() == 1 ? " case" : " cases") << " of a simulated TEE ("
              << options.kind << ") to " << options.out << ".\n"
              << "Judge it:  attestry verify " << folder.string() << " --trust " << (folder / "root.pem").string()
              << " --at " << base::to_rfc3339(spec.at) << "\n";
  return kExitOk;
}

base::Status read_seed(ForgeOptions& options) {
  if (options.seed_file.empty()) return base::done();
  TRY(const auto seed, state::system_files().read(options.seed_file, kMaxSeed), "--seed-file");
  if (!seed) {
    return base::Error{base::Code::not_found,
                       "no seed file " + options.seed_file,
                       {},
                       {},
                       "attestry dev makes one in its data folder: forge.seed"};
  }
  options.seed = std::string{base::as_text(*seed)};
  return base::done();
}

base::Result<int> forge_cases(Context& context, ForgeOptions& options) {
  TRY_OK(read_seed(options));
  if (options.list_faults && is_maa_kind(options.kind)) {
    list_maa_faults(context);
    return kExitOk;
  }
  if (options.list_faults && is_snp_kind(options.kind)) {
    list_snp_faults(context);
    return kExitOk;
  }
  if (options.kind == kNitroKind) return forge_nitro(context, options);
  if (options.list_faults) return list_faults(context);
  if (options.out.empty()) return base::Error{base::Code::usage, "--out is missing", "a folder to write to", "none"};
  base::UtcTime at = context.clock.now();
  if (!options.at.empty()) {
    TRY(at, base::parse_rfc3339(options.at), "--at");
  }
  if (is_maa_kind(options.kind)) {
    ForgeMaaOptions token{
        .out = options.out, .seed = options.seed, .kind = options.kind, .fault = options.fault, .at = at};
    TRY_OK(set_field(options.report_data, token.report_data, "--report-data"));
    return forge_maa(context, token);
  }
  if (is_snp_kind(options.kind)) {
    ForgeSnpOptions snp{
        .out = options.out, .seed = options.seed, .kind = options.kind, .fault = options.fault, .at = at};
    TRY_OK(set_field(options.report_data, snp.report_data, "--report-data"));
    snp.chip = options.platform;
    snp.count = options.count;
    return forge_snp(context, snp);
  }
  TRY(const auto pki, forge::ForgePki::make(base::as_bytes(options.seed)), "--seed");
  TRY(auto quote, quote_of(pki, options));
  TRY(const auto logs, event_logs_of(options, quote));
  TRY(const auto items, plan(options, quote.kind));
  forge::PlatformSpec platform;
  platform.ca = options.ca == "processor" ? forge::CaKind::processor : forge::CaKind::platform;
  const std::filesystem::path out = options.out;
  for (const auto& item : items) {
    platform.index = item.platform;
    TRY(const auto made, forge::make_case(pki, {quote, platform, at, item.fault}));
    const auto folder = item.name.empty() ? out : out / item.name;
    std::error_code unknown;  // a working folder that is gone: the name as it was given
    const auto absolute = std::filesystem::absolute(folder, unknown).lexically_normal();
    const std::string name =
        absolute.has_filename() ? absolute.filename().string() : absolute.parent_path().filename().string();
    TRY_OK(write_case(folder, name, made));
    if (logs) TRY_OK(write_event_logs(folder, *logs));
  }
  const auto first = items.front().name.empty() ? out : out / items.front().name;
  context.out << "Wrote " << items.size() << (items.size() == 1 ? " case" : " cases") << " of a simulated TEE ("
              << options.kind << ") to " << options.out << ".\n"
              << "Judge it:  attestry verify " << first.string() << " --trust " << (first / "root.pem").string()
              << " --at " << base::to_rfc3339(at) << "\n";
  return kExitOk;
}

constexpr const char* kFooter =
    "Examples:\n"
    "  attestry forge --out case                        a simulated TD that everybody accepts under case/root.pem\n"
    "  attestry forge --out case --fault pck-revoked    the same with one thing wrong\n"
    "  attestry forge --out cases --kind sgx-v3 --fault all\n"
    "  attestry forge --out fleet --count 100           a hundred machines\n"
    "The same seed, options and time give the same bytes. Nothing of it is accepted under Intel's root.";

std::string kinds() {
  std::string all;
  for (const auto kind : forge::all_quote_kinds()) {
    all += all.empty() ? "" : ", ";
    all += forge::to_text(kind);
  }
  return all + maa_kinds() + snp_kinds() + ", " + std::string{kNitroKind};
}

void add_measurements(CLI::App& command, ForgeOptions& options) {
  command.add_option("--report-data", options.report_data, "64 bytes as hex; shorter is padded with zeros at the end");
  command.add_option("--mrtd", options.mrtd, "TDX: hash of the TD at creation (48 bytes)");
  command.add_option("--rtmr", options.rtmr, "TDX: run-time registers 0 to 3, in order (48 bytes each)")
      ->expected(1, 4);
  command.add_option("--mrconfigid", options.mrconfigid, "TDX: configuration id (48 bytes)");
  command.add_option("--mrowner", options.mrowner, "TDX: owner id (48 bytes)");
  command.add_option("--mrownerconfig", options.mrownerconfig, "TDX: owner's configuration id (48 bytes)");
  command.add_option("--mrenclave", options.mrenclave, "SGX: hash of the enclave (32 bytes)");
  command.add_option("--mrsigner", options.mrsigner, "SGX: hash of the signer's key (32 bytes)");
}

}  // namespace

void add_forge(CLI::App& app, Context& context) {
  auto options = std::make_shared<ForgeOptions>();
  auto* command =
      app.add_subcommand("forge", "Make evidence of a simulated TEE with its own root, good or wrong on purpose");
  command->footer(kFooter);
  command->add_option(
      "--out", options->out,
      "folder for the evidence, its collateral, the test root or key set, and case.json; with --count or --fault all a "
      "folder each below it");
  command->add_option("--kind", options->kind, kinds())->capture_default_str();
  command->add_option("--fault", options->fault, "what is wrong; `all` makes one case each")->capture_default_str();
  command->add_flag("--list-faults", options->list_faults, "show all faults and what they are");
  auto* seed = command->add_option("--seed", options->seed, "text from which all keys follow")->capture_default_str();
  command
      ->add_option("--seed-file", options->seed_file, "the same from a file: that of `attestry dev` is DATA/forge.seed")
      ->excludes(seed);
  command->add_option("--at", options->at, "time at which all of it is valid (default: now)");
  command->add_option("--count", options->count, "so many machines, each with its own keys")
      ->check(CLI::Range(1, 100000));
  command->add_option("--platform", options->platform, "number of the (first) machine")->capture_default_str();
  command->add_option("--ca", options->ca, "intermediate CA of the PCK certificate")
      ->check(CLI::IsMember({"platform", "processor"}))
      ->capture_default_str();
  add_measurements(*command, *options);
  command->add_flag("--event-log", options->event_log,
                    "TDX: write ccel.bin and eventlog.json (dstack) of a boot, and its registers into the quote");
  command
      ->add_option(
          "--event-log-fault", options->event_log_fault,
          "what is wrong with the logs: other-boot, changed-text, changed-payload, second-separator, "
          "missing-event, cut, relabelled-boot, relabelled-loader, relabelled-kernel, two-stories, split-name, "
          "late-identity, stripped")
      ->type_name("NAME");
  command->callback([&context, options] { finish(context, [&] { return forge_cases(context, *options); }); });
}

}  // namespace attestry::app
