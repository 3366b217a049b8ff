#include "secrets/keystore_ciphertext.h"

#include <gtest/gtest.h>

#include <string>

#include "base/base58.h"
#include "base/encoding.h"
#include "crypto/aead.h"
#include "crypto/ec.h"
#include "crypto/hash.h"
#include "secrets/keystore_v0.h"

namespace attestry::secrets::keystore {
namespace {

using base::Bytes;
using base::Code;
using std::string_view_literals::operator""sv;
using crypto::Secret;

constexpr std::string_view kPlain = R"({"API_KEY":"sk-test"})";

Secret fixture() { return Secret::copy_of(base::as_bytes("M-1 regression fixture .........")); }
Seed seed() { return *Seed::repo("github.com/alice/project", "alice.near", "main"); }

/// Gives 0102…20 as a scalar, 000102…0b as a nonce.
class Counting final : public crypto::Random {
 public:
  void fill(std::span<std::uint8_t> out) override {
    std::uint8_t next = out.size() == 32 ? 1 : 0;
    for (std::uint8_t& byte : out) byte = next++;
  }
};

const std::string kEcies =
    "0107a37cbc142093c8b755dc1b10e86cb426374ad16aa853ed0bdfc0b2b86d1c7c000102030405060708090a0b62bf920145daf9035634c825"
    "3593d333765866efc4694f1a53d458b1f6b25fcfa7f8a47d74";
const std::string kLegacy =
    "000102030405060708090a0bcc4859798f508ae0c6d767e361be46b46db4d36ae8f15a7d5d15d52659e8e343f43cb28052";

std::string open(const Bytes& blob, const BrokenCiphers& allowed = {}) {
  SealingKeyCache cache;
  const Secret master = fixture();
  const auto opened = open_blob({"default", master, 7}, seed(), blob, allowed, cache);
  return opened ? std::string{base::as_text(opened->plaintext.reveal())} : opened.error().what;
}

TEST(KeystoreCiphertext, EciesV1AsOthersWriteIt) {
  Counting random;
  const SealingKey key = ecies_key(fixture(), seed());
  const auto blob = ecies_v1_seal(key.public_key, base::as_bytes(kPlain), random);
  ASSERT_TRUE(blob.ok());
  EXPECT_EQ(base::hex(*blob), kEcies);
  EXPECT_EQ(blob->size(), kPlain.size() + kEciesV1Overhead);
  EXPECT_EQ(open(*blob), kPlain);
  EXPECT_EQ(open(*ecies_v1_seal(key.public_key, {}, random)), "");
}

TEST(KeystoreCiphertext, EciesV1ByItsSteps) {
  // keystore_ckd.md 4.6: what the blob above is made of.
  const Bytes blob = *base::hex_decode(kEcies);
  const Bytes ephemeral = *base::hex_decode("0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20");
  EXPECT_EQ(base::hex(crypto::x25519_public(ephemeral)), kEcies.substr(2, 64));
  const auto shared = crypto::x25519_agree(ephemeral, ecies_key(fixture(), seed()).public_key);
  ASSERT_TRUE(shared.ok());
  EXPECT_EQ(base::hex(shared->reveal()), "69db64af955bdf9a39716a944e0f038cf672a9290e06b206b93cd5aaee038961");
  const Secret key = crypto::hkdf_sha256({}, shared->reveal(), base::as_bytes("outlayer-keystore-v1"), 32);
  EXPECT_EQ(base::hex(key.reveal()), "f8256453040a730e3a24e5083bdfa077d4b7959214685e022ee5c3110a1aff4d");
  const auto sealed =
      crypto::chacha20poly1305_seal(key.reveal(), base::ByteView{blob}.subspan(33, 12), base::as_bytes(kPlain), {});
  ASSERT_TRUE(sealed.ok());
  EXPECT_EQ(base::hex(*sealed), kEcies.substr(90));
}

TEST(KeystoreCiphertext, EveryByteOfABlobCounts) {
  const Bytes blob = *base::hex_decode(kEcies);
  const SealingKey key = ecies_key(fixture(), seed());
  for (std::size_t i = 0; i < blob.size(); ++i) {
    Bytes other = blob;
    other[i] ^= 1;
    EXPECT_FALSE(open_blob(key, other, {}, {}).ok()) << i;
  }
  EXPECT_FALSE(open_blob(ecies_key(fixture(), Seed::vrf()), blob, {}, {}).ok());
}

TEST(KeystoreCiphertext, AnAllZeroSharedPointIsRefused) {
  Bytes blob = *base::hex_decode(kEcies);
  std::fill_n(blob.begin() + 1, 32, std::uint8_t{0});
  // What the original would take: everybody knows this key.
  const auto known = crypto::hkdf_sha256({}, base::FixedBytes<32>{}, base::as_bytes("outlayer-keystore-v1"), 32);
  const Bytes sealed =
      *crypto::chacha20poly1305_seal(known.reveal(), base::ByteView{blob}.subspan(33, 12), base::as_bytes("mine"), {});
  blob.resize(45);
  base::append(blob, sealed);
  const auto opened = ecies_v1_open(ecies_key(fixture(), seed()).scalar.reveal(), blob);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().what, "X25519 public key of small order");
  Counting random;
  EXPECT_FALSE(ecies_v1_seal(base::FixedBytes<32>{}, base::as_bytes("x"), random).ok());
}

TEST(KeystoreCiphertext, KeysOfOpenedBlobsAreRemembered) {
  SealingKeyCache cache;
  const Secret master = fixture();
  const Secret other = Secret::copy_of(base::as_bytes("another master of the same length"sv.substr(0, 32)));
  Counting random;
  const Bytes v1 = *base::hex_decode(kEcies);
  const Bytes v3 =
      *blob_v3_seal(sealing_key_v3(master, seed()).public_key, seed(), 7, 3, base::as_bytes(kPlain), random);
  for (const Bytes& blob : {v1, v3}) {
    cache.clear();
    const auto opens = [&](std::string_view scope, const Secret& with, const Bytes& bytes) {
      return open_blob({scope, with, 7}, seed(), bytes, {}, cache).ok();
    };
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(opens("default/7", master, blob));
    EXPECT_EQ(cache.size(), 2u);  // the seed's key and the blob's
    // What is remembered opens nothing that it should not.
    EXPECT_FALSE(opens("vault/7", other, blob));
    Bytes changed = blob;
    changed.back() ^= 1;
    EXPECT_FALSE(opens("default/7", master, changed));
    EXPECT_FALSE(open_blob({"default/7", master, 7}, Seed::vrf(), blob, {}, cache).ok());
    EXPECT_TRUE(opens("default/7", master, blob));
    EXPECT_EQ(cache.size(), 4u);  // and two keys of seeds: blobs that do not open leave nothing
  }
}

// Finding 1: no confidentiality; read only when an operator says so.
TEST(KeystoreCiphertext, BlobsUnderAPublicKeyAreReadOnlyOnDemand) {
  const Bytes blob = *base::hex_decode(kLegacy);
  const auto key = ed25519_key(fixture(), seed()).public_key();
  const auto nonce = *base::hex_decode("000102030405060708090a0b");
  EXPECT_EQ(base::hex(*legacy_seal(key, nonce, base::as_bytes(kPlain))), kLegacy);
  EXPECT_EQ(open(blob), "Encrypted data is no ECIES v1 blob");
  EXPECT_EQ(open(blob, {.public_key_as_key = true}), kPlain);
  SealingKeyCache cache;
  const Secret master = fixture();
  EXPECT_TRUE(open_blob({"", master, 1}, seed(), blob, {.public_key_as_key = true}, cache)->legacy);
  EXPECT_FALSE(
      open_blob({"", master, 1}, seed(), *base::hex_decode(kEcies), {.public_key_as_key = true}, cache)->legacy);
}

TEST(KeystoreCiphertext, ALegacyNonceMayBeginLikeEcies) {
  Bytes nonce = *base::hex_decode("010102030405060708090a0b");
  const auto key = ed25519_key(fixture(), seed()).public_key();
  const std::string text(60, 'x');
  const Bytes blob = *legacy_seal(key, nonce, base::as_bytes(text));
  EXPECT_EQ(open(blob, {.public_key_as_key = true}), text);
  EXPECT_EQ(open(blob), "Encrypted data does not open with the key of this seed");
}

TEST(KeystoreCiphertext, SizesAreChecked) {
  const BrokenCiphers all{.public_key_as_key = true};
  EXPECT_EQ(open(Bytes(27), all), "Encrypted data too short: 27 bytes (minimum 28)");
  EXPECT_EQ(open({}, all), "Encrypted data too short: 0 bytes (minimum 28)");
  EXPECT_EQ(open(Bytes(28), all), "Encrypted data does not open with the key of this seed");
  EXPECT_EQ(open(Bytes((10u << 20) + 1), all), "Encrypted data too large: 10485761 bytes");
  Counting random;
  EXPECT_EQ(ecies_v1_seal(ecies_key(fixture(), seed()).public_key, Bytes((10u << 20) - 60), random).error().code,
            Code::too_large);
}

// docs/formats/keystore.md; computed with Python's cryptography.
TEST(KeystoreBlobV3, KnownAnswer) {
  Counting random;
  const SealingKey key = sealing_key_v3(fixture(), seed());
  const auto blob = blob_v3_seal(key.public_key, seed(), 7, 3, base::as_bytes(kPlain), random);
  ASSERT_TRUE(blob.ok());
  EXPECT_EQ(base::hex(key.public_key), "5e61443b886d1360064b32b31c922fa05af550ce363272845bae7090707fa65e");
  EXPECT_EQ(base::hex(*blob),
            "41544b330100000007870a244c408965d3000000000000000307a37cbc142093c8b755dc1b10e86cb426374ad16aa853ed0bdfc0b2"
            "b86d1c7c1cc4333f4fc06763e874ed026e769ad0b524f9561544f9154bb47742d3c5a96810c0c109f0");
  EXPECT_EQ(blob->size(), kPlain.size() + kBlobV3Overhead);
  EXPECT_EQ(open(*blob), kPlain);
  const auto header = read_blob_v3_header(*blob);
  ASSERT_TRUE(header.ok());
  EXPECT_EQ(header->epoch, 7u);
  EXPECT_EQ(header->version, 3u);
  EXPECT_EQ(header->key_id, key_id_v3(key.public_key));
}

TEST(KeystoreBlobV3, BindsEverything) {
  Counting random;
  const SealingKey key = sealing_key_v3(fixture(), seed());
  const Bytes blob = *blob_v3_seal(key.public_key, seed(), 7, 3, base::as_bytes(kPlain), random);
  for (std::size_t i = 0; i < blob.size(); ++i) {
    Bytes other = blob;
    other[i] ^= 1;
    EXPECT_FALSE(blob_v3_open(key, seed(), other).ok()) << i;
  }
  EXPECT_FALSE(blob_v3_open(key, *Seed::repo("github.com/alice/project", "alice.near"), blob).ok());
  EXPECT_FALSE(blob_v3_open(sealing_key_v3(fixture(), Seed::vrf()), seed(), blob).ok());
  for (std::size_t size = 0; size < kBlobV3Overhead; ++size) {
    EXPECT_FALSE(blob_v3_open(key, seed(), base::ByteView{blob}.first(size)).ok()) << size;
  }
}

TEST(KeystoreBlobV3, NoBlobIsOfWhateverEpochIsTheCurrentOne) {
  Counting random;
  const auto key = sealing_key_v3(fixture(), seed());
  const auto blob = *blob_v3_seal(key.public_key, seed(), 0, 1, base::as_bytes(kPlain), random);
  EXPECT_EQ(read_blob_v3_header(blob).error().code, Code::malformed);
  EXPECT_EQ(blob_v3_open(key, seed(), blob).error().code, Code::malformed);
}

TEST(KeystoreBlobV3, AnotherEpochIsNamed) {
  Counting random;
  const Bytes blob =
      *blob_v3_seal(sealing_key_v3(fixture(), seed()).public_key, seed(), 8, 1, base::as_bytes(kPlain), random);
  SealingKeyCache cache;
  const Secret master = fixture();
  const auto opened = open_blob({"", master, 7}, seed(), blob, {.public_key_as_key = true, .xor_v0 = true}, cache);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, Code::not_found);
  EXPECT_EQ(opened.error().found, "epoch 8");
}

