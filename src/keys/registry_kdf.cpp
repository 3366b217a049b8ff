#include "keys/registry_kdf.h"

#include <algorithm>

#include "crypto/hash.h"
#include "keys/derivation.h"
#include "keys/internal/argon2.h"

namespace attestry::keys {

using base::Code;
using base::Error;
using base::Result;

namespace {

constexpr std::size_t kMasterBytes = 32;

Result<crypto::EcPrivateKey> derived(const crypto::Secret& master, const curves::Address& contract,
                                     std::string_view purpose) {
  crypto::Sha256Digest scalar = crypto::sha256({master.reveal(), contract, base::as_bytes(purpose)});
  auto key = crypto::EcPrivateKey::from_scalar(crypto::Curve::p256, scalar);
  crypto::wipe(scalar);
  // The first version neither reduces nor checks: such a scalar had no key there either.
  if (!key) return Error{.code = Code::crypto, .what = "the derived scalar is out of range; use another contract"};
  return key;
}

/// RFC 4648 6: capital letters, then 2 to 7. Arithmetic, because the text is a passphrase.
std::uint8_t base32_digit(unsigned value) noexcept {
  const unsigned digit = (25U - value) >> 31;  // one from 26 on
  return static_cast<std::uint8_t>('A' + value - digit * ('A' + 26U - '2'));
}

crypto::Secret base32(base::ByteView bytes) {
  constexpr unsigned kBits = 5;
  crypto::Secret out((bytes.size() + 4) / 5 * 8);
  unsigned held = 0;
  unsigned bits = 0;
  std::size_t at = 0;
  for (const std::uint8_t byte : bytes) {
    held = (held << 8 | byte) & 0xfffU;
    for (bits += 8; bits >= kBits; bits -= kBits) {
      out.writable()[at++] = base32_digit(held >> (bits - kBits) & 31U);
    }
  }
  if (bits > 0) out.writable()[at++] = base32_digit(held << (kBits - bits) & 31U);
  while (at < out.size()) out.writable()[at++] = '=';
  return out;
}

}  // namespace

crypto::Secret registry_master(const crypto::Secret& root) { return legacy_master(root, kRegistryDialect); }

Result<RegistryAppKeys> registry_app_keys(const crypto::Secret& master, const curves::Address& contract) {
  if (master.size() < kMasterBytes) {
    return Error{.code = Code::configuration, .what = "master key", .expected = "at least 32 bytes"};
  }
  TRY(auto ca, derived(master, contract, "ca"), "CA key");
  TRY(auto app, derived(master, contract, "app"), "app key");
  return RegistryAppKeys{std::move(ca), std::move(app)};
}

crypto::Secret registry_disk_key(const crypto::Secret& app_private_key_pem, base::ByteView label) {
  crypto::Secret input(app_private_key_pem.size() + label.size());
  auto at = std::ranges::copy(app_private_key_pem.reveal(), input.writable().begin()).out;
  std::ranges::copy(label, at);
  const crypto::Secret key = crypto::hkdf_sha256({}, input.reveal(), {}, 32);
  return base32(key.reveal());
}

Result<crypto::Secret> registry_first_disk_key(const crypto::Secret& app_private_key_pem, base::ByteView request_pem) {
  base::Bytes salt = base::to_bytes("TEE-DISK-KEY-");
  base::append(salt, request_pem);
  return argon2id(app_private_key_pem, salt, {}, 32);
}

std::size_t first_passphrase_bytes(const crypto::Secret& key) {
  const auto bytes = key.reveal();
  return static_cast<std::size_t>(std::ranges::find(bytes, std::uint8_t{'\n'}) - bytes.begin());
}

}  // namespace attestry::keys
