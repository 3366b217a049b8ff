#include "keys/registry_keys.h"

#include <algorithm>

#include "crypto/hash.h"

namespace attestry::keys {

using base::Code;
using base::Error;
using base::Result;

namespace {
constexpr std::size_t kContractAt = 1 + 8;  // kind, chain id (FORMATS 2)
}

Result<crypto::Secret> FixedRegistryMaster::master() const { return crypto::Secret::copy_of(master_.reveal()); }

Result<crypto::Secret> AwaitedRegistryMaster::master() const {
  const base::MutexLock lock(mutex_);
  if (master_) return master_->clone();
  return Error{Code::unavailable, "the master key is not there yet", "enough nodes of the threshold root", "too few"};
}

void AwaitedRegistryMaster::set(crypto::Secret master) {
  const base::MutexLock lock(mutex_);
  if (!master_) master_ = std::move(master);
}

bool AwaitedRegistryMaster::has() const {
  const base::MutexLock lock(mutex_);
  return master_.has_value();
}

Result<curves::Address> contract_of(const base::AppRef& app) {
  curves::Address out{};
  if (app.kind() != base::AppRef::Kind::evm || app.bytes().size() != kContractAt + out.size()) {
    return Error{Code::usage, "the app is no contract", "evm:CHAIN:0x…", app.text()};
  }
  std::ranges::copy(base::ByteView{app.bytes()}.subspan(kContractAt), out.begin());
  return out;
}

Result<std::shared_ptr<const RegistryAppKeys>> RegistryKeys::derive(const curves::Address& contract) const {
  // Strangers choose the addresses: the cache's hash must not be theirs.
  const base::Digest32 key = crypto::sha256(contract);
  if (auto found = kept_.find(key)) return found;
  TRY(const auto master, master_.master(), "master key");
  TRY(auto derived, registry_app_keys(master, contract));
  auto made = std::make_shared<const RegistryAppKeys>(std::move(derived));
  kept_.put(key, made);
  return made;
}

Result<std::shared_ptr<const RegistryAppKeys>> RegistryKeys::app_keys(const governance::Grant& grant) const {
  TRY(const auto contract, contract_of(grant.app()));
  return derive(contract);
}

Result<std::shared_ptr<const RegistryAppKeys>> RegistryKeys::for_ca_certificate(const curves::Address& contract) const {
  return derive(contract);
}

}  // namespace attestry::keys
