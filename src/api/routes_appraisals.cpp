// Stored appraisals: what was judged, by what, and why it came out so. For administrators of the service, tenant by
// tenant: an appraisal holds measurements and report data.
#include <charconv>

#include "api/handlers.h"
#include "appraisal/explain.h"
#include "base/encoding.h"
#include "provision/registry_grants.h"

namespace attestry::api {

using base::Code;
using base::Error;
using base::JsonOut;
using base::JsonOutArray;
using base::JsonOutObject;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t kDefaultPage = 50;
constexpr std::int64_t kLargestPage = 500;

/// Operators' tools read a page as it comes; nothing between keeps measurements.
net::Response answer(std::string json) { return no_store(net::json_response(200, std::move(json))); }

Result<base::Tenant> tenant_in(const net::Request& request) {
  const auto given = request.query_value("tenant");
  if (!given) return base::Tenant::standard();
  return base::Tenant::parse(*given);
}

Result<base::Digest32> id_in(const Deps& deps, const base::Tenant& tenant, const net::Request& request) {
  return deps.appraisals.resolve(tenant, request.parameter("id"));
}

JsonOutObject entry_json(const base::Digest32& id, const appraisal::Entry& entry) {
  return {{"id", base::hex(id)},
          {"origin", appraisal::to_text(entry.origin)},
          {"stored", base::to_rfc3339(entry.stored)},
          {"app", entry.app.empty() ? JsonOut{nullptr} : JsonOut{entry.app}},
          {"leaf_index", entry.leaf_index ? JsonOut{*entry.leaf_index} : JsonOut{nullptr}},
          {"verdict", entry.summary.verdict},
          {"evidence", entry.summary.evidence},
          {"platform", entry.summary.platform},
          {"root_cause", entry.summary.root_cause.empty() ? JsonOut{nullptr} : JsonOut{entry.summary.root_cause}}};
}

Result<std::optional<base::UtcTime>> time_in(const net::Request& request, std::string_view name) {
  const auto text = request.query_value(name);
  if (!text) return std::optional<base::UtcTime>{};
  TRY(const auto time, base::parse_rfc3339(*text), name);
  return std::optional{time};
}

Result<std::size_t> limit_in(const net::Request& request) {
  const auto text = request.query_value("limit");
  if (!text) return kDefaultPage;
  std::int64_t value = 0;
  const auto end = text->data() + text->size();
  const auto parsed = std::from_chars(text->data(), end, value);
  if (parsed.ec != std::errc{} || parsed.ptr != end || value < 1 || value > kLargestPage)
    return Error{Code::malformed, "limit", "1 to 500", std::string{*text}};
  return static_cast<std::size_t>(value);
}

Result<appraisal::Filter> filter_in(const net::Request& request) {
  const auto text = [&](std::string_view name) { return std::string{request.query_value(name).value_or("")}; };
  appraisal::Filter filter{.app = {},
                           .verdict = text("verdict"),
                           .evidence = text("evidence"),
                           .platform = text("platform"),
                           .root_cause = text("root_cause"),
                           .origin = {},
                           .since = {},
                           .until = {}};
  if (const auto app = request.query_value("app")) {
    TRY(const auto parsed, base::AppRef::parse(*app), "app");
    filter.app = parsed.text();
  }
  if (const auto origin = request.query_value("origin")) {
    filter.origin = appraisal::origin_from(*origin);
    if (!filter.origin) {
      return Error{Code::malformed, "origin", "release, refusal, attempt, verification or import",
                   std::string{*origin}};
    }
  }
  TRY(filter.since, time_in(request, "since"));
  TRY(filter.until, time_in(request, "until"));
  return filter;
}

Result<net::Response> list_appraisals(const Deps& deps, net::Request& request) {
  TRY(const auto tenant, tenant_in(request));
  TRY(const auto filter, filter_in(request));
  TRY(const std::size_t limit, limit_in(request));
  TRY(const auto page, deps.appraisals.list(tenant, filter, request.query_value("cursor").value_or(""), limit));
  JsonOutArray rows;
  for (const auto& row : page.rows) rows.emplace_back(entry_json(row.id, row.entry));
  return answer(JsonOut{
      JsonOutObject{{"appraisals", std::move(rows)}, {"next", page.next ? JsonOut{*page.next} : JsonOut{nullptr}}}}
                    .compact());
}

/// The leaf's key opens its commitments (docs/formats/log.md).
JsonOut revocation_json(const provision::ContractRevocation& revoked) {
  return JsonOutObject{{"leaf_index", revoked.leaf_index},
                       {"leaf_key", base::base64url(revoked.leaf_key.reveal())},
                       {"block", revoked.block},
                       {"time", base::to_rfc3339(revoked.time)},
                       {"reason", revoked.reason}};
}

Result<net::Response> show_appraisal(const Deps& deps, net::Request& request) {
  TRY(const auto tenant, tenant_in(request));
  TRY(const auto id, id_in(deps, tenant, request));
  TRY(const auto found, deps.appraisals.get(tenant, id));
  auto out = entry_json(id, found.entry);
  // The summary's word gives way to the whole verdict.
  std::erase_if(out, [](const auto& member) { return member.first == "verdict"; });
  const auto raw = [](const std::string& json) {
    return json.empty() ? JsonOut{nullptr} : JsonOut{JsonOut::Raw{json}};
  };
  out.emplace_back("refusal", raw(found.entry.refusal_json));
  TRY(const auto view, deps.store.read());
  TRY(const auto revoked, provision::revocation_of(*view, tenant, id));
  out.emplace_back("revoked", revoked ? revocation_json(*revoked) : JsonOut{nullptr});
  out.emplace_back("appraisal", raw(found.document));
  out.emplace_back("verdict", raw(found.verdict_json));
  return answer(JsonOut{std::move(out)}.compact());
}

Result<net::Response> why_appraisal(const Deps& deps, net::Request& request) {
  TRY(const auto tenant, tenant_in(request));
  TRY(const auto id, id_in(deps, tenant, request));
  TRY(const auto found, deps.appraisals.get(tenant, id));
  TRY(const auto verdict, appraisal::read_verdict(found.verdict_json));
  return answer(appraisal::why_json(verdict, base::hex(id)).compact());
}

Result<net::Response> export_appraisal(const Deps& deps, net::Request& request) {
  TRY(const auto tenant, tenant_in(request));
  TRY(const auto id, id_in(deps, tenant, request));
  TRY(const auto stored, deps.appraisals.load(tenant, id));
  return answer(appraisal::write_export(stored));
}

Result<net::Response> import_appraisal(const Deps& deps, net::Request& request) {
  TRY(const auto tenant, tenant_in(request));
  TRY(const auto stored, appraisal::read_export(request.body));
  if (stored.inputs().anchors.realm() != deps.registry.realm()) {
    // A client's mistake, unlike a data folder of the wrong realm.
    return Error{Code::conflict, "an appraisal of another realm", std::string{base::to_text(deps.registry.realm())},
                 std::string{base::to_text(stored.inputs().anchors.realm())},
                 "Production and simulated data never mix; look at the file with `attestry appraisal show FILE`."};
  }
  TRY(auto summary, appraisal::summary_of(stored.verdict_json()));
  const appraisal::Entry entry{.origin = appraisal::Origin::import,
                               .stored = deps.store.now(),
                               .app = stored.inputs().binding ? stored.inputs().binding->app.text() : std::string{},
                               .summary = std::move(summary)};
  TRY_OK(deps.store.write_and_wait(
      [&](state::WriteTxn& txn) { return deps.appraisals.put(txn, tenant, stored, entry); }, request.deadline));
  return no_store(net::json_response(201, JsonOut{JsonOutObject{{"id", base::hex(stored.id())}}}));
}

using Function = Result<net::Response> (*)(const Deps&, net::Request&);

net::QueryParameter query(std::string name, std::string description, std::string schema = R"({"type":"string"})") {
  return {std::move(name), std::move(description), std::move(schema), false};
}

net::Route route(const Deps& deps, net::Method method, std::string path, std::string id, std::string summary,
                 std::string response, Function function) {
  return {.method = method,
          .path = std::move(path),
          .role = net::Role::admin,
          .auth = net::Auth::admin,
          .operation_id = std::move(id),
          .summary = std::move(summary),
          .response_schema = std::move(response),
          .tag = "appraisals",
          .query = {query("tenant", "Whose appraisals; default when left out",
                          R"({"type":"string","pattern":"^[a-z0-9-]{1,63}$"})")},
          .handler = sync([&deps, function](net::Request& request) { return function(deps, request); })};
}

}  // namespace

