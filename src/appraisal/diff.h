// What is different between two verdicts, grouped by what it is about.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "appraisal/verdict_view.h"
#include "base/json_writer.h"

namespace attestry::appraisal {

enum class Component : std::uint8_t {
  verdict,     ///< the answer and its root cause
  platform,    ///< firmware, processor, TCB
  workload,    ///< measurements and identity of what runs
  request,     ///< report data, nonces, times: what differs between any two pieces of evidence
  collateral,  ///< the vendors' documents
  policy,      ///< the policy and the trust anchors
  checks,      ///< every check that came out otherwise
};
std::string_view to_text(Component component) noexcept;

struct Change {
  Component component;
  std::string what;    ///< "rtmr1", "tcb.status", "dcap.tcb.level"
  std::string before;  ///< empty: was not there
  std::string after;
};

/// In the order of Component, then as the verdicts have it. Empty when both say the same.
std::vector<Change> diff(const VerdictView& before, const VerdictView& after);

/// For people; "no difference" when there is none.
std::string diff_text(const std::vector<Change>& changes, bool colour);
/// {"same":bool,"changes":{"platform":[{"what","before","after"}],…}}
base::JsonOut diff_json(const std::vector<Change>& changes);

}  // namespace attestry::appraisal
