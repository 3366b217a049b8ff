#include "keys/internal/argon2.h"

#include <argon2.h>

#include <string>

namespace attestry::keys {

using base::Code;
using base::Error;

namespace {

/// The library takes pointers that it does not write to, except with flags that are not set here.
std::uint8_t* pointer(base::ByteView bytes) { return const_cast<std::uint8_t*>(bytes.data()); }
std::uint32_t size(base::ByteView bytes) { return static_cast<std::uint32_t>(bytes.size()); }

}  // namespace

base::Result<crypto::Secret> argon2id(const crypto::Secret& password, base::ByteView salt, Argon2Cost cost,
                                      std::size_t length, base::ByteView secret, base::ByteView associated) {
  crypto::Secret out(length);
  argon2_context context{};
  context.out = out.writable().data();
  context.outlen = static_cast<std::uint32_t>(length);
  context.pwd = pointer(password.reveal());
  context.pwdlen = size(password.reveal());
  context.salt = pointer(salt);
  context.saltlen = size(salt);
  context.secret = pointer(secret);
  context.secretlen = size(secret);
  context.ad = pointer(associated);
  context.adlen = size(associated);
  context.t_cost = cost.passes;
  context.m_cost = cost.kibibytes;
  context.lanes = cost.lanes;
  context.threads = cost.lanes;
  context.version = ARGON2_VERSION_13;
  context.flags = ARGON2_DEFAULT_FLAGS;
  const int code = argon2id_ctx(&context);
  if (code == ARGON2_OK) return out;
  const bool memory = code == ARGON2_MEMORY_ALLOCATION_ERROR || code == ARGON2_THREAD_FAIL;
  return Error{memory ? Code::unavailable : Code::crypto, std::string{"Argon2id: "} + argon2_error_message(code)};
}

}  // namespace attestry::keys
