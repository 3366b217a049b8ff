// Which stored workloads turn red on which day, and why.
#include <algorithm>
#include <charconv>
#include <map>

#include "api/handlers.h"
#include "appraisal/forecast.h"
#include "attestation/artefact.h"
#include "base/encoding.h"

namespace attestry::api {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::int64_t kDefaultDays = 30;
constexpr std::int64_t kDaySeconds = 86400;
constexpr std::size_t kMostWorkloads = 2000;
constexpr std::size_t kPage = 500;

/// A release is a workload that runs, as far as this server knows. The newest first.
Result<std::vector<appraisal::Listed>> releases(const Deps& deps, const base::Tenant& tenant, std::size_t& left_out) {
  const appraisal::Filter filter{.app = {},
                                 .verdict = {},
                                 .evidence = {},
                                 .platform = {},
                                 .root_cause = {},
                                 .origin = appraisal::Origin::release,
                                 .since = {},
                                 .until = {}};
  std::vector<appraisal::Listed> out;
  std::string cursor;
  while (true) {
    TRY(auto page, deps.appraisals.list(tenant, filter, cursor, kPage));
    for (auto& row : page.rows) {
      if (out.size() < kMostWorkloads) {
        out.push_back(std::move(row));
      } else {
        ++left_out;
      }
    }
    if (!page.next || left_out > 0) return out;
    cursor = *page.next;
  }
}

/// What the vault holds for that evidence today, without asking anybody; what it was judged by, when that is not all
/// there.
std::shared_ptr<const attestation::Collateral> collateral_today(const Deps& deps,
                                                                const appraisal::AppraisalInputs& inputs,
                                                                base::UtcTime now, base::Deadline deadline) {
  for (const auto& way : needs_of(inputs.evidence, deps.appraiser.verifier().anchors().token_issuers())) {
    std::vector<attestation::CollateralItem> items;
    const bool whole = std::ranges::all_of(way.artefacts, [&](const attestation::Artefact& artefact) {
      const auto held = deps.vault->get(artefact, now, deadline, false);
      if (held.ok()) items.insert(items.end(), held->documents->items().begin(), held->documents->items().end());
      return held.ok();
    });
    if (whole && !items.empty()) return attestation::Collateral::make(std::move(items));
  }
  return inputs.collateral;
}

/// What each app has approved, as of today and of days to come: what its next registration has to meet.
class AppRules {
 public:
  AppRules(const Deps& deps, base::Tenant tenant) : deps_(deps), tenant_(std::move(tenant)) {}

  /// Null for an app that has no policy any more: then the one that it had counts.
  std::shared_ptr<const appraisal::Rules> at(const std::string& app, base::UtcTime time) {
    Known& known = apps_[app];
    if (const auto found = known.by_time.find(known.constant ? 0 : time.seconds); found != known.by_time.end()) {
      return found->second;
    }
    const auto ref = base::AppRef::parse(app);
    const auto policy =
        ref.ok() ? deps_.registry.policy_of(tenant_, *ref, time) : Result<governance::AppPolicy>(ref.error());
    // Only measurement sets and lists have days of their own.
    known.constant = !policy.ok() || !policy->state().references;
    std::shared_ptr<const appraisal::Rules> rules;
    if (policy.ok()) {
      rules = std::make_shared<const appraisal::Rules>(
          appraisal::Rules{.policy = policy->policy(), .lists = policy->lists()});
    }
    if (known.by_time.size() >= kMostTimes) known.by_time.clear();
    known.by_time[known.constant ? 0 : time.seconds] = rules;
    return rules;
  }

