#include "api/api.h"

#include "api/handlers.h"
#include "base/encoding.h"
#include "crypto/hash.h"

namespace attestry::api {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr Service kServices[] = {Service::verify, Service::provision, Service::governance, Service::log,
                                 Service::collateral};
constexpr std::string_view kServiceNames = "verify, provision, governance, log or collateral";

}  // namespace

std::string_view to_text(Service service) noexcept {
  switch (service) {
    case Service::verify:
      return "verify";
    case Service::provision:
      return "provision";
    case Service::governance:
      return "governance";
    case Service::log:
      return "log";
    case Service::collateral:
      return "collateral";
  }
  return "unknown";
}

std::set<Service> all_services() { return {std::begin(kServices), std::end(kServices)}; }

Result<std::set<Service>> services_from(std::string_view list) {
  std::set<Service> chosen;
  while (!list.empty()) {
    const auto comma = list.find(',');
    const auto name = list.substr(0, comma);
    list = comma == std::string_view::npos ? std::string_view{} : list.substr(comma + 1);
    bool known = false;
    for (const Service service : kServices) {
      if (to_text(service) != name) continue;
      chosen.insert(service);
      known = true;
    }
    if (!known) return Error{Code::configuration, "unknown service", std::string{kServiceNames}, std::string{name}};
  }
  if (chosen.empty()) return Error{Code::configuration, "no service is chosen", std::string{kServiceNames}, {}};
  return chosen;
}

Result<Serving> serving_from(std::string_view text) {
  if (text == "off") return Serving::off;
  if (text == "held") return Serving::held;
  if (text == "fetch") return Serving::fetch;
  return Error{Code::configuration, "what is given out of the collateral", "off, held or fetch", std::string{text}};
}

net::Handler on_lane(SlowLane& lane, std::string busy, std::function<Result<net::Response>(net::Request&)> handler) {
  return [&lane, busy = std::move(busy), handler = std::move(handler)](net::Request request, net::Responder responder) {
    auto kept = std::make_shared<std::pair<net::Request, net::Responder>>(std::move(request), std::move(responder));
    SlowLane::Task task = [handler, kept] {
      auto answer = handler(kept->first);
      if (answer) {
        kept->second.send(*std::move(answer));
      } else {
        kept->second.send(answer.error());
      }
    };
    if (!lane.run(task)) kept->second.send(base::Error{base::Code::unavailable, busy});
  };
}

net::Handler sync(std::function<Result<net::Response>(net::Request&)> handler) {
  return [handler = std::move(handler)](net::Request request, net::Responder responder) {
    auto response = handler(request);
    if (response) {
      responder.send(std::move(*response));
    } else {
      responder.send(response.error());
    }
  };
}

net::Response problem_with_verdict(const Error& error, std::string_view verdict_json, const std::string& appraisal,
                                   const net::TraceContext& trace) {
  net::ProblemExtras extras;
  extras.appraisal = appraisal;
  if (!verdict_json.empty()) {
    const auto doc = base::JsonDocument::parse(std::string{verdict_json});
    if (doc) {
      if (const auto checks = (*doc)->root().find("checks")) extras.checks_json = std::string{checks->source()};
    }
  }
  return net::problem(error, trace, extras);
}

Result<std::string> text_member(const base::JsonValue& object, std::string_view key) {
  TRY(const auto value, object.get(key));
  return value.string(key);
}

Result<base::Tenant> tenant_of(const net::Request& request) { return base::Tenant::parse(request.parameter("tenant")); }
Result<base::AppRef> app_of(const net::Request& request) { return base::AppRef::parse(request.parameter("app")); }

Result<base::Digest32> digest_of(std::string_view hex, std::string_view what) {
  base::Digest32 digest{};
  TRY_OK(base::hex_decode_into(hex, digest), what);
  return digest;
}

net::Response no_store(net::Response response) {
  response.headers.set("Cache-Control", "no-store");
  return response;
}

net::Authenticator make_authenticator(base::ByteView admin_token_sha256) {
  return
      [want = base::to_bytes(admin_token_sha256)](const net::Request& request, net::Auth auth) -> Result<std::string> {
        if (auth == net::Auth::local) {
          if (request.peer.uid) return "uid:" + std::to_string(*request.peer.uid);
          return Error{Code::unauthenticated, "this route is for processes of this machine", "a unix socket",
                       request.peer.address};
        }
        if (auth != net::Auth::admin) {
          return Error{Code::unauthenticated, "this server has no credentials of that kind",
                       std::string{net::to_text(auth)}};
        }
        const auto header = request.headers.get("Authorization");
        constexpr std::string_view kScheme = "Bearer ";
        if (!header.starts_with(kScheme)) {
          return Error{Code::unauthenticated,
                       "no administrator's token",
                       "Authorization: Bearer TOKEN",
                       {},
                       "The token is in the file admin.token of the data folder."};
        }
        // Digests are compared, so neither contents nor length of the token can be timed.
        const auto got = crypto::sha256(base::as_bytes(header.substr(kScheme.size())));
        if (!crypto::equal_constant_time(got, want))
          return Error{Code::unauthenticated, "the administrator's token is not right",
                       "the one in the file admin.token of this server's data folder", "another one",
                       "Give that file to --token-file or ATTESTRY_TOKEN_FILE; a server made anew has a new token."};
        return std::string{"admin"};
      };
}

Status add_routes(net::Router& router, const Deps& deps, const std::set<Service>& services) {
  TRY_OK(add_service_routes(router, deps));
  // Whoever judges evidence keeps appraisals.
  if (services.contains(Service::verify) || services.contains(Service::provision)) {
    TRY_OK(add_appraisal_routes(router, deps));
  }
  for (const Service service : services) {
    switch (service) {
      case Service::verify: {
        TRY_OK(add_verify_routes(router, deps));
        break;
      }
      case Service::provision: {
        TRY_OK(add_instance_routes(router, deps));
        break;
      }
      case Service::governance: {
        TRY_OK(add_governance_routes(router, deps));
        TRY_OK(add_sealing_routes(router, deps));
        TRY_OK(add_measurement_routes(router, deps));
        break;
      }
      case Service::log: {
        TRY_OK(add_log_routes(router, deps));
        break;
      }
      case Service::collateral: {
        TRY_OK(add_collateral_routes(router, deps));
        TRY_OK(add_forecast_routes(router, deps));
        TRY_OK(add_pccs_routes(router, deps));
        TRY_OK(add_kds_routes(router, deps));
        break;
      }
    }
  }
  return base::done();
}

}  // namespace attestry::api
