#include "secrets/keystore_wallet.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/base58.h"
#include "base/encoding.h"
#include "base/json_writer.h"
#include "base/utf8.h"
#include "crypto/hash.h"
#include "curves/ethereum_signature.h"
#include "secrets/keystore_derivation.h"

namespace attestry::secrets::keystore {

using base::ByteView;
using base::Code;
using base::Error;
using base::JsonValue;
using base::Result;
using chain::near::AccountId;
using chain::near::U128;

namespace {

constexpr std::size_t kMaxNearAccount = 64;
constexpr std::size_t kMaxArgs = 1u << 20;
constexpr std::uint64_t kMaxGas = 300'000'000'000'000;  // of one transaction, by NEAR's protocol

struct Kind {
  std::string_view name;
  OpClass op_class;
  std::string_view to;  ///< the member with the receiver; empty: none
  bool amount, token;
};
constexpr std::array kKinds = {
    Kind{"transfer", OpClass::built, "to", true, false},
    Kind{"call", OpClass::built, "to", false, false},
    Kind{"delete", OpClass::built, "beneficiary", false, false},
    Kind{"withdraw", OpClass::built, "to", true, true},
    Kind{"intents_transfer", OpClass::built, "to", true, true},
    Kind{"raw", OpClass::hash_pinned, "", false, false},
    Kind{"sign_message", OpClass::hash_pinned, "", false, false},
    Kind{"swap", OpClass::trusted, "", false, false},
    Kind{"confidential", OpClass::trusted, "", false, false},
    Kind{"cross_chain_withdraw", OpClass::trusted, "", false, false},
    Kind{"payment_check", OpClass::trusted, "", true, true},
    Kind{"auth", OpClass::auth, "", false, false},
};

Result<std::string> text_member(const JsonValue& from, std::string_view name) {
  TRY(const JsonValue value, from.get(name));
  return value.string(name);
}
Result<U128> amount_member(const JsonValue& from, std::string_view name) {
  TRY(const std::string text, text_member(from, name));
  TRY(const U128 out, U128::parse(text), name);
  return out;
}
Result<AccountId> account_member(const JsonValue& from, std::string_view name) {
  TRY(const std::string text, text_member(from, name));
  TRY(AccountId out, AccountId::parse(text), name);
  return out;
}

/// In strings that are joined by ':'.
base::Status no_colon(std::string_view name, std::string_view value) {
  if (value.find(':') == std::string_view::npos) return base::done();
  return Error{Code::malformed, std::string{name}, "no ':'", std::string{base::utf8_prefix(value, 80)}};
}

/// The key has its one colon, behind the name of its kind.
base::Status check_public_key(std::string_view key) {
  constexpr std::string_view prefix = "ed25519:";
  if (!key.starts_with(prefix)) return Error{Code::malformed, "public key", "ed25519:…", std::string{key}};
  return no_colon("public key", key.substr(prefix.size()));
}

std::string with_length(std::string_view field) { return std::to_string(field.size()) + ":" + std::string{field}; }

Result<NearPlan> plan_call(const JsonValue& op) {
  TRY(AccountId receiver, account_member(op, "to"));
  chain::near::FunctionCall call;
  TRY(call.method, text_member(op, "method"));
  TRY(const std::string args, text_member(op, "args_base64"));
  TRY(call.args, base::base64_decode(args), "args_base64");
  TRY(const U128 gas, amount_member(op, "gas"));
  TRY(call.deposit, amount_member(op, "deposit"));
  if (call.method.empty() || call.method.size() > 256) return Error{Code::malformed, "method", "1 to 256 bytes"};
  if (call.args.size() > kMaxArgs) return Error{Code::too_large, "args_base64", "at most 1 MiB"};
  if (gas.high != 0 || gas.low == 0 || gas.low > kMaxGas) {
    return Error{Code::malformed, "gas", "1 to 300000000000000", gas.text()};
  }
  call.gas = gas.low;
  NearPlan out{.receiver = std::move(receiver), .actions = {}};
  out.actions.emplace_back(std::move(call));
  return out;
}

}  // namespace

// -- addresses

Result<WalletAddress> wallet_address(const crypto::Secret& master, std::string_view wallet_id, std::string_view chain) {
  TRY(const Seed seed, Seed::wallet(wallet_id, chain));
  const std::string_view name = wallet_chain(chain);
  if (name == "near" || name == "solana") {
    const auto key = ed25519_key(master, seed).public_key();
    const std::string hex = base::hex(key);
    return WalletAddress{.address = name == "near" ? hex : base::base58(key), .public_key = "ed25519:" + hex};
  }
  if (name == "evm") {
    TRY(const auto key, secp256k1_key(master, seed));
    return WalletAddress{.address = curves::address_checksum_text(curves::ethereum_address(key.public_key_raw())),
                         .public_key = "secp256k1:" + base::hex(key.public_key_compressed())};
  }
  return Error{Code::malformed, "chain", "near, solana or an EVM chain", std::string{base::utf8_prefix(chain, 40)}};
}

// -- what is asked for

Result<std::string> request_hash(const JsonValue& op) {
  if (!op.is_object())
    return Error{Code::malformed, "op", "an object", std::string{base::utf8_prefix(op.source(), 80)}};
  const std::string canonical = base::JsonOut{base::JsonOut::Raw{std::string{op.source()}}}.canonical();
  return base::hex(crypto::sha256(base::as_bytes(canonical)));
}

std::string token_name(std::string_view text) {
  return text.contains(':') ? std::string{text} : "nep141:" + std::string{text};
}

Result<WalletOp> parse_wallet_op(const JsonValue& op) {
  TRY(std::string hash, request_hash(op));
  TRY(std::string name, text_member(op, "kind"));
  const auto kind = std::ranges::find(kKinds, std::string_view{name}, &Kind::name);
  if (kind == kKinds.end()) {
    return Error{Code::malformed, "op.kind",
                 "transfer, call, delete, withdraw, intents_transfer, raw, sign_message, swap, "
                 "confidential, cross_chain_withdraw, payment_check or auth",
                 std::string{base::utf8_prefix(name, 40)}};
  }
  WalletOp out;
  out.kind = std::move(name);
  out.op_class = kind->op_class;
  out.hash = std::move(hash);
  if (!kind->to.empty()) {
    TRY(out.to, text_member(op, kind->to));
  }
  if (kind->amount) {
    TRY(out.amount, amount_member(op, "amount"));
  } else if (out.kind == "call") {
    TRY(out.amount, amount_member(op, "deposit"));
  }
  if (kind->token) {
    TRY(const std::string token, text_member(op, "token"));
    out.token = token_name(token);
  }
  return out;
}

Result<NearPlan> plan_near(const JsonValue& op, const AccountId& wallet) {
  TRY(const WalletOp parsed, parse_wallet_op(op));
  if (parsed.kind == "call") return plan_call(op);
  if (parsed.kind == "transfer") {
    TRY_OK(op.only({"kind", "to", "amount"}));
    TRY(AccountId to, account_member(op, "to"));
    NearPlan out{.receiver = std::move(to), .actions = {}};
    out.actions.emplace_back(chain::near::Transfer{*parsed.amount});
    return out;
  }
  if (parsed.kind == "delete") {
    TRY_OK(op.only({"kind", "beneficiary"}));
    TRY(AccountId to, account_member(op, "beneficiary"));
    if (to == wallet) return Error{Code::malformed, "beneficiary", "another account than the deleted one", to.text()};
    NearPlan out{.receiver = wallet, .actions = {}};
    out.actions.emplace_back(chain::near::DeleteAccount{std::move(to)});
    return out;
  }
  return Error{Code::usage, "an operation of kind " + parsed.kind + " is no transaction that is built here",
               "transfer, call or delete"};
}

base::Status check_raw(const JsonValue& op, ByteView bytes) {
  TRY(const std::string hash, text_member(op, "payload_hash"));
  if (hash == base::hex(crypto::sha256(bytes))) return base::done();
  return Error{Code::malformed, "supplied bytes do not match op.payload_hash"};
}

base::Status check_message(const JsonValue& op, std::string_view message) {
  TRY(const std::string hash, text_member(op, "message_hash"));
  if (hash == base::hex(crypto::sha256(base::as_bytes(message)))) return base::done();
  return Error{Code::malformed, "supplied message does not match op.message_hash"};
}

Result<std::string> auth_message(std::string_view purpose, std::string_view seed, std::uint64_t timestamp,
                                 std::string_view vault) {
  std::string out;
  if (purpose == "bearer" || purpose == "jwt") out = "auth:";
  if (purpose == "register" || purpose == "api-key") out = std::string{purpose} + ":";
  if (out.empty()) {
    return Error{Code::malformed, "op.purpose", "bearer, register, api-key or jwt",
                 std::string{base::utf8_prefix(purpose, 40)}};
  }
  TRY_OK(no_colon("op.seed", seed));
  TRY_OK(no_colon("op.vault_id", vault));
  out += std::string{seed} + ":" + std::to_string(timestamp);
  if (!vault.empty()) out += ":" + std::string{vault};
  return out;
}

// -- strings that contracts check

Result<std::string> wallet_policy_string(std::string_view public_key, std::string_view blob_base64,
                                         std::string_view caller) {
  TRY_OK(check_public_key(public_key));
  TRY_OK(no_colon("caller", caller));
  return "store_wallet_policy:v1:" + std::string{public_key} + ":" + with_length(blob_base64) + ":" +
         std::string{caller};
}

Result<std::string> store_secret_string(std::string_view public_key, std::string_view binding, std::string_view profile,
                                        std::string_view blob_base64, std::string_view payer, std::string_view vault,
                                        std::string_view access_json) {
  TRY_OK(check_public_key(public_key));
  TRY_OK(no_colon("profile", profile));
  TRY_OK(no_colon("encrypted_secrets_base64", blob_base64));
  TRY_OK(no_colon("payer", payer));
  TRY_OK(no_colon("vault_id", vault));
  return "store_secrets_for:v1:" + std::string{public_key} + ":" + with_length(binding) + ":" + std::string{profile} +
         ":" + std::string{blob_base64} + ":" + std::string{payer} + ":" + std::string{vault} + ":" +
         std::string{access_json};
}

Result<std::string> delete_secret_string(std::string_view public_key, std::string_view binding,
                                         std::string_view profile, std::string_view payer) {
  TRY_OK(check_public_key(public_key));
  TRY_OK(no_colon("profile", profile));
  TRY_OK(no_colon("payer", payer));
  return "delete_agent_secret:v1:" + std::string{public_key} + ":" + with_length(binding) + ":" + std::string{profile} +
         ":" + std::string{payer};
}

Result<base::Digest32> signed_string_hash(std::string_view text) {
  // The borsh of a transaction begins with the length of its signer's name, at most 64.
  std::uint32_t length = 0;
  for (std::size_t i = 0; i < 4 && i < text.size(); ++i) {
    length |= static_cast<std::uint32_t>(static_cast<unsigned char>(text[i])) << (8 * i);
  }
  if (text.size() < 4 || length <= kMaxNearAccount) {
    return Error{Code::denied, "this string could be a transaction of NEAR, and is not signed"};
  }
  return crypto::sha256(base::as_bytes(text));
}

// -- approvals

std::string vote_message(bool approve, std::string_view id, std::string_view wallet_public_key,
                         std::string_view request_hash) {
  return std::string{approve ? "approve:" : "reject:"} + std::string{id} + ":" + std::string{wallet_public_key} + ":" +
         std::string{request_hash};
}

}  // namespace attestry::secrets::keystore
