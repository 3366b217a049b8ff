#include "blobs/sealing.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <system_error>

#include "base/mutex.h"
#include "blobs/internal/disk.h"
#include "crypto/aead.h"
#include "crypto/hash.h"

namespace attestry::blobs {
namespace {

using base::Code;
using base::Error;

constexpr std::string_view kMagic = "ATB3";
constexpr std::string_view kEpochMagic = "ATB4";
/// As they were with random nonces under the key itself, of which nobody counted how many (NIST SP 800-38D 8.3).
constexpr std::string_view kMagicBefore = "ATB1";
constexpr std::string_view kEpochMagicBefore = "ATB2";
constexpr std::string_view kSealLabel = "attestry/sealed-blob/2";
constexpr std::string_view kBlobLabel = "attestry-blob-v1";
constexpr std::string_view kEpochLabel = "attestry-blob-v2";
constexpr std::string_view kWrapLabel = "attestry-blob-key-v1";
constexpr std::size_t kNonce = 12;
constexpr std::size_t kKey = 32;
constexpr std::size_t kMaxKeyFile = 256;
constexpr std::size_t kTenantMark = 8;
constexpr std::size_t kEpochHead = kEpochMagic.size() + sizeof(std::uint32_t) + kTenantMark;

bool of_no_epoch(base::ByteView bytes) noexcept {
  const auto text = base::as_text(bytes);
  return text.starts_with(kMagic) || text.starts_with(kMagicBefore);
}
bool of_an_epoch(base::ByteView bytes) noexcept {
  const auto text = base::as_text(bytes);
  return text.starts_with(kEpochMagic) || text.starts_with(kEpochMagicBefore);
}

base::Bytes associated(std::string_view label, const base::Tenant& tenant, base::ByteView record) {
  base::LpWriter out;
  out.lp(label).lp(tenant.text()).lp(record);
  return std::move(out).take();
}

base::Bytes associated(const base::Tenant& tenant, base::ByteView record, std::uint32_t epoch) {
  base::LpWriter out;
  out.lp(kEpochLabel).u32(epoch).lp(tenant.text()).lp(record);
  return std::move(out).take();
}

/// What stands before everything that is sealed in an epoch from 1 on.
base::Bytes head_of(const base::Tenant& tenant, std::uint32_t epoch) {
  base::LpWriter out;
  const auto mark = crypto::sha256(base::as_bytes(tenant.text()));
  return std::move(out.raw(base::as_bytes(kEpochMagic)).u32(epoch).raw(base::ByteView{mark}.first(kTenantMark))).take();
}

base::Result<base::Bytes> seal_with(const crypto::Secret& key, crypto::Random& random, base::ByteView aad,
                                    base::ByteView plain, base::Bytes out = base::to_bytes(kMagic)) {
  TRY(const auto sealed, crypto::aes256gcm_seal_salted(key.reveal(), kSealLabel, plain, aad, random));
  base::append(out, sealed);
  return out;
}

base::Result<crypto::Secret> open_with(const crypto::Secret& key, base::ByteView aad, base::ByteView sealed,
                                       const std::string& what, std::size_t head = kMagic.size()) {
  const Error bad{Code::corrupt, what + " does not open: altered, moved, or sealed under another key"};
  if (!looks_sealed(sealed) || sealed.size() < head + kNonce) return bad;
  const auto text = base::as_text(sealed);
  const bool before = text.starts_with(kMagicBefore) || text.starts_with(kEpochMagicBefore);
  const auto rest = sealed.subspan(head);
  auto plain = before ? crypto::aes256gcm_open(key.reveal(), rest.first(kNonce), rest.subspan(kNonce), aad)
                      : crypto::aes256gcm_open_salted(key.reveal(), kSealLabel, rest, aad);
  if (!plain) return bad;
  return plain;
}

class TenantSealer final : public Sealer {
 public:
  TenantSealer(std::string folder, crypto::Secret wrapping, crypto::Random& random, const SealerEpochs* epochs)
      : folder_(std::move(folder)), wrapping_(std::move(wrapping)), random_(random), epochs_(epochs) {}

  base::Result<base::Bytes> seal(const base::Tenant& tenant, base::ByteView record, base::ByteView plain) override {
    std::uint32_t epoch = 0;
    if (epochs_ != nullptr) {
      TRY(epoch, epochs_->current(tenant));
    }
    if (epoch != 0) {
      TRY(const auto key, epochs_->key(tenant, epoch));
      return seal_with(key, random_, associated(tenant, record, epoch), plain, head_of(tenant, epoch));
    }
    TRY(const auto key, key_of(tenant, true));
    return seal_with(key, random_, associated(kBlobLabel, tenant, record), plain);
  }

