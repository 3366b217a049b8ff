#include "provision/release.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "base/reader.h"
#include "crypto/hpke.h"

namespace attestry::provision {

using base::Code;
using base::Error;
using base::Result;

namespace {

constexpr std::size_t kMaxCiphertext = 4u << 20;

/// Appends to a buffer that is wiped: the JSON of a release holds every secret in clear.
class SecretText {
 public:
  void add(std::string_view text) {
    if (used_ + text.size() > buffer_.size()) {
      crypto::Secret larger{std::max<std::size_t>(4096, std::max(buffer_.size() * 2, used_ + text.size()))};
      std::ranges::copy(buffer_.reveal().first(used_), larger.writable().begin());
      buffer_ = std::move(larger);
    }
    std::ranges::copy(base::as_bytes(text), buffer_.writable().begin() + static_cast<std::ptrdiff_t>(used_));
    used_ += text.size();
  }
  void add_string(std::string_view text) {
    std::string quoted;
    base::append_json_string(quoted, text);
    add(quoted);
  }
  /// "name":"base64url of the secret"
  void add_secret(std::string_view name, const crypto::Secret& value) {
    add_string(name);
    std::string text = base::base64url(value.reveal());
    add(":\"");
    add(text);
    add("\"");
    crypto::wipe({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
  }
  void add_text(std::string_view name, std::string_view value) {
    add_string(name);
    add(":");
    add_string(value);
  }
  crypto::Secret finish() const { return crypto::Secret::copy_of(buffer_.reveal().first(used_)); }

 private:
  crypto::Secret buffer_;
  std::size_t used_ = 0;
};

void add_keys(SecretText& out, const std::vector<keys::DerivedKey>& keys) {
  out.add("\"keys\":[");
  for (std::size_t i = 0; i < keys.size(); ++i) {
    out.add(i == 0 ? "{" : ",{");
    out.add_text("purpose", keys[i].purpose);
    out.add(",");
    out.add_text("algorithm", keys::to_text(keys[i].algorithm));
    out.add(",");
    out.add_text("path", keys[i].path);
    out.add(",");
    out.add_secret("private", keys[i].private_key);
    out.add(",");
    out.add_text("public", base::base64url(keys[i].public_key));
    out.add("}");
  }
  out.add("]");
}

void add_secrets(SecretText& out, const std::vector<std::pair<std::string, crypto::Secret>>& secrets) {
  out.add("\"secrets\":{");
  for (std::size_t i = 0; i < secrets.size(); ++i) {
    if (i != 0) out.add(",");
    out.add_secret(secrets[i].first, secrets[i].second);
  }
  out.add("}");
}

Result<std::string> text_member(const base::JsonValue& object, std::string_view key) {
  TRY(const auto value, object.get(key));
  return value.string(key);
}

Result<crypto::Secret> secret_of(const base::JsonValue& value, std::string_view what) {
  TRY(auto text, value.string(what));
  TRY(auto bytes, base::base64url_decode(text), what);
  crypto::wipe({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
  return crypto::Secret::absorb(bytes);
}

Result<keys::DerivedKey> key_of(const base::JsonValue& value) {
  keys::DerivedKey key;
  TRY(key.purpose, text_member(value, "purpose"));
  TRY(const auto algorithm, text_member(value, "algorithm"));
  TRY(key.algorithm, keys::algorithm_from(algorithm));
  TRY(key.path, text_member(value, "path"));
  TRY(const auto private_value, value.get("private"));
  TRY(key.private_key, secret_of(private_value, "private"));
  TRY(const auto public_text, text_member(value, "public"));
  TRY(key.public_key, base::base64url_decode(public_text), "public");
  return key;
}

base::Bytes release_info(const base::FixedBytes<64>& binding) {
  base::LpWriter info;
  info.lp("attestry/release/1").raw(binding);
  return std::move(info).take();
}

}  // namespace

crypto::Secret to_json(const Release& release, const governance::Grant& grant) {
  SecretText out;
  out.add("{\"v\":1,");
  out.add_text("tenant", grant.tenant().text());
  out.add(",");
  out.add_text("app", grant.app().text());
  out.add(",");
  out.add_text("instance", release.instance);
  out.add(",");
  out.add_text("realm", base::to_text(grant.realm()));
  out.add(",\"epoch\":" + std::to_string(grant.epoch()) + ",");
  out.add_text("expires", base::to_rfc3339(release.expires));
  out.add(",");
  out.add_text("certificate_chain", release.certificate_chain_pem);
  out.add(",");
  add_keys(out, release.keys);
  out.add(",");
  out.add_text("configuration_id", release.configuration_id);
  out.add(",");
  out.add_secret("configuration", release.configuration);
  out.add(",");
  add_secrets(out, release.secrets);
  out.add(",");
  out.add_secret("leaf_key", release.leaf_key);
  out.add("}");
  return out.finish();
}

Result<Release> release_from_json(base::ByteView json) {
  // Clients ignore members they do not know (FORMATS 12); the reader's copy of the text is the caller's process's own.
  TRY(const auto doc, base::JsonDocument::parse(std::string{base::as_text(json)}, {.max_bytes = kMaxCiphertext}),
      "release");
  const auto root = doc->root();
  Release release;
  TRY(release.instance, text_member(root, "instance"));
  TRY(release.certificate_chain_pem, text_member(root, "certificate_chain"));
  TRY(release.configuration_id, text_member(root, "configuration_id"));
  TRY(const auto expires, text_member(root, "expires"));
  TRY(release.expires, base::parse_rfc3339(expires), "expires");
  TRY(const auto list, root.get("keys"));
  for (auto item = list.first(); item; item = item->next()) {
    TRY(auto key, key_of(*item), "key");
    release.keys.push_back(std::move(key));
  }
  TRY(const auto configuration, root.get("configuration"));
  TRY(release.configuration, secret_of(configuration, "configuration"));
  TRY(const auto secrets, root.get("secrets"));
  for (auto item = secrets.first(); item; item = item->next()) {
    TRY(auto value, secret_of(*item, "secret"));
    release.secrets.emplace_back(item->key(), std::move(value));
  }
  TRY(const auto leaf_key, root.get("leaf_key"));
  TRY(release.leaf_key, secret_of(leaf_key, "leaf_key"));
  return release;
}

Result<base::Bytes> seal(governance::Grant&& grant, const Release& release) {
  const governance::Grant consumed = std::move(grant);
  base::Reader recipient{consumed.recipient()};
  TRY(const auto kem, recipient.u16be("recipient KEM"));
  if (kem != crypto::kHpkeKemX25519) {
    return Error{Code::malformed, "recipient KEM is not supported", "0x0020 (DHKEM X25519, RFC 9180 section 7.1)",
                 std::to_string(kem)};
  }
  const crypto::Secret plain = to_json(release, consumed);
  TRY(const auto sealed, crypto::hpke_seal(recipient.rest(), release_info(consumed.binding()), {}, plain.reveal()),
      "seal");
  base::LpWriter wire;
  wire.u16(crypto::kHpkeKemX25519).u16(crypto::kHpkeKdfHkdfSha256).u16(crypto::kHpkeAeadAes256Gcm);
  wire.lp(sealed.enc).raw(sealed.ciphertext);
  return std::move(wire).take();
}

Result<crypto::Secret> open_sealed(base::ByteView sealed, const crypto::Secret& recipient_private,
                                   const base::FixedBytes<64>& binding) {
  base::Reader in{sealed};
  TRY(const auto kem, in.u16be("KEM id"));
  TRY(const auto kdf, in.u16be("KDF id"));
  TRY(const auto aead, in.u16be("AEAD id"));
  if (kem != crypto::kHpkeKemX25519 || kdf != crypto::kHpkeKdfHkdfSha256 || aead != crypto::kHpkeAeadAes256Gcm) {
    return Error{Code::malformed, "sealed reply: unknown HPKE suite", "0x0020, 0x0001, 0x0002"};
  }
  TRY(const auto enc, in.lp("enc", 4096), "sealed reply");
  return crypto::hpke_open(recipient_private, enc, release_info(binding), {}, in.rest());
}

}  // namespace attestry::provision
