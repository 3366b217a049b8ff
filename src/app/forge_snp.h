// `attestry forge --kind snp-…`: forged SEV-SNP evidence. Internal to the command.
#pragma once
#include <string>

#include "app/cli.h"
#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"

namespace attestry::app {

struct ForgeSnpOptions {
  std::string out;
  std::string seed;
  std::string kind;   ///< "snp-milan-v3", …
  std::string fault;  ///< a name, or "all"
  base::UtcTime at;
  base::FixedBytes<64> report_data{};  ///< zero: from the seed
  std::uint32_t chip = 0;              ///< number of the (first) chip
  std::uint32_t count = 0;             ///< 0: one case; else a folder for each of so many chips
};

bool is_snp_kind(const std::string& kind);
/// ", snp-…" for help texts.
std::string snp_kinds();
/// Writes report.bin, vcek.der or vlek.der, cert_chain.pem, crl.der, root.pem and case.json, a folder each for all
/// faults. Returns the exit code.
base::Result<int> forge_snp(Context& context, const ForgeSnpOptions& options);
void list_snp_faults(Context& context);

}  // namespace attestry::app
