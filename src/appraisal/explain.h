// Why a verdict is what it is: its checks as a tree of decisions. What failed by itself stands at the top, and under it
// what was not done because of it.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "appraisal/check_sources.h"
#include "appraisal/verdict_view.h"
#include "base/json_writer.h"

namespace attestry::appraisal {

/// One decision. Points into the VerdictView that it was made of.
struct Decision {
  const CheckView* check;
  CheckSource source{};
  std::vector<const CheckView*> stands_on{};  ///< the checks that it needs and that passed
  std::vector<Decision> skipped{};            ///< what was not done because of it, and so on
};

struct Explanation {
  std::vector<Decision> causes;    ///< failed checks; the root cause is the first
  std::vector<Decision> not_done;  ///< skipped for a reason of their own
  std::vector<const CheckView*> passed;
};

/// Requirements are those of this program's catalogue; a check that it does not know stands by itself.
Explanation explain(const VerdictView& verdict);

struct WhyOptions {
  bool colour = false;
  bool all = false;         ///< passed checks one by one
  std::string appraisal{};  ///< its id; empty: none
  std::string note{};       ///< a line under the headline ("refused at registration of name:web"); empty: none
};
/// For a person at a terminal.
std::string why_text(const VerdictView& verdict, const WhyOptions& options);
/// {"appraisal","verdict",…,"root_cause":DECISION|null,"causes":[DECISION],"not_done":[DECISION],"passed":[id]}
base::JsonOut why_json(const VerdictView& verdict, const std::string& appraisal);

}  // namespace attestry::appraisal
