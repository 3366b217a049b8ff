// Shamir's sharing over GF(2^8) with the polynomial 0x11B, in Vault's form: a share is the y bytes, one for each byte
// of the secret, and then the one x byte. docs/formats/registry.md
#pragma once
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/random.h"
#include "crypto/secret.h"

namespace attestry::curves {

/// 2 <= threshold <= parts <= 255, the secret not empty. x bytes are distinct, random and never 0. No branch and no
/// address depends on the secret.
base::Result<std::vector<crypto::Secret>> shamir_split(const crypto::Secret& secret, unsigned threshold, unsigned parts,
                                                       crypto::Random& random);

/// Over all shares given. Refuses fewer than two, different lengths, x = 0 and one x twice. Fewer shares than the
/// threshold, or a forged one, give a wrong secret without a sign: check share_commitment before and secret_commitment
/// after.
base::Result<crypto::Secret> shamir_combine(std::span<const crypto::Secret> shares);

/// Names a wrong or forged share before it is combined. `set_id` is the random id of one split. Shares are as
/// unpredictable as the secret is long: only for secrets of 16 random bytes or more.
base::Digest32 share_commitment(base::ByteView set_id, const crypto::Secret& share);
base::Digest32 secret_commitment(base::ByteView set_id, const crypto::Secret& secret);

}  // namespace attestry::curves
