// Keys of the registry's dialect for those who may have them: the master behind one door, and what comes out of it for
// a Grant, or of public parts for anybody.
#pragma once
#include <memory>
#include <optional>

#include "attestation/lru_cache.h"
#include "base/mutex.h"
#include "base/result.h"
#include "crypto/secret.h"
#include "governance/grant.h"
#include "keys/registry_kdf.h"

namespace attestry::keys {

/// Where the master of "kdf 1" is. Thread-safe.
class RegistryMaster {
 public:
  virtual ~RegistryMaster() = default;
  /// `unavailable` while administrators have not brought it together yet.
  virtual base::Result<crypto::Secret> master() const = 0;
};

/// A master that this process has from its start.
class FixedRegistryMaster final : public RegistryMaster {
 public:
  explicit FixedRegistryMaster(crypto::Secret master) : master_(std::move(master)) {}
  base::Result<crypto::Secret> master() const override;

 private:
  crypto::Secret master_;
};

/// A master that others give while this process runs, and that is kept in its memory alone.
class AwaitedRegistryMaster final : public RegistryMaster {
 public:
  base::Result<crypto::Secret> master() const override;
  /// Once; what comes later is the same.
  void set(crypto::Secret master);
  bool has() const;

 private:
  mutable base::Mutex mutex_;
  std::optional<crypto::Secret> master_ ATTESTRY_GUARDED_BY(mutex_);
};

/// Thread-safe; the master outlives it. Keys of apps that were used last are kept: they are a function of the master,
/// and the master is in this process anyhow.
class RegistryKeys {
 public:
  explicit RegistryKeys(const RegistryMaster& master, std::size_t max_kept = 1024) : master_(master), kept_(max_kept) {}
  /// Of the grant's app, which is a contract; `usage` for another kind.
  base::Result<std::shared_ptr<const RegistryAppKeys>> app_keys(const governance::Grant& grant) const;
  /// For the CA's own certificate, which everybody may have. Whoever calls it hands out nothing else.
  base::Result<std::shared_ptr<const RegistryAppKeys>> for_ca_certificate(const curves::Address& contract) const;

 private:
  base::Result<std::shared_ptr<const RegistryAppKeys>> derive(const curves::Address& contract) const;

  const RegistryMaster& master_;
  mutable attestation::LruCache<RegistryAppKeys> kept_;
};

/// The contract of an app that is one; `usage` otherwise.
base::Result<curves::Address> contract_of(const base::AppRef& app);

}  // namespace attestry::keys
