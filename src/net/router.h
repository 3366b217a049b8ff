// The route table: which method and path, on which port role, for whom, with what limits, and who answers.
// The table can be read as data, so that the OpenAPI document is made from what is really served (FORMATS 12).
#pragma once
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "net/http.h"

namespace attestry::net {

/// A listener serves a set of roles; a route belongs to exactly one and does not exist elsewhere (ARCHITECTURE 3.8).
enum class Role : std::uint8_t {
  public_,
  attested,
  admin,
  agent,
  metrics,
  bootstrap,
  registry,
  registry_proxy,
  keymanager,       ///< workloads of a key manager
  keymanager_host,  ///< the machine that a key manager runs on
  keystore,         ///< workers and coordinators
  vault,            ///< clients that speak Vault's HTTP API
  tracker,          ///< BitTorrent clients, and members of a tracker
};
std::string_view to_text(Role role) noexcept;

class RoleSet {
 public:
  constexpr RoleSet() = default;
  constexpr RoleSet(std::initializer_list<Role> roles) {
    for (auto role : roles) bits_ |= bit(role);
  }
  constexpr bool has(Role role) const noexcept { return (bits_ & bit(role)) != 0; }
  constexpr bool empty() const noexcept { return bits_ == 0; }

 private:
  static constexpr std::uint32_t bit(Role role) noexcept { return 1u << static_cast<unsigned>(role); }
  std::uint32_t bits_ = 0;
};

/// What a caller must prove. `unspecified` exists so that forgetting it is an error at registration.
enum class Auth : std::uint8_t {
  unspecified,
  none,       ///< anybody: health, challenges, documents
  evidence,   ///< the handler judges evidence in the request; the authenticator is not asked
  signature,  ///< the handler judges a signature over the request (approvals); the authenticator is not asked
  instance,   ///< a workload that holds an instance certificate or token
  operator_,  ///< an operator's credential
  admin,      ///< the administrator's credential
  local,      ///< a process on this machine, known by its unix socket credentials
};
std::string_view to_text(Auth auth) noexcept;

/// Takes the answer of one request: implemented by the server's connection, and by tests. `complete` is called once per
/// ticket, from any thread, and must not throw.
class ResponseSink {
 public:
  virtual ~ResponseSink() = default;
  virtual void complete(std::uint64_t ticket, Response response) noexcept = 0;
};

/// The right and duty to answer one request. Movable, single-use; may be completed from another thread than the
/// handler's (the store's committer) and after the handler returned. Dropped without an answer it sends 500, so that no
/// client waits for ever. Sending twice is a defect: the second answer is dropped.
class Responder {
 public:
  Responder(std::shared_ptr<ResponseSink> sink, std::uint64_t ticket, TraceContext trace) noexcept
      : sink_(std::move(sink)), ticket_(ticket), trace_(std::move(trace)) {}
  Responder(Responder&&) noexcept = default;
  Responder& operator=(Responder&& other) noexcept;
  ~Responder();

  void send(Response response) noexcept;
  /// The problem document of `error` with this request's trace id.
  void send(const base::Error& error) noexcept;
  /// False after an answer or after being moved from.
  bool open() const noexcept { return sink_ != nullptr; }
  const TraceContext& trace() const noexcept { return trace_; }

 private:
  std::shared_ptr<ResponseSink> sink_;
  std::uint64_t ticket_ = 0;
  TraceContext trace_;
};

/// Called from several worker threads at once. Exceptions that escape become 500.
using Handler = std::function<void(Request, Responder)>;

/// Gives the caller's name for `auth`, or why not (unauthenticated, denied). Runs on a worker thread, with the whole
/// body read, before the handler; asked for instance, operator_, admin and local. Called from several threads at once.
using Authenticator = std::function<base::Result<std::string>(const Request&, Auth)>;

struct QueryParameter {
  std::string name;
  std::string description;
  std::string schema_json = R"({"type":"string"})";  ///< JSON Schema
  bool required = false;
};

struct Route {
  Method method = Method::get;
  std::string path;  ///< "/v1/apps/{app}"; a last segment "{rest*}" takes all that follows, with slashes
  Role role = Role::public_;
  Auth auth = Auth::unspecified;
  std::string operation_id;  ///< unique, [a-z][a-z0-9_]*; also the label in metrics and the access log
  std::string summary;
  std::string description{};
  std::string request_schema{};  ///< component name in the OpenAPI document; empty: no body
  std::string response_schema{};
  int success_status = 200;
  std::string tag{};
  std::vector<QueryParameter> query{};    ///< a parameter that is not listed is refused with 400 …
  bool any_query = false;                 ///< … unless this is set (dialects)
  bool raw_query = false;                 ///< the query is bytes, no text: it is left in `target` for the handler
  std::vector<QueryParameter> headers{};  ///< for the document only: what the handler looks at besides
  /// Bytes of body; 0: none allowed. Unset: 1 MiB for POST, PUT and PATCH, else 0.
  std::optional<std::size_t> body_limit{};
  /// Media types that a body may have; empty: any. A request without a body is not asked for its type.
  std::vector<std::string> consumes{"application/json"};
  std::string produces = "application/json";
  std::vector<std::string> also_produces{};  ///< for the document only: other media types of a success
  /// Runs on the socket thread and outside the limit of requests in flight: only for handlers that never block
  /// (liveness, readiness), so that probes are answered under overload.
  bool immediate = false;
  Handler handler{};

  std::size_t effective_body_limit() const noexcept;
};

/// Register first, then share as const: `find` and `dispatch` are thread-safe on a const Router.
class Router {
 public:
  Router();
  ~Router();
  Router(Router&&) noexcept;
  Router& operator=(Router&&) noexcept;

  /// Refuses (configuration) a route without authentication, handler, operation id or summary, a bad template, an
  /// operation id or method and path of the same role that is already there.
  base::Status add(Route route);
  void set_authenticator(Authenticator authenticator);
  /// What registration cannot know: every route that needs the authenticator has one.
  base::Status check() const;

  /// In order of registration. Pointers into it stay valid as long as the router.
  std::vector<const Route*> routes() const;

  struct Match {
    const Route* route = nullptr;
    Pairs parameters;
    std::string allow;  ///< for 405: "GET, HEAD, POST"; empty together with no route: 404
  };
  /// Literal segments win over parameters. HEAD is served by GET's route. Routes of other roles are not seen.
  Match find(RoleSet roles, Method method, const std::vector<std::string>& segments) const;

  /// Everything between a whole request and the handler: target, route, media type, size, query, authentication. The
  /// server uses the parts; tests use this. `request` needs method, target, headers and body.
  void dispatch(RoleSet roles, Request request, Responder responder) const;

  /// The checks that need only the header (404, 405, 413 by Content-Length, 415, 400 query), for early answers.
  /// On success fills path, query and path parameters of `request`.
  base::Result<const Route*> admit(RoleSet roles, Request& request, bool has_body, std::string& allow) const;
  /// Authentication and handler, with exceptions turned into 500.
  void run(const Route& route, Request request, Responder responder) const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace attestry::net
