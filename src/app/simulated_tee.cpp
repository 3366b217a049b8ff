#include "app/simulated_tee.h"

#include "forge/scenario.h"
#include "state/file.h"

namespace attestry::app {

using base::Code;
using base::Error;
using base::Result;

Result<std::unique_ptr<SimulatedTee>> SimulatedTee::open(const std::string& seed_file, const std::string& kind) {
  const auto quote_kind = forge::parse_quote_kind(kind);
  if (!quote_kind)
    return Error{Code::usage, "unknown kind of evidence", "tdx-v4, tdx-v5, tdx-v5-td10, sgx-v3, …", kind};
  TRY(const auto seed, state::system_files().read(seed_file, 4096));
  if (!seed)
    return Error{
        Code::not_found, "no seed file " + seed_file, {}, {}, "attestry dev makes one in its data folder: forge.seed"};
  TRY(auto pki, forge::ForgePki::make(*seed));
  std::unique_ptr<SimulatedTee> tee{new SimulatedTee(std::move(pki))};
  TRY(auto attester, forge::ForgeAttester::make(tee->pki_, forge::default_quote(tee->pki_, *quote_kind)));
  tee->attester_ = std::make_unique<forge::ForgeAttester>(std::move(attester));
  return tee;
}

}  // namespace attestry::app
