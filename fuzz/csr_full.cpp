// A request that is read whole is signed by its own key, within its bounds, and asks for the same when it is written
// anew. The first byte chooses: 'S' signs the rest as the content of a request; anything else reads it as it is.
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
  const base::Bytes whole = sign ? crypto::internal::sign_structure(rest, signer(), true) : base::to_bytes(rest);
  const auto csr = crypto::parse_csr_full(whole);
  if (!csr) return 0;
  REQUIRE(!sign || csr->spki == signer().public_key().spki());
  REQUIRE(!sign || crypto::parse_csr(whole).ok());
  REQUIRE(csr->dns.size() + csr->ips.size() <= 128 && csr->extensions.size() <= 64);
  crypto::CsrSpec spec{.subject = {}, .dns = csr->dns, .ips = csr->ips, .extensions = {}};
  for (const auto& [oid, value] : csr->extensions) {
    if (oid != "2.5.29.17") spec.extensions.push_back({oid, false, value});
  }
  if (spec.extensions.size() == 64) spec.extensions.pop_back();
  const auto again = crypto::make_csr(spec, signer());
  if (!again) return 0;  // an arc of an object identifier beyond 64 bits
  const auto read = crypto::parse_csr_full(*again);
  REQUIRE(read.ok() && read->dns == csr->dns && read->ips == csr->ips);
  return 0;
}
