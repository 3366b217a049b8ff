// `attestry collateral forecast`: what is green now and turns red, of a server's releases or of evidence in files.
#include <algorithm>
#include <ostream>

#include "app/collateral_commands.h"
#include "app/evidence_files.h"
#include "appraisal/forecast.h"
#include "attestation/verifier.h"
#include "base/json.h"

namespace attestry::app {

using base::Result;

namespace {

constexpr std::int64_t kDaySeconds = 86400;
constexpr std::size_t kNamed = 5;
constexpr std::size_t kMaxAnswer = 64u << 20;

std::string text_of(const base::JsonValue& object, std::string_view name) {
  const auto value = object.find(name);
  if (!value || value->is_null()) return {};
  const auto text = value->string(name);
  return text.ok() ? *text : std::string{value->source()};
}

std::string name_of(const base::JsonValue& workload) {
  const std::string appraisal = text_of(workload, "appraisal");
  return text_of(workload, "workload") + (appraisal.empty() ? "" : " (appraisal " + appraisal.substr(0, 12) + ")");
}

void print_workloads(std::ostream& out, const base::JsonValue& list) {
  std::size_t shown = 0;
  for (auto one = list.first(); one && shown < kNamed; one = one->next(), ++shown) {
    out << "      " << name_of(*one) << "\n";
  }
  if (list.size() > kNamed) out << "      and " << list.size() - kNamed << " more\n";
}

std::string refresh_line(const base::JsonValue& cause) {
  std::string out;
  if (const auto list = cause.find("refresh")) {
    for (auto one = list->first(); one; one = one->next()) {
      if (const auto name = one->string("refresh"); name.ok()) out += (out.empty() ? "" : ", ") + *name;
    }
  }
  return out.empty() ? "" : "    refresh  " + out + "\n";
}

/// By day and cause, soonest first.
base::Status print_text(std::ostream& out, const base::JsonValue& forecast) {
  TRY(const auto red, forecast.get("red_now"));
  TRY(const auto days, forecast.get("days"));
  out << text_of(forecast, "workloads") << " workloads, from " << text_of(forecast, "from") << " to "
      << text_of(forecast, "until") << "\n";
  if (red.size() > 0) {
    out << "\nnow  already red\n";
    for (auto one = red.first(); one; one = one->next()) {
      out << "      " << name_of(*one) << ": " << text_of(*one, "root_cause") << "\n";
    }
  }
  for (auto day = days.first(); day; day = day->next()) {
    out << "\n" << text_of(*day, "day") << "\n";
    TRY(const auto causes, day->get("causes"));
    for (auto cause = causes.first(); cause; cause = cause->next()) {
      TRY(const auto workloads, cause->get("workloads"));
      out << "  " << text_of(*cause, "check") << "  from " << text_of(*cause, "at") << ", " << workloads.size()
          << (workloads.size() == 1 ? " workload" : " workloads") << "\n"
          << "    because  " << text_of(*cause, "title") << ": expected " << text_of(*cause, "expected") << ", will be "
          << text_of(*cause, "actual") << " (" << text_of(*cause, "document") << ")\n"
          << refresh_line(*cause) << "    do       " << text_of(*cause, "what_to_do") << "\n";
      print_workloads(out, workloads);
    }
  }
  if (days.size() == 0) out << (red.size() == 0 ? "\nNothing" : "\nNothing else") << " turns red in that time.\n";
  return base::done();
}

Result<int> print(Context& context, const CollateralOptions& options, const std::string& json) {
  TRY(const auto doc, base::JsonDocument::parse(json, {.max_bytes = kMaxAnswer, .max_nodes = 4'000'000}));
  const auto root = doc->root();
  const auto forecast = root.find("forecast").value_or(root);
  if (options.connection.format == "json") {
    context.out << json << "\n";
  } else {
    TRY_OK(print_text(context.out, forecast));
    if (const std::string left = text_of(root, "left_out"); !left.empty() && left != "0") {
      context.out << "\n" << left << " more workloads were not looked at.\n";
    }
  }
  TRY(const auto days, forecast.get("days"));
  TRY(const auto red, forecast.get("red_now"));
  return days.size() + red.size() == 0 ? kExitOk : kExitRefused;
}

Result<int> forecast_of_server(Context& context, const CollateralOptions& options) {
  TRY(const auto session, OperatorSession::open(options.connection));
  TRY(const auto answer,
      session->api().call(net::Method::get, "/v1/collateral/forecast?days=" + std::to_string(options.days) +
                                                "&tenant=" + net::percent_encode(session->tenant().text())));
  return print(context, options, answer);
}

Result<int> forecast_of_files(Context& context, const CollateralOptions& options) {
  TRY(const auto from, time_of(context, options.evidence.at));
  const base::UtcTime until = from + options.days * kDaySeconds;
  std::vector<appraisal::NamedForecast> all;
  for (const auto& path : options.names) {
    VerifyInputs wanted = options.evidence;
    wanted.evidence = path;
    TRY(const auto judged, judge_evidence(context, wanted), path);
    const attestation::Verifier verifier{judged.inputs.anchors};
    TRY(auto forecast, appraisal::forecast(judged.inputs, verifier, from, until), path);
    all.push_back({.workload = path,
                   .appraisal = {},
                   .platform = std::string{attestation::to_text(judged.verdict.platform)},
                   .forecast = std::move(forecast)});
  }
  return print(context, options, forecast_json(all, from, until).compact());
}

}  // namespace

Result<int> collateral_forecast(Context& context, const CollateralOptions& options) {
  return options.names.empty() ? forecast_of_server(context, options) : forecast_of_files(context, options);
}

}  // namespace attestry::app
