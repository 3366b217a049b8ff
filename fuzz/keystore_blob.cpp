// Of a keystore's blobs none that nobody sealed opens, and the dispatch says of every other what its size and its first
// byte say.
#include "crypto/secret.h"
#include "require.h"
#include "secrets/keystore_ciphertext.h"
#include "secrets/keystore_v0.h"

namespace {

using namespace attestry;
namespace keystore = secrets::keystore;

const crypto::Secret& master() {
  static const crypto::Secret value = crypto::Secret::copy_of(base::as_bytes("M-1 regression fixture ........."));
  return value;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const base::ByteView blob{data, size};
  static keystore::SealingKeyCache cache;
  const keystore::Seed seed = *keystore::Seed::repo("github.com/alice/project", "alice.near", "main");
  const keystore::MasterKey key{"", master(), 7};
  for (const bool broken : {false, true}) {
    const auto opened = keystore::open_blob(key, seed, blob, {.public_key_as_key = broken}, cache);
    if (opened) {
      REQUIRE(broken || !opened->legacy);
      REQUIRE(opened->v3.has_value() == keystore::is_blob_v3(blob));
      const std::size_t overhead =
          opened->legacy ? 28 : (opened->v3 ? keystore::kBlobV3Overhead : keystore::kEciesV1Overhead);
      REQUIRE(opened->plaintext.size() + overhead == size);
    } else {
      const bool too_short = opened.error().what.starts_with("Encrypted data too short");
      REQUIRE(too_short == (size < keystore::kMinBlobBytes));
    }
  }
  if (const auto header = keystore::read_blob_v3_header(blob); header) REQUIRE(keystore::is_blob_v3(blob));
  // XOR opens everything, and opens it back.
  const auto v0 = keystore::V0Key::from_seed(base::FixedBytes<32>{1});
  const auto text = keystore::broken_v0_xor(v0->public_key(), blob);
  const auto back = keystore::broken_v0_xor(v0->public_key(), text.reveal());
  REQUIRE(base::equal(back.reveal(), blob));
  return 0;
}
