#include "provision/registry_receiver.h"

#include "base/encoding.h"
#include "base/log.h"
#include "crypto/hash.h"
#include "crypto/key_pem.h"
#include "curves/ecies.h"
#include "provision/registry_pki.h"

namespace attestry::provision {

using base::Code;
using base::Error;
using base::Result;
using base::Status;

namespace {

constexpr std::size_t kMasterBytes = 32;
/// Clients read it as a signed number.
constexpr std::uint64_t kNonceMask = 0x7fff'ffff'ffff'ffff;

std::uint64_t new_nonce(crypto::Random& random) {
  std::uint64_t out = 0;
  while (out == 0) {  // the contract takes 0 for "no such request"
    for (const std::uint8_t byte : random.bytes<8>()) out = out << 8 | byte;
    out &= kNonceMask;
  }
  return out;
}

Result<base::Bytes> spki_of(base::ByteView pem) {
  TRY(const auto key, crypto::ec_public_key_from_pem(pem));
  return base::to_bytes(key.spki());
}

}  // namespace

Status RegistryReceiver::has_none() const {
  if (!deps_.master.has()) return base::done();
  return Error{Code::conflict, "this server has a master key already"};
}

std::shared_ptr<const PendingRequest> RegistryReceiver::pending(const curves::Address& operator_address) const {
  const base::MutexLock lock(mutex_);
  const auto found = pending_.find(operator_address);
  return found == pending_.end() ? nullptr : found->second;
}

Result<std::shared_ptr<const PendingRequest>> RegistryReceiver::request(const curves::Address& operator_address) {
  TRY_OK(has_none());
  if (auto before = pending(operator_address)) return before;
  auto key = crypto::EcPrivateKey::generate(crypto::Curve::p256, deps_.random);
  governance::OnboardRequest request;
  request.pubkey = base::to_bytes(base::as_bytes(crypto::spki_pem(key.public_key().spki())));
  request.nonce = onboard_nonce(new_nonce(deps_.random));
  request.operator_address = operator_address;
  TRY(request.attestation, deps_.attest(onboard_report_data(deps_.contract.address(), request.pubkey, request.nonce,
                                                            request.operator_address)));
  if (request.attestation.empty()) {
    return Error{Code::configuration, "this server makes no evidence", "registry.attestation", "none",
                 "Nobody gives his master to a server that cannot show what it is."};
  }
  const auto hash = onboard_request_hash(request.pubkey, request.nonce, request.operator_address, request.attestation);
  auto made = std::make_shared<const PendingRequest>(
      PendingRequest{.key = std::move(key), .request = std::move(request), .hash = hash});
  const base::MutexLock lock(mutex_);
  return pending_.try_emplace(operator_address, std::move(made)).first->second;
}

/// Whoever answers for the giving server can encrypt any master to the request's key, and would know every app's keys
/// from then on. So it counts only when it makes the key that the contract's owner has published.
Status RegistryReceiver::accept(const PendingRequest& pending, base::ByteView blob, base::Deadline deadline) {
  TRY_OK(has_none());
  TRY(auto master, curves::ecies_v1_open(pending.key, blob), "could not decrypt kms seed");
  if (master.size() != kMasterBytes) {
    return Error{Code::malformed, "could not decrypt kms seed", "32 bytes", std::to_string(master.size())};
  }
  TRY(const auto published, deps_.contract.known_key(deadline));
  TRY(const auto keys, keys::registry_app_keys(master, deps_.contract.address()));
  TRY(const auto expected, spki_of(published), "published key");
  const auto found = base::to_bytes(keys.app.public_key().spki());
  if (found != expected) {
    return Error{Code::denied, "the master that came is not the key service's", base::hex(crypto::sha256(expected)),
                 base::hex(crypto::sha256(found)), "Nothing was kept. Look who answered for the giving server."};
  }
  TRY_OK(deps_.master.set(std::move(master), deadline));
  base::log(base::LogLevel::info, "this server has the key service's master now",
            {{"request", base::hex(pending.hash)}, {"how", "onboarding"}});
  return base::done();
}

Status RegistryReceiver::generate(base::Deadline deadline) {
  TRY_OK(has_none());
  TRY(const auto published, deps_.contract.published_key(deadline));
  if (published) {
    return Error{Code::conflict,
                 "the key service has a master already: its contract publishes its key",
                 {},
                 {},
                 "Get it from a server that has it: attestry kms onboard."};
  }
  TRY_OK(deps_.master.set(deps_.random.secret(kMasterBytes), deadline));
  base::log(base::LogLevel::info, "this server has the key service's master now", {{"how", "generated"}});
  return base::done();
}

}  // namespace attestry::provision
