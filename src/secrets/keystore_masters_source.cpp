#include "secrets/keystore_masters_source.h"

#include "base/encoding.h"
#include "crypto/hash.h"

namespace attestry::secrets {

using base::Code;
using base::Error;
using base::Result;

namespace {

class LocalSource : public MasterSource {
 public:
  LocalSource(std::string_view name, crypto::Random& random) : name_(name), random_(random) {}
  std::string_view name() const noexcept override { return name_; }
  Result<crypto::Secret> default_master(std::uint32_t epoch) override {
    if (epoch == 1) return first();
    return random_.secret(kKeystoreMasterBytes);
  }
  Result<crypto::Secret> vault_master(const crypto::Secret& default_master, std::string_view vault,
                                      base::Deadline /*deadline*/) override {
    return local_vault_master(default_master, vault);
  }

 protected:
  virtual Result<crypto::Secret> first() = 0;
  crypto::Random& random() noexcept { return random_; }

 private:
  std::string_view name_;
  crypto::Random& random_;
};

class GivenSource final : public LocalSource {
 public:
  GivenSource(std::string_view name, crypto::Secret master, bool binding, crypto::Random& random)
      : LocalSource(name, random), master_(std::move(master)), binding_(binding) {}
  bool binding() const noexcept override { return binding_; }

 private:
  Result<crypto::Secret> first() override {
    if (master_.size() == kKeystoreMasterBytes) return master_.clone();
    return Error{Code::malformed, "master of the keystore", "32 bytes", std::to_string(master_.size())};
  }
  const crypto::Secret master_;
  const bool binding_;
};

class GeneratedSource final : public LocalSource {
 public:
  GeneratedSource(crypto::Random& random, std::function<base::Status(const crypto::Secret&)> announce)
      : LocalSource("generated", random), announce_(std::move(announce)) {}

 private:
  Result<crypto::Secret> first() override {
    auto out = random().secret(kKeystoreMasterBytes);
    if (announce_) TRY_OK(announce_(out), "the new master of the keystore");
    return out;
  }
  const std::function<base::Status(const crypto::Secret&)> announce_;
};

class ThresholdSource final : public LocalSource {
 public:
  ThresholdSource(std::function<Result<crypto::Secret>()> legacy, crypto::Random& random)
      : LocalSource("threshold", random), legacy_(std::move(legacy)) {}

 private:
  Result<crypto::Secret> first() override { return legacy_(); }
  const std::function<Result<crypto::Secret>()> legacy_;
};

}  // namespace

std::string vault_master_path(const crypto::Secret& default_master, std::string_view vault) {
  const std::string label = "secret-path:vault-master:" + std::string{vault};
  return base::hex(crypto::hmac_sha256(default_master.reveal(), base::as_bytes(label)));
}

crypto::Secret local_vault_master(const crypto::Secret& default_master, std::string_view vault) {
  base::LpWriter info;
  info.lp("keystore vault master").lp(vault_master_path(default_master, vault));
  return crypto::hkdf_sha256({}, default_master.reveal(), info.bytes(), kKeystoreMasterBytes);
}

std::unique_ptr<MasterSource> derived_source(crypto::Secret legacy, crypto::Random& random) {
  return std::make_unique<GivenSource>("derived", std::move(legacy), false, random);
}

std::unique_ptr<MasterSource> threshold_source(std::function<Result<crypto::Secret>()> legacy, crypto::Random& random) {
  return std::make_unique<ThresholdSource>(std::move(legacy), random);
}

std::unique_ptr<MasterSource> imported_source(crypto::Secret master, crypto::Random& random) {
  return std::make_unique<GivenSource>("imported", std::move(master), true, random);
}

std::unique_ptr<MasterSource> generated_source(crypto::Random& random,
                                               std::function<base::Status(const crypto::Secret&)> announce) {
  return std::make_unique<GeneratedSource>(random, std::move(announce));
}

}  // namespace attestry::secrets
