// Keys and ciphertexts under seeds that callers name: for who encrypts, for storage, for random values
// (keystore_ckd.md 2, 3.3).
#include <array>

#include "api/keystore_handlers.h"
#include "base/encoding.h"
#include "base/reason.h"
#include "base/utf8.h"
#include "crypto/hash.h"
#include "secrets/keystore_derivation.h"
#include "secrets/keystore_profile.h"

namespace attestry::api {

using base::JsonOut;
using base::JsonOutObject;
using base::Status;
using net::Method;
using secrets::KeystoreOutcome;
using secrets::KeystoreRefusal;
using secrets::keystore::Seed;

namespace {

/// What every one of these has in common: who asks, over which session, with which body.
struct Asked {
  KeystorePrincipal principal;
  std::shared_ptr<const base::JsonDocument> body;
  secrets::KeystoreRecipient to;
};

KeystoreAnswer<Asked> ask(const KeystoreShared& handlers, net::Request& request) {
  auto who = handlers->caller(request, KeystoreCaller::worker);
  if (!who) return std::unexpected(std::move(who).error());
  auto session = handlers->session(request);
  if (!session) return std::unexpected(std::move(session).error());
  const auto digest = crypto::sha256(base::as_bytes(request.body));
  auto body = keystore_body(request, true);
  if (!body) return std::unexpected(std::move(body).error());
  auto to = handlers->recipient(request, digest, *who, *std::move(session));
  return Asked{*std::move(who), *std::move(body), std::move(to)};
}

KeystoreAnswer<base::Bytes> base64_member(const std::string& text) {
  auto out = base::base64_decode(text);
  if (!out) return std::unexpected(keystore_error(400, "Invalid base64: " + out.error().what));
  return *std::move(out);
}

// ---- POST /pubkey

struct SealingFor {
  Seed seed;
  secrets::KeystoreBlob blob;
};

/// Blobs of version 3 are bound to what they are for and not to how a caller spells it, so that the request names this.
KeystoreAnswer<SealingFor> read_sealing(const KeystoreShared& handlers, KeystoreFields& fields) {
  const std::uint64_t version = fields.optional_value("version") ? fields.number("version") : 1;
  if (version != 3) {
    const std::string text = fields.text("seed");
    if (!fields.ok()) return std::unexpected(fields.refusal());
    if (version != 1)
      return std::unexpected(keystore_error(400, "version: expected 1 (ECIES v1) or 3 (with epoch and key id)"));
    auto seed = Seed::from_text(text);
    if (!seed) return std::unexpected(keystore_error(400, base::reason(seed.error())));
    return SealingFor{*std::move(seed), secrets::KeystoreBlob::ecies_v1};
  }
  const auto value = fields.value("accessor");
  const std::string profile = fields.text("profile");
  const std::string owner_text = fields.text("owner");
  if (!fields.ok()) return std::unexpected(fields.refusal());
  const auto read = [&]() -> base::Result<Seed> {
    TRY_OK(secrets::keystore::check_profile(profile));
    TRY(const auto owner, chain::near::AccountId::parse(owner_text), "owner");
    TRY(const auto accessor, secrets::keystore::parse_request_accessor(*value), "accessor");
    return secrets::keystore::seed_of(accessor, owner, profile, handlers->service().rules().seeds);
  };
  auto seed = read();
  if (!seed) return std::unexpected(keystore_error(400, base::reason(seed.error())));
  return SealingFor{*std::move(seed), secrets::KeystoreBlob::v3};
}

void pubkey(const KeystoreShared& handlers, net::Request request, net::Responder responder) {
  KeystorePrincipal principal;
  const bool has_token = request.headers.find("Authorization").has_value();
  if (has_token) {
    auto who = handlers->caller(request, KeystoreCaller::either);
    if (!who) return responder.send(std::move(who).error());
    principal = *std::move(who);
  } else if (auto may = handlers->stranger_may(request); !may) {
    return responder.send(std::move(may).error());
  }
  const auto digest = crypto::sha256(base::as_bytes(request.body));
  auto body = keystore_body(request, true);
  if (!body) return responder.send(std::move(body).error());
  KeystoreFields fields{(*body)->root()};
  const auto asked = read_sealing(handlers, fields);
  if (!asked) return responder.send(asked.error());
  const crypto::Secret given = fields.secret("secrets_json");
  const auto vault_id = fields.optional_text("vault_id");
  if (!fields.ok()) return responder.send(fields.refusal());
  auto vault = handlers->vault_member(vault_id);
  if (!vault) return responder.send(std::move(vault).error());
  if (!vault->empty() && !has_token)
    return responder.send(keystore_error(401, "vault-scoped /pubkey requires coordinator or worker token"));
  // Before the key is given away, so that nobody encrypts what will be refused.
  const auto good = secrets::keystore::check_secrets_json(given);
  if (!good) return responder.send(keystore_error(400, good.error().what));
  auto to = handlers->recipient(request, digest, principal, nullptr);
  handlers->service().public_key(asked->seed, *vault, asked->blob, std::move(to),
                                 [handlers, responder = std::move(responder)](KeystoreOutcome outcome) mutable {
                                   if (!outcome) return responder.send(handlers->refused(outcome.error()));
                                   handlers->count_release("pubkey");
                                   auto response =
                                       net::json_response(200, std::string{base::as_text(outcome->plaintext.reveal())});
                                   response.headers.set("Cache-Control", "no-store");
                                   if (!outcome->leaf_key.empty()) set_leaf(response, outcome->leaf, outcome->leaf_key);
                                   responder.send(std::move(response));
                                 });
}

// ---- /encrypt, /decrypt-raw

void encrypt(const KeystoreShared& handlers, net::Request request, net::Responder responder) {
  auto asked = ask(handlers, request);
  if (!asked) return responder.send(std::move(asked).error());
  auto vault = handlers->vault_header(request);
  if (!vault) return responder.send(std::move(vault).error());
  KeystoreFields fields{asked->body->root()};
  const std::string text = fields.text("seed");
  const crypto::Secret plaintext = fields.secret("plaintext_base64");
  if (!fields.ok()) return responder.send(fields.refusal());
  const auto seed = Seed::from_text(text);
  if (!seed) return responder.send(keystore_error(400, base::reason(seed.error())));
  const auto bytes = keystore_secret_base64(plaintext);
  if (!bytes) return responder.send(bytes.error());
  const auto blob = handlers->service().seal_blob(*seed, *vault, bytes->reveal());
  if (!blob) return responder.send(handlers->refused(blob.error()));
  answer_with_leaf(handlers, "keystore.encrypt", {{"seed", text}, {"vault", *vault}}, std::move(asked->to),
                   {{"encrypted_base64", base::base64(*blob)}}, std::move(responder));
}

void decrypt_raw(const KeystoreShared& handlers, net::Request request, net::Responder responder) {
  auto asked = ask(handlers, request);
  if (!asked) return responder.send(std::move(asked).error());
  // Every worker may open every seed with it, past every access condition (keystore_ckd.md 9, 4).
  if (!handlers->deps().rules.raw_seeds) {
    return responder.send(keystore_error(
        403, "this keystore does not decrypt under seeds that callers name (setting keystore.raw_seeds)"));
  }
  auto vault = handlers->vault_header(request);
  if (!vault) return responder.send(std::move(vault).error());
  KeystoreFields fields{asked->body->root()};
  const std::string text = fields.text("seed");
  const std::string encrypted = fields.text("encrypted_base64");
  if (!fields.ok()) return responder.send(fields.refusal());
  const auto seed = Seed::from_text(text);
  if (!seed) return responder.send(keystore_error(400, base::reason(seed.error())));
  auto blob = base64_member(encrypted);
  if (!blob) return responder.send(std::move(blob).error());
  auto plaintext = handlers->service().open_blob(*seed, *vault, *blob);
  if (!plaintext) return responder.send(handlers->refused(plaintext.error()));
  handlers->service().release(
      "keystore.decrypt", {{"seed", text}, {"vault", *vault}}, std::move(asked->to), *std::move(plaintext),
      [handlers, responder = std::move(responder)](KeystoreOutcome outcome) mutable {
        if (!outcome) return responder.send(handlers->refused(outcome.error()));
        responder.send(handlers->released(*std::move(outcome), "plaintext_base64", "sealed_plaintext"));
      });
}

// ---- storage: values of projects, under names that are encrypted, too

struct Stored {
  std::optional<std::string> project;
  std::string module, account;
};
Stored read_stored(KeystoreFields& fields) {
  return {.project = fields.optional_text("project_uuid"),
          .module = fields.text("wasm_hash"),
          .account = fields.text("account_id")};
}

void storage_encrypt(const KeystoreShared& handlers, net::Request request, net::Responder responder) {
  auto asked = ask(handlers, request);
  if (!asked) return responder.send(std::move(asked).error());
  KeystoreFields fields{asked->body->root()};
  const Stored stored = read_stored(fields);
  const crypto::Secret key = fields.secret("key");
  const crypto::Secret value = fields.secret("value_base64");
  if (!fields.ok()) return responder.send(fields.refusal());
  const auto seed = Seed::storage(stored.project, stored.module, stored.account);
  if (!seed) return responder.send(keystore_error(400, base::reason(seed.error())));
  const auto bytes = keystore_secret_base64(value);
  if (!bytes) return responder.send(bytes.error());
  const auto sealed_key = handlers->service().seal_blob(*seed, {}, key.reveal());
  const auto sealed_value = handlers->service().seal_blob(*seed, {}, bytes->reveal());
  if (!sealed_key) return responder.send(handlers->refused(sealed_key.error()));
  if (!sealed_value) return responder.send(handlers->refused(sealed_value.error()));
  answer_with_leaf(handlers, "keystore.encrypt", {{"seed", seed->text()}}, std::move(asked->to),
                   {{"encrypted_key_base64", base::base64(*sealed_key)},
                    {"encrypted_value_base64", base::base64(*sealed_value)},
                    {"key_hash", base::hex(crypto::sha256(key.reveal()))}},
                   std::move(responder));
}

void storage_decrypt(const KeystoreShared& handlers, net::Request request, net::Responder responder) {
  auto asked = ask(handlers, request);
  if (!asked) return responder.send(std::move(asked).error());
  KeystoreFields fields{asked->body->root()};
  const Stored stored = read_stored(fields);
  const std::string encrypted_key = fields.text("encrypted_key_base64");
  const std::string encrypted_value = fields.text("encrypted_value_base64");
  if (!fields.ok()) return responder.send(fields.refusal());
  const auto seed = Seed::storage(stored.project, stored.module, stored.account);
  if (!seed) return responder.send(keystore_error(400, base::reason(seed.error())));
  auto key_blob = base64_member(encrypted_key);
  if (!key_blob) return responder.send(std::move(key_blob).error());
  auto value_blob = base64_member(encrypted_value);
  if (!value_blob) return responder.send(std::move(value_blob).error());
  const auto key = handlers->service().open_blob(*seed, {}, *key_blob);
  if (!key) return responder.send(handlers->refused(key.error()));
  const auto value = handlers->service().open_blob(*seed, {}, *value_blob);
  if (!value) return responder.send(handlers->refused(value.error()));
  if (!base::is_utf8(base::as_text(key->reveal()))) {
    return responder.send(
        handlers->refused({secrets::KeystoreStep::decrypt, {base::Code::malformed, "the name is no text"}}));
  }
  std::string encoded = base::base64(value->reveal());
  const auto text = crypto::Secret::absorb({reinterpret_cast<std::uint8_t*>(encoded.data()), encoded.size()});
  const std::pair<std::string_view, base::ByteView> members[] = {{"key", key->reveal()},
                                                                 {"value_base64", text.reveal()}};
  handlers->service().release(
      "keystore.decrypt", {{"seed", seed->text()}}, std::move(asked->to), secrets::keystore::secret_json(members),
      [handlers, responder = std::move(responder)](KeystoreOutcome outcome) mutable {
        if (!outcome) return responder.send(handlers->refused(outcome.error()));
        handlers->count_release("storage_decrypt");
        auto response = outcome->sealed.empty()
                            ? net::json_response(200, std::string{base::as_text(outcome->plaintext.reveal())})
                            : keystore_json({{"sealed_reply", base::base64(outcome->sealed)}});
        response.wipe = outcome->sealed.empty();
        response.headers.set("Cache-Control", "no-store");
        set_leaf(response, outcome->leaf, outcome->leaf_key);
        responder.send(std::move(response));
      });
}

// ---- random values that anybody can verify

void vrf_generate(const KeystoreShared& handlers, net::Request request, net::Responder responder) {
  auto asked = ask(handlers, request);
  if (!asked) return responder.send(std::move(asked).error());
  KeystoreFields fields{asked->body->root()};
  const std::string alpha = fields.text("alpha");
  if (!fields.ok()) return responder.send(fields.refusal());
  if (alpha.empty()) return responder.send(keystore_error(400, "alpha must not be empty"));
  const auto master = handlers->service().master({});
  if (!master) return responder.send(handlers->refused(master.error()));
  const auto proof = secrets::keystore::vrf_prove(**master, alpha);
  if (!proof) return responder.send(keystore_error(400, proof.error().what));
  answer_with_leaf(handlers, "keystore.vrf", {{"alpha", alpha}}, std::move(asked->to),
                   {{"output_hex", base::hex(proof->output)}, {"signature_hex", base::hex(proof->signature)}},
                   std::move(responder));
}

void vrf_pubkey(const KeystoreShared& handlers, net::Request /*request*/, net::Responder responder) {
  const auto master = handlers->service().master({});
  if (!master) return responder.send(handlers->refused(master.error()));
  const auto key = secrets::keystore::ed25519_key(**master, Seed::vrf());
  responder.send(keystore_json({{"vrf_public_key_hex", base::hex(key.public_key())}}));
}

}  // namespace

Status add_keystore_key_routes(net::Router& router, const KeystoreShared& handlers) {
  const std::array<KeystoreRoute, 7> routes{{
      {Method::post, "/pubkey", "pubkey", "The key to encrypt a seed's secrets for", pubkey},
      {Method::post, "/encrypt", "encrypt", "A ciphertext under a seed", encrypt},
      {Method::post, "/decrypt-raw", "decrypt_raw", "What a seed's ciphertext says", decrypt_raw},
      {Method::post, "/storage/encrypt", "storage_encrypt", "A name and a value of storage, closed", storage_encrypt},
      {Method::post, "/storage/decrypt", "storage_decrypt", "A name and a value of storage, opened", storage_decrypt},
      {Method::post, "/vrf/generate", "vrf_generate", "A random value with its proof", vrf_generate},
      {Method::get, "/vrf/pubkey", "vrf_pubkey", "The key that proofs of random values verify under", vrf_pubkey},
  }};
  for (const auto& route : routes) TRY_OK(add_keystore_route(router, handlers, route));
  return base::done();
}

}  // namespace attestry::api
