// What was sealed opens to the same, nothing else opens. The first byte chooses: '1' and '2' read the rest as a blob of
// that version for a key on P-256, '3' and '4' for one on P-521; anything else seals the rest, and then opens it, on
// P-521 when it is odd.
#include "curves/ecies.h"
#include "require.h"

using namespace attestry;

namespace {

const crypto::EcPrivateKey& key(crypto::Curve curve) {
  static const auto make = [](crypto::Curve on) {
    crypto::SeededRandom random(base::as_bytes("ecies"));
    return crypto::EcPrivateKey::generate(on, random);
  };
  static const crypto::EcPrivateKey p256 = make(crypto::Curve::p256);
  static const crypto::EcPrivateKey p521 = make(crypto::Curve::p521);
  return curve == crypto::Curve::p521 ? p521 : p256;
}

void seals(const crypto::EcPrivateKey& key, base::ByteView plain) {
  crypto::SeededRandom random(plain);
  auto v1 = curves::ecies_v1_seal(key.public_key(), plain, random);
  auto v2 = curves::ecies_v2_seal(key.public_key(), "fuzz", plain, random);
  REQUIRE(v1.ok() && v2.ok());
  REQUIRE(!curves::is_ecies_v2(*v1) && curves::is_ecies_v2(*v2));
  const auto one = curves::ecies_v1_open(key, *v1);
  const auto two = curves::ecies_v2_open(key, "fuzz", *v2);
  REQUIRE(one.ok() && base::equal(one->reveal(), plain));
  REQUIRE(two.ok() && base::equal(two->reveal(), plain));
  REQUIRE(!curves::ecies_v2_open(key, "other", *v2).ok());
  const std::size_t at = plain.empty() ? 0 : plain[0];
  (*v1)[at % v1->size()] ^= 1;
  (*v2)[at % v2->size()] ^= 1;
  REQUIRE(!curves::ecies_v1_open(key, *v1).ok());
  REQUIRE(!curves::ecies_v2_open(key, "fuzz", *v2).ok());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const base::ByteView rest(data + 1, size - 1);
  if (data[0] == '1' || data[0] == '3') {
    const bool p256 = data[0] == '1';
    const auto opened = curves::ecies_v1_open(key(p256 ? crypto::Curve::p256 : crypto::Curve::p521), rest);
    REQUIRE(!opened.ok() || opened->size() + (p256 ? 95 : 163) == rest.size());
  } else if (data[0] == '2' || data[0] == '4') {
    const bool p256 = data[0] == '2';
    const auto opened = curves::ecies_v2_open(key(p256 ? crypto::Curve::p256 : crypto::Curve::p521), "fuzz", rest);
    REQUIRE(!opened.ok() || (curves::is_ecies_v2(rest) && opened->size() + (p256 ? 86 : 154) == rest.size()));
  } else {
    seals(key((data[0] & 1) == 0 ? crypto::Curve::p256 : crypto::Curve::p521), rest);
  }
  return 0;
}
