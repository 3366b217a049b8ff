// A verdict read back from its JSON, of this catalogue of checks or of another: what is explained and compared.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace attestry::appraisal {

struct CheckView {
  std::string id{};
  std::string status{};  ///< "pass", "fail", "skipped"
  std::string expected{};
  std::string actual{};
  std::string detail{};
  std::string remedy{};
  bool failed() const noexcept { return status == "fail"; }
  bool passed() const noexcept { return status == "pass"; }
  bool skipped() const noexcept { return status == "skipped"; }
};

struct CollateralView {
  std::string kind{};
  std::string sha256{};
  std::string issued{};   ///< empty: none
  std::string expires{};  ///< empty: none
};

/// All texts as the JSON has them; numbers and booleans in their JSON spelling, empty for null.
struct VerdictView {
  std::string catalogue;
  std::string verdict;   ///< "accepted", "refused", "undecided"
  std::string evidence;  ///< "genuine", "false", "undecided"
  std::string platform;
  bool simulated = false;
  std::string at;
  std::string valid_until;
  std::string evidence_sha256;
  std::string policy_sha256;
  std::string anchors_sha256;
  std::string root_cause;                                   ///< id; empty when accepted
  std::vector<CheckView> checks;                            ///< in catalogue order
  std::vector<std::pair<std::string, std::string>> tcb;     ///< member, value; empty: the platform has none
  std::vector<std::pair<std::string, std::string>> claims;  ///< name, value
  std::vector<CollateralView> collateral;
  std::string collateral_stale_seconds;

  const CheckView* check(std::string_view id) const noexcept;
};

/// The JSON of `attestry verify --format json` or of /v1/verify, at most 4 MiB. Error `malformed`.
base::Result<VerdictView> read_verdict(std::string_view json);

}  // namespace attestry::appraisal
