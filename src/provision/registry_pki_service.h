// What anybody may see of an app: its CA, its public key, and this server's own evidence over both.
#pragma once
#include <memory>
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
  std::int64_t fresh_seconds = 300;  ///< evidence is made anew after so long
  std::size_t max_kept = 4096;       ///< apps; strangers may ask for any address
};

/// Thread-safe. Evidence is made by one caller at a time for an app: strangers cannot make this server ask its quoting
/// enclave more often than once in `fresh_seconds` for each of the apps it keeps, and whoever waits gets the same.
class RegistryPkiService {
 public:
  /// `attester` may be null; both outlive it.
  RegistryPkiService(const keys::RegistryKeys& keys, attestation::Attester* attester, const base::Clock& clock,
                     PkiServiceOptions options = {});
  base::Result<std::shared_ptr<const RegistryPki>> get(const curves::Address& contract);
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
  base::Mutex making_;  ///< held while evidence is made
  attestation::LruCache<Kept> kept_;
};

}  // namespace attestry::provision
