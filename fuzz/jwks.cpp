// Text is no key set, or one in which every key has a name and is either usable for RS256 or says why it is not; and a
// usable key comes back the same from its own numbers.
#include "attestation/maa/jwks.h"
#include "base/encoding.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace attestry;
  namespace maa = attestation::maa;
  const auto set = maa::parse_jwks(base::as_text({data, size}));
  if (!set) return 0;
  REQUIRE(set->keys.size() <= 256);
  for (const maa::Jwk& jwk : set->keys) {
    REQUIRE(!jwk.kid.empty());
    REQUIRE(jwk.key.has_value() == jwk.problem.empty());
    if (!jwk.key) continue;
    REQUIRE(jwk.key->bits() >= 2048);
    const auto again = maa::parse_jwks(R"({"keys":[{"kty":"RSA","kid":"k","n":")" + base::base64url(jwk.key->n()) +
                                       R"(","e":")" + base::base64url(jwk.key->e()) + R"("}]})");
    REQUIRE(again && again->keys.size() == 1 && again->keys[0].key);
    REQUIRE(again->keys[0].key->spki() == jwk.key->spki());
  }
  return 0;
}
