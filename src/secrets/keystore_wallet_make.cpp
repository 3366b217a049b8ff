#include "secrets/keystore_wallet_make.h"

#include <algorithm>

#include "base/base58.h"
#include "base/encoding.h"
#include "base/utf8.h"
#include "chain/near_message.h"
#include "crypto/hash.h"
#include "secrets/keystore_derivation.h"
#include "secrets/keystore_wallet_evm.h"

namespace attestry::secrets {

using base::ByteView;
using base::Code;
using base::Error;
using base::JsonOutObject;
using base::JsonValue;
using base::Result;
using base::Status;
using keystore::OpClass;
using keystore::Seed;
using keystore::WalletOp;

namespace {

constexpr std::int64_t kIntentLife = 300;  // seconds
constexpr std::string_view kIntents = "intents.near";

Result<std::string> text_member(const std::optional<JsonValue>& from, std::string_view name) {
  if (!from) return Error{Code::malformed, "artifact", "an object with " + std::string{name}};
  TRY(const JsonValue value, from->get(name), "artifact");
  return value.string(name);
}
Result<std::optional<std::string>> optional_member(const std::optional<JsonValue>& from, std::string_view name) {
  const auto value = from ? from->find(name) : std::nullopt;
  if (!value || value->is_null()) return std::optional<std::string>{};
  TRY(auto text, value->string(name));
  return std::optional{std::move(text)};
}

/// What these contracts take as an order moves tokens, and limits count only what is built here.
Error order_refused(std::string_view recipient) {
  return {Code::denied, "a message to " + std::string{recipient} + " is an order",
          "withdraw, intents_transfer or swap"};
}

struct Making {
  KeystoreWallets& wallets;
  const WalletMaking& with;
  const std::string& wallet_id;
  const WalletOp& parsed;
  const JsonValue& op;
  const std::optional<JsonValue>& artifact;
  crypto::Random& random;

