// POST /v1/challenges and POST /v1/instances: the main job over HTTP.
#include "api/handlers.h"
#include "base/encoding.h"

namespace attestry::api {

using base::Result;
using base::Status;

namespace {

Result<net::Response> challenge(const Deps& deps, net::Request& request) {
  auto purpose = base::Purpose::instance_release;
  if (!request.body.empty()) {
    TRY(const auto doc, net::json_body(request));
    TRY_OK(doc->root().only({"purpose"}), "request body");
    if (const auto value = doc->root().find("purpose")) {
      TRY(const auto number, value->integer("purpose", 1, 255));
      TRY(purpose, base::purpose_from(static_cast<std::uint8_t>(number)));
    }
  }
  const auto made = deps.challenges.issue(purpose, deps.store.now());
  return no_store(
      net::json_response(200, base::JsonOut{base::JsonOutObject{{"nonce", base::base64url(made.nonce)},
                                                                {"purpose", static_cast<int>(purpose)},
                                                                {"expires", base::to_rfc3339(made.expires)}}}));
}

void register_instance(const Deps& deps, const net::Request& request, net::Responder responder) {
  auto parsed = provision::InstanceRequest::parse(base::to_bytes(request.body));
  if (!parsed) return responder.send(parsed.error());
  auto done = [responder = std::move(responder)](provision::InstanceOutcome outcome) mutable {
    if (!outcome) {
      const auto& refusal = outcome.error();
      responder.send(problem_with_verdict(refusal.error, refusal.verdict_json, refusal.appraisal, responder.trace()));
      return;
    }
    responder.send(
        no_store(net::json_response(201, base::JsonOut{base::JsonOutObject{{"sealed", base::base64url(outcome->sealed)},
                                                                           {"receipt", outcome->receipt}}})));
  };
  deps.registrar.register_instance(*parsed, request.deadline, std::move(done));
}

}  // namespace

Status add_instance_routes(net::Router& router, const Deps& deps) {
  TRY_OK(router.add({.method = net::Method::post,
                     .path = "/v1/challenges",
                     .auth = net::Auth::none,
                     .operation_id = "create_challenge",
                     .summary = "A nonce to make evidence for",
                     .description = "Stateless, valid for 300 seconds, used once (docs/formats/binding.md).",
                     .request_schema = "ChallengeRequest",
                     .response_schema = "Challenge",
                     .tag = "provision",
                     .handler = sync([&deps](net::Request& request) { return challenge(deps, request); })}));
  return router.add(
      {.method = net::Method::post,
       .path = "/v1/instances",
       .auth = net::Auth::evidence,
       .operation_id = "register_instance",
       .summary = "Evidence and CSR in; certificate, keys and configuration out",
       .description =
           "The reply is sealed to the recipient key that the evidence binds. The nonce is the idempotency key. "
           "`event_logs` are boot event logs that lead to the registers of the evidence: of each kind, TCG and "
           "dstack's JSON, at most one. Report data does not cover them; the registers do.",
       .request_schema = "InstanceRequest",
       .response_schema = "InstanceReply",
       .success_status = 201,
       .tag = "provision",
       .body_limit = provision::InstanceRequest::kMaxBytes,
       .handler = [&deps](const net::Request& request, net::Responder responder) {
         register_instance(deps, request, std::move(responder));
       }});
}

}  // namespace attestry::api
