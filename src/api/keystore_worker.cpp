// What workers ask for: health, registration, and what is stored for them (keystore_ckd.md 1.1, 2, 3.3).
#include <array>

#include "api/keystore_bodies.h"
#include "api/keystore_handlers.h"
#include "base/base58.h"
#include "base/encoding.h"
#include "crypto/hash.h"
#include "net/channel_binding.h"

namespace attestry::api {

using base::JsonOut;
using base::JsonOutObject;
using base::Status;
using net::Method;
using secrets::KeystoreOutcome;
using secrets::KeystoreRefusal;
using secrets::TeeMode;

namespace {

/// Names of the first two generations are those of an enumeration.
std::string camel(TeeMode mode) {
  switch (mode) {
    case TeeMode::evidence:
    case TeeMode::tdx:
      return "Tdx";
    case TeeMode::sgx:
      return "Sgx";
    case TeeMode::sev:
      return "Sev";
    case TeeMode::nitro:
      return "Nitro";
    case TeeMode::simulated:
      return "Simulated";
    case TeeMode::none:
      return "None";
  }
  return "None";
}

void health(const KeystoreShared& handlers, net::Request /*request*/, net::Responder responder) {
  const TeeMode mode = handlers->service().evidence().rules().mode;
  JsonOutObject out{{"status", "ok"}};
  switch (handlers->deps().rules.generation) {
    case KeystoreGeneration::v0: {
      const auto key = handlers->service().v0_public_key();
      out.emplace_back("public_key", key ? JsonOut{base::hex(*key)} : JsonOut{});
      out.emplace_back("tee_mode", camel(mode));
      break;
    }
    case KeystoreGeneration::v1:
      out.emplace_back("tee_mode", camel(mode));
      break;
    case KeystoreGeneration::v2:
      out.emplace_back("tee_mode", mode == TeeMode::none ? "none" : "outlayer_tee");
      break;
  }
  responder.send(keystore_json(std::move(out)));
}

void v0_pubkey(const KeystoreShared& handlers, net::Request /*request*/, net::Responder responder) {
  const auto key = handlers->service().v0_public_key();
  if (!key) return responder.send(handlers->refused(key.error()));
  responder.send(
      keystore_json({{"public_key_hex", base::hex(*key)}, {"public_key_base58", base::base58(base::ByteView{*key})}}));
}

// ---- registration

void tee_challenge(const KeystoreShared& handlers, net::Request request, net::Responder responder) {
  auto who = handlers->caller(request, KeystoreCaller::either);
  if (!who) return responder.send(std::move(who).error());
  if (auto may = handlers->may_register(*who); !may) return responder.send(std::move(may).error());
  const auto challenge = handlers->service().challenge(who->hash);
  if (!challenge) return responder.send(handlers->refused(challenge.error()));
  responder.send(keystore_json(
      {{"challenge", base::hex(*challenge)}, {"audience", handlers->service().evidence().rules().audience}}));
}

/// nullopt after a mistake, which `fields` knows.
std::optional<base::FixedBytes<32>> hex32(KeystoreFields& fields, std::string_view name, const std::string& text) {
  base::FixedBytes<32> out{};
  if (base::hex_decode_into(text, out).ok()) return out;
  fields.fail(std::string{name} + ": expected 64 hex digits");
  return std::nullopt;
}

void register_tee(const KeystoreShared& handlers, net::Request request, net::Responder responder) {
  auto who = handlers->caller(request, KeystoreCaller::either);
  if (!who) return responder.send(std::move(who).error());
  if (auto may = handlers->may_register(*who); !may) return responder.send(std::move(may).error());
  auto body = keystore_body(request);
  if (!body) return responder.send(std::move(body).error());
  KeystoreFields fields{(*body)->root()};
  secrets::KeystoreRegistration asked{.public_key = fields.text("public_key"), .token = who->hash};
  const std::string challenge = fields.text("challenge");
  asked.signature = fields.text("signature");
  const auto evidence = fields.optional_text("evidence");
  const auto key = fields.optional_text("encryption_key");
  if (!fields.ok()) return responder.send(fields.refusal());
  if (!base::hex_decode_into(challenge, asked.challenge).ok())
    return responder.send(keystore_error(400, "Invalid or expired challenge"));
  if (evidence || key) {
    auto quote = base::base64_decode(evidence.value_or(""));
    const auto worker = hex32(fields, "encryption_key", key.value_or(""));
    if (!worker) return responder.send(keystore_error(400, "encryption_key: expected 64 hex digits of an X25519 key"));
    if (!quote || quote->empty()) return responder.send(keystore_error(400, "Invalid base64: evidence"));
    asked.evidence = {.quote = *std::move(quote), .key = *worker};
  }
  if (!asked.evidence) {
    auto peer = handlers->peer(request);
    if (!peer) return responder.send(std::move(peer).error());
    if (*peer && (*peer)->evidence) asked.peer = *std::move(peer);
  }
  // What its channel vouches for is of use over its channel alone, whatever the settings say.
  if (asked.peer || (handlers->deps().rules.bind_channel && request.peer.tls)) {
    asked.channel = net::channel_binding(request);
    if (!asked.channel) return responder.send(keystore_error(400, "a session is bound to its connection: use TLS 1.3"));
  }
  handlers->service().register_worker(
      std::move(asked), request.deadline, [handlers, responder = std::move(responder)](auto outcome) mutable {
        if (!outcome) {
          auto refusal = std::move(outcome).error();
          // What goes wrong with the chain here has words of its own.
          if (refusal.step == secrets::KeystoreStep::chain) {
            const bool outage = base::http_status(refusal.error.code) == 503;
            const bool old = handlers->deps().rules.old_status;
            return responder.send(
                keystore_error(outage && !old ? 503 : 500, "NEAR RPC check failed: " + refusal.error.what));
          }
          return responder.send(handlers->refused(refusal));
        }
        JsonOutObject out{{"session_id", outcome->session_id}};
        if (!outcome->sealed_key.empty()) out.emplace_back("sealed_session_key", base::base64(outcome->sealed_key));
        out.emplace_back("expires_at", outcome->expires.seconds);
        responder.send(keystore_json(std::move(out)));
      });
}

// ---- /decrypt

struct Asked {
  net::Request request;
  std::shared_ptr<const base::JsonDocument> body;
  base::Digest32 digest{};  ///< of the body as it came
  KeystorePrincipal principal;
  std::optional<base::Bytes> blob{};  ///< of the first generation
  std::optional<secrets::KeystoreDecrypt> decrypt{};
};

/// The worker's key in hex; nothing when it is none, as unmodified workers of the first generation have it.
std::optional<secrets::WorkerKey> worker_key(const std::optional<std::string>& text) {
  secrets::WorkerKey out{};
  if (text && base::hex_decode_into(*text, out).ok()) return out;
  return std::nullopt;
}

void go_on(const KeystoreShared& handlers, Asked asked, secrets::KeystoreRecipient to, net::Responder responder) {
  auto done = [handlers, responder = std::move(responder)](KeystoreOutcome outcome) mutable {
    if (!outcome) return responder.send(handlers->refused(outcome.error()));
    responder.send(handlers->released(*std::move(outcome), "plaintext_secrets", "sealed_secrets"));
  };
  if (asked.blob) return handlers->service().decrypt_v0(*std::move(asked.blob), std::move(to), std::move(done));
  handlers->service().decrypt(*std::move(asked.decrypt), std::move(to), asked.request.deadline, std::move(done));
}

/// v0 and v1: the request brings its own evidence.
void with_evidence(const KeystoreShared& handlers, Asked asked, const base::JsonValue& attestation,
                   net::Responder responder) {
  KeystoreFields fields{attestation};
  secrets::ShownEvidence shown{.tee_type = fields.text("tee_type")};
  const std::string quote = fields.text("quote");
  shown.worker_key = worker_key(fields.optional_text("worker_pubkey"));
  shown.timestamp = fields.number("timestamp");
  if (!fields.ok()) return responder.send(fields.refusal());
  auto bytes = base::base64_decode(quote);
  if (!bytes)
    return responder.send(keystore_error(401, "Attestation verification failed: Invalid quote: " + bytes.error().what));
  shown.quote = *std::move(bytes);
  auto peer = handlers->peer(asked.request);
  if (!peer) return responder.send(std::move(peer).error());
  shown.peer = *std::move(peer);
  const auto digest = secrets::body_digest(asked.body->root());
  if (!digest) return responder.send(keystore_error(400, digest.error().what));
  const auto deadline = asked.request.deadline;
  handlers->service().verify_request(
      std::move(shown), *digest, deadline,
      [handlers, asked = std::move(asked), responder = std::move(responder)](auto worker) mutable {
        if (!worker) return responder.send(handlers->refused(worker.error()));
        auto to = handlers->recipient(asked.request, asked.digest, asked.principal, nullptr);
        to.worker = *std::move(worker);
        // Of a worker whose channel is its own, or where a switch says so.
        if (!to.worker->key) to.in_clear = true;
        go_on(handlers, std::move(asked), std::move(to), std::move(responder));
      });
}

void decrypt(const KeystoreShared& handlers, net::Request request, net::Responder responder) {
  auto who = handlers->caller(request, KeystoreCaller::worker);
  if (!who) return responder.send(std::move(who).error());
  const auto digest = crypto::sha256(base::as_bytes(request.body));
  auto body = keystore_body(request);
  if (!body) return responder.send(std::move(body).error());
  const auto root = (*body)->root();
  KeystoreFields fields{root};
  Asked asked{.request = std::move(request), .body = *body, .digest = digest, .principal = *std::move(who)};
  // The generations are told apart by what a body has (keystore_ckd.md 0).
  const bool first = root.find("encrypted_secrets").has_value();
  const auto attestation = first ? fields.value("attestation") : fields.optional_value("attestation");
  if (first) {
    const std::string text = fields.text("encrypted_secrets");
    if (!fields.ok()) return responder.send(fields.refusal());
    auto blob = base::base64_decode(text);
    if (!blob) return responder.send(keystore_error(400, "Invalid base64: " + blob.error().what));
    asked.blob = *std::move(blob);
  } else {
    auto read = read_keystore_decrypt(fields);
    if (!fields.ok()) return responder.send(fields.refusal());
    if (!read) return responder.send(std::move(read).error());
    if (auto may = handlers->owner_may(read->name.owner.text()); !may) return responder.send(std::move(may).error());
    asked.decrypt = *std::move(read);
  }
  // A session counts for more than what a worker of an older generation sends along with it.
  if (attestation && !asked.request.headers.find("X-TEE-Session"))
    return with_evidence(handlers, std::move(asked), *attestation, std::move(responder));
  auto session = handlers->session(asked.request);
  if (!session) return responder.send(std::move(session).error());
  auto to = handlers->recipient(asked.request, asked.digest, asked.principal, *std::move(session));
  go_on(handlers, std::move(asked), std::move(to), std::move(responder));
}

}  // namespace

Status add_keystore_worker_routes(net::Router& router, const KeystoreShared& handlers) {
  const std::array<KeystoreRoute, 5> routes{{
      {Method::get, "/health", "health", "Answers while the process lives", health},
      {Method::get, "/pubkey", "v0_pubkey", "The one public key of the first generation", v0_pubkey},
      {Method::post, "/tee-challenge", "tee_challenge", "32 bytes for a worker to sign", tee_challenge},
      {Method::post, "/register-tee", "register_tee", "A session for a worker with evidence", register_tee},
      {Method::post, "/decrypt", "decrypt", "Secrets of all generations, for an attested worker", decrypt},
  }};
  for (const auto& route : routes) TRY_OK(add_keystore_route(router, handlers, route));
  return base::done();
}

}  // namespace attestry::api
