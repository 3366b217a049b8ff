#include "chain/near_message.h"

#include "chain/near_borsh.h"
#include "crypto/hash.h"

namespace attestry::chain::near {

namespace {
constexpr std::uint32_t kTag = (1u << 31) + 413;
}  // namespace

base::Bytes signed_bytes(const Message& message) {
  BorshWriter out;
  out.u32(kTag).string(message.message).raw(message.nonce).string(message.recipient);
  out.option(message.callback_url.has_value());
  if (message.callback_url) out.string(*message.callback_url);
  return std::move(out).take();
}

base::Digest32 signing_hash(const Message& message) { return crypto::sha256(signed_bytes(message)); }

Signature sign(const Message& message, const SecretKey& key) { return key.sign(signing_hash(message)); }

base::Status verify(const Message& message, const PublicKey& key, const Signature& signature) {
  return verify(key, signing_hash(message), signature);
}

}  // namespace attestry::chain::near
