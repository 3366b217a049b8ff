#include "api/keystore_standby.h"

#include "api/handlers.h"

namespace attestry::api {

using base::Error;
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

/// On the lane: no worker waits for the store, nor for a copy that holds the keystore's part meanwhile.
net::Handler on_lane(const KeystoreStandbyControl& control, std::string_view name, Change change) {
  return [control, name, change = std::move(change)](net::Request request, net::Responder responder) {
    auto kept = std::make_shared<std::pair<net::Request, net::Responder>>(std::move(request), std::move(responder));
    SlowLane::Task task = [control, name, change, kept] {
      const auto done = [&]() -> Result<net::Response> {
        TRY(const bool flag, flag_of(kept->first, name));
        TRY_OK(change(flag));
        return answer(control);
      }();
      if (done) {
        kept->second.send(net::Response{*done});
      } else {
        kept->second.send(done.error());
      }
    };
    if (!control.lane.run(task)) {
      kept->second.send(Error{base::Code::unavailable, "too many of the keystore's administrators wait"});
    }
  };
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
                          "Make this keystore the one that serves", on_lane(control, "force", control.promote))));
  return router.add(route(net::Method::post, path + "/follow", "follow_keystore",
                          "Make this keystore the standby of the other one",
                          on_lane(control, "discard", control.follow)));
}

}  // namespace attestry::api