Status add_appraisal_routes(net::Router& router, const Deps& deps) {
  auto list = route(deps, net::Method::get, "/v1/appraisals", "list_appraisals", "Stored appraisals, newest first",
                    "AppraisalList", list_appraisals);
  list.query.push_back(query("app", "Registrations of this app"));
  list.query.push_back(query("verdict", "accepted, refused or undecided"));
  list.query.push_back(query("evidence", "genuine, false or undecided"));
  list.query.push_back(query("platform", "sgx, tdx, snp, nitro, maa"));
  list.query.push_back(query("root_cause", "Id of a check"));
  list.query.push_back(query("origin", "release, refusal, attempt, verification or import"));
  list.query.push_back(query("since", "Stored at this time or later (RFC 3339)"));
  list.query.push_back(query("until", "Stored at this time or before (RFC 3339)"));
  list.query.push_back(query("limit", "Rows of a page, 1 to 500", R"({"type":"integer","minimum":1,"maximum":500})"));
  list.query.push_back(query("cursor", "`next` of the page before", R"({"type":"string","maxLength":80})"));
  TRY_OK(router.add(std::move(list)));
  TRY_OK(
      router.add(route(deps, net::Method::get, "/v1/appraisals/{id}", "show_appraisal",
                       "One appraisal with its verdict; 8 digits of its id are enough", "Appraisal", show_appraisal)));
  TRY_OK(router.add(route(deps, net::Method::get, "/v1/appraisals/{id}/why", "why_appraisal",
                          "The tree of decisions: root cause, what was not done because of it, what passed", "Why",
                          why_appraisal)));
  TRY_OK(
      router.add(route(deps, net::Method::get, "/v1/appraisals/{id}/export", "export_appraisal",
                       "Everything that another machine needs to judge again", "AppraisalExport", export_appraisal)));
  auto import = route(deps, net::Method::post, "/v1/appraisals", "import_appraisal",
                      "Keep an appraisal that was exported elsewhere", "AppraisalId", import_appraisal);
  import.request_schema = "AppraisalExport";
  import.success_status = 201;
  import.body_limit = appraisal::kMaxExportBytes;
  return router.add(std::move(import));
}

}  // namespace attestry::api
