#include "channel/server.h"

#include <system_error>
#include <utility>

#include "base/log.h"

namespace attestry::channel {

using base::Code;
using base::Error;
using base::MutexLock;
using base::Result;
using base::Status;

Result<std::unique_ptr<Server>> Server::start(ServerOptions options) {
  TRY(auto listener, net::PeerListener::bind(options.address));
  std::unique_ptr<Server> out{new Server(std::move(options), std::move(listener))};
  TRY_OK(out->begin());
  return out;
}

Status Server::begin() {
  const MutexLock lock(mutex_);
  listen_too();
  if (listening_ == 0) return Error{Code::unavailable, "a thread for sessions", "one", "none"};
  return base::done();
}

Server::~Server() { stop(); }

void Server::stop() {
  listener_->stop();
  std::vector<std::thread> threads;
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    threads.swap(threads_);
  }
  for (auto& thread : threads) thread.join();
}

/// Threads come with sessions, because most servers are never full, and none goes. One more than there can be sessions:
/// somebody always listens, and newcomers need not wait for those who are mute.
void Server::listen_too() {
  const std::size_t most = options_.sessions + options_.opening * (options_.known ? 2U : 1U) + 1U;
  if (stopping_ || threads_.size() >= most) return;
  try {
    threads_.emplace_back([this] { loop(); });
    ++listening_;
  } catch (const std::system_error&) {
    // As many as this process may have: whoever has served next listens again.
  }
}

void Server::loop() {
  while (true) {
    auto socket = listener_->accept();
    if (!socket) return;
    const std::uint64_t number = enter(*socket);
    if (number == 0) continue;
    take(*std::move(socket), number);
    leave(number);
  }
}

void Server::take(net::PeerSocket socket, std::uint64_t number) {
  Seat seat{*this, number, socket.address()};
  const auto now = std::chrono::steady_clock::now();
  const auto refused = [&](const Error& error) {
    base::log(base::LogLevel::warning, "a channel was not opened",
              {{"peer", seat.address()}, {"reason", error.text()}});
  };
  auto end = options_.end();
  if (!end) return refused(end.error());
  end->verify = [this, number, verify = std::move(end->verify)](
                    const attestation::Evidence& evidence, const base::FixedBytes<64>& report_data,
                    base::Deadline deadline) -> Result<attestation::VerifiedReport> {
    deciding(number, true);
    auto report = verify(evidence, report_data, deadline);
    deciding(number, false);
    return report;
  };
  const auto until = now + options_.longest;
  auto session = Session::accept(std::move(socket), *end, now + options_.patience, until);
  if (!session) return refused(session.error());
  if (options_.serve_guests) return options_.serve_guests(*std::move(session), until, seat);
  const Guest guest{.name = seat.address(), .most = options_.per_address};
  if (const auto taken = this->seat(number, guest, false); !taken) {
    refused(taken.error());
    return session->refuse(taken.error(), until);
  }
  options_.serve(*std::move(session), until);
}

std::size_t Server::count(const std::function<bool(const Place&)>& which) const {
  std::size_t out = 0;
  for (const auto& [number, place] : places_) out += which(place) ? 1U : 0U;
  return out;
}

bool Server::end_oldest(const std::function<bool(const Place&)>& which) {
  for (auto& [number, place] : places_) {
    if (place.ended || !which(place)) continue;
    place.ended = true;
    place.hang_up();
    return true;
  }
  return false;
}

/// Whoever means it is through in less than a second: a newcomer takes the place of who has been mute for longest.
bool Server::make_room_for_opening(const std::string& address, bool known) {
  const auto here = [&](const Place& one) { return !one.open && !one.ended && one.known == known; };
  const auto same = [&](const Place& one) { return here(one) && one.address == address; };
  const auto mute = [&](const Place& one) { return !one.deciding; };
  if (!known && count(same) >= options_.per_address) {
    return end_oldest([&](const Place& one) { return same(one) && mute(one); });
  }
  if (count(here) < options_.opening) return true;
  return end_oldest([&](const Place& one) { return here(one) && mute(one); });
}

std::uint64_t Server::enter(const net::PeerSocket& socket) {
  const bool known = options_.known && options_.known(socket.address());
  const MutexLock lock(mutex_);
  if (!make_room_for_opening(socket.address(), known)) return 0;
  places_.emplace(++last_, Place{.address = socket.address(), .known = known, .hang_up = socket.hang_up()});
  if (--listening_ == 0) listen_too();
  return last_;
}

void Server::leave(std::uint64_t number) {
  const MutexLock lock(mutex_);
  places_.erase(number);
  ++listening_;
}

void Server::deciding(std::uint64_t number, bool whether) {
  const MutexLock lock(mutex_);
  places_.at(number).deciding = whether;
}

namespace {

Error no_place() { return {Code::unavailable, "a place for this session", "a free one", "none: call again later"}; }

}  // namespace

Status Server::make_room_of_guest(const Guest& guest, bool replaces) {
  const auto its = [&](const Place& one) { return one.open && one.guest.name == guest.name; };
  const auto all = count(its);
  const auto ended = count([&](const Place& one) { return its(one) && one.ended; });
  if (all - ended < guest.most) return base::done();
  // Whoever calls again and again waits for what it has begun before.
  if (!replaces || ended >= guest.most || !end_oldest(its)) return no_place();
  return base::done();
}

Status Server::make_room_among_all(const Guest& guest, bool replaces) {
  const auto open = [](const Place& one) { return one.open && !one.ended; };
  const auto others = [&](const Place& one) { return open(one) && !one.guest.favoured; };
  const bool full = count(open) >= options_.sessions;
  const bool full_of_others = !guest.favoured && count(others) >= options_.sessions - options_.kept;
  if (!full && !full_of_others) return base::done();
  if (replaces && (end_oldest(others) || (guest.favoured && end_oldest(open)))) return base::done();
  return no_place();
}

Status Server::seat(std::uint64_t number, const Guest& guest, bool replaces) {
  const MutexLock lock(mutex_);
  Place& place = places_.at(number);
  if (place.ended) return Error{Code::unavailable, "an opening that took long, while others called"};
  TRY_OK(make_room_of_guest(guest, replaces));
  TRY_OK(make_room_among_all(guest, replaces));
  place.open = true;
  place.guest = guest;
  return base::done();
}

Status Seat::take(const Guest& guest) { return server_.seat(number_, guest, true); }

}  // namespace attestry::channel
