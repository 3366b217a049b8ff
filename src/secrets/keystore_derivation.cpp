#include "secrets/keystore_derivation.h"

#include <cstdlib>
#include <utility>

#include "base/encoding.h"
#include "crypto/hash.h"

namespace attestry::secrets::keystore {

using base::Code;
using base::Error;
using base::Result;
using crypto::Secret;

namespace {

/// The labels of 4.1, in front of the seed's text.
constexpr std::string_view kEcies = "ecies:";
constexpr std::string_view kSecretPath = "secret-path:";

Secret derive_labelled(const Secret& master, std::string_view label, const Seed& seed) {
  std::string message{label};
  message += seed.text();
  return derive(master, message);
}

SealingKey sealing_key(Secret scalar) {
  SealingKey key{.scalar = std::move(scalar), .public_key = {}};
  key.public_key = crypto::x25519_public(key.scalar.reveal());
  return key;
}

}  // namespace

Secret derive(const Secret& master, base::ByteView label) {
  // A caller that lost its master would derive keys that everybody knows.
  if (master.size() != kMasterBytes) std::abort();
  crypto::Sha256Digest digest = crypto::hmac_sha256(master.reveal(), label);
  return Secret::absorb(digest);
}

crypto::Ed25519PrivateKey ed25519_key(const Secret& master, const Seed& seed) {
  auto key = crypto::Ed25519PrivateKey::from_seed(derive(master, seed.text()).reveal());
  if (!key) std::abort();  // 32 bytes always are a seed
  return *std::move(key);
}

Result<curves::Secp256k1PrivateKey> secp256k1_key(const Secret& master, const Seed& seed) {
  auto key = curves::Secp256k1PrivateKey::from_scalar(derive(master, seed.text()).reveal());
  if (!key) return Error{Code::crypto, "this seed has no secp256k1 key", {}, {}, "Use another seed."};
  return key;
}

Secret secret_path(const Secret& master, const Seed& seed) {
  const Secret raw = derive_labelled(master, kSecretPath, seed);
  Secret out(2 * raw.size());
  // By arithmetic, not by a table: the digits are secret.
  const auto digit = [](unsigned nibble) {
    return static_cast<std::uint8_t>('0' + nibble + (((9 - nibble) >> 8) & ('a' - '0' - 10)));
  };
  for (std::size_t i = 0; i < raw.size(); ++i) {
    const unsigned byte = raw.reveal()[i];
    out.writable()[2 * i] = digit(byte >> 4);
    out.writable()[2 * i + 1] = digit(byte & 15);
  }
  return out;
}

SealingKey ecies_key(const Secret& master, const Seed& seed) {
  return sealing_key(derive_labelled(master, kEcies, seed));
}

SealingKey sealing_key_v3(const Secret& master, const Seed& seed) {
  base::LpWriter label;
  label.lp("attestry/keystore/x25519/3").lp(seed.v3());
  return sealing_key(derive(master, label.bytes()));
}

std::shared_ptr<const SealingKey> SealingKeyCache::get(std::string_view scope, const Secret& master, const Seed& seed,
                                                       Format format) {
  std::string name;
  const bool v1 = format == Format::ecies_v1;
  const std::string_view what = v1 ? std::string_view{seed.text()} : base::as_text(seed.v3());
  name.reserve(scope.size() + what.size() + 2);
  name.append(scope).push_back('\0');  // in neither a scope nor a text
  name.append(v1 ? "1" : "3").append(what);
  std::uint64_t cleared = 0;
  {
    const base::MutexLock lock(mutex_);
    cleared = cleared_;
    if (auto known = keys_.find(name)) return known;
  }
  auto key = std::make_shared<const SealingKey>(v1 ? ecies_key(master, seed) : sealing_key_v3(master, seed));
  const base::MutexLock lock(mutex_);
  if (cleared == cleared_) keys_.put(name, key);
  return key;
}

std::shared_ptr<const Secret> SealingKeyCache::blob_key(const std::string& name, std::uint64_t& generation) {
  const base::MutexLock lock(mutex_);
  generation = cleared_;
  return blobs_.find(name);
}

void SealingKeyCache::remember_blob_key(const std::string& name, Secret key, std::uint64_t generation) {
  auto shared = std::make_shared<const Secret>(std::move(key));
  const base::MutexLock lock(mutex_);
  if (generation == cleared_) blobs_.put(name, std::move(shared));
}

void SealingKeyCache::clear() {
  const base::MutexLock lock(mutex_);
  keys_.clear();
  blobs_.clear();
  ++cleared_;
}

std::size_t SealingKeyCache::size() const {
  const base::MutexLock lock(mutex_);
  return keys_.size() + blobs_.size();
}

Result<VrfProof> vrf_prove(const Secret& master, std::string_view alpha) {
  if (alpha.empty()) return Error{Code::malformed, "alpha must not be empty"};
  VrfProof proof;
  proof.signature = ed25519_key(master, Seed::vrf()).sign(base::as_bytes(alpha));
  proof.output = crypto::sha256(proof.signature);
  return proof;
}

bool vrf_verify(base::ByteView public_key, std::string_view alpha, const VrfProof& proof) {
  return crypto::ed25519_verify(public_key, base::as_bytes(alpha), proof.signature) &&
         crypto::sha256(proof.signature) == proof.output;
}

}  // namespace attestry::secrets::keystore
