#include "secrets/keystore_masters_source.h"

#include "base/encoding.h"
#include "crypto/hash.h"

namespace attestry::secrets {

using base::Code;
using base::Error;
using base::Result;

namespace {

constexpr std::chrono::seconds kNodesPatience{30};

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

class NodesSource final : public MasterSource {
 public:
  NodesSource(const keys::ThresholdRoot& nodes, std::string dao, base::ByteView network)
      : nodes_(nodes),
        dao_(std::move(dao)),
        name_(std::string{kNodesSource} + dao_ + "@" + base::hex(crypto::sha256(network)).substr(0, 16)) {}
  std::string_view name() const noexcept override { return name_; }
  Result<crypto::Secret> default_master(std::uint32_t epoch) override {
    if (epoch != 1) return Error{Code::usage, "masters that nodes derive have one epoch", "1", std::to_string(epoch)};
    return nodes_.account_key({.account = dao_, .path = {}}, std::chrono::steady_clock::now() + kNodesPatience);
  }
  Result<crypto::Secret> vault_master(const crypto::Secret& default_master, std::string_view vault,
                                      base::Deadline deadline) override {
    return nodes_.account_key({.account = std::string{vault}, .path = vault_master_path(default_master, vault)},
                              deadline);
  }
  bool local() const noexcept override { return false; }
  bool rotates() const noexcept override { return false; }
  bool given() const noexcept override { return true; }
  bool waits() const noexcept override { return true; }

 private:
  const keys::ThresholdRoot& nodes_;
  const std::string dao_, name_;
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

std::unique_ptr<MasterSource> nodes_source(const keys::ThresholdRoot& nodes, std::string dao, base::ByteView network) {
  return std::make_unique<NodesSource>(nodes, std::move(dao), network);
}

std::unique_ptr<MasterSource> imported_source(crypto::Secret master, crypto::Random& random) {
  return std::make_unique<GivenSource>("imported", std::move(master), true, random);
}

std::unique_ptr<MasterSource> generated_source(crypto::Random& random,
                                               std::function<base::Status(const crypto::Secret&)> announce) {
  return std::make_unique<GeneratedSource>(random, std::move(announce));
}

}  // namespace attestry::secrets
