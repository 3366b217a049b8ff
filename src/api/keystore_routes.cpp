#include "api/keystore_routes.h"

#include <algorithm>
#include <array>

#include "api/keystore_handlers.h"
#include "base/encoding.h"
#include "base/log.h"
#include "chain/near_types.h"
#include "crypto/hash.h"
#include "crypto/x509.h"
#include "net/channel_binding.h"
#include "provision/registry_evidence.h"

namespace attestry::api {

using base::Code;
using base::Error;
using base::JsonOutObject;
using base::Result;
using base::Status;
using secrets::KeystoreRefusal;
using secrets::KeystoreStep;
using secrets::TeeMode;

namespace {

constexpr std::string_view kNotReady = "Keystore not ready. Waiting for DAO approval and master key from MPC.";
/// Beyond kKeystoreBody the answer is the dialect's own; beyond this the server's.
constexpr std::size_t kReadBody = 2 * kKeystoreBody;

/// A trouble of this server's own says nothing to strangers.
std::string outward_text(const Error& error) {
  switch (error.code) {
    case Code::io:
    case Code::internal:
    case Code::corrupt:
    case Code::crypto:
    case Code::configuration:
      base::log(base::LogLevel::warning, "keystore.trouble", {{"reason", error.text()}});
      return error.what;
    default:
      return base::reason(error);
  }
}

/// The limiter counts by 16 bytes, which are an address elsewhere: the first half of the token's hash.
net::ClientNetwork token_key(const KeystorePrincipal& principal) {
  net::ClientNetwork out{};
  [[maybe_unused]] const auto done =
      base::hex_decode_into(std::string_view{principal.hash}.substr(0, 2 * out.size()), out);
  return out;
}

net::RateLimit limit_of(unsigned rate) { return {.requests_per_second = rate, .burst = std::max(1U, rate)}; }

constexpr std::string_view kNonce = "X-Attestry-Nonce";
std::optional<base::FixedBytes<16>> read_nonce(std::string_view text) {
  base::FixedBytes<16> out{};
  if (!base::hex_decode_into(text, out).ok()) return std::nullopt;
  return out;
}

struct Words {
  int status;
  std::string text;
};

int outage_or(const Error& error, int otherwise) { return secrets::is_outage(error.code) ? 503 : otherwise; }

/// Of a wallet: what its owner forbids, what is wrong with the request, and what is wrong here.
int policy_status(const Error& error) {
  switch (error.code) {
    case Code::denied:
    case Code::replayed:
      return 403;
    case Code::malformed:
    case Code::usage:
    case Code::not_found:
    case Code::too_large:
      return 400;
    default:
      return outage_or(error, 500);
  }
}

Words words_of(const KeystoreRefusal& refusal) {
  const Error& error = refusal.error;
  const std::string inner = outward_text(error);
  switch (refusal.step) {
    case KeystoreStep::request:
      return {400, error.what};
    case KeystoreStep::ready:
      return {503, std::string{kNotReady}};
    case KeystoreStep::limit:
      return {error.code == Code::rate_limited ? 429 : 503, inner};
    case KeystoreStep::chain:
      if (error.code == Code::configuration || error.code == Code::too_large) return {500, error.what};
      return {outage_or(error, 500), "Failed to read secrets from contract: " + inner};
    case KeystoreStep::missing:
      return {400, error.what};
    case KeystoreStep::vault:
      if (error.code == Code::denied) return {403, inner};
      if (error.code == Code::conflict) return {402, error.what};
      return {outage_or(error, 500), "Key derivation failed: " + inner};
    case KeystoreStep::agent:
    case KeystoreStep::access:
    case KeystoreStep::operator_:
      return {401, error.what};
    case KeystoreStep::condition:
      return {outage_or(error, 500), inner};
    case KeystoreStep::decrypt:
      return {500, "Decryption failed: " + inner};
    case KeystoreStep::session:
      return {403, error.what};
    case KeystoreStep::evidence:
      return {outage_or(error, 401), "Attestation verification failed: " + inner};
    case KeystoreStep::policy:
      return {policy_status(error), inner};
    case KeystoreStep::record:
      return {outage_or(error, 500), inner};
  }
  return {500, "Internal server error"};
}

}  // namespace

KeystoreHandlers::KeystoreHandlers(KeystoreRouteDeps deps, Limiters limiters)
    : deps_(std::move(deps)), limiters_(std::move(limiters)) {
  const auto refusal = [this](std::string_view reason) {
    refusals_.emplace(reason, deps_.metrics.counter("attestry_keystore_refusals_total",
                                                    "Requests that the keystore refused, by reason",
                                                    {{"reason", std::string{reason}}}));
  };
  for (const std::string_view reason : {"token", "rate-token", "rate-owner", "rate-address", "rate-registrations"})
    refusal(reason);
  for (int step = 0; step <= static_cast<int>(KeystoreStep::record); ++step)
    refusal(secrets::to_text(static_cast<KeystoreStep>(step)));
  for (const std::string_view what :
       {"decrypt", "decrypt_raw", "storage_decrypt", "encrypt", "derive", "pubkey", "vrf", "sign"}) {
    releases_.emplace(
        what, deps_.metrics.counter("attestry_keystore_releases_total",
                                    "What the keystore decrypted or derived, by kind", {{"kind", std::string{what}}}));
  }
}

Result<std::shared_ptr<KeystoreHandlers>> KeystoreHandlers::make(KeystoreRouteDeps deps) {
  TRY(auto tokens, net::RateLimiter::make(limit_of(deps.rules.token_rate)));
  TRY(auto owners, net::RateLimiter::make(limit_of(deps.rules.owner_rate)));
  TRY(auto strangers, net::RateLimiter::make(limit_of(deps.rules.stranger_rate)));
  TRY(auto registrations, net::RateLimiter::make(limit_of(deps.rules.register_rate)));
  return std::shared_ptr<KeystoreHandlers>{
      new KeystoreHandlers(std::move(deps), {.tokens = std::move(tokens),
                                             .owners = std::move(owners),
                                             .strangers = std::move(strangers),
                                             .registrations = std::move(registrations)})};
}

KeystoreAnswer<base::Done> KeystoreHandlers::within(net::RateLimiter& limiter, unsigned rate,
                                                    const net::ClientNetwork& whose, std::string_view what) const {
  const auto wait = limiter.take(whose, deps_.clock.steady());
  if (!wait) return base::Done{};
  const std::string text = what == "registrations" ? "registrations of this token" : "this " + std::string{what};
  auto response =
      keystore_error(429, "Too many requests: the limit of " + text + " is " + std::to_string(rate) + " per second");
  response.headers.set("Retry-After", std::to_string(*wait));
  count_refusal("rate-" + std::string{what});
  return std::unexpected(std::move(response));
}

KeystoreAnswer<KeystorePrincipal> KeystoreHandlers::caller(const net::Request& request, KeystoreCaller who) const {
  auto out = keystore_principal(deps_.rules.tokens, request, who, deps_.rules.generation == KeystoreGeneration::v0);
  if (!out) {
    count_refusal("token");
    return out;
  }
  if (deps_.rules.token_rate == 0) return out;
  if (auto may = within(limiters_.tokens, deps_.rules.token_rate, token_key(*out), "token"); !may)
    return std::unexpected(std::move(may).error());
  return out;
}

KeystoreAnswer<base::Done> KeystoreHandlers::may_register(const KeystorePrincipal& principal) const {
  if (deps_.rules.register_rate == 0) return base::Done{};
  return within(limiters_.registrations, deps_.rules.register_rate, token_key(principal), "registrations");
}

KeystoreAnswer<base::Done> KeystoreHandlers::owner_may(std::string_view owner) const {
  if (deps_.rules.owner_rate == 0) return base::Done{};
  const auto digest = crypto::sha256(base::as_bytes(owner));
  net::ClientNetwork key{};
  std::copy_n(digest.begin(), key.size(), key.begin());
  return within(limiters_.owners, deps_.rules.owner_rate, key, "owner");
}

KeystoreAnswer<base::Done> KeystoreHandlers::stranger_may(const net::Request& request) const {
  if (deps_.rules.stranger_rate == 0) return base::Done{};
  std::string_view address = request.peer.address;
  if (const auto colon = address.rfind(':'); colon != std::string_view::npos) address = address.substr(0, colon);
  if (address.starts_with('[') && address.ends_with(']')) address = address.substr(1, address.size() - 2);
  // Over a unix socket everybody is one.
  const auto network = limiters_.strangers.network_of(address).value_or(net::ClientNetwork{});
  return within(limiters_.strangers, deps_.rules.stranger_rate, network, "address");
}

KeystoreAnswer<std::shared_ptr<const secrets::KeystoreSession>> KeystoreHandlers::session(
    const net::Request& request) const {
  if (service().evidence().rules().mode == TeeMode::none) return nullptr;
  const auto refuse = [](std::string_view text) { return std::unexpected(keystore_error(403, text)); };
  const auto id = request.headers.find("X-TEE-Session");
  if (!id) return refuse("TEE session required. Register via /tee-challenge + /register-tee");
  const bool uuid = id->size() == 36 && [&] {
    for (std::size_t i = 0; i < id->size(); ++i) {
      const char c = (*id)[i];
      const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
      const bool digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
      if (dash ? c != '-' : !digit) return false;
    }
    return true;
  }();
  if (!uuid) return refuse("Invalid TEE session ID format");
  if (const auto nonce = request.headers.find(kNonce); nonce && !read_nonce(*nonce))
    return std::unexpected(keystore_error(400, "X-Attestry-Nonce: expected 32 hex digits"));
  const auto channel = net::channel_binding(request);
  auto found = service().session(*id, channel ? &*channel : nullptr);
  if (!found) return std::unexpected(refused(found.error()));
  return *std::move(found);
}

KeystoreAnswer<std::optional<secrets::ShownPeer>> KeystoreHandlers::peer(const net::Request& request) const {
  if (!request.peer.certificate) return std::nullopt;
  const auto certificate = crypto::Certificate::parse(*request.peer.certificate);
  // Clients may have one for something else, of any kind.
  if (!certificate) return std::nullopt;
  auto evidence = provision::evidence_in_certificate(*certificate);
  if (!evidence) {
    return std::unexpected(
        refused({KeystoreStep::evidence, {Code::unauthenticated, std::move(evidence).error().what}}));
  }
  return secrets::ShownPeer{.certificate = request.peer.certificate,
                            .spki = base::to_bytes(certificate->spki()),
                            .evidence = *std::move(evidence)};
}

KeystoreAnswer<std::string> KeystoreHandlers::vault_header(const net::Request& request) const {
  const auto header = request.headers.find("X-Customer-Vault");
  if (!header) return std::string{};
  std::string_view text = *header;
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  if (text.empty()) return std::string{};
  if (std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) >= 0x80; }))
    return std::unexpected(keystore_error(400, "X-Customer-Vault header is not valid UTF-8"));
  const auto vault = chain::near::AccountId::parse(text);
  if (vault) return vault->text();
  return std::unexpected(keystore_error(400, "X-Customer-Vault is not a valid NEAR AccountId (" + std::string{text} +
                                                 "): " + base::reason(vault.error())));
}

