// Messages that a wallet signs off the chain (NEP-413): they can never be a transaction.
#pragma once
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "chain/near_types.h"

namespace attestry::chain::near {

struct Message {
  std::string message{};
  base::FixedBytes<32> nonce{};
  std::string recipient{};                    ///< who asks for it: an account or a domain
  std::optional<std::string> callback_url{};  ///< where the wallet went back to, if it did
};

/// The tag 2^31 + 413 and the borsh of the four fields. No transaction begins so: as the length of the signer's name
/// the tag is far too large.
base::Bytes signed_bytes(const Message& message);
/// SHA-256 of these bytes, which is what is signed.
base::Digest32 signing_hash(const Message& message);

Signature sign(const Message& message, const SecretKey& key);
/// Errors as of the other verify(). Whether the key belongs to the account is another question, for the chain.
base::Status verify(const Message& message, const PublicKey& key, const Signature& signature);

}  // namespace attestry::chain::near
