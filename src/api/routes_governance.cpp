// Operators, blobs, approvals, apps and secrets: what an operator does before a workload can register.
#include "api/handlers.h"
#include "api/idempotency.h"
#include "base/encoding.h"

namespace attestry::api {

using base::Code;
using base::Error;
using base::JsonOut;
using base::JsonOutArray;
using base::JsonOutObject;
using base::Result;
using base::Status;

namespace {

JsonOut optional_digest(const std::optional<base::Digest32>& digest) {
  return digest ? JsonOut{base::hex(*digest)} : JsonOut{nullptr};
}

JsonOutArray digests(const std::vector<base::Digest32>& list) {
  JsonOutArray out;
  for (const auto& digest : list) out.emplace_back(base::hex(digest));
  return out;
}

JsonOutObject app_json(const governance::AppState& state) {
  return {{"tenant", state.tenant.text()},
          {"app", state.app.text()},
          {"version", state.version},
          {"seq", state.seq},
          {"prev", state.prev},
          {"epoch", state.epoch},
          {"oldest_epoch", state.oldest_epoch},
          {"threshold", state.threshold},
          {"policy", optional_digest(state.policy)},
          {"identities", digests(state.identities)},
          {"configuration", optional_digest(state.configuration)},
          {"secrets", digests(state.secrets)}};
}

JsonOutObject operator_json(const governance::Operator& who) {
  return {{who.address ? "address" : "public_key", who.text()},
          {"name", who.name},
          {"since", base::to_rfc3339(who.since)},
          {"right", std::string{to_text(who.right)}}};
}

Result<net::Response> put_operator(const Deps& deps, net::Request& request) {
  TRY(const auto tenant, tenant_of(request));
  TRY(auto who, governance::operator_of(request.parameter("key")));
  TRY(const auto doc, net::json_body(request));
  TRY_OK(doc->root().only({"name", "right"}), "request body");
  TRY(who.name, text_member(doc->root(), "name"));
  if (doc->root().find("right")) {
    TRY(const auto word, text_member(doc->root(), "right"));
    const auto right = governance::operator_right_from(word);
    if (!right) return Error{Code::malformed, "right", "approve or start", word};
    who.right = *right;
  }
  who.since = deps.store.now();
  TRY_OK(deps.registry.set_operator(tenant, who, who.since, request.deadline));
  return net::json_response(200, JsonOut{operator_json(who)});
}

Result<net::Response> delete_operator(const Deps& deps, net::Request& request) {
  TRY(const auto tenant, tenant_of(request));
  TRY(const auto who, governance::operator_of(request.parameter("key")));
  TRY_OK(deps.registry.remove_operator(tenant, who.id(), deps.store.now(), request.deadline));
  return net::empty_response();
}

Result<net::Response> list_operators(const Deps& deps, net::Request& request) {
  TRY(const auto tenant, tenant_of(request));
  TRY(const auto operators, deps.registry.operators(tenant));
  JsonOutArray list;
  for (const auto& who : operators) list.emplace_back(operator_json(who));
  return net::json_response(200, JsonOut{JsonOutObject{{"operators", std::move(list)}}});
}

Result<net::Response> put_blob(const Deps& deps, net::Request& request) {
  TRY(const auto tenant, tenant_of(request));
  TRY(const auto id, deps.registry.put_blob(tenant, base::as_bytes(request.body), request.deadline));
  return net::json_response(201, JsonOut{JsonOutObject{{"id", base::hex(id)}, {"size", request.body.size()}}});
}

Result<net::Response> get_blob(const Deps& deps, net::Request& request) {
  TRY(const auto tenant, tenant_of(request));
  TRY(const auto id, digest_of(request.parameter("id"), "blob id"));
  TRY(const auto bytes, deps.registry.blob(tenant, id));
  net::Response response{.status = 200,
                         .content_type = "application/octet-stream",
                         .body = std::string{base::as_text(bytes)},
                         .headers = {}};
  return response;
}

Result<net::Response> submit_approval(const Deps& deps, net::Request& request) {
  TRY(const auto envelope, governance::Envelope::parse(request.body));
  TRY(const auto accepted, deps.registry.submit(envelope, deps.store.now(), request.deadline));
  return net::json_response(201, JsonOut{JsonOutObject{{"payload_sha256", accepted.payload_sha256},
                                                       {"leaf_index", accepted.leaf_index},
                                                       {"app", app_json(accepted.state)}}});
}

Result<net::Response> list_apps(const Deps& deps, net::Request& request) {
  TRY(const auto tenant, tenant_of(request));
  TRY(const auto apps, deps.registry.apps(tenant));
  JsonOutArray list;
  for (const auto& state : apps) list.emplace_back(app_json(state));
  return net::json_response(200, JsonOut{JsonOutObject{{"apps", std::move(list)}}});
}

Result<net::Response> show_app(const Deps& deps, net::Request& request) {
  TRY(const auto tenant, tenant_of(request));
  TRY(const auto app, app_of(request));
  TRY(const auto state, deps.registry.app(tenant, app));
  return net::json_response(200, JsonOut{app_json(state)});
}

Result<net::Response> effective_policy(const Deps& deps, net::Request& request) {
  TRY(const auto tenant, tenant_of(request));
  TRY(const auto app, app_of(request));
  TRY(const auto state, deps.registry.app(tenant, app));
  TRY(const auto policy, deps.registry.effective_policy(state, deps.store.now()));
  return net::json_response(
      200, JsonOut{JsonOutObject{{"sha256", base::hex(policy.sha256())}, {"policy", JsonOut::Raw{policy.document()}}}});
}

Result<net::Response> list_approvals(const Deps& deps, net::Request& request) {
  TRY(const auto tenant, tenant_of(request));
  TRY(const auto app, app_of(request));
  TRY(const auto state, deps.registry.app(tenant, app));
  TRY(const auto envelopes, deps.registry.approvals(tenant, app));
  JsonOutArray list;
  for (const auto& envelope : envelopes) list.emplace_back(JsonOut::Raw{envelope});
  return net::json_response(200, JsonOut{JsonOutObject{{"approvals", std::move(list)}}});
}

JsonOutObject secret_json(const secrets::SecretInfo& info) {
  return {
      {"id", base::hex(info.id)}, {"name", info.name}, {"size", info.size}, {"stored", base::to_rfc3339(info.stored)}};
}

Result<net::Response> put_secret(const Deps& deps, net::Request& request) {
  TRY(const auto tenant, tenant_of(request));
  TRY(const auto app, app_of(request));
  TRY(const auto doc, net::json_body(request, {.wipe = true}));
  TRY_OK(doc->root().only({"value"}), "request body");
  TRY(auto text, text_member(doc->root(), "value"));
  auto bytes = base::base64url_decode(text);
  crypto::wipe({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
  if (!bytes) return std::move(bytes).error().at("value");
  const auto value = crypto::Secret::absorb(*bytes);
  TRY(const auto info,
      deps.secrets.put(tenant, app, request.parameter("name"), value, deps.store.now(), request.deadline));
  return no_store(net::json_response(201, JsonOut{secret_json(info)}));
}

Result<net::Response> list_secrets(const Deps& deps, net::Request& request) {
  TRY(const auto tenant, tenant_of(request));
  TRY(const auto app, app_of(request));
  TRY(const auto infos, deps.secrets.list(tenant, app));
  JsonOutArray list;
  for (const auto& info : infos) list.emplace_back(secret_json(info));
  return net::json_response(200, JsonOut{JsonOutObject{{"secrets", std::move(list)}}});
}

/// For values that are no longer used; what is approved stays until its approval is taken back.
Result<net::Response> delete_secret(const Deps& deps, net::Request& request) {
  TRY(const auto tenant, tenant_of(request));
  TRY(const auto app, app_of(request));
  TRY(const auto id, digest_of(request.parameter("id"), "secret id"));
  TRY(const auto governed, deps.registry.app(tenant, app));
  TRY_OK(deps.secrets.remove(governed, request.parameter("name"), id, request.deadline));
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

/// A write: the same, and a caller who did not hear the answer can ask again.
net::Route write(const Deps& deps, net::Method method, std::string path, std::string id, std::string summary,
                 std::string response, Function function) {
  auto route = admin(deps, method, std::move(path), std::move(id), std::move(summary), std::move(response), function);
  route.headers.push_back(idempotency_header());
  route.handler = sync([&deps, function](net::Request& request) {
    return once(deps, request, [&](net::Request& inner) { return function(deps, inner); });
  });
  return route;
}

Status add_operator_routes(net::Router& router, const Deps& deps) {
  auto put =
      write(deps, net::Method::put, "/v1/tenants/{tenant}/operators/{key}", "set_operator",
            "Let a key, or the account of a wallet, sign approvals of a tenant, or an account start its workloads",
            "Operator", put_operator);
  put.request_schema = "OperatorRequest";
  TRY_OK(router.add(std::move(put)));
  auto remove = write(deps, net::Method::delete_, "/v1/tenants/{tenant}/operators/{key}", "remove_operator",
                      "Take an operator's right away", "", delete_operator);
  remove.success_status = 204;
  TRY_OK(router.add(std::move(remove)));
  return router.add(admin(deps, net::Method::get, "/v1/tenants/{tenant}/operators", "list_operators",
                          "Keys and accounts that may sign approvals or start workloads", "OperatorList",
                          list_operators));
}

Status add_blob_routes(net::Router& router, const Deps& deps) {
  auto put = write(deps, net::Method::post, "/v1/tenants/{tenant}/blobs", "put_blob",
                   "Store a policy, identity or configuration template by its SHA-256", "Blob", put_blob);
  put.request_schema = "BlobBytes";
  put.success_status = 201;
  put.consumes = {"application/octet-stream", "application/json", "text/plain"};
  TRY_OK(router.add(std::move(put)));
  auto get = admin(deps, net::Method::get, "/v1/tenants/{tenant}/blobs/{id}", "get_blob", "A stored blob", "BlobBytes",
                   get_blob);
  get.produces = "application/octet-stream";
  return router.add(std::move(get));
}

Status add_app_routes(net::Router& router, const Deps& deps) {
  TRY_OK(router.add(admin(deps, net::Method::get, "/v1/tenants/{tenant}/apps", "list_apps", "Apps of a tenant",
                          "AppList", list_apps)));
  TRY_OK(router.add(admin(deps, net::Method::get, "/v1/tenants/{tenant}/apps/{app}", "show_app",
                          "What all approvals of an app add up to", "App", show_app)));
  TRY_OK(router.add(admin(deps, net::Method::get, "/v1/tenants/{tenant}/apps/{app}/policy", "show_policy",
                          "The policy that evidence is appraised by: approved policy and identities together",
                          "EffectivePolicy", effective_policy)));
  TRY_OK(router.add(admin(deps, net::Method::get, "/v1/tenants/{tenant}/apps/{app}/approvals", "list_approvals",
                          "Accepted approvals, oldest first", "ApprovalList", list_approvals)));
  TRY_OK(router.add(admin(deps, net::Method::get, "/v1/tenants/{tenant}/apps/{app}/secrets", "list_secrets",
                          "Stored secrets, without their values", "SecretList", list_secrets)));
  auto put = write(deps, net::Method::put, "/v1/tenants/{tenant}/apps/{app}/secrets/{name}", "put_secret",
                   "Deposit a secret for an app; released only after its id is approved", "Secret", put_secret);
  put.request_schema = "SecretRequest";
  put.success_status = 201;
  TRY_OK(router.add(std::move(put)));
  auto remove = write(deps, net::Method::delete_, "/v1/tenants/{tenant}/apps/{app}/secrets/{name}/{id}",
                      "remove_secret", "Remove a stored value that is not approved", "", delete_secret);
  remove.success_status = 204;
  return router.add(std::move(remove));
}

/// On the admin listener, so that an operator's tool needs one address only.
Result<net::Response> approval_context(const Deps& deps, net::Request&) {
  return net::json_response(200, JsonOut{JsonOutObject{{"origin", deps.registry.audience()},
                                                       {"realm", base::to_text(deps.registry.realm())},
                                                       {"time", base::to_rfc3339(deps.store.now())}}});
}

}  // namespace

Status add_governance_routes(net::Router& router, const Deps& deps) {
  TRY_OK(router.add(admin(deps, net::Method::get, "/v1/admin/server", "approval_context",
                          "What an approval must name: origin and realm", "ApprovalContext", approval_context)));
  TRY_OK(add_operator_routes(router, deps));
  TRY_OK(add_blob_routes(router, deps));
  TRY_OK(add_app_routes(router, deps));
  // No Idempotency-Key: before the signatures are checked anybody may come this way, and must not cause a durable
  // write; and an approval's place in its app's sequence keeps it from being accepted twice.
  auto submit = admin(deps, net::Method::post, "/v1/approvals", "submit_approval",
                      "A DSSE envelope signed by operators", "AcceptedApproval", submit_approval);
  submit.auth = net::Auth::signature;
  submit.request_schema = "Envelope";
  submit.success_status = 201;
  return router.add(std::move(submit));
}

}  // namespace attestry::api
