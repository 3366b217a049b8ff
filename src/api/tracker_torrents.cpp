#include "api/tracker_torrents.h"

#include <optional>
#include <utility>

#include "api/tracker_json.h"
#include "api/tracker_wire.h"
#include "base/encoding.h"

namespace attestry::api {

using base::JsonOutObject;
using base::Result;
using tracker::InfoHash;

namespace {

constexpr std::size_t kMostBytes = 8U << 20U;
constexpr std::string_view kUnknown = "Unknown torrent";

net::Route route(net::Method method, std::string_view path, std::string_view id, net::Auth auth, std::string summary) {
  auto out = tracker_route(method, path, "torrents_" + std::string{id}, std::move(summary));
  out.auth = auth;
  return out;
}

JsonOutObject described(const InfoHash& infohash, const tracker::TorrentPieces& pieces) {
  return {{"success", true},          {"infohash", base::hex(infohash)}, {"piece_length", pieces.piece_length},
          {"pieces", pieces.count()}, {"total_size", pieces.size},       {"private", pieces.is_private}};
}

/// The lane and not a worker: a torrent of 8 MiB is hashed here.
void add(const TrackerDeps& deps, FairLane& lane, const std::string& by, net::Request request,
         net::Responder responder) {
  auto work = std::make_shared<TrackerWaiting>(std::move(request), std::move(responder));
  FairLane::Task task = [&deps, by, work] {
    auto torrent = tracker::read_torrent(base::as_bytes(work->request.body));
    if (!torrent) return work->responder.send(tracker_refused(torrent.error()));
    deps.torrents.add(*torrent, by,
                      [infohash = torrent->infohash, pieces = torrent->pieces,
                       responder = std::move(work->responder)](Result<bool> fresh) mutable {
                        if (!fresh) return responder.send(tracker_refused(fresh.error()));
                        auto body = described(infohash, pieces);
                        body.emplace_back("added", *fresh);
                        responder.send(tracker_json(200, std::move(body)));
                      });
  };
  lane.run("torrents of " + by, task);
}

std::optional<InfoHash> infohash_of(const net::Request& request) {
  InfoHash out{};
  if (!base::hex_decode_into(request.parameter("infohash"), out)) return std::nullopt;
  return out;
}

void show(const TrackerDeps& deps, const net::Request& request, net::Responder responder) {
  const auto infohash = infohash_of(request);
  const auto found = infohash ? deps.torrents.find(*infohash) : std::nullopt;
  if (!found) return responder.send(tracker_refused(404, kUnknown));
  responder.send(tracker_json(200, described(*infohash, *found)));
}

void remove(const TrackerDeps& deps, const net::Request& request, net::Responder responder) {
  const auto infohash = infohash_of(request);
  if (!infohash) return responder.send(tracker_refused(404, kUnknown));
  deps.torrents.remove(*infohash, [responder = std::move(responder)](Result<bool> was_there) mutable {
    if (!was_there) return responder.send(tracker_refused(was_there.error()));
    if (!*was_there) return responder.send(tracker_refused(404, kUnknown));
    responder.send(tracker_json(200, {{"success", true}}));
  });
}

}  // namespace

base::Status register_tracker_torrents(net::Router& router, const TrackerDeps& deps) {
  using net::Auth;
  using net::Method;
  auto adding = route(Method::post, "/torrents", "add", Auth::admin, "Make a torrent known: a .torrent");
  adding.body_limit = kMostBytes;
  adding.handler = [&deps](net::Request request, net::Responder responder) {
    add(deps, deps.operators, "administrator", std::move(request), std::move(responder));
  };
  TRY_OK(router.add(std::move(adding)));
  if (deps.members_add_torrents) {
    auto bringing = route(Method::post, "/{passkey}/torrents", "bring", Auth::none, "The same, by a member");
    bringing.body_limit = kMostBytes;
    bringing.handler = [&deps](net::Request request, net::Responder responder) {
      const auto owner = deps.passkeys.find(request.parameter("passkey"));
      if (!owner) return responder.send(tracker_refused(401, "Unknown passkey"));
      add(deps, deps.lane, owner->user_id, std::move(request), std::move(responder));
    };
    TRY_OK(router.add(std::move(bringing)));
  }
  auto showing = route(Method::get, "/torrents/{infohash}", "show", Auth::none, "What is known of a torrent");
  showing.handler = [&deps](const net::Request& request, net::Responder responder) {
    show(deps, request, std::move(responder));
  };
  TRY_OK(router.add(std::move(showing)));
  auto removing = route(Method::delete_, "/torrents/{infohash}", "remove", Auth::admin, "Forget a torrent");
  removing.handler = [&deps](const net::Request& request, net::Responder responder) {
    remove(deps, request, std::move(responder));
  };
  return router.add(std::move(removing));
}

}  // namespace attestry::api
