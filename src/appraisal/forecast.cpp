#include "appraisal/forecast.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <tuple>

#include "appraisal/check_sources.h"
#include "appraisal/replay.h"
#include "attestation/artefact.h"

namespace attestry::appraisal {
namespace {

using attestation::CheckId;
using attestation::CheckResult;
using attestation::CheckStatus;
using attestation::Verdict;
using base::JsonOut;
using base::JsonOutArray;
using base::JsonOutObject;
using base::Result;
using base::UtcTime;

constexpr std::int64_t kDay = 86400;

Remedy remedy_of(CheckId check) {
  if (check == CheckId::policy_age) return Remedy::evidence;
  if (check == CheckId::policy_revocation || check == CheckId::policy_collateral_staleness) return Remedy::collateral;
  const std::string_view id = info(check).id;
  if (id.starts_with("policy.")) return Remedy::policy;
  return source_of(id).document.starts_with("collateral") ? Remedy::collateral : Remedy::evidence;
}

std::string what_to_do(Remedy remedy, CheckId check) {
  const std::string known{info(check).remedy};
  switch (remedy) {
    case Remedy::collateral:
      return "A server that reaches the vendor has a newer one by then. Without a network, import a newer bundle "
             "before that day (attestry collateral import). What it will say, nobody knows today. " +
             known;
    case Remedy::evidence:
      return "No newer collateral helps: let the workload register again with new evidence before that day. " + known;
    case Remedy::policy:
      return "No newer collateral helps: bring the machines up to what the policy asks for, or approve other dates "
             "before that day. " +
             known;
  }
  return known;
}

/// The artefacts that have the document which a check looks into.
std::vector<std::string> artefacts_behind(CheckId check, const AppraisalInputs& inputs) {
  using attestation::CollateralKind;
  std::string_view wanted = source_of(info(check).id).document;
  constexpr std::string_view kPrefix = "collateral ";
  if (!wanted.starts_with(kPrefix)) return {};
  wanted.remove_prefix(kPrefix.size());
  // That check is about the chip's certificate as well.
  const bool whole_chain = check == CheckId::snp_chain_validity;
  std::vector<std::string> out;
  for (const auto& way : attestation::needs_of(inputs.evidence, inputs.anchors.token_issuers())) {
    for (const auto& artefact : way.artefacts) {
      const auto has = [&](CollateralKind kind) {
        return to_text(kind) == wanted || (whole_chain && kind == CollateralKind::vek);
      };
      if (std::ranges::any_of(attestation::documents_of(artefact), has)) out.push_back(to_text(artefact));
    }
    if (!out.empty()) break;
  }
  return out;
}

bool is_policys(CheckId check) { return info(check).id.starts_with("policy."); }

/// What fails at a time, under the catalogue's order.
using Failures = std::vector<CheckResult>;

class Scan {
 public:
  Scan(const AppraisalInputs& inputs, const attestation::Verifier& verifier, const RulesAt& rules)
      : inputs_(inputs), verifier_(verifier), rules_(rules) {}

  /// Judges as of the start of the forecast; what fails then is not news.
  Result<Verdict> start(UtcTime from) {
    TRY(found_, verifier_.verify(inputs_.evidence, *inputs_.collateral, from));
    set_rules(from);
    Verdict now = judge(found_, inputs_).verdict;
    for (const CheckResult& check : now.checks) {
      if (check.status == CheckStatus::fail) known_.insert(check.check);
    }
    return now;
  }

  /// `good` had nothing new; when `late` has, every check that is new there gets its first second. Another one that
  /// hides behind those is found on the way, because both halves are looked at.
  base::Status find(UtcTime good, UtcTime late) {
    TRY(const Failures failures, news_at(late));
    if (failures.empty()) return base::done();
    if (late.seconds - good.seconds <= 1) {
      note(failures, late);
      return base::done();
    }
    const UtcTime middle{good.seconds + (late.seconds - good.seconds) / 2};
    TRY_OK(find(good, middle));
    return find(middle, late);
  }

  std::vector<Turn> turns{};

 private:
  void set_rules(UtcTime time) {
    const auto rules = rules_ ? rules_(time) : nullptr;
    if (rules == nullptr) return;
    inputs_.policy = rules->policy;
    inputs_.lists = rules->lists;
  }

  /// The verifier's checks as of then, and the policy's on what the verifier finds now: a document that has run out
  /// takes its claims with it, and a policy that misses these would only say again that it ran out.
  Result<Failures> news_at(UtcTime time) {
    TRY(const Verdict later, verifier_.verify(inputs_.evidence, *inputs_.collateral, time));
    set_rules(time);
    Verdict aged = found_;
    aged.at = time;
    const Verdict judged = judge(std::move(aged), inputs_).verdict;
    Failures out;
    const auto add = [this, &out](const Verdict& verdict, bool policys) {
      std::ranges::copy_if(verdict.checks, std::back_inserter(out), [this, policys](const CheckResult& check) {
        return check.status == CheckStatus::fail && is_policys(check.check) == policys && !known_.contains(check.check);
      });
    };
    add(later, false);
    add(judged, true);
    return out;
  }

