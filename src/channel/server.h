// Listens for attested sessions, so many at a time, none longer than it may. Strangers are kept out of their way: a
// session that is being opened has a place of its own, so has an address at which known callers are, and who stands
// mute in such a place gives way to whoever comes next.
#pragma once
#include <chrono>
#include <cstdint>
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

class Server;

/// Who is at the other end, as far as places go.
struct Guest {
  std::string name;       ///< of the same guest the same
  bool favoured = false;  ///< may have the places that are kept; others give way to it
  unsigned most = 2;      ///< sessions of that name at a time: one more hangs up on the oldest
};

/// The place of one session at its server. For the thread that serves it.
class Seat {
 public:
  const std::string& address() const noexcept { return address_; }  ///< of the caller, without its port
  /// The opening is at its end: it is known who is there. May hang up on an older session. `unavailable` when there is
  /// no place, or when this session has itself been hung up on.
  base::Status take(const Guest& guest);

 private:
  friend class Server;
  Seat(Server& server, std::uint64_t number, std::string address)
      : server_(server), number_(number), address_(std::move(address)) {}
  Server& server_;
  const std::uint64_t number_;
  const std::string address_;
};

struct ServerOptions {
  std::string address;       ///< "0.0.0.0:9443"; port 0: any free one
  unsigned sessions = 16;    ///< open at a time
  unsigned kept = 0;         ///< of these, for favoured guests alone
  unsigned opening = 8;      ///< further ones that are being opened, at addresses that are not known; and at known ones
  unsigned per_address = 4;  ///< being opened at one address that is not known
  /// For a session to be opened: what the caller shows, and what this end finds out about it.
  std::chrono::milliseconds patience{10'000};
  std::chrono::milliseconds longest{60'000};  ///< for a whole session
  /// Whether callers are expected at that address: strangers elsewhere cannot be in their way. Must not wait; called by
  /// several threads.
  std::function<bool(const std::string& address)> known{};
  /// This end as it is now, asked for each session; an error hangs up.
  std::function<base::Result<End>()> end;
  /// Serves one session, on a thread of its own, until `deadline`. One of these two. With the first a session is open
  /// once the caller's evidence is accepted, at most `per_address` of them at one address; with the second once serve
  /// has said who is there (Seat::take), within `patience`.
  std::function<void(Session session, base::Deadline deadline)> serve{};
  std::function<void(Session session, base::Deadline deadline, Seat& seat)> serve_guests{};
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
  friend class Seat;
  struct Place {
    std::string address;
    bool known = false;     ///< that address
    bool deciding = false;  ///< about evidence that is here: not mute
    bool open = false;
    bool ended = false;  ///< hung up on; its thread has still to notice
    Guest guest{};
    net::PeerHangUp hang_up;
  };
  Server(ServerOptions options, std::unique_ptr<net::PeerListener> listener)
      : options_(std::move(options)), listener_(std::move(listener)) {}
  base::Status begin();
  void loop();
  void listen_too() ATTESTRY_REQUIRES(mutex_);
  void take(net::PeerSocket socket, std::uint64_t number);
  /// The number of its place; 0: hung up on.
  std::uint64_t enter(const net::PeerSocket& socket);
  void leave(std::uint64_t number);
  void deciding(std::uint64_t number, bool whether);
  base::Status seat(std::uint64_t number, const Guest& guest, bool replaces);
  bool make_room_for_opening(const std::string& address, bool known) ATTESTRY_REQUIRES(mutex_);
  base::Status make_room_of_guest(const Guest& guest, bool replaces) ATTESTRY_REQUIRES(mutex_);
  base::Status make_room_among_all(const Guest& guest, bool replaces) ATTESTRY_REQUIRES(mutex_);
  std::size_t count(const std::function<bool(const Place&)>& which) const ATTESTRY_REQUIRES(mutex_);
  bool end_oldest(const std::function<bool(const Place&)>& which) ATTESTRY_REQUIRES(mutex_);

  const ServerOptions options_;
  const std::unique_ptr<net::PeerListener> listener_;
  base::Mutex mutex_;
  std::uint64_t last_ ATTESTRY_GUARDED_BY(mutex_) = 0;
  std::map<std::uint64_t, Place> places_ ATTESTRY_GUARDED_BY(mutex_);  ///< oldest first
  std::vector<std::thread> threads_ ATTESTRY_GUARDED_BY(mutex_);
  std::size_t listening_ ATTESTRY_GUARDED_BY(mutex_) = 0;  ///< of them, who serve nobody
  bool stopping_ ATTESTRY_GUARDED_BY(mutex_) = false;
};

}  // namespace attestry::channel
