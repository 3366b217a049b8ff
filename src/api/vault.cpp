#include "api/vault.h"

#include "api/vault_wire.h"
#include "crypto/x509.h"

namespace attestry::api {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t kMaxBody = 1u << 20;

std::string_view without_slashes(std::string_view path) {
  while (path.starts_with('/')) path.remove_prefix(1);
  while (path.ends_with('/')) path.remove_suffix(1);
  return path;
}

/// The verb that Vault makes of a method.
Status read_verb(VaultCall& call) {
  const auto asked = call.request.query_value("list");
  switch (call.request.method) {
    case net::Method::get:
    case net::Method::head:
      call.verb = asked && (*asked == "true" || *asked == "1") ? VaultVerb::list : VaultVerb::read;
      return base::done();
    case net::Method::post:
    case net::Method::put:
      call.verb = VaultVerb::write;
      return base::done();
    case net::Method::patch:
      call.verb = VaultVerb::patch;
      return base::done();
    case net::Method::delete_:
      call.verb = VaultVerb::delete_;
      return base::done();
    case net::Method::options:
    case net::Method::other:
      break;
  }
  return Error{Code::method_not_allowed, "this method is not offered", "GET, LIST, POST, PUT, PATCH or DELETE"};
}

/// The namespace of the header with those that the path begins with, and the rest of the path.
Status read_place(VaultCall& call) {
  std::string_view path = without_slashes(call.request.parameter("rest"));
  std::string name{without_slashes(call.request.headers.get("X-Vault-Namespace"))};
  if (name == "root") name.clear();
  // Policies are judged on the text of the path: it must not have two that mean the same.
  for (const std::string_view text : {path, std::string_view{name}}) {
    if (text.find("//") != std::string_view::npos) return Error{Code::malformed, "the path has an empty part"};
  }
  call.space = call.deps.namespaces.find(name);
  if (!call.space) {
    // Whether it exists is for those to know who may use it: a login finds no role in it, as in any other.
    if (path != "auth/attestry/challenge" && path != "auth/attestry/login") return permission_denied();
    TRY(auto tenant, secrets::tenant_of_namespace(name));
    call.space =
        std::make_shared<const secrets::Namespace>(secrets::Namespace{.path = name, .tenant = std::move(tenant)});
  }
  for (;;) {
    const auto slash = path.find('/');
    if (slash == std::string_view::npos) break;
    const auto below = (name.empty() ? std::string{} : name + "/") + std::string{path.substr(0, slash)};
    const auto found = call.deps.namespaces.find(below);
    if (!found) break;
    name = below;
    call.space = found;
    path.remove_prefix(slash + 1);
  }
  call.path = without_slashes(path);
  return base::done();
}

Status read_body(VaultCall& call) {
  if (call.request.body.empty()) return base::done();
  TRY(call.body, net::json_body(call.request, {.max_bytes = kMaxBody, .wipe = true}), "request body");
  if (!call.body->root().is_object()) return Error{Code::malformed, "request body", "a JSON object"};
  return base::done();
}

/// Whether the token may be used where the request goes: in its namespace and below.
bool reaches(const secrets::Token& token, std::string_view space) {
  if (token.space.empty() || token.space == space) return true;
  return space.starts_with(token.space) && space[token.space.size()] == '/';
}

/// A token of a login is no bearer token: whoever uses it shows that he holds the key that was attested.
Status bound_to_channel(const VaultCall& call, const secrets::Token& token) {
  if (!token.attested || !call.deps.bind_tokens) return base::done();
  const auto& shown = call.request.peer.certificate;
  const auto certificate =
      shown ? crypto::Certificate::parse(*shown) : Result<crypto::Certificate>(permission_denied());
  if (certificate && base::equal(certificate->spki(), token.attested->spki)) return base::done();
  return Error{Code::denied, "permission denied", "a TLS client certificate of the attested key",
               shown ? "another key" : "none"};
}

Status read_token(VaultCall& call) {
  std::string_view sent = call.request.headers.get("X-Vault-Token");
  constexpr std::string_view kBearer = "Bearer ";
  if (sent.empty()) {
    const auto header = call.request.headers.get("Authorization");
    if (header.starts_with(kBearer)) sent = header.substr(kBearer.size());
  }
  if (sent.empty() || sent.size() > 256) return permission_denied();
  const auto token = call.deps.tokens.find(sent, call.now);
  if (!token || !reaches(*token, call.space->path)) return permission_denied();
  // A namespace that was deleted and made again is another one.
  const auto home = token->space == call.space->path ? call.space : call.deps.namespaces.find(token->space);
  if (!home || home->id != token->space_id) return permission_denied();
  TRY_OK(bound_to_channel(call, *token));
  call.token = token;
  return base::done();
}

Status within_rate(const VaultCall& call) {
  const auto wait = call.deps.namespaces.seconds_to_wait(*call.space, call.deps.clock.steady());
  if (wait == 0) return base::done();
  return Error{
      Code::rate_limited, "request path \"" + call.path + "\": rate limit quota exceeded", {}, std::to_string(wait)};
}

Status prepare(VaultCall& call) {
  call.now = call.deps.store.now();
  call.seen = call.deps.tokens.changes().now();
  TRY_OK(read_verb(call));
  TRY_OK(read_place(call));
  if (!call.request.headers.get("X-Vault-Wrap-TTL").empty()) {
    return Error{Code::usage, "response wrapping is not offered", "a request without X-Vault-Wrap-TTL"};
  }
  return read_body(call);
}

void dispatch(const CallPtr& call) {
  const std::string_view path = call->path;
  const auto slash = path.find('/');
  const auto first = path.substr(0, slash);
  const auto rest = slash == std::string_view::npos ? std::string_view{} : path.substr(slash + 1);
  if (first == "sys") return vault_sys(call, rest);
  if (path.starts_with("auth/token/")) return vault_auth_token(call, path.substr(11));
  if (path.starts_with("auth/attestry/")) return vault_roles(call, path.substr(14));
  if (const secrets::Mount* mount = call->space->mount_of(path)) {
    const auto below = path.size() == mount->path.size() ? std::string_view{} : path.substr(mount->path.size() + 1);
    switch (mount->engine) {
      case secrets::Engine::kv:
        return vault_kv(call, *mount, below);
      case secrets::Engine::transit:
        return vault_transit(call, *mount, below);
    }
  }
  call->fail(unsupported_path(*call));
}

void serve(const VaultDeps& deps, net::Request request, net::Responder responder) {
  auto call = std::make_shared<VaultCall>(
      VaultCall{.deps = deps, .request = std::move(request), .responder = std::move(responder)});
  if (const auto ready = prepare(*call); !ready) return call->fail(ready.error());
  if (vault_open(call) || vault_login(call)) return;
  if (const auto known = read_token(*call); !known) return call->fail(known.error());
  // Behind the token: strangers use up nobody's rate.
  if (const auto within = within_rate(*call); !within) return call->fail(within.error());
  dispatch(call);
}

}  // namespace

Status register_vault(net::Router& router, const VaultDeps& deps) {
  constexpr std::pair<net::Method, const char*> kMethods[] = {{net::Method::get, "read"},
                                                              {net::Method::post, "write"},
                                                              {net::Method::put, "put"},
                                                              {net::Method::patch, "patch"},
                                                              {net::Method::delete_, "delete"}};
  for (const auto& [method, name] : kMethods) {
    TRY_OK(router.add({.method = method,
                       .path = "/v1/{rest*}",
                       .role = net::Role::vault,
                       .auth = net::Auth::evidence,
                       .operation_id = "vault_" + std::string{name},
                       .summary = "Vault's HTTP API",
                       .tag = "vault",
                       .any_query = true,
                       .body_limit = kMaxBody,
                       .consumes = {},
                       .handler = [&deps](net::Request request, net::Responder responder) {
                         serve(deps, std::move(request), std::move(responder));
                       }}));
  }
  return add_vault_operator_routes(router, deps);
}

}  // namespace attestry::api
