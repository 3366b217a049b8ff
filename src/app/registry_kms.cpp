#include "app/registry_kms.h"

#include "app/validate.h"

namespace attestry::app {

using base::Result;

Result<std::unique_ptr<KeyService>> KeyService::open(const Settings& settings, const RegistrySettings& said,
                                                     KeyServiceParts parts) {
  auto& random = crypto::system_random();
  auto out = std::make_unique<KeyService>();
  out->contract = std::make_unique<governance::KmsContract>(parts.reader, parts.strangers, said.chain.chain_id,
                                                            *said.kms_contract, parts.clock, parts.proofs);
  provision::KmsOperatorRules rules;
  rules.listed = said.operators;
  rules.v1 = said.v1_requests;
  TRY(out->kms_operator, provision::RegistryKmsOperator::open(parts.store, *out->contract, std::move(rules), random));
  out->onboarding = std::make_unique<provision::RegistryOnboarding>(
      provision::OnboardingDeps{.store = parts.store,
                                .log = parts.log,
                                .appraiser = parts.appraiser,
                                .registry = parts.registry,
                                .tenant = parts.tenant,
                                .contract = *out->contract,
                                .master = parts.master,
                                .random = random,
                                .run_strangers = std::move(parts.run_strangers),
                                .run_waiting = std::move(parts.run_waiting),
                                .extended_on = said.extended ? std::optional{said.chain.chain_id} : std::nullopt},
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

}  // namespace attestry::app
