// The registry's dialect against its shared vectors where they are at hand, and against their main values anyway: every
// format of docs/formats/registry.md with one input through all rooms.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "base/encoding.h"
#include "base/json.h"
#include "crypto/hash.h"
#include "crypto/key_pem.h"
#include "curves/ecies.h"
#include "curves/keccak.h"
#include "curves/shamir.h"
#include "curves/testing/fixed_random.h"
#include "keys/admin_auth.h"
#include "provision/registry_identity.h"
#include "provision/registry_pki.h"

namespace attestry::provision {
namespace {

namespace fs = std::filesystem;
using base::as_bytes;
using base::hex;

constexpr std::string_view kOwn = R"({
"ca":{"seed":"12be6f239225d6c6d6fa8f13adf5cd81e8db1f4088cf4a769f06cd362df5b0f3",
 "pub":"04669c58b95522cec80bac7078a431369393ce203b983314ac12b929f502a3d5b91bf7f11fa31b72347412658304bb87a997e0f44554cd64f9dc44485f30c42390",
 "sec1_der_len":121,"sec1_der_sha256":"8374c66e51ed9f36512d7fb099f89b611ced7c97959619bf63c43fc1c77f5dd9",
 "spki_pem_sha256":"f1e9e720f88d34fd4bea506eff3bac9f2af7199d8258b1b65d4056fddd92fcd7",
 "sec1_pem_sha256":"eedb6a0ab0bc60335cf7d954bf033c0bf00dea24572ea5967d9d504fbf4c0045",
 "spki_pem_keccak256":"d4df4b7c59c1f6758eed396b94c9311e2620a80c26fe1b81f24a5b899bffa931"},
"app":{"seed":"bf087ac8c373106fe7cc3d311681ef19a0ef300a6a12a69a8e3995c5e79bc33a",
 "pub":"04f5e6b5efb630f50f55a3da5fb6bc000cf8effbbd9fd31c7dd8224fb75575d15588f551ec8bbeba66d00473a716ddcf13e0ee492a8847de4d29e7afb9c5b4005a",
 "sec1_der_len":121,"sec1_der_sha256":"22cd1d0b553403d011c64cf5899cecd97e94626026617dc44fc16aa38e3779b9",
 "spki_pem_sha256":"1a9368bd45d344234e4c0aa55aa52fc698cdc69624f5ae351b53886d27842f26",
 "sec1_pem_sha256":"9a3ace7298f5e4fe5eb4b650792c0db2b2db503bf3c414f2c1d00bb4ef72ef57",
 "spki_pem_keccak256":"5113f709fae0e282c1cce1711f9c48995cb9ab0fce48daa1e3d49d52326d22f1",
 "sec1_der":"30770201010420bf087ac8c373106fe7cc3d311681ef19a0ef300a6a12a69a8e3995c5e79bc33aa00a06082a8648ce3d030107a14403420004f5e6b5efb630f50f55a3da5fb6bc000cf8effbbd9fd31c7dd8224fb75575d15588f551ec8bbeba66d00473a716ddcf13e0ee492a8847de4d29e7afb9c5b4005a",
 "sec1_pem":"-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIL8IesjDcxBv58w9MRaB7xmg7zAKahKmmo45lcXnm8M6oAoGCCqGSM49\nAwEHoUQDQgAE9ea177Yw9Q9Vo9pftrwADPjv+72f0xx92CJPt1V10VWI9VHsi766\nZtAEc6cW3c8T4O5JKohH3k0p56+5xbQAWg==\n-----END EC PRIVATE KEY-----\n",
 "spki_pem":"-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE9ea177Yw9Q9Vo9pftrwADPjv+72f\n0xx92CJPt1V10VWI9VHsi766ZtAEc6cW3c8T4O5JKohH3k0p56+5xbQAWg==\n-----END PUBLIC KEY-----\n"},
"ecies_normal":{"eph_d":12345,"blob":"00410426efcebd0ee9e34a669187e18b3a9122b2f733945b649cc9f9f921e9f9dad81290238bde9cc7bb330d150c67704dd25ae7055205744b6f31bf4070745872d0e6000102030405060708090a0b8372cbb7b098e0a23f91158bcda68fd9696e5266f3adbf48ceb30f28"},
"ecies_leading_zero":{"eph_d":32,"blob":"0041042377c7d690a242ca6c45074e8ea5beefaa557fd5b68371d9d1475bd52a7ed0e147a13fb98413a4393f8d90e9bf901b7e6658a6cdecf46716e7c067b1ddb8d2b2000102030405060708090a0b03e316b3bd72b7f4542ca900a975de4bf6d54268b9c46dc2c2fa10f6"},
"disk":{"label":"0102030405060708","passphrase":"FU4SXSL5MQLBIXOIF7XKIRWBROGQ57HJGWVMEMONNN7RWHFU2D3Q===="},
"dcap_identity":{"identity":"f774c02b9017a767c574d5b1fdd4c3248e64444554aa7b4de26211231911d8d5"},
"maa_identity":{"identity":"90768dabdf94ab406af161e54b132669f77691963635272cfa337d99c63c6b90"},
"pki_reportdata":{"rd":"0123456789abcdef0123456789abcdef01234567b00e6a7900c1b70a89e430cce570f80e5d100f57ac5b74f0acdb20e59b318ca4000000000000000000000000"},
"secrets_reportdata":{"rd":"0123456789abcdef0123456789abcdef0123456783e13dca0c01c8c773608c4ea81bba75f48d1666cbdc9ba750ada2420344c1e8000000000000000000000000"},
"onboard":{"nonce":4328719365,"hash":"fc1867df7fe08585cfb05ad8fc7deba4b978e7352ed4b53acb50ddb2f534a228",
 "reportdata":"0123456789abcdef0123456789abcdef0123456759a78effe61b1a8aac4d3427b89e916011aa7b03ac9e3446dc6255651f6dfd59000000000000000000000000"},
"admin_auth":{"path":"/admin/share","digest_get":"5c591f126648aa955740f554586825d06d850850e20cfc9822d092f960fbdf8a",
 "digest_post_body":"{\"a\":1}","digest_post":"be0c1b9b214b6eb4305f63d9a39924cbb8269193c07d4211938df49404a1290b"},
"shamir_t3":{"secret":"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
 "share_x1":"041b123920677e555c33cad1f8ffd6adb48b82699097ae858ce3fac1a8af465d01",
 "share_x200":"66a8ee69c802aa2d70326677407a8e624a266046a4fbf1bce1e6f1426f558a9bc8",
 "share_x255":"a0b5badc0cc0c5a3c8d9441df254ea4970333c046d89da3853d5f1fe2a8c5900ff"}
})";