 private:
  static constexpr std::size_t kMostTimes = 1000;
  struct Known {
    bool constant = false;
    std::map<std::int64_t, std::shared_ptr<const appraisal::Rules>> by_time{};
  };
  const Deps& deps_;
  base::Tenant tenant_;
  std::map<std::string, Known> apps_;
};

struct Asked {
  base::Tenant tenant = base::Tenant::standard();
  std::int64_t days = kDefaultDays;
};

Result<Asked> read_query(const net::Request& request) {
  Asked out;
  if (const auto tenant = request.query_value("tenant")) {
    TRY(out.tenant, base::Tenant::parse(*tenant), "tenant");
  }
  if (const auto text = request.query_value("days")) {
    const auto end = text->data() + text->size();
    const auto [stop, error] = std::from_chars(text->data(), end, out.days);
    if (error != std::errc{} || stop != end || out.days < 1 || out.days > appraisal::kMaxForecastDays) {
      return Error{Code::malformed, "days", "1 to " + std::to_string(appraisal::kMaxForecastDays), std::string{*text}};
    }
  }
  return out;
}

Result<net::Response> look_ahead(const Deps& deps, const Asked& asked, base::Deadline deadline) {
  const auto now = deps.store.now();
  const base::UtcTime until = now + asked.days * kDaySeconds;
  std::size_t left_out = 0;
  TRY(const auto rows, releases(deps, asked.tenant, left_out));
  AppRules rules{deps, asked.tenant};
  std::vector<appraisal::NamedForecast> all;
  for (const auto& row : rows) {
    // Half of the time that the answer has: what is left of a long list is counted, not awaited.
    if (deps.clock->steady() >= deadline) {
      ++left_out;
      continue;
    }
    const auto stored = deps.appraisals.load(asked.tenant, row.id);
    if (!stored.ok()) {
      ++left_out;  // of before appraisals kept what they rest on
      continue;
    }
    appraisal::AppraisalInputs inputs = stored->inputs();
    inputs.collateral = collateral_today(deps, inputs, now, deadline);
    const auto rules_at = [&rules, &app = row.entry.app](base::UtcTime time) { return rules.at(app, time); };
    TRY(auto forecast, appraisal::forecast(inputs, deps.appraiser.verifier(), now, until, rules_at));
    all.push_back({.workload = row.entry.app,
                   .appraisal = base::hex(row.id),
                   .platform = row.entry.summary.platform,
                   .forecast = std::move(forecast)});
  }
  return no_store(net::json_response(
      200, base::JsonOut{base::JsonOutObject{{"forecast", forecast_json(all, now, until)}, {"left_out", left_out}}}));
}

void forecast(const Deps& deps, net::Request request, net::Responder responder) {
  const auto asked = read_query(request);
  if (!asked.ok()) return responder.send(asked.error());
  const auto now = deps.clock->steady();
  const auto deadline =
      request.deadline == base::Deadline::max() ? request.deadline : now + (request.deadline - now) / 2;
  auto shared = std::make_shared<net::Responder>(std::move(responder));
  SlowLane::Task task = [&deps, asked = *asked, deadline, shared] {
    auto answer = look_ahead(deps, asked, deadline);
    if (answer.ok()) {
      shared->send(*std::move(answer));
    } else {
      shared->send(answer.error());
    }
  };
  if (!deps.operators->run(task)) shared->send(Error{Code::unavailable, "too many requests wait already"});
}

}  // namespace

Status add_forecast_routes(net::Router& router, const Deps& deps) {
  if (deps.vault == nullptr) return base::done();
  net::Route route{
      .path = "/v1/collateral/forecast",
      .role = net::Role::admin,
      .auth = net::Auth::admin,
      .operation_id = "forecast_collateral",
      .summary = "Which stored workloads turn red on which day, and why",
      .description =
          "Each release's appraisal judged again for the days to come: its evidence, today's collateral, and what its "
          "app has approved for that day.",
      .response_schema = "CollateralForecast",
      .tag = "collateral",
      .handler = [&deps](net::Request r, net::Responder to) { forecast(deps, std::move(r), std::move(to)); }};
  route.query = {{.name = "days",
                  .description = "how far to look",
                  .schema_json = R"({"type":"integer","minimum":1,"maximum":366})"},
                 {.name = "tenant", .description = "whose workloads"}};
  return router.add(std::move(route));
}

}  // namespace attestry::api
