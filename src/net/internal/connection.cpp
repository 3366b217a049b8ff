#include "net/internal/connection.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/encoding.h"
#include "base/log.h"
#include "net/channel_binding.h"
#include "net/problem.h"

namespace attestry::net {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kFirstBuffer = 8 * 1024;
constexpr std::size_t kBodyBuffer = 64 * 1024;
/// A body up to this size is read away to keep the connection; a larger one is not worth it.
constexpr std::size_t kReadAway = 64 * 1024;
/// After an answer that cut a client off: time for it to read the answer before the reset that unread data causes.
constexpr milliseconds kLinger{2'000};
constexpr milliseconds kLingerDraining{100};

bool has_no_body(int status) noexcept { return status < 200 || status == 204 || status == 304; }

/// Fields that only the server writes.
bool is_managed(std::string_view name) noexcept {
  for (const std::string_view managed :
       {"content-length", "transfer-encoding", "connection", "date", "traceresponse"}) {
    if (equal_ignoring_case(name, managed)) return true;
  }
  return false;
}

void line(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ").append(value).append("\r\n");
}

/// What the client proved to hold the key of; null when it was not asked, or sent none.
std::shared_ptr<const base::Bytes> peer_certificate(asio::ssl::stream<StreamSocket&>& tls) {
  const std::unique_ptr<X509, decltype(&X509_free)> certificate{SSL_get1_peer_certificate(tls.native_handle()),
                                                                &X509_free};
  if (!certificate) return nullptr;
  unsigned char* der = nullptr;
  const int size = i2d_X509(certificate.get(), &der);
  if (size <= 0) return nullptr;
  auto out = std::make_shared<const base::Bytes>(der, der + size);
  OPENSSL_free(der);
  return out;
}

/// Only TLS 1.3 makes it the connection's own (RFC 9266, 2).
void note_channel(asio::ssl::stream<StreamSocket&>& tls, Headers& headers) {
  constexpr std::string_view kLabel = "EXPORTER-Channel-Binding";
  SSL* engine = tls.native_handle();
  std::array<char, kChannelBindingBytes> out{};
  auto* bytes = reinterpret_cast<unsigned char*>(out.data());
  if (SSL_version(engine) == TLS1_3_VERSION &&
      SSL_export_keying_material(engine, bytes, out.size(), kLabel.data(), kLabel.size(), nullptr, 0, 0) == 1) {
    headers.set(kChannelBindingField, {out.data(), out.size()});
  }
}

}  // namespace

Connection::Connection(std::shared_ptr<Core> core, IoThread& io, StreamSocket socket, Place place, Peer peer)
    : core_(std::move(core)), io_(io), place_(std::move(place)), peer_(std::move(peer)), socket_(std::move(socket)) {
  if (place_.tls) tls_.emplace(socket_, *place_.tls);
}

Connection::~Connection() {
  const base::MutexLock lock{mutex_};
  close();
  drop_body();
}

/// Nobody writes it any more.
void Connection::drop_body() {
  if (wipe_) wipe_text(body_);
  std::string{}.swap(body_);
}

bool Connection::late() const noexcept {
  return core_->now().time_since_epoch().count() >= deadline_.load(std::memory_order_relaxed);
}

void Connection::enter(State state, milliseconds patience) {
  state_ = state;
  const auto until = core_->now() + std::chrono::duration_cast<base::Deadline::duration>(patience);
  deadline_.store(until.time_since_epoch().count(), std::memory_order_relaxed);
}

void Connection::start() {
  io_.add(shared_from_this());
  const base::MutexLock lock{mutex_};
  boost::system::error_code ec;
  socket_.non_blocking(true, ec);
  if (ec || core_->draining.load()) return close();
  if (place_.refuse) {
    unread_ = true;
    keep_ = false;
    began_ = core_->now();
    if (place_.wait)
      return respond(
          make_problem({base::Code::rate_limited, "too many connections from this address"}, 429, place_.wait));
    return respond(make_problem({base::Code::unavailable, "too many connections"}, std::nullopt));
  }
  if (tls_) {
    enter(State::handshake, core_->limits.header_deadline);
    tls_->async_handshake(asio::ssl::stream_base::server,
                          [self = shared_from_this()](const boost::system::error_code& e) { self->on_handshake(e); });
    return;
  }
  // The first request must begin within the header deadline: a fresh connection has no claim to be idle for long.
  enter(State::idle, core_->limits.header_deadline);
  read();
}

void Connection::on_handshake(const boost::system::error_code& ec) {
  const base::MutexLock lock{mutex_};
  if (state_ != State::handshake) return;
  if (ec) return close();
  peer_.certificate = peer_certificate(*tls_);
  enter(State::idle, core_->limits.header_deadline);
  read();
}

void Connection::read() {
  if (reading_) return;
  if (begin_ == end_ || state_ == State::lingering) begin_ = end_ = 0;
  const auto declared = state_ == State::body && parser_ ? parser_->declared_body() : 0;
  const auto wanted = std::max(kFirstBuffer, declared > kBodyBuffer ? kBodyBuffer : std::size_t{0});
  if (buffer_.size() < wanted) buffer_.resize(wanted);
  if (end_ == buffer_.size() && begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ == buffer_.size()) buffer_.resize(buffer_.size() * 2);
  reading_ = true;
  const auto space = asio::buffer(buffer_.data() + end_, buffer_.size() - end_);
  auto then = [self = shared_from_this()](const boost::system::error_code& e, std::size_t n) { self->on_read(e, n); };
  if (tls_ && state_ != State::lingering) {
    tls_->async_read_some(space, std::move(then));
  } else {
    socket_.async_read_some(space, std::move(then));
  }
}

void Connection::on_read(const boost::system::error_code& ec, std::size_t size) {
  Task task;
  {
    const base::MutexLock lock{mutex_};
    reading_ = false;
    if (state_ == State::closed || state_ == State::writing) return;  // cut off meanwhile: what came is not read
    if (ec) return close();                                           // half a request has nobody to answer to
    if (state_ == State::lingering) return read();
    end_ += size;
    advance(task);
  }
  if (task.route != nullptr) core_->run(std::move(task));
}

void Connection::resume() {
  Task task;
  {
    const base::MutexLock lock{mutex_};
    if (state_ != State::idle) return;
    advance(task);
  }
  if (task.route != nullptr) core_->run(std::move(task));
}

void Connection::advance(Task& task) {
  if (state_ == State::idle) {
    if (begin_ == end_) return read();
    parser_.emplace(core_->limits.header_bytes, core_->limits.header_fields);
    verdict_.reset();
    route_ = nullptr;
    admitted_ = false;
    trace_.trace_id.clear();
    method_ = Method::other;
    version_ = 11;
    began_ = core_->now();
    enter(State::header, core_->limits.header_deadline);
  }
  while (step(task)) {
  }
}

/// Lets the parser see what is there; true when it should see it again at once.
bool Connection::step(Task& task) {
  if (begin_ != end_) begin_ += parser_->put({buffer_.data() + begin_, end_ - begin_});
  const bool full = end_ - begin_ >= std::max(core_->limits.header_bytes, kBodyBuffer);
  switch (parser_->state()) {
    case RequestParser::State::failed: {
      const auto& why = parser_->error();
      fail({why.code, why.what, why.expected}, why.status);
      return false;
    }
    case RequestParser::State::header:
      if (full) {
        fail({base::Code::too_large, "the request's header is too large"}, 431);
      } else {
        read();
      }
      return false;
    case RequestParser::State::body:
      if (!admitted_) {
        if (!admit()) return false;
        enter(State::body, core_->limits.read_deadline);
        if (begin_ != end_) return true;
        if (parser_->expects_continue()) send_continue();
      }
      if (state_ != State::body || !count_body()) return false;
      if (full) {
        fail({base::Code::malformed, "a chunk's header or the trailers are too large"}, 400);
      } else {
        read();
      }
      return false;
    case RequestParser::State::complete:
      if (!admitted_ && !admit()) return false;
      if (!count_body()) return false;
      if (verdict_) {
        respond(*std::move(verdict_));
      } else {
        hand_over(task);
      }
      return false;
  }
  return false;
}

/// Judges the header. False: answered.
bool Connection::admit() {
  admitted_ = true;
  auto& request = parser_->request();
  note_trace(request);
  method_ = request.method;
  version_ = parser_->version();
  keep_ = parser_->keep_alive();
  unread_ = false;
  std::string allow;
  auto found = core_->router->admit(place_.roles, request, parser_->has_body(), allow);
  if (found.ok()) route_ = *found;
  if (const auto wait = place_.counted_as ? core_->rate.take(*place_.counted_as, core_->now()) : std::nullopt) {
    core_->rate_limited.fetch_add(1, std::memory_order_relaxed);
    reject({base::Code::rate_limited, "too many requests from this address"}, 429, {}, wait);
    return state_ == State::header;
  }
  if (!found.ok()) {
    reject(found.error(), base::http_status(found.error().code), allow);
    return state_ == State::header;
  }
  const auto limit = std::min(route_->effective_body_limit(), core_->limits.body_bytes);
  if (parser_->declared_body() > limit) {
    reject({base::Code::too_large, "the body is too large", "at most " + std::to_string(limit) + " bytes",
            std::to_string(parser_->declared_body()) + " bytes"},
           413);
    return state_ == State::header;
  }
  parser_->set_body_limit(limit);
  return true;
}

void Connection::note_trace(Request& request) {
  const auto given = request.headers.find("traceparent");
  auto parsed = given && request.headers.count("traceparent") == 1
                    ? parse_traceparent(*given)
                    : base::Result<TraceContext>{base::Error{base::Code::malformed, {}}};
  // W3C Trace Context 1, 4.3: an invalid traceparent is ignored, a new trace begins.
  request.trace = parsed.ok() ? *std::move(parsed) : new_trace(io_.random);
  trace_ = request.trace;
  span_ = to_traceparent(trace_, io_.random);
  request.peer = peer_;
}

bool Connection::count_body() {
  const auto size = parser_->request().body.size();
  const auto more = size - std::min(size, counted_);
  counted_ += more;
  body_size_ = size;
  if (core_->buffered.fetch_add(more) + more <= core_->limits.buffered_bytes) return true;
  core_->refused_requests.fetch_add(1, std::memory_order_relaxed);
  fail({base::Code::unavailable, "too many request bodies at the same time"}, 503);
  return false;
}

void Connection::hand_over(Task& task) {
  const bool counted = !route_->immediate;
  if (counted && core_->in_flight.fetch_add(1) >= core_->limits.max_in_flight) {
    core_->in_flight.fetch_sub(1);
    core_->refused_requests.fetch_add(1, std::memory_order_relaxed);
    return respond(make_problem({base::Code::unavailable, "too many requests at the same time"}, std::nullopt));
  }
  ticket_ = (((ticket_ >> 1) + 1) << 1) | (counted ? 1u : 0u);
  enter(State::handling, core_->limits.request_deadline);
  task.connection = shared_from_this();
  task.route = route_;
  task.request = std::move(parser_->request());
  if (tls_ && route_->role == Role::keystore) note_channel(*tls_, task.request.headers);
  task.request.deadline = core_->now() + core_->limits.request_deadline;
  task.ticket = ticket_;
}

void Connection::send_continue() {
  static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
  if (verdict_) return;
  if (tls_) {
    // Nothing is read before this has left: one operation at a time in the engine's write direction.
    reading_ = continuing_ = true;
    asio::async_write(*tls_, asio::buffer(kContinue),
                      [self = shared_from_this()](const boost::system::error_code& ec, std::size_t) {
                        const base::MutexLock lock{self->mutex_};
                        self->reading_ = self->continuing_ = false;
                        if (self->state_ == State::closed) return;
                        if (ec) return self->close();
                        self->read();
                      });
    return;
  }
  boost::system::error_code ec;
  const auto n = socket_.write_some(asio::buffer(kContinue), ec);
  if (ec || n != kContinue.size()) close();  // a fresh socket buffer takes 25 bytes, or the client is no client
}

void Connection::run(Task task) {
  Responder responder{shared_from_this(), task.ticket, task.request.trace};
  core_->router->run(*task.route, std::move(task.request), std::move(responder));
}

void Connection::complete(std::uint64_t ticket, Response response) noexcept {
  // Before the answer leaves: the client's next request must find the place free.
  if ((ticket & 1) != 0) core_->in_flight.fetch_sub(1);
  try {
    {
      const base::MutexLock lock{mutex_};
      if (!tls_) {
        answer(ticket, std::move(response));
      } else if (state_ != State::handling || ticket != ticket_) {
        wipe_body(response);
      } else {
        // Posted with the mutex held: a stopping server closes connections on that same thread, afterwards.
        asio::post(io_.context, [self = shared_from_this(), ticket, reply = std::move(response)]() mutable {
          const base::MutexLock inner{self->mutex_};
          self->answer(ticket, std::move(reply));
        });
      }
    }
  } catch (const std::exception& e) {
    base::log(base::LogLevel::error, "an answer could not be sent", {{"what", e.what()}});
    const base::MutexLock lock{mutex_};
    close();
  }
  core_->ended();
}

/// Only the answer that is waited for: after a deadline the server has answered itself.
void Connection::answer(std::uint64_t ticket, Response response) {
  if (state_ == State::handling && ticket == ticket_) return respond(std::move(response));
  wipe_body(response);
}

Response Connection::make_problem(const base::Error& error, std::optional<int> status,
                                  std::optional<unsigned> retry_after) const {
  ProblemExtras extras;
  extras.status = status;
  extras.retry_after = retry_after.value_or(core_->limits.retry_after_seconds);
  return problem(error, trace_, extras);
}

/// A refusal that leaves the connection usable where that is cheap.
void Connection::reject(const base::Error& error, int status, std::string_view allow,
                        std::optional<unsigned> retry_after) {
  auto response = make_problem(error, status, retry_after);
  if (!allow.empty()) response.headers.add("Allow", allow);
  if (parser_->state() == RequestParser::State::complete) return respond(std::move(response));
  const auto declared = parser_->declared_body();
  if (declared > 0 && declared <= kReadAway && !parser_->expects_continue()) {
    parser_->set_body_limit(kReadAway);
    verdict_ = std::move(response);
    return;
  }
  keep_ = false;
  unread_ = true;
  respond(std::move(response));
}

/// A refusal that ends the connection.
void Connection::fail(const base::Error& error, int status) {
  if (trace_.trace_id.empty() && parser_) note_trace(parser_->request());
  keep_ = false;
  unread_ = true;
  respond(make_problem(error, status));
}

void Connection::respond(Response response) {
  core_->buffered.fetch_sub(counted_);
  counted_ = 0;
  if (core_->draining.load(std::memory_order_relaxed)) keep_ = false;
  enter(State::writing, core_->limits.write_deadline);
  write_head(response);
  report(response.status, response.body.size());
  wipe_ = response.wipe;
  if (has_no_body(response.status) || method_ == Method::head) {
    wipe_body(response);
    body_.clear();
  } else {
    body_ = std::move(response.body);
  }
  flush();
}

void Connection::write_headers(const Headers& headers) {
  for (std::size_t i = 0; i < headers.size(); ++i) {
    const auto [name, value] = headers.at(i);
    // What a handler took from a request must never become a header line of its own.
    if (valid_header(name, value) && !is_managed(name)) line(head_, name, value);
  }
}

void Connection::write_head(const Response& response) {
  head_.clear();
  head_.append("HTTP/1.1 ").append(std::to_string(response.status)).append(" ").append(reason_phrase(response.status));
  head_.append("\r\n");
  if (!response.content_type.empty() && valid_header("Content-Type", response.content_type)) {
    line(head_, "Content-Type", response.content_type);
  }
  if (!has_no_body(response.status)) line(head_, "Content-Length", std::to_string(response.body.size()));
  line(head_, "Date", core_->date());
  if (!trace_.trace_id.empty()) line(head_, "traceresponse", span_);
  if (place_.headers) write_headers(*place_.headers);
  write_headers(response.headers);
  if (!keep_) {
    line(head_, "Connection", "close");
  } else if (version_ < 11) {
    line(head_, "Connection", "keep-alive");
  }
  head_.append("\r\n");
}

void Connection::report(int status, std::size_t size) {
  if (!core_->options.on_finished) return;
  core_->options.on_finished({route_ != nullptr ? std::string_view{route_->operation_id} : std::string_view{"none"},
                              method_, status, core_->now() - began_, body_size_, size, trace_.trace_id,
                              peer_.address});
}

void Connection::flush() {
  std::array<asio::const_buffer, 2> parts{asio::buffer(head_), asio::buffer(body_)};
  auto then = [self = shared_from_this()](const boost::system::error_code& e, std::size_t) { self->on_written(e); };
  if (tls_) {
    asio::async_write(*tls_, parts, std::move(then));
    return;
  }
  boost::system::error_code ec;
  auto sent = socket_.write_some(parts, ec);
  if (ec == asio::error::would_block) {
    ec.clear();
    sent = 0;
  }
  if (ec) return close();
  if (sent == head_.size() + body_.size()) return after_write();
  for (auto& part : parts) {
    const auto n = std::min(sent, part.size());
    part += n;
    sent -= n;
  }
  asio::async_write(socket_, parts, std::move(then));
}

void Connection::on_written(const boost::system::error_code& ec) {
  const base::MutexLock lock{mutex_};
  if (state_ != State::writing) return;
  if (ec) return close();
  after_write();
}

void Connection::after_write() {
  drop_body();
  parser_.reset();
  body_size_ = 0;
  if (!keep_ || core_->draining.load()) return linger();
  enter(State::idle, core_->limits.idle_deadline);
  if (begin_ == end_) {
    if (!reading_ && buffer_.size() > 2 * kFirstBuffer) std::string{}.swap(buffer_);  // idle connections stay small
    return read();
  }
  // Pipelined: through the queue and not by recursion, which a client could make as deep as it likes.
  asio::post(io_.context, [self = shared_from_this()] { self->resume(); });
}

void Connection::linger() {
  const bool rest = unread_ || begin_ != end_;
  if (!rest && !tls_) return close();
  enter(State::lingering, core_->draining.load() ? kLingerDraining : std::min(kLinger, core_->limits.header_deadline));
  auto half_close = [](Connection& self, bool more) {
    boost::system::error_code ec;
    self.socket_.shutdown(asio::socket_base::shutdown_send, ec);
    return !ec && more;
  };
  if (tls_ && !reading_ && !place_.refuse) {
    tls_->async_shutdown([self = shared_from_this(), rest, half_close](const boost::system::error_code&) {
      const base::MutexLock lock{self->mutex_};
      if (self->state_ != State::lingering) return;
      if (!half_close(*self, rest)) return self->close();
      self->read();
    });
    return;
  }
  if (!half_close(*this, rest)) return close();
  read();
}

void Connection::close() {
  if (state_ == State::closed) return;
  state_ = State::closed;
  deadline_.store(base::Deadline::max().time_since_epoch().count(), std::memory_order_relaxed);
  boost::system::error_code ec;
  socket_.close(ec);
  core_->buffered.fetch_sub(counted_);
  counted_ = 0;
  io_.remove(this);
  (place_.refuse ? core_->refusing : core_->connections).fetch_sub(1);
  core_->ended();
}

void Connection::cut_off_if_late() {
  const base::MutexLock lock{mutex_};
  if (!late() || state_ == State::closed) return;
  if (state_ != State::idle && state_ != State::lingering) core_->cut_off.fetch_add(1, std::memory_order_relaxed);
  if (continuing_) return close();
  switch (state_) {
    case State::header:
      return fail({base::Code::deadline_exceeded, "the request's header did not come in time"}, 408);
    case State::body:
      return fail({base::Code::deadline_exceeded, "the request's body did not come in time"}, 408);
    case State::handling:
      keep_ = false;
      return respond(
          make_problem({base::Code::deadline_exceeded, "the request was not answered in time"}, std::nullopt));
    default:
      return close();
  }
}

void Connection::close_if_idle() {
  const base::MutexLock lock{mutex_};
  if (state_ == State::idle && begin_ == end_) close();
}

void Connection::abort() {
  const base::MutexLock lock{mutex_};
  close();
}

}  // namespace attestry::net
