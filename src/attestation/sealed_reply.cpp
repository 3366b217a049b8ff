#include "attestation/sealed_reply.h"

#include "base/reader.h"
#include "crypto/hpke.h"

namespace attestry::attestation {

using base::Code;
using base::Error;
using base::Result;

namespace {

base::Bytes release_info(const base::FixedBytes<64>& binding) {
  base::LpWriter info;
  info.lp("attestry/release/1").raw(binding);
  return std::move(info).take();
}

}  // namespace

Result<base::Bytes> seal_reply(base::ByteView recipient, const base::FixedBytes<64>& binding,
                               base::ByteView plaintext) {
  base::Reader in{recipient};
  TRY(const auto kem, in.u16be("recipient KEM"));
  if (kem != crypto::kHpkeKemX25519) {
    return Error{Code::malformed, "recipient KEM is not supported", "0x0020 (DHKEM X25519, RFC 9180 section 7.1)",
                 std::to_string(kem)};
  }
  TRY(const auto sealed, crypto::hpke_seal(in.rest(), release_info(binding), {}, plaintext), "seal");
  base::LpWriter wire;
  wire.u16(crypto::kHpkeKemX25519).u16(crypto::kHpkeKdfHkdfSha256).u16(crypto::kHpkeAeadAes256Gcm);
  wire.lp(sealed.enc).raw(sealed.ciphertext);
  return std::move(wire).take();
}

Result<crypto::Secret> open_reply(base::ByteView sealed, const crypto::Secret& recipient_private,
                                  const base::FixedBytes<64>& binding) {
  base::Reader in{sealed};
  TRY(const auto kem, in.u16be("KEM id"));
  TRY(const auto kdf, in.u16be("KDF id"));
  TRY(const auto aead, in.u16be("AEAD id"));
  if (kem != crypto::kHpkeKemX25519 || kdf != crypto::kHpkeKdfHkdfSha256 || aead != crypto::kHpkeAeadAes256Gcm) {
    return Error{Code::malformed, "sealed reply: unknown HPKE suite", "0x0020, 0x0001, 0x0002"};
  }
  TRY(const auto enc, in.lp("enc", 4096), "sealed reply");
  return crypto::hpke_open(recipient_private, enc, release_info(binding), {}, in.rest());
}

}  // namespace attestry::attestation
