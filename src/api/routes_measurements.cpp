// Measurement sets and signed lists: what policies refer to by name. Reading takes the administrator's token; sets
// change by signatures alone.
#include "api/handlers.h"
#include "api/idempotency.h"
#include "base/encoding.h"
#include "governance/measurement_sets.h"
#include "governance/revocation.h"

namespace attestry::api {

using base::Code;
using base::Error;
using base::JsonOut;
using base::JsonOutArray;
using base::JsonOutObject;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t kListBody = 16u << 20;

/// Has no state of its own.
governance::MeasurementSets sets_of(const Deps& deps) { return {deps.store, deps.log, deps.registry}; }

JsonOut optional_time(const std::optional<base::UtcTime>& time) {
  return time ? JsonOut{base::to_rfc3339(*time)} : JsonOut{nullptr};
}

JsonOutObject voice_json(const governance::Voice& voice) {
  return {{"public_key", base::hex(voice.key)}, {"at", base::to_rfc3339(voice.at)}};
}

JsonOutObject entry_json(const governance::MeasurementEntry& entry) {
  JsonOutArray voices;
  for (const auto& voice : entry.voices) voices.emplace_back(voice_json(voice));
  JsonOutArray identities;
  for (std::size_t i = 0; i < entry.document.identities.size(); ++i) {
    identities.emplace_back(JsonOut::Raw{entry.document.identities[i]});
  }
  const auto& d = entry.document;
  return {{"id", base::hex(entry.id)},
          {"state", to_text(entry.state)},
          {"changed", base::to_rfc3339(entry.changed)},
          {"platform", d.platform},
          {"role", d.role},
          {"not_before", optional_time(d.not_before)},
          {"not_after", optional_time(d.not_after)},
          {"provenance",
           JsonOutObject{
               {"source", d.source}, {"commit", d.commit}, {"statement_sha256", d.statement_sha256}, {"by", d.by}}},
          {"identities", std::move(identities)},
          {"voices", std::move(voices)}};
}

JsonOutObject set_json(const governance::MeasurementSet& set) {
  JsonOutArray entries;
  for (const auto& entry : set.entries) entries.emplace_back(entry_json(entry));
  return {{"set", set.name}, {"seq", set.seq}, {"prev", set.prev}, {"entries", std::move(entries)}};
}

JsonOutObject impact_json(const governance::Impact& impact) {
  return {{"sha256", impact.sha256}, {"impact", JsonOut::Raw{impact.json}}};
}

Result<net::Response> list_sets(const Deps& deps, net::Request& request) {
  TRY(const auto tenant, tenant_of(request));
  TRY(const auto sets, sets_of(deps).sets(tenant));
  JsonOutArray out;
  for (const auto& set : sets) out.emplace_back(set_json(set));
  return net::json_response(200, JsonOut{JsonOutObject{{"measurements", std::move(out)}}});
}

Result<net::Response> show_set(const Deps& deps, net::Request& request) {
  TRY(const auto tenant, tenant_of(request));
  TRY(const auto set, sets_of(deps).set(tenant, std::string{request.parameter("name")}));
  return net::json_response(200, JsonOut{set_json(set)});
}

Result<net::Response> list_changes(const Deps& deps, net::Request& request) {
  TRY(const auto tenant, tenant_of(request));
  const std::string name{request.parameter("name")};
  TRY(const auto set, sets_of(deps).set(tenant, name));
  TRY(const auto envelopes, sets_of(deps).changes(tenant, set.name));
  JsonOutArray out;
  for (const auto& envelope : envelopes) out.emplace_back(JsonOut::Raw{envelope});
  return net::json_response(200, JsonOut{JsonOutObject{{"changes", std::move(out)}}});
}

Result<net::Response> show_impact(const Deps& deps, net::Request& request) {
  TRY(const auto tenant, tenant_of(request));
  TRY(const auto id, digest_of(request.parameter("id"), "entry"));
  TRY(const auto impact, sets_of(deps).impact(tenant, std::string{request.parameter("name")}, id, deps.store.now()));
  return net::json_response(200, JsonOut{impact_json(impact)});
}

Result<net::Response> submit(const Deps& deps, net::Request& request) {
  TRY(const auto envelope, governance::Envelope::parse(request.body));
  TRY(const auto accepted, sets_of(deps).submit(envelope, deps.store.now(), request.deadline));
  JsonOutObject out{{"payload_sha256", accepted.payload_sha256},
                    {"leaf_index", accepted.leaf_index},
                    {"set", accepted.set},
                    {"seq", accepted.seq},
                    {"required", accepted.required},
                    {"entry", entry_json(accepted.entry)}};
  out.emplace_back("ended", accepted.ended ? JsonOut{impact_json(*accepted.ended)} : JsonOut{nullptr});
  return net::json_response(201, JsonOut{std::move(out)});
}

/// What an approval takes away is told before it is signed: a revocation, or a policy in the place of another.
Result<net::Response> show_approval_impact(const Deps& deps, net::Request& request) {
  TRY(const auto tenant, tenant_of(request));
  TRY(const auto app, app_of(request));
  TRY(const auto subject, digest_of(request.parameter("id"), "subject"));
  const auto asked = request.query_value("action").value_or("revoke");
  if (asked != "revoke" && asked != "policy.approve") {
    return Error{Code::malformed, "action", "revoke or policy.approve", std::string{asked}};
  }
  const auto action = asked == "revoke" ? governance::Action::revoke : governance::Action::policy_approve;
  TRY(const auto impact,
      governance::revocation_impact(deps.store, deps.registry, tenant, app, action, subject, deps.store.now()));
  return net::json_response(200,
                            JsonOut{JsonOutObject{{"sha256", impact.sha256}, {"impact", JsonOut::Raw{impact.json}}}});
}

Result<net::Response> list_instances(const Deps& deps, net::Request& request) {
  TRY(const auto tenant, tenant_of(request));
  TRY(const auto app, app_of(request));
  TRY([[maybe_unused]] const auto state, deps.registry.app(tenant, app));
  TRY(const auto instances, sets_of(deps).instances(tenant, app, deps.store.now()));
  JsonOutArray out;
  for (const auto& one : instances) {
    out.emplace_back(JsonOutObject{{"instance", one.instance},
                                   {"state", one.state},
                                   {"expires", base::to_rfc3339(one.expires)},
                                   {"source", one.source},
                                   {"why", one.why}});
  }
  return net::json_response(200, JsonOut{JsonOutObject{{"instances", std::move(out)}}});
}

JsonOutObject list_json(const attestation::SignedList& list) {
  return {{"name", list.name()},
          {"version", list.version()},
          {"sha256", base::hex(list.sha256())},
          {"values", std::uint64_t{list.size()}},
          {"signatures", std::uint64_t{list.envelope().signatures.size()}},
          {"not_before", optional_time(list.not_before())},
          {"not_after", base::to_rfc3339(list.not_after())}};
}

Result<net::Response> put_list(const Deps& deps, net::Request& request) {
  TRY(const auto tenant, tenant_of(request));
  TRY(const auto list, attestation::SignedList::parse(request.body));
  if (list.name() != request.parameter("name")) {
    return Error{Code::malformed, "the list has another name", std::string{request.parameter("name")}, list.name()};
  }
  TRY_OK(deps.registry.put_list(tenant, list, deps.store.now(), request.deadline));
  return net::json_response(200, JsonOut{list_json(list)});
}

Result<net::Response> show_list(const Deps& deps, net::Request& request) {
  TRY(const auto tenant, tenant_of(request));
  TRY(const auto list, deps.registry.list(tenant, std::string{request.parameter("name")}));
  return net::json_response(200, list.envelope().to_json());
}

Result<net::Response> all_lists(const Deps& deps, net::Request& request) {
  TRY(const auto tenant, tenant_of(request));
  TRY(const auto lists, deps.registry.lists(tenant));
  JsonOutArray out;
  for (const auto& list : lists) out.emplace_back(list_json(list));
  return net::json_response(200, JsonOut{JsonOutObject{{"lists", std::move(out)}}});
}

Result<net::Response> delete_list(const Deps& deps, net::Request& request) {
  TRY(const auto tenant, tenant_of(request));
  TRY_OK(deps.registry.remove_list(tenant, std::string{request.parameter("name")}, deps.store.now(), request.deadline));
  return net::empty_response();
}

using Function = Result<net::Response> (*)(const Deps&, net::Request&);

net::Route admin(const Deps& deps, net::Method method, std::string path, std::string id, std::string summary,
                 std::string response, Function function) {
  return {.method = method,
          .path = std::move(path),
          .role = net::Role::admin,
          .auth = net::Auth::admin,
          .operation_id = std::move(id),
          .summary = std::move(summary),
          .response_schema = std::move(response),
          .tag = "governance",
          .handler = sync([&deps, function](net::Request& request) { return function(deps, request); })};
}

net::Route write(const Deps& deps, net::Method method, std::string path, std::string id, std::string summary,
                 std::string response, Function function) {
  auto route = admin(deps, method, std::move(path), std::move(id), std::move(summary), std::move(response), function);
  route.headers.push_back(idempotency_header());
  route.handler = sync([&deps, function](net::Request& request) {
    return once(deps, request, [&](net::Request& inner) { return function(deps, inner); });
  });
  return route;
}

Status add_set_routes(net::Router& router, const Deps& deps) {
  TRY_OK(router.add(admin(deps, net::Method::get, "/v1/tenants/{tenant}/measurements", "list_measurements",
                          "Measurement sets with their entries", "MeasurementSetList", list_sets)));
  TRY_OK(router.add(admin(deps, net::Method::get, "/v1/tenants/{tenant}/measurements/{name}", "show_measurement",
                          "One measurement set", "MeasurementSet", show_set)));
  TRY_OK(router.add(admin(deps, net::Method::get, "/v1/tenants/{tenant}/measurements/{name}/changes",
                          "list_measurement_changes", "Accepted changes of a set, oldest first",
                          "MeasurementChangeList", list_changes)));
  TRY_OK(router.add(admin(deps, net::Method::get, "/v1/tenants/{tenant}/measurements/{name}/{id}/impact",
                          "measurement_impact", "Whom the removal of an entry would hit: apps, policies, instances",
                          "MeasurementImpact", show_impact)));
  // No Idempotency-Key, as with approvals: a change's place in its set's sequence keeps it from being accepted twice.
  auto change = admin(deps, net::Method::post, "/v1/measurements", "submit_measurement",
                      "A DSSE envelope signed by operators: add, approve or remove an entry of a set",
                      "AcceptedMeasurement", submit);
  change.auth = net::Auth::signature;
  change.request_schema = "MeasurementEnvelope";
  change.success_status = 201;
  TRY_OK(router.add(std::move(change)));
  auto approval = admin(deps, net::Method::get, "/v1/tenants/{tenant}/apps/{app}/approvals/{id}/impact",
                        "approval_impact", "Whom a revocation or another policy would hit, before it is signed",
                        "ApprovalImpact", show_approval_impact);
  approval.query.push_back({"action", "revoke (the digest), or policy.approve (the stored policy)",
                            R"({"enum":["revoke","policy.approve"]})", false});
  TRY_OK(router.add(std::move(approval)));
  return router.add(admin(deps, net::Method::get, "/v1/tenants/{tenant}/apps/{app}/instances", "list_instances",
                          "Instances of an app, and whether what let them in still holds", "InstanceList",
                          list_instances));
}

Status add_list_routes(net::Router& router, const Deps& deps) {
  TRY_OK(router.add(admin(deps, net::Method::get, "/v1/tenants/{tenant}/lists", "list_lists",
                          "Signed lists that policies look into", "SignedListList", all_lists)));
  TRY_OK(router.add(admin(deps, net::Method::get, "/v1/tenants/{tenant}/lists/{name}", "show_list",
                          "A signed list as it was stored", "ListEnvelope", show_list)));
  auto put = write(deps, net::Method::put, "/v1/tenants/{tenant}/lists/{name}", "put_list",
                   "Store a signed list; its version must be above the last one", "SignedList", put_list);
  put.request_schema = "ListEnvelope";
  put.body_limit = kListBody;
  TRY_OK(router.add(std::move(put)));
  auto remove = write(deps, net::Method::delete_, "/v1/tenants/{tenant}/lists/{name}", "remove_list",
                      "Remove a stored list: what looks into it lets nothing in", "", delete_list);
  remove.success_status = 204;
  return router.add(std::move(remove));
}

}  // namespace

Status add_measurement_routes(net::Router& router, const Deps& deps) {
  TRY_OK(add_set_routes(router, deps));
  return add_list_routes(router, deps);
}

}  // namespace attestry::api
