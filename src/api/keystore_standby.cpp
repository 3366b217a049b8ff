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

using Change = std::function<Status(bool)>;

/// No worker waits for the store, nor for a copy that holds the keystore's part meanwhile.
net::Handler changing(const KeystoreStandbyControl& control, std::string_view name, Change change) {
  return on_lane(control.lane, "too many of the keystore's administrators wait",
                 [control, name, change = std::move(change)](net::Request& request) -> Result<net::Response> {
                   TRY(const bool flag, flag_of(request, name));
                   TRY_OK(change(flag));
                   return answer(control);
                 });
}

net::Route route(net::Method method, std::string path, std::string id, std::string summary, net::Handler handler) {
  return {.method = method,
          .path = std::move(path),
          .role = net::Role::admin,
          .auth = net::Auth::admin,
          .operation_id = std::move(id),
          .summary = std::move(summary),
          .request_schema = method == net::Method::get ? "" : "KeystoreStandbyChange",
          .response_schema = "KeystoreStandby",
          .tag = "governance",
          .handler = std::move(handler)};
}

}  // namespace

Status add_keystore_standby_routes(net::Router& router, const KeystoreStandbyControl& control) {
  const std::string path = "/v1/keystore/standby";
  TRY_OK(
      router.add(route(net::Method::get, path, "show_keystore_standby", "Which keystore of two serves, and since when",
                       sync([control](net::Request&) -> Result<net::Response> { return answer(control); }))));
  TRY_OK(router.add(route(net::Method::post, path + "/promote", "promote_keystore",
                          "Make this keystore the one that serves", changing(control, "force", control.promote))));
  return router.add(route(net::Method::post, path + "/follow", "follow_keystore",
                          "Make this keystore the standby of the other one",
                          changing(control, "discard", control.follow)));
}

}  // namespace attestry::api
