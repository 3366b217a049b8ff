#include "app/wire_vault.h"

#include <chrono>

#include "api/vault.h"
#include "app/vault_settings.h"
#include "app/version.h"

namespace attestry::app {

using base::Result;
using base::Status;

namespace {

constexpr std::chrono::seconds kPatience{60};

class VaultService final : public Service {
 public:
  VaultService(VaultSettings said, const ServiceParts& parts)
      : said_(std::move(said)), parts_(parts), kv_(parts.secrets), transit_(parts.secrets, parts.store) {}

  Status open() {
    TRY(namespaces_, secrets::Namespaces::open(parts_.store, std::chrono::steady_clock::now() + kPatience));
    TRY(tokens_, secrets::Tokens::open(parts_.store));
    login_ = std::make_unique<secrets::AttestedLogin>(secrets::LoginDeps{.store = parts_.store,
                                                                         .log = parts_.log,
                                                                         .appraiser = parts_.appraiser,
                                                                         .challenges = parts_.challenges,
                                                                         .registry = parts_.registry,
                                                                         .appraisals = parts_.appraisals,
                                                                         .tokens = *tokens_,
                                                                         .random = parts_.random,
                                                                         .ttl = said_.login_seconds});
    deps_ = std::make_unique<api::VaultDeps>(api::VaultDeps{.store = parts_.store,
                                                            .log = parts_.log,
                                                            .secrets = parts_.secrets,
                                                            .namespaces = *namespaces_,
                                                            .tokens = *tokens_,
                                                            .kv = kv_,
                                                            .transit = transit_,
                                                            .login = *login_,
                                                            .random = parts_.random,
                                                            .clock = parts_.clock,
                                                            .lane = lane_,
                                                            .version = std::string{kVersion},
                                                            .bind_tokens = said_.bind_tokens,
                                                            .default_ttl = said_.token_seconds});
    return base::done();
  }

  Status add_routes(net::Router& router) override { return api::register_vault(router, *deps_); }

  Result<std::vector<std::pair<std::string, net::Listener>>> listeners(std::string_view chain_pem,
                                                                       std::string_view key_pem) const override {
    net::Listener listener{said_.listen, {net::Role::vault}};
    if (!chain_pem.empty() && !said_.listen.starts_with("unix:")) {
      // Workloads show the key that they attested.
      TRY(listener.tls,
          net::TlsServerContext::from_pem(chain_pem, key_pem, {.certificates = net::TlsClients::Certificates::asked}));
    }
    std::vector<std::pair<std::string, net::Listener>> out;
    out.emplace_back("vault", std::move(listener));
    return out;
  }

  void stop() override { lane_.stop(); }

 private:
  static constexpr api::FairLaneOptions kLane{.threads = 2, .threads_of_one = 1, .waiting = 256, .waiting_of_one = 7};
  const VaultSettings said_;
  const ServiceParts parts_;
  secrets::KvStore kv_;
  secrets::Transit transit_;
  std::unique_ptr<secrets::Namespaces> namespaces_;
  std::unique_ptr<secrets::Tokens> tokens_;
  std::unique_ptr<secrets::AttestedLogin> login_;
  std::unique_ptr<api::VaultDeps> deps_;
  api::FairLane lane_{kLane};
};

}  // namespace

Result<std::unique_ptr<Service>> open_vault(const Settings& settings, const ServiceParts& parts) {
  std::vector<base::Error> mistakes;
  auto said = read_vault_settings(settings, mistakes);
  if (!mistakes.empty()) return mistakes.front();
  if (said.listen.empty()) return std::unique_ptr<Service>{};
  auto service = std::make_unique<VaultService>(std::move(said), parts);
  TRY_OK(service->open(), "vault");
  return std::unique_ptr<Service>{std::move(service)};
}

}  // namespace attestry::app
