// Evidence that counts stood, byte for byte, in the request or in the certificate of a client that has the request's
// key; two different ones are refused. Flags (1 the client has the key, 2 DCAP, 4 MAA, 8 DCAP once more in the request,
// 16 a client's certificate), the length of the request's evidence, that evidence, the certificate's DER.
#include <algorithm>

#include "provision/registry_evidence.h"
#include "provision/registry_operator.h"
#include "require.h"

using namespace attestry;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const unsigned flags = data[0];
  const base::ByteView rest(data + 2, size - 2);
  const std::size_t length = std::min<std::size_t>(data[1], rest.size());
  const base::Bytes carried = base::to_bytes(rest.first(length));
  const base::Bytes der = base::to_bytes(rest.subspan(length));
  const auto certificate = crypto::Certificate::parse(der);
  crypto::CsrFull csr{.spki = {}, .subject_der = {}, .common_name = {}, .dns = {}, .ips = {}, .extensions = {}};
  const bool has_key = (flags & 1) != 0 && certificate.ok();
  if (has_key) csr.spki = base::to_bytes(certificate->spki());
  const auto add = [&](std::string_view oid) { csr.extensions.emplace_back(std::string{oid}, carried); };
  if ((flags & 2) != 0) add(provision::kDcapEvidenceOid);
  if ((flags & 4) != 0) add(provision::kMaaEvidenceOid);
  if ((flags & 8) != 0) add(provision::kDcapEvidenceOid);
  const bool connected = (flags & 16) != 0;
  const auto found = provision::carried_evidence(csr, connected ? &der : nullptr);
  if (csr.extensions.size() > 1 || (connected && !certificate)) REQUIRE(!found.ok());
  if (!found) return 0;
  REQUIRE(found->key_proved == (connected && has_key && !csr.spki.empty()));
  const auto in_certificate = [&](std::string_view oid) {
    const auto value = certificate.ok() ? certificate->extension(oid) : std::nullopt;
    return found->key_proved && value && base::equal(*value, found->evidence.bytes);
  };
  const bool requested = !csr.extensions.empty() && found->evidence.bytes == carried;
  REQUIRE(requested || in_certificate(provision::kDcapEvidenceOid) || in_certificate(provision::kMaaEvidenceOid));
  return 0;
}