KeystoreAnswer<std::string> KeystoreHandlers::vault_member(const std::optional<std::string>& value) const {
  if (!value || value->find_first_not_of(" \t\r\n") == std::string::npos) return std::string{};
  const auto vault = chain::near::AccountId::parse(*value);
  if (vault) return vault->text();
  return std::unexpected(
      keystore_error(400, "vault_id is not a valid NEAR AccountId (" + *value + "): " + base::reason(vault.error())));
}

net::Response KeystoreHandlers::refused(const KeystoreRefusal& refusal) const {
  count_refusal(secrets::to_text(refusal.step));
  auto words = words_of(refusal);
  if (deps_.rules.old_status && words.status == 503) words.status = refusal.step == KeystoreStep::ready ? 401 : 500;
  return keystore_error(words.status, words.text);
}

void KeystoreHandlers::count_release(std::string_view what) const {
  const auto found = releases_.find(what);
  if (found != releases_.end()) net::Counter{found->second}.add();
}

void KeystoreHandlers::count_refusal(std::string_view reason) const {
  const auto found = refusals_.find(reason);
  if (found != refusals_.end()) net::Counter{found->second}.add();
}

net::Response KeystoreHandlers::released(secrets::KeystoreReply reply, std::string_view member,
                                         std::string_view sealed_member) const {
  count_release(member == "plaintext_secrets" ? "decrypt" : "decrypt_raw");
  const bool sealed = !reply.sealed.empty();
  std::string text = base::base64(sealed ? base::ByteView{reply.sealed} : reply.plaintext.reveal());
  std::string body = "{\"" + std::string{sealed ? sealed_member : member} + "\":\"";
  body.reserve(body.size() + text.size() + 2);
  body.append(text).append("\"}");
  if (!sealed) net::wipe_text(text);
  auto response = net::json_response(200, std::move(body));
  response.wipe = !sealed;
  set_leaf(response, reply.leaf, reply.leaf_key);
  return response;
}

