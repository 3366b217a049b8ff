// Key sets of token issuers (RFC 7517): GET <issuer>/certs, as Microsoft Azure Attestation serves them. Which issuers
// there are is configured; nothing in a token ever says where to ask.
#pragma once
#include <string>

#include "attestation/artefact.h"
#include "attestation/maa/jwks.h"
#include "base/result.h"
#include "base/time.h"
#include "collateral/fetcher.h"
#include "net/client.h"

namespace attestry::collateral {

struct JwksOptions {
  std::size_t max_bytes = attestation::maa::kMaxSetBytes;  ///< of one reply
};

/// Thread-safe; `transport` must outlive it. A key set carries no signature: that it is the issuer's is known from the
/// TLS connection alone, so the transport must verify certificates.
class JwksClient {
 public:
  explicit JwksClient(net::HttpTransport& transport, JwksOptions options = {})
      : transport_(transport), options_(options) {}

  /// The set as it was sent, if it is one. Errors as of Fetcher::fetch.
  base::Result<Fetched> fetch(const attestation::JwksOf& keys, base::Deadline deadline, Trouble& trouble) const;
  static std::string url(const attestation::JwksOf& keys) { return keys.issuer + "/certs"; }

 private:
  net::HttpTransport& transport_;
  JwksOptions options_;
};

}  // namespace attestry::collateral
