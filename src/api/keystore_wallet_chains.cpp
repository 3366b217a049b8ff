// What wallets sign for EVM chains and for Solana (keystore_ckd.md 3.6).
#include <algorithm>
#include <array>

#include "api/keystore_wallet.h"
#include "base/base58.h"
#include "base/encoding.h"
#include "crypto/hash.h"
#include "curves/address.h"
#include "secrets/keystore_derivation.h"
#include "secrets/keystore_wallet_evm.h"

namespace attestry::api {

using base::JsonOutObject;
using base::Result;
using base::Status;
using net::Method;
using secrets::WalletMade;
using secrets::WalletMaking;
using secrets::keystore::OpClass;
using secrets::keystore::Seed;

namespace {

net::Response mistake(const base::Error& error) { return keystore_error(400, base::reason(error)); }

// ---- EVM

struct EvmKey {
  curves::Secp256k1PrivateKey key;
  secrets::keystore::WalletAddress address;
  std::string seed;
};
Result<EvmKey> evm_key(const crypto::Secret& master, const std::string& wallet) {
  TRY(const Seed seed, Seed::wallet(wallet, "evm"));
  TRY(auto key, secrets::keystore::secp256k1_key(master, seed));
  TRY(auto address, secrets::keystore::wallet_address(master, wallet, "evm"));
  return EvmKey{std::move(key), std::move(address), seed.text()};
}

void sign_digest(const KeystoreShared& handlers, WalletRequest asked, const base::Digest32& digest,
                 net::Responder responder) {
  asked.asked.op = plain_op("evm_sign", OpClass::trusted, digest);
  auto make = [wallet = asked.asked.wallet.id, digest,
               hash = asked.asked.op.hash](const WalletMaking& with) -> Result<WalletMade> {
    TRY(const auto key, evm_key(with.master, wallet));
    TRY(auto signature, secrets::keystore::evm_signature(key.key, digest));
    return WalletMade{.body = {{"request_hash", hash},
                               {"signature", std::move(signature)},
                               {"address", key.address.address},
                               {"public_key", key.address.public_key}},
                      .seed = key.seed};
  };
  sign_for_wallet(handlers, std::move(asked), std::move(make), std::move(responder));
}

void typed_data(const KeystoreShared& handlers, net::Request request, net::Responder responder) {
  auto asked = read_wallet_request(handlers, request);
  if (!asked) return responder.send(std::move(asked).error());
  KeystoreFields fields{asked->body->root()};
  const auto data = fields.value("typed_data");
  if (!fields.ok()) return responder.send(fields.refusal());
  const auto digest = secrets::keystore::typed_data_digest(*data);
  if (!digest) return responder.send(mistake(digest.error()));
  sign_digest(handlers, *std::move(asked), *digest, std::move(responder));
}

void evm_message(const KeystoreShared& handlers, net::Request request, net::Responder responder) {
  auto asked = read_wallet_request(handlers, request);
  if (!asked) return responder.send(std::move(asked).error());
  KeystoreFields fields{asked->body->root()};
  const std::string message = fields.text("message");
  const auto encoding = fields.optional_text("encoding");
  if (!fields.ok()) return responder.send(fields.refusal());
  const auto digest = secrets::keystore::evm_message_digest(message, encoding.value_or("utf8"));
  if (!digest) return responder.send(mistake(digest.error()));
  sign_digest(handlers, *std::move(asked), *digest, std::move(responder));
}

/// What it moves, as a policy counts it: wei of that chain; more than it can count is the most.
chain::near::U128 amount_of(const chain::Word& value) {
  chain::near::U128 out;
  for (std::size_t i = 0; i < 16; ++i) {
    if (value[i] != 0) return {~std::uint64_t{0}, ~std::uint64_t{0}};
  }
  for (std::size_t i = 16; i < 24; ++i) out.high = (out.high << 8) | value[i];
  for (std::size_t i = 24; i < 32; ++i) out.low = (out.low << 8) | value[i];
  return out;
}

void evm_transaction(const KeystoreShared& handlers, net::Request request, net::Responder responder) {
  auto asked = read_wallet_request(handlers, request);
  if (!asked) return responder.send(std::move(asked).error());
  KeystoreFields fields{asked->body->root()};
  const auto given = fields.value("transaction");
  if (!fields.ok()) return responder.send(fields.refusal());
  auto transaction = secrets::keystore::parse_evm_transaction(*given);
  if (!transaction) return responder.send(mistake(transaction.error()));
  const auto digest = chain::signing_hash(*transaction);
  auto& op = asked->asked.op = plain_op("evm_sign", OpClass::trusted, digest);
  if (transaction->to) op.to = curves::address_checksum_text(*transaction->to);
  op.amount = amount_of(transaction->value);
  op.token = "evm:" + std::to_string(transaction->chain_id);
  auto make = [wallet = asked->asked.wallet.id, transaction = *std::move(transaction), digest,
               hash = op.hash](const WalletMaking& with) -> Result<WalletMade> {
    TRY(const auto key, evm_key(with.master, wallet));
    TRY(auto signature, secrets::keystore::evm_signature(key.key, digest));
    TRY(const auto done, chain::sign(transaction, key.key));
    return WalletMade{.body = {{"request_hash", hash},
                               {"signature", std::move(signature)},
                               {"signed_transaction", "0x" + base::hex(done.raw)},
                               {"tx_hash", "0x" + base::hex(done.hash)},
                               {"address", key.address.address},
                               {"public_key", key.address.public_key}},
                      .seed = key.seed};
  };
  sign_for_wallet(handlers, *std::move(asked), std::move(make), std::move(responder));
}

// ---- Solana

KeystoreAnswer<base::Bytes> solana_bytes(WalletRequest& asked) {
  KeystoreFields fields{asked.body->root()};
  const auto text = fields.optional_text("message");
  const auto encoded = fields.optional_text("message_base64");
  if (!fields.ok()) return std::unexpected(fields.refusal());
  if (text.has_value() == encoded.has_value())
    return std::unexpected(keystore_error(400, "name either message or message_base64"));
  auto out = text ? Result<base::Bytes>{base::to_bytes(*text)} : base::base64_decode(*encoded);
  if (!out) return std::unexpected(keystore_error(400, "Invalid base64: " + out.error().what));
  if (out->empty()) return std::unexpected(keystore_error(400, "message must not be empty"));
  return *std::move(out);
}

/// `as_transaction`: the bytes are the message of one, and the wallet must be among those who sign it.
void sign_solana(const KeystoreShared& handlers, WalletRequest asked, base::Bytes bytes, bool as_transaction,
                 net::Responder responder) {
  asked.asked.op = plain_op("solana_sign", OpClass::trusted, crypto::sha256(bytes));
  auto make = [wallet = asked.asked.wallet.id, bytes = std::move(bytes), as_transaction,
               hash = asked.asked.op.hash](const WalletMaking& with) -> Result<WalletMade> {
    TRY(const Seed seed, Seed::wallet(wallet, "solana"));
    const auto key = secrets::keystore::ed25519_key(with.master, seed);
    if (as_transaction) {
      TRY(const auto signers, secrets::keystore::solana_signers(bytes));
      if (std::ranges::find(signers, key.public_key()) == signers.end()) {
        return base::Error{base::Code::malformed, "the transaction is not this wallet's to sign",
                           base::base58(key.public_key())};
      }
    }
    return WalletMade{.body = {{"request_hash", hash},
                               {"signature", base::base58(key.sign(bytes))},
                               {"address", base::base58(key.public_key())},
                               {"public_key", "ed25519:" + base::hex(key.public_key())}},
                      .seed = seed.text()};
  };
  sign_for_wallet(handlers, std::move(asked), std::move(make), std::move(responder));
}

void solana_message(const KeystoreShared& handlers, net::Request request, net::Responder responder) {
  auto asked = read_wallet_request(handlers, request);
  if (!asked) return responder.send(std::move(asked).error());
  auto bytes = solana_bytes(*asked);
  if (!bytes) return responder.send(std::move(bytes).error());
  if (secrets::keystore::is_solana_message(*bytes)) {
    return responder.send(
        keystore_error(400, "this message is one of a transaction: /wallet/solana/sign-transaction signs those"));
  }
  sign_solana(handlers, *std::move(asked), *std::move(bytes), false, std::move(responder));
}

void solana_transaction(const KeystoreShared& handlers, net::Request request, net::Responder responder) {
  auto asked = read_wallet_request(handlers, request);
  if (!asked) return responder.send(std::move(asked).error());
  auto bytes = solana_bytes(*asked);
  if (!bytes) return responder.send(std::move(bytes).error());
  sign_solana(handlers, *std::move(asked), *std::move(bytes), true, std::move(responder));
}

}  // namespace

Status add_keystore_wallet_chain_routes(net::Router& router, const KeystoreShared& handlers) {
  const std::array<KeystoreRoute, 5> routes{{
      {Method::post, "/wallet/evm/sign-typed-data", "wallet_evm_typed_data", "Signs typed data (EIP-712)", typed_data},
      {Method::post, "/wallet/evm/sign-message", "wallet_evm_message", "Signs a message (EIP-191)", evm_message},
      {Method::post, "/wallet/evm/sign-transaction", "wallet_evm_transaction", "Signs a transaction (EIP-1559)",
       evm_transaction},
      {Method::post, "/wallet/solana/sign-message", "wallet_solana_message", "Signs a text for Solana", solana_message},
      {Method::post, "/wallet/solana/sign-transaction", "wallet_solana_transaction", "Signs a transaction of Solana",
       solana_transaction},
  }};
  for (const auto& route : routes) TRY_OK(add_keystore_route(router, handlers, route));
  return base::done();
}

}  // namespace attestry::api
