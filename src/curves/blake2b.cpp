#include "curves/blake2b.h"

#include <sodium.h>

#include "curves/internal/sodium.h"

namespace attestry::curves {

using base::Code;
using base::Error;

base::Result<base::FixedBytes<24>> blake2b_192(std::initializer_list<base::ByteView> parts) {
  TRY_OK(sodium_ready());
  base::FixedBytes<24> out{};
  crypto_generichash_blake2b_state state;
  // These fail only for sizes out of range.
  crypto_generichash_blake2b_init(&state, nullptr, 0, out.size());
  for (const base::ByteView part : parts) crypto_generichash_blake2b_update(&state, part.data(), part.size());
  crypto_generichash_blake2b_final(&state, out.data(), out.size());
  return out;
}

base::Result<crypto::Secret> blake2b_256_keyed(const crypto::Secret& key, base::ByteView data) {
  if (key.empty() || key.size() > crypto_generichash_blake2b_KEYBYTES_MAX) {
    return Error{Code::malformed, "BLAKE2b key", "1 to 64 bytes", std::to_string(key.size()) + " bytes"};
  }
  TRY_OK(sodium_ready());
  crypto::Secret out(32);
  const base::ByteView secret = key.reveal();
  const int failed = crypto_generichash_blake2b(out.writable().data(), out.size(), data.data(), data.size(),
                                                secret.data(), secret.size());
  if (failed != 0) return Error{Code::crypto, "BLAKE2b failed"};
  return out;
}

}  // namespace attestry::curves
