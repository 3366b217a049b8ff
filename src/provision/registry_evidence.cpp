#include "provision/registry_evidence.h"

#include <optional>

#include "provision/registry_operator.h"

namespace attestry::provision {

using attestation::Evidence;
using attestation::EvidenceFormat;
using base::Code;
using base::Error;
using base::Result;

namespace {

Error invalid(std::string what) { return {Code::malformed, "invalid measurements: " + std::move(what)}; }

struct Carrier {
  std::string_view oid;
  EvidenceFormat format;
};
constexpr Carrier kCarriers[] = {{kDcapEvidenceOid, EvidenceFormat::dcap_quote},
                                 {kMaaEvidenceOid, EvidenceFormat::maa_token}};

Result<std::optional<Evidence>> in_request(const crypto::CsrFull& csr) {
  std::optional<Evidence> out;
  for (const auto& [oid, value] : csr.extensions) {
    for (const Carrier& carrier : kCarriers) {
      if (oid != carrier.oid) continue;
      if (out) return invalid("the request carries evidence more than once");
      out = Evidence{.format = carrier.format, .bytes = value};
    }
  }
  return out;
}

}  // namespace

Result<std::optional<Evidence>> evidence_in_certificate(const crypto::Certificate& certificate) {
  std::optional<Evidence> out;
  for (const Carrier& carrier : kCarriers) {
    const auto value = certificate.extension(carrier.oid);
    if (!value) continue;
    if (out) return invalid("the client's certificate carries evidence more than once");
    out = Evidence{.format = carrier.format, .bytes = base::to_bytes(*value)};
  }
  return out;
}

Result<CarriedEvidence> carried_evidence(const crypto::CsrFull& csr, const base::Bytes* client_certificate) {
  TRY(auto requested, in_request(csr));
  std::optional<Evidence> connected;
  bool key_proved = false;
  if (client_certificate != nullptr) {
    TRY(const auto certificate, crypto::Certificate::parse(*client_certificate), "client certificate");
    key_proved = base::equal(certificate.spki(), csr.spki);
    if (key_proved) {
      TRY(connected, evidence_in_certificate(certificate));
    }
  }
  if (requested && connected && requested->bytes != connected->bytes) {
    return invalid("the request and the client's certificate carry different evidence");
  }
  if (!requested) requested = std::move(connected);
  if (!requested) {
    return Error{Code::malformed, "invalid measurements: no evidence",
                 "evidence in the certificate request (extension " + std::string{kDcapEvidenceOid} + " or " +
                     std::string{kMaaEvidenceOid} + "), or a proxy that has authenticated itself",
                 "none"};
  }
  return CarriedEvidence{.evidence = *std::move(requested), .key_proved = key_proved};
}

}  // namespace attestry::provision
