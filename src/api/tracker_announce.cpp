#include "api/tracker_announce.h"

#include <array>
#include <charconv>
#include <chrono>

#include "base/encoding.h"

namespace attestry::api {

using base::Code;
using base::Error;
using base::Result;

namespace {

constexpr std::string_view kUnknownPasskey = "Unknown passkey";

net::Response reply(std::string body) {
  net::Response out;
  out.content_type = "text/plain; charset=utf-8";
  out.body = std::move(body);
  return out;
}

template <class... Format>
std::string decimal(double value, Format... format) {
  std::array<char, 400> text{};
  const auto [end, error] = std::to_chars(text.data(), text.data() + text.size(), value, format...);
  return {text.data(), end};
}

Result<std::string> announce(const net::Request& request, const TrackerDeps& deps, std::string_view tracker_id) {
  TRY(auto query, tracker::parse_announce(net::raw_query(request.target)));
  TRY(query.announcement.address.ip, tracker_client(request, deps));
  const TrackerClaim whose{.passkey = request.parameter("passkey"), .user_id = query.user_id};
  TRY(query.announcement.member, tracker_admit(query.announcement, whose, deps));
  tracker::SwarmAnswer answer;
  deps.swarms.announce(query.announcement, tracker_seconds(deps.clock), answer);
  return tracker::announce_reply(query, answer, deps.times, tracker_id);
}

Result<std::string> scrape(const net::Request& request, const TrackerDeps& deps) {
  const std::string_view passkey = request.parameter("passkey");
  if (!passkey.empty() && !deps.passkeys.find(passkey)) return Error{Code::denied, std::string{kUnknownPasskey}};
  if (passkey.empty() && deps.members_only && !deps.unproven_members)
    return Error{Code::denied, "Members only: scrape with your passkey"};
  TRY(const auto torrents, tracker::parse_scrape(net::raw_query(request.target)));
  std::vector<std::pair<tracker::Infohash, tracker::SwarmCounts>> counts;
  counts.reserve(torrents.size());
  for (const auto& torrent : torrents) counts.emplace_back(torrent, deps.swarms.counts(torrent));
  return tracker::scrape_reply(counts);
}

net::Route route(std::string_view name, bool passkey, std::string summary) {
  return {.method = net::Method::get,
          .path = (passkey ? "/{passkey}/" : "/") + std::string{name},
          .role = net::Role::tracker,
          .auth = net::Auth::none,
          .operation_id = (passkey ? "tracker_passkey_" : "tracker_") + std::string{name},
          .summary = std::move(summary),
          .tag = "tracker",
          .any_query = true,
          .raw_query = true,
          .produces = "text/plain",
          .immediate = true};
}

/// `proven`: by a passkey.
base::Status admit_member(const tracker::Announcement& said, std::string_view user_id, bool proven,
                          const TrackerDeps& deps) {
  if (deps.members_only && !proven && !deps.unproven_members)
    return Error{Code::denied, "Members only: announce with your passkey"};
  const bool starts = said.event == tracker::AnnounceEvent::started;
  if (!deps.members_only && (!starts || user_id.empty())) return base::done();
  const auto member = deps.ledger.member(user_id);
  if (!member) {
    if (deps.members_only) return Error{Code::denied, "Members only: user_id names none"};
    return base::done();
  }
  if (!starts) return base::done();
  const auto ratio = tracker::ratio_of(*member, tracker_former(*member, deps));
  if (ratio.infinite || ratio.value >= deps.min_ratio) return base::done();
  // He may have been somewhere else: his next try knows.
  if (deps.recollection != nullptr) deps.recollection->want(member->user_id, tracker::Recollection::Turn::first);
  return Error{Code::denied, "Insufficient ratio: " + decimal(ratio.value, std::chars_format::fixed, 2) + " < " +
                                 decimal(deps.min_ratio)};
}

}  // namespace

Result<std::uint32_t> tracker_admit(const tracker::Announcement& said, const TrackerClaim& whose,
                                    const TrackerDeps& deps) {
  if (deps.torrents.known_only() && !deps.torrents.find(said.torrent)) return Error{Code::denied, "Unknown torrent"};
  if (whose.passkey.empty()) {
    TRY_OK(admit_member(said, whose.user_id, false, deps));
    return 0U;
  }
  const auto owner = deps.passkeys.find(whose.passkey);
  if (!owner) return Error{Code::denied, std::string{kUnknownPasskey}};
  TRY_OK(admit_member(said, owner->user_id, true, deps));
  return owner->number;
}

Result<net::Ip> tracker_client(const net::Request& request, const TrackerDeps& deps) {
  const auto socket = net::parse_socket_address(request.peer.address);
  if (!socket || deps.trusted_proxies.contain(socket->ip)) {
    if (const auto said = request.headers.find("X-Real-IP")) {
      if (const auto ip = net::parse_ip(*said)) return *ip;
      return Error{Code::malformed, "Invalid X-Real-IP"};
    }
  }
  if (socket) return socket->ip;
  return Error{Code::malformed, "No address: the proxy sends no X-Real-IP"};
}

tracker::FormerSums tracker_former(const tracker::Member& member, const TrackerDeps& deps) {
  return deps.recollection == nullptr ? tracker::FormerSums{} : deps.recollection->former(member);
}

std::uint32_t tracker_seconds(const base::Clock& clock) {
  return static_cast<std::uint32_t>(
      std::chrono::duration_cast<std::chrono::seconds>(clock.steady().time_since_epoch()).count());
}

base::Status register_tracker_announce(net::Router& router, const TrackerDeps& deps) {
  const auto answered = [](net::Responder& responder, Result<std::string> body) {
    responder.send(reply(body ? *std::move(body) : tracker::failure_reply(body.error().what)));
  };
  for (const bool passkey : {false, true}) {
    const std::string whose = passkey ? ", as the member whose passkey it is" : "";
    auto announcing = route("announce", passkey, "Who shares a torrent (BEP 3, 7, 23, 24)" + whose);
    announcing.handler = [&deps, answered, id = base::hex(deps.ledger.instance_id())](const net::Request& request,
                                                                                      net::Responder responder) {
      answered(responder, announce(request, deps, id));
    };
    TRY_OK(router.add(std::move(announcing)));
    auto scraping = route("scrape", passkey, "How many share torrents (BEP 48)" + whose);
    scraping.handler = [&deps, answered](const net::Request& request, net::Responder responder) {
      answered(responder, scrape(request, deps));
    };
    TRY_OK(router.add(std::move(scraping)));
  }
  return base::done();
}

}  // namespace attestry::api
