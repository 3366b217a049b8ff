// Who holds the registry's master key and how it comes into memory: split among admins once, put together by enough of
// them after every start (docs/reference/bootstrap.md has the table of states). The master key is never at rest.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "audit/log.h"
#include "base/bytes.h"
#include "base/mutex.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/ec.h"
#include "crypto/random.h"
#include "crypto/secret.h"
#include "keys/admin_auth.h"
#include "keys/registry_keys.h"
#include "keys/share_set.h"
#include "state/store.h"

namespace attestry::keys {

enum class BootstrapState : std::uint8_t { initial, generating_shares, recovering, complete };
/// As GET /admin/status says it.
std::string_view to_text(BootstrapState state) noexcept;

struct BootstrapOptions {
  unsigned threshold = 2;  ///< the fewest admins who can recover; a request may ask for more
  /// Clients of the seed's dialect are served: shares are encrypted in the first form of docs/formats/registry.md too.
  bool seed_dialect = false;
  /// Shares that were made elsewhere, for which this store has no commitments, are put together unverified. For moving
  /// from another server; off otherwise.
  bool unknown_shares = false;
  /// What an earlier server said on GET /admin/commitments, for recovery on a new machine; empty: none.
  std::string commitments_json{};
  audit::Log* log = nullptr;  ///< gets a leaf for each step of a change of admins; null: none
};

struct ShareAssignment {
  std::string admin;
  unsigned index = 0;
};
struct GeneratedShares {
  unsigned threshold = 0;
  std::vector<ShareAssignment> assignments;  ///< by index
};
struct EncryptedShare {
  unsigned index = 0;
  base::Bytes blob;
};
/// A change of admins, or of how many are needed: what somebody asked for, and how far it is.
struct ReshareAnswer {
  base::Digest32 proposal{};  ///< of the new admins and the new threshold
  unsigned agreed = 0;        ///< present admins who asked for just that
  unsigned needed = 0;        ///< how many must
  bool split = false;         ///< the key is split anew, and the new admins may fetch
};
enum class ShareFormat : std::uint8_t { v1, v2 };
enum class Submitted : std::uint8_t { accepted, again, unlocked };  ///< again: this admin's share was there already

/// What the server says of itself; nothing of it is secret.
struct BootstrapStatus {
  BootstrapState state = BootstrapState::initial;
  bool has_shares = false;  ///< there is a set of shares, whatever the state
  unsigned threshold = 0;   ///< of that set, or of the recovery that has begun
  unsigned total_shares = 0;
  unsigned submitted = 0;  ///< distinct admins whose shares lie in memory
  base::FixedBytes<16> set_id{};
  base::Digest32 secret_commitment{};
  struct Share {
    std::string admin;
    unsigned index = 0;
    std::optional<base::Digest32> commitment;  ///< none for a share that was made elsewhere and never seen here
    bool fetched = false;                      ///< was sent to the admin
    bool received = false;                     ///< the admin has shown that he holds it
    bool submitted = false;                    ///< lies in memory
  };
  std::vector<Share> shares;
};

/// What present admins must agree on: SHA-256(LP("attestry/reshare/1") ‖ digest of the new admins ‖ new threshold u8).
base::Digest32 reshare_proposal(const AdminSet& admins, unsigned threshold);

/// The context that a share's second form is sealed with: it opens for this set, place and admin only.
std::string share_context(base::ByteView set_id, unsigned index, std::string_view admin);
/// The context that a share is sealed with on its way back to the server.
std::string submission_context(base::ByteView set_id, unsigned index, std::string_view admin);

/// The state machine, durable over restarts: every step is one transaction of the store. Thread-safe; steps run one
/// after the other. Errors of the caller have the code `conflict` (not in this state), `usage` or `not_found`, and a
/// `what` that is the seed's text; everything else is the store's or a defect.
class Bootstrap final : public RegistryMaster {
 public:
  /// `configuration` when the admins are not those whom the stored shares were made for: the set of admins changes by
  /// a ceremony, never by editing a file.
  static base::Result<std::unique_ptr<Bootstrap>> open(state::Store& store, AdminSet admins, BootstrapOptions options,
                                                       crypto::Random& random, const base::Clock& clock);

  ~Bootstrap() override;
  Bootstrap(const Bootstrap&) = delete;
  Bootstrap& operator=(const Bootstrap&) = delete;

  /// Everybody who may sign requests: the present admins and, while the key is being shared anew, the new ones. It
  /// lives as long as this, and is another one after a change.
  const AdminSet& admins() const;
  const BootstrapOptions& options() const noexcept { return options_; }
  BootstrapStatus status() const;
  /// What this run's recovery_key() is attested with: recovery_key_report_data() over the set's id.
  base::FixedBytes<64> recovery_report_data() const;
  /// GET /admin/commitments: what a new machine needs to name wrong shares, and recovery_key(). Only the latter when no
  /// set of shares is known.
  std::string commitments_json() const;
  /// The key of this run that shares are sealed to on their way back.
  crypto::EcPublicKey recovery_key() const { return recovery_key_.public_key(); }

