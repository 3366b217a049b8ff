// Keys of tenants for what the server keeps of their blobs: random, one for each tenant, wrapped by the server's own.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "blobs/store.h"
#include "crypto/random.h"

namespace attestry::blobs {

/// Keys of the epochs after a tenant's first, which its file holds. Thread-safe.
class SealerEpochs {
 public:
  virtual ~SealerEpochs() = default;
  /// What is sealed now is sealed in it; 0: under the key of the file.
  virtual base::Result<std::uint32_t> current(const base::Tenant& tenant) const = 0;
  /// `denied` when what was sealed in that epoch may not be read any more.
  virtual base::Status readable(const base::Tenant& tenant, std::uint32_t epoch) const = 0;
  /// 32 bytes, of an epoch from 1 on.
  virtual base::Result<crypto::Secret> key(const base::Tenant& tenant, std::uint32_t epoch) const = 0;
};

/// `folder` holds <tenant>.key: the tenant's random key, wrapped under `wrapping` (32 bytes; it is not kept there) with
/// AES-256-GCM. A missing file is made, a damaged one is the error `corrupt`, never replaced. `random` outlives this,
/// and so do `epochs`; null: there is only the file's.
/// Sealed form: "ATB3" ‖ aes256gcm_seal_salted(label "attestry/sealed-blob/2", plain, aad = LP("attestry-blob-v1") ‖
/// LP(tenant) ‖ LP(record)); in a later epoch "ATB4" ‖ epoch u32 ‖ SHA-256(tenant), its first 8 bytes ‖ the same with
/// LP("attestry-blob-v2") and the epoch after it. What was sealed before, "ATB1" and "ATB2" with nonce (12) ‖
/// AES-256-GCM under the key itself, is opened.
base::Result<std::unique_ptr<Sealer>> open_tenant_sealer(const std::string& folder, crypto::Secret wrapping,
                                                         crypto::Random& random, const SealerEpochs* epochs = nullptr);
/// Overwrites and removes the tenant's file; there may be none.
base::Status erase_tenant_key(const std::string& folder, const base::Tenant& tenant);

/// Whether the bytes begin as sealed ones do.
bool looks_sealed(base::ByteView bytes) noexcept;
/// In which epoch they were sealed; nullopt when they are not.
std::optional<std::uint32_t> sealed_epoch(base::ByteView bytes) noexcept;
/// Whether they say to be of another tenant; those of epoch 0 say nothing.
bool sealed_for_another(base::ByteView bytes, const base::Tenant& tenant) noexcept;

/// Files of a tenant in a file store's folder, sorted, those after `cursor` only; as reseal_files() takes them.
base::Result<std::vector<std::string>> files_of(const std::string& folder, const base::Tenant& tenant,
                                                const std::string& cursor = {});
/// Seals those of older epochs in `epoch`, which is the sealer's current one, and says how many they were. What is
/// damaged stays as it is, and is logged.
base::Result<std::uint64_t> reseal_files(const std::string& folder, const base::Tenant& tenant, Sealer& sealer,
                                         std::uint32_t epoch, std::span<const std::string> files);
/// How many files of the tenant there are sealed in an epoch before `epoch`.
base::Result<std::uint64_t> files_older_than(const std::string& folder, const base::Tenant& tenant,
                                             std::uint32_t epoch);
/// Removes what a cache's folder holds of older epochs of the tenant, and what does not say whose it is.
base::Status drop_cached(const std::string& folder, const base::Tenant& tenant, std::uint32_t epoch);

}  // namespace attestry::blobs
