// Who runs a key server of the registry's later generation (docs/formats/registry.md, "Operators of a key server").
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/random.h"
#include "curves/address.h"
#include "governance/kms_contract.h"
#include "state/store.h"

namespace attestry::provision {

/// Which server a request of an operator's is for: what is signed for one is nothing for another, whoever passes it on.
struct KmsServerName {
  std::uint64_t chain_id = 0;
  curves::Address contract{};  ///< of the key service
  base::Digest32 nonce{};      ///< of the server's process
  std::string host{};          ///< that the operator has called, as his client's Host header says it
};
/// What an operator signs for one request: EIP-712, bound to the server, the path and the body.
base::Digest32 kms_operator_digest(const KmsServerName& server, std::string_view path, std::string_view body);
inline constexpr std::string_view kKmsAuthPath = "/api/operator/auth";

struct KmsRequest {
  std::string_view host;  ///< one of this server's names; empty: the request was sent to another
  std::string_view path;
  std::string_view body;
};

struct KmsOperatorRules {
  std::vector<curves::Address> listed{};  ///< who may besides the contract's operators
  /// Signatures over the bare nonce, and requests without any, once an operator has signed.
  bool v1 = false;
};

/// Thread-safe; store and contract outlive it. Kept over restarts.
class RegistryKmsOperator {
 public:
  static base::Result<std::unique_ptr<RegistryKmsOperator>> open(state::Store& store, governance::KmsContract& contract,
                                                                 KmsOperatorRules rules, crypto::Random& random);

  /// Of this process; anybody may see it.
  const base::Digest32& nonce() const noexcept { return nonce_; }
  curves::Address address() const;  ///< all zero before somebody has signed

  /// `denied` for an account that may not; `unavailable` when the chain cannot be asked.
  base::Status may_run(const curves::Address& account, base::Deadline deadline) const;
  /// 65 bytes r ‖ s ‖ v; `host` as in KmsRequest. `malformed` when it is no signature, `conflict` while somebody else
  /// runs this server who still may.
  base::Status authorize(base::ByteView signature, std::string_view host, base::Deadline deadline);
  /// A request of the operator's. `unauthenticated` when it is not his, or there is none yet; `denied` when he may not
  /// any more.
  base::Status check(const KmsRequest& request, const std::optional<base::Bytes>& signature,
                     base::Deadline deadline) const;

 private:
  RegistryKmsOperator(state::Store& store, governance::KmsContract& contract, KmsOperatorRules rules,
                      crypto::Random& random)
      : store_(store), contract_(contract), rules_(std::move(rules)), nonce_(random.bytes<32>()) {}
  base::Digest32 digest(const KmsRequest& request) const;
  base::Result<curves::Address> signer(base::ByteView signature, std::string_view host, base::Deadline deadline) const;
  base::Status set(const curves::Address& before, const curves::Address& account, base::Deadline deadline);

  state::Store& store_;
  governance::KmsContract& contract_;
  const KmsOperatorRules rules_;
  const base::Digest32 nonce_;
  mutable base::Mutex mutex_;
  curves::Address address_ ATTESTRY_GUARDED_BY(mutex_){};
};

}  // namespace attestry::provision
