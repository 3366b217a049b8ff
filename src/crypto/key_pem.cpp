#include "crypto/key_pem.h"

#include <algorithm>

#include "base/encoding.h"

namespace attestry::crypto {
namespace {

constexpr std::size_t kLineBytes = 48;  // 64 characters (RFC 7468 section 2)

/// The DER of the one block in `pem`, whose label must be among `labels`.
base::Result<base::PemBlock> one_block(base::ByteView pem, std::initializer_list<std::string_view> labels) {
  TRY(std::vector<base::PemBlock> blocks, base::pem_decode(base::as_text(pem), 1));
  if (blocks.size() == 1 && std::ranges::find(labels, blocks[0].label) != labels.end()) return std::move(blocks[0]);
  std::string expected;
  for (const std::string_view label : labels) expected.append(expected.empty() ? "" : " or ").append(label);
  return base::Error{
      .code = base::Code::malformed, .what = "not one PEM block of a key", .expected = std::move(expected)};
}

std::span<std::uint8_t> writable(std::string& text) {
  return {reinterpret_cast<std::uint8_t*>(text.data()), text.size()};
}

}  // namespace

Secret secret_pem(std::string_view label, const Secret& der) {
  const std::string begin = "-----BEGIN " + std::string(label) + "-----\n";
  const std::string end = "-----END " + std::string(label) + "-----\n";
  const std::size_t lines = (der.size() + kLineBytes - 1) / kLineBytes;
  Secret out(begin.size() + 4 * ((der.size() + 2) / 3) + lines + end.size());
  auto at = std::ranges::copy(base::as_bytes(begin), out.writable().begin()).out;
  for (std::size_t i = 0; i < der.size(); i += kLineBytes) {
    std::string line = base::base64(der.reveal().subspan(i, std::min(kLineBytes, der.size() - i)));
    at = std::ranges::copy(base::as_bytes(line), at).out;
    *at++ = '\n';
    wipe(writable(line));
  }
  std::ranges::copy(base::as_bytes(end), at);
  return out;
}

Secret sec1_pem(const EcPrivateKey& key) { return secret_pem("EC PRIVATE KEY", key.sec1()); }

std::string spki_pem(base::ByteView spki) { return base::pem_encode("PUBLIC KEY", spki); }

base::Result<EcPrivateKey> ec_private_key_from_pem(base::ByteView pem) {
  TRY(base::PemBlock block, one_block(pem, {"EC PRIVATE KEY", "PRIVATE KEY"}), "private key");
  auto key = block.label == "PRIVATE KEY" ? EcPrivateKey::from_pkcs8(block.der) : EcPrivateKey::from_sec1(block.der);
  wipe(block.der);
  return key;
}

base::Result<base::Bytes> spki_from_pem(base::ByteView pem) {
  TRY(base::PemBlock block, one_block(pem, {"PUBLIC KEY"}), "public key");
  return std::move(block.der);
}

base::Result<EcPublicKey> ec_public_key_from_pem(base::ByteView pem) {
  TRY(const base::Bytes spki, spki_from_pem(pem));
  TRY(EcPublicKey key, EcPublicKey::from_spki(spki), "public key");
  return key;
}

}  // namespace attestry::crypto
