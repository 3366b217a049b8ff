#include "keys/keymanager_kdf.h"

#include <algorithm>

#include "crypto/hash.h"

namespace attestry::keys {

using base::Code;
using base::Error;
using base::Result;
using crypto::Secret;

namespace {

constexpr std::size_t kMasterBytes = 32;
constexpr std::size_t kMaxWorkload = 253;
constexpr std::size_t kMaxPurpose = 64;
constexpr std::size_t kWideScalar = 48;
constexpr std::size_t kMinKey = 16;
constexpr std::size_t kMaxKey = 64;

bool is_purpose(std::string_view text) {
  return !text.empty() && text.size() <= kMaxPurpose &&
         std::ranges::all_of(text, [](char c) { return c >= 0x21 && c <= 0x7e; });
}

base::Status check(const Secret& master, std::uint32_t epoch) {
  if (master.size() != kMasterBytes) return Error{Code::internal, "master key has a wrong size", "32 bytes"};
  if (epoch == 0)
    return Error{Code::malformed, "epoch of a key manager", "1 or more: the bootstrap begins epoch 1", "0"};
  return base::done();
}

}  // namespace

Result<Secret> keymanager_workload_key(const Secret& master, std::string_view workload, std::string_view purpose,
                                       std::uint32_t epoch, std::size_t length) {
  TRY_OK(check(master, epoch));
  if (workload.empty() || workload.size() > kMaxWorkload) {
    return Error{Code::malformed, "identity of a workload", "1 to 253 bytes",
                 std::to_string(workload.size()) + " bytes"};
  }
  if (!is_purpose(purpose)) {
    return Error{Code::malformed, "purpose of a key", "1 to 64 printable ASCII characters without space",
                 std::to_string(purpose.size()) + " bytes"};
  }
  if (length < kMinKey || length > kMaxKey) {
    return Error{Code::malformed, "length of a key", "16 to 64 bytes", std::to_string(length)};
  }
  base::LpWriter info;
  info.lp(workload).lp(purpose).u32(epoch).u32(static_cast<std::uint32_t>(length));
  const auto salt = crypto::sha256(base::as_bytes("attestry/keymanager/1"));
  return crypto::hkdf_sha256(salt, master.reveal(), info.bytes(), length);
}

Result<curves::Secp256k1PrivateKey> keymanager_attest_key(const Secret& master, std::uint32_t epoch) {
  TRY_OK(check(master, epoch));
  base::LpWriter info;
  info.u32(epoch);
  const auto salt = crypto::sha256(base::as_bytes("attestry/keymanager/attest/1"));
  const Secret wide = crypto::hkdf_sha256(salt, master.reveal(), info.bytes(), kWideScalar);
  return curves::Secp256k1PrivateKey::from_wide(wide.reveal());
}

}  // namespace attestry::keys
