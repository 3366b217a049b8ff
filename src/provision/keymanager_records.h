// What a key manager keeps over restarts, sealed: its masters by epoch, one that waits for the contract, and what it
// has asked to join with.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/random.h"
#include "crypto/secret.h"
#include "curves/nacl_box.h"
#include "curves/secp256k1.h"
#include "keys/keymanager_digests.h"
#include "keys/resealed.h"
#include "keys/sealing_epochs.h"
#include "state/keys.h"
#include "state/sealed.h"
#include "state/store.h"

namespace attestry::provision {

struct KeyManagerKept {
  crypto::Secret master;  ///< 32 bytes
  bool joined = false;    ///< it came from another member, whom the contract has let hand it on
};
/// Made here, and not yet in force: the contract's owner decides.
struct KeyManagerPending {
  std::uint32_t epoch = 0;  ///< that begins with it
  crypto::Secret master;
  base::Bytes evidence;  ///< the quote for its address
};
/// With what this server asked to join in an epoch.
struct KeyManagerRequest {
  std::uint32_t epoch = 0;
  curves::BoxPrivateKey box;
  curves::Secp256k1PrivateKey member;
  base::Bytes evidence;
};

/// Sealed under the sealing epochs of the standard tenant (docs/reference/sealing.md). Thread-safe.
class KeyManagerRecords final : public keys::Resealed {
 public:
  /// Whose masters they are. An epoch is one contract's, and xPub is public: under another contract, chain or dialect
  /// the same number, even the same xPub, must not open what this one put in force.
  static base::Digest32 scope_of(const keys::KeyManagerContract& contract, std::string_view dialect);

  /// `first`: 32 bytes, under which they are sealed before the first rotation. Epochs and random outlive it.
  KeyManagerRecords(const keys::SealingEpochs& epochs, crypto::Secret first, const base::Digest32& scope,
                    crypto::Random& random)
      : epochs_(epochs), first_(std::move(first)), scope_(scope), random_(random) {}

  /// All that is there of this scope; `corrupt` when something does not open.
  struct All {
    std::map<std::uint32_t, KeyManagerKept> masters{};
    std::map<std::uint32_t, KeyManagerPending> pending{};  ///< by the epoch that would begin
    std::optional<KeyManagerRequest> request{};
    std::uint64_t others = 0;  ///< records of other scopes, which are kept and never used
  };
  base::Result<All> read(const state::ReadView& view) const;

  /// `conflict` when the epoch has another master: one is never replaced.
  base::Status keep(state::WriteTxn& txn, std::uint32_t epoch, const KeyManagerKept& kept) const;
  base::Status put(state::WriteTxn& txn, const KeyManagerPending& pending) const;
  base::Status put(state::WriteTxn& txn, const KeyManagerRequest& request) const;
  base::Status forget_pending(state::WriteTxn& txn, std::uint32_t epoch) const;

  base::Result<std::uint64_t> reseal(state::WriteTxn& txn, const base::Tenant& tenant) const override;
  base::Result<std::uint64_t> older_than(const state::ReadView& view, const base::Tenant& tenant,
                                         std::uint32_t epoch) const override;

 private:
  struct Sealed {
    std::uint32_t epoch = 0;
    base::Bytes blob;
  };
  using Visitor = std::function<base::Status(base::ByteView key, const Sealed& sealed)>;
  static base::Result<Sealed> parse(base::ByteView stored);
  state::Key key_of(std::string_view kind) const;
  base::Status read_masters(const state::ReadView& view, All& out) const;
  base::Status read_pending(const state::ReadView& view, All& out) const;
  base::Status read_request(const state::ReadView& view, All& out) const;
  static base::Status each(const state::ReadView& view, const Visitor& visit);
  base::Result<state::SealedValues> values(const state::ReadView& view, std::uint32_t epoch) const;
  base::Status put(state::WriteTxn& txn, base::ByteView key, base::ByteView plain) const;
  base::Result<crypto::Secret> open(const state::ReadView& view, base::ByteView key, base::ByteView stored) const;

  const keys::SealingEpochs& epochs_;
  const crypto::Secret first_;
  const base::Digest32 scope_;
  crypto::Random& random_;
};

}  // namespace attestry::provision
