// Bytes are no certificate chain, or one whose certificates, written as PEM again, read as the same chain. Judging a
// chain never fails otherwise than by a verdict.
#include "attestation/dcap/chain.h"
#include "base/encoding.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace attestry;
  namespace dcap = attestation::dcap;
  const auto chain = dcap::read_chain({data, size}, 4);
  if (!chain) return 0;
  REQUIRE(!chain->empty() && chain->size() <= 4);
  std::string pem;
  for (const auto& certificate : *chain) pem += base::pem_encode("CERTIFICATE", certificate.der());
  const auto again = dcap::read_chain(base::as_bytes(pem), 4);
  REQUIRE(again.has_value() && again->size() == chain->size());
  for (std::size_t i = 0; i < chain->size(); ++i) REQUIRE((*again)[i].sha256() == (*chain)[i].sha256());

  dcap::SignatureCache cache{16};
  dcap::Signatures signatures{cache};
  if (!dcap::judge_pck_format(*chain)) {
    (void)dcap::judge_pck_names(*chain);
    (void)dcap::judge_pck_constraints(*chain);
    const bool good = !dcap::judge_pck_signatures(*chain, signatures);
    // What the cache says the second time is what was computed the first time.
    dcap::Signatures later{cache};
    REQUIRE(good == !dcap::judge_pck_signatures(*chain, later));
  }
  if (!dcap::judge_signing_format(*chain)) (void)dcap::judge_signing_chain(*chain, signatures);
  const attestation::Validity validity = attestation::validity_of(*chain);
  REQUIRE(validity.from > validity.to || !attestation::judge_validity(*chain, validity.to));
  REQUIRE(attestation::judge_validity(*chain, validity.to + 1).has_value());
  return 0;
}
