// A request is accepted only with the key that signed it. The first byte chooses: 'S' signs the rest as the content of
// a request, so that mutations get behind the signature; anything else reads the rest as it is.
#include "crypto/internal/x509_writer.h"
#include "crypto/x509.h"
#include "require.h"

using namespace attestry;

namespace {

const crypto::EcPrivateKey& signer() {
  static const crypto::EcPrivateKey key = [] {
    crypto::SeededRandom random(base::as_bytes("csr"));
    return crypto::EcPrivateKey::generate(crypto::Curve::p256, random);
  }();
  return key;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const base::ByteView rest(data + 1, size - 1);
  const bool sign = data[0] == 'S';
  const auto csr =
      sign ? crypto::parse_csr(crypto::internal::sign_structure(rest, signer(), true)) : crypto::parse_csr(rest);
  if (!csr) return 0;
  REQUIRE(csr->key.spki() == csr->spki);
  REQUIRE(!sign || csr->spki == signer().public_key().spki());
  const auto again = crypto::EcPublicKey::from_spki(csr->spki);
  REQUIRE(again.ok() && again->raw() == csr->key.raw());
  return 0;
}
