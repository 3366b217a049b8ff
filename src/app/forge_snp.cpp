#include "app/forge_snp.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <ostream>
#include <sstream>
#include <vector>

#include "forge/snp.h"

namespace attestry::app {
namespace {

namespace fs = std::filesystem;

base::Status write_text(const fs::path& path, std::string_view text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(text.data(), static_cast<std::streamsize>(text.size()));
  file.close();
  if (!file) return base::Error{base::Code::io, "cannot write " + path.string()};
  return base::done();
}

base::Status write_case(const fs::path& folder, const forge::SnpCase& made) {
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed) return base::Error{base::Code::io, "cannot create " + folder.string() + ": " + failed.message()};
  TRY_OK(write_text(folder / "report.bin", base::as_text(made.report)));
  TRY_OK(write_text(folder / made.vek_file(), base::as_text(made.vek)));
  TRY_OK(write_text(folder / "cert_chain.pem", made.chain));
  TRY_OK(write_text(folder / "crl.der", base::as_text(made.crl)));
  TRY_OK(write_text(folder / "root.pem", made.root_pem));
  return write_text(folder / "case.json", made.case_json(fs::absolute(folder).lexically_normal().filename().string()));
}

std::string number_of(std::uint32_t i) {
  std::ostringstream name;
  name << std::setw(5) << std::setfill('0') << i;
  return name.str();
}

}  // namespace

bool is_snp_kind(const std::string& kind) { return forge::parse_snp_kind(kind).has_value(); }

std::string snp_kinds() {
  std::string all;
  for (const auto& kind : forge::all_snp_kinds()) all.append(", ").append(to_text(kind));
  return all;
}

void list_snp_faults(Context& context) {
  for (const auto& fault : forge::snp_faults()) {
    context.out << std::left << std::setw(24) << fault.name << (fault.cause.empty() ? "genuine  " : "refused  ")
                << fault.what << "\n";
  }
}

base::Result<int> forge_snp(Context& context, const ForgeSnpOptions& options) {
  const auto kind = forge::parse_snp_kind(options.kind);
  if (!kind) return base::Error{base::Code::usage, "--kind is unknown", "a kind of --help", options.kind};
  const bool all = options.fault == "all";
  std::vector<forge::SnpFaultInfo> faults;
  for (const auto& fault : forge::snp_faults()) {
    if ((all || fault.name == options.fault) && forge::applies(fault.fault, *kind)) faults.push_back(fault);
  }
  if (faults.empty()) {
    return base::Error{.code = base::Code::usage,
                       .what = "--fault is unknown for this kind",
                       .expected = "a name of `attestry forge --kind " + options.kind + " --list-faults`",
                       .found = options.fault};
  }
  TRY(const auto pki, forge::SnpPki::make(base::as_bytes(options.seed), kind->product), "--seed");
  const fs::path out = options.out;
  fs::path first;
  const std::uint32_t chips = all ? 1 : std::max(options.count, 1u);
  for (const auto& fault : faults) {
    for (std::uint32_t i = 0; i < chips; ++i) {
      TRY(const auto made, make_snp_case(pki, {.version = kind->version,
                                               .vlek = kind->vlek,
                                               .fault = fault.fault,
                                               .at = options.at,
                                               .report_data = options.report_data,
                                               .chip = options.chip + i}));
      const fs::path folder = all ? out / std::string{fault.name} : options.count == 0 ? out : out / number_of(i);
      TRY_OK(write_case(folder, made));
      if (first.empty()) first = folder;
    }
  }
  const std::size_t written = faults.size() * chips;
  context.out << "Wrote " << written << (written == 1 ? " case" : " cases") << " of a simulated TEE (" << options.kind
              << ") to " << options.out << ".\n"
              << "Judge it:  attestry verify " << first.string() << " --trust " << (first / "root.pem").string()
              << " --at " << base::to_rfc3339(options.at) << "\n";
  return kExitOk;
}

}  // namespace attestry::app
