// What wallets sign, and when: their policy is read from the chain, approvals are counted, limits are measured by what
// the store has counted, and every signature is in the log before anybody has it (keystore_ckd.md 3.6).
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/json_writer.h"
#include "base/mutex.h"
#include "base/result.h"
#include "chain/near_rpc.h"
#include "secrets/keystore_service.h"
#include "secrets/keystore_wallet_request.h"
#include "secrets/keystore_wallet_usage.h"

namespace attestry::secrets {

struct KeystoreWalletRules {
  std::string policy_method = "get_wallet_policy";  ///< view of the contract: {"wallet_pubkey"} -> entry or null
  bool inline_policy = false;                       ///< a request may bring its own policy: anybody's word
  bool without_policy = false;  ///< a wallet without a policy signs, but for what needs a capability
  bool export_keys = false;     ///< /wallet/derive-ephemeral-key
  /// Accounts that this keystore itself obeys, such as its contract and the DAO: wallets sign nothing for these.
  std::vector<chain::near::AccountId> own{};
};

/// All of it outlives the service.
struct KeystoreWalletParts {
  state::Store& store;
  audit::Log& log;
  KeystoreService& keystore;
  chain::near::ChainReader* reader = nullptr;  ///< null, or no contract: policies cannot be read
  std::optional<chain::near::AccountId> contract{};
  crypto::Random& random;
  /// As of KeystoreParts.
  std::function<bool(std::string_view, std::move_only_function<void()>&)> run_waiting;
};

/// The key with which a wallet signs on NEAR. Move-only.
struct WalletNearKey {
  chain::near::SecretKey key;
  chain::near::AccountId account;  ///< the implicit one
  std::string public_key;          ///< "ed25519:" and hex
};
base::Result<WalletNearKey> wallet_near_key(const crypto::Secret& master, std::string_view wallet_id);

struct WalletAsked {
  WalletName wallet{};
  keystore::WalletOp op{};
  std::optional<keystore::WalletVotes> votes{};
  std::optional<std::string> policy{};  ///< JSON that the request brought along
  bool without_policy = false;          ///< a wallet that has no policy may do it, too
  /// Who asks as the policy's owner: nobody else may, and the policy does not bind him, whatever is in it.
  std::optional<chain::near::AccountId> owner{};
  std::string leaf = "keystore.sign";  ///< its type
};

/// What a policy says about a request.
struct WalletVerdict {
  bool has_policy = false;
  bool allowed = false;  ///< but for approvals
  bool needs_approval = false;
  std::uint64_t threshold = 0;  ///< approvals needed, when some are
  keystore::VoteResult votes = keystore::VoteResult::pending;
  std::string reason{};  ///< why not
};

/// What is at hand when something is signed.
struct WalletMaking {
  const crypto::Secret& master;
  const std::vector<chain::near::AccountId>& own;  ///< KeystoreWalletRules::own
  chain::near::ChainReader* reader;
  base::UtcTime now;
  base::Deadline deadline;
};
struct WalletMade {
  base::JsonOutObject body;  ///< of the answer
  std::string seed;          ///< of the key that signed
};
/// Runs when the policy allows it, off the server's workers. Errors: `malformed`, `usage`, `not_found`, `denied`, and
/// outages.
using WalletMake = std::move_only_function<base::Result<WalletMade>(const WalletMaking&)>;

/// Thread-safe. `done` is called once, on any thread; its plaintext is the answer's JSON.
class KeystoreWallets {
 public:
  KeystoreWallets(KeystoreWalletParts parts, KeystoreWalletRules rules)
      : parts_(std::move(parts)), rules_(std::move(rules)) {}

  void sign(WalletAsked asked, KeystoreRecipient to, base::Deadline deadline, WalletMake make, KeystoreDone done);
  /// Signs nothing and counts nothing.
  using Checked = std::move_only_function<void(std::expected<WalletVerdict, KeystoreRefusal>)>;
  void check(WalletAsked asked, base::Deadline deadline, Checked done);

  /// Above the key's on the chain and above every one that this server gave since it started: two requests at once are
  /// two transactions.
  std::uint64_t next_nonce(const chain::near::PublicKey& key, std::uint64_t on_chain);

  const KeystoreWalletRules& rules() const noexcept { return rules_; }
  const std::optional<chain::near::AccountId>& contract() const noexcept { return parts_.contract; }

 private:
  struct Read {
    std::optional<keystore::WalletPolicyRecord> record{};
    keystore::WalletPolicy policy{};
    bool has_policy = false;
    std::optional<chain::near::Block> at{};
  };
  struct Job;
  std::expected<Read, KeystoreRefusal> read_policy(const WalletAsked& asked, base::Deadline deadline) const;
  std::expected<WalletVerdict, KeystoreRefusal> judge(const WalletAsked& asked, const Read& read,
                                                      base::Deadline deadline) const;
  base::Result<keystore::VoteResult> count(const WalletAsked& asked, const Read& read, base::Deadline deadline) const;
  void run(const std::shared_ptr<Job>& job);
  void keep(const std::shared_ptr<Job>& job, Read read, bool approved, WalletMade made) const;

  const KeystoreWalletParts parts_;
  const KeystoreWalletRules rules_;
  base::Mutex mutex_;
  std::unordered_map<std::string, std::uint64_t> nonces_ ATTESTRY_GUARDED_BY(mutex_);
};

}  // namespace attestry::secrets