  base::Result<crypto::Secret> open(const base::Tenant& tenant, base::ByteView record, base::ByteView sealed) override {
    const auto epoch = sealed_epoch(sealed).value_or(0);
    if (epochs_ != nullptr) TRY_OK(epochs_->readable(tenant, epoch));
    if (epoch != 0) {
      if (epochs_ == nullptr) return Error{Code::corrupt, "a blob of another epoch than there are"};
      if (sealed_for_another(sealed, tenant)) return Error{Code::corrupt, "a blob that says to be of another tenant"};
      TRY(const auto key, epochs_->key(tenant, epoch));
      return open_with(key, associated(tenant, record, epoch), sealed, "a sealed blob", kEpochHead);
    }
    TRY(const auto key, key_of(tenant, false));
    return open_with(key, associated(kBlobLabel, tenant, record), sealed, "a sealed blob");
  }

  void forget(const base::Tenant& tenant) override {
    const base::MutexLock lock{mutex_};
    if (const auto known = keys_.find(tenant.text()); known != keys_.end()) keys_.erase(known);
  }

  base::Result<bool> outdated(const base::Tenant& tenant, base::ByteView sealed) const override {
    if (epochs_ == nullptr) return false;
    TRY(const auto now, epochs_->current(tenant));
    return sealed_epoch(sealed).value_or(now) < now;
  }

 private:
  base::Result<crypto::Secret> key_of(const base::Tenant& tenant, bool make) {
    const base::MutexLock lock{mutex_};
    const auto known = keys_.find(tenant.text());
    if (known != keys_.end()) return known->second.clone();
    TRY(auto key, load(tenant, make));
    auto copy = key.clone();
    keys_.emplace(tenant.text(), std::move(key));
    return copy;
  }

  base::Result<crypto::Secret> load(const base::Tenant& tenant, bool make) {
    const auto path = folder_ + "/" + tenant.text() + ".key";
    const auto aad = associated(kWrapLabel, tenant, {});
    TRY(const auto wrapped, read_file(path, kMaxKeyFile));
    if (wrapped) {
      TRY(auto key, open_with(wrapping_, aad, *wrapped, "the blob key of tenant " + tenant.text()));
      if (key.size() != kKey)
        return Error{Code::corrupt, "the blob key of tenant " + tenant.text() + " has another size"};
      return key;
    }
    if (!make)
      return Error{Code::corrupt, "tenant " + tenant.text() + " has no blob key, so nothing of it is sealed here"};
    auto key = random_.secret(kKey);
    TRY(const auto fresh, seal_with(wrapping_, random_, aad, key.reveal()));
    TRY_OK(make_folders(folder_));
    TRY_OK(write_file(path, fresh));
    return key;
  }

  const std::string folder_;
  const crypto::Secret wrapping_;
  crypto::Random& random_;
  const SealerEpochs* const epochs_;
  base::Mutex mutex_;
  std::map<std::string, crypto::Secret, std::less<>> keys_ ATTESTRY_GUARDED_BY(mutex_);
};

}  // namespace

base::Result<std::unique_ptr<Sealer>> open_tenant_sealer(const std::string& folder, crypto::Secret wrapping,
                                                         crypto::Random& random, const SealerEpochs* epochs) {
  if (wrapping.size() != kKey) return Error{Code::configuration, "the key that wraps blob keys has not 32 bytes"};
  return std::unique_ptr<Sealer>{std::make_unique<TenantSealer>(folder, std::move(wrapping), random, epochs)};
}

base::Status erase_tenant_key(const std::string& folder, const base::Tenant& tenant) {
  const auto path = folder + "/" + tenant.text() + ".key";
  const int file = ::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
  if (file < 0 && errno == ENOENT) return base::done();
  if (file < 0) return disk_trouble("open", path);
  // What a copying file system or a disk that moves its blocks keeps is still wrapped under the service's key.
  const base::Bytes zeros(kMaxKeyFile, 0);
  const bool written = ::write(file, zeros.data(), zeros.size()) == static_cast<ssize_t>(zeros.size());
  const bool synced = written && ::fsync(file) == 0;
  ::close(file);
  if (!synced) return disk_trouble("overwrite", path);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return disk_trouble("remove", path);
  return base::done();
}

bool looks_sealed(base::ByteView bytes) noexcept { return of_no_epoch(bytes) || of_an_epoch(bytes); }

std::optional<std::uint32_t> sealed_epoch(base::ByteView bytes) noexcept {
  if (of_no_epoch(bytes)) return 0;
  if (!of_an_epoch(bytes) || bytes.size() < kEpochHead) return std::nullopt;
  std::uint32_t epoch = 0;
  for (std::size_t i = 0; i < sizeof(epoch); ++i) epoch = (epoch << 8) | bytes[kEpochMagic.size() + i];
  return epoch;
}

bool sealed_for_another(base::ByteView bytes, const base::Tenant& tenant) noexcept {
  if (sealed_epoch(bytes).value_or(0) == 0) return false;
  const auto mark = crypto::sha256(base::as_bytes(tenant.text()));
  return !base::equal(bytes.subspan(kEpochHead - kTenantMark, kTenantMark), base::ByteView{mark}.first(kTenantMark));
}

}  // namespace attestry::blobs