// -- v0

constexpr std::string_view kV0Key =
    "ed25519:1GMkH3brNXiNNs1tiFZHu4yZSRrzJwxi5wB9bHFtMikjwpAW9DMZzU2Pqakc5it8X3N5vPmqdN7KF4CCUpmKhq";
constexpr std::string_view kV0Public = "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8";
constexpr std::string_view kDotenv = "OPENAI_KEY=sk-test123,FOO=bar,PRIVATE=secret";

TEST(KeystoreV0, KeyFile) {
  const auto key = V0Key::parse(kV0Key);
  ASSERT_TRUE(key.ok()) << key.error().text();
  EXPECT_EQ(key->public_key_hex(), kV0Public);
  EXPECT_TRUE(key->halves_agree());
  EXPECT_EQ(*parse_v0_public_key(kV0Public), key->public_key());
  EXPECT_EQ(*parse_v0_public_key(key->public_key_base58()), key->public_key());
  EXPECT_EQ(*parse_v0_public_key("Ed25519:" + key->public_key_base58()), key->public_key());
  EXPECT_FALSE(parse_v0_public_key("Ed25518:" + key->public_key_base58()).ok());
  const auto what = [](std::string_view text) { return V0Key::parse(text).error().what; };
  EXPECT_EQ(what("secp256k1:abc"), "Private key must start with 'ed25519:'");
  EXPECT_EQ(what("ed25519:0OIl"), "Invalid base58 encoding");
  EXPECT_EQ(what("ed25519:111"), "Invalid private key length: expected 64 bytes, got 3");
  EXPECT_EQ(what("ed25519:"), "Invalid private key length: expected 64 bytes, got 0");
  EXPECT_EQ(what("ed25519:1" + std::string{kV0Key.substr(8)}), "Invalid private key length: expected 64 bytes, got 65");
}

