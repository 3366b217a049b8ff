#include "app/simulated_tee.h"

#include <filesystem>

#include "base/encoding.h"
#include "forge/event_log.h"
#include "forge/scenario.h"
#include "state/file.h"

namespace attestry::app {

using base::Code;
using base::Error;
using base::Result;

static constexpr std::size_t kMostSeed = 4096;

base::Status make_simulated_seed(const std::string& file, crypto::Random& random) {
  TRY(const auto there, state::system_files().read(file, kMostSeed));
  if (there) return base::done();
  const std::string seed = base::hex(random.bytes<16>()) + "\n";
  return state::replace_file(state::system_files(), file, base::as_bytes(seed));
}

Result<std::unique_ptr<SimulatedTee>> SimulatedTee::open(const std::string& seed_file, const std::string& kind,
                                                         bool boot) {
  const auto quote_kind = forge::parse_quote_kind(kind);
  if (!quote_kind)
    return Error{Code::usage, "unknown kind of evidence", "tdx-v4, tdx-v5, tdx-v5-td10, sgx-v3, …", kind};
  if (boot && !forge::is_tdx(*quote_kind)) {
    return Error{Code::usage, "--simulated-boot needs a TD", "--kind tdx-...", kind};
  }
  std::error_code ignored;
  if (std::filesystem::is_directory(seed_file, ignored)) {
    return Error{Code::usage, "seed of a simulated TEE", "a file, such as forge.seed of a data folder of attestry dev",
                 seed_file + ", a folder", "Name the file in it."};
  }
  TRY(const auto seed, state::system_files().read(seed_file, kMostSeed));
  if (!seed)
    return Error{
        Code::not_found, "no seed file " + seed_file, {}, {}, "attestry dev makes one in its data folder: forge.seed"};
  TRY(auto pki, forge::ForgePki::make(*seed));
  std::unique_ptr<SimulatedTee> tee{new SimulatedTee(std::move(pki))};
  auto quote = forge::default_quote(tee->pki_, *quote_kind);
  std::vector<attestation::Supplement> logs;
  if (boot) {
    auto forged = forge::make_event_logs({.seed = std::string{base::as_text(*seed)}});
    quote.td.rtmr = forged.rtmr;
    logs.push_back({attestation::SupplementKind::tcg_event_log, std::move(forged.ccel)});
    logs.push_back({attestation::SupplementKind::dstack_event_log, base::to_bytes(forged.dstack)});
  }
  TRY(auto attester, forge::ForgeAttester::make(tee->pki_, std::move(quote), {}, std::move(logs)));
  tee->attester_ = std::make_unique<forge::ForgeAttester>(std::move(attester));
  return tee;
}

}  // namespace attestry::app
