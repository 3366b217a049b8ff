#include "api/threshold.h"

#include <chrono>

#include "api/handlers.h"
#include "base/encoding.h"
#include "keys/mpc_shapes.h"

namespace attestry::api {

using base::Code;
using base::Error;
using base::JsonOut;
using base::JsonOutArray;
using base::JsonOutObject;
using base::Result;
using base::Status;

namespace {

constexpr std::chrono::seconds kPatience{10};

net::Response json(int status, JsonOutObject body) {
  return no_store(net::json_response(status, JsonOut{std::move(body)}));
}

constexpr const char* kBusy = "too many wait for the nodes";

Result<net::Response> challenges(cluster::Coordinator& coordinator) {
  TRY(const auto gathered, coordinator.gather());
  JsonOutArray nonces;
  for (const auto& one : gathered.nonces) {
    nonces.emplace_back(
        JsonOutObject{{"node", static_cast<std::int64_t>(one.id)}, {"nonce", base::base64url(one.nonce)}});
  }
  return json(201, {{"epoch", static_cast<std::int64_t>(gathered.epoch)},
                    {"threshold", static_cast<std::int64_t>(gathered.threshold)},
                    {"master_public_key", keys::ckd::to_text(gathered.master)},
                    {"nonces", std::move(nonces)}});
}

Result<net::Response> derivation(cluster::Coordinator& coordinator, net::Request& request) {
  TRY(const auto application, cluster::Application::parse_json(std::string{request.body}), "request body");
  const auto check = request.query_value("check").value_or("false");
  if (check != "true" && check != "false") {
    return Error{Code::malformed, "query parameter check", "true or false", std::string{check}};
  }
  TRY(const auto derived,
      coordinator.derive(application, std::chrono::steady_clock::now() + kPatience, check == "true"));
  JsonOutArray participants, failing;
  for (const auto id : derived.participants) participants.emplace_back(static_cast<std::int64_t>(id));
  for (const auto& one : derived.failing) {
    failing.emplace_back(JsonOutObject{{"node", static_cast<std::int64_t>(one.id)},
                                       {"guilty", one.guilty},
                                       {"reason", "node " + cluster::without(one)}});
  }
  JsonOutObject out = keys::ckd::mpc_answer(derived.answer);
  out.emplace_back("epoch", static_cast<std::int64_t>(derived.epoch));
  out.emplace_back("participants", std::move(participants));
  out.emplace_back("failing", std::move(failing));
  return json(200, std::move(out));
}

net::Response members(cluster::Coordinator& coordinator) {
  JsonOutArray out;
  for (const auto& one : coordinator.look()) {
    out.emplace_back(JsonOutObject{{"id", static_cast<std::int64_t>(one.member.id)},
                                   {"address", one.member.address},
                                   {"signing_key", base::hex(one.member.signing_key)},
                                   {"self", one.self},
                                   {"answers", one.answers},
                                   {"epoch", static_cast<std::int64_t>(one.epoch)},
                                   {"reason", one.why}});
  }
  return json(200, {{"members", std::move(out)}});
}

net::Route for_operators(net::Method method, std::string path, const std::string& id, std::string summary,
                         std::string request_schema, std::string response_schema, net::Handler handler) {
  return {.method = method,
          .path = std::move(path),
          .role = net::Role::admin,
          .auth = net::Auth::admin,
          .operation_id = id,
          .summary = std::move(summary),
          .request_schema = std::move(request_schema),
          .response_schema = std::move(response_schema),
          .success_status = id == "change_cluster" ? 202 : 200,
          .tag = "threshold",
          .handler = std::move(handler)};
}

Status add_operators_routes(net::Router& router, const ThresholdControl& control) {
  using net::Method;
  TRY_OK(router.add(
      for_operators(Method::get, "/v1/node", "show_node", "This node and the epoch in force", "", "ThresholdNode",
                    sync([control](net::Request&) -> Result<net::Response> { return json(200, control.status()); }))));
  TRY_OK(router.add(for_operators(
      Method::get, "/v1/node/members", "show_node_members", "Which nodes answer", "", "ThresholdMembers",
      on_lane(control.operators, kBusy,
              [control](net::Request&) -> Result<net::Response> { return members(control.coordinator); }))));
  TRY_OK(router.add(for_operators(
      Method::post, "/v1/node/join", "join_cluster", "Make this node known to a cluster", "ThresholdJoin",
      "ThresholdNode", on_lane(control.operators, kBusy, [control](net::Request& request) -> Result<net::Response> {
        TRY(const auto doc, net::json_body(request));
        TRY_OK(doc->root().only({"peer"}), "request body");
        TRY(const auto peer, text_member(doc->root(), "peer"));
        TRY_OK(control.join(peer));
        return json(200, control.status());
      }))));
  TRY_OK(router.add(
      for_operators(Method::post, "/v1/node/export", "export_node", "Seal everything that this node is to its holder",
                    "ThresholdExportFor", "ThresholdExport",
                    on_lane(control.operators, kBusy, [control](net::Request& request) -> Result<net::Response> {
                      TRY(const auto doc, net::json_body(request));
                      TRY_OK(doc->root().only({"holders", "holder"}), "request body");
                      TRY(const auto text, text_member(doc->root(), "holders"));
                      TRY(const auto holder, text_member(doc->root(), "holder"));
                      TRY(const auto list, base::base64url_decode(text), "holders");
                      TRY(const auto sealed, control.export_to(list, holder));
                      return json(200, {{"export", base::base64url(sealed)}});
                    }))));
  TRY_OK(router.add(for_operators(
      Method::get, "/v1/node/change", "show_node_change", "How far the last change is", "", "ThresholdChange",
      sync([control](net::Request&) -> Result<net::Response> { return json(200, control.change_status()); }))));
  return router.add(for_operators(Method::post, "/v1/node/change", "change_cluster",
                                  "Begin the next epoch, with the members and threshold that operators approved",
                                  "ThresholdProposal", "ThresholdChange",
                                  sync([control](net::Request& request) -> Result<net::Response> {
                                    TRY(auto proposal, cluster::Proposal::parse(std::string{request.body}));
                                    TRY_OK(control.change(std::move(proposal)));
                                    return json(202, control.change_status());
                                  })));
}

}  // namespace

Status add_threshold_routes(net::Router& router, const ThresholdControl& control) {
  const auto open = [&](net::Method method, const std::string& path, std::string id, std::string summary,
                        std::string request_schema, std::string response_schema, net::Handler handler) {
    net::Route route{.method = method,
                     .path = path,
                     .role = net::Role::public_,
                     .auth = net::Auth::none,
                     .operation_id = std::move(id),
                     .summary = std::move(summary),
                     .request_schema = std::move(request_schema),
                     .response_schema = std::move(response_schema),
                     .success_status = path.ends_with("challenges") ? 201 : 200,
                     .tag = "threshold",
                     .body_limit = path.ends_with("challenges") ? 0 : cluster::Application::kMaxBody,
                     .handler = std::move(handler)};
    if (path.ends_with("derivations")) {
      route.query = {{.name = "check", .description = "true: each node proves its answer (the app's check failed)"}};
    }
    return router.add(std::move(route));
  };
  TRY_OK(open(net::Method::post, "/v1/threshold/challenges", "threshold_challenges",
              "Nonces of the nodes, for a workload's evidence", "", "ThresholdChallenges",
              on_lane(control.workloads, kBusy,
                      [control](net::Request&) -> Result<net::Response> { return challenges(control.coordinator); })));
  TRY_OK(open(net::Method::post, "/v1/threshold/derivations", "threshold_derivation",
              "A workload's key, encrypted to its own point A", "ThresholdApplication", "ThresholdAnswer",
              on_lane(control.workloads, kBusy, [control](net::Request& request) -> Result<net::Response> {
                return derivation(control.coordinator, request);
              })));
  return add_operators_routes(router, control);
}

}  // namespace attestry::api
