// Forged SEV-SNP evidence, good or with one named fault: report, VCEK or VLEK, chain and revocation list under a root
// of a test PKI. Everything follows from seed, kind and time: the same give the same bytes.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "forge/snp_pki.h"

namespace attestry::forge {

/// What a report is like.
struct SnpKind {
  SnpProduct product = SnpProduct::milan;
  std::uint32_t version = 3;  ///< 2, 3 or 5
  bool vlek = false;
  friend bool operator==(const SnpKind&, const SnpKind&) = default;
};
const std::vector<SnpKind>& all_snp_kinds();
/// "snp-milan-v3", "snp-turin-v5-vlek"
std::string to_text(const SnpKind& kind);
std::optional<SnpKind> parse_snp_kind(std::string_view text);

enum class SnpFault : std::uint8_t {
#define ATTESTRY_SNP_FAULT(name, text, cause, what) name,
#include "forge/snp_faults.def"
#undef ATTESTRY_SNP_FAULT
};
struct SnpFaultInfo {
  SnpFault fault;
  std::string_view name;
  std::string_view cause;  ///< id of the check that names it; empty: the evidence is good
  std::string_view what;
};
std::span<const SnpFaultInfo> snp_faults() noexcept;
/// Some faults need a chip id, a CPUID in the report or Turin.
bool applies(SnpFault fault, const SnpKind& kind) noexcept;

struct SnpScenario {
  std::uint32_t version = 3;
  bool vlek = false;
  SnpFault fault = SnpFault::none;
  base::UtcTime at;                    ///< when all of it is valid
  base::FixedBytes<64> report_data{};  ///< zero: from the seed
  std::uint32_t chip = 0;              ///< another number is another chip with another VCEK, under the same CAs
};

/// What the certificate of that chip's key says, when nothing is wrong with it.
VekSpec snp_vcek(const SnpPki& pki, std::uint32_t chip);

struct SnpCase {
  base::Bytes report;
  base::Bytes vek;    ///< DER
  std::string chain;  ///< PEM: intermediate, root
  base::Bytes crl;
  std::string root_pem;  ///< to trust
  SnpKind kind;
  SnpScenario scenario;
  /// "vcek.der" or "vlek.der"
  std::string_view vek_file() const noexcept { return kind.vlek ? "vlek.der" : "vcek.der"; }
  /// In the layout of the test vectors.
  std::string case_json(std::string_view name) const;
};

/// Error `malformed` for a fault that does not apply.
base::Result<SnpCase> make_snp_case(const SnpPki& pki, const SnpScenario& scenario);

}  // namespace attestry::forge
