#include "app/forge_maa.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <ostream>

#include "forge/maa.h"

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

base::Status write_case(const fs::path& folder, const forge::MaaCase& made) {
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed) return base::Error{base::Code::io, "cannot create " + folder.string() + ": " + failed.message()};
  TRY_OK(write_text(folder / "token.jwt", made.token));
  TRY_OK(write_text(folder / "jwks.json", made.jwks));
  return write_text(folder / "case.json", made.case_json(fs::absolute(folder).lexically_normal().filename().string()));
}

std::string_view expectation(const forge::MaaFaultInfo& fault) {
  if (fault.cause.empty()) return "genuine    ";
  return forge::leaves_undecided(fault.fault) ? "undecided  " : "refused    ";
}

}  // namespace

bool is_maa_kind(const std::string& kind) { return forge::parse_maa_kind(kind).has_value(); }

std::string maa_kinds() {
  std::string all;
  for (const auto kind : forge::all_maa_kinds()) all.append(", ").append(forge::to_text(kind));
  return all;
}

void list_maa_faults(Context& context) {
  for (const auto& fault : forge::maa_faults()) {
    context.out << std::left << std::setw(24) << fault.name << expectation(fault) << fault.what << "\n";
  }
}

base::Result<int> forge_maa(Context& context, const ForgeMaaOptions& options) {
  const auto kind = forge::parse_maa_kind(options.kind);
  if (!kind) return base::Error{base::Code::usage, "--kind is unknown", "a kind of --help", options.kind};
  const bool all = options.fault == "all";
  std::vector<forge::MaaFault> faults;
  for (const auto& fault : forge::maa_faults()) {
    if ((all || fault.name == options.fault) && forge::applies(fault.fault, *kind)) faults.push_back(fault.fault);
  }
  if (faults.empty()) {
    return base::Error{.code = base::Code::usage,
                       .what = "--fault is unknown for this kind",
                       .expected = "a name of `attestry forge --kind " + options.kind + " --list-faults`",
                       .found = options.fault};
  }
  const forge::MaaService service{base::as_bytes(options.seed)};
  const fs::path out = options.out;
  fs::path first;
  for (const auto& fault : forge::maa_faults()) {
    if (std::ranges::find(faults, fault.fault) == faults.end()) continue;
    const auto made =
        service.make({.kind = *kind, .fault = fault.fault, .at = options.at, .report_data = options.report_data});
    const fs::path folder = all ? out / std::string{fault.name} : out;
    if (first.empty()) first = folder;
    TRY_OK(write_case(folder, made));
  }
  context.out << "Wrote " << faults.size() << (faults.size() == 1 ? " token" : " tokens") << " of a simulated service ("
              << options.kind << ") to " << options.out << ".\n"
              << "Judge it:  attestry verify " << (first / "token.jwt").string() << " --issuer " << forge::kForgeIssuer
              << " --jwks " << forge::kForgeIssuer << "=" << (first / "jwks.json").string() << " --at "
              << base::to_rfc3339(options.at) << "\n";
  return kExitOk;
}

}  // namespace attestry::app
