// The receiving side of an onboarding: a new key server asks for the master, and keeps only the one that the key
// service's contract names (docs/formats/registry.md, "Onboarding").
#pragma once
#include <functional>
#include <map>
#include <memory>

#include "base/mutex.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/ec.h"
#include "crypto/random.h"
#include "governance/kms_contract.h"
#include "keys/received_master.h"

namespace attestry::provision {

struct ReceiverDeps {
  governance::KmsContract& contract;
  keys::ReceivedMaster& master;
  crypto::Random& random;
  /// This server's own evidence over report data; empty when it makes none.
  std::function<base::Result<base::Bytes>(const base::FixedBytes<64>&)> attest;
};

/// A request that an operator brings to the chain. Its key opens what the giving server answers, and is gone with the
/// process.
struct PendingRequest {
  crypto::EcPrivateKey key;
  governance::OnboardRequest request;
  base::Digest32 hash{};
};

/// Thread-safe.
class RegistryReceiver {
 public:
  explicit RegistryReceiver(ReceiverDeps deps) : deps_(std::move(deps)) {}

  /// One for each operator in the life of the process. Whoever calls it has asked whether the operator may run this
  /// server. `conflict` when the server has its master.
  base::Result<std::shared_ptr<const PendingRequest>> request(const curves::Address& operator_address);
  /// Null when nobody has made one.
  std::shared_ptr<const PendingRequest> pending(const curves::Address& operator_address) const;
  /// `denied` when the master in `blob` is not the one whose key the contract publishes, `conflict` when the contract
  /// publishes none. Durable when it returns.
  base::Status accept(const PendingRequest& pending, base::ByteView blob, base::Deadline deadline);
  /// The master of a new key service. `conflict` when the contract publishes a key: there is a master already.
  base::Status generate(base::Deadline deadline);

 private:
  base::Status has_none() const;

  ReceiverDeps deps_;
  mutable base::Mutex mutex_;
  std::map<curves::Address, std::shared_ptr<const PendingRequest>> pending_ ATTESTRY_GUARDED_BY(mutex_);
};

}  // namespace attestry::provision
