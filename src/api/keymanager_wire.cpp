#include "api/keymanager_wire.h"

#include <utility>

#include "base/encoding.h"
#include "net/problem.h"

namespace attestry::api {

using base::JsonOut;
using base::JsonOutArray;
using base::JsonOutObject;
using base::Status;
using provision::KeyManager;
using provision::KeyManagerDialect;

bool wants_json(const net::Request& request) {
  return request.headers.get("Accept").find("application/json") != std::string_view::npos;
}

net::Response keymanager_error(const base::Error& error, KeyManagerDialect dialect, const net::TraceContext& trace) {
  if (dialect == KeyManagerDialect::native) return net::problem(error, trace);
  // Whoever asks is refused for good, or a part is away: these differ in every dialect.
  const bool told_apart = error.code == base::Code::denied || error.code == base::Code::unauthenticated;
  return keymanager_text(told_apart ? base::http_status(error.code) : 500, error.text());
}

net::Response keymanager_text(int status, std::string text) {
  auto out = net::text_response(status, std::move(text));
  out.headers.set("Cache-Control", "no-store");
  return out;
}

net::Response secret_text(std::string text) {
  auto out = keymanager_text(200, std::move(text));
  out.wipe = true;
  return out;
}

net::Response secret_json(const JsonOut& value) {
  auto out = net::json_response(200, value);
  out.headers.set("Cache-Control", "no-store");
  out.wipe = true;
  return out;
}

net::Response keymanager_status(const KeyManager& manager, StatusDetail detail) {
  const auto now = manager.standing();
  if (detail == StatusDetail::little) {
    return secret_json(JsonOut{JsonOutObject{{"state", now.state}, {"member", now.member}, {"epoch", now.epoch}}});
  }
  const auto text = [](const std::optional<curves::Address>& address) {
    return address ? JsonOut{curves::address_checksum_text(*address)} : JsonOut{};
  };
  JsonOutArray epochs;
  for (const auto epoch : now.epochs) epochs.emplace_back(epoch);
  JsonOutObject out{{"state", now.state},
                    {"member", now.member},
                    {"epoch", now.epoch},
                    {"xpub", text(now.xpub)},
                    {"bootstrap", text(now.pending)},
                    {"newcomer", text(now.newcomer)},
                    {"epochs", std::move(epochs)},
                    {"block", now.block ? JsonOut{*now.block} : JsonOut{}}};
  if (manager.options().dialect != KeyManagerDialect::native) {
    // The replicatoor's names, without the two private keys that it showed.
    const auto hex = [](base::ByteView bytes) { return bytes.empty() ? JsonOut{} : JsonOut{base::hex(bytes)}; };
    out.emplace_back("addr", text(now.newcomer));
    out.emplace_back("myPub", now.box_key ? JsonOut{base::hex(*now.box_key)} : JsonOut{});
    out.emplace_back("bootstrap_quote", hex(now.bootstrap_evidence));
    out.emplace_back("onboard_quote", hex(now.join_evidence));
  }
  return secret_json(JsonOut{std::move(out)});
}

net::Route keymanager_route(net::Role role, net::Method method, std::string path, std::string_view id,
                            std::string summary) {
  return {.method = method,
          .path = std::move(path),
          .role = role,
          .auth = net::Auth::none,
          .operation_id = std::string{net::to_text(role)} + "_" + std::string{id},
          .summary = std::move(summary),
          .tag = "keymanager",
          .any_query = true,
          .consumes = {}};
}

void know_query(net::Route& route, KeyManagerDialect dialect, std::vector<net::QueryParameter> known) {
  route.query = std::move(known);
  route.any_query = dialect != KeyManagerDialect::native;
}

Status require_no_browser(const net::Request& request) {
  for (const std::string_view field : {"Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode"}) {
    if (!request.headers.find(field)) continue;
    return base::Error{base::Code::denied, "the host's port is not for browsers",
                       "a request without " + std::string{field}, "one that a web page made",
                       "Use curl, or another program."};
  }
  return base::done();
}

namespace {

/// What the known generations say of a path that is not there (keymanager.md 4.2); natively it is a problem document.
Status add_not_found(net::Router& router, net::Role role, const KeyManager& manager) {
  if (manager.options().dialect == KeyManagerDialect::native) return base::done();
  const auto add = [&](net::Method method, std::string path, std::string_view id) {
    auto route = keymanager_route(role, method, std::move(path), id, "Nothing: 404");
    route.handler = [](const net::Request&, net::Responder responder) {
      responder.send(keymanager_text(404, "Not Found"));
    };
    return router.add(std::move(route));
  };
  TRY_OK(add(net::Method::get, "/{rest*}", "rest_get"));
  TRY_OK(add(net::Method::post, "/{rest*}", "rest_post"));
  return role == net::Role::keymanager_host ? add(net::Method::get, "/", "root_get") : base::done();
}

}  // namespace

Status add_keymanager_standing(net::Router& router, net::Role role, const KeyManager& manager, StatusDetail detail) {
  auto status = keymanager_route(role, net::Method::get, "/status", "status", "Where this server stands");
  know_query(status, manager.options().dialect);
  status.handler = [&manager, detail](const net::Request&, net::Responder responder) {
    responder.send(keymanager_status(manager, detail));
  };
  TRY_OK(router.add(std::move(status)));
  auto health = keymanager_route(role, net::Method::get, "/healthz", "healthz", "200 while keys can be released");
  health.immediate = true;
  health.handler = [&manager](const net::Request&, net::Responder responder) {
    const auto ready = manager.ready();
    responder.send(ready ? keymanager_text(200, "ok\n") : keymanager_text(503, ready.error().text() + "\n"));
  };
  TRY_OK(router.add(std::move(health)));
  return add_not_found(router, role, manager);
}

}  // namespace attestry::api