TEST(KeystoreV0, TheSecondHalfIsComputedAnew) {
  Bytes pair = *base::hex_decode("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
  pair.resize(64);
  const auto key = V0Key::parse("ed25519:" + base::base58(pair));
  ASSERT_TRUE(key.ok());
  EXPECT_EQ(key->public_key_hex(), kV0Public);
  EXPECT_FALSE(key->halves_agree());
}

TEST(KeystoreV0, TheRealCipher) {
  const V0Key key = *V0Key::parse(kV0Key);
  // Both ways to the X25519 key are one.
  EXPECT_EQ(*v0_encryption_key(key.public_key()), key.sealing().public_key);
  EXPECT_EQ(base::hex(key.sealing().public_key), "4701d08488451f545a409fb58ae3e58581ca40ac3f7f114698cd71deac73ca01");
  Counting random;
  const Bytes blob = *v0_seal(key.public_key(), base::as_bytes(kDotenv), random);
  EXPECT_EQ(base::as_text(key.open(blob, {})->reveal()), kDotenv);
  EXPECT_FALSE(v0_seal(base::FixedBytes<32>{}, base::as_bytes(kDotenv), random).ok());
  Bytes other = blob;
  other.back() ^= 1;
  EXPECT_FALSE(key.open(other, {}).ok());
}

// Finding 1.
TEST(KeystoreV0, XorIsReadOnlyOnDemand) {
  const V0Key key = *V0Key::parse(kV0Key);
  const Bytes json = *base::hex_decode("141e4af077dfeff9649037b77f6f22a7488610c5b5");
  const Bytes dotenv =
      *base::hex_decode("206c4eee7fc9fbf778eb30e667297bb65e8155d5fbaff81712e8113eabd0c396266a4af47bbdd7d95ec068e1");
  EXPECT_EQ(base::hex(broken_v0_xor(key.public_key(), base::as_bytes(kPlain)).reveal()), base::hex(json));
  EXPECT_EQ(base::hex(broken_v0_xor(key.public_key(), base::as_bytes(kDotenv)).reveal()), base::hex(dotenv));
  // The key stream is the text XORed with nothing (keystore_ckd.md 1.5).
  EXPECT_EQ(base::hex(broken_v0_xor(key.public_key(), Bytes(32)).reveal()),
            "6f3c0ba03e80a4bc3db20d950c040fd32df564e7c883be585dd5735fd9fc93c4");
  // What the first server made of its secret key opens nothing of what its clients wrote.
  EXPECT_NE(base::hex(broken_v0_xor(key.public_key(), Bytes(32)).reveal()),
            "71e4b2c7de39a96ec0259b4cd8ecc39930920043411082e124ebda9ff55dce0b");
  EXPECT_EQ((Bytes{dotenv.begin(), dotenv.begin() + 8}), (Bytes{32, 108, 78, 238, 127, 201, 251, 247}));
  EXPECT_EQ(base::as_text(key.open(dotenv, {.xor_v0 = true})->reveal()), kDotenv);
  EXPECT_EQ(base::as_text(key.open(json, {.xor_v0 = true})->reveal()), kPlain);
  EXPECT_EQ(key.open(json, {}).error().code, Code::malformed);
  EXPECT_EQ(key.open(dotenv, {}).error().code, Code::denied);
  EXPECT_EQ(key.open(dotenv, {.public_key_as_key = true}).error().code, Code::denied);
  EXPECT_EQ(key.open(Bytes((10u << 20) + 1), {.xor_v0 = true}).error().what,
            "Encrypted data too large: 10485761 bytes");
}

TEST(KeystoreV0, Dotenv) {
  const auto all = parse_dotenv("OPENAI_KEY=sk-test123, FOO =a=b,PRIVATE=");
  ASSERT_TRUE(all.ok());
  ASSERT_EQ(all->size(), 3u);
  EXPECT_EQ((*all)[0].first, "OPENAI_KEY");
  EXPECT_EQ((*all)[1].first, "FOO");
  EXPECT_EQ(base::as_text((*all)[1].second.reveal()), "a=b");
  EXPECT_TRUE((*all)[2].second.empty());
  for (const char* text : {"A", "=x", "A=1,,B=2", "A=1,A=2", " =x"}) EXPECT_FALSE(parse_dotenv(text).ok()) << text;
  EXPECT_TRUE(parse_dotenv("")->empty());
}

}  // namespace
}  // namespace attestry::secrets::keystore
