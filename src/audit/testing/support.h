// Keys, leaves and logs for tests of this room and of those above it.
#pragma once
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "audit/log.h"
#include "base/encoding.h"
#include "crypto/hash.h"
#include "state/testing/support.h"

namespace attestry::audit::testing {

inline constexpr const char* kOrigin = "log.example/attestry";
inline constexpr base::UtcTime kTime{1'800'000'000};

/// The same name gives the same key.
inline crypto::Ed25519PrivateKey key_named(std::string_view name) {
  auto key = crypto::Ed25519PrivateKey::from_seed(crypto::sha256(base::as_bytes(name)));
  EXPECT_TRUE(key.ok());
  return std::move(*key);
}

inline crypto::Ed25519PrivateKey log_key() { return key_named("the log"); }

inline LogTrust trust_in(const crypto::Ed25519PrivateKey& key) {
  return LogTrust{kOrigin, {NoteKey{kOrigin, NoteKeyType::ed25519, key.public_key()}}};
}

inline NoteKey witness_key(const std::string& name) {
  return {name, NoteKeyType::cosignature, key_named(name).public_key()};
}

/// A leaf of which `number` shows in the reply's hash.
inline Leaf leaf_number(std::uint64_t number) {
  Leaf out;
  out.type = "release";
  out.realm = base::Realm::simulated;
  out.audience = kOrigin;
  out.app = "name:payments";
  out.time = kTime;
  out.binding = std::string(128, 'b');
  out.reply = base::hex(crypto::sha256(base::as_bytes(std::to_string(number))));
  return out;
}

}  // namespace attestry::audit::testing
