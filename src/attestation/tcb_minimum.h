// Minimum component versions of a TCB, per processor family: what a policy asks for beside a vendor's own judgement.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "attestation/policy_finding.h"
#include "attestation/snp/product.h"
#include "attestation/verdict.h"

namespace attestry::attestation {

/// What a policy's `tcb.minimum` says. When it says anything, evidence of a platform or processor family that it does
/// not name is refused: its versions are others, and nobody said what is enough. `"any"` names one without asking for
/// anything; it is read as an Intel or Snp without members.
struct TcbMinimum {
  struct Intel {
    std::vector<std::uint8_t> components;      ///< the first of the 16 SGX components; the others have no minimum
    std::vector<std::uint8_t> tdx_components;  ///< the same of TEE_TCB_SVN
    std::optional<std::uint32_t> pcesvn;
    std::optional<std::uint32_t> qe_isvsvn;
  };
  /// Of one family; every TCB that is there is compared.
  struct Snp {
    std::optional<snp::Tcb> reported;
    std::optional<snp::Tcb> current;
    std::optional<snp::Tcb> committed;
    std::optional<snp::Tcb> launch;
  };
  std::optional<Intel> sgx;
  std::optional<Intel> tdx;
  /// By snp::Product.
  std::optional<std::array<std::optional<Snp>, 3>> snp;
  /// Their evidence has no versions that could be compared here: these can only be "any".
  bool nitro = false;
  bool maa = false;

  bool stated() const noexcept { return sgx || tdx || snp || nitro || maa; }
};

inline constexpr std::array<std::string_view, 3> kSnpFamilies{"milan", "genoa", "turin"};
inline constexpr std::array<std::string_view, 4> kSnpTcbs{"reported", "current", "committed", "launch"};
inline constexpr std::array<std::string_view, 5> kSnpComponents{"fmc", "boot_loader", "tee", "snp", "microcode"};

TcbMinimum read_tcb_minimum(const base::JsonValue& value, const std::string& path, PolicyFindings& findings);

/// What a verdict is worth under a minimum. Nothing when none is stated.
struct MinimumJudgement {
  bool known = true;  ///< false: the evidence does not say what is compared
  bool ok = false;
  std::string expected;
  std::string actual;
  std::string detail;
};
std::optional<MinimumJudgement> judge_minimum(const TcbMinimum& minimum, const Verdict& verdict);

}  // namespace attestry::attestation
