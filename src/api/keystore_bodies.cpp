#include "api/keystore_bodies.h"

#include <algorithm>

#include "base/encoding.h"
#include "crypto/hash.h"

namespace attestry::api {

using chain::near::AccountId;
using secrets::keystore::Variables;

KeystoreAnswer<secrets::KeystoreDecrypt> read_keystore_decrypt(KeystoreFields& fields) {
  const auto account = [](std::string_view name, const std::string& text) -> KeystoreAnswer<chain::near::AccountId> {
    auto out = chain::near::AccountId::parse(text);
    if (out) return *std::move(out);
    return std::unexpected(keystore_error(
        400, std::string{name} + " is not a valid NEAR AccountId (" + text + "): " + base::reason(out.error())));
  };
  const auto value = fields.value("accessor");
  std::string profile = fields.text("profile");
  const auto good = secrets::keystore::check_profile(profile);
  auto owner = account("owner", fields.text("owner"));
  auto user = account("user_account_id", fields.text("user_account_id"));
  base::Result<secrets::keystore::Accessor> accessor = base::Error{base::Code::malformed, "accessor"};
  if (value) accessor = secrets::keystore::parse_request_accessor(*value);
  if (!accessor) {
    fields.fail(accessor.error().text());
    return std::unexpected(fields.refusal());
  }
  if (!fields.ok()) return std::unexpected(fields.refusal());
  if (!good) return std::unexpected(keystore_error(400, base::reason(good.error())));
  if (!owner) return std::unexpected(std::move(owner).error());
  if (!user) return std::unexpected(std::move(user).error());
  return secrets::KeystoreDecrypt{.name = {*std::move(accessor), std::move(profile), *std::move(owner)},
                                  .user = *std::move(user)};
}

namespace {

/// With its signature, in the form that the wallets of the other generations make, or with a digest of the whole
/// change.
base::Result<bool> check_signature(const KeystoreUpdate& update, const std::string& names_only,
                                   const chain::near::Message& message, const chain::near::Signature& signature) {
  const std::string whole = names_only + "\nchange:" + base::hex(update.change);
  const bool is_whole = message.message == whole;
  TRY_OK(secrets::keystore::check_update_signature(is_whole ? whole : names_only, message, update.key, signature));
  return is_whole;
}

base::Result<chain::near::Message> read_message(std::string text, std::string recipient, const std::string& nonce) {
  chain::near::Message out{.message = std::move(text), .recipient = std::move(recipient)};
  TRY(const auto bytes, base::base64_decode(nonce), "nonce");
  if (bytes.size() != out.nonce.size()) return base::Error{base::Code::malformed, "nonce must have 32 bytes"};
  std::ranges::copy(bytes, out.nonce.begin());
  return out;
}

}  // namespace

base::Result<KeystoreUpdate> read_keystore_update(KeystoreFields& fields) {
  const auto vault = fields.optional_text("vault_id");
  const auto accessor = fields.value("accessor");
  const auto target = fields.optional_value("new_accessor");
  const std::string profile = fields.text("profile");
  const std::string owner_text = fields.text("owner");
  const std::string mode_text = fields.text("mode");
  const auto set = fields.value("secrets");
  const auto generate = fields.optional_value("generate_protected");
  const std::string signed_message = fields.text("signed_message");
  const std::string signature_text = fields.text("signature");
  const std::string key_text = fields.text("public_key");
  const std::string nonce_text = fields.text("nonce");
  const std::string recipient = fields.text("recipient");
  if (!fields.ok()) return base::Error{base::Code::malformed, "members"};
  TRY_OK(secrets::keystore::check_profile(profile));
  TRY(const auto owner, AccountId::parse(owner_text), "owner");
  TRY(const auto read, secrets::keystore::parse_request_accessor(*accessor));
  TRY(const auto key, chain::near::PublicKey::parse(key_text), "public_key");
  TRY(const auto mode, secrets::keystore::parse_update_mode(mode_text));
  KeystoreUpdate out{.name = {read, profile, owner},
                     .target = {},
                     .mode = mode,
                     .set = {},
                     .generate = {},
                     .key = key,
                     .vault = vault.value_or(""),
                     .recipient = recipient};
  if (target) {
    TRY(out.target, secrets::keystore::parse_request_accessor(*target));
  }
  TRY(out.set, Variables::parse(*set));
  TRY_OK(secrets::keystore::check_names(out.set));
  std::vector<std::string> generated;
  if (generate) {
    TRY(out.generate, secrets::keystore::parse_generations(*generate));
    for (const auto& one : out.generate) generated.push_back(one.name);
  }
  TRY(const auto message, read_message(signed_message, recipient, nonce_text));
  TRY(const auto signature_bytes, base::base64_decode(signature_text), "signature");
  TRY(const auto signature, chain::near::Signature::from_bytes(chain::near::KeyKind::ed25519, signature_bytes));
  out.change = secrets::keystore::update_digest(
      {.accessor = secrets::keystore::request_json(read).canonical(),
       .new_accessor = out.target ? secrets::keystore::request_json(*out.target).canonical() : std::string{},
       .mode = mode_text,
       .vault = out.vault},
      out.set, out.generate);
  const auto names_only = secrets::keystore::update_message(owner_text, profile, out.set.names(), generated);
  TRY(out.whole, check_signature(out, names_only, message, signature));
  base::LpWriter once;
  once.lp("attestry/keystore/update/1").lp(message.nonce).lp(key_text);
  out.once = crypto::sha256(once.bytes());
  return out;
}

}  // namespace attestry::api