  /// initial -> generating_shares. `threshold` and `total` as an old request may give them; the first `total` admins
  /// get a share each.
  base::Result<GeneratedShares> generate(std::optional<std::int64_t> threshold, std::optional<std::int64_t> total,
                                         base::Deadline deadline);
  /// initial -> recovering; also from generating_shares when a restart has lost the master key. The threshold. By an
  /// admin of now: those who are only to come have no share to bring.
  base::Result<unsigned> begin_recovery(std::string_view admin, std::optional<std::int64_t> threshold,
                                        base::Deadline deadline);
  /// The admin's own share. The last admin's fetch ends generating_shares.
  base::Result<EncryptedShare> fetch(std::string_view admin, ShareFormat format, base::Deadline deadline);
  /// The admin says that he has opened his share and that it matches its commitment: it is not kept any longer.
  base::Status confirm(std::string_view admin, const base::Digest32& commitment, base::Deadline deadline);
  /// A share in clear. A wrong one is named and dropped; the others stay.
  base::Result<Submitted> submit(std::string_view admin, std::int64_t index, crypto::Secret share,
                                 base::Deadline deadline);
  /// The same for a share that was sealed to recovery_key().
  base::Result<Submitted> submit_sealed(std::string_view admin, std::int64_t index, base::ByteView sealed,
                                        base::Deadline deadline);

  /// A present admin asks for other admins or another threshold, for the same master; state complete only. When as many
  /// as their threshold have asked for the same, the master is split anew: new admins fetch and confirm their shares,
  /// and until the last one has, the old shares are those that count. Then they are none any more here.
  base::Result<ReshareAnswer> reshare(std::string_view admin, AdminSet next, unsigned threshold,
                                      base::Deadline deadline);

  /// A copy of the master key; `unavailable` until the state is complete.
  base::Result<crypto::Secret> master() const override;

  /// Remembers a signed request of an admin, durable; `replayed` when it was there already. It may be forgotten after
  /// `forget_after`.
  base::Status use_request(std::string_view admin, const base::Digest32& replay_key, base::UtcTime forget_after,
                           base::Deadline deadline);

 private:
  Bootstrap(state::Store& store, AdminSet admins, BootstrapOptions options, crypto::Random& random,
            const base::Clock& clock);
  BootstrapState state_now() const ATTESTRY_REQUIRES(mutex_);
  base::Status start();
  base::Status load() ATTESTRY_REQUIRES(mutex_);
  base::Status take_over_commitments() ATTESTRY_REQUIRES(mutex_);
  base::Status keep(const std::optional<ShareSet>& set, std::optional<unsigned> recovering, base::Deadline deadline)
      ATTESTRY_REQUIRES(mutex_);
  base::Result<ShareSet> split(const crypto::Secret& master, const AdminSet& admins, unsigned threshold,
                               unsigned total) const;
  base::Status load_admins(const state::ReadView& view) ATTESTRY_REQUIRES(mutex_);
  base::Status keep_next(const std::optional<ShareSet>& next, const AdminSet& admins, std::string_view leaf,
                         base::Deadline deadline) ATTESTRY_REQUIRES(mutex_);
  base::Status take_effect(ShareSet next, base::Deadline deadline) ATTESTRY_REQUIRES(mutex_);
  base::Result<EncryptedShare> fetch_next(unsigned index, base::Deadline deadline) ATTESTRY_REQUIRES(mutex_);
  base::Status confirm_next(unsigned index, base::Deadline deadline) ATTESTRY_REQUIRES(mutex_);
  base::Status leaf(state::WriteTxn& txn, std::string_view type, const ShareSet& set) const;
  const AdminSet* hold(AdminSet admins) ATTESTRY_REQUIRES(mutex_);
  base::Status gather() ATTESTRY_REQUIRES(mutex_);
  base::Status check_share(std::string_view admin, unsigned index, const crypto::Secret& share) const
      ATTESTRY_REQUIRES(mutex_);
  base::Result<Submitted> combine(base::Deadline deadline) ATTESTRY_REQUIRES(mutex_);
  base::Status check_master(const crypto::Secret& master) ATTESTRY_REQUIRES(mutex_);
  ShareSet first_seen_set(const crypto::Secret& master) const ATTESTRY_REQUIRES(mutex_);

  struct Entry {
    unsigned index = 0;
    crypto::Secret share;
  };

  state::Store& store_;
  const BootstrapOptions options_;
  crypto::Random& random_;
  const base::Clock& clock_;
  const base::Digest32 file_admins_;  ///< digest of those whom this run was started with
  const crypto::EcPrivateKey recovery_key_;
  mutable base::Mutex mutex_;
  /// Every set of admins there was in this run: whoever looks at one need not hold the lock. Changes are rare.
  std::vector<std::unique_ptr<const AdminSet>> held_ ATTESTRY_GUARDED_BY(mutex_);
  const AdminSet* admins_ ATTESTRY_GUARDED_BY(mutex_) = nullptr;       ///< the present ones
  const AdminSet* next_admins_ ATTESTRY_GUARDED_BY(mutex_) = nullptr;  ///< of next_
  const AdminSet* everybody_ ATTESTRY_GUARDED_BY(mutex_) = nullptr;
  std::optional<ShareSet> set_ ATTESTRY_GUARDED_BY(mutex_);
  std::optional<ShareSet> next_ ATTESTRY_GUARDED_BY(mutex_);  ///< split, and not yet with all of its admins
  std::map<std::string, base::Digest32, std::less<>> proposals_ ATTESTRY_GUARDED_BY(mutex_);  ///< by present admin
  std::optional<unsigned> recovering_ ATTESTRY_GUARDED_BY(mutex_);  ///< threshold of a recovery that has begun
  crypto::Secret master_ ATTESTRY_GUARDED_BY(mutex_);
  bool generated_here_ ATTESTRY_GUARDED_BY(mutex_) = false;  ///< master_ came from generate(), not from shares
  std::map<std::string, Entry, std::less<>> submitted_ ATTESTRY_GUARDED_BY(mutex_);  ///< by admin
};

}  // namespace attestry::keys
