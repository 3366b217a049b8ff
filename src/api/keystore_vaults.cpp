// Vaults and the DAO that says which are served (keystore_ckd.md 3.5, 6.3): the look before each request that uses a
// vault's keys, and what this keystore tells the DAO.
#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "api/keystore_handlers.h"
#include "base/reason.h"
#include "chain/near_types.h"
#include "secrets/keystore_vaults.h"

namespace attestry::api {

using base::Code;
using base::JsonOutObject;
using base::Status;
using chain::near::AccountId;
using net::Method;
using secrets::KeystoreStep;
using secrets::VaultOutcome;
using secrets::VaultStep;

namespace {

void add_name(std::vector<std::string>& names, std::string_view text) {
  const auto vault = AccountId::parse(text);
  if (vault && std::ranges::find(names, vault->text()) == names.end()) names.push_back(vault->text());
}

/// Names that are none are for the route to refuse.
std::vector<std::string> vaults_of(const KeystoreShared& handlers, const net::Request& request) {
  std::vector<std::string> out;
  if (const auto header = handlers->vault_header(request); header && !header->empty()) add_name(out, *header);
  // A member's name may be spelled with escapes.
  const bool may_name = request.body.contains("vault_id") || request.body.contains('\\');
  if (!may_name || request.body.size() > kKeystoreBody) return out;
  const auto body = base::JsonDocument::parse(request.body, {.max_bytes = kKeystoreBody, .wipe = true});
  if (!body) return out;
  const auto member = (*body)->root().find("vault_id");
  const auto name = member && member->is_string() ? member->string("vault_id") : base::Result<std::string>{""};
  if (name && !name->empty()) add_name(out, *name);
  return out;
}

net::Response refused(const KeystoreShared& handlers, const secrets::VaultRefusal& refusal) {
  const auto& error = refusal.error;
  switch (refusal.step) {
    case VaultStep::signer:
      return keystore_error(500, error.what);
    case VaultStep::banned:
      return keystore_error(409, base::reason(error));
    case VaultStep::unfit:
      return keystore_error(400, base::reason(error));
    case VaultStep::balance:
      return keystore_error(402, error.what);
    case VaultStep::chain:
      return handlers->refused({KeystoreStep::condition, error});
    case VaultStep::record:
      break;
  }
  return handlers->refused({KeystoreStep::record, error});
}

/// Off the server's workers: it waits for the chain.
void run(const KeystoreShared& handlers, const std::string& vault, std::move_only_function<void()> task,
         const std::shared_ptr<net::Responder>& responder) {
  if (handlers->deps().run_waiting(vault, task)) return;
  responder->send(handlers->refused({KeystoreStep::limit, {Code::unavailable, "too many wait for the chain"}}));
}

void sign_verification(const KeystoreShared& handlers, net::Request request, net::Responder responder) {
  auto who = handlers->caller(request, KeystoreCaller::coordinator);
  if (!who) return responder.send(std::move(who).error());
  auto body = keystore_body(request);
  if (!body) return responder.send(std::move(body).error());
  KeystoreFields fields{(*body)->root()};
  const std::string vault_id = fields.text("vault_id");
  if (!fields.ok()) return responder.send(fields.refusal());
  const auto name = handlers->vault_member(vault_id);
  if (!name) return responder.send(name.error());
  const auto vault = AccountId::parse(*name);
  if (!vault) return responder.send(keystore_error(400, "vault_id is required"));
  // Whose key a vault has cannot be told without masters.
  if (const auto ready = handlers->service().ready(); !ready)
    return responder.send(handlers->refused({KeystoreStep::ready, ready.error()}));
  auto* vaults = handlers->deps().vaults;
  if (vaults == nullptr)
    return responder.send(keystore_error(500, "MPC CKD context not configured — worker booted in non-TEE mode"));
  const auto kept = std::make_shared<net::Responder>(std::move(responder));
  run(
      handlers, vault->text(),
      [handlers, vaults, vault = *vault, deadline = request.deadline, kept] {
        const VaultOutcome outcome = vaults->verify(vault, deadline);
        if (!outcome) return kept->send(refused(handlers, outcome.error()));
        JsonOutObject answer{{"already_verified", outcome->already}};
        if (!outcome->transaction.empty()) answer.emplace_back("tx_hash", outcome->transaction);
        kept->send(keystore_json(std::move(answer)));
      },
      kept);
}

}  // namespace

/// /decrypt looks itself, at what the chain names.
bool uses_vaults(std::string_view route) {
  constexpr std::array<std::string_view, 5> kPaths{"/pubkey", "/encrypt", "/decrypt-raw", "/add_generated_secret",
                                                   "/update_user_secrets"};
  return route.starts_with("/wallet/") || std::ranges::find(kPaths, route) != kPaths.end();
}

void call_with_vaults(const KeystoreShared& handlers, KeystoreHandle handle, net::Request request,
                      net::Responder responder) {
  auto* vaults = handlers->deps().vaults;
  if (vaults == nullptr) return handle(handlers, std::move(request), std::move(responder));
  // The chain is not asked for strangers; the route refuses them in its own words.
  const auto who = keystore_principal(handlers->deps().rules.tokens, request, KeystoreCaller::either, false);
  auto names = who ? vaults_of(handlers, request) : std::vector<std::string>{};
  std::erase_if(names, [&](const std::string& name) { return vaults->at_hand(name).has_value(); });
  if (names.empty()) return handle(handlers, std::move(request), std::move(responder));
  const auto kept = std::make_shared<net::Responder>(std::move(responder));
  const auto asked = std::make_shared<net::Request>(std::move(request));
  run(
      handlers, names.front(),
      [handlers, vaults, handle, names, kept, asked] {
        for (const std::string& name : names) {
          const auto verdict = vaults->look(name, asked->deadline);
          // A no is the route's to say, where it uses the vault's keys.
          if (!verdict && verdict.error().code != Code::denied)
            return kept->send(handlers->refused({KeystoreStep::vault, verdict.error()}));
        }
        handle(handlers, std::move(*asked), std::move(*kept));
      },
      kept);
}

void answer_ban(const KeystoreShared& handlers, const std::string& vault_id, const std::string& reason, bool already,
                base::Deadline deadline, net::Responder responder) {
  auto* vaults = handlers->deps().vaults;
  const auto vault = AccountId::parse(vault_id);
  if (vaults == nullptr || !vaults->has_signer() || !vault)
    return responder.send(keystore_json({{"already_banned", already}}));
  const auto kept = std::make_shared<net::Responder>(std::move(responder));
  run(
      handlers, vault->text(),
      [handlers, vaults, vault = *vault, reason, already, deadline, kept] {
        const VaultOutcome outcome = vaults->ban(vault, reason, deadline);
        // This server has banned it already; asked again, the chain is told again.
        if (!outcome) return kept->send(refused(handlers, outcome.error()));
        JsonOutObject answer{{"already_banned", (already || outcome->already) && outcome->transaction.empty()}};
        if (!outcome->transaction.empty()) answer.emplace_back("tx_hash", outcome->transaction);
        kept->send(keystore_json(std::move(answer)));
      },
      kept);
}

Status add_keystore_vault_routes(net::Router& router, const KeystoreShared& handlers) {
  return add_keystore_route(router, handlers,
                            {Method::post, "/sign-vault-verification", "sign_vault_verification",
                             "Looks at a vault and tells the DAO that it is verified", sign_verification});
}

}  // namespace attestry::api
