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

namespace attestry::blobs {
namespace {

using base::Code;
using base::Error;

constexpr std::string_view kMagic = "ATB1";
constexpr std::string_view kBlobLabel = "attestry-blob-v1";
constexpr std::string_view kWrapLabel = "attestry-blob-key-v1";
constexpr std::size_t kNonce = 12;
constexpr std::size_t kKey = 32;
constexpr std::size_t kMaxKeyFile = 256;

base::Bytes associated(std::string_view label, const base::Tenant& tenant, base::ByteView record) {
  base::LpWriter out;
  out.lp(label).lp(tenant.text()).lp(record);
  return std::move(out).take();
}

base::Result<base::Bytes> seal_with(const crypto::Secret& key, crypto::Random& random, base::ByteView aad,
                                    base::ByteView plain) {
  const auto nonce = random.bytes<kNonce>();
  TRY(const auto sealed, crypto::aes256gcm_seal(key.reveal(), nonce, plain, aad));
  base::Bytes out = base::to_bytes(kMagic);
  base::append(out, nonce);
  base::append(out, sealed);
  return out;
}

base::Result<crypto::Secret> open_with(const crypto::Secret& key, base::ByteView aad, base::ByteView sealed,
                                       const std::string& what) {
  const Error bad{Code::corrupt, what + " does not open: altered, moved, or sealed under another key"};
  if (!looks_sealed(sealed) || sealed.size() < kMagic.size() + kNonce) return bad;
  const auto nonce = sealed.subspan(kMagic.size(), kNonce);
  auto plain = crypto::aes256gcm_open(key.reveal(), nonce, sealed.subspan(kMagic.size() + kNonce), aad);
  if (!plain) return bad;
  return plain;
}

class TenantSealer final : public Sealer {
 public:
  TenantSealer(std::string folder, crypto::Secret wrapping, crypto::Random& random)
      : folder_(std::move(folder)), wrapping_(std::move(wrapping)), random_(random) {}

  base::Result<base::Bytes> seal(const base::Tenant& tenant, base::ByteView record, base::ByteView plain) override {
    TRY(const auto key, key_of(tenant, true));
    return seal_with(key, random_, associated(kBlobLabel, tenant, record), plain);
  }

  base::Result<crypto::Secret> open(const base::Tenant& tenant, base::ByteView record, base::ByteView sealed) override {
    TRY(const auto key, key_of(tenant, false));
    return open_with(key, associated(kBlobLabel, tenant, record), sealed, "a sealed blob");
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
    TRY_OK(write_file(path, fresh));
    return key;
  }

  const std::string folder_;
  const crypto::Secret wrapping_;
  crypto::Random& random_;
  base::Mutex mutex_;
  std::map<std::string, crypto::Secret, std::less<>> keys_ ATTESTRY_GUARDED_BY(mutex_);
};

}  // namespace

base::Result<std::unique_ptr<Sealer>> open_tenant_sealer(const std::string& folder, crypto::Secret wrapping,
                                                         crypto::Random& random) {
  if (wrapping.size() != kKey) return Error{Code::configuration, "the key that wraps blob keys has not 32 bytes"};
  TRY_OK(make_folders(folder));
  return std::unique_ptr<Sealer>{std::make_unique<TenantSealer>(folder, std::move(wrapping), random)};
}

bool looks_sealed(base::ByteView bytes) noexcept { return base::as_text(bytes).starts_with(kMagic); }

}  // namespace attestry::blobs
