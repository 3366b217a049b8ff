#include "net/router.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/log.h"
#include "net/problem.h"

namespace attestry::net {
namespace {

constexpr std::size_t kDefaultBodyLimit = 1u << 20;

base::Error configuration(const Route& route, std::string what) {
  return {base::Code::configuration,
          "route " + std::string{to_text(route.method)} + " " + route.path + ": " + std::move(what)};
}

bool valid_name(std::string_view name) {
  return !name.empty() && name[0] >= 'a' && name[0] <= 'z' && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

std::vector<std::string> split_template(std::string_view path) {
  std::vector<std::string> parts;
  if (path == "/") return parts;
  for (std::size_t begin = 1; begin <= path.size();) {
    const auto end = std::min(path.find('/', begin), path.size());
    parts.emplace_back(path.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

bool needs_authenticator(Auth auth) {
  return auth == Auth::instance || auth == Auth::operator_ || auth == Auth::admin || auth == Auth::local;
}

bool has_media_type(const Route& route, const std::string& type) {
  return route.consumes.empty() ||
         std::find(route.consumes.begin(), route.consumes.end(), type) != route.consumes.end();
}

base::Status check_query(const Route& route, const Pairs& query) {
  if (route.any_query) return base::done();
  for (const auto& [name, value] : query) {
    const bool known =
        std::any_of(route.query.begin(), route.query.end(), [&](const auto& p) { return p.name == name; });
    // FORMATS 12: requests refuse unknown fields, or a misspelt option would be silently without effect.
    if (!known) return base::Error{base::Code::malformed, "unknown query parameter \"" + name + "\""};
    const auto same = std::count_if(query.begin(), query.end(), [&](const auto& p) { return p.first == name; });
    if (same > 1) return base::Error{base::Code::malformed, "query parameter \"" + name + "\" is given twice"};
  }
  for (const auto& parameter : route.query) {
    if (parameter.required &&
        std::none_of(query.begin(), query.end(), [&](const auto& p) { return p.first == parameter.name; })) {
      return base::Error{base::Code::malformed, "query parameter \"" + parameter.name + "\" is missing"};
    }
  }
  return base::done();
}

}  // namespace

std::string_view to_text(Role role) noexcept {
  switch (role) {
    case Role::public_:
      return "public";
    case Role::attested:
      return "attested";
    case Role::admin:
      return "admin";
    case Role::agent:
      return "agent";
    case Role::metrics:
      return "metrics";
    case Role::bootstrap:
      return "bootstrap";
    case Role::registry:
      return "registry";
    case Role::registry_proxy:
      return "registry_proxy";
    case Role::keymanager:
      return "keymanager";
    case Role::keymanager_host:
      return "keymanager_host";
    case Role::keystore:
      return "keystore";
    case Role::tracker:
      return "tracker";
    case Role::vault:
      return "vault";
  }
  return "";
}

std::string_view to_text(Auth auth) noexcept {
  switch (auth) {
    case Auth::unspecified:
      return "unspecified";
    case Auth::none:
      return "none";
    case Auth::evidence:
      return "evidence";
    case Auth::signature:
      return "signature";
    case Auth::instance:
      return "instance";
    case Auth::operator_:
      return "operator";
    case Auth::admin:
      return "admin";
    case Auth::local:
      return "local";
  }
  return "";
}

Responder& Responder::operator=(Responder&& other) noexcept {
  if (this != &other) {
    Responder old{std::move(*this)};  // answers when it was still open
    sink_ = std::move(other.sink_);
    ticket_ = other.ticket_;
    trace_ = std::move(other.trace_);
  }
  return *this;
}

Responder::~Responder() {
  if (open()) send(base::Error{base::Code::internal, "the request was dropped without an answer"});
}

void Responder::send(Response response) noexcept {
  if (!open()) {
    base::log(base::LogLevel::error, "second answer to one request dropped", {{"trace_id", trace_.trace_id}});
    return;
  }
  // Moved out first: `complete` may destroy what owns this object.
  const auto sink = std::move(sink_);
  sink->complete(ticket_, std::move(response));
}

void Responder::send(const base::Error& error) noexcept { send(problem(error, trace_)); }

std::size_t Route::effective_body_limit() const noexcept {
  if (body_limit) return *body_limit;
  return method == Method::post || method == Method::put || method == Method::patch ? kDefaultBodyLimit : 0;
}

struct Router::Impl {
  struct Node {
    std::map<std::string, std::unique_ptr<Node>, std::less<>> literal;
    std::unique_ptr<Node> parameter;
    std::vector<const Route*> routes;  ///< end here
    std::vector<const Route*> rest;    ///< end here and take all that follows
  };
  std::vector<std::unique_ptr<Route>> routes;
  std::set<std::string> operations;
  Node root;
  Authenticator authenticator;

  /// Calls `visit` with the routes of every node that matches, best first, until it returns true.
  template <class Visit>
  static bool walk(const Node& node, const std::vector<std::string>& segments, std::size_t depth, const Visit& visit) {
    if (depth == segments.size()) return visit(node.routes);
    if (const auto next = node.literal.find(segments[depth]); next != node.literal.end()) {
      if (walk(*next->second, segments, depth + 1, visit)) return true;
    }
    // An empty segment is no value of a parameter: "/v1/apps/" is not an app.
    if (node.parameter && !segments[depth].empty() && walk(*node.parameter, segments, depth + 1, visit)) return true;
    return !node.rest.empty() && visit(node.rest);
  }

  base::Status insert(const Route& route) {
    Node* node = &root;
    const auto parts = split_template(route.path);
    std::set<std::string> names;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const auto& part = parts[i];
      if (part.empty()) return configuration(route, "an empty segment");
      if (part.front() != '{') {
        if (part.find_first_of("{}*%?#") != std::string::npos) return configuration(route, "a bad segment " + part);
        auto& next = node->literal[part];
        if (!next) next = std::make_unique<Node>();
        node = next.get();
        continue;
      }
      const bool rest = part.ends_with("*}");
      const auto name = part.substr(1, part.size() - (rest ? 3u : 2u));
      if (part.back() != '}' || !valid_name(name) || !names.insert(name).second) {
        return configuration(route, "a bad or repeated parameter " + part);
      }
      if (rest) {
        if (i + 1 != parts.size()) return configuration(route, part + " is not the last segment");
        return place(node->rest, route);
      }
      if (!node->parameter) node->parameter = std::make_unique<Node>();
      node = node->parameter.get();
    }
    return place(node->routes, route);
  }

  static base::Status place(std::vector<const Route*>& at, const Route& route) {
    for (const auto* other : at) {
      if (other->method == route.method && other->role == route.role) {
        return configuration(route, "method and path are taken by " + other->operation_id);
      }
    }
    at.push_back(&route);
    return base::done();
  }

  static Pairs parameters(const Route& route, const std::vector<std::string>& segments) {
    Pairs out;
    if (route.path.find('{') == std::string::npos) return out;
    const auto parts = split_template(route.path);
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (parts[i].front() != '{') continue;
      if (!parts[i].ends_with("*}")) {
        out.emplace_back(parts[i].substr(1, parts[i].size() - 2), segments[i]);
        continue;
      }
      std::string all;
      for (auto k = i; k < segments.size(); ++k) all.append(k == i ? "" : "/").append(segments[k]);
      out.emplace_back(parts[i].substr(1, parts[i].size() - 3), std::move(all));
    }
    return out;
  }
};

Router::Router() : impl_(std::make_unique<Impl>()) {}
Router::~Router() = default;
Router::Router(Router&&) noexcept = default;
Router& Router::operator=(Router&&) noexcept = default;

base::Status Router::add(Route route) {
  if (route.auth == Auth::unspecified) return configuration(route, "names no authentication");
  if (!route.handler) return configuration(route, "has no handler");
  if (route.summary.empty()) return configuration(route, "has no summary");
  if (!valid_name(route.operation_id)) return configuration(route, "has no valid operation id");
  if (route.method == Method::other || route.method == Method::head || route.method == Method::options) {
    return configuration(route, "has a method that routes do not have");
  }
  if (route.path.empty() || route.path.front() != '/') return configuration(route, "does not begin with a slash");
  if (route.immediate && needs_authenticator(route.auth)) {
    return configuration(route, "is immediate, but authentication may block");
  }
  if (!impl_->operations.insert(route.operation_id).second) {
    return configuration(route, "repeats the operation id " + route.operation_id);
  }
  auto owned = std::make_unique<Route>(std::move(route));
  TRY_OK(impl_->insert(*owned));
  impl_->routes.push_back(std::move(owned));
  return base::done();
}

void Router::set_authenticator(Authenticator authenticator) { impl_->authenticator = std::move(authenticator); }

base::Status Router::check() const {
  for (const auto& route : impl_->routes) {
    if (needs_authenticator(route->auth) && !impl_->authenticator) {
      return configuration(*route,
                           "wants authentication as " + std::string{to_text(route->auth)} + ", but nobody provides it");
    }
  }
  return base::done();
}

std::vector<const Route*> Router::routes() const {
  std::vector<const Route*> out;
  for (const auto& route : impl_->routes) out.push_back(route.get());
  return out;
}

Router::Match Router::find(RoleSet roles, Method method, const std::vector<std::string>& segments) const {
  const auto wanted = method == Method::head ? Method::get : method;
  Match match;
  std::set<std::string_view> allowed;
  Impl::walk(impl_->root, segments, 0, [&](const std::vector<const Route*>& candidates) {
    for (const auto* route : candidates) {
      if (!roles.has(route->role)) continue;
      if (route->method == wanted) {
        match.route = route;
        return true;
      }
      allowed.insert(to_text(route->method));
      if (route->method == Method::get) allowed.insert("HEAD");
    }
    return false;
  });
  if (match.route != nullptr) {
    match.parameters = Impl::parameters(*match.route, segments);
    return match;
  }
  for (const auto name : allowed) match.allow.append(match.allow.empty() ? "" : ", ").append(name);
  return match;
}

base::Result<const Route*> Router::admit(RoleSet roles, Request& request, bool has_body, std::string& allow) const {
  TRY(auto target, parse_target_path(request.target));
  auto match = find(roles, request.method, target.segments);
  if (match.route == nullptr) {
    allow = std::move(match.allow);
    if (allow.empty()) {
      return base::Error{
          base::Code::not_found, "there is nothing at " + target.path, "a route of a service that is on here",
          "none on this listener",
          "Check the address (operators' commands go to the operators' listener, server.admin_listen) and "
          "that the service is switched on in this server's settings: attestry config show."};
    }
    return base::Error{base::Code::method_not_allowed, target.path + " does not have this method", allow};
  }
  const auto& route = *match.route;
  if (has_body && route.effective_body_limit() == 0) {
    return base::Error{base::Code::too_large, "this route takes no body", "0 bytes"};
  }
  if (has_body && !has_media_type(route, request.media_type())) {
    std::string expected;
    for (const auto& type : route.consumes) expected.append(expected.empty() ? "" : " or ").append(type);
    return base::Error{base::Code::unsupported_media, "the body has a type that this route does not take", expected,
                       request.media_type(), "Send " + expected + "."};
  }
  if (!route.raw_query) {
    TRY(target.query, parse_query(raw_query(request.target)));
    TRY_OK(check_query(route, target.query));
  }
  request.path = std::move(target.path);
  request.query = std::move(target.query);
  request.path_parameters = std::move(match.parameters);
  return match.route;
}

void Router::run(const Route& route, Request request, Responder responder) const noexcept {
  // A handler's exception comes from a library or from memory running out: the client gets 500, the details go to the
  // log.
  const auto trace = responder.trace().trace_id;
  try {
    if (needs_authenticator(route.auth)) {
      if (!impl_->authenticator) {
        responder.send(base::Error{base::Code::unauthenticated, "nobody can authenticate here"});
        return;
      }
      auto principal = impl_->authenticator(request, route.auth);
      if (!principal.ok()) {
        responder.send(principal.error());
        return;
      }
      request.principal = *std::move(principal);
    }
    route.handler(std::move(request), std::move(responder));
  } catch (const std::exception& e) {
    base::log(base::LogLevel::error, "handler failed",
              {{"operation", route.operation_id}, {"trace_id", trace}, {"what", e.what()}});
  } catch (...) {
    base::log(base::LogLevel::error, "handler failed", {{"operation", route.operation_id}, {"trace_id", trace}});
  }
}

void Router::dispatch(RoleSet roles, Request request, Responder responder) const {
  std::string allow;
  auto route = admit(roles, request, !request.body.empty(), allow);
  if (!route.ok()) {
    auto response = problem(route.error(), responder.trace());
    if (!allow.empty()) response.headers.add("Allow", allow);
    responder.send(std::move(response));
    return;
  }
  if (request.body.size() > (*route)->effective_body_limit()) {
    responder.send(base::Error{base::Code::too_large, "the body is too large",
                               std::to_string((*route)->effective_body_limit()) + " bytes at most"});
    return;
  }
  run(**route, std::move(request), std::move(responder));
}

}  // namespace attestry::net
