// What operators and coordinators do with vaults (keystore_ckd.md 3.5).
#include <array>

#include "api/keystore_handlers.h"
#include "base/base58.h"
#include "base/reason.h"
#include "crypto/hash.h"
#include "secrets/keystore_derivation.h"
#include "secrets/keystore_wallet.h"

namespace attestry::api {

using base::JsonOut;
using base::JsonOutArray;
using base::JsonOutObject;
using base::Status;
using net::Method;

namespace {

constexpr std::size_t kMostReason = 256;

void loaded_vaults(const KeystoreShared& handlers, net::Request request, net::Responder responder) {
  auto who = handlers->caller(request, KeystoreCaller::either);
  if (!who) return responder.send(std::move(who).error());
  JsonOutArray vaults;
  for (const std::string& vault : handlers->service().masters().loaded_vaults()) vaults.emplace_back(vault);
  const auto count = static_cast<std::uint64_t>(vaults.size());
  responder.send(keystore_json({{"vaults", std::move(vaults)},
                                {"count", count},
                                {"tee_sessions", static_cast<std::uint64_t>(handlers->service().sessions().size())}}));
}

struct Named {
  std::string vault, reason;
};
KeystoreAnswer<Named> read_named(const KeystoreShared& handlers, net::Request& request) {
  auto who = handlers->caller(request, KeystoreCaller::worker);
  if (!who) return std::unexpected(std::move(who).error());
  auto body = keystore_body(request);
  if (!body) return std::unexpected(std::move(body).error());
  KeystoreFields fields{(*body)->root()};
  const std::string vault_id = fields.text("vault_id");
  Named out{.vault = {}, .reason = fields.text("reason")};
  if (!fields.ok()) return std::unexpected(fields.refusal());
  auto vault = handlers->vault_member(vault_id);
  if (!vault) return std::unexpected(std::move(vault).error());
  if (vault->empty()) return std::unexpected(keystore_error(400, "vault_id is required"));
  out.vault = *std::move(vault);
  return out;
}

void evict(const KeystoreShared& handlers, net::Request request, net::Responder responder) {
  auto named = read_named(handlers, request);
  if (!named) return responder.send(std::move(named).error());
  handlers->service().masters().evict(named->vault, [handlers, responder = std::move(responder)](Status done) mutable {
    if (!done) return responder.send(handlers->refused({secrets::KeystoreStep::record, std::move(done).error()}));
    responder.send(keystore_json({{"ok", true}}));
  });
}

void ban(const KeystoreShared& handlers, net::Request request, net::Responder responder) {
  auto named = read_named(handlers, request);
  if (!named) return responder.send(std::move(named).error());
  if (named->reason.empty())
    return responder.send(keystore_error(400, "reason is required (1 to 256 bytes that say why)"));
  if (named->reason.size() > kMostReason) {
    return responder.send(
        keystore_error(400, "reason must be at most 256 bytes (got " + std::to_string(named->reason.size()) + ")"));
  }
  const bool already = handlers->service().masters().banned(named->vault).has_value();
  handlers->service().masters().ban(
      named->vault, named->reason,
      [handlers, already, named = *named, deadline = request.deadline,
       responder = std::move(responder)](Status done) mutable {
        if (!done) return responder.send(handlers->refused({secrets::KeystoreStep::record, std::move(done).error()}));
        answer_ban(handlers, named.vault, named.reason, already, deadline, std::move(responder));
      });
}

// ---- public halves of keys that others need

/// The key with which a vault's master is asked for on the chain (keystore_ckd.md 6.2), under the default master that
/// wallets are of: the vault's account has that key, whatever is rotated or retired.
void vault_tee_key(const KeystoreShared& handlers, net::Request request, net::Responder responder) {
  auto who = handlers->caller(request, KeystoreCaller::either);
  if (!who) return responder.send(std::move(who).error());
  const auto digest = crypto::sha256(base::as_bytes(request.body));
  auto body = keystore_body(request);
  if (!body) return responder.send(std::move(body).error());
  KeystoreFields fields{(*body)->root()};
  const std::string vault_id = fields.text("vault_id");
  if (!fields.ok()) return responder.send(fields.refusal());
  auto vault = handlers->vault_member(vault_id);
  if (!vault) return responder.send(std::move(vault).error());
  const auto seed = secrets::keystore::Seed::vault_tee_key(*vault);
  if (!seed) return responder.send(keystore_error(400, base::reason(seed.error())));
  const auto master = handlers->service().wallet_master({});
  if (!master) return responder.send(handlers->refused(master.error()));
  const auto key = secrets::keystore::ed25519_key(**master, *seed);
  answer_with_leaf(handlers, "keystore.derive", {{"seed", seed->text()}},
                   handlers->recipient(request, digest, *who, nullptr),
                   {{"public_key", "ed25519:" + base::base58(base::ByteView{key.public_key()})}}, std::move(responder));
}

void wallet_address(const KeystoreShared& handlers, net::Request request, net::Responder responder) {
  auto who = handlers->caller(request, KeystoreCaller::coordinator);
  if (!who) return responder.send(std::move(who).error());
  auto vault = handlers->vault_header(request);
  if (!vault) return responder.send(std::move(vault).error());
  const auto digest = crypto::sha256(base::as_bytes(request.body));
  auto body = keystore_body(request);
  if (!body) return responder.send(std::move(body).error());
  KeystoreFields fields{(*body)->root()};
  const std::string id = fields.text("wallet_id");
  const std::string chain = fields.text("chain");
  if (!fields.ok()) return responder.send(fields.refusal());
  const auto master = handlers->service().wallet_master(*vault);
  if (!master) return responder.send(handlers->refused(master.error()));
  const auto wallet = secrets::keystore::wallet_address(**master, id, chain);
  if (!wallet) return responder.send(keystore_error(400, wallet.error().what));
  answer_with_leaf(handlers, "keystore.derive", {{"seed", "wallet:" + id + ":" + chain}, {"vault", *vault}},
                   handlers->recipient(request, digest, *who, nullptr),
                   {{"address", wallet->address}, {"public_key", wallet->public_key}}, std::move(responder));
}

/// Ends sessions of a worker's key: what a thief has is worth nothing from now on.
void end_sessions(const KeystoreShared& handlers, net::Request request, net::Responder responder) {
  auto who = handlers->caller(request, KeystoreCaller::coordinator);
  if (!who) return responder.send(std::move(who).error());
  auto body = keystore_body(request);
  if (!body) return responder.send(std::move(body).error());
  KeystoreFields fields{(*body)->root()};
  const auto key = fields.optional_text("public_key");
  const auto id = fields.optional_text("session_id");
  if (!fields.ok()) return responder.send(fields.refusal());
  if (key.has_value() == id.has_value())
    return responder.send(keystore_error(400, "name either public_key or session_id"));
  std::variant<std::string, base::Digest32> whose = key.value_or("");
  if (id) whose = secrets::KeystoreSessions::digest_of(*id);
  handlers->service().end_sessions(
      std::move(whose), who->hash, [handlers, responder = std::move(responder)](auto ended) mutable {
        if (!ended) return responder.send(handlers->refused(ended.error()));
        auto response = keystore_json({{"ended", static_cast<std::uint64_t>(ended->sessions)}});
        if (ended->sessions != 0) set_leaf(response, ended->leaf, ended->leaf_key);
        responder.send(std::move(response));
      });
}

}  // namespace

Status add_keystore_admin_routes(net::Router& router, const KeystoreShared& handlers) {
  const std::array<KeystoreRoute, 6> routes{{
      {Method::get, "/admin/loaded-vaults", "loaded_vaults", "Vaults in memory, and how many sessions", loaded_vaults},
      {Method::post, "/admin/evict-customer", "evict_customer", "Forgets a vault's master", evict},
      {Method::post, "/admin/ban-vault", "ban_vault", "Serves a vault no more", ban},
      {Method::post, "/derive-vault-tee-key", "vault_tee_key", "The key that asks for a vault's master", vault_tee_key},
      {Method::post, "/wallet/derive-address", "wallet_address", "A wallet's address on a chain", wallet_address},
      {Method::post, "/admin/end-sessions", "end_sessions", "Ends a worker's sessions at once", end_sessions},
  }};
  for (const auto& route : routes) TRY_OK(add_keystore_route(router, handlers, route));
  return base::done();
}

}  // namespace attestry::api
