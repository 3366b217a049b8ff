#include "api/tracker_claims.h"

#include <utility>

#include "api/tracker_json.h"
#include "base/encoding.h"
#include "crypto/hash.h"
#include "tracker/claims.h"

namespace attestry::api {

using base::Result;

namespace {

constexpr std::size_t kBody = 2U << 20U;

/// Nullopt without a token that is known. Found by its hash: what a comparison takes says nothing of the token.
std::optional<tracker::InstanceId> claimer(const net::Request& request, const TrackerClaimers& claimers) {
  constexpr std::string_view kScheme = "Bearer ";
  const auto header = request.headers.find("Authorization");
  if (!header || !header->starts_with(kScheme)) return std::nullopt;
  const auto found = claimers.find(crypto::sha256(base::as_bytes(header->substr(kScheme.size()))));
  return found == claimers.end() ? std::nullopt : std::optional{found->second};
}

void claim(tracker::SpentAuthority& authority, const TrackerClaimers& claimers, const net::Request& request,
           net::Responder responder) {
  const auto owner = claimer(request, claimers);
  if (!owner) return responder.send(tracker_refused(401, "expected the token of an instance"));
  const auto document = base::JsonDocument::parse(request.body);
  if (!document) return responder.send(tracker_refused(document.error()));
  auto body = tracker::read_claims((*document)->root());
  if (!body) return responder.send(tracker_refused(body.error()));
  if (body->owner != *owner) return responder.send(tracker_refused(403, "this token is another instance's"));
  authority.claim(*owner, std::move(body->claims), base::hex(*owner),
                  [responder = std::move(responder)](Result<std::vector<bool>> granted) mutable {
                    if (!granted) return responder.send(tracker_refused(granted.error()));
                    base::JsonOutArray list;
                    for (const bool one : *granted) list.emplace_back(one);
                    responder.send(tracker_json(200, {{"granted", std::move(list)}}));
                  });
}

}  // namespace

base::Status register_tracker_claims(net::Router& router, tracker::SpentAuthority& authority,
                                     TrackerClaimers claimers) {
  net::Route route{.method = net::Method::post,
                   .path = "/v1/tracker/claims",
                   .role = net::Role::tracker,
                   .auth = net::Auth::none,
                   .operation_id = "tracker_claims",
                   .summary = "Claim receipts for another instance",
                   .tag = "tracker"};
  route.body_limit = kBody;
  route.handler = [&authority, claimers = std::move(claimers)](const net::Request& request, net::Responder responder) {
    claim(authority, claimers, request, std::move(responder));
  };
  return router.add(std::move(route));
}

}  // namespace attestry::api
