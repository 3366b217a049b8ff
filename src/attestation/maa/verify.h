// Verification of Azure Attestation tokens: RFC 7519 under the rules of RFC 8725, then what Microsoft documents about
// the claims.
#pragma once
#include "attestation/anchors.h"
#include "attestation/collateral.h"
#include "attestation/lru_cache.h"
#include "attestation/maa/jwks.h"
#include "attestation/verdict.h"
#include "base/bytes.h"
#include "base/time.h"

namespace attestry::attestation::maa {

/// Key sets that were read, by digest of the collateral. Thread-safe.
using KeySets = LruCache<KeySet>;

/// What is hashed of a token: all of it, which names the evidence, and header.payload, which is signed. Nearly the same
/// bytes, so hashed in one pass. Of what is no token the second means nothing.
struct TokenDigests {
  base::Digest32 token{};
  base::Digest32 signed_text{};
  std::size_t signed_size = 0;  ///< of the text that `signed_text` is the hash of
};
TokenDigests digest_token(base::ByteView evidence);

/// Records the maa checks and fills claims, report data, debug flag and validity of `verdict`. Keys come from the
/// collateral only, issuers from the anchors only: nothing in a token says how to verify it.
void judge_token(base::ByteView evidence, const TokenDigests& digests, const Collateral& collateral, base::UtcTime at,
                 const TrustAnchors& anchors, KeySets& key_sets, CheckRecorder& recorder, Verdict& verdict);

}  // namespace attestry::attestation::maa
