// DSSE v1 envelopes with Ed25519 signatures: how documents are signed here (FORMATS 1).
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/ec.h"

namespace attestry::crypto {

struct EnvelopeSignature {
  std::string keyid;      ///< a hint only; never counted
  base::Bytes signature;  ///< 64 bytes Ed25519 over the DSSE pre-authentication encoding; 65: a wallet's
};

/// DSSE v1 envelope. The payload is kept as received: signatures cover its bytes, not its meaning.
struct Envelope {
  std::string payload_type;
  std::string payload;
  std::vector<EnvelopeSignature> signatures;

  /// Strict JSON `{payloadType, payload, signatures: [{keyid?, sig}]}` with 1 to 64 signatures, at most
  /// `max_bytes` long. Error `malformed`.
  static base::Result<Envelope> parse(std::string_view json, std::size_t max_bytes = 1u << 20);
  std::string to_json() const;
  /// PAE(type, payload) = "DSSEv1" SP len SP type SP len SP payload.
  base::Bytes pre_authentication() const;
  void sign(const Ed25519PrivateKey& key);
  /// Those of `keys` (32 bytes each), without duplicates, that have a signature here which verifies.
  std::vector<base::FixedBytes<32>> valid_signers(const std::vector<base::FixedBytes<32>>& keys) const;
  /// How many of `keys` (distinct, 32 bytes each) have a signature here that verifies.
  std::size_t count_valid(const std::vector<base::FixedBytes<32>>& keys) const;
};

}  // namespace attestry::crypto