secrets::KeystoreRecipient KeystoreHandlers::recipient(const net::Request& request, const base::Digest32& body,
                                                       const KeystorePrincipal& principal,
                                                       std::shared_ptr<const secrets::KeystoreSession> session) const {
  secrets::KeystoreRecipient out{.token = principal.hash, .path = request.path, .body = body};
  if (const auto nonce = request.headers.find(kNonce)) out.nonce = read_nonce(*nonce);
  // A session without a key exists where a switch says so, and where its channel is the worker's own.
  const auto mode = service().evidence().rules().mode;
  out.in_clear = session ? session->key == nullptr
                         : deps_.rules.plaintext_replies || mode == TeeMode::none || mode == TeeMode::simulated;
  out.session = std::move(session);
  return out;
}

void set_leaf(net::Response& response, std::uint64_t leaf, const crypto::Secret& leaf_key) {
  response.headers.set("X-Attestry-Leaf", std::to_string(leaf));
  response.headers.set("X-Attestry-Leaf-Key", base::base64url(leaf_key.reveal()));
}

namespace {

/// What the metrics call a leaf's type.
std::string_view kind_of(std::string_view type) {
  for (const auto& [leaf, kind] : {std::pair{"keystore.vrf", "vrf"},
                                   {"keystore.derive", "derive"},
                                   {"keystore.sign", "sign"},
                                   {"keystore.decrypt", "decrypt"}}) {
    if (type == leaf) return kind;
  }
  return "encrypt";
}

}  // namespace

