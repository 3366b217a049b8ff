#include "provision/registry_pki_service.h"

#include <chrono>

#include "crypto/hash.h"
#include "provision/registry_pki.h"

namespace attestry::provision {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

RegistryPkiService::RegistryPkiService(const keys::RegistryKeys& keys, attestation::Attester* attester,
                                       const base::Clock& clock, PkiServiceOptions options)
    : keys_(keys), attester_(attester), clock_(clock), options_(options), kept_(options.max_kept) {}

std::shared_ptr<const RegistryPki> RegistryPkiService::fresh(const base::Digest32& key) {
  auto kept = kept_.find(key);
  if (!kept || clock_.steady() >= kept->fresh_until) return nullptr;
  return {kept, &kept->pki};
}

bool RegistryPkiService::known(const curves::Address& contract) { return fresh(crypto::sha256(contract)) != nullptr; }

Result<std::shared_ptr<const RegistryPki>> RegistryPkiService::get(const curves::Address& contract) {
  // Strangers choose the addresses: the cache's hash must not be theirs.
  const base::Digest32 key = crypto::sha256(contract);
  if (auto found = fresh(key)) return found;
  std::shared_ptr<const RegistryPki> found;
  TRY_OK(my_turn(key, found));
  if (found) return found;
  auto out = make(contract, key);
  made();
  return out;
}

/// `found` is set when somebody else has just made it, and it is nobody's turn then.
Status RegistryPkiService::my_turn(const base::Digest32& key, std::shared_ptr<const RegistryPki>& found) {
  const auto until = std::chrono::steady_clock::now() + options_.patience;
  const base::MutexLock lock(mutex_);
  for (;;) {
    if (failure_ && clock_.steady() < failed_until_) return *failure_;
    found = fresh(key);
    if (found) return base::done();
    if (!making_) break;
    if (changed_.wait_until(mutex_, until) == std::cv_status::timeout && making_) {
      return Error{Code::unavailable,
                   "this server's evidence is being made for somebody else",
                   {},
                   {},
                   "Ask again in a second."};
    }
  }
  making_ = true;
  return base::done();
}

void RegistryPkiService::made() {
  {
    const base::MutexLock lock(mutex_);
    making_ = false;
  }
  changed_.notify_all();
}

Result<std::shared_ptr<const RegistryPki>> RegistryPkiService::make(const curves::Address& contract,
                                                                    const base::Digest32& key) {
  TRY(const auto keys, keys_.for_ca_certificate(contract));
  auto made = std::make_shared<Kept>();
  TRY(made->pki.ca_pem, registry_ca_pem(*keys, contract));
  made->pki.app_pubkey_pem = registry_app_pubkey_pem(*keys);
  if (attester_ != nullptr) {
    auto evidence = attest(pki_report_data(contract, made->pki.ca_pem, made->pki.app_pubkey_pem));
    if (!evidence) {
      const base::MutexLock lock(mutex_);
      failure_ = evidence.error();
      failed_until_ = clock_.steady() + std::chrono::seconds(options_.retry_seconds);
      return std::move(evidence).error();
    }
    made->pki.attestation = *std::move(evidence);
  }
  made->fresh_until = clock_.steady() + std::chrono::seconds(options_.fresh_seconds);
  kept_.put(key, made);
  return std::shared_ptr<const RegistryPki>{made, &made->pki};
}

Result<base::Bytes> RegistryPkiService::attest(const base::FixedBytes<64>& report_data) {
  if (attester_ == nullptr) return base::Bytes{};
  TRY(auto evidence, attester_->attest(report_data), "attestation");
  return std::move(evidence.bytes);
}

}  // namespace attestry::provision
