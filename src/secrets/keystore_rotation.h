// Rotation of a keystore's default master: a new epoch, and then a walk over what others keep encrypted under older
// ones, which gives the same secrets encrypted under the new one. Owners write those to where they keep them; a walk
// that finds nothing of older epochs any more lets these be retired (docs/how-to/rotate-a-keystore.md).
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "audit/log.h"
#include "base/mutex.h"
#include "base/result.h"
#include "secrets/keystore_ciphertext.h"
#include "secrets/keystore_masters.h"
#include "secrets/keystore_seeds.h"
#include "state/store.h"

namespace attestry::secrets {

/// A secret where its owner keeps it. Three names make it one: accessor, profile, owner.
struct ListedSecret {
  std::string accessor;  ///< JSON, as the contract has it (keystore_ckd.md 6.1)
  std::string profile;
  std::string owner;
  std::string vault;  ///< empty: default master
  std::optional<keystore::Seed> seed{};
  base::Bytes blob;
};

/// Where secrets are kept. Thread-safe.
class SecretLister {
 public:
  virtual ~SecretLister() = default;
  struct Page {
    std::vector<ListedSecret> secrets;
    base::Bytes state;  ///< as of which it is listed
  };
  /// At most `most` secrets of an owner from the `from`th on; fewer when there are no more. All pages of a list are of
  /// one state, so that none is passed over when others are deleted meanwhile: that of the first page, which `state` is
  /// for the later ones; empty: the newest. `not_found` when that state is not kept any more. May wait for others.
  virtual base::Result<Page> list(std::string_view owner, std::uint64_t from, std::size_t most,
                                  base::ByteView state) = 0;
};

/// The same secret under the current epoch, in the form that it had (of a legacy blob: ECIES v1); nullopt when it is of
/// the current epoch already. `crypto` when no epoch opens it. `random` as ecies_v1_seal takes it.
base::Result<std::optional<base::Bytes>> recrypt(const KeystoreMasters& masters, const ListedSecret& secret,
                                                 const keystore::BrokenCiphers& allowed, crypto::Random& random);

struct KeystoreWalk {
  std::uint32_t epoch = 0;  ///< to which; 0: there was none yet
  bool finished = false;
  std::vector<std::string> owners;
  std::uint64_t walked = 0;           ///< secrets seen
  std::uint64_t current = 0;          ///< of them of the current epoch already
  std::uint64_t anew = 0;             ///< encrypted anew: results() has them
  std::uint64_t failed = 0;           ///< that no epoch opens, or of vaults that are not served
  std::uint64_t owner = 0, from = 0;  ///< where to go on
  base::Bytes state{};                ///< as of which the present owner is listed
  base::UtcTime since;
  /// walked, current, anew and failed before the present owner.
  std::array<std::uint64_t, 4> before{};
};

/// Whether a record is a result of a walk.
bool is_recrypted(base::ByteView key);

struct Recrypted {
  std::string accessor, profile, owner;
  std::uint32_t epoch = 0;
  base::Bytes blob;  ///< empty: it could not be opened
};

struct KeystoreRotationParts {
  state::Store& store;
  audit::Log& log;
  KeystoreMasters& masters;
  SecretLister& lister;
  crypto::Random& random;
  keystore::BrokenCiphers allowed{};
  /// Whether a vault's keys may be used now (KeystoreVaults::look); none: a vault's name is enough. Waits.
  std::function<base::Status(std::string_view vault, base::Deadline deadline)> gate{};
};

/// Thread-safe; all parts outlive it. Each step is one transaction, so that a server that was killed goes on where it
/// was, and no secret is lost or written twice.
class KeystoreRotation {
 public:
  static constexpr std::size_t kPage = 50;

  explicit KeystoreRotation(KeystoreRotationParts parts) : parts_(std::move(parts)) {}

  /// A new epoch, and a walk over the secrets of these owners. The epoch. Waits.
  base::Result<std::uint32_t> rotate(std::vector<std::string> owners, base::Deadline deadline);
  /// A walk alone: after owners wrote what the last one gave, or for more owners. What the last one gave is erased.
  /// `usage` without owners. Waits.
  base::Status walk(std::vector<std::string> owners, base::Deadline deadline);
  /// The same walk from its start, unless it found nothing to do: for a server that took over, which has not got the
  /// results. Waits.
  base::Status walk_again(base::Deadline deadline);
  /// The next page; true when the walk is done, or when there is none. An error leaves everything as it was: try again.
  /// Waits.
  base::Result<bool> step(base::Deadline deadline);
  base::Result<KeystoreWalk> progress() const;
  /// What walks gave, in the order of (owner, accessor, profile), at most `most` after `after` (empty: from the first).
  struct Results {
    std::vector<Recrypted> entries;
    base::Bytes next;  ///< pass it as `after`; empty: there are no more
  };
  base::Result<Results> results(base::ByteView after, std::size_t most) const;
  /// Erases all epochs before the current one. `conflict` unless a walk over the present epoch is done and found
  /// nothing of older ones; `accept_loss` retires them all the same. Waits.
  base::Status retire(bool accept_loss, base::Deadline deadline);

 private:
  base::Status begin(KeystoreWalk walk, base::Deadline deadline) ATTESTRY_REQUIRES(stepping_);
  /// Counts a page, and gives the rows of what was encrypted anew.
  base::Result<std::vector<std::pair<base::Bytes, base::Bytes>>> look_at(const std::vector<ListedSecret>& page,
                                                                         KeystoreWalk& walk,
                                                                         base::Deadline deadline) const;
  base::Status keep(state::WriteTxn& txn, const KeystoreWalk& walk) const;
  base::Result<KeystoreWalk> read(const state::ReadView& view) const;
  base::Status leaf(state::WriteTxn& txn, std::string_view type, const KeystoreWalk& walk) const;

  const KeystoreRotationParts parts_;
  base::Mutex stepping_;  ///< one step at a time
};

}  // namespace attestry::secrets
