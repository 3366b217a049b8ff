// A door for one known answer: RFC 9180 appendix A.1 uses AES-128-GCM, which this program itself never does.
#pragma once
#include "crypto/hpke.h"

namespace attestry::crypto::internal {

base::Result<HpkeSealed> hpke_seal_aes128_for_test(base::ByteView ephemeral_seed, base::ByteView recipient_public,
                                                   base::ByteView info, base::ByteView aad, base::ByteView plaintext);

}  // namespace attestry::crypto::internal
