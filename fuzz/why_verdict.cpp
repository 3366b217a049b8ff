// Any JSON is a verdict or an error; of what is read the explanation is a tree in which every check stands once, and a
// verdict does not differ from itself.
#include <algorithm>

#include "appraisal/diff.h"
#include "appraisal/explain.h"
#include "base/bytes.h"
#include "require.h"

namespace {

std::size_t count(const std::vector<attestry::appraisal::Decision>& decisions) {
  std::size_t out = decisions.size();
  for (const auto& decision : decisions) out += count(decision.skipped);
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace attestry;
  const auto verdict = appraisal::read_verdict(base::as_text({data, size}));
  if (!verdict) return 0;
  const auto why = appraisal::explain(*verdict);
  const auto known = std::ranges::count_if(
      verdict->checks, [](const auto& check) { return check.failed() || check.passed() || check.skipped(); });
  REQUIRE(count(why.causes) + count(why.not_done) + why.passed.size() == static_cast<std::size_t>(known));
  const std::string text = appraisal::why_text(*verdict, {.colour = false, .all = true});
  REQUIRE(text.find('\x1b') == std::string::npos);
  REQUIRE(!appraisal::why_json(*verdict, "").compact().empty());
  REQUIRE(appraisal::diff(*verdict, *verdict).empty());
  return 0;
}
