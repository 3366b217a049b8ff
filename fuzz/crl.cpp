// An accepted CRL says the same when it is read again, and its issuer can stand in a CRL of our own.
#include "crypto/hash.h"
#include "crypto/x509.h"
#include "require.h"

using namespace attestry;

namespace {

const crypto::EcPrivateKey& stranger() {
  static const crypto::EcPrivateKey key = [] {
    crypto::SeededRandom random(base::as_bytes("stranger"));
    return crypto::EcPrivateKey::generate(crypto::Curve::p256, random);
  }();
  return key;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto crl = crypto::Crl::parse({data, size});
  if (!crl) return 0;
  REQUIRE(crl->sha256() == crypto::sha256(base::ByteView{data, size}));
  REQUIRE(!crl->signed_by(stranger().public_key()));
  REQUIRE(crl->size() <= size / 8);
  REQUIRE(!crl->revokes(base::Bytes(25, 1)));

  crypto::CrlSpec spec;
  spec.issuer_der = base::to_bytes(crl->issuer_der());
  spec.this_update = {1735689600};
  spec.next_update = {1738281600};
  // Every piece of the input that could be a serial number is looked up and then revoked for real.
  for (std::size_t at = 0; at + 8 <= size && spec.entries.size() < 64; at += 8) {
    const base::Bytes serial(data + at, data + at + 8);
    (void)crl->revokes(serial);
    spec.entries.push_back({serial, spec.this_update});
  }
  const auto der = crypto::issue_crl(spec, stranger(), true);
  REQUIRE(der.ok());
  const auto own = crypto::Crl::parse(*der);
  REQUIRE(own.ok());
  REQUIRE(own->size() == spec.entries.size());
  REQUIRE(own->signed_by(stranger().public_key()));
  for (const crypto::CrlEntry& entry : spec.entries) REQUIRE(own->revokes(entry.serial));
  return 0;
}
