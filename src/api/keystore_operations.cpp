#include "api/keystore_operations.h"

#include "api/handlers.h"
#include "base/encoding.h"
#include "secrets/keystore_backup.h"

namespace attestry::api {

using base::Code;
using base::Error;
using base::JsonOut;
using base::JsonOutArray;
using base::JsonOutObject;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t kMaxOwners = 10'000;
constexpr std::size_t kMaxShares = 255;
constexpr std::size_t kMaxBackup = 16u << 20;
constexpr std::size_t kPage = 100;

using Document = std::shared_ptr<const base::JsonDocument>;
using Function = Result<net::Response> (*)(const KeystoreOperations&, net::Request&);

net::Response json(JsonOutObject object) { return no_store(net::json_response(200, JsonOut{std::move(object)})); }

/// Bodies may hold shares: what was parsed is wiped.
Result<Document> body_of(net::Request& request) {
  if (request.body.empty()) request.body = "{}";
  return base::JsonDocument::parse(std::move(request.body), {.wipe = true});
}

Result<std::vector<std::string>> texts(const base::JsonValue& root, std::string_view name, std::size_t most) {
  std::vector<std::string> out;
  const auto list = root.find(name);
  if (!list) return out;
  if (!list->is_array() || list->size() > most) {
    return Error{Code::malformed, std::string{name}, "a list of at most " + std::to_string(most)};
  }
  for (auto value = list->first(); value; value = value->next()) {
    TRY(auto one, value->string(name));
    out.push_back(std::move(one));
  }
  return out;
}

Result<bool> flag(const base::JsonValue& root, std::string_view name) {
  const auto value = root.find(name);
  if (!value) return false;
  return value->boolean(name);
}

Result<net::Response> show(const KeystoreOperations& deps, net::Request&) {
  JsonOutArray epochs;
  for (const auto& one : deps.masters.epochs()) {
    epochs.emplace_back(
        JsonOutObject{{"epoch", one.epoch}, {"key_id", one.key_id}, {"since", base::to_rfc3339(one.since)}});
  }
  const auto ready = deps.masters.ready();
  return json({{"ready", ready.ok()},
               {"reason", ready ? JsonOut{nullptr} : JsonOut{ready.error().text()}},
               {"sealed_to", deps.masters.device_name()},
               {"bound_to", deps.masters.device_bound_to()},
               {"source", deps.masters.source_name()},
               {"epoch", deps.masters.current_epoch()},
               {"epochs", std::move(epochs)},
               {"wallets_epoch", deps.masters.wallets_epoch()},
               {"vaults_loaded", static_cast<std::uint64_t>(deps.masters.loaded_vaults().size())},
               {"vaults_banned", static_cast<std::uint64_t>(deps.masters.bans().size())}});
}

Error no_rotation() {
  return {Code::not_found, "this keystore reads no secrets that it could walk over", "keystore.contract", {}};
}

Result<net::Response> rotate(const KeystoreOperations& deps, net::Request& request) {
  TRY(const auto document, body_of(request));
  TRY_OK(document->root().only({"owners"}));
  TRY(auto owners, texts(document->root(), "owners", kMaxOwners));
  if (!deps.rotation) {
    if (!owners.empty()) return no_rotation();
    TRY(const auto epoch, deps.masters.begin_epoch(request.deadline));
    return json({{"epoch", epoch}});
  }
  TRY(const auto epoch, deps.rotation->rotate(std::move(owners), request.deadline));
  if (deps.wake) deps.wake();
  return json({{"epoch", epoch}});
}

Result<net::Response> walk(const KeystoreOperations& deps, net::Request& request) {
  if (!deps.rotation) return no_rotation();
  TRY(const auto document, body_of(request));
  TRY_OK(document->root().only({"owners"}));
  TRY(auto owners, texts(document->root(), "owners", kMaxOwners));
  TRY_OK(deps.rotation->walk(std::move(owners), request.deadline));
  if (deps.wake) deps.wake();
  return json({{"epoch", deps.masters.current_epoch()}});
}

Result<net::Response> show_walk(const KeystoreOperations& deps, net::Request&) {
  if (!deps.rotation) return no_rotation();
  TRY(const auto now, deps.rotation->progress());
  return json({{"epoch", now.epoch},
               {"finished", now.finished},
               {"owners", static_cast<std::uint64_t>(now.owners.size())},
               {"owners_done", now.owner},
               {"walked", now.walked},
               {"current", now.current},
               {"anew", now.anew},
               {"failed", now.failed}});
}

Result<net::Response> show_recrypted(const KeystoreOperations& deps, net::Request& request) {
  if (!deps.rotation) return no_rotation();
  base::Bytes after;
  if (const auto cursor = request.query_value("after")) {
    TRY(after, base::base64url_decode(*cursor), "after");
  }
  TRY(const auto page, deps.rotation->results(after, kPage));
  JsonOutArray entries;
  for (const auto& entry : page.entries) {
    entries.emplace_back(JsonOutObject{
        {"owner", entry.owner},
        {"profile", entry.profile},
        {"accessor", entry.accessor},
        {"epoch", entry.epoch},
        {"encrypted_secrets_base64", entry.blob.empty() ? JsonOut{nullptr} : JsonOut{base::base64(entry.blob)}}});
  }
  return json({{"secrets", std::move(entries)},
               {"next", page.next.empty() ? JsonOut{nullptr} : JsonOut{base::base64url(page.next)}}});
}

Result<net::Response> retire(const KeystoreOperations& deps, net::Request& request) {
  TRY(const auto document, body_of(request));
  TRY_OK(document->root().only({"accept_loss"}));
  TRY(const bool accept, flag(document->root(), "accept_loss"));
  if (deps.rotation) {
    TRY_OK(deps.rotation->retire(accept, request.deadline));
  } else {
    if (!accept) return no_rotation();
    TRY_OK(deps.masters.retire_before(deps.masters.current_epoch(), {}, request.deadline));
  }
  return json({{"oldest", deps.masters.oldest_epoch()}});
}

Status backup_leaf(const KeystoreOperations& deps, const secrets::KeystoreBackup& backup, std::uint32_t epoch,
                   base::Deadline deadline) {
  return deps.store.write_and_wait(
      [&](state::WriteTxn& txn) -> Status {
        audit::Leaf leaf;
        leaf.type = "keystore.backup";
        leaf.realm = deps.store.realm();
        leaf.audience = deps.log.origin();
        leaf.time = backup.created;
        leaf.epoch = epoch;
        leaf.outputs["backup"] = base::hex(backup.secret_commitment);
        TRY([[maybe_unused]] const auto index, deps.log.append(txn, leaf));
        return base::done();
      },
      deadline);
}

Result<net::Response> back_up(const KeystoreOperations& deps, net::Request& request) {
  TRY(const auto document, body_of(request));
  const auto root = document->root();
  TRY_OK(root.only({"admins", "threshold"}));
  TRY(const auto list, root.get("admins"));
  const std::string admins_file = R"({"admins":)" + std::string{list.source()} + "}";
  TRY(const auto admins, keys::AdminSet::parse(base::as_bytes(admins_file)), "admins");
  TRY(const auto value, root.get("threshold"));
  TRY(const auto threshold, value.integer("threshold", 2, static_cast<std::int64_t>(kMaxShares)));
  TRY_OK(deps.masters.ready());
  TRY(const auto bundle, deps.masters.bundle());
  secrets::BackupAbout about{.realm = std::string{base::to_text(deps.store.realm())},
                             .origin = deps.log.origin(),
                             .now = deps.store.now(),
                             .key_ids = {}};
  // Of the bundle itself: a rotation may come between two looks.
  for (const auto& one : bundle.masters) {
    if (one.vault.empty()) about.key_ids.push_back(secrets::master_key_id(one.master));
  }
  TRY(const auto backup, secrets::make_backup(bundle, about, admins, static_cast<unsigned>(threshold), deps.random));
  // Before it leaves: a backup is a release of every key.
  TRY_OK(backup_leaf(deps, backup, bundle.current, request.deadline));
  net::Response out;
  out.body = secrets::backup_json(backup);
  out.headers.set("Content-Type", "application/json");
  return no_store(std::move(out));
}

Result<net::Response> restore(const KeystoreOperations& deps, net::Request& request) {
  TRY(const auto document, body_of(request));
  const auto root = document->root();
  TRY_OK(root.only({"backup", "shares", "replace"}));
  TRY(const auto written, root.get("backup"));
  TRY(const auto backup, secrets::parse_backup(written.source()));
  if (backup.realm != base::to_text(deps.store.realm())) {
    return Error{Code::realm_mismatch, "the backup is of another realm", std::string{base::to_text(deps.store.realm())},
                 backup.realm};
  }
  TRY(const bool replace, flag(root, "replace"));
  TRY(auto texts_of_shares, texts(root, "shares", kMaxShares));
  std::vector<crypto::Secret> shares;
  for (auto& text : texts_of_shares) {
    const auto wiped = crypto::Secret::absorb({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
    TRY(auto bytes, base::base64_decode(base::as_text(wiped.reveal())), "shares");
    shares.push_back(crypto::Secret::absorb(bytes));
  }
  TRY(const auto bundle, secrets::open_backup(backup, shares));
  TRY_OK(deps.masters.import(bundle, replace, request.deadline));
  return show(deps, request);
}

JsonOut ban_json(const secrets::VaultBan& ban) {
  return JsonOutObject{{"vault", ban.vault}, {"reason", ban.reason}, {"since", base::to_rfc3339(ban.since)}};
}

Result<net::Response> show_bans(const KeystoreOperations& deps, net::Request&) {
  JsonOutArray bans;
  for (const auto& ban : deps.masters.bans()) bans.push_back(ban_json(ban));
  return json({{"bans", std::move(bans)}});
}

Result<secrets::VaultBan> ban_to_lift(const KeystoreOperations& deps, net::Request& request) {
  TRY(const auto document, body_of(request));
  const auto root = document->root();
  TRY_OK(root.only({"vault"}));
  TRY(const auto value, root.get("vault"));
  TRY(const auto vault, value.string("vault"));
  TRY_OK(deps.masters.ready());  // not on a standby: its bans are those of the primary
  auto ban = deps.masters.banned(vault);
  if (!ban) return Error{Code::not_found, "this vault is not banned here", {}, vault};
  return *std::move(ban);
}

/// Answers with the ban that was lifted. What the DAO has banned stays so: only the DAO takes that back.
void unban(const KeystoreOperations& deps, net::Request request, net::Responder responder) {
  auto ban = ban_to_lift(deps, request);
  if (!ban) return responder.send(std::move(ban).error());
  deps.masters.unban(ban->vault, [ban = *ban, responder = std::move(responder)](Status done) mutable {
    if (!done) return responder.send(std::move(done).error());
    auto response = net::json_response(200, ban_json(ban));
    responder.send(no_store(std::move(response)));
  });
}

struct Entry {
  net::Method method;
  const char* path;
  const char* id;
  const char* summary;
  Function function;
};

constexpr Entry kEntries[] = {
    {net::Method::get, "masters", "show_keystore_masters", "Epochs of a keystore's masters and what seals them", show},
    {net::Method::post, "rotate", "rotate_keystore", "Begin an epoch with a new master, and walk over owners' secrets",
     rotate},
    {net::Method::post, "walk", "walk_keystore", "Walk over owners' secrets and encrypt anew what is of older epochs",
     walk},
    {net::Method::get, "walk", "show_keystore_walk", "How far the walk is", show_walk},
    {net::Method::get, "recrypted", "show_keystore_recrypted", "Secrets that the walk encrypted anew", show_recrypted},
    {net::Method::post, "retire", "retire_keystore", "Erase the masters of all epochs before the present one", retire},
    {net::Method::post, "backup", "back_up_keystore", "The masters, for so many administrators together", back_up},
    {net::Method::get, "bans", "show_keystore_bans", "Vaults that are banned here, and why", show_bans},
    {net::Method::post, "restore", "restore_keystore", "Take masters from a backup", restore},
};

}  // namespace

Status add_keystore_operations(net::Router& router, const KeystoreOperations& deps) {
  for (const auto& entry : kEntries) {
    net::Route route{.method = entry.method,
                     .path = std::string{"/v1/keystore/"} + entry.path,
                     .role = net::Role::admin,
                     .auth = net::Auth::admin,
                     .operation_id = entry.id,
                     .summary = entry.summary,
                     .tag = "keystore",
                     // A worker is never kept waiting by a device or the store.
                     .handler = on_lane(
                         deps.lane, "too many of the keystore's administrators wait",
                         [deps, function = entry.function](net::Request& request) { return function(deps, request); })};
    if (entry.method == net::Method::post) {
      route.body_limit = kMaxBackup;
      route.consumes = {};
    }
    if (entry.function == show_recrypted) route.query = {{.name = "after", .description = "next of the last answer"}};
    TRY_OK(router.add(std::move(route)), "routes of the keystore's masters");
  }
  net::Route lift{.method = net::Method::post,
                  .path = "/v1/keystore/unban",
                  .role = net::Role::admin,
                  .auth = net::Auth::admin,
                  .operation_id = "unban_keystore_vault",
                  .summary = "Serve a vault again that was banned here",
                  .tag = "keystore",
                  .handler = [deps](net::Request request, net::Responder responder) {
                    unban(deps, std::move(request), std::move(responder));
                  }};
  lift.consumes = {};
  return router.add(std::move(lift));
}

}  // namespace attestry::api
