// The workload's side of the main job: challenge, evidence, request, and the checks before the reply is opened.
#pragma once
#include <string>
#include <vector>

#include "attestation/binding.h"
#include "audit/receipt.h"
#include "base/ids.h"
#include "base/result.h"
#include "client/trust.h"
#include "crypto/ec.h"
#include "crypto/random.h"
#include "crypto/secret.h"
#include "net/client.h"

namespace attestry::client {

struct ReceivedKey {
  std::string purpose;
  std::string algorithm;
  std::string path;
  crypto::Secret private_key;
  base::Bytes public_key;
};

/// Of an epoch before the present one: for what was written under it.
struct FormerKey {
  std::uint32_t epoch = 0;
  ReceivedKey key;
};

/// What an opened reply holds (docs/formats/reply.md).
struct ReceivedRelease {
  std::string tenant;
  std::string app;
  std::string instance;
  base::UtcTime expires;
  std::string certificate_chain_pem;
  std::vector<ReceivedKey> keys;
  std::vector<FormerKey> former_keys{};
  std::string configuration_id;
  crypto::Secret configuration;
  std::vector<std::pair<std::string, crypto::Secret>> secrets;

  static base::Result<ReceivedRelease> parse(base::ByteView json);
};

struct RegistrationRequest {
  std::string url;  ///< base URL of the server
  base::Tenant tenant = base::Tenant::standard();
  base::AppRef app;
  base::Deadline deadline;
  /// Of this boot, at most one of a kind. Each takes the place of the one of its kind that the attester gives.
  std::vector<attestation::Supplement> event_logs{};
  /// When not null: receives the id of the stored appraisal (64 hex digits) that a refusal names, or "" when it names
  /// none. Outlives the call.
  std::string* refused_appraisal = nullptr;
};

struct Registered {
  ReceivedRelease release;
  audit::VerifiedReceipt receipt;
  std::string receipt_text;
  crypto::Secret signing_key_pkcs8;  ///< of the CSR and the certificate
};

/// Runs the whole registration. The signing key and the recipient key are made here, the latter for this challenge
/// only. `denied` when the receipt is not what `trust` asks for: the reply is then never opened.
base::Result<Registered> register_instance(net::HttpTransport& http, attestation::Attester& attester,
                                           const Trust& trust, const RegistrationRequest& request,
                                           crypto::Random& random);

/// The checks of FORMATS 4 before opening, in order; pure. `statement` is what the evidence was made for.
base::Result<audit::VerifiedReceipt> check_reply(std::string_view receipt, base::ByteView sealed, const Trust& trust,
                                                 const attestation::BindingStatement& statement);

}  // namespace attestry::client
