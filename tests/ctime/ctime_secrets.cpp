// The places of this program that compute with a secret, run with the secret marked as undefined memory: see
// secret_marks.h, and SECURITY.md for what is left out. Where a library reveals on purpose what is public (a tag fits,
// a scalar is in range), declassified.supp names the function and the reason; nothing else is forgiven.
#include <cstdlib>
#include <filesystem>
#include <string>

#include "api/api.h"
#include "appraisal/challenge.h"
#include "attestation/sealed_reply.h"
#include "audit/checkpoint.h"
#include "audit/leaf.h"
#include "base/encoding.h"
#include "crypto/aead.h"
#include "crypto/ec.h"
#include "crypto/hash.h"
#include "crypto/hpke.h"
#include "crypto/key_pem.h"
#include "curves/ecies.h"
#include "curves/secp256k1.h"
#include "curves/shamir.h"
#include "keys/derivation.h"
#include "keys/registry_kdf.h"
#include "keys/root_file.h"
#include "net/router.h"
#include "provision/template.h"
#include "secret_marks.h"
#include "state/sealed.h"

using namespace attestry;
using ctime::expect;
using ctime::hidden;
using ctime::hide;
using ctime::revealed;
using ctime::show;

namespace {

/// Randomness of which keys are made: hidden.
class HiddenRandom final : public crypto::Random {
 public:
  void fill(std::span<std::uint8_t> out) override {
    for (std::uint8_t& byte : out) byte = static_cast<std::uint8_t>(next_ += 41);
    hide(out);
  }

 private:
  unsigned next_ = 3;
};

/// Randomness of a split: the places of the shares are public, the polynomials hidden.
class SplitRandom final : public crypto::Random {
 public:
  void fill(std::span<std::uint8_t> out) override {
    for (std::uint8_t& byte : out) byte = static_cast<std::uint8_t>(next_ = next_ * 5 + 1);
    constexpr std::size_t kPlace = 2;
    if (out.size() > kPlace) hide(out);
  }

