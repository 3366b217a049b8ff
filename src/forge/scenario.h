// Whole cases: a quote with its collateral, either good or with one named fault. What `attestry forge` writes, what
// tests/data is made of, and what tests of other rooms use.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "attestation/evidence.h"
#include "forge/collateral.h"
#include "forge/quote.h"

namespace attestry::forge {

enum class Fault : std::uint8_t {
#define ATTESTRY_FAULT(name, text, genuine, status, what) name,
#include "forge/faults.def"
#undef ATTESTRY_FAULT
};

struct FaultInfo {
  Fault fault;
  std::string_view name;        ///< "qe-report-signature": for command lines and case names
  bool genuine;                 ///< cryptography and collateral are still valid (only the TCB status differs)
  std::string_view tcb_status;  ///< expected TCB status, empty when none can be given
  std::string_view what;        ///< one line for people
};
std::span<const FaultInfo> faults() noexcept;
const FaultInfo& info(Fault fault) noexcept;
std::optional<Fault> parse_fault(std::string_view name) noexcept;
/// Some faults exist on one TEE only.
bool applies(Fault fault, QuoteKind kind) noexcept;

struct Scenario {
  QuoteSpec quote{};
  PlatformSpec platform{};
  base::UtcTime at;
  Fault fault = Fault::none;
};

struct Case {
  base::Bytes quote;
  ForgedCollateral collateral;
  std::string root_pem;
  Scenario scenario;
  std::vector<std::string> advisories;  ///< expected advisory ids

  attestation::Evidence evidence() const;
  /// case.json in the layout of the test vectors.
  std::string case_json(std::string_view name) const;
};

/// Measurements that differ by seed and are never zero; report data from the seed too.
QuoteSpec default_quote(const ForgePki& pki, QuoteKind kind);
base::Result<Case> make_case(const ForgePki& pki, Scenario scenario);

}  // namespace attestry::forge
