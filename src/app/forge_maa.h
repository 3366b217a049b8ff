// `attestry forge --kind maa-…`: forged Azure Attestation tokens. Internal to the command.
#pragma once
#include <string>
#include <vector>

#include "app/cli.h"
#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"

namespace attestry::app {

struct ForgeMaaOptions {
  std::string out;
  std::string seed;
  std::string kind;   ///< "maa-sgx", …
  std::string fault;  ///< a name, or "all"
  base::UtcTime at;
  base::FixedBytes<64> report_data{};  ///< zero: from the seed
};

bool is_maa_kind(const std::string& kind);
/// ", maa-sgx, …" for help texts.
std::string maa_kinds();
/// Writes token.jwt, jwks.json and case.json, a folder each for all faults. Returns the exit code.
base::Result<int> forge_maa(Context& context, const ForgeMaaOptions& options);
void list_maa_faults(Context& context);

}  // namespace attestry::app