fs::path shared_file() {
  const char* named = std::getenv("ATTESTRY_SHARED");
  const char* data = std::getenv("ATTESTRY_TEST_DATA");
  const fs::path beside = fs::path{data != nullptr ? data : "tests/data"} / ".." / ".." / ".." / "shared";
  return (named != nullptr ? fs::path{named} : beside) / "spec" / "registry_vectors.json";
}

std::vector<std::string> documents() {
  std::vector<std::string> out{std::string(kOwn)};
  std::ifstream in{shared_file(), std::ios::binary};
  if (in) out.emplace_back(std::istreambuf_iterator<char>{in}, std::istreambuf_iterator<char>{});
  return out;
}

/// One document; the tests below run over each.
class RegistryVectors : public ::testing::TestWithParam<std::string> {
 protected:
  std::string text(std::string_view group, std::string_view field) const {
    const auto value = document_->root().find(group)->find(field);
    return value ? value->string(field).value() : "no " + std::string(field);
  }
  base::Bytes bytes(std::string_view group, std::string_view field) const {
    return base::hex_decode(text(group, field)).value();
  }
  std::int64_t number(std::string_view group, std::string_view field) const {
    return document_->root().find(group)->find(field)->integer(field, 0, std::int64_t{1} << 62).value();
  }
  static crypto::Secret master() {
    crypto::Secret out(32);
    for (std::uint8_t i = 0; i < 32; ++i) out.writable()[i] = i;
    return out;
  }

  std::shared_ptr<const base::JsonDocument> document_ = base::JsonDocument::parse(GetParam()).value();
  curves::Address contract_ = curves::parse_address("0123456789abcdef0123456789abcdef01234567").value();
  keys::RegistryAppKeys keys_ = keys::registry_app_keys(master(), contract_).value();
  curves::Address elevens_ = curves::parse_address(std::string(40, '1')).value();
};
INSTANTIATE_TEST_SUITE_P(All, RegistryVectors, ::testing::ValuesIn(documents()),
                         [](const auto& one) { return one.index == 0 ? "own" : "shared"; });

TEST_P(RegistryVectors, Keys) {
  for (const std::string_view who : {"ca", "app"}) {
    const crypto::EcPrivateKey& key = who == "ca" ? keys_.ca : keys_.app;
    EXPECT_EQ(hex(key.scalar().reveal()), text(who, "seed"));
    EXPECT_EQ(hex(key.public_key().point()), text(who, "pub"));
    const crypto::Secret sec1 = crypto::sec1_pem(key);
    EXPECT_EQ(hex(crypto::sha256(sec1.reveal())), text(who, "sec1_pem_sha256"));
    const auto blocks = base::pem_decode(base::as_text(sec1.reveal())).value();
    ASSERT_EQ(blocks.size(), 1u);
    EXPECT_EQ(static_cast<std::int64_t>(blocks.front().der.size()), number(who, "sec1_der_len"));
    EXPECT_EQ(hex(crypto::sha256(blocks.front().der)), text(who, "sec1_der_sha256"));
    const std::string pem = crypto::spki_pem(key.public_key().spki());
    EXPECT_EQ(hex(crypto::sha256(as_bytes(pem))), text(who, "spki_pem_sha256"));
    EXPECT_EQ(hex(curves::keccak256(as_bytes(pem))), text(who, "spki_pem_keccak256"));
  }
}

