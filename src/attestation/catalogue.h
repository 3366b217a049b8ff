// The one catalogue of checks (checks.def): id, title, specification section, meaning of a failure, remedy,
// requirements. Ids are public: they appear in verdicts, problem documents, log, metrics and docs, and are never reused
// or renamed.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace attestry::attestation {

enum class CheckId : std::uint16_t {
#define ATTESTRY_CHECK(name, id, title, spec, meaning, remedy, ...) name,
#include "attestation/checks.def"
#undef ATTESTRY_CHECK
};

struct CheckInfo {
  CheckId check;
  std::string_view id;  ///< "dcap.tcb.fmspc"
  std::string_view title;
  std::string_view spec;     ///< specification and section that the check implements
  std::string_view meaning;  ///< what it means when it fails
  std::string_view remedy;
  std::span<const CheckId> needs;  ///< skipped when one of these did not pass
};

/// "YYYY.N"; changes whenever a check is added or judged differently.
inline constexpr std::string_view kCatalogueVersion = "2026.4";

std::span<const CheckInfo> catalogue() noexcept;
const CheckInfo& info(CheckId check) noexcept;
std::optional<CheckId> find_check(std::string_view id) noexcept;

}  // namespace attestry::attestation
