// One client connection: reads requests one after the other, hands each to a handler, writes the answer.
#pragma once
#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "net/internal/core.h"
#include "net/internal/request_parser.h"
#include "net/internal/tls_impl.h"

namespace attestry::net {

/// Reads and timers run on the connection's IoThread; an answer may come from any thread and is then written by that
/// thread itself (plain sockets): one thread change less for every request. The mutex orders both. With TLS everything
/// that touches the engine runs on the IoThread.
class Connection final : public ResponseSink, public std::enable_shared_from_this<Connection> {
 public:
  struct Place {
    RoleSet roles;
    std::shared_ptr<asio::ssl::context> tls;
    bool refuse = false;                        ///< over the limit: says 503 and leaves
    std::optional<ClientNetwork> counted_as{};  ///< whose requests the rate limit counts; none: without limit
    std::optional<unsigned> wait{};             ///< refused by that limit: says 429 and these seconds instead
    std::shared_ptr<const Headers> headers{};   ///< the listener's
  };
  Connection(std::shared_ptr<Core> core, IoThread& io, StreamSocket socket, Place place, Peer peer);
  ~Connection() override;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// All of these on the IoThread.
  void start();
  void cut_off_if_late();
  void close_if_idle();
  void abort();

  bool late() const noexcept;
  /// Runs the handler on this thread.
  void run(Task task);
  void complete(std::uint64_t ticket, Response response) noexcept override;

 private:
  enum class State { fresh, handshake, idle, header, body, handling, writing, lingering, closed };

  void on_handshake(const boost::system::error_code& ec);
  void on_read(const boost::system::error_code& ec, std::size_t size);
  void on_written(const boost::system::error_code& ec);
  void resume();

  // All below with the mutex held.
  void read() ATTESTRY_REQUIRES(mutex_);
  void advance(Task& task) ATTESTRY_REQUIRES(mutex_);
  bool step(Task& task) ATTESTRY_REQUIRES(mutex_);
  bool admit() ATTESTRY_REQUIRES(mutex_);
  void note_trace(Request& request) ATTESTRY_REQUIRES(mutex_);
  bool count_body() ATTESTRY_REQUIRES(mutex_);
  void hand_over(Task& task) ATTESTRY_REQUIRES(mutex_);
  void send_continue() ATTESTRY_REQUIRES(mutex_);
  void reject(const base::Error& error, int status, std::string_view allow = {},
              std::optional<unsigned> retry_after = {}) ATTESTRY_REQUIRES(mutex_);
  void fail(const base::Error& error, int status) ATTESTRY_REQUIRES(mutex_);
  void answer(std::uint64_t ticket, Response response) ATTESTRY_REQUIRES(mutex_);
  void respond(Response response) ATTESTRY_REQUIRES(mutex_);
  void write_headers(const Headers& headers) ATTESTRY_REQUIRES(mutex_);
  void write_head(const Response& response) ATTESTRY_REQUIRES(mutex_);
  void flush() ATTESTRY_REQUIRES(mutex_);
  void after_write() ATTESTRY_REQUIRES(mutex_);
  void drop_body() ATTESTRY_REQUIRES(mutex_);
  void report(int status, std::size_t size) ATTESTRY_REQUIRES(mutex_);
  void linger() ATTESTRY_REQUIRES(mutex_);
  void close() ATTESTRY_REQUIRES(mutex_);
  void enter(State state, std::chrono::milliseconds patience) ATTESTRY_REQUIRES(mutex_);
  Response make_problem(const base::Error& error, std::optional<int> status,
                        std::optional<unsigned> retry_after = {}) const ATTESTRY_REQUIRES(mutex_);

  const std::shared_ptr<Core> core_;
  IoThread& io_;
  const Place place_;
  Peer peer_;  ///< complete once the handshake is done
  std::atomic<base::Deadline::rep> deadline_{base::Deadline::max().time_since_epoch().count()};

  base::Mutex mutex_;
  StreamSocket socket_;
  std::optional<asio::ssl::stream<StreamSocket&>> tls_;
  State state_ ATTESTRY_GUARDED_BY(mutex_) = State::fresh;
  std::string buffer_ ATTESTRY_GUARDED_BY(mutex_);
  std::size_t begin_ ATTESTRY_GUARDED_BY(mutex_) = 0;  ///< unread part of buffer_
  std::size_t end_ ATTESTRY_GUARDED_BY(mutex_) = 0;
  bool reading_ ATTESTRY_GUARDED_BY(mutex_) = false;     ///< an async read is under way
  bool continuing_ ATTESTRY_GUARDED_BY(mutex_) = false;  ///< "100 Continue" is being written through TLS
  std::optional<RequestParser> parser_ ATTESTRY_GUARDED_BY(mutex_);
  std::optional<Response> verdict_ ATTESTRY_GUARDED_BY(mutex_);  ///< decided, but the body is still being read away
  const Route* route_ ATTESTRY_GUARDED_BY(mutex_) = nullptr;
  bool admitted_ ATTESTRY_GUARDED_BY(mutex_) = false;
  bool keep_ ATTESTRY_GUARDED_BY(mutex_) = true;     ///< keep the connection after this answer
  bool unread_ ATTESTRY_GUARDED_BY(mutex_) = false;  ///< the client may still be sending what nobody will read
  Method method_ ATTESTRY_GUARDED_BY(mutex_) = Method::other;
  int version_ ATTESTRY_GUARDED_BY(mutex_) = 11;
  std::uint64_t ticket_ ATTESTRY_GUARDED_BY(mutex_) = 0;
  std::size_t counted_ ATTESTRY_GUARDED_BY(mutex_) = 0;  ///< bytes in Core::buffered
  std::size_t body_size_ ATTESTRY_GUARDED_BY(mutex_) = 0;
  TraceContext trace_ ATTESTRY_GUARDED_BY(mutex_);
  std::string span_ ATTESTRY_GUARDED_BY(mutex_);
  base::Deadline began_ ATTESTRY_GUARDED_BY(mutex_);
  std::string head_ ATTESTRY_GUARDED_BY(mutex_);  ///< being written
  std::string body_ ATTESTRY_GUARDED_BY(mutex_);
  bool wipe_ ATTESTRY_GUARDED_BY(mutex_) = false;  ///< body_ holds a secret
};

}  // namespace attestry::net
