#include "attestation/anchors.h"

#include <algorithm>

#include "base/encoding.h"
#include "crypto/hash.h"
#include "crypto/x509.h"

namespace attestry::attestation {
namespace {

// Intel SGX Root CA, SubjectPublicKeyInfo. Two certificates exist for this key (notAfter 2033 and 2049), so the key is
// what is pinned. SHA-256 a0af031289f5d5d4132f9186068a7fc13628633ba235777472e29b6b6c67a49e.
constexpr std::string_view kIntelSgxRootSpki =
    "3059301306072a8648ce3d020106082a8648ce3d030107034200040ba9c4c0c0c86193a3fe23d6b02cda10a8bbd4e88e48b4458561a36e7055"
    "25f567918e2edc88e40d860bd0cc4ee26aacc988e505a953558c453f6b0904ae7394";

}  // namespace

const ProductionRoot& ProductionRoot::intel_sgx() {
  static const ProductionRoot root{"Intel SGX Root CA", base::hex_decode(kIntelSgxRootSpki).value_or(base::Bytes{})};
  return root;
}

base::Result<TestRoot> TestRoot::from_certificate(base::ByteView pem_or_der) {
  base::Bytes der = base::to_bytes(pem_or_der);
  // DER certificates begin with a SEQUENCE; everything else is read as PEM.
  if (pem_or_der.empty() || pem_or_der.front() != 0x30) {
    TRY(std::vector<base::PemBlock> blocks, base::pem_decode(base::as_text(pem_or_der)), "root certificate");
    if (blocks.empty() || blocks.front().label != "CERTIFICATE") {
      return base::Error{base::Code::malformed, "root certificate: no PEM certificate", "-----BEGIN CERTIFICATE-----"};
    }
    der = std::move(blocks.front().der);
  }
  TRY(const crypto::Certificate certificate, crypto::Certificate::parse(der), "root certificate");
  if (!certificate.ec_key()) {
    return base::Error{base::Code::malformed, "root certificate: not an EC key on a known curve"};
  }
  // Trusting Intel's key as a test root would call real evidence simulated.
  if (base::equal(certificate.spki(), ProductionRoot::intel_sgx().spki())) {
    return base::Error{base::Code::malformed,
                       "this is a production root, it is trusted without being named",
                       {},
                       {},
                       "Leave --trust away to verify production evidence."};
  }
  return TestRoot{base::to_bytes(certificate.spki())};
}

TrustAnchors TrustAnchors::production() { return {base::Realm::production, {ProductionRoot::intel_sgx().spki()}}; }

TrustAnchors TrustAnchors::simulated(std::vector<TestRoot> roots) {
  std::vector<base::Bytes> spkis;
  spkis.reserve(roots.size());
  for (TestRoot& root : roots) spkis.push_back(std::move(root).spki());
  return {base::Realm::simulated, std::move(spkis)};
}

TrustAnchors::TrustAnchors(base::Realm realm, std::vector<base::Bytes> spkis)
    : realm_(realm), spkis_(std::move(spkis)) {
  std::ranges::sort(spkis_);
  const auto repeated = std::ranges::unique(spkis_);
  spkis_.erase(repeated.begin(), repeated.end());
  base::LpWriter digest_input;
  digest_input.lp("attestry/anchors/1").lp(base::to_text(realm_));
  for (const base::Bytes& spki : spkis_) digest_input.lp(spki);
  sha256_ = crypto::sha256(digest_input.bytes());
}

bool TrustAnchors::trusts(base::ByteView spki) const noexcept {
  return std::ranges::any_of(spkis_, [&](const base::Bytes& anchor) { return base::equal(anchor, spki); });
}

}  // namespace attestry::attestation