void answer_with_leaf(const KeystoreShared& handlers, std::string_view type, std::map<std::string, std::string> what,
                      secrets::KeystoreRecipient to, base::JsonOutObject body, net::Responder responder) {
  to.in_clear = true;
  const auto shared = std::make_shared<std::string>(base::JsonOut{std::move(body)}.compact());
  const std::string_view kind = kind_of(type);
  handlers->service().release(
      type, std::move(what), std::move(to), crypto::Secret::copy_of(base::as_bytes(*shared)),
      [handlers, shared, kind, responder = std::move(responder)](secrets::KeystoreOutcome outcome) mutable {
        if (!outcome) return responder.send(handlers->refused(outcome.error()));
        handlers->count_release(kind);
        auto response = net::json_response(200, *shared);
        response.wipe = kind == "decrypt";
        if (response.wipe) net::wipe_text(*shared);
        response.headers.set("Cache-Control", "no-store");
        set_leaf(response, outcome->leaf, outcome->leaf_key);
        responder.send(std::move(response));
      });
}

Status add_keystore_route(net::Router& router, const KeystoreShared& handlers, const KeystoreRoute& route) {
  const bool vaults = uses_vaults(route.path);
  return router.add(
      {.method = route.method,
       .path = std::string{route.path},
       .role = net::Role::keystore,
       .auth = net::Auth::evidence,
       .operation_id = "keystore_" + std::string{route.id},
       .summary = std::string{route.summary},
       .tag = "keystore",
       .any_query = true,
       .body_limit = kReadBody,
       .consumes = {},
       .handler = [handlers, vaults, handle = route.handle](net::Request request, net::Responder responder) {
         if (!vaults) return handle(handlers, std::move(request), std::move(responder));
         call_with_vaults(handlers, handle, std::move(request), std::move(responder));
       }});
}

namespace {

/// Whoever has no token learns nothing about which paths there are.
void nothing_here(const KeystoreShared& handlers, net::Request request, net::Responder responder) {
  auto who = handlers->caller(request, KeystoreCaller::either);
  if (!who) return responder.send(std::move(who).error());
  responder.send(net::Response{.status = 404, .content_type = {}, .body = {}, .headers = {}});
}

Status add_rest(net::Router& router, const KeystoreShared& handlers) {
  constexpr std::array kMethods{std::pair{net::Method::get, "get"}, std::pair{net::Method::post, "post"},
                                std::pair{net::Method::put, "put"}, std::pair{net::Method::patch, "patch"},
                                std::pair{net::Method::delete_, "delete"}};
  for (const auto& [method, name] : kMethods) {
    const std::string rest = std::string{"rest_"} + name;
    const std::string root = std::string{"root_"} + name;
    TRY_OK(add_keystore_route(router, handlers,
                              {method, "/{rest*}", rest, "Nothing: 401 without a token, else 404", nothing_here}));
    TRY_OK(add_keystore_route(router, handlers,
                              {method, "/", root, "Nothing: 401 without a token, else 404", nothing_here}));
  }
  return base::done();
}

}  // namespace

Status register_keystore(net::Router& router, KeystoreRouteDeps deps) {
  TRY(const auto made, KeystoreHandlers::make(std::move(deps)));
  const KeystoreShared handlers = made;
  TRY_OK(add_keystore_worker_routes(router, handlers));
  TRY_OK(add_keystore_key_routes(router, handlers));
  TRY_OK(add_keystore_authoring_routes(router, handlers));
  TRY_OK(add_keystore_admin_routes(router, handlers));
  TRY_OK(add_keystore_wallet_routes(router, handlers));
  TRY_OK(add_keystore_vault_routes(router, handlers));
  return add_rest(router, handlers);
}

}  // namespace attestry::api
