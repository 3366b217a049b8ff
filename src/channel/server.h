// Listens for attested sessions: a fixed number of them at a time, so many from one address, none longer than it may.
#pragma once
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "channel/session.h"
#include "net/peer.h"

namespace attestry::channel {

struct ServerOptions {
  std::string address;                         ///< "0.0.0.0:9443"; port 0: any free one
  unsigned sessions = 16;                      ///< at a time; further callers wait until one ends
  unsigned per_address = 4;                    ///< at a time; further ones are hung up on
  std::chrono::milliseconds patience{10'000};  ///< for a caller to show its evidence
  std::chrono::milliseconds longest{60'000};   ///< for a whole session
  /// This end as it is now, asked for each session; an error hangs up.
  std::function<base::Result<End>()> end;
  /// Serves one session, on a thread of its own, until `deadline`.
  std::function<void(Session session, base::Deadline deadline)> serve;
};

/// From start() to stop() or destruction. Thread-safe.
class Server {
 public:
  static base::Result<std::unique_ptr<Server>> start(ServerOptions options);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  std::string address() const { return listener_->address(); }  ///< with the port that it has
  /// Ends what waits for callers, and what callers wait for.
  void stop();

 private:
  Server(ServerOptions options, std::unique_ptr<net::PeerListener> listener)
      : options_(std::move(options)), listener_(std::move(listener)) {}
  void loop();
  void take(net::PeerSocket socket);
  bool enter(const std::string& address);
  void leave(const std::string& address);

  const ServerOptions options_;
  const std::unique_ptr<net::PeerListener> listener_;
  base::Mutex mutex_;
  std::map<std::string, unsigned> callers_ ATTESTRY_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_;
};

}  // namespace attestry::channel
