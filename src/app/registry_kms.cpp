#include "app/registry_kms.h"

#include "app/typed_text.h"
#include "app/validate.h"

namespace attestry::app {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

Result<std::vector<curves::Address>> addresses(const Settings& settings, std::string_view name) {
  std::vector<curves::Address> out;
  for (const std::string& text : settings.list(name)) {
    TRY(const auto address, typed_address(text), named(settings, name));
    out.push_back(address);
  }
  return out;
}

}  // namespace

bool follows_contract(const Settings& settings) {
  return settings.list("registry.contracts") == std::vector<std::string>{"kms"};
}

Result<std::unique_ptr<KeyService>> KeyService::open(const Settings& settings, KeyServiceParts parts) {
  auto& random = crypto::system_random();
  TRY(const auto address, typed_address(settings.text("registry.kms_contract")),
      named(settings, "registry.kms_contract"));
  TRY(const auto chain_id, settings.integer("registry.chain_id", 1, INT64_MAX));
  auto out = std::make_unique<KeyService>();
  out->contract = std::make_unique<governance::KmsContract>(parts.reader, parts.strangers,
                                                            static_cast<std::uint64_t>(chain_id), address);
  provision::KmsOperatorRules rules;
  TRY(rules.listed, addresses(settings, "registry.operators"));
  TRY(rules.v1, settings.boolean("registry.admin_v1"));
  TRY(out->kms_operator, provision::RegistryKmsOperator::open(parts.store, *out->contract, std::move(rules), random));
  const bool extended = settings.text("registry.identity") == "extended";
  out->onboarding = std::make_unique<provision::RegistryOnboarding>(
      provision::OnboardingDeps{
          .store = parts.store,
          .log = parts.log,
          .appraiser = parts.appraiser,
          .registry = parts.registry,
          .tenant = parts.tenant,
          .contract = *out->contract,
          .master = parts.master,
          .random = random,
          .run_strangers = std::move(parts.run_strangers),
          .run_waiting = std::move(parts.run_waiting),
          .extended_on = extended ? std::optional{static_cast<std::uint64_t>(chain_id)} : std::nullopt},
      parts.policy);
  if (parts.received == nullptr) return out;
  TRY(out->http, net::HttpClient::make({.ca_file = settings.text("registry.onboard_ca"), .clock = &parts.clock}),
      named(settings, "registry.onboard_ca"));
  out->receiver = std::make_unique<provision::RegistryReceiver>(provision::ReceiverDeps{
      .contract = *out->contract,
      .master = *parts.received,
      .random = random,
      .attest = [&pki = parts.pki](const base::FixedBytes<64>& report_data) { return pki.attest(report_data); }});
  return out;
}

Status check_key_service(const Settings& settings) {
  TRY_OK(addresses(settings, "registry.operators"));
  const std::string& contract = settings.text("registry.kms_contract");
  if (contract.empty()) {
    for (const auto& [name, needs] : {std::pair{"registry.kms", settings.text("registry.kms") == "onboard" &&
                                                                    settings.text("registry.channel_peer").empty()},
                                      std::pair{"registry.contracts", follows_contract(settings)}}) {
      if (!needs) continue;
      return Error{Code::configuration, named(settings, name) + " needs the key service's contract",
                   "registry.kms_contract", settings.text(name), "Deploy one: attestry registry deploy kms."};
    }
    return base::done();
  }
  TRY_OK(typed_address(contract), named(settings, "registry.kms_contract"));
  if (settings.text("registry.governance") == "chain") return base::done();
  return Error{Code::configuration, named(settings, "registry.kms_contract") + " is read from a chain",
               "registry.governance chain", settings.text("registry.governance")};
}

}  // namespace attestry::app
