#include "provision/release.h"

#include <algorithm>

#include "attestation/sealed_reply.h"
#include "base/encoding.h"
#include "base/json_writer.h"

namespace attestry::provision {

using base::Result;

namespace {

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

/// The members of a key, in braces that the caller closes.
void begin_key(SecretText& out, const keys::DerivedKey& key, bool first) {
  out.add(first ? "{" : ",{");
  out.add_text("purpose", key.purpose);
  out.add(",");
  out.add_text("algorithm", keys::to_text(key.algorithm));
  out.add(",");
  out.add_text("path", key.path);
  out.add(",");
  out.add_secret("private", key.private_key);
  out.add(",");
  out.add_text("public", base::base64url(key.public_key));
}

void add_keys(SecretText& out, const Release& release) {
  out.add("\"keys\":[");
  for (std::size_t i = 0; i < release.keys.size(); ++i) {
    begin_key(out, release.keys[i], i == 0);
    out.add("}");
  }
  out.add("],\"former_keys\":[");
  for (std::size_t i = 0; i < release.former_keys.size(); ++i) {
    const auto& [epoch, key] = release.former_keys[i];
    begin_key(out, key, i == 0);
    out.add(",\"epoch\":" + std::to_string(epoch) + "}");
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
  add_keys(out, release);
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

Result<base::Bytes> seal(governance::Grant&& grant, const Release& release) {
  const governance::Grant consumed = std::move(grant);
  const crypto::Secret plain = to_json(release, consumed);
  return attestation::seal_reply(consumed.recipient(), consumed.binding(), plain.reveal());
}

}  // namespace attestry::provision
