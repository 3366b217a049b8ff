// What every process has: who it is, health, metrics, and the description of its API.
#include "api/handlers.h"

namespace attestry::api {

using base::JsonOut;
using base::JsonOutObject;
using base::Result;
using base::Status;

namespace {

Result<net::Response> server_info(const Deps& deps) {
  return net::json_response(
      200, JsonOut{JsonOutObject{{"name", "attestry"},
                                 {"version", deps.version},
                                 {"origin", deps.registry.audience()},
                                 {"realm", base::to_text(deps.registry.realm())},
                                 {"simulated", deps.registry.realm() == base::Realm::simulated},
                                 {"log_key", deps.log.key().vkey()},
                                 {"note", "Take origin and log_key from your own trust settings, never from here."}}});
}

Result<net::Response> ready(const Deps& deps) {
  auto response = net::json_response(deps.health.ready() ? 200 : 503, deps.health.json());
  if (response.status == 503) response.headers.set("Retry-After", "1");
  return response;
}

net::Route open_route(std::string path, std::string id, std::string summary, std::string schema, net::Handler handler) {
  return {.path = std::move(path),
          .auth = net::Auth::none,
          .operation_id = std::move(id),
          .summary = std::move(summary),
          .response_schema = std::move(schema),
          .tag = "service",
          .immediate = true,
          .handler = std::move(handler)};
}

}  // namespace

Status add_service_routes(net::Router& router, const Deps& deps) {
  TRY_OK(router.add(open_route("/v1/server", "server_info", "Name, realm, origin and log key of this server",
                               "ServerInfo", sync([&deps](net::Request&) { return server_info(deps); }))));
  TRY_OK(router.add(open_route("/health/live", "health_live", "Answers while the process lives", "Health",
                               sync([](net::Request&) -> Result<net::Response> {
                                 return net::json_response(200, JsonOut{JsonOutObject{{"status", "live"}}});
                               }))));
  TRY_OK(router.add(open_route("/health/ready", "health_ready", "200 when this process may get traffic, else 503",
                               "Health", sync([&deps](net::Request&) { return ready(deps); }))));
  auto metrics = open_route("/metrics", "metrics", "Prometheus metrics", "Text",
                            sync([&deps](net::Request&) -> Result<net::Response> {
                              if (deps.update_metrics) deps.update_metrics();
                              return net::Response{.status = 200,
                                                   .content_type = std::string{net::kMetricsContentType},
                                                   .body = deps.metrics.render(),
                                                   .headers = {}};
                            }));
  metrics.role = net::Role::metrics;
  metrics.produces = "text/plain";
  TRY_OK(router.add(std::move(metrics)));
  // The table is complete only when the server starts, so the document is made on request.
  return router.add(open_route("/openapi.json", "openapi", "This API as OpenAPI 3.1", "OpenApi",
                               sync([&router, &deps](net::Request&) -> Result<net::Response> {
                                 return net::json_response(200, openapi_json(router, deps.version));
                               })));
}

}  // namespace attestry::api
