// Shared pieces of the route files. Private to api.
#pragma once
#include "api/api.h"
#include "api/slow_lane.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "net/problem.h"

namespace attestry::api {

/// A handler that answers on the calling thread; its error becomes a problem document.
net::Handler sync(std::function<base::Result<net::Response>(net::Request&)> handler);

/// The same for what waits: on a thread of the lane, which outlives it. `busy`: what to say when too many wait.
net::Handler on_lane(SlowLane& lane, std::string busy,
                     std::function<base::Result<net::Response>(net::Request&)> handler);

/// Problem document with the "checks" of a verdict's JSON and the id of the stored appraisal, where there are any.
net::Response problem_with_verdict(const base::Error& error, std::string_view verdict_json,
                                   const std::string& appraisal, const net::TraceContext& trace);

base::Result<std::string> text_member(const base::JsonValue& object, std::string_view key);
base::Result<base::Tenant> tenant_of(const net::Request& request);
base::Result<base::AppRef> app_of(const net::Request& request);
base::Result<base::Digest32> digest_of(std::string_view hex, std::string_view what);
net::Response no_store(net::Response response);

base::Status add_verify_routes(net::Router& router, const Deps& deps);
base::Status add_instance_routes(net::Router& router, const Deps& deps);
base::Status add_governance_routes(net::Router& router, const Deps& deps);
base::Status add_appraisal_routes(net::Router& router, const Deps& deps);
base::Status add_measurement_routes(net::Router& router, const Deps& deps);
base::Status add_log_routes(net::Router& router, const Deps& deps);
base::Status add_collateral_routes(net::Router& router, const Deps& deps);
base::Status add_forecast_routes(net::Router& router, const Deps& deps);
base::Status add_pccs_routes(net::Router& router, const Deps& deps);
base::Status add_kds_routes(net::Router& router, const Deps& deps);
base::Status add_sealing_routes(net::Router& router, const Deps& deps);
base::Status add_service_routes(net::Router& router, const Deps& deps);

/// JSON Schemas of components, by name: `{"Name":{…},…}`.
std::string_view schemas_json() noexcept;

}  // namespace attestry::api
