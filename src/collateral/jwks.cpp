#include "collateral/jwks.h"

#include "collateral/internal/get_document.h"

namespace attestry::collateral {

base::Result<Fetched> JwksClient::fetch(const attestation::JwksOf& keys, base::Deadline deadline,
                                        Trouble& trouble) const {
  const std::string address = url(keys);
  // Over plain HTTP anybody on the way could be the issuer.
  if (!address.starts_with("https://")) {
    return base::Error{base::Code::unavailable, address, "an https:// address", "another"};
  }
  TRY(const net::Response response,
      internal::get_document(transport_, {address, deadline, options_.max_bytes}, trouble), "jwks");
  if (const auto set = attestation::maa::parse_jwks(response.body); !set) {
    return base::Error{base::Code::unavailable, address + ": " + set.error().what, "a key set (RFC 7517)",
                       std::to_string(response.body.size()) + " bytes of something else"};
  }
  Fetched out{.items = {}, .source = address};
  out.items.push_back(
      {.kind = attestation::CollateralKind::jwks, .bytes = base::to_bytes(response.body), .origin = keys.issuer});
  return out;
}

}  // namespace attestry::collateral
