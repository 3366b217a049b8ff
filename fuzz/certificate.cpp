// An accepted certificate gives only views into itself, and its subject can stand as issuer of another certificate that
// is accepted in turn. Nothing verifies under a key that signed nothing.
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

bool inside(base::ByteView part, base::ByteView whole) {
  return part.empty() || (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

void issue_below(const crypto::Certificate& parent) {
  crypto::CertificateSpec spec;
  spec.serial = {1};
  spec.subject = {{"2.5.4.3", "child"}};
  spec.issuer_der = base::to_bytes(parent.subject_der());
  spec.not_before = {1735689600};
  spec.not_after = {2556144000};
  spec.spki = base::to_bytes(parent.spki());
  const auto der = crypto::issue_certificate(spec, stranger(), true);
  REQUIRE(der.ok());
  const auto child = crypto::Certificate::parse(*der);
  REQUIRE(child.ok());
  REQUIRE(child->issuer_cn() == parent.subject_cn());
  REQUIRE(base::equal(child->issuer_der(), parent.subject_der()));
  REQUIRE(child->ec_key().has_value() == parent.ec_key().has_value());
  REQUIRE(child->signed_by(stranger().public_key()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto parsed = crypto::Certificate::parse({data, size});
  if (!parsed) return 0;
  REQUIRE(base::equal(parsed->der(), {data, size}));
  REQUIRE(parsed->sha256() == crypto::sha256(base::ByteView{data, size}));
  for (const base::ByteView part : {parsed->subject_der(), parsed->issuer_der(), parsed->serial(), parsed->spki()}) {
    REQUIRE(inside(part, parsed->der()));
  }
  for (const std::string& oid : parsed->unknown_critical_extensions()) {
    const auto value = parsed->extension(oid);
    REQUIRE(!oid.empty() && (!value || inside(*value, parsed->der())));
  }
  REQUIRE(!parsed->path_length() || parsed->is_ca());
  REQUIRE(!parsed->is_ca() || parsed->has_basic_constraints());
  REQUIRE(!parsed->signed_by(stranger().public_key()));
  issue_below(*parsed);
  return 0;
}
