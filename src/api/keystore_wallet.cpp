// Wallets whose keys the keystore derives: operations, policies, strings that contracts check (keystore_ckd.md 3.6;
// docs/formats/keystore-wire.md).
#include "api/keystore_wallet.h"

#include <array>

#include "base/encoding.h"
#include "base/reason.h"
#include "chain/near_types.h"
#include "crypto/hash.h"
#include "secrets/keystore_access.h"
#include "secrets/keystore_accessor.h"
#include "secrets/keystore_derivation.h"
#include "secrets/keystore_profile.h"
#include "secrets/keystore_wallet_make.h"

namespace attestry::api {

using base::JsonOut;
using base::JsonOutObject;
using base::JsonValue;
using base::Result;
using base::Status;
using net::Method;
using secrets::KeystoreOutcome;
using secrets::KeystoreStep;
using secrets::WalletMade;
using secrets::WalletMaking;
using secrets::WalletNearKey;
using secrets::keystore::OpClass;
using secrets::keystore::Seed;
using secrets::keystore::VoteResult;
using secrets::keystore::WalletOp;

namespace {

net::Response mistake(const base::Error& error) { return keystore_error(400, base::reason(error)); }

std::string near_seed(const std::string& wallet) { return "wallet:" + wallet + ":near"; }

}  // namespace

WalletOp plain_op(std::string kind, OpClass op_class, base::ByteView digest) {
  const std::string text = JsonOut{JsonOutObject{{"digest", base::hex(digest)}, {"kind", kind}}}.canonical();
  WalletOp out;
  out.kind = std::move(kind);
  out.op_class = op_class;
  out.hash = base::hex(crypto::sha256(base::as_bytes(text)));
  return out;
}

KeystoreAnswer<WalletRequest> read_wallet_request(const KeystoreShared& handlers, net::Request& request) {
  auto who = handlers->caller(request, KeystoreCaller::coordinator);
  if (!who) return std::unexpected(std::move(who).error());
  auto vault = handlers->vault_header(request);
  if (!vault) return std::unexpected(std::move(vault).error());
  const auto digest = crypto::sha256(base::as_bytes(request.body));
  auto body = keystore_body(request, true);
  if (!body) return std::unexpected(std::move(body).error());
  KeystoreFields fields{(*body)->root()};
  WalletRequest out{.to = handlers->recipient(request, digest, *who, nullptr),
                    .body = *std::move(body),
                    .asked = {.wallet = {.vault = *std::move(vault), .id = fields.text("wallet_id")}},
                    .deadline = request.deadline};
  if (!fields.ok()) return std::unexpected(fields.refusal());
  if (const auto good = Seed::wallet_policy(out.asked.wallet.id); !good)
    return std::unexpected(keystore_error(400, good.error().what));
  if (const auto votes = fields.optional_value("approval_info")) {
    auto read = secrets::keystore::parse_wallet_votes(*votes);
    if (!read) return std::unexpected(mistake(read.error()));
    out.asked.votes = *std::move(read);
  }
  if (const auto policy = fields.optional_value("policy")) out.asked.policy = std::string{policy->source()};
  return out;
}

KeystoreAnswer<WalletNearKey> near_key(const KeystoreShared& handlers, const secrets::WalletName& wallet) {
  const auto master = handlers->service().wallet_master(wallet.vault);
  if (!master) return std::unexpected(handlers->refused(master.error()));
  auto key = secrets::wallet_near_key(**master, wallet.id);
  if (!key) return std::unexpected(mistake(key.error()));
  return *std::move(key);
}

void sign_for_wallet(const KeystoreShared& handlers, WalletRequest asked, secrets::WalletMake make,
                     net::Responder responder) {
  handlers->deps().wallets->sign(
      std::move(asked.asked), std::move(asked.to), asked.deadline, std::move(make),
      [handlers, responder = std::move(responder)](KeystoreOutcome outcome) mutable {
        if (!outcome) return responder.send(handlers->refused(outcome.error()));
        handlers->count_release("sign");
        auto response = net::json_response(200, std::string{base::as_text(outcome->plaintext.reveal())});
        response.wipe = true;  // derive-ephemeral-key gives a key
        response.headers.set("Cache-Control", "no-store");
        response.headers.set("X-Attestry-Leaf", std::to_string(outcome->leaf));
        response.headers.set("X-Attestry-Leaf-Key", base::base64url(outcome->leaf_key.reveal()));
        responder.send(std::move(response));
      });
}

namespace {

// ---- /wallet/sign, /wallet/check-policy

KeystoreAnswer<JsonValue> read_op(WalletRequest& asked) {
  KeystoreFields fields{asked.body->root()};
  const auto op = fields.value("op");
  if (!fields.ok()) return std::unexpected(fields.refusal());
  auto parsed = secrets::keystore::parse_wallet_op(*op);
  if (!parsed) return std::unexpected(mistake(parsed.error()));
  asked.asked.op = *std::move(parsed);
  // It moves nothing, and a wallet needs it to be given a policy.
  asked.asked.without_policy = asked.asked.op.op_class == OpClass::auth;
  return *op;
}

void sign(const KeystoreShared& handlers, net::Request request, net::Responder responder) {
  auto asked = read_wallet_request(handlers, request);
  if (!asked) return responder.send(std::move(asked).error());
  const auto op = read_op(*asked);
  if (!op) return responder.send(op.error());
  auto artifact = asked->body->root().find("artifact");
  if (artifact && artifact->is_null()) artifact.reset();
  auto make = [handlers, body = asked->body, wallet = asked->asked.wallet.id, parsed = asked->asked.op, op = *op,
               artifact](const WalletMaking& with) {
    return make_wallet_signature(*handlers->deps().wallets, with, wallet, parsed, op, artifact,
                                 handlers->deps().random);
  };
  sign_for_wallet(handlers, *std::move(asked), std::move(make), std::move(responder));
}

void check_policy(const KeystoreShared& handlers, net::Request request, net::Responder responder) {
  auto asked = read_wallet_request(handlers, request);
  if (!asked) return responder.send(std::move(asked).error());
  if (const auto op = read_op(*asked); !op) return responder.send(op.error());
  std::string hash = asked->asked.op.hash;
  handlers->deps().wallets->check(
      std::move(asked->asked), asked->deadline,
      [handlers, hash = std::move(hash), responder = std::move(responder)](auto verdict) mutable {
        if (!verdict) return responder.send(handlers->refused(verdict.error()));
        responder.send(keystore_json({{"allowed", verdict->allowed},
                                      {"requires_approval", verdict->needs_approval},
                                      {"required_approvals", verdict->threshold},
                                      {"approved", verdict->votes == VoteResult::approved},
                                      {"has_policy", verdict->has_policy},
                                      {"reason", verdict->reason.empty() ? JsonOut{nullptr} : JsonOut{verdict->reason}},
                                      {"request_hash", hash}}));
      });
}

// ---- policies

/// Opened, and a policy: what is signed or shown can be kept to.
KeystoreAnswer<crypto::Secret> open_policy(const KeystoreShared& handlers, const secrets::WalletName& wallet,
                                           const std::string& encrypted) {
  const auto blob = base::base64_decode(encrypted);
  if (!blob) return std::unexpected(keystore_error(400, "Invalid base64: " + blob.error().what));
  auto text = handlers->service().open_blob(*Seed::wallet_policy(wallet.id), wallet.vault, *blob);
  if (!text && text.error().step == KeystoreStep::decrypt)
    return std::unexpected(keystore_error(400, "encrypted_data does not decrypt for this wallet"));
  if (!text) return std::unexpected(handlers->refused(text.error()));
  const auto document = base::JsonDocument::parse(std::string{base::as_text(text->reveal())}, {.wipe = true});
  if (!document) return std::unexpected(mistake(document.error()));
  if (const auto policy = secrets::keystore::WalletPolicy::parse((*document)->root()); !policy)
    return std::unexpected(mistake(policy.error()));
  return *std::move(text);
}

void encrypt_policy(const KeystoreShared& handlers, net::Request request, net::Responder responder) {
  auto asked = read_wallet_request(handlers, request);
  if (!asked) return responder.send(std::move(asked).error());
  KeystoreFields fields{asked->body->root()};
  const auto policy = fields.value("policy");
  if (!fields.ok()) return responder.send(fields.refusal());
  if (const auto good = secrets::keystore::WalletPolicy::parse(*policy); !good)
    return responder.send(mistake(good.error()));
  const auto& wallet = asked->asked.wallet;
  const auto seed = *Seed::wallet_policy(wallet.id);
  const auto blob = handlers->service().seal_blob(seed, wallet.vault, base::as_bytes(policy->source()));
  if (!blob) return responder.send(handlers->refused(blob.error()));
  answer_with_leaf(handlers, "keystore.encrypt", {{"seed", seed.text()}, {"vault", wallet.vault}}, std::move(asked->to),
                   {{"encrypted_data", base::base64(*blob)}}, std::move(responder));
}

void decrypt_policy(const KeystoreShared& handlers, net::Request request, net::Responder responder) {
  auto asked = read_wallet_request(handlers, request);
  if (!asked) return responder.send(std::move(asked).error());
  KeystoreFields fields{asked->body->root()};
  const std::string encrypted = fields.text("encrypted_data");
  if (!fields.ok()) return responder.send(fields.refusal());
  const auto& wallet = asked->asked.wallet;
  const auto text = open_policy(handlers, wallet, encrypted);
  if (!text) return responder.send(text.error());
  answer_with_leaf(handlers, "keystore.decrypt",
                   {{"seed", Seed::wallet_policy(wallet.id)->text()}, {"vault", wallet.vault}}, std::move(asked->to),
                   {{"policy", JsonOut::Raw{std::string{base::as_text(text->reveal())}}}}, std::move(responder));
}

/// A string that a contract checks: the wallet's key under its SHA-256. `more` goes into the answer besides.
void sign_string(const KeystoreShared& handlers, WalletRequest asked, std::string kind, const Result<std::string>& text,
                 JsonOutObject more, net::Responder responder) {
  if (!text) return responder.send(mistake(text.error()));
  const auto digest = secrets::keystore::signed_string_hash(*text);
  if (!digest) return responder.send(mistake(digest.error()));
  asked.asked.op = plain_op(std::move(kind), OpClass::auth, *digest);
  asked.asked.without_policy = true;
  auto make = [wallet = asked.asked.wallet.id, digest = *digest,
               more = std::move(more)](const WalletMaking& with) mutable -> Result<WalletMade> {
    TRY(const auto key, secrets::wallet_near_key(with.master, wallet));
    more.insert(more.begin(), {"signature_hex", base::hex(key.key.sign(digest).bytes())});
    return WalletMade{.body = std::move(more), .seed = near_seed(wallet)};
  };
  sign_for_wallet(handlers, std::move(asked), std::move(make), std::move(responder));
}

void sign_policy(const KeystoreShared& handlers, net::Request request, net::Responder responder) {
  auto asked = read_wallet_request(handlers, request);
  if (!asked) return responder.send(std::move(asked).error());
  KeystoreFields fields{asked->body->root()};
  const std::string encrypted = fields.text("encrypted_data");
  const std::string caller = fields.text("caller");
  if (!fields.ok()) return responder.send(fields.refusal());
  const auto account = chain::near::AccountId::parse(caller);
  if (!account) return responder.send(mistake(account.error()));
  if (const auto policy = open_policy(handlers, asked->asked.wallet, encrypted); !policy)
    return responder.send(policy.error());
  const auto key = near_key(handlers, asked->asked.wallet);
  if (!key) return responder.send(key.error());
  asked->asked.owner = *account;
  sign_string(handlers, *std::move(asked), "wallet_policy",
              secrets::keystore::wallet_policy_string(key->public_key, encrypted, caller),
              {{"public_key_hex", base::hex(key->key.public_key().bytes())}}, std::move(responder));
}

// ---- secrets that a wallet leaves for itself

struct LeftSecret {
  std::string binding;
  Seed seed;
  std::string payer;
};
KeystoreAnswer<LeftSecret> read_left(KeystoreFields& fields, const std::string& agent) {
  const auto project = fields.optional_text("project_id");
  const auto module = fields.optional_text("wasm_hash");
  const std::string payer = fields.text("payer");
  if (!fields.ok()) return std::unexpected(fields.refusal());
  if (project.has_value() == module.has_value())
    return std::unexpected(keystore_error(400, "name either project_id or wasm_hash"));
  if (const auto account = chain::near::AccountId::parse(payer); !account)
    return std::unexpected(mistake(account.error()));
  auto seed = project ? Seed::project(*project, agent) : Seed::wasm_hash(*module, agent);
  if (!seed) return std::unexpected(keystore_error(400, base::reason(seed.error())));
  secrets::keystore::Accessor accessor = secrets::keystore::ProjectAccessor{project.value_or("")};
  // In lower case, as the seed has it and the contract keeps it.
  if (module)
    accessor = secrets::keystore::WasmHashAccessor{seed->text().substr(std::string_view{"wasm_hash:"}.size(), 64)};
  return LeftSecret{secrets::keystore::binding_text(accessor), *std::move(seed), payer};
}

JsonOutObject agent_of(const WalletNearKey& key) {
  return {{"wallet_pubkey", key.public_key}, {"agent_account", key.account.text()}};
}

void sign_secret_store(const KeystoreShared& handlers, net::Request request, net::Responder responder) {
  auto asked = read_wallet_request(handlers, request);
  if (!asked) return responder.send(std::move(asked).error());
  KeystoreFields fields{asked->body->root()};
  const std::string encrypted = fields.text("encrypted_secrets_base64");
  const auto access = fields.value("access");
  const auto vault_id = fields.optional_text("vault_id");
  if (!fields.ok()) return responder.send(fields.refusal());
  const auto vault = handlers->vault_member(vault_id);
  if (!vault) return responder.send(vault.error());
  const auto key = near_key(handlers, asked->asked.wallet);
  if (!key) return responder.send(key.error());
  const auto left = read_left(fields, key->account.text());
  if (!left) return responder.send(left.error());
  const std::string condition = secrets::keystore::compact_json(*access);
  if (const auto good = secrets::keystore::AccessCondition::parse(condition); !good)
    return responder.send(mistake(good.error()));
  const auto blob = base::base64_decode(encrypted);
  if (!blob) return responder.send(keystore_error(400, "Invalid base64: " + blob.error().what));
  // What nobody could read is not stored: the owner would learn it when it is needed.
  const auto opened = handlers->service().open_blob(left->seed, *vault, *blob);
  if (!opened && opened.error().step != KeystoreStep::decrypt) return responder.send(handlers->refused(opened.error()));
  if (!opened || !secrets::keystore::Variables::parse(*opened)) {
    return responder.send(
        keystore_error(400, "encrypted_secrets_base64 does not decrypt to secrets for seed " + left->seed.text()));
  }
  sign_string(handlers, *std::move(asked), "secret_store",
              secrets::keystore::store_secret_string(key->public_key, left->binding, key->account.text(), encrypted,
                                                     left->payer, *vault, condition),
              agent_of(*key), std::move(responder));
}

void sign_secret_delete(const KeystoreShared& handlers, net::Request request, net::Responder responder) {
  auto asked = read_wallet_request(handlers, request);
  if (!asked) return responder.send(std::move(asked).error());
  const auto key = near_key(handlers, asked->asked.wallet);
  if (!key) return responder.send(key.error());
  KeystoreFields fields{asked->body->root()};
  const auto left = read_left(fields, key->account.text());
  if (!left) return responder.send(left.error());
  sign_string(handlers, *std::move(asked), "secret_delete",
              secrets::keystore::delete_secret_string(key->public_key, left->binding, key->account.text(), left->payer),
              agent_of(*key), std::move(responder));
}

// ---- keys that leave

void derive_ephemeral(const KeystoreShared& handlers, net::Request request, net::Responder responder) {
  auto asked = read_wallet_request(handlers, request);
  if (!asked) return responder.send(std::move(asked).error());
  // Whoever has the key needs no keystore, no policy and no log any more (keystore_ckd.md 9, 4).
  if (!handlers->deps().wallets->rules().export_keys)
    return responder.send(
        keystore_error(403, "this keystore gives no private keys away (setting keystore.export_keys)"));
  KeystoreFields fields{asked->body->root()};
  const std::string chain = fields.text("chain");
  const std::string path = fields.text("sub_path");
  if (!fields.ok()) return responder.send(fields.refusal());
  if (path.empty()) return responder.send(keystore_error(400, "sub_path must not be empty"));
  const auto name = secrets::keystore::wallet_chain(chain);
  if (name != "near" && name != "solana") return responder.send(keystore_error(400, "chain: near or solana"));
  const auto seed = Seed::wallet_sub(asked->asked.wallet.id, chain, path, handlers->service().rules().seeds);
  if (!seed) return responder.send(keystore_error(400, base::reason(seed.error())));
  asked->asked.op = plain_op("ephemeral_key", OpClass::auth, crypto::sha256(base::as_bytes(seed->text())));
  asked->asked.without_policy = true;
  asked->asked.leaf = "keystore.derive";
  auto make = [seed = *seed](const WalletMaking& with) -> Result<WalletMade> {
    const auto key = secrets::keystore::ed25519_key(with.master, seed);
    const std::string hex = base::hex(key.public_key());
    return WalletMade{.body = {{"public_key", "ed25519:" + hex},
                               {"private_key", base::hex(key.seed().reveal())},
                               {"implicit_account_id", hex}},
                      .seed = seed.text()};
  };
  sign_for_wallet(handlers, *std::move(asked), std::move(make), std::move(responder));
}

}  // namespace

Status add_keystore_wallet_routes(net::Router& router, const KeystoreShared& handlers) {
  if (handlers->deps().wallets == nullptr) return base::done();
  const std::array<KeystoreRoute, 8> routes{{
      {Method::post, "/wallet/sign", "wallet_sign", "Signs an operation that the wallet's policy allows", sign},
      {Method::post, "/wallet/check-policy", "wallet_check_policy", "Whether the wallet's policy allows an operation",
       check_policy},
      {Method::post, "/wallet/encrypt-policy", "wallet_encrypt_policy", "A wallet's policy, for its contract",
       encrypt_policy},
      {Method::post, "/wallet/decrypt-policy", "wallet_decrypt_policy", "What a wallet's policy says", decrypt_policy},
      {Method::post, "/wallet/sign-policy", "wallet_sign_policy", "The wallet's word for a policy", sign_policy},
      {Method::post, "/wallet/sign-secret-store", "wallet_sign_secret_store",
       "The wallet's word for a secret that is stored for it", sign_secret_store},
      {Method::post, "/wallet/sign-secret-delete", "wallet_sign_secret_delete",
       "The wallet's word for a secret that is deleted", sign_secret_delete},
      {Method::post, "/wallet/derive-ephemeral-key", "wallet_ephemeral_key", "A private key, where a setting says so",
       derive_ephemeral},
  }};
  for (const auto& route : routes) TRY_OK(add_keystore_route(router, handlers, route));
  return add_keystore_wallet_chain_routes(router, handlers);
}

}  // namespace attestry::api
