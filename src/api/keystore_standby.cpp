#include "api/keystore_standby.h"

#include "api/handlers.h"

namespace attestry::api {

using base::Result;
using base::Status;

namespace {

net::Response answer(const KeystoreStandbyControl& control) {
  return no_store(net::json_response(200, base::JsonOut{control.status()}));
}

/// {"<name>": bool}; an empty body says no.
Result<bool> flag_of(net::Request& request, std::string_view name) {
  if (request.body.empty()) return false;
  TRY(const auto doc, net::json_body(request));
  TRY_OK(doc->root().only({name}), "request body");
  const auto value = doc->root().find(name);
  if (!value) return false;
  return value->boolean(name);
}

net::Route route(net::Method method, std::string path, std::string id, std::string summary,
                 std::function<Result<net::Response>(net::Request&)> handler) {
  return {.method = method,
          .path = std::move(path),
          .role = net::Role::admin,
          .auth = net::Auth::admin,
          .operation_id = std::move(id),
          .summary = std::move(summary),
          .request_schema = method == net::Method::get ? "" : "KeystoreStandbyChange",
          .response_schema = "KeystoreStandby",
          .tag = "governance",
          .handler = sync(std::move(handler))};
}

}  // namespace

Status add_keystore_standby_routes(net::Router& router, const KeystoreStandbyControl& control) {
  const std::string path = "/v1/keystore/standby";
  TRY_OK(
      router.add(route(net::Method::get, path, "show_keystore_standby", "Which keystore of two serves, and since when",
                       [control](net::Request&) -> Result<net::Response> { return answer(control); })));
  TRY_OK(router.add(route(net::Method::post, path + "/promote", "promote_keystore",
                          "Make this keystore the one that serves",
                          [control](net::Request& request) -> Result<net::Response> {
                            TRY(const bool force, flag_of(request, "force"));
                            TRY_OK(control.promote(force));
                            return answer(control);
                          })));
  return router.add(route(net::Method::post, path + "/follow", "follow_keystore",
                          "Make this keystore the standby of the other one",
                          [control](net::Request& request) -> Result<net::Response> {
                            TRY(const bool discard, flag_of(request, "discard"));
                            TRY_OK(control.follow(discard));
                            return answer(control);
                          }));
}

}  // namespace attestry::api
