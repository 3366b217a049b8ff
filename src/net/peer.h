// Connections between two programs that know each other by their keys alone: TLS 1.3 with a certificate on both ends
// whose only meaning is its key, bytes in both directions, a deadline on everything (docs/formats/channel.md). Who
// holds the other key is for the caller to find out.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/secret.h"

namespace attestry::net {

/// What one end proves itself with: one certificate and its unencrypted private key, in PEM.
struct PeerCredentials {
  std::string certificate_pem;
  crypto::Secret key_pem;
};

class Fd;

/// Hangs up on the other end of one connection: whatever waits for it has the error that it has gone. Does nothing once
/// that connection has ended by itself. May be copied; thread-safe.
class PeerHangUp {
 public:
  void operator()() const noexcept;

 private:
  friend class PeerSocket;
  explicit PeerHangUp(std::weak_ptr<const Fd> fd) noexcept : fd_(std::move(fd)) {}
  std::weak_ptr<const Fd> fd_;
};

/// A connection that a listener took, before anybody has proved anything. Move-only.
class PeerSocket {
 public:
  PeerSocket(PeerSocket&&) noexcept;
  PeerSocket& operator=(PeerSocket&&) noexcept;
  ~PeerSocket();
  const std::string& address() const noexcept { return address_; }  ///< of the other end, without its port
  /// Of this connection, also after PeerConnection::accept() has taken it.
  PeerHangUp hang_up() const;

 private:
  friend class PeerListener;
  friend class PeerConnection;
  struct Impl;
  PeerSocket(std::unique_ptr<Impl> impl, std::string address);
  std::unique_ptr<Impl> impl_;
  std::string address_;
};

/// Ends whatever waits for the other end of a connection that was given it, now and from then on. Thread-safe.
class PeerStop {
 public:
  static base::Result<std::shared_ptr<PeerStop>> make();
  ~PeerStop();
  PeerStop(const PeerStop&) = delete;
  PeerStop& operator=(const PeerStop&) = delete;
  void stop() noexcept;

 private:
  friend class PeerConnection;
  struct Impl;
  explicit PeerStop(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// "host:port" or "[::1]:port", with a port that can be called. Nothing is looked up.
bool is_peer_address(const std::string& text);
/// The IP addresses of such an address, each as PeerSocket::address() would say it.
base::Result<std::vector<std::string>> addresses_of(const std::string& peer, base::Deadline deadline);

/// Errors of everything here: `deadline_exceeded`; `unavailable` when the other end cannot be reached or has gone, or
/// this end was stopped; `malformed` when it does not speak TLS 1.3 in this way. One thread at a time.
class PeerConnection {
 public:
  /// `address`: "host:port" or "[::1]:port"; a name's addresses are tried in their order, the next one as soon as one
  /// has failed or has not answered for a quarter of a second (RFC 8305).
  static base::Result<std::unique_ptr<PeerConnection>> connect(const std::string& address,
                                                               const PeerCredentials& credentials,
                                                               base::Deadline deadline, const PeerStop* stop = nullptr);
  static base::Result<std::unique_ptr<PeerConnection>> accept(PeerSocket socket, const PeerCredentials& credentials,
                                                              base::Deadline deadline);
  ~PeerConnection();
  PeerConnection(const PeerConnection&) = delete;
  PeerConnection& operator=(const PeerConnection&) = delete;

  base::Status write(base::ByteView bytes, base::Deadline deadline);
  /// Exactly out.size() bytes.
  base::Status read(std::span<std::uint8_t> out, base::Deadline deadline);

  /// DER SubjectPublicKeyInfo of the two certificates; each end has proved in this handshake that it holds its key.
  const base::Bytes& own_spki() const noexcept { return own_spki_; }
  const base::Bytes& peer_spki() const noexcept { return peer_spki_; }
  /// tls-exporter channel binding (RFC 9266): the same on both ends of one connection, and of no other.
  const base::FixedBytes<32>& exporter() const noexcept { return exporter_; }

 private:
  struct Impl;
  explicit PeerConnection(std::unique_ptr<Impl> impl);
  static base::Result<std::unique_ptr<PeerConnection>> start(std::unique_ptr<PeerSocket::Impl> socket, bool server,
                                                             const PeerCredentials& credentials,
                                                             base::Deadline deadline);
  base::Status identify();
  std::unique_ptr<Impl> impl_;
  base::Bytes own_spki_, peer_spki_;
  base::FixedBytes<32> exporter_{};
};

/// Takes connections; what they took outlives it and ends when it is stopped. Thread-safe.
class PeerListener {
 public:
  /// "127.0.0.1:9443", "[::1]:0" (any free port). `configuration` for what is no such address, `io` when it is taken.
  static base::Result<std::unique_ptr<PeerListener>> bind(const std::string& address);
  ~PeerListener();
  PeerListener(const PeerListener&) = delete;
  PeerListener& operator=(const PeerListener&) = delete;

  std::uint16_t port() const noexcept;
  std::string address() const;  ///< with the port that it has
  /// Blocks until there is one, or stop(): then `unavailable`.
  base::Result<PeerSocket> accept();
  /// Ends accept() and whatever waits on a connection that came through here.
  void stop() noexcept;

 private:
  struct Impl;
  explicit PeerListener(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace attestry::net