  void note(const Failures& failures, UtcTime time) {
    for (const CheckResult& check : failures) {
      if (!known_.insert(check.check).second) continue;
      const Remedy remedy = remedy_of(check.check);
      turns.push_back({.at = time,
                       .check = check.check,
                       .remedy = remedy,
                       .document = std::string{source_of(info(check.check).id).document},
                       .refresh = remedy == Remedy::collateral ? artefacts_behind(check.check, inputs_)
                                                               : std::vector<std::string>{},
                       .expected = check.expected,
                       .actual = check.actual,
                       .detail = check.detail});
    }
  }

  AppraisalInputs inputs_;
  const attestation::Verifier& verifier_;
  const RulesAt& rules_;
  Verdict found_;
  std::set<CheckId> known_;
};

std::string day_of(UtcTime time) { return base::to_rfc3339(time).substr(0, 10); }

JsonOut workload_json(const NamedForecast& one) {
  return JsonOutObject{{"workload", one.workload},
                       {"appraisal", one.appraisal.empty() ? JsonOut{} : JsonOut{one.appraisal}},
                       {"platform", one.platform}};
}

}  // namespace

std::string_view to_text(Remedy remedy) noexcept {
  switch (remedy) {
    case Remedy::collateral:
      return "collateral";
    case Remedy::evidence:
      return "evidence";
    case Remedy::policy:
      return "policy";
  }
  return "evidence";
}

Result<Forecast> forecast(const AppraisalInputs& inputs, const attestation::Verifier& verifier, UtcTime from,
                          UtcTime until, const RulesAt& rules) {
  until = UtcTime{std::min(until.seconds, from.seconds + kMaxForecastDays * kDay)};
  Scan scan{inputs, verifier, rules};
  TRY(const Verdict now, scan.start(from));
  Forecast out;
  out.red_now = now.outcome != attestation::Outcome::accepted;
  if (const auto* cause = now.root_cause()) out.cause_now = info(cause->check).id;
  for (UtcTime before = from; before < until;) {
    const UtcTime after{std::min(before.seconds + kDay, until.seconds)};
    TRY_OK(scan.find(before, after));
    before = after;
  }
  out.turns = std::move(scan.turns);
  return out;
}

JsonOut forecast_json(const std::vector<NamedForecast>& all, UtcTime from, UtcTime until) {
  JsonOutArray red;
  // By day, then the check, then the artefact: the same order for the same workloads.
  using Key = std::tuple<std::string, CheckId, std::vector<std::string>>;
  std::map<Key, std::vector<std::pair<const NamedForecast*, const Turn*>>> groups;
  for (const auto& one : all) {
    if (one.forecast.red_now) {
      auto object = JsonOutObject{{"workload", one.workload},
                                  {"appraisal", one.appraisal.empty() ? JsonOut{} : JsonOut{one.appraisal}},
                                  {"platform", one.platform},
                                  {"root_cause", one.forecast.cause_now}};
      red.emplace_back(std::move(object));
    }
    for (const Turn& turn : one.forecast.turns) {
      groups[{day_of(turn.at), turn.check, turn.refresh}].emplace_back(&one, &turn);
    }
  }
  std::map<std::string, JsonOutArray> days;
  for (const auto& [key, members] : groups) {
    const auto first = std::ranges::min_element(members, {}, [](const auto& m) { return m.second->at; });
    const Turn& turn = *first->second;
    JsonOutArray refresh;
    for (const auto& name : turn.refresh) refresh.emplace_back(name);
    JsonOutArray workloads;
    for (const auto& [one, its] : members) workloads.push_back(workload_json(*one));
    days[std::get<0>(key)].emplace_back(JsonOutObject{{"check", info(turn.check).id},
                                                      {"title", info(turn.check).title},
                                                      {"remedy", to_text(turn.remedy)},
                                                      {"refresh", std::move(refresh)},
                                                      {"document", turn.document},
                                                      {"at", base::to_rfc3339(turn.at)},
                                                      {"expected", turn.expected},
                                                      {"actual", turn.actual},
                                                      {"what_to_do", what_to_do(turn.remedy, turn.check)},
                                                      {"workloads", std::move(workloads)}});
  }
  JsonOutArray list;
  for (auto& [day, causes] : days) {
    list.emplace_back(JsonOutObject{{"day", day}, {"causes", std::move(causes)}});
  }
  return JsonOutObject{{"from", base::to_rfc3339(from)},
                       {"until", base::to_rfc3339(until)},
                       {"workloads", all.size()},
                       {"red_now", std::move(red)},
                       {"days", std::move(list)}};
}

}  // namespace attestry::appraisal