 private:
  unsigned next_ = 3;
};

/// Randomness of nonces and salts: public.
crypto::Random& nonces() {
  static crypto::SeededRandom made{base::as_bytes("nonces")};
  return made;
}

const base::ByteView kMessage = base::as_bytes("a message that everybody may read");

void hashes() {
  const auto key = hidden(32);
  const auto mac = crypto::hmac_sha256(key.reveal(), hidden(100).reveal());
  show(mac);
  show(crypto::sha256(key.reveal()));
  show(crypto::hkdf_sha256(kMessage, key.reveal(), kMessage, 80).reveal());
  show(crypto::hkdf_expand_sha256(key.reveal(), kMessage, 48).reveal());
  show(audit::commitment(key, "label", hidden(40).reveal()));
}

void derivation() {
  const auto root = hidden(32);
  const auto app_root =
      keys::derive_app_root(root, base::Realm::production, base::Tenant::standard(), *base::AppRef::parse("web"), 1);
  for (const auto algorithm : {keys::Algorithm::p256, keys::Algorithm::secp256k1, keys::Algorithm::ed25519,
                               keys::Algorithm::x25519, keys::Algorithm::aes256, keys::Algorithm::hmac256}) {
    const auto key = keys::derive_key(app_root, "label", algorithm, "path");
    expect(key.has_value() && key->private_key.size() == 32, "a key was not derived");
  }
}

void authenticated_encryption() {
  const auto key = hidden(32);
  const auto nonce = nonces().bytes<12>();
  for (const std::size_t size : {std::size_t{0}, std::size_t{31}, std::size_t{700}}) {
    const auto plain = hidden(size);
    auto sealed = *crypto::aes256gcm_seal(key.reveal(), nonce, plain.reveal(), kMessage);
    show(sealed);
    expect(crypto::aes256gcm_open(key.reveal(), nonce, sealed, kMessage).has_value(), "AEAD does not open");
    sealed.back() ^= 1;
    expect(!crypto::aes256gcm_open(key.reveal(), nonce, sealed, kMessage).has_value(), "AEAD opens what was changed");
  }
}

void sealed_values() {
  const auto values = *state::SealedValues::create(hidden(32), nonces());
  const auto sealed = *values.seal(kMessage, hidden(333).reveal());
  show(sealed);
  expect(values.open(kMessage, sealed).has_value(), "a sealed value does not open");
  expect(!values.open(base::as_bytes("elsewhere"), sealed).has_value(), "a sealed value opens elsewhere");
}

void sealed_replies() {
  HiddenRandom random;
  const auto pair = crypto::hpke_generate(random);
  show(pair.public_key);
  base::LpWriter recipient;
  recipient.u16(crypto::kHpkeKemX25519).raw(pair.public_key);
  const base::FixedBytes<64> binding{};
  auto sealed = *attestation::seal_reply(recipient.bytes(), binding, hidden(500).reveal());
  show(sealed);
  expect(attestation::open_reply(sealed, pair.private_key, binding).has_value(), "a reply does not open");
  sealed.back() ^= 1;
  expect(!attestation::open_reply(sealed, pair.private_key, binding).has_value(), "a changed reply opens");
}

void root_file() {
  const std::string folder = (std::filesystem::temp_directory_path() / "attestry-ctime-XXXXXX").string();
  std::string made = folder;
  expect(::mkdtemp(made.data()) != nullptr, "no temporary folder");
  const std::string path = made + "/root";
  keys::Unlock unlock{keys::Unlock::Kind::key_file, hidden(32)};
  show(unlock.secret.reveal());  // only to write the file: the system calls and JSON of a ciphertext look at every byte
  expect(keys::create_root_file(path, base::Realm::production, "log", unlock, nonces()).has_value(), "no root file");
  hide(unlock.secret.reveal());
  const auto opened = keys::open_root_file(path, base::Realm::production, unlock);
  expect(opened.has_value() && opened->keys.root.size() == 32, "the root file does not open");
  keys::Unlock wrong{keys::Unlock::Kind::key_file, hidden(32, 0x77)};
  expect(!keys::open_root_file(path, base::Realm::production, wrong).has_value(), "another key opens the root file");
  std::filesystem::remove_all(made);
}

void challenges() {
  const appraisal::Challenges challenges{hidden(32), nonces()};
  const base::UtcTime now{1'700'000'000};
  auto made = challenges.issue(base::Purpose::instance_release, now);
  show(made.nonce);
  expect(challenges.check(made.nonce, base::Purpose::instance_release, kMessage, now).has_value(), "not our challenge");
  made.nonce.back() ^= 1;
  expect(!challenges.check(made.nonce, base::Purpose::instance_release, kMessage, now).has_value(),
         "a forged challenge");
}

void tokens() {
  const std::string token = "the token of the administrator";
  const auto digest = crypto::sha256(base::as_bytes(token));
  hide(digest);
  const auto authenticate = api::make_authenticator(digest);
  for (const bool right : {true, false}) {
    net::Request request;
    request.headers.set("Authorization", "Bearer " + token + (right ? "" : "!"));
    const auto field = request.headers.get("Authorization");
    hide(base::as_bytes(field.substr(std::string_view{"Bearer "}.size())));
    expect(authenticate(request, net::Auth::admin).has_value() == right, "the token was judged wrongly");
  }
}

void text_of_secrets() {
  for (std::size_t size = 30; size < 34; ++size) {
    const auto secret = hidden(size);
    show(base::hex(secret.reveal()));
    show(base::base64(secret.reveal()));
    show(base::base64url(secret.reveal()));
    show(base::pem_encode("PRIVATE KEY", secret.reveal()));
  }
  const auto expanded = provision::expand_template(
      "{\"key\":\"${key}\"}",
      [](std::string_view) -> base::Result<std::string> { return base::hex(hidden(32).reveal()); });
  expect(expanded.has_value(), "the template does not expand");
}

void ed25519() {
  HiddenRandom random;
  const auto key = crypto::Ed25519PrivateKey::generate(random);
  show(key.public_key());
  auto signature = key.sign(kMessage);
  show(signature);
  expect(crypto::ed25519_verify(key.public_key(), kMessage, signature), "Ed25519 signature");
  const std::string note = audit::sign_checkpoint({.origin = "log", .head = {}}, key);
  show(note);
  expect(!note.empty(), "no checkpoint");
}

void p256() {
  HiddenRandom random;
  const auto key = crypto::EcPrivateKey::generate(crypto::Curve::p256, random);
  // Certificates and requests are this signature and public bytes. Its DER form has a length that depends on it, and is
  // made of r and s, which are public.
  const auto signature = key.sign_raw(kMessage);
  show(signature);
  expect(crypto::EcPrivateKey::from_scalar(crypto::Curve::p256, key.scalar().reveal()).has_value(), "P-256 scalar");
  const auto file = base::pem_encode("PRIVATE KEY", key.pkcs8().reveal());
  expect(!file.empty(), "no private key file");
}

void secp256k1() {
  const auto key = *curves::Secp256k1PrivateKey::from_wide(hidden(48).reveal());
  const auto signature = *key.sign_digest(crypto::sha256(kMessage));
  show(signature);
}

void sharing() {
  SplitRandom random;
  const auto secret = hidden(32);
  auto shares = curves::shamir_split(secret, 3, 5, random);
  expect(shares.has_value() && shares->size() == 5, "no shares");
  show(curves::share_commitment(kMessage, shares->front()));
  shares->resize(3);
  const auto again = curves::shamir_combine(*shares);
  expect(again.has_value(), "shares do not combine");
  show(curves::secret_commitment(kMessage, *again));
}

void registry_keys() {
  const auto keys = keys::registry_app_keys(hidden(32), curves::Address{});
  expect(keys.has_value(), "no registry keys");
  const auto pem = crypto::sec1_pem(keys->app);
  expect(keys::registry_disk_key(pem, kMessage).size() == 56, "no disk key");
}

void agreement() {
  HiddenRandom random;
  const auto key = crypto::EcPrivateKey::generate(crypto::Curve::p256, random);
  auto point = key.public_key().point();
  show(point);
  const auto to = *crypto::EcPublicKey::from_point(crypto::Curve::p256, point);
  const auto blob = *curves::ecies_v2_seal(to, "context", kMessage, nonces());
  expect(curves::ecies_v2_open(key, "context", blob).has_value(), "blob does not open");
  const auto old = *curves::ecies_v1_seal(to, kMessage, nonces());
  expect(curves::ecies_v1_open(key, old).has_value(), "blob of version 1 does not open");
}

void x25519() {
  const auto key = hidden(32);
  show(crypto::x25519_public(key.reveal()));
}

/// What encoding by table does, and what must be reported: an address that depends on a secret.
void leak() {
  static const char digits[] = "0123456789abcdef";
  const auto secret = hidden(1);
  volatile char seen = digits[secret.reveal()[0] & 15];
  (void)seen;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "leaky") {
    leak();
    return 0;
  }
  const struct {
    const char* name;
    void (*run)();
  } cases[] = {{"hashes", hashes},
               {"derivation", derivation},
               {"authenticated_encryption", authenticated_encryption},
               {"sealed_values", sealed_values},
               {"sealed_replies", sealed_replies},
               {"root_file", root_file},
               {"challenges", challenges},
               {"tokens", tokens},
               {"text_of_secrets", text_of_secrets},
               {"ed25519", ed25519},
               {"p256", p256},
               {"secp256k1", secp256k1},
               {"sharing", sharing},
               {"registry_keys", registry_keys},
               {"agreement", agreement},
               {"x25519", x25519}};
  for (const auto& one : cases) {
    if (argc <= 1 || std::string_view(argv[1]) == one.name) one.run();
  }
  return 0;
}
