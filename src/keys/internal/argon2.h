// Argon2id (RFC 9106), version 0x13.
#pragma once
#include <cstdint>

#include "base/result.h"
#include "crypto/secret.h"

namespace attestry::keys {

struct Argon2Cost {
  std::uint32_t passes = 1;
  std::uint32_t kibibytes = 64 * 1024;
  std::uint32_t lanes = 4;
};

/// `length` bytes. `secret` and `associated` may be empty. Error `crypto` for what the RFC does not allow (a salt below
/// 8 bytes) and `unavailable` for want of memory.
base::Result<crypto::Secret> argon2id(const crypto::Secret& password, base::ByteView salt, Argon2Cost cost,
                                      std::size_t length, base::ByteView secret = {}, base::ByteView associated = {});

}  // namespace attestry::keys
