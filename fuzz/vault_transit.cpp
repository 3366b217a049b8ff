// What clients hand to the transit engine, and what it keeps: no ciphertext opens, and no signature or HMAC holds, that
// the key did not make; a record that is read is written so that it is read again.
#include <string>
#include <vector>

#include "crypto/random.h"
#include "require.h"
#include "secrets/kv_store.h"
#include "secrets/namespaces.h"
#include "secrets/tokens.h"
#include "secrets/transit.h"

namespace {

using namespace attestry;
using secrets::TransitKey;
using secrets::TransitType;

struct Made {
  TransitKey key;
  std::string ciphertext;
  std::string signature;
  std::string hmac;
};

Made make(TransitType type) {
  static crypto::SeededRandom random{base::as_bytes("transit")};
  Made out;
  out.key.type = type;
  REQUIRE(out.key.add(out.key.make_version({}, random)).ok());
  const auto message = base::as_bytes("message");
  if (secrets::encrypts(type)) out.ciphertext = *out.key.encrypt(message, {}, {}, 0, random);
  if (secrets::signs(type)) out.signature = *out.key.sign({.input = message}, 0);
  out.hmac = *out.key.hmac(crypto::HashName::sha2_256, message, 0);
  return out;
}

const std::vector<Made>& all_kinds() {
  static const std::vector<Made> made = [] {
    std::vector<Made> out;
    for (const auto type : {TransitType::aes128_gcm96, TransitType::aes256_gcm96, TransitType::chacha20_poly1305,
                            TransitType::ed25519, TransitType::ecdsa_p256, TransitType::rsa_2048}) {
      out.push_back(make(type));
    }
    return out;
  }();
  return made;
}

/// Mostly such as keep a text readable.
char letter(std::uint8_t byte) {
  constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  return byte < 192 ? kLetters[byte % 64] : static_cast<char>(byte);
}

void use(const Made& made, std::string_view text) {
  const auto message = base::as_bytes("message");
  if (secrets::encrypts(made.key.type)) {
    const auto opened = made.key.decrypt(text, {}, {});
    if (opened) REQUIRE(base::equal(opened->reveal(), message));  // sealed by us, however it is written
  }
  if (secrets::signs(made.key.type)) {
    for (const auto form : {secrets::Marshaling::asn1, secrets::Marshaling::jws}) {
      (void)made.key.verify({.input = message, .marshaling = form}, text);
      const auto other = made.key.verify({.input = base::as_bytes("another"), .marshaling = form}, text);
      REQUIRE(!other || !*other);
    }
  }
  const auto mac = made.key.verify_hmac(crypto::HashName::sha2_256, base::as_bytes("another"), text);
  REQUIRE(!mac || !*mac);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const base::ByteView bytes{data, size};
  for (const Made& made : all_kinds()) {
    use(made, base::as_text(bytes));
    // What differs from a good one in a few places only.
    for (std::string good : {made.ciphertext, made.signature, made.hmac}) {
      for (std::size_t i = 0; i + 1 < size && i < 8 && !good.empty(); i += 2) {
        good[data[i] % good.size()] = letter(data[i + 1]);
      }
      use(made, good);
    }
  }
  if (const auto key = TransitKey::decode("k", bytes); key) REQUIRE(TransitKey::decode("k", key->encode()).ok());
  if (const auto space = secrets::decode_namespace(bytes, "a"); space) {
    REQUIRE(*secrets::decode_namespace(secrets::encode_namespace(*space), "a") == *space);
  }
  if (const auto token = secrets::decode_token(bytes, {}); token) {
    REQUIRE(secrets::decode_token(secrets::encode_token(*token), {}).ok());
  }
  if (const auto metadata = secrets::decode_metadata(bytes); metadata) {
    REQUIRE(secrets::decode_metadata(secrets::encode_metadata(*metadata)).ok());
  }
  return 0;
}
