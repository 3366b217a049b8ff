// Keys that what is kept of a tenant is sealed under: their epochs (docs/reference/sealing.md).
#include "api/handlers.h"
#include "api/idempotency.h"

namespace attestry::api {

using base::JsonOut;
using base::JsonOutObject;
using base::Result;
using base::Status;

namespace {

net::Response answer(const base::Tenant& tenant, const provision::SealingProgress& now) {
  const auto& state = now.state;
  return net::json_response(
      200,
      JsonOut{JsonOutObject{{"tenant", tenant.text()},
                            {"epoch", state.current},
                            {"oldest", state.oldest},
                            {"phase", to_text(state.phase)},
                            {"since", state.current == 0 ? JsonOut{nullptr} : JsonOut{base::to_rfc3339(state.since)}},
                            {"values", state.values},
                            {"files", state.files},
                            {"values_left", now.values_left},
                            {"files_left", now.files_left}}});
}

Result<net::Response> show(const Deps& deps, net::Request& request) {
  TRY(const auto tenant, tenant_of(request));
  TRY(const auto now, deps.sealing->progress(tenant));
  return no_store(answer(tenant, now));
}

Result<net::Response> rotate(const Deps& deps, net::Request& request) {
  TRY(const auto tenant, tenant_of(request));
  TRY(const auto now, deps.sealing->rotate(tenant, request.deadline));
  return answer(tenant, now);
}

Result<net::Response> retire(const Deps& deps, net::Request& request) {
  TRY(const auto tenant, tenant_of(request));
  TRY(const auto now, deps.sealing->retire(tenant, request.deadline));
  return answer(tenant, now);
}

using Function = Result<net::Response> (*)(const Deps&, net::Request&);

net::Route route(const Deps& deps, net::Method method, std::string path, std::string id, std::string summary,
                 Function function) {
  net::Route out{.method = method,
                 .path = std::move(path),
                 .role = net::Role::admin,
                 .auth = net::Auth::admin,
                 .operation_id = std::move(id),
                 .summary = std::move(summary),
                 .response_schema = "Sealing",
                 .tag = "governance",
                 .handler = {}};
  if (method == net::Method::get) {
    out.handler = sync([&deps, function](net::Request& request) { return function(deps, request); });
    return out;
  }
  out.consumes = {};
  out.headers.push_back(idempotency_header());
  out.handler = sync([&deps, function](net::Request& request) {
    return once(deps, request, [&](net::Request& inner) { return function(deps, inner); });
  });
  return out;
}

}  // namespace

Status add_sealing_routes(net::Router& router, const Deps& deps) {
  if (deps.sealing == nullptr) return base::done();
  const std::string path = "/v1/tenants/{tenant}/sealing";
  TRY_OK(router.add(route(deps, net::Method::get, path, "show_sealing",
                          "Epochs of the keys that what is kept of a tenant is sealed under", show)));
  TRY_OK(router.add(route(deps, net::Method::post, path + "/rotate", "rotate_sealing",
                          "Begin a new epoch; what is stored is sealed anew in the background", rotate)));
  return router.add(route(deps, net::Method::post, path + "/retire", "retire_sealing",
                          "Erase the keys of all epochs before the present one", retire));
}

}  // namespace attestry::api