  WalletMade made(JsonOutObject body, std::string_view chain = "near") const {
    body.insert(body.begin(), {"request_hash", parsed.hash});
    return {.body = std::move(body), .seed = "wallet:" + wallet_id + ":" + std::string{keystore::wallet_chain(chain)}};
  }
};

/// What the keystore itself obeys is nothing that it signs for others: votes of approvers, orders of the DAO.
Status check_not_own(const Making& making, std::string_view receiver) {
  const auto& own = making.with.own;
  if (std::ranges::none_of(own, [&](const auto& account) { return account.text() == receiver; })) return base::done();
  return Error{Code::denied, "wallets sign nothing for " + std::string{receiver} + ", which this keystore obeys",
               "a key that is no wallet's here"};
}

/// A transfer, a call or the end of the account, with the next nonce of the wallet's key.
Result<WalletMade> transaction(const Making& making, const WalletNearKey& wallet) {
  TRY(auto plan, keystore::plan_near(making.op, wallet.account));
  TRY_OK(check_not_own(making, plan.receiver.text()));
  if (making.with.reader == nullptr) return Error{Code::configuration, "NEAR client not configured"};
  auto& reader = *making.with.reader;
  TRY(const auto head, reader.head(making.with.deadline));
  const auto access = reader.access_key(head, wallet.account, wallet.key.public_key(), making.with.deadline);
  if (!access && access.error().code == Code::not_found) {
    return Error{Code::not_found, "the wallet has no account on NEAR yet",
                 "some NEAR sent to " + wallet.account.text()};
  }
  if (!access) return access.error();
  const auto nonce = making.wallets.next_nonce(wallet.key.public_key(), access->nonce);
  TRY(const auto done, chain::near::sign({.signer = wallet.account,
                                          .key = wallet.key.public_key(),
                                          .nonce = nonce,
                                          .receiver = plan.receiver,
                                          .block_hash = head.hash,
                                          .actions = std::move(plan.actions)},
                                         wallet.key));
  return making.made({{"signed_tx_base64", base::base64(done.raw)},
                      {"tx_hash", base::base58(done.hash)},
                      {"signer_id", wallet.account.text()},
                      {"nonce", nonce},
                      {"public_key", wallet.public_key}});
}

/// A message for a contract or a domain (NEP-413).
Result<WalletMade> message(const Making& making, const WalletNearKey& wallet, std::string text, std::string recipient,
                           const std::optional<std::string>& nonce_base64) {
  chain::near::Message out{.message = std::move(text), .nonce = {}, .recipient = std::move(recipient)};
  if (nonce_base64) {
    TRY(const auto nonce, base::base64_decode(*nonce_base64), "artifact.nonce_base64");
    if (nonce.size() != out.nonce.size()) return Error{Code::malformed, "artifact.nonce_base64", "32 bytes"};
    std::ranges::copy(nonce, out.nonce.begin());
  } else {
    out.nonce = making.random.bytes<32>();
  }
  const auto signature = chain::near::sign(out, wallet.key);
  return making.made({{"signature_base58", base::base58(signature.bytes())},
                      {"signature_base64", base::base64(signature.bytes())},
                      {"message", out.message},
                      {"nonce_base64", base::base64(out.nonce)},
                      {"recipient", out.recipient},
                      {"signer_id", wallet.account.text()},
                      {"public_key", wallet.public_key}});
}

/// What moves within the intents' contract is a message that this server writes.
Result<WalletMade> intent(const Making& making, const WalletNearKey& wallet) {
  TRY(const auto recipient, optional_member(making.artifact, "recipient"));
  const std::string to = recipient.value_or(std::string{kIntents});
  if (!keystore::is_intents_contract(to))
    return Error{Code::malformed, "artifact.recipient", "intents.near or intents.far", to};
  TRY(auto text, keystore::intent_message(making.parsed, wallet.account.text(), making.with.now + kIntentLife));
  return message(making, wallet, std::move(text), to, std::nullopt);
}

/// Transactions, messages (NEP-413), delegated actions and what contracts check are signed as a digest, in which nobody
/// can see what it is of. So their bytes are shown, too. Each names its receiver as borsh writes text: 4 bytes of
/// length, little-endian, and the name.
Status check_digest(const Making& making, ByteView digest) {
  TRY(const auto text, optional_member(making.artifact, "preimage_base64"));
  if (!text) {
    return Error{Code::denied, "32 bytes under a NEAR key may be the digest of a transaction or of a vote",
                 "artifact.preimage_base64, of which they are the SHA-256"};
  }
  TRY(const auto bytes, base::base64_decode(*text), "artifact.preimage_base64");
  if (!base::equal(crypto::sha256(bytes), digest))
    return Error{Code::malformed, "artifact.preimage_base64", "bytes whose SHA-256 is the payload"};
  for (const std::string_view begin : {"store_wallet_policy:", "store_secrets_for:", "delete_agent_secret:"}) {
    if (base::as_text(bytes).starts_with(begin))
      return Error{Code::denied, "a string that contracts check is not signed as raw bytes", "its own route"};
  }
  const auto names = [&](std::string_view account) {
    base::Bytes name;
    for (unsigned shift = 0; shift < 32; shift += 8) name.push_back(static_cast<std::uint8_t>(account.size() >> shift));
    base::append(name, base::as_bytes(account));
    return !std::ranges::search(bytes, name).empty();
  };
  for (const auto& account : making.with.own) {
    if (names(account.text())) return check_not_own(making, account.text());
  }
  for (const std::string_view intents : {"intents.near", "intents.far"}) {
    if (names(intents)) return order_refused(intents);
  }
  return base::done();
}

/// Bytes of others, whose hash the request names.
Result<WalletMade> raw(const Making& making) {
  TRY(const std::string text, text_member(making.artifact, "payload_base64"));
  TRY(const auto bytes, base::base64_decode(text), "artifact.payload_base64");
  TRY_OK(keystore::check_raw(making.op, bytes));
  TRY(const std::string chain, text_member(making.op, "chain"));
  TRY(const Seed seed, Seed::wallet(making.wallet_id, chain));
  const std::string_view name = keystore::wallet_chain(chain);
  if (name == "near" && bytes.size() == base::Digest32{}.size()) TRY_OK(check_digest(making, bytes));
  TRY(auto address, keystore::wallet_address(making.with.master, making.wallet_id, chain));
  if (name == "evm") {
    base::Digest32 digest{};
    if (bytes.size() != digest.size())
      return Error{Code::malformed, "artifact.payload_base64", "32 bytes, the digest", std::to_string(bytes.size())};
    std::ranges::copy(bytes, digest.begin());
    TRY(const auto key, keystore::secp256k1_key(making.with.master, seed));
    TRY(auto signature, keystore::evm_signature(key, digest));
    return making.made({{"signature", std::move(signature)}, {"public_key", std::move(address.public_key)}}, chain);
  }
  const auto signature = keystore::ed25519_key(making.with.master, seed).sign(bytes);
  return making.made({{"signature_base58", base::base58(signature)},
                      {"signature_base64", base::base64(signature)},
                      {"public_key", std::move(address.public_key)}},
                     chain);
}

Result<WalletMade> pinned_message(const Making& making, const WalletNearKey& wallet) {
  TRY(auto text, text_member(making.artifact, "message"));
  TRY_OK(keystore::check_message(making.op, text));
  TRY(auto recipient, text_member(making.op, "recipient"));
  if (keystore::is_intents_contract(recipient)) return order_refused(recipient);
  TRY_OK(check_not_own(making, recipient));
  TRY(const auto nonce, optional_member(making.artifact, "nonce_base64"));
  return message(making, wallet, std::move(text), std::move(recipient), nonce);
}

/// Somebody else's intents: what they do is in nobody's request.
Result<WalletMade> trusted(const Making& making, const WalletNearKey& wallet) {
  TRY(auto text, text_member(making.artifact, "message"));
  TRY(auto recipient, text_member(making.artifact, "recipient"));
  TRY(const auto nonce, optional_member(making.artifact, "nonce_base64"));
  if (!keystore::is_intents_contract(recipient)) {
    return Error{Code::malformed, "artifact.recipient", "intents.near or intents.far",
                 std::string{base::utf8_prefix(recipient, 80)}};
  }
  return message(making, wallet, std::move(text), std::move(recipient), nonce);
}

Result<WalletMade> authorisation(const Making& making, const WalletNearKey& wallet) {
  TRY(const std::string purpose, text_member(making.op, "purpose"));
  TRY(const std::string seed, text_member(making.op, "seed"));
  TRY(const auto vault, optional_member(making.op, "vault_id"));
  const auto timestamp = static_cast<std::uint64_t>(making.with.now.seconds);
  TRY(const std::string text, keystore::auth_message(purpose, seed, timestamp, vault.value_or("")));
  const auto signature = wallet.key.sign(base::as_bytes(text));
  return making.made({{"auth_message", text},
                      {"auth_timestamp", timestamp},
                      {"auth_signature_base58", base::base58(signature.bytes())},
                      {"public_key", wallet.public_key}});
}

}  // namespace

Result<WalletMade> make_wallet_signature(KeystoreWallets& wallets, const WalletMaking& with,
                                         const std::string& wallet_id, const WalletOp& parsed, const JsonValue& op,
                                         const std::optional<JsonValue>& artifact, crypto::Random& random) {
  const Making making{wallets, with, wallet_id, parsed, op, artifact, random};
  if (parsed.kind == "raw") return raw(making);
  TRY(const auto wallet, wallet_near_key(with.master, wallet_id));
  switch (parsed.op_class) {
    case OpClass::built:
      if (parsed.kind == "withdraw" || parsed.kind == "intents_transfer") return intent(making, wallet);
      return transaction(making, wallet);
    case OpClass::hash_pinned:
      return pinned_message(making, wallet);
    case OpClass::trusted:
      return trusted(making, wallet);
    case OpClass::auth:
      return authorisation(making, wallet);
  }
  return Error{Code::internal, "an operation of no class"};
}

}  // namespace attestry::secrets
