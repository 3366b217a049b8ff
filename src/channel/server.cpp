#include "channel/server.h"

#include <utility>

#include "base/log.h"

namespace attestry::channel {

using base::Result;

Result<std::unique_ptr<Server>> Server::start(ServerOptions options) {
  TRY(auto listener, net::PeerListener::bind(options.address));
  const unsigned threads = options.sessions;
  std::unique_ptr<Server> out{new Server(std::move(options), std::move(listener))};
  for (unsigned i = 0; i < threads; ++i) out->threads_.emplace_back([server = out.get()] { server->loop(); });
  return out;
}

Server::~Server() { stop(); }

void Server::stop() {
  listener_->stop();
  for (auto& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void Server::loop() {
  while (true) {
    auto socket = listener_->accept();
    if (!socket) return;
    const std::string caller = socket->address();
    if (!enter(caller)) continue;
    take(*std::move(socket));
    leave(caller);
  }
}

void Server::take(net::PeerSocket socket) {
  const std::string caller = socket.address();
  const auto now = std::chrono::steady_clock::now();
  const auto refused = [&](const base::Error& error) {
    base::log(base::LogLevel::warning, "a channel was not opened", {{"peer", caller}, {"reason", error.text()}});
  };
  const auto end = options_.end();
  if (!end) return refused(end.error());
  auto session = Session::accept(std::move(socket), *end, now + options_.patience, now + options_.longest);
  if (!session) return refused(session.error());
  options_.serve(*std::move(session), now + options_.longest);
}

bool Server::enter(const std::string& address) {
  const base::MutexLock lock(mutex_);
  unsigned& number = callers_[address];
  if (number >= options_.per_address) return false;
  ++number;
  return true;
}

void Server::leave(const std::string& address) {
  const base::MutexLock lock(mutex_);
  const auto found = callers_.find(address);
  if (found != callers_.end() && --found->second == 0) callers_.erase(found);
}

}  // namespace attestry::channel