TEST_P(RegistryVectors, TheKeyThatWorkloadsReceive) {
  const crypto::Secret pem = registry_app_privkey_pem(keys_);
  EXPECT_EQ(base::as_text(pem.reveal()), text("app", "sec1_pem"));
  EXPECT_EQ(hex(base::pem_decode(base::as_text(pem.reveal())).value().at(0).der), text("app", "sec1_der"));
  EXPECT_EQ(registry_app_pubkey_pem(keys_), text("app", "spki_pem"));
}

TEST_P(RegistryVectors, Encryption) {
  const auto nonce = base::hex_decode("000102030405060708090a0b").value();
  for (const std::string_view which : {"ecies_normal", "ecies_leading_zero"}) {
    const auto d = static_cast<std::uint32_t>(number(which, "eph_d"));
    curves::testing::FixedRandom random(curves::testing::for_scalar(d, nonce));
    const auto sealed = curves::ecies_v1_seal(keys_.app.public_key(), as_bytes("hello secret"), random);
    EXPECT_EQ(hex(*sealed), text(which, "blob"));
    const auto opened = curves::ecies_v1_open(keys_.app, bytes(which, "blob"));
    ASSERT_TRUE(opened.ok());
    EXPECT_EQ(base::as_text(opened->reveal()), "hello secret");
  }
}

TEST_P(RegistryVectors, DiskKey) {
  const auto key = keys::registry_disk_key(registry_app_privkey_pem(keys_), bytes("disk", "label"));
  EXPECT_EQ(base::as_text(key.reveal()), text("disk", "passphrase"));
}

TEST_P(RegistryVectors, Identities) {
  std::array<TdxRegister, 3> rtmr{};
  for (std::uint8_t i = 0; i < 3; ++i) rtmr[i][47] = static_cast<std::uint8_t>(i + 1);
  EXPECT_EQ(hex(dcap_identity(contract_, rtmr[0], rtmr[1], rtmr[2])), text("dcap_identity", "identity"));
  base::Digest32 pcr4{}, pcr9{}, pcr11{};
  pcr4.fill(4);
  pcr9.fill(9);
  pcr11.fill(11);
  EXPECT_EQ(hex(maa_identity(contract_, pcr4, pcr9, pcr11)), text("maa_identity", "identity"));
}

TEST_P(RegistryVectors, ReportDataAndOnboarding) {
  EXPECT_EQ(hex(pki_report_data(contract_, "CA", "PUB")), text("pki_reportdata", "rd"));
  EXPECT_EQ(hex(secrets_report_data(contract_, elevens_, "CERT", as_bytes("KEY"))), text("secrets_reportdata", "rd"));
  const std::string pem = registry_app_pubkey_pem(keys_);
  const auto nonce = onboard_nonce(static_cast<std::uint64_t>(number("onboard", "nonce")));
  EXPECT_EQ(hex(onboard_request_hash(as_bytes(pem), nonce, elevens_, as_bytes("ATT"))), text("onboard", "hash"));
  EXPECT_EQ(hex(onboard_report_data(contract_, as_bytes(pem), nonce, elevens_)), text("onboard", "reportdata"));
}

TEST_P(RegistryVectors, AdministratorsSignTheseDigests) {
  const auto signs = [&](const std::string& body, std::string_view digest) {
    const auto headers =
        keys::sign_admin_request_v1("a", keys_.app, text("admin_auth", "path"), as_bytes(std::string_view(body)));
    return keys_.app.public_key().verify_digest_der(bytes("admin_auth", digest),
                                                    base::base64_decode(headers.signature).value());
  };
  EXPECT_TRUE(signs("", "digest_get"));
  EXPECT_TRUE(signs(text("admin_auth", "digest_post_body"), "digest_post"));
}

TEST_P(RegistryVectors, Sharing) {
  std::vector<crypto::Secret> shares;
  for (const std::string_view share : {"share_x1", "share_x200", "share_x255"}) {
    shares.push_back(crypto::Secret::copy_of(bytes("shamir_t3", share)));
  }
  EXPECT_EQ(hex(curves::shamir_combine(shares)->reveal()), text("shamir_t3", "secret"));
}

}  // namespace
}  // namespace attestry::provision
