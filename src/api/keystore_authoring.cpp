// What coordinators write for owners: values that the keystore makes itself, and changes that an owner has signed
// (keystore_ckd.md 3.4). The chain is not written here: the caller stores what comes back.
#include <algorithm>
#include <array>

#include "api/keystore_bodies.h"
#include "api/keystore_handlers.h"
#include "base/encoding.h"
#include "crypto/hash.h"
#include "secrets/keystore_profile.h"

namespace attestry::api {

using base::JsonOut;
using base::JsonOutArray;
using base::JsonOutObject;
using base::Result;
using base::Status;
using chain::near::AccountId;
using net::Method;
using secrets::keystore::Seed;
using secrets::keystore::Variables;

namespace {

JsonOutArray texts(const std::vector<std::string>& list) {
  JsonOutArray out;
  for (const auto& one : list) out.emplace_back(one);
  return out;
}

net::Response mistake(const base::Error& error) { return keystore_error(400, error.what); }

struct Asked {
  KeystorePrincipal principal;
  std::shared_ptr<const base::JsonDocument> body;
  secrets::KeystoreRecipient to;
};
KeystoreAnswer<Asked> ask(const KeystoreShared& handlers, net::Request& request) {
  auto who = handlers->caller(request, KeystoreCaller::coordinator);
  if (!who) return std::unexpected(std::move(who).error());
  const auto digest = crypto::sha256(base::as_bytes(request.body));
  auto body = keystore_body(request, true);
  if (!body) return std::unexpected(std::move(body).error());
  auto to = handlers->recipient(request, digest, *who, nullptr);
  return Asked{*std::move(who), *std::move(body), std::move(to)};
}

/// Variables, sealed for a seed's key; null and an answer when that fails.
KeystoreAnswer<std::string> sealed(const KeystoreShared& handlers, const Variables& variables, const Seed& seed,
                                   const std::string& vault) {
  const auto json = variables.json();
  if (!json) return std::unexpected(mistake(json.error()));
  const auto blob = handlers->service().seal_blob(seed, vault, json->reveal());
  if (!blob) return std::unexpected(handlers->refused(blob.error()));
  return base::base64(*blob);
}

void add_generated(const KeystoreShared& handlers, net::Request request, net::Responder responder) {
  auto asked = ask(handlers, request);
  if (!asked) return responder.send(std::move(asked).error());
  KeystoreFields fields{asked->body->root()};
  const std::string text = fields.text("seed");
  const auto encrypted = fields.optional_text("encrypted_secrets_base64");
  const auto wanted = fields.value("new_secrets");
  const auto vault_id = fields.optional_text("vault_id");
  if (!fields.ok()) return responder.send(fields.refusal());
  auto vault = handlers->vault_member(vault_id);
  if (!vault) return responder.send(std::move(vault).error());
  const auto seed = Seed::from_text(text);
  if (!seed) return responder.send(mistake(seed.error()));
  const auto generations = secrets::keystore::parse_generations(*wanted);
  if (!generations) return responder.send(mistake(generations.error()));
  Variables before;
  std::string opened;
  if (encrypted) {
    const auto blob = base::base64_decode(*encrypted);
    if (!blob) return responder.send(keystore_error(400, "Invalid base64: " + blob.error().what));
    const auto plaintext = handlers->service().open_blob(*seed, *vault, *blob);
    if (!plaintext) return responder.send(handlers->refused(plaintext.error()));
    opened = base::hex(crypto::sha256(plaintext->reveal()));
    auto variables = Variables::parse(*plaintext);
    if (!variables) return responder.send(mistake(variables.error()));
    before = *std::move(variables);
  }
  auto made = secrets::keystore::add_generated(std::move(before), *generations, handlers->deps().random);
  if (!made) return responder.send(mistake(made.error()));
  auto blob = sealed(handlers, *made, *seed, *vault);
  if (!blob) return responder.send(std::move(blob).error());
  answer_with_leaf(
      handlers, "keystore.encrypt", {{"seed", text}, {"vault", *vault}, {"before", opened}}, std::move(asked->to),
      {{"encrypted_data_base64", *std::move(blob)}, {"all_keys", texts(made->names())}}, std::move(responder));
}

// ---- changes that an owner has signed

void finish_update(const KeystoreShared& handlers, KeystoreUpdate update, std::shared_ptr<const crypto::Secret> before,
                   secrets::KeystoreRecipient to, net::Responder responder) {
  Variables variables;
  // What was opened on the way, so that the leaf says it.
  const std::string opened = before ? base::hex(crypto::sha256(before->reveal())) : std::string{};
  if (before) {
    auto parsed = Variables::parse(*before);
    if (!parsed) return responder.send(mistake(parsed.error()));
    variables = *std::move(parsed);
  }
  auto updated = secrets::keystore::update_variables(std::move(variables), std::move(update.set), update.mode,
                                                     update.generate, handlers->deps().random);
  if (!updated) return responder.send(mistake(updated.error()));
  const auto seed = secrets::keystore::seed_of(update.target.value_or(update.name.accessor), update.name.owner,
                                               update.name.profile, handlers->service().rules().seeds);
  if (!seed) return responder.send(mistake(seed.error()));
  auto blob = sealed(handlers, updated->variables, *seed, update.vault);
  if (!blob) return responder.send(std::move(blob).error());
  const auto& summary = updated->summary;
  answer_with_leaf(
      handlers, "keystore.encrypt",
      {{"seed", seed->text()}, {"vault", update.vault}, {"caller", update.name.owner.text()}, {"before", opened}},
      std::move(to),
      {{"encrypted_secrets_base64", *std::move(blob)},
       {"summary", JsonOutObject{{"protected_keys_preserved", texts(summary.protected_keys_preserved)},
                                 {"updated_keys", texts(summary.updated_keys)},
                                 {"removed_keys", texts(summary.removed_keys)},
                                 {"total_keys", static_cast<std::uint64_t>(summary.total_keys)}}}},
      std::move(responder));
}

/// What this server's settings ask of a change, besides what it says by itself.
KeystoreAnswer<base::Done> check_update(const KeystoreHandlers& handlers, KeystoreUpdate& update) {
  auto vault = handlers.vault_member(update.vault);
  if (!vault) return std::unexpected(std::move(vault).error());
  update.vault = *std::move(vault);
  const auto& rules = handlers.service().rules();
  // A signature that was made for somebody else's service is none for this one.
  if (std::ranges::find(rules.update_recipients, update.recipient) == rules.update_recipients.end()) {
    return std::unexpected(keystore_error(400, "recipient: the signature is for '" + update.recipient +
                                                   "', not for this keystore's contract (keystore.update_recipients)"));
  }
  if (rules.signed_values && !update.whole) {
    return std::unexpected(keystore_error(400, "signed_message names no values: its last line must be change:" +
                                                   base::hex(update.change) + " (keystore.signed_values)"));
  }
  return base::Done{};
}

void update_user_secrets(const KeystoreShared& handlers, net::Request request, net::Responder responder) {
  auto asked = ask(handlers, request);
  if (!asked) return responder.send(std::move(asked).error());
  KeystoreFields fields{asked->body->root()};
  auto update = read_keystore_update(fields);
  if (!fields.ok()) return responder.send(fields.refusal());
  if (!update) {
    const bool signature = update.error().code == base::Code::unauthenticated;
    return responder.send(keystore_error(signature ? 401 : 400, base::reason(update.error())));
  }
  if (auto good = check_update(*handlers, *update); !good) return responder.send(std::move(good).error());
  asked->to.once = update->once;
  const auto shared = std::make_shared<KeystoreUpdate>(*std::move(update));
  handlers->service().open_for_owner(
      shared->name, shared->key, request.deadline,
      [handlers, shared, to = std::move(asked->to), responder = std::move(responder)](auto before) mutable {
        if (!before) return responder.send(handlers->refused(before.error()));
        finish_update(handlers, std::move(*shared), *std::move(before), std::move(to), std::move(responder));
      });
}

}  // namespace

Status add_keystore_authoring_routes(net::Router& router, const KeystoreShared& handlers) {
  const std::array<KeystoreRoute, 2> routes{{
      {Method::post, "/add_generated_secret", "add_generated_secret", "Adds values that nobody else knows",
       add_generated},
      {Method::post, "/update_user_secrets", "update_user_secrets", "Changes secrets as their owner has signed",
       update_user_secrets},
  }};
  for (const auto& route : routes) TRY_OK(add_keystore_route(router, handlers, route));
  return base::done();
}

}  // namespace attestry::api
