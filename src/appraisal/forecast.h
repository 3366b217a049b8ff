// What is accepted today and will not be on a day to come: the same judgement, made again for later times.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "appraisal/stored_appraisal.h"
#include "attestation/catalogue.h"
#include "attestation/verifier.h"
#include "base/json_writer.h"
#include "base/result.h"
#include "base/time.h"

namespace attestry::appraisal {

inline constexpr std::int64_t kMaxForecastDays = 366;

/// What has to change for the better. Only the first comes about without anybody doing anything, where a server reaches
/// the vendor.
enum class Remedy : std::uint8_t {
  collateral,  ///< a newer document of a vendor: refreshed by a server with a network, imported where there is none
  evidence,    ///< new evidence, under newer certificates or of a younger age
  policy,      ///< the policy's own dates: a waiver, a measurement or a signed list that ends
};
std::string_view to_text(Remedy remedy) noexcept;

/// A check that passes, or is not made, before and fails from then on.
struct Turn {
  base::UtcTime at;  ///< the first second of it
  attestation::CheckId check{};
  Remedy remedy{};
  std::string document;  ///< "collateral tcb_info", "evidence", "policy"
  /// Names of the artefacts of which a newer copy may end it; empty for other remedies.
  std::vector<std::string> refresh;
  std::string expected;
  std::string actual;
  std::string detail;
};

struct Forecast {
  bool red_now = false;
  std::string cause_now;    ///< id of the root cause; empty when it is green
  std::vector<Turn> turns;  ///< by time; each check once
};

/// What counts at a time: what an app has approved is not the same for ever, because measurements and lists end.
struct Rules {
  attestation::Policy policy;
  std::vector<attestation::SignedList> lists;
};
/// Null: those of the inputs.
using RulesAt = std::function<std::shared_ptr<const Rules>(base::UtcTime)>;

/// Judges `inputs` at `from` and for each day until `until` (kMaxForecastDays at most), and finds the second of every
/// change for the worse. What is red already has turns too, of what gets worse. A policy's own dates are looked for
/// under the collateral as it counts at `from`: they come whatever the vendor publishes by then. Pure, as far as
/// `rules` is. Errors are the verifier's.
base::Result<Forecast> forecast(const AppraisalInputs& inputs, const attestation::Verifier& verifier,
                                base::UtcTime from, base::UtcTime until, const RulesAt& rules = {});

struct NamedForecast {
  std::string workload;   ///< an app, or where the evidence came from
  std::string appraisal;  ///< hex id; empty: none
  std::string platform;
  Forecast forecast;
};

/// {"from","until","workloads","red_now":[…],"days":[{"day","causes":[{"check","title","remedy","refresh","document",
/// "at","expected","actual","what_to_do","workloads":[{"workload","appraisal","platform"}]}]}]}: by day and cause.
base::JsonOut forecast_json(const std::vector<NamedForecast>& all, base::UtcTime from, base::UtcTime until);

}  // namespace attestry::appraisal
