// Evidence on the registry's wire: in the certificate request, and in the certificate of attested TLS. Private to
// provision.
#pragma once
#include <memory>
#include <optional>

#include "attestation/evidence.h"
#include "base/result.h"
#include "crypto/x509.h"

namespace attestry::provision {

struct CarriedEvidence {
  attestation::Evidence evidence;
  /// The client proved in this connection's handshake that it holds the request's key: nobody else can use what the
  /// connection brings.
  bool key_proved = false;
};

/// `malformed` when there is none, when there is more than one, or when request and certificate differ.
base::Result<CarriedEvidence> carried_evidence(const crypto::CsrFull& csr, const base::Bytes* client_certificate);

/// What the certificate of a client of attested TLS carries; nullopt: nothing. `malformed` for more than one.
base::Result<std::optional<attestation::Evidence>> evidence_in_certificate(const crypto::Certificate& certificate);

}  // namespace attestry::provision
