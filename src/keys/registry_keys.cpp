#include "keys/registry_keys.h"

#include <algorithm>

namespace attestry::keys {

using base::Code;
using base::Error;
using base::Result;

namespace {
constexpr std::size_t kContractAt = 1 + 8;  // kind, chain id (FORMATS 2)
}

Result<crypto::Secret> FixedRegistryMaster::master() const { return crypto::Secret::copy_of(master_.reveal()); }

Result<curves::Address> contract_of(const base::AppRef& app) {
  curves::Address out{};
  if (app.kind() != base::AppRef::Kind::evm || app.bytes().size() != kContractAt + out.size()) {
    return Error{Code::usage, "the app is no contract", "evm:CHAIN:0x…", app.text()};
  }
  std::ranges::copy(base::ByteView{app.bytes()}.subspan(kContractAt), out.begin());
  return out;
}

Result<RegistryAppKeys> RegistryKeys::app_keys(const governance::Grant& grant) const {
  TRY(const auto contract, contract_of(grant.app()));
  TRY(const auto master, master_.master(), "master key");
  return registry_app_keys(master, contract);
}

Result<RegistryAppKeys> RegistryKeys::for_ca_certificate(const curves::Address& contract) const {
  TRY(const auto master, master_.master(), "master key");
  return registry_app_keys(master, contract);
}

}  // namespace attestry::keys
