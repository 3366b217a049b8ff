// What anybody may see of an app: its CA, its public key, and this server's own evidence over both.
#pragma once
#include <chrono>
#include <condition_variable>
#include <memory>
#include <optional>
#include <string>

#include "attestation/binding.h"
#include "attestation/lru_cache.h"
#include "base/mutex.h"
#include "base/result.h"
#include "base/time.h"
#include "curves/address.h"
#include "keys/registry_keys.h"

namespace attestry::provision {

struct RegistryPki {
  std::string ca_pem;
  std::string app_pubkey_pem;
  base::Bytes attestation;  ///< empty when this server makes none
};

struct PkiServiceOptions {
  std::int64_t fresh_seconds = 300;          ///< evidence is made anew after so long
  std::size_t max_kept = 4096;               ///< apps
  std::int64_t retry_seconds = 2;            ///< after a failure
  std::chrono::milliseconds patience{1000};  ///< with somebody else's evidence
};

/// Thread-safe. One caller at a time makes evidence for this page; the others wait for him a little, and hear
/// `unavailable` then and for some seconds after a failure, so that strangers and a quote provider that is away hold
/// none but the few threads that strangers have.
class RegistryPkiService {
 public:
  /// `attester` may be null; both outlive it.
  RegistryPkiService(const keys::RegistryKeys& keys, attestation::Attester* attester, const base::Clock& clock,
                     PkiServiceOptions options = {});
  base::Result<std::shared_ptr<const RegistryPki>> get(const curves::Address& contract);
  /// get() would not have to make anything.
  bool known(const curves::Address& contract);
  bool makes_evidence() const noexcept { return attester_ != nullptr; }
  /// This server's evidence over any report data, not kept.
  base::Result<base::Bytes> attest(const base::FixedBytes<64>& report_data);

 private:
  struct Kept {
    RegistryPki pki;
    base::Deadline fresh_until{};
  };
  std::shared_ptr<const RegistryPki> fresh(const base::Digest32& key);

  const keys::RegistryKeys& keys_;
  attestation::Attester* const attester_;
  const base::Clock& clock_;
  const PkiServiceOptions options_;
  base::Result<std::shared_ptr<const RegistryPki>> make(const curves::Address& contract, const base::Digest32& key);

  /// In the name of all who wait. Whoever gets it gives it back with made().
  base::Status my_turn(const base::Digest32& key, std::shared_ptr<const RegistryPki>& found);
  void made();

  base::Mutex mutex_;
  std::condition_variable_any changed_;
  bool making_ ATTESTRY_GUARDED_BY(mutex_) = false;
  std::optional<base::Error> failure_ ATTESTRY_GUARDED_BY(mutex_);
  base::Deadline failed_until_ ATTESTRY_GUARDED_BY(mutex_){};
  attestation::LruCache<Kept> kept_;
};

}  // namespace attestry::provision
