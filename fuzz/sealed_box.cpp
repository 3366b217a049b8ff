// What was sealed opens to the same, nothing else opens. The first byte chooses: 'o' opens the rest as a box; anything
// else seals the rest, opens it, and opens it again with one bit changed.
#include "curves/nacl_box.h"
#include "require.h"

using namespace attestry;

namespace {

const curves::BoxPrivateKey& key() {
  static const curves::BoxPrivateKey made = [] {
    crypto::SeededRandom random(base::as_bytes("sealed box"));
    return curves::BoxPrivateKey::generate(random);
  }();
  return made;
}

void seals(base::ByteView plain) {
  crypto::SeededRandom random(plain);
  auto box = curves::sealed_box_seal(key().public_key(), plain, random);
  REQUIRE(box.ok() && box->size() == plain.size() + curves::kSealedBoxOverhead);
  const auto opened = curves::sealed_box_open(key(), *box);
  REQUIRE(opened.ok() && base::equal(opened->reveal(), plain));
  const std::size_t at = plain.empty() ? 31 : plain[0];
  (*box)[at % box->size()] ^= 0x80;
  REQUIRE(!curves::sealed_box_open(key(), *box).ok());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const base::ByteView rest(data + 1, size - 1);
  if (data[0] != 'o') {
    seals(rest);
    return 0;
  }
  const auto opened = curves::sealed_box_open(key(), rest);
  REQUIRE(!opened.ok() || opened->size() + curves::kSealedBoxOverhead == rest.size());
  return 0;
}
