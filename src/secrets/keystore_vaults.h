// Vaults as the DAO and their own contracts have them: which are verified, banned or taken out by their owners, at a
// final block; and what this keystore says about them on the chain (keystore_ckd.md 3.5, 6.2, 6.3).
#pragma once
#include <chrono>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "audit/log.h"
#include "base/mutex.h"
#include "base/result.h"
#include "chain/near_rpc.h"
#include "secrets/keystore_masters.h"
#include "state/store.h"

namespace attestry::secrets {

/// `get_state` of a vault's contract, as far as it is looked at.
struct VaultState {
  std::string dao{};        ///< keystore_dao
  std::string mpc{};        ///< mpc_contract
  bool unlocked = false;    ///< its owner has taken it out
  bool recovering = false;  ///< is about to
};
/// Members that are not looked at are passed over. Pure. Error `malformed`.
base::Result<VaultState> parse_vault_state(std::string reply);

struct KeystoreVaultRules {
  chain::near::AccountId dao;
  std::optional<chain::near::AccountId> mpc{};  ///< that vaults must name; needed to verify one
  std::chrono::milliseconds ttl{1000};          ///< of what is remembered, as the reader's head_ttl
  std::size_t most = 16'384;                    ///< remembered vaults
};

/// Whoever may call the DAO for this keystore.
struct KeystoreVaultSigner {
  std::unique_ptr<chain::near::Sender> sender;
  chain::near::AccountId account;
  chain::near::SecretKey key;
};

/// All of it outlives the vaults.
struct KeystoreVaultParts {
  state::Store& store;
  audit::Log& log;
  KeystoreMasters& masters;
  chain::near::ChainReader& reader;
  const base::Clock& clock;
};

enum class VaultStep : std::uint8_t {
  signer,   ///< none is configured
  banned,   ///< by the DAO or here
  unfit,    ///< one of the checks says no
  balance,  ///< the signing account cannot pay
  chain,    ///< it did not answer, or refused
  record,   ///< masters, store or log
};
struct VaultRefusal {
  VaultStep step = VaultStep::chain;
  base::Error error;
};
struct VaultMarked {
  std::string transaction{};  ///< base58 of its hash; empty: nothing was to be done
  bool already = false;
};
using VaultOutcome = std::expected<VaultMarked, VaultRefusal>;

/// Thread-safe.
class KeystoreVaults {
 public:
  KeystoreVaults(KeystoreVaultParts parts, KeystoreVaultRules rules, std::optional<KeystoreVaultSigner> signer)
      : parts_(parts), rules_(std::move(rules)), signer_(std::move(signer)) {}

  // -- the gate: a vault's keys are used only while the DAO has it verified, nobody banned it and it is not unlocked.
  // `denied` is the chain's no; outages are `unavailable` and `deadline_exceeded`; `configuration` when the DAO's
  // contract does not answer as one.

  /// What is remembered and still counts; never waits.
  std::optional<base::Status> at_hand(std::string_view vault) const;
  /// Waits for the chain unless it is at hand. A vault that is refused is forgotten here, too: its master goes. The
  /// master of one that is served is brought where others have to be asked for it (KeystoreMasters::load_vault);
  /// `conflict`: the vault cannot pay for that.
  base::Status look(std::string_view vault, base::Deadline deadline);
  /// What was seen last, for those who have looked just now: `unavailable` when nothing was for a minute.
  base::Status last(std::string_view vault) const;

  // -- what is said on the chain; waits

  /// Looks at everything that a vault must be, in the order of keystore_ckd.md 6.3, all of it at one block, and tells
  /// the DAO. Leaf "keystore.vault-verified".
  VaultOutcome verify(const chain::near::AccountId& vault, base::Deadline deadline);
  /// Tells the DAO not to know the vault any more. Nothing when there is no signer.
  VaultOutcome ban(const chain::near::AccountId& vault, const std::string& reason, base::Deadline deadline);
  bool has_signer() const noexcept { return signer_.has_value(); }

 private:
  struct Entry {
    base::Status verdict;
    chain::near::Block at{};
    base::Deadline until{};
  };
  base::Status seen(std::string_view vault, base::Deadline deadline);
  base::Result<bool> dao_says(const chain::near::Block& at, std::string method, std::string_view args,
                              base::Deadline deadline) const;
  base::Result<VaultState> state_of(const chain::near::Block& at, const chain::near::AccountId& vault,
                                    base::Deadline deadline) const;
  base::Status ask(const chain::near::Block& at, const chain::near::AccountId& vault, base::Deadline deadline) const;
  base::Status check_code(const chain::near::Block& at, const chain::near::AccountId& vault,
                          base::Deadline deadline) const;
  base::Status check_keys(const chain::near::Block& at, const chain::near::AccountId& vault,
                          base::Deadline deadline) const;
  base::Status check_state(const chain::near::Block& at, const chain::near::AccountId& vault,
                           base::Deadline deadline) const;
  bool is_own_key(std::string_view vault, std::string_view key) const;
  std::expected<std::string, VaultRefusal> tell_dao(const chain::near::AccountId& vault, std::string method,
                                                    const std::string& args, base::Deadline deadline);
  base::Status record(std::string_view vault, std::string_view transaction, base::Deadline deadline) const;
  void evict(const std::string& vault, base::Deadline deadline) const;

  const KeystoreVaultParts parts_;
  const KeystoreVaultRules rules_;
  const std::optional<KeystoreVaultSigner> signer_;
  mutable base::Mutex mutex_;
  std::unordered_map<std::string, Entry> entries_ ATTESTRY_GUARDED_BY(mutex_);
  base::Mutex sending_;  ///< one transaction at a time: each needs the next nonce
  std::uint64_t last_nonce_ ATTESTRY_GUARDED_BY(sending_) = 0;
};

}  // namespace attestry::secrets
