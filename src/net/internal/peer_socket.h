// File descriptors of src/net/peer.h, and the waits on them that a stopped listener ends.
#pragma once
#include <sys/socket.h>

#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "net/peer.h"

namespace attestry::net {

class Fd {
 public:
  explicit Fd(int fd = -1) noexcept : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  Fd& operator=(Fd&& other) noexcept;
  ~Fd();
  int get() const noexcept { return fd_; }

 private:
  int fd_;
};

/// Set once, and then for ever: what waits beside a descriptor wakes.
class WakeUp {
 public:
  static base::Result<std::shared_ptr<WakeUp>> make();
  void set() noexcept;
  int fd() const noexcept { return fd_.get(); }

 private:
  explicit WakeUp(Fd fd) noexcept : fd_(std::move(fd)) {}
  Fd fd_;
};

struct PeerSocket::Impl {
  std::shared_ptr<const Fd> fd;  ///< closed with this; whoever hangs up holds it for a moment
  std::shared_ptr<WakeUp> wake;  ///< of its listener, or of who called; may be null
  /// Until it is ready for `events` of poll(2).
  base::Status wait(short events, base::Deadline deadline) const;
};

base::Status wait_for(int fd, short events, const WakeUp* wake, base::Deadline deadline);
/// No delay of small writes; and an end that has vanished is noticed within a minute, also when nobody writes to it.
void prepare(const Fd& fd) noexcept;
base::Result<Fd> listen_on(const std::string& address, int backlog);
/// Of an IP address, without its port.
std::string text_of(const sockaddr_storage& storage);
/// A numeric address, as the resolver gives it.
struct Place {
  int family = 0;
  sockaddr_storage storage{};
  socklen_t size = 0;
};
/// Connected to one of them, in their order; not blocking.
base::Result<Fd> connect_first(std::span<const Place> places, const WakeUp* wake, base::Deadline deadline);
/// Connected, not blocking.
base::Result<Fd> connect_to(const std::string& address, const WakeUp* wake, base::Deadline deadline);

}  // namespace attestry::net
