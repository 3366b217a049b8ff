// What a registry says publicly of an app: its CA and key, with evidence over both that is verified here.
#pragma once
#include <string>

#include "app/cli.h"
#include "app/verify_inputs.h"
#include "base/bytes.h"
#include "base/result.h"
#include "curves/address.h"
#include "net/client.h"

namespace attestry::app {

/// Exactly as it was said: the evidence is about these bytes.
struct RegistryMetadata {
  std::string ca_pem;
  std::string pubkey_pem;
  base::Bytes attestation;
};
/// GET /api/public/pki/<address>, or app_metadata of registries that do not know that. `denied` or `unavailable` with
/// the server's line when it has no answer.
base::Result<RegistryMetadata> fetch_registry_metadata(net::HttpTransport& http, const std::string& server,
                                                       const curves::Address& contract, base::Deadline deadline);
/// The evidence must be genuine, be about exactly this CA and this key for this contract (docs/formats/registry.md),
/// and come from a TEE that `inputs.policy` accepts. Sets evidence and report data itself.
base::Status check_registry_metadata(Context& context, VerifyInputs inputs, const curves::Address& contract,
                                     const RegistryMetadata& metadata);
/// `evidence` must be accepted under `inputs` with that report data (hex; empty: any); the verdict.
base::Result<JudgedEvidence> judge_bytes(Context& context, VerifyInputs inputs, base::ByteView evidence,
                                         const std::string& report_data);

}  // namespace attestry::app
