#include "app/vault_settings.h"

namespace attestry::app {
namespace {

constexpr SettingInfo kVault[] = {
    {"vault.listen", "", "the HTTP API in the shapes of Vault: address; empty: not offered"},
    {"vault.plaintext", "false",
     "with tls.mode off on any address: TLS ends in front of it, and whoever is in between reads every secret"},
    {"vault.token_seconds", "2764800", "life of a token whose maker names none"},
    {"vault.login_seconds", "3600", "life of a token that an attested login gives, until it is renewed"},
    {"vault.bind_tokens", "true",
     "a token of an attested login is good only over TLS with a certificate of the attested key; with tls.mode off, "
     "where TLS ends somewhere else, only `false` lets workloads in"},
};

}  // namespace

std::span<const SettingInfo> vault_setting_infos() noexcept { return kVault; }

VaultSettings read_vault_settings(const Settings& settings, std::vector<base::Error>& mistakes) {
  VaultSettings out;
  out.listen = settings.text("vault.listen");
  const auto seconds = [&](std::string_view name, std::int64_t& into) {
    const auto value = settings.integer(name, 60, 320LL * 86400);
    if (value) {
      into = *value;
    } else {
      mistakes.push_back(value.error());
    }
  };
  seconds("vault.token_seconds", out.token_seconds);
  seconds("vault.login_seconds", out.login_seconds);
  const auto bind = settings.boolean("vault.bind_tokens");
  if (bind) {
    out.bind_tokens = *bind;
  } else {
    mistakes.push_back(bind.error());
  }
  return out;
}

}  // namespace attestry::app
