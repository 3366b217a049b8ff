// auth/token/…: making, looking at, renewing and revoking tokens.
#include <algorithm>

#include "api/handlers.h"
#include "api/vault_wire.h"
#include "crypto/hash.h"

namespace attestry::api {

using base::Code;
using base::Error;
using base::JsonOut;
using base::JsonOutObject;
using base::Result;
using base::Status;
using secrets::Capability;
using secrets::Token;
using secrets::TokenPtr;

namespace {

constexpr std::int64_t kDefaultSeconds = secrets::kLongestTokenSeconds;

struct Wanted {
  Token token;
  SecretText secret{};  ///< the token itself
};

JsonOut metadata_json(const Token& token) {
  if (token.metadata.empty()) return nullptr;
  JsonOutObject out;
  for (const auto& [name, value] : token.metadata) out.emplace_back(name, value);
  return out;
}

std::int64_t left(const Token& token, base::UtcTime now) {
  return token.expires.seconds == 0 ? 0 : std::max<std::int64_t>(0, token.expires.seconds - now.seconds);
}

/// The end of a token that gets `seconds` from now on, within every bound that it has. 0: it has no end.
base::UtcTime end_of(const Token& token, std::int64_t seconds, base::UtcTime now, const Token* parent) {
  base::UtcTime end = seconds == 0 ? base::UtcTime{} : now + seconds;
  const auto at_most = [&end](base::UtcTime bound) {
    if (end.seconds == 0 || bound < end) end = bound;
  };
  if (token.explicit_max != 0) at_most(token.issued + token.explicit_max);
  if (seconds != 0 && token.period == 0) at_most(token.issued + secrets::kLongestTokenSeconds);
  if (token.attested && token.attested->until.seconds != 0) at_most(token.attested->until);
  if (parent != nullptr && parent->expires.seconds != 0) at_most(parent->expires);
  return end;
}

Status check_policies(const VaultCall& call, const std::vector<std::string>& wanted, bool free) {
  // Policies of the same name in two namespaces have nothing to do with each other.
  const bool at_home = call.token && call.token->space == call.space->path;
  for (const auto& name : wanted) {
    const bool root = name == "root";
    if (!root) TRY_OK(secrets::check_policy_name(name));
    if (root && (call.token && !call.token->root())) {
      return Error{Code::denied, "root tokens may not be created without parent token being root"};
    }
    if (root && !call.space->path.empty()) return Error{Code::malformed, "a root token belongs to the root namespace"};
    const bool held = at_home && std::ranges::find(call.token->policies, name) != call.token->policies.end();
    if (!free && !held && name != "default") {
      return Error{Code::malformed, "child policies must be subset of parent"};
    }
  }
  return base::done();
}

/// What nobody gets here is refused, and not left out in silence.
Status check_unsupported(const VaultCall& call) {
  TRY(const auto uses, number_of(call, "num_uses"));
  if (uses && *uses != 0) return Error{Code::usage, "num_uses is not offered", "0", std::to_string(*uses)};
  TRY(const auto id, text_of(call, "id"));
  if (id && !id->empty()) return Error{Code::usage, "a token's text is made by the server", "no id"};
  TRY(const auto type, text_of(call, "type"));
  if (type && !type->empty() && *type != "service" && *type != "default") {
    return Error{Code::usage, "only service tokens are offered", "service", *type};
  }
  TRY(const auto alias, text_of(call, "entity_alias"));
  if (alias && !alias->empty()) return Error{Code::usage, "entities are not offered", "no entity_alias"};
  return base::done();
}

Result<std::vector<std::string>> policies_wanted(const VaultCall& call, bool free) {
  TRY(auto named, texts_of(call, "policies"));
  std::vector<std::string> out;
  if (named && !named->empty()) {
    out = *std::move(named);
  } else if (call.token) {
    out = call.token->policies;
  }
  TRY_OK(check_policies(call, out, free));
  TRY(const auto no_default, flag_of(call, "no_default_policy"));
  const bool root = std::ranges::find(out, "root") != out.end();
  if (!root && !no_default.value_or(false)) out.emplace_back("default");
  std::ranges::sort(out);
  const auto same = std::ranges::unique(out);
  out.erase(same.begin(), same.end());
  return out;
}

Status read_times(const VaultCall& call, Token& token, bool free) {
  TRY(const auto ttl, seconds_of(call, "ttl"));
  TRY(const auto max, seconds_of(call, "explicit_max_ttl"));
  TRY(const auto period, seconds_of(call, "period"));
  const auto range = [](const std::optional<std::int64_t>& seconds) {
    return !seconds || (*seconds >= 0 && *seconds <= 10 * secrets::kLongestTokenSeconds);
  };
  if (!range(ttl) || !range(max) || !range(period)) {
    return Error{Code::malformed, "ttl, explicit_max_ttl, period", "0 to 320 days"};
  }
  if (period.value_or(0) != 0 && !free)
    return Error{Code::malformed, "root or sudo privileges required to create periodic token"};
  token.explicit_max = max.value_or(0);
  token.period = period.value_or(0);
  const auto fallback = call.deps.default_ttl != 0 ? call.deps.default_ttl : kDefaultSeconds;
  const bool root = token.root();
  token.ttl = ttl.value_or(0) != 0 ? *ttl : token.period != 0 ? token.period : root ? 0 : fallback;
  return base::done();
}

Status check_meta(const std::map<std::string, std::string>& meta) {
  if (meta.size() > 64) return Error{Code::malformed, "meta", "at most 64 entries"};
  for (const auto& [name, value] : meta) {
    if (name.size() > 512 || value.size() > 512) {
      return Error{Code::malformed, "meta", "names and values of at most 512 bytes", name.substr(0, 32)};
    }
  }
  return base::done();
}

/// `free`: the maker may give policies that it does not have (root, sudo, the administrator).
Result<Wanted> wanted_of(const VaultCall& call, bool orphan, bool free) {
  TRY_OK(check_unsupported(call));
  Wanted out{.token = {}, .secret = SecretText{secrets::make_token(call.deps.random)}};
  Token& token = out.token;
  token.digest = crypto::sha256(out.secret.bytes());
  token.accessor = secrets::make_accessor(call.deps.random);
  token.space = call.space->path;
  token.space_id = call.space->id;
  token.issued = call.now;
  TRY(token.policies, policies_wanted(call, free));
  TRY(const auto name, text_of(call, "display_name"));
  token.display_name = name && !name->empty() ? "token-" + name->substr(0, 128) : "token";
  if (call.body) {
    TRY(auto meta, map_of(*call.root(), "meta"));
    if (meta) TRY_OK(check_meta(*meta));
    if (meta) token.metadata = *std::move(meta);
  }
  TRY_OK(read_times(call, token, free));
  TRY(const auto renewable, flag_of(call, "renewable"));
  token.renewable = renewable.value_or(true) && token.ttl != 0;
  const Token* parent = orphan ? nullptr : call.token.get();
  if (parent != nullptr) token.parent = parent->digest;
  // What an attested workload hands on rests on the same attestation.
  if (call.token && call.token->attested) token.attested = call.token->attested;
  token.expires = end_of(token, token.ttl, call.now, parent);
  TRY_OK(secrets::check_token(token));
  return out;
}

void make(const CallPtr& call, bool orphan, bool free, std::string_view leaf_type) {
  auto made = wanted_of(*call, orphan, free);
  if (!made) return call->fail(made.error());
  auto shared = std::make_shared<Wanted>(*std::move(made));
  auto erased = std::make_shared<secrets::Tokens::Erased>();
  commit(
      call,
      [call, shared, erased, leaf_type](state::WriteTxn& txn) -> Answer {
        TRY(*erased, call->deps.tokens.put(txn, shared->token, call->now));
        auto response = vault_auth(*call, shared->token, shared->secret.view());
        TRY_OK(add_leaf(*call, txn, {.type = leaf_type, .subject = shared->token.space, .token = &shared->token},
                        response));
        return response;
      },
      [call, shared, erased]() -> Status {
        call->deps.tokens.settle_erase(*erased);
        call->deps.tokens.settle_put(shared->token);
        return base::done();
      });
}

void create(const CallPtr& call, bool orphan) {
  const bool free = call->token->root() || allowed(*call, Capability::sudo).ok();
  const auto no_parent = flag_of(*call, "no_parent");
  if (!no_parent) return call->fail(no_parent.error());
  const bool alone = orphan || no_parent->value_or(false);
  if (alone && !free)
    return call->fail(Error{Code::malformed, "root or sudo privileges required to create orphan token"});
  make(call, alone, free, "vault.token");
}

void look(const CallPtr& call, const TokenPtr& token, std::string_view secret) {
  if (!token) return call->fail(Error{Code::denied, "bad token"});
  JsonOutObject out{{"accessor", token->accessor},
                    {"creation_time", token->issued.seconds},
                    {"creation_ttl", token->ttl},
                    {"display_name", token->display_name},
                    {"entity_id", ""},
                    {"expire_time", token->expires.seconds == 0 ? JsonOut{nullptr} : base::to_rfc3339(token->expires)},
                    {"explicit_max_ttl", token->explicit_max},
                    {"id", secret},
                    {"issue_time", base::to_rfc3339(token->issued)},
                    {"meta", metadata_json(*token)},
                    {"num_uses", 0},
                    {"orphan", !token->parent.has_value()},
                    {"path", token->path},
                    {"policies", json_texts(token->policies)},
                    {"renewable", token->renewable},
                    {"ttl", left(*token, call->now)},
                    {"type", "service"}};
  if (token->period != 0) out.emplace_back("period", token->period);
  if (!token->space.empty()) out.emplace_back("namespace_path", token->space + "/");
  answer(call, [&](const state::ReadView&) -> Answer { return vault_data(*call, JsonOut{out}.compact(), "token"); });
}

void renew(const CallPtr& call, const Result<TokenPtr>& found, std::string_view secret) {
  if (!found) return call->fail(found.error());
  const TokenPtr& token = *found;
  if (!token->renewable) return call->fail(Error{Code::malformed, "lease is not renewable"});
  const auto increment = seconds_of(*call, "increment");
  if (!increment) return call->fail(increment.error());
  auto renewed = std::make_shared<Token>();
  auto erased = std::make_shared<secrets::Tokens::Erased>();
  commit(
      call,
      [call, token, renewed, erased, increment = increment->value_or(0),
       text = SecretText{std::string{secret}}](state::WriteTxn& txn) -> Answer {
        const secrets::Tokens& tokens = call->deps.tokens;
        // Approvals that were taken back, and parents that are gone, end it now and not with its time.
        TRY_OK(tokens.require(txn, *token, call->now));
        TRY(*renewed, secrets::Tokens::stored(txn, token->digest));
        std::optional<Token> parent;
        if (renewed->parent) {
          TRY(parent, secrets::Tokens::stored(txn, *renewed->parent));
        }
        const auto seconds = renewed->period != 0 ? renewed->period : increment > 0 ? increment : renewed->ttl;
        renewed->expires = end_of(*renewed, seconds, call->now, parent ? &*parent : nullptr);
        TRY(*erased, tokens.put(txn, *renewed, call->now));
        return vault_auth(*call, *renewed, text.view());
      },
      [call, renewed, erased]() -> Status {
        call->deps.tokens.settle_erase(*erased);
        call->deps.tokens.settle_put(*renewed);
        return base::done();
      });
}

/// With all that descends from it. A child that is not known yet ends as well: its parent is gone (Tokens::require).
void revoke(const CallPtr& call, const Result<TokenPtr>& found) {
  if (!found) return call->fail(found.error());
  auto shared = std::make_shared<std::vector<TokenPtr>>(call->deps.tokens.family((*found)->digest));
  if (shared->empty()) return call->send(net::empty_response());  // by somebody else, a moment ago
  commit(
      call,
      [call, shared](state::WriteTxn& txn) -> Answer {
        TRY_OK(call->deps.tokens.erase(txn, *shared));
        auto response = net::empty_response();
        TRY_OK(add_leaf(*call, txn, {.type = "vault.revocation", .subject = shared->front()->accessor}, response));
        return response;
      },
      [call, shared]() -> Status {
        call->deps.tokens.settle_erase(*shared);
        return base::done();
      });
}

/// It alone: its children become orphans. Vault protects this path: it needs sudo.
void revoke_orphan(const CallPtr& call, const Result<TokenPtr>& found) {
  if (const auto may = allowed(*call, Capability::sudo); !may) return call->fail(may.error());
  if (!found) return call->fail(found.error());
  const TokenPtr token = *found;
  auto children = std::make_shared<std::vector<Token>>();
  commit(
      call,
      [call, token, children](state::WriteTxn& txn) -> Answer {
        TRY(*children, call->deps.tokens.release_children(txn, token->digest));
        TRY_OK(call->deps.tokens.erase(txn, {token}));
        auto response = net::empty_response();
        TRY_OK(add_leaf(*call, txn, {.type = "vault.revocation", .subject = token->accessor}, response));
        return response;
      },
      [call, token, children]() -> Status {
        for (const Token& child : *children) call->deps.tokens.settle_put(child);
        call->deps.tokens.settle_erase({token});
        return base::done();
      });
}

TokenPtr by_text(const VaultCall& call, std::string_view sent) {
  return sent.empty() || sent.size() > 256 ? nullptr : call.deps.tokens.find(sent, call.now);
}

std::string sent_token(const CallPtr& call) {
  const std::string_view own = call->request.headers.get("X-Vault-Token");
  return std::string{own.empty() ? call->request.headers.get("Authorization").substr(7) : own};
}

void list_accessors(const CallPtr& call) {
  if (!capabilities_of(*call, call->path).has(Capability::sudo)) return call->fail(permission_denied());
  const auto names = call->deps.tokens.accessors(call->space->path, call->now);
  answer(call, [&](const state::ReadView&) -> Answer {
    return vault_data(*call, JsonOut{JsonOutObject{{"keys", json_texts(names)}}}.compact(), "token");
  });
}

/// `lookup-self` and its kin: what every token may do to itself by its policy.
void serve_self(const CallPtr& call, std::string_view rest) {
  const auto own = sent_token(call);
  if (rest == "lookup-self") return look(call, call->token, own);
  if (call->verb != VaultVerb::write) return call->fail(Error{Code::method_not_allowed, "unsupported operation"});
  if (rest == "renew-self") return renew(call, call->token, own);
  revoke(call, call->token);
}

void serve_other(const CallPtr& call, std::string_view rest) {
  const bool accessor = rest.ends_with("-accessor");
  const auto sent = text_of(*call, accessor ? "accessor" : "token");
  if (!sent) return call->fail(sent.error());
  const std::string text = sent->value_or("");
  const auto found =
      known_token(*call, accessor ? call->deps.tokens.find_accessor(text, call->now) : by_text(*call, text));
  if (rest == "lookup" || rest == "lookup-accessor") {
    return look(call, found ? *found : nullptr, accessor ? std::string_view{} : text);
  }
  if (rest == "renew" || rest == "renew-accessor") return renew(call, found, accessor ? std::string_view{} : text);
  // A token that is not there is as revoked as it can be.
  if (!found && !accessor) return call->send(net::empty_response());
  if (rest == "revoke-orphan") return revoke_orphan(call, found);
  revoke(call, found);
}

}  // namespace

Result<TokenPtr> known_token(const VaultCall& call, TokenPtr token) {
  if (!token) return Error{Code::malformed, "token not found"};
  const std::string& own = call.token->space;
  if (!own.empty() && token->space != own && !token->space.starts_with(own + "/")) {
    return Error{Code::malformed, "token not found"};
  }
  return token;
}

void vault_auth_token(const CallPtr& call, std::string_view rest) {
  if (const auto may = allowed(*call); !may) return call->fail(may.error());
  if (rest == "lookup-self" || rest == "renew-self" || rest == "revoke-self") return serve_self(call, rest);
  if (rest == "accessors" && call->verb == VaultVerb::list) return list_accessors(call);
  constexpr std::string_view kOthers[] = {"lookup", "lookup-accessor", "renew",        "renew-accessor",
                                          "revoke", "revoke-accessor", "revoke-orphan"};
  if (call->verb != VaultVerb::write) return call->fail(unsupported_path(*call));
  if (rest == "create") return create(call, false);
  if (rest == "create-orphan") return create(call, true);
  if (std::ranges::find(kOthers, rest) != std::end(kOthers)) return serve_other(call, rest);
  call->fail(unsupported_path(*call));
}

namespace {

void operator_token(const VaultDeps& deps, net::Request request, net::Responder responder) {
  auto call = std::make_shared<VaultCall>(
      VaultCall{.deps = deps, .request = std::move(request), .responder = std::move(responder)});
  call->now = deps.store.now();
  call->seen = deps.tokens.changes().now();
  const auto ready = [&]() -> Status {
    TRY(call->body, net::json_body(call->request));
    TRY_OK(call->body->root().only({"namespace", "policies", "ttl", "explicit_max_ttl", "period", "display_name",
                                    "meta", "renewable", "no_default_policy"}),
           "request body");
    TRY(const auto name, text_of(*call, "namespace"));
    call->space = deps.namespaces.find(name.value_or(""));
    if (!call->space) return Error{Code::not_found, "there is no such namespace", {}, *name};
    TRY(const auto policies, texts_of(*call, "policies"));
    if (!policies || policies->empty()) return Error{Code::malformed, "policies", "one at least"};
    return base::done();
  }();
  if (!ready) return call->responder.send(ready.error());
  make(call, true, true, "vault.token");
}

}  // namespace

Status add_vault_operator_routes(net::Router& router, const VaultDeps& deps) {
  return router.add({.method = net::Method::post,
                     .path = "/v1/vault/tokens",
                     .role = net::Role::admin,
                     .auth = net::Auth::admin,
                     .operation_id = "create_vault_token",
                     .summary = "A token for clients that speak Vault's API",
                     .description = "The answer is that of Vault's auth/token/create. The token has no parent.",
                     .request_schema = "VaultTokenRequest",
                     .response_schema = "VaultToken",
                     .tag = "vault",
                     .handler = [&deps](net::Request request, net::Responder responder) {
                       operator_token(deps, std::move(request), std::move(responder));
                     }});
}

}  // namespace attestry::api
