#include "api/serve_artefact.h"

#include <algorithm>
#include <utility>

#include "base/encoding.h"
#include "crypto/hash.h"

namespace attestry::api {

using attestation::Artefact;
using attestation::CollateralKind;
using base::Code;
using base::Error;
using base::Result;

namespace {

/// However long an artefact lives, whoever caches it asks again after a day: it may have been replaced.
constexpr std::int64_t kLongest = 86400;

/// RFC 9110, 13.1.2, weak comparison: "*", or a list of entity tags.
bool names_tag(std::string_view if_none_match, std::string_view tag) {
  while (!if_none_match.empty()) {
    const auto comma = if_none_match.find(',');
    std::string_view one = if_none_match.substr(0, comma);
    if_none_match = comma == std::string_view::npos ? std::string_view{} : if_none_match.substr(comma + 1);
    while (one.starts_with(' ')) one.remove_prefix(1);
    while (one.ends_with(' ')) one.remove_suffix(1);
    if (one.starts_with("W/")) one.remove_prefix(2);
    if (one == "*" || one == tag) return true;
  }
  return false;
}

void add_freshness(const collateral::Holding& about, base::UtcTime now, net::Headers& headers) {
  const std::int64_t age = std::max<std::int64_t>(0, now.seconds - about.fetched_at.seconds);
  const std::int64_t lasts = std::max<std::int64_t>(0, about.refresh_at.seconds - about.fetched_at.seconds);
  headers.set("Cache-Control", "public, max-age=" + std::to_string(std::min(lasts, age + kLongest)));
  headers.set("Age", std::to_string(age));
  // RFC 7234, 5.5.1. RFC 9111 retired it, and clients still look for it.
  if (about.stale_seconds) headers.set("Warning", "110 attestry \"Response is Stale\"");
}

Result<net::Response> reply(const collateral::Held& held, base::UtcTime now, std::string_view if_none_match,
                            const Render& render) {
  TRY(net::Response response, render(held));
  const std::string tag = "\"" + base::hex(crypto::sha256(base::as_bytes(response.body))) + "\"";
  response.headers.set("ETag", tag);
  add_freshness(held.about, now, response.headers);
  if (names_tag(if_none_match, tag)) {
    response.status = 304;
    response.content_type.clear();
    response.body.clear();
  }
  return response;
}

/// As whoever asks a vendor knows it: 404 is "there is no such thing", 503 "ask again later".
Error as_vendor_says(const Deps& deps, const Artefact& artefact, Error error) {
  if (error.code == Code::collateral_missing) error.code = Code::not_found;
  if (error.code != Code::not_found) return error;
  if (deps.serving == Serving::held) {
    return {.code = Code::not_found,
            .what = "this server does not hold " + to_text(artefact),
            .expected = {},
            .found = {},
            .remedy =
                "It gives out what it holds already (setting collateral.serve is held). Let it verify evidence of "
                "that platform once, or have its operator run `attestry collateral fetch`."};
  }
  return error;
}

}  // namespace

void serve_artefact(const Deps& deps, const Artefact& artefact, net::Request request, net::Responder responder,
                    Render render) {
  const std::string if_none_match{request.headers.get("If-None-Match")};
  const base::UtcTime now = deps.store.now();
  const auto answer = [&deps, artefact, now, if_none_match, render = std::move(render)](
                          net::Responder to, const Result<collateral::Held>& held) {
    if (!held.ok()) return to.send(as_vendor_says(deps, artefact, held.error()));
    auto response = reply(*held, now, if_none_match, render);
    if (!response.ok()) return to.send(response.error());
    to.send(*std::move(response));
  };
  const auto held = deps.vault->get(artefact, now, request.deadline, false);
  if (held.ok() || held.error().code != Code::not_found || deps.serving != Serving::fetch) {
    return answer(std::move(responder), held);
  }
  const auto deadline = std::min(request.deadline, deps.clock->steady() + deps.patience);
  auto shared = std::make_shared<net::Responder>(std::move(responder));
  SlowLane::Task task = [&deps, artefact, now, deadline, shared, answer] {
    answer(std::move(*shared), deps.vault->get(artefact, now, deadline, true));
  };
  if (!deps.slow->run(task)) shared->send(Error{Code::unavailable, "too many requests wait for the vendors"});
}

Result<base::ByteView> document(const collateral::Held& held, CollateralKind kind) {
  const auto* item = held.documents->find(kind);
  if (item == nullptr) {
    return Error{Code::internal, to_text(held.about.artefact) + " is held without " + std::string{to_text(kind)}};
  }
  return base::ByteView{item->bytes};
}

Result<std::string> query_text(const net::Request& request, std::string_view name) {
  std::string found;
  std::size_t count = 0;
  for (const auto& [key, value] : request.query) {
    if (!net::equal_ignoring_case(key, name)) continue;
    found = value;
    ++count;
  }
  if (count > 1) return Error{Code::malformed, "query parameter " + std::string{name} + " is given twice"};
  return found;
}

net::Route vendor_route(std::string path, std::string id, std::string summary, std::string produces,
                        net::Handler handler) {
  net::Route route{.path = std::move(path),
                   .auth = net::Auth::none,
                   .operation_id = std::move(id),
                   .summary = std::move(summary),
                   .description = "With ETag, Age and Cache-Control; If-None-Match is answered with 304.",
                   .response_schema = "BlobBytes",
                   .tag = "collateral",
                   .handler = std::move(handler)};
  route.any_query = true;
  route.produces = std::move(produces);
  return route;
}

}  // namespace attestry::api
